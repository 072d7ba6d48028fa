//! The line of writes before the commit thread.
//!
//! Whoever has a write puts it here; a thread that sleeps is woken, one that is awake looks by itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Terms;
use super::then::Then;
use crate::error::{Error, Occupant, Result};
use crate::gate::Passage;
use crate::observe::Meter;
use crate::storage::{Operation, Outcome, Turn};
use crate::worker::{Call, Rest};

/// How often writes that wait are looked at for their deadline.
pub(super) const WATCH_EVERY: Duration = Duration::from_millis(250);

/// One operation on its way into a group.
pub(super) struct Write {
    /// Until its group has been committed.
    operation: Option<Operation>,
    pub(super) passage: Option<Passage>,
    /// Until he has been told.
    then: Option<Box<dyn Then>>,
    /// The boot time until which it may be begun; later, it never is.
    pub(super) deadline_ms: u64,
    /// If it is refused, the turn is kept for a moment.
    pub(super) insists: bool,
    /// When it was asked for, by the boot clock, if it has something that counts from then.
    pub(super) asked_ms: u64,
}

impl Write {
    pub(super) fn new(
        operation: Operation,
        passage: Option<Passage>,
        then: Box<dyn Then>,
        terms: Terms,
    ) -> Write {
        let Terms { deadline_ms, insists } = terms;
        Write { operation: Some(operation), passage, then: Some(then), deadline_ms, insists, asked_ms: 0 }
    }

    /// When it is asked for, which matters only if it has delays.
    pub(super) fn asked(&mut self, now_ms: impl FnOnce() -> u64) {
        if self.operation().has_delays() {
            self.asked_ms = now_ms();
        }
    }

    pub(super) fn operation(&self) -> &Operation {
        self.operation
            .as_ref()
            .unwrap_or_else(|| unreachable!("it is kept until its group has been committed"))
    }

    /// It has been committed, or never will be.
    pub(super) fn let_operation_go(&mut self) {
        self.operation = None;
    }

    /// Looks at what answering will need.
    pub(super) fn look(&self) {
        if let Some(then) = &self.then {
            then.look();
        }
    }

    /// Answers. Once its passage is dropped, somebody else may come in.
    pub(super) fn answer(&mut self, outcome: Result<Outcome>) -> Option<Passage> {
        if let Some(then) = self.then.take() {
            then.tell(outcome);
        }
        self.passage.take()
    }
}

/// Figures of the writer, for `status` and the bench.
#[derive(Debug, Default)]
pub struct Stats {
    /// Groups committed.
    pub groups: AtomicU64,
    /// Operations in them.
    pub operations: AtomicU64,
    /// Groups that had to be redone under savepoints because an operation in them failed.
    pub redone: AtomicU64,
    /// Commits that failed.
    pub failed_commits: AtomicU64,
    /// Checkpoints that failed; the log grows until one succeeds.
    pub failed_checkpoints: AtomicU64,
    /// States of aggregates that were loaded from a snapshot.
    pub snapshots_used: AtomicU64,
    /// Snapshots that could not be used, so that all events were replayed.
    pub snapshots_unusable: AtomicU64,
    /// Why nothing is written any more, once that is so.
    pub poisoned: OnceLock<Error>,
    /// Who tells all of it, and more, to whoever watches over the program.
    pub meter: Meter,
}

/// What the writer is doing, as seen without asking the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriterState {
    /// It has nothing to do, or has just begun.
    Ready,
    /// Somebody else has the writers' turn, or has locked the database.
    WaitingForTurn {
        /// Who, as this process saw it last.
        process: Occupant,
        /// For how long this process has waited, whoever has had it meanwhile.
        waited: Duration,
    },
    /// The storage has had a group for so long and has not answered.
    InStorage {
        /// For how long.
        waited: Duration,
    },
    /// Nothing is written any more until the store is opened anew.
    Poisoned {
        /// Why.
        error: Error,
    },
}

/// What the commit thread is asked for.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) struct Asked {
    pub(super) writes: bool,
    pub(super) checkpoint: bool,
    pub(super) beat: bool,
    pub(super) closed: bool,
}

#[derive(Default)]
struct State {
    line: VecDeque<Write>,
    beat: bool,
    closed: bool,
    checkpoint: bool,
    /// The thread rests until it is called; anybody else may skip calling it.
    asleep: bool,
    /// The actor was told that there is something to do while the thread sleeps.
    told: bool,
    /// The actor has the committer. The thread has it only while it does not sleep.
    inline: bool,
    /// The actor has had it since the thread last looked.
    inline_lately: bool,
    /// The thread sleeps for a while only, and looks after the deadlines in between.
    dozes: bool,
    /// Why the thread cannot take what is in the line.
    stuck: Option<Stuck>,
    /// Since when the group that was taken last has been with the storage.
    flying_since: Option<u64>,
}

/// Somebody else writes, and the line does not move.
struct Stuck {
    /// Since when.
    since_ms: u64,
    /// Whose turn it was when it was last looked.
    turn: Turn,
    /// Since when that very turn has been seen.
    seen_ms: u64,
}

impl State {
    /// What the thread is asked for. Nothing while the actor has the committer.
    fn asked(&mut self) -> Asked {
        if self.inline {
            return Asked::default();
        }
        Asked {
            // What the actor was told of is the actor's, unless there is none any more.
            writes: !self.line.is_empty() && (!self.told || self.closed),
            checkpoint: std::mem::take(&mut self.checkpoint),
            beat: std::mem::take(&mut self.beat),
            closed: self.closed,
        }
    }
}

impl Stuck {
    /// A turn that has been passed on has its own time.
    fn see(&mut self, turn: Turn, now_ms: u64) {
        if self.turn != turn {
            (self.turn, self.seen_ms) = (turn, now_ms);
        }
    }
}

/// The actor has the committer, until this is dropped.
pub(super) struct Inline<'a>(&'a Intake);

impl Drop for Inline<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.inline = false;
        // What the actor was told of meanwhile it does by itself.
        let is_left = !state.line.is_empty() && !state.told;
        if is_left || state.checkpoint || state.beat || state.closed {
            self.0.wake(state);
        }
    }
}

/// The line itself. Writes stay in it until their group has begun, so that a deadline that passes while the
/// turn is waited for leaves no doubt: not applied.
#[derive(Default)]
pub(super) struct Intake {
    state: Mutex<State>,
    /// Writes in the line: for the thread, which looks often and mostly finds none.
    length: AtomicUsize,
    call: Call,
}

impl Intake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.call.call();
        }
    }

    /// Ends the thread's rest.
    pub(super) fn call(&self) -> Call {
        self.call.clone()
    }

    /// Puts a write into the line. Whether the actor has to be told: the thread sleeps, and nobody else has said so.
    pub(super) fn push(&self, mut write: Write) -> bool {
        let mut state = self.state();
        if state.closed {
            drop(state);
            write.answer(Err(Error::Closed));
            return false;
        }
        state.line.push_back(write);
        self.length.store(state.line.len(), Ordering::Release);
        state.asleep && !std::mem::replace(&mut state.told, true)
    }

    /// The actor has come to look: the next one who finds the thread asleep tells it again.
    pub(super) fn look(&self) -> usize {
        let mut state = self.state();
        state.told = false;
        state.line.len()
    }

    /// Has the thread take what is in the line.
    pub(super) fn call_thread(&self) {
        self.wake(self.state());
    }

    pub(super) fn ask_checkpoint(&self) {
        let mut state = self.state();
        state.checkpoint = true;
        self.wake(state);
    }

    pub(super) fn ask_beat(&self) {
        let mut state = self.state();
        state.beat = true;
        self.wake(state);
    }

    /// Nothing more is accepted; the thread ends when the line is empty.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.wake(state);
    }

    /// Whether the thread sleeps and the line is empty.
    pub(super) fn is_resting(&self) -> bool {
        let state = self.state();
        state.asleep && state.line.is_empty()
    }

    /// Writes in the line.
    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// What there is to do for the thread, or how it is to rest: while the actor commits by itself, for a while only.
    pub(super) fn asked(&self) -> std::result::Result<Asked, Rest> {
        let mut state = self.state();
        let asked = state.asked();
        state.asleep = asked == Asked::default();
        if !state.asleep {
            return Ok(asked);
        }
        state.dozes = state.inline || std::mem::take(&mut state.inline_lately);
        Err(if state.dozes { Rest::For(WATCH_EVERY) } else { Rest::UntilCalled })
    }

    /// The actor commits by itself, if the thread sleeps.
    pub(super) fn begin_inline(&self) -> Option<Inline<'_>> {
        let mut state = self.state();
        if !state.asleep {
            return None;
        }
        (state.inline, state.inline_lately) = (true, true);
        if !std::mem::replace(&mut state.dozes, true) {
            drop(state);
            self.call.call();
        }
        Some(Inline(self))
    }

    /// Whether there is nothing in the line that would have to survive a power cut.
    pub(super) fn has_only_beats(&self) -> bool {
        self.state().line.iter().all(|write| write.operation().is_beat())
    }

    /// Whether one in the line insists, so that the turn may have to be kept: by the thread, which gives it up again.
    pub(super) fn has_insisting(&self) -> bool {
        self.state().line.iter().any(|write| write.insists)
    }

    /// Takes up to `most` writes, in order: from `now_ms` on they are with the storage. For a group of beats, none behind
    /// the first that is none.
    pub(super) fn take(&self, most: usize, beats: bool, now_ms: u64, into: &mut VecDeque<Write>) {
        if self.len() == 0 {
            return;
        }
        let mut state = self.state();
        state.stuck = None;
        state.flying_since.get_or_insert(now_ms);
        let most = match beats {
            true => state.line.iter().take(most).take_while(|write| write.operation().is_beat()).count(),
            false => most,
        };
        if state.line.len() <= most && into.is_empty() {
            std::mem::swap(&mut state.line, into);
        } else {
            let count = state.line.len().min(most);
            into.extend(state.line.drain(..count));
        }
        self.length.store(state.line.len(), Ordering::Release);
    }

    /// What was taken was not begun after all, because of this: it waits on, before the others, as long as it may.
    pub(super) fn put_back(&self, writes: VecDeque<Write>, error: &Error, now_ms: u64) {
        let (late, mut kept): (VecDeque<_>, VecDeque<_>) =
            writes.into_iter().partition(|write| write.deadline_ms <= now_ms);
        let mut state = self.state();
        kept.append(&mut state.line);
        state.line = kept;
        self.length.store(state.line.len(), Ordering::Release);
        drop(state);
        late.into_iter().for_each(|mut write| drop(write.answer(Err(error.clone()))));
    }

    /// What was taken has come back from the storage.
    pub(super) fn landed(&self) {
        self.state().flying_since = None;
    }

    /// Since when the storage has had what was taken last, if it has not given it back.
    pub(super) fn flying_since(&self) -> Option<u64> {
        self.state().flying_since
    }

    /// What the thread, or the actor, is doing at `now_ms`.
    pub(super) fn doing(&self, now_ms: u64) -> WriterState {
        let state = self.state();
        let waited = |since: u64| Duration::from_millis(now_ms.saturating_sub(since));
        match (&state.stuck, state.flying_since) {
            (_, Some(since)) => WriterState::InStorage { waited: waited(since) },
            (Some(stuck), None) if !state.line.is_empty() => WriterState::WaitingForTurn {
                process: stuck.turn.occupant.clone(),
                waited: waited(stuck.since_ms),
            },
            _ => WriterState::Ready,
        }
    }

    /// Says why the line does not move.
    pub(super) fn stuck(&self, turn: Turn, now_ms: u64) {
        let mut state = self.state();
        match &mut state.stuck {
            Some(stuck) => stuck.see(turn, now_ms),
            none => *none = Some(Stuck { since_ms: now_ms, turn, seen_ms: now_ms }),
        }
    }

    /// Whether the line does not move because somebody else writes.
    pub(super) fn is_stuck(&self) -> bool {
        self.state().stuck.is_some()
    }

    /// It was looked whose turn it is, while the line did not move.
    pub(super) fn still_stuck(&self, turn: Turn, now_ms: u64) {
        if let Some(stuck) = &mut self.state().stuck {
            stuck.see(turn, now_ms);
        }
    }

    /// Answers the writes whose deadline has passed. They were never begun.
    pub(super) fn expire(&self, now_ms: u64) {
        let mut state = self.state();
        if state.line.iter().all(|write| write.deadline_ms > now_ms) {
            return;
        }
        let (late, kept): (VecDeque<_>, VecDeque<_>) =
            state.line.drain(..).partition(|write| write.deadline_ms <= now_ms);
        state.line = kept;
        self.length.store(state.line.len(), Ordering::Release);
        let (process, since) = match &state.stuck {
            Some(stuck) => (stuck.turn.occupant.clone(), stuck.seen_ms),
            None => (Occupant::ThisProcess, state.flying_since.unwrap_or(now_ms)),
        };
        drop(state);
        let held_for = Duration::from_millis(now_ms.saturating_sub(since));
        for mut write in late {
            write.answer(Err(Error::Busy { process: process.clone(), held_for }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::lock::{Renew, Settle};

    #[test]
    fn g16_what_was_put_back_is_taken_again_first_or_answered_at_its_deadline() {
        let intake = Intake::default();
        let (said, heard) = std::sync::mpsc::channel();
        let push = |lock, deadline_ms| {
            let said = said.clone();
            let then = Box::new(move |outcome| said.send((lock, outcome)).unwrap_or(()));
            let operation = Operation::LockSettle(Settle { lock });
            intake.push(Write::new(operation, None, then, Terms::until(deadline_ms)));
        };
        push(1, 100);
        push(2, 200);
        let mut taken = VecDeque::new();
        intake.take(2, false, 10, &mut taken);
        push(3, 300);
        let process = Occupant::Away { detail: "connection refused".into() };
        let away = Error::Busy { process, held_for: Duration::ZERO };
        intake.put_back(taken, &away, 100);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [(1, Err(away))]);
        let mut taken = VecDeque::new();
        intake.take(2, false, 110, &mut taken);
        let deadlines: Vec<u64> = taken.iter().map(|write| write.deadline_ms).collect();
        assert_eq!((deadlines, intake.len()), (vec![200, 300], 0));
    }

    #[test]
    fn g8_busy_counts_the_time_of_one_turn() {
        let intake = Intake::default();
        let (said, heard) = std::sync::mpsc::channel();
        let then = Box::new(move |outcome| said.send(outcome).unwrap_or(()));
        let operation = Operation::LockSettle(Settle { lock: 1 });
        intake.push(Write::new(operation, None, then, Terms::until(100)));
        let turn = |number| Turn { occupant: Occupant::Newcomer, number };
        intake.still_stuck(turn(9), 5);
        assert_eq!(intake.doing(9), WriterState::Ready, "only what the thread waits for counts");
        intake.stuck(turn(1), 10);
        intake.still_stuck(turn(1), 20);
        intake.still_stuck(turn(2), 60);
        intake.still_stuck(turn(2), 99);
        let waited = Duration::from_millis(89);
        assert_eq!(intake.doing(99), WriterState::WaitingForTurn { process: Occupant::Newcomer, waited });
        intake.expire(99);
        assert!(heard.try_recv().is_err());
        intake.expire(100);
        let busy = Error::Busy { process: Occupant::Newcomer, held_for: Duration::from_millis(40) };
        assert_eq!(heard.try_recv(), Ok(Err(busy)));
    }

    #[test]
    fn g1_a_group_of_beats_takes_nothing_that_must_survive_a_power_cut() {
        let intake = Intake::default();
        let renew = || Operation::LockRenew(Renew { lock: 1, ticket: 1 });
        let settle = || Operation::LockSettle(Settle { lock: 1 });
        assert!(intake.has_only_beats(), "there is nothing in it");
        let push = |operation| {
            intake.push(Write::new(operation, None, Box::new(drop), Terms::until(1)));
            intake.has_only_beats()
        };
        assert_eq!([push(renew()), push(renew()), push(settle()), push(renew())], [true, true, false, false]);
        let mut taken = VecDeque::new();
        for (beats, count, left) in [(true, 2, 2), (true, 0, 2), (false, 2, 0)] {
            intake.take(9, beats, 0, &mut taken);
            assert_eq!((taken.len(), intake.len()), (count, left));
            taken.clear();
        }
    }
}

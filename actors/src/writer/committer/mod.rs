//! One group on the database: begin, apply, commit, answer; and what to do when one of these fails.
//!
//! There is no savepoint an operation: it would cost 70 % more an operation, for a case that hardly occurs,
//! because an operation that is refused has written nothing. When one really fails, the whole group is rolled
//! back and done again with a savepoint an operation, so that the bad one does not undo its neighbours.
//!
//! - `answering` gives the answers;
//! - `failing` finds out what has become of a commit that failed, and when nothing is written any more;
//! - `log` moves the log into the main file, and leaves the store;
//! - `telling` says what a group has done to whoever watches over the program.

mod answering;
mod failing;
mod log;
mod telling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::telling::Timing;
use super::intake::{Stats, Write};
use super::{Told, Tuning};
use crate::clock::{Clock, millis};
use crate::error::{Error, Occupant, Result};
use crate::failpoint::{Point, reach};
use crate::gate::Passage;
use crate::limits;
use crate::observe::{kind, target};
use crate::storage::{Operation, Outcome, Session, Standing, Turn, change};
use crate::thread;

/// The session, and the group that is open on it.
pub(super) struct Committer {
    session: Box<dyn Session>,
    clock: Arc<dyn Clock>,
    stats: Arc<Stats>,
    /// Pages in the log at which it is moved into the main file.
    checkpoint_pages: u32,
    /// Pages at which it is not only moved, but has to begin anew.
    long: u32,
    told: Told,
    /// The session's storage is [far](crate::storage::Backend::is_far).
    far: bool,
    /// Our id, for whoever wants to know it.
    process: Arc<AtomicU64>,
    /// The open group has only beats in it, if all goes well.
    beats: bool,
    /// When the open group began.
    began_ms: u64,
    /// When the last group on disk began; this process's beat, while it holds a lease.
    beat_ms: Arc<AtomicU64>,
    /// The open group, moved in whole where that is possible: a write is large, and there are many.
    writes: VecDeque<Write>,
    /// What became of its operations, as far as they have been applied.
    outcomes: Vec<Result<Outcome>>,
    /// The same once it has been committed, or has failed.
    answers: Vec<Result<Outcome>>,
    /// What those who have been answered came in by.
    leaving: Vec<Passage>,
    /// An operation of the open group failed: nothing more is applied, all of it is done again at the end.
    spoilt: bool,
    /// The connection is in an unknown state and is reopened before its next use.
    suspect: bool,
    /// Who had locked the database when the turn was ours and the transaction could not be opened.
    locked_by: Option<Occupant>,
    /// The session was told that another group comes as soon as this one is committed.
    expects_more: bool,
    /// The turn is kept until then, by the boot clock, for one who insists.
    kept_until_ms: Option<u64>,
    groups: u64,
    timing: Timing,
    failures: Vec<u64>,
    /// Why nothing is written any more.
    poisoned: Option<Error>,
    /// Nothing has come of the group because the storage was away: it may wait for as long as its callers do.
    away: Option<Error>,
}

impl Committer {
    pub(super) fn new(
        session: Box<dyn Session>,
        clock: Arc<dyn Clock>,
        stats: Arc<Stats>,
        tuning: Tuning,
        told: Told,
        process: Arc<AtomicU64>,
        beat_ms: Arc<AtomicU64>,
    ) -> Committer {
        let Tuning { checkpoint_pages, far, .. } = tuning;
        Committer {
            session,
            clock,
            stats,
            far,
            checkpoint_pages,
            long: limits::LONG_LOG.saturating_mul(checkpoint_pages),
            told,
            process,
            beats: false,
            began_ms: 0,
            beat_ms,
            writes: VecDeque::new(),
            outcomes: Vec::new(),
            answers: Vec::new(),
            leaving: Vec::new(),
            spoilt: false,
            suspect: false,
            locked_by: None,
            expects_more: false,
            kept_until_ms: None,
            groups: 0,
            timing: Timing::default(),
            failures: Vec::new(),
            poisoned: None,
            away: None,
        }
    }

    /// Takes the turn and opens a transaction. `false`: somebody else has one of them; try again later.
    ///
    /// A database that cannot be opened at all is not a reason to wait: the group then begins without it, and
    /// every write that is taken is answered with the error. `beats`: no other writes will be taken.
    pub(super) fn begin(&mut self, wait: bool, beats: bool) -> bool {
        if self.poisoned.is_some() {
            return true;
        }
        self.locked_by = None;
        self.beats = beats;
        self.begin_timing();
        let begun = reach(Point::BeforeBegin).and_then(|()| self.session.take_turn(wait));
        self.has_turn(wait);
        let mut open = || reach(Point::AfterTurn).and_then(|()| self.open()).map(|()| true);
        match begun.and_then(|had| if had { open() } else { Ok(false) }) {
            Ok(had) => had,
            Err(Error::Busy { process, .. }) => {
                self.locked_by = Some(process);
                self.session.leave_turn();
                false
            }
            Err(_) => {
                // The redo at the end of the group meets the error again, or finds that it has passed.
                self.spoilt = true;
                self.suspect = true;
                true
            }
        }
    }

    /// Lets other processes go first if it is their turn.
    pub(super) fn give_way(&mut self) {
        self.session.give_way();
    }

    fn open(&mut self) -> Result<()> {
        if self.suspect {
            self.session.reopen()?;
            self.suspect = false;
            tracing::debug!(target: target::WRITER, "the store goes on with a new connection");
        }
        let now = self.clock.now();
        self.began_ms = now.boot_ms;
        let standing = if self.beats { self.session.begin_beat(now) } else { self.session.begin(now) };
        if standing? == Standing::Lapsed {
            self.process.store(self.session.process(), Ordering::Relaxed);
            self.stats.meter.lapsed();
            tracing::warn!(target: target::WRITER, "this process was silent for too long, and has lost leases");
            (self.told.call_all)();
        }
        reach(Point::AfterBegin)
    }

    /// Applies writes in the open group, in order, and takes all of them.
    pub(super) fn take(&mut self, writes: &mut VecDeque<Write>) {
        // One that is put off is another one than is seen here.
        let put_off = |write: &Write| write.asked_ms > self.began_ms && write.operation().has_delays();
        // A storage that is near has nothing of it for one that is alone.
        let worth = self.far || writes.len() > 1;
        if worth && !self.spoilt && self.poisoned.is_none() && !writes.iter().any(put_off) {
            let operations: Vec<&Operation> = writes.iter().map(Write::operation).collect();
            let foresee = || self.session.foresee(&operations);
            if thread::contain(|| "the storage".into(), foresee).is_err() {
                self.suspect = true;
                self.spoil();
            }
        }
        for write in writes.iter() {
            if self.spoilt || self.poisoned.is_some() {
                break;
            }
            match self.apply(write) {
                Ok(outcome) => self.outcomes.push(Ok(outcome)),
                Err(error) => {
                    tracing::debug!(target: target::WRITER, kind = kind(&error), "a write failed");
                    self.spoil();
                }
            }
        }
        if self.writes.is_empty() {
            std::mem::swap(&mut self.writes, writes);
        } else {
            self.writes.append(writes);
        }
    }

    pub(super) fn group_size(&self) -> usize {
        self.writes.len()
    }

    /// All of a group happens at the moment at which it began, and takes what is asked for later too.
    fn apply(&mut self, write: &Write) -> Result<Outcome> {
        match write.asked_ms.saturating_sub(self.began_ms) {
            0 => self.apply_operation(write.operation()),
            late_ms => {
                let mut operation = write.operation().clone();
                operation.put_off(late_ms);
                self.apply_operation(&operation)
            }
        }
    }

    fn apply_operation(&mut self, operation: &Operation) -> Result<Outcome> {
        let apply = || {
            reach(Point::BeforeApply)?;
            let outcome = self.session.apply(operation)?;
            reach(Point::AfterApply).map(|()| outcome)
        };
        let applied = thread::contain(|| "the storage".into(), apply);
        self.suspect |= applied.is_err();
        applied.flatten()
    }

    fn spoil(&mut self) {
        self.spoilt = true;
        self.outcomes.clear();
        self.session.rollback();
    }

    /// Commits the group, for better or worse. Its answers are kept for [`answer`](Committer::answer).
    pub(super) fn finish(&mut self) {
        // Those who are answered together come back together.
        self.expects_more = self.far && self.writes.len() > 1;
        self.session.expect_more(self.expects_more);
        self.answers = self.settle();
        let refused = |answer: &Result<Outcome>| answer.as_ref().is_ok_and(Outcome::is_refusal);
        let insisted =
            self.writes.iter().zip(&self.answers).any(|(write, answer)| write.insists && refused(answer));
        self.kept_until_ms = insisted.then(|| self.clock.boot_ms().saturating_add(millis(limits::INSIST)));
        self.spoilt = false;
        self.outcomes.clear();
    }

    /// The group, if nothing has come of it because the storage was away, and why that was.
    pub(super) fn take_back(&mut self) -> Option<(VecDeque<Write>, Error)> {
        self.away.take().map(|error| (std::mem::take(&mut self.writes), error))
    }

    /// Whether the session goes by it that another group comes at once, and has to be told if none does. Where the actor commits by
    /// itself it does not, so the thread, which may have to keep deadlines meanwhile, never waits for the committer to tell it.
    pub(super) fn expects_more(&self) -> bool {
        self.expects_more
    }

    /// Nobody has come back.
    pub(super) fn expect_no_more(&mut self) {
        self.session.expect_more(false);
    }

    /// Whether the turn is kept for one who insists, be it too long already: it has to be passed on by hand.
    pub(super) fn keeps_turn(&self) -> bool {
        self.kept_until_ms.is_some()
    }

    /// For how long it is still to be kept.
    pub(super) fn keeps_turn_for(&self) -> Option<Duration> {
        let left_ms = self.kept_until_ms?.saturating_sub(self.clock.boot_ms());
        (left_ms > 0).then(|| Duration::from_millis(left_ms))
    }

    /// Passes the turn on, and tells the other processes if one of them waits.
    pub(super) fn pass_on(&mut self) {
        self.kept_until_ms = None;
        self.session.leave_turn();
        if let Err(error) = reach(Point::BeforeRing) {
            // A bell that is missed costs the others a moment.
            return tracing::warn!(target: target::WRITER, %error, "the other processes are not told");
        }
        self.session.ring();
    }

    /// The answers of the whole group, after its commit.
    fn settle(&mut self) -> Vec<Result<Outcome>> {
        let size = self.writes.len();
        self.away = None;
        if let Some(error) = &self.poisoned {
            return vec![Err(error.clone()); size];
        }
        if self.spoilt {
            self.stats.redone.fetch_add(1, Ordering::Relaxed);
            self.stats.meter.redone();
            tracing::debug!(target: target::WRITER, operations = size, "a group is done again, a write at a time");
            return self.redo().unwrap_or_else(|error| {
                self.session.rollback();
                self.refuse(error)
            });
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        self.commit(outcomes)
    }

    /// Does the group again, each operation under a savepoint of its own.
    ///
    /// An error here means that the storage, not an operation, has failed: all of the group fails alike.
    fn redo(&mut self) -> Result<Vec<Result<Outcome>>> {
        self.beats = false;
        let writes = std::mem::take(&mut self.writes);
        // Operations that panic, or bring the transaction down, are left out of the next attempt; each attempt loses one, so
        // this ends.
        let mut refused: Vec<Option<Error>> = vec![None; writes.len()];
        let answers = loop {
            match self.attempt(&writes, &mut refused) {
                Ok(Some(answers)) => break Ok(answers),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        self.writes = writes;
        Ok(self.commit(answers?))
    }

    /// One attempt at a group under savepoints; `None` if an operation panicked, or brought the transaction down by its own
    /// doing, and must be left out.
    fn attempt(
        &mut self,
        writes: &VecDeque<Write>,
        refused: &mut [Option<Error>],
    ) -> Result<Option<Vec<Result<Outcome>>>> {
        self.session.rollback();
        self.open()?;
        let mut answers = Vec::with_capacity(writes.len());
        for (write, refused) in writes.iter().zip(refused) {
            if let Some(error) = refused {
                answers.push(Err(error.clone()));
                continue;
            }
            self.session.savepoint()?;
            let answer = self.apply(write);
            let lost = !self.session.in_transaction();
            if self.suspect || (lost && answer.as_ref().is_err_and(Error::blames_the_operation)) {
                *refused = answer.err();
                return Ok(None);
            }
            if lost {
                // The database has rolled back all of it on its own: a full or broken disk, or a server that has gone.
                return Err(answer.err().unwrap_or_else(|| self.transaction_lost()));
            }
            self.session.end_savepoint(answer.is_ok())?;
            answers.push(answer);
        }
        Ok(Some(answers))
    }

    /// Commits, and turns a failure into an honest answer for every operation of the group.
    fn commit(&mut self, answers: Vec<Result<Outcome>>) -> Vec<Result<Outcome>> {
        self.groups += 1;
        let group = self.groups;
        self.begin_commit();
        let committed =
            thread::contain(|| "the storage".into(), || self.commit_as(group, &answers)).flatten();
        let error = match committed {
            Ok(changed) => {
                self.beat_ms.store(self.began_ms, Ordering::Relaxed);
                self.stats.groups.fetch_add(1, Ordering::Relaxed);
                self.stats.operations.fetch_add(answers.len() as u64, Ordering::Relaxed);
                self.tell(group, &answers);
                self.told.horizon.reaches(|| self.session.position());
                if changed {
                    // Who watches for it may be in this process.
                    (self.told.call_all)();
                }
                return answers;
            }
            Err(error) => error,
        };
        self.stats.failed_commits.fetch_add(1, Ordering::Relaxed);
        self.stats.meter.commit_failed();
        tracing::warn!(target: target::WRITER, group, %error, "a commit failed");
        let size = answers.len();
        if matches!(error, Error::FileReplaced { .. }) {
            self.poison(error.clone());
            return vec![Err(error); size];
        }
        let settled = self.was_committed(self.groups);
        let applied = settled.as_ref().ok();
        tracing::warn!(target: target::WRITER, group, applied, "what became of it was looked up");
        let answers = match (settled, &error) {
            (Ok(true), _) => {
                self.tell(group, &answers);
                // What was written down is there as well.
                (self.told.call_all)();
                answers
            }
            (Ok(false), _) => self.refuse(error.clone()),
            // A full disk refuses the frames themselves, the commit's own being the last: none of it can surface.
            (Err(_), Error::StorageFull { .. }) => vec![Err(error.clone()); size],
            (Err(_), Error::Busy { process, .. }) => {
                vec![Err(Error::CommitUnknown { detail: process.to_string() }); size]
            }
            (Err(_), _) => vec![Err(Error::CommitUnknown { detail: error.to_string() }); size],
        };
        self.count_failure(&error);
        answers
    }

    /// The answers of a group of which nothing was applied. There are none if it was only that the storage was away.
    fn refuse(&mut self, error: Error) -> Vec<Result<Outcome>> {
        if error.is_away() {
            self.away = Some(error);
            return Vec::new();
        }
        vec![Err(error); self.writes.len()]
    }

    /// Whether any change was written down.
    fn commit_as(&mut self, group: u64, answers: &[Result<Outcome>]) -> Result<bool> {
        reach(Point::BeforeCommit)?;
        let changed = !self.beats && self.session.is_watched()? && self.write_down(answers)?;
        self.session.commit(group)?;
        reach(Point::AfterCommit).map(|()| changed)
    }

    /// Writes down what the group has changed. Whether that is anything.
    fn write_down(&mut self, answers: &[Result<Outcome>]) -> Result<bool> {
        let mut changes = Vec::new();
        for (write, answer) in self.writes.iter().zip(answers) {
            if let Ok(outcome) = answer {
                change::of(write.operation(), outcome, &mut changes);
            }
        }
        if changes.is_empty() {
            return Ok(false);
        }
        self.session.change_record(&change::Record { changes }).map(|_| true)
    }

    /// The error of a transaction that is not there any more, although nothing has failed in it. If it was a server's, it can be begun
    /// again on another connection.
    fn transaction_lost(&self) -> Error {
        let detail = "the transaction was lost".to_owned();
        match self.far {
            true => Error::Busy { process: Occupant::Away { detail }, held_for: Duration::ZERO },
            false => Error::Storage { detail },
        }
    }

    /// What kept [`begin`](Committer::begin) from beginning.
    pub(super) fn hindrance(&self) -> Turn {
        let nameless = |occupant| Turn { occupant, number: 0 };
        match &self.locked_by {
            Some(occupant) => nameless(occupant.clone()),
            None => self.session.turn_holder().unwrap_or_else(|| nameless(Occupant::Unknown)),
        }
    }
}

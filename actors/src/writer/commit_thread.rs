//! The thread that takes groups from the line, commits them and answers; and how the actor does so for a write that is
//! alone, while the thread sleeps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::committer::Committer;
use super::intake::{Asked, Intake, Write};
use crate::clock::{Clock, millis};
use crate::failpoint::{Point, pass, reach};
use crate::gate::Gate;
use crate::limits;
use crate::observe::target;
use crate::thread;
use crate::worker::{Rest, Worker};

/// How long to leave a database alone that another program has locked, before trying again.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// The thread: each turn is a group, until the line is closed and empty; then it leaves the store.
pub(super) struct CommitThread {
    work: Arc<Work>,
    /// It has begun, and nothing of ours has panicked since.
    well: bool,
    /// It rests for a while only, and looks after the deadlines in between.
    dozes: bool,
    batch: VecDeque<Write>,
    /// It has kept the turn for one who insists.
    keeps_turn: bool,
    /// So many writes can be expected for the next group.
    likely: usize,
    /// The storage expects another group at once, and is to be told if none comes.
    expects_more: bool,
    /// Dropped at its end, which is heard.
    _ending: oneshot::Sender<()>,
}

impl CommitThread {
    pub(super) fn new(work: Arc<Work>, ending: oneshot::Sender<()>) -> CommitThread {
        CommitThread {
            work,
            well: false,
            dozes: false,
            batch: VecDeque::new(),
            keeps_turn: false,
            likely: 0,
            expects_more: false,
            _ending: ending,
        }
    }

    fn turn(&mut self, rested: bool) -> Rest {
        let work = &*self.work;
        if !std::mem::replace(&mut self.well, true) {
            work.tell_whoever_was_with_it();
        }
        if rested && std::mem::take(&mut self.dozes) {
            work.watch();
        }
        let asked = match work.intake.asked() {
            Ok(asked) => asked,
            Err(rest) => {
                if std::mem::take(&mut self.expects_more) {
                    work.committer().expect_no_more();
                }
                // Nobody else looks after a turn that is kept.
                let kept = if self.keeps_turn { work.keep_turn() } else { None };
                self.keeps_turn = kept.is_some();
                let rest = kept.map_or(rest, Rest::For);
                self.dozes = rest != Rest::UntilCalled;
                return rest;
            }
        };
        pass(Point::ThreadAwake);
        let mut committer = work.committer();
        if asked.writes || asked.beat {
            let beats = work.intake.has_only_beats();
            if !work.begin(&mut committer, beats) {
                drop(committer);
                return work.leave_alone(asked);
            }
            work.gather(&mut committer, &mut self.batch, beats, self.likely);
            // Who came while it was committed is not among those who are answered now.
            self.likely = work.finish(&mut committer) + work.intake.len();
            (self.keeps_turn, self.expects_more) = (committer.keeps_turn(), committer.expects_more());
        }
        if asked.checkpoint || committer.checkpoint_due() {
            committer.checkpoint();
        }
        if asked.closed && !asked.writes {
            committer.leave();
            return Rest::End;
        }
        drop(committer);
        if self.likely > 1 {
            work.stay_awake();
        }
        Rest::No
    }
}

impl Worker for CommitThread {
    fn work(&mut self, rested: bool) -> Rest {
        // Storage and answers are contained one by one; this is for what nobody thought of.
        thread::contain(|| "the writer".into(), || self.turn(rested)).unwrap_or_else(|error| {
            tracing::error!(target: target::WRITER, %error, "the writer goes on with a new connection");
            (self.well, self.likely) = (false, 0);
            self.batch.clear();
            Rest::No
        })
    }
}

/// What the thread and the actor have in common.
pub(super) struct Work {
    /// Hardly ever fought for: the thread has it while it does not sleep, and for the moment in which it sees to a turn that is
    /// kept; the actor only while the thread sleeps.
    pub(super) committer: Mutex<Committer>,
    pub(super) intake: Arc<Intake>,
    pub(super) gate: Arc<Gate>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) call_timeout: Duration,
}

impl Work {
    fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(|poisoned| self.recovered(poisoned))
    }

    /// Whoever had the committer last panicked, nobody knows where.
    fn recovered<'a>(&self, poisoned: PoisonError<MutexGuard<'a, Committer>>) -> MutexGuard<'a, Committer> {
        let mut committer = poisoned.into_inner();
        committer.recover();
        self.intake.landed();
        self.committer.clear_poison();
        committer
    }

    /// If somebody panicked with the committer: at once, for it may be long until the next one wants it.
    fn tell_whoever_was_with_it(&self) {
        drop(self.committer());
    }

    /// The actor: commits what is alone, if nothing has to be waited for. `false`: it has to be.
    pub(super) fn commit_here(&self) -> bool {
        let Some(_inline) = self.intake.begin_inline() else { return false };
        thread::contain(|| "the writer".into(), || self.commit_alone()).unwrap_or_else(|error| {
            tracing::error!(target: target::WRITER, %error, "the writer goes on with a new connection");
            self.tell_whoever_was_with_it();
            false
        })
    }

    fn commit_alone(&self) -> bool {
        let mut committer = self.committer();
        let beats = self.intake.has_only_beats();
        if reach(Point::Inline).is_err() || !committer.begin(false, beats) {
            return false;
        }
        let mut alone = VecDeque::new();
        self.intake.take(super::ALONE, beats, self.clock.boot_ms(), &mut alone);
        committer.take(&mut alone);
        self.finish(&mut committer);
        if committer.keeps_turn() {
            // One who insists came in at the last moment, and it is the thread that keeps turns.
            committer.pass_on();
        }
        if committer.checkpoint_due() {
            self.intake.ask_checkpoint();
        }
        true
    }

    /// Commits the open group and answers; how many were in it. The committer is held until all have been answered,
    /// so that answers go out in the order of the commits.
    fn finish(&self, committer: &mut Committer) -> usize {
        let size = committer.group_size();
        // What is told of the group until it is settled is told within its span.
        tracing::debug_span!(target: target::WRITER, "group", operations = size)
            .in_scope(|| committer.finish());
        if let Some((writes, error)) = committer.take_back() {
            self.intake.put_back(writes, &error, self.clock.boot_ms());
        }
        self.intake.landed();
        if !committer.keeps_turn() {
            committer.pass_on();
        }
        committer.answer();
        size
    }

    /// There is nothing to do. For how long the turn is kept all the same; if that is over, it is passed on.
    fn keep_turn(&self) -> Option<Duration> {
        let mut committer = self.committer();
        let left = committer.keeps_turn_for();
        if left.is_none() {
            committer.pass_on();
        }
        left
    }

    /// Looks after those who wait: for the turn, or for a storage that does not answer.
    pub(super) fn watch(&self) {
        let now_ms = self.clock.boot_ms();
        self.intake.expire(now_ms);
        let late = |since: u64| now_ms.saturating_sub(since) >= millis(self.call_timeout);
        let stuck = self.intake.flying_since().is_some_and(late);
        // After the others have been answered: who is told of this is not among them.
        self.gate.set_stuck(stuck.then_some(now_ms));
    }

    /// Has the turn and an open transaction, or `false`: another program has locked the database.
    fn begin(&self, committer: &mut Committer, beats: bool) -> bool {
        committer.give_way();
        if committer.begin(false, beats) {
            return true;
        }
        // What waits in the line stays there meanwhile, to be answered at its deadline with this as the reason.
        self.intake.stuck(committer.hindrance(), self.clock.boot_ms());
        committer.begin(true, beats)
    }

    fn leave_alone(&self, asked: Asked) -> Rest {
        if asked.closed {
            // Whoever has locked the store for so long keeps it: what waits is answered at its deadline.
            self.intake.expire(self.clock.boot_ms());
        }
        Rest::For(BUSY_PAUSE)
    }

    /// Applies writes as they come, until the group is full or nobody is on the way any more.
    ///
    /// Waiting for requests that are known to be coming costs less than committing without them: at 8 callers 0.84
    /// of the floor instead of 0.79 (hotpath). And callers who were answered a moment ago are likely to come back:
    /// until the group holds as many as were answered and as had waited meanwhile, it stays open a moment longer.
    /// Without that, 64 callers fall apart into groups of 40 and 24, which write more pages together than one of 64.
    fn gather(&self, committer: &mut Committer, batch: &mut VecDeque<Write>, beats: bool, likely: usize) {
        let began_ms = self.clock.boot_ms();
        let mut waiting_since = None;
        while committer.group_size() < limits::GROUP_OPERATIONS {
            let room = limits::GROUP_OPERATIONS - committer.group_size();
            self.intake.take(room, beats, began_ms, batch);
            if !batch.is_empty() {
                committer.take(batch);
                waiting_since = None;
                continue;
            }
            if committer.group_size() >= limits::GROUP_FLOOR {
                break;
            }
            let now = self.clock.monotonic_us();
            let since = *waiting_since.get_or_insert(now);
            let patience = if self.gate.underway() > 0 {
                limits::LINGER
            } else if committer.group_size() < likely {
                limits::RETURN
            } else {
                break;
            };
            if now.saturating_sub(since) >= micros(patience) {
                break;
            }
            std::thread::yield_now();
        }
    }

    /// Callers who were answered a moment ago come back in less time than it takes to fall asleep and be woken.
    fn stay_awake(&self) {
        let since = self.clock.monotonic_us();
        while self.intake.len() == 0
            && self.clock.monotonic_us().saturating_sub(since) < micros(limits::RETURN)
        {
            std::thread::yield_now();
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::AtomicU64;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::super::{Terms, Told, Tuning};
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::horizon::Horizon;
    use crate::memory::Memory;
    use crate::name::Name;
    use crate::storage::batch::Batch;
    use crate::storage::queue::{Claim, Finish, How, NewJob, Push, Start};
    use crate::storage::{Apply, Backend, Data, Identity, Operation, Outcome, Target};

    fn target() -> Target {
        Target { name: Name::new("q").unwrap(), id: None }
    }

    fn push(start: Start) -> Operation {
        let data = Data::Json("7".into());
        let job = NewJob {
            data,
            schema: 1,
            priority: 0,
            start,
            key: None,
            max_attempts: None,
            origin: None,
            dead: None,
        };
        Push { queue: target(), jobs: vec![job] }.into_operation()
    }

    /// A committer on a clock that is moved by hand, and what it has answered.
    struct Bench {
        memory: Memory,
        clock: Arc<ManualClock>,
        committer: Committer,
        answers: Arc<Mutex<Vec<Outcome>>>,
    }

    impl Bench {
        fn new() -> Bench {
            let (memory, clock) = (Memory::new(), ManualClock::new());
            let words = ["host", "program", "boot"].map(str::to_owned);
            let [host, program, boot] = words;
            let session = memory.join(&Identity { pid: 1, host, program, boot }, &|| clock.now()).unwrap();
            let time: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
            let (process, beat) = (Arc::new(AtomicU64::new(session.process())), Arc::default());
            let told = Told { call_all: Box::new(|| {}), horizon: Horizon::new() };
            let tuning = Tuning { call_timeout: limits::CALL_TIMEOUT, checkpoint_pages: 1_000, far: false };
            let committer = Committer::new(session, time, Arc::default(), tuning, told, process, beat);
            Bench { memory, clock, committer, answers: Arc::default() }
        }

        /// One group of operations, each asked for so long after the one before.
        fn group(&mut self, operations: Vec<(u64, Operation)>) {
            assert!(self.committer.begin(true, false));
            for (after_ms, operation) in operations {
                self.clock.advance(Duration::from_millis(after_ms));
                let answers = Arc::clone(&self.answers);
                let then = Box::new(move |outcome: crate::error::Result<Outcome>| {
                    answers.lock().unwrap().push(outcome.unwrap());
                });
                let mut write = Write::new(operation, None, then, Terms::until(u64::MAX));
                write.asked(|| self.clock.boot_ms());
                self.committer.take(&mut VecDeque::from([write]));
            }
            self.committer.finish();
            self.committer.pass_on();
            self.committer.answer();
        }

        /// In how long the next job can be claimed, from now on; 0 if it is at once.
        fn next_ms(&self) -> u64 {
            let found = self.memory.view().unwrap().queue_outlook(&target().name, self.clock.now());
            let found = found.unwrap().unwrap();
            if found.claimable { 0 } else { found.next_ms.unwrap() }
        }
    }

    #[test]
    fn q5_a_delay_counts_from_when_it_was_asked_for_though_its_group_had_begun() {
        let mut bench = Bench::new();
        bench.group(vec![(0, push(Start::After(900))), (40, push(Start::After(100)))]);
        assert_eq!(bench.next_ms(), 100);
        let batch = Batch { parts: vec![push(Start::After(30))] };
        bench.group(vec![(0, push(Start::After(800))), (10, batch.into_operation())]);
        assert_eq!(bench.next_ms(), 30, "in a batch too");
        bench.group(vec![(0, push(Start::After(800))), (10, push(Start::Now))]);
        assert_eq!(bench.next_ms(), 0);
        bench.group(vec![(0, Claim { queue: target(), most: 1, ttl_ms: 60_000 }.into_operation())]);
        let receipt = match bench.answers.lock().unwrap().last() {
            Some(Outcome::QueueClaim(claimed)) => claimed.jobs[0].0,
            other => panic!("{other:?}"),
        };
        let how = How::Retry { delay_ms: 5, reason: "no luck".into() };
        bench.group(vec![(0, push(Start::After(800))), (10, Finish { receipt, how }.into_operation())]);
        assert_eq!(bench.next_ms(), 5, "and when it is tried again");
    }
}

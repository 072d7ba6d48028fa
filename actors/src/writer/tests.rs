//! A group that takes what is asked for after it has begun.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::committer::Committer;
use super::intake::Write;
use crate::clock::{Clock, ManualClock};
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
    let job = NewJob { data, schema: 1, priority: 0, start, key: None, max_attempts: None };
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
        let committer = Committer::new(session, time, Arc::default(), 1_000, Box::new(|| {}), process, beat);
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
            let write = Write::new(operation, None, then, u64::MAX).asked(|| self.clock.boot_ms());
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

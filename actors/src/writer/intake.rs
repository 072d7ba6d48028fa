//! The line of writes between the writer actor and its commit thread.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::gate::Passage;
use crate::storage::{Operation, Outcome};

/// What is called with the outcome of a write.
pub(super) type Then = Box<dyn FnOnce(Result<Outcome>) + Send>;

/// One operation on its way into a group.
pub(super) struct Write {
    pub(super) operation: Operation,
    pub(super) passage: Option<Passage>,
    pub(super) then: Then,
}

impl Write {
    pub(super) fn answer(self, outcome: Result<Outcome>) {
        (self.then)(outcome);
        drop(self.passage);
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
    /// With the boot time until which they may be begun; later, they never are.
    line: VecDeque<(u64, Write)>,
    checkpoint: bool,
    beat: bool,
    closed: bool,
    /// The thread waits on the condition variable; anybody else may skip waking it.
    asleep: bool,
    /// Why the thread cannot take what is in the line, and since when.
    stuck: Option<(String, u64)>,
}

/// The line itself. Writes stay in it until their group has begun, so that a deadline that passes while the
/// turn is waited for leaves no doubt: not applied.
#[derive(Default)]
pub(super) struct Intake {
    state: Mutex<State>,
    wake: Condvar,
}

impl Intake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.wake.notify_one();
        }
    }

    pub(super) fn push(&self, writes: Vec<Write>, deadline_ms: u64) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            return writes.into_iter().for_each(|write| write.answer(Err(Error::Closed)));
        }
        state.line.extend(writes.into_iter().map(|write| (deadline_ms, write)));
        self.wake(state);
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
        self.state().line.len()
    }

    /// Sleeps until there is something to do.
    pub(super) fn wait(&self) -> Asked {
        let mut state = self.state();
        loop {
            let asked = Asked {
                writes: !state.line.is_empty(),
                checkpoint: std::mem::take(&mut state.checkpoint),
                beat: std::mem::take(&mut state.beat),
                closed: state.closed,
            };
            if asked != Asked::default() {
                return asked;
            }
            state.asleep = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
        }
    }

    /// Lets `time` pass, or less.
    pub(super) fn pause(&self, time: Duration) {
        drop(self.wake.wait_timeout(self.state(), time).unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes up to `most` writes, in order.
    pub(super) fn take(&self, most: usize, into: &mut Vec<Write>) {
        let mut state = self.state();
        state.stuck = None;
        let count = state.line.len().min(most);
        into.extend(state.line.drain(..count).map(|(_, write)| write));
    }

    /// Says why the line does not move; the first reason in a row counts, for its time.
    pub(super) fn stuck(&self, because: String, now_ms: u64) {
        let mut state = self.state();
        if state.stuck.is_none() {
            state.stuck = Some((because, now_ms));
        }
    }

    /// Answers the writes whose deadline has passed. They were never begun.
    pub(super) fn expire(&self, now_ms: u64) {
        let mut state = self.state();
        if state.line.iter().all(|(deadline_ms, _)| *deadline_ms > now_ms) {
            return;
        }
        let (late, kept): (VecDeque<_>, VecDeque<_>) =
            state.line.drain(..).partition(|(deadline_ms, _)| *deadline_ms <= now_ms);
        state.line = kept;
        let own = || ("this process's own commit".to_owned(), now_ms);
        let (holder, since) = state.stuck.clone().unwrap_or_else(own);
        drop(state);
        let held_for = Duration::from_millis(now_ms.saturating_sub(since));
        for (_, write) in late {
            write.answer(Err(Error::Busy { holder: holder.clone(), held_for }));
        }
    }
}

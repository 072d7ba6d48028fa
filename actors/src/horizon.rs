//! How far the events of the store have come, as this process knows it: what whoever follows them waits for.
//!
//! A commit of this process says how far it has come, and what others commit is found by a look. Positions are dense and in
//! the order of the commits, so a number is all that there is to know: whoever has read as far as the horizon has missed
//! nothing. While nobody follows, nobody looks, and a commit costs the look at a flag.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};
use crate::thread;

/// The horizon of one store in this process.
pub(crate) struct Horizon {
    /// Somebody follows.
    followed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last event that is known to be committed.
    position: u64,
    /// Who waits, by the follower's number, and what he has seen.
    waiting: BTreeMap<u64, (u64, Waker)>,
    last_number: u64,
    closed: bool,
}

impl State {
    /// Those who have not seen as much as this.
    fn take_waiting(&mut self, position: u64) -> Vec<Waker> {
        let ready: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, (seen, _))| *seen < position)
            .map(|(number, _)| *number)
            .collect();
        ready.iter().filter_map(|number| self.waiting.remove(number)).map(|(_, waker)| waker).collect()
    }
}

impl Horizon {
    /// Of a store that nobody follows yet.
    #[must_use]
    pub(crate) fn new() -> Arc<Horizon> {
        Arc::new(Horizon { followed: false.into(), state: Mutex::default() })
    }

    /// A commit has come as far as this, as a look has found or the writer knows.
    pub(crate) fn reaches(&self, position: impl FnOnce() -> u64) {
        if !self.followed.load(Ordering::SeqCst) {
            return;
        }
        let position = position();
        let mut state = self.state();
        if position <= state.position {
            return;
        }
        state.position = position;
        let woken = state.take_waiting(position);
        drop(state);
        thread::wake(woken);
    }

    /// How far that is, at least.
    pub(crate) fn position(&self) -> u64 {
        self.state().position
    }

    /// Whether anybody follows, who has to be told.
    pub(crate) fn set_followed(&self, followed: bool) {
        self.followed.store(followed, Ordering::SeqCst);
    }

    /// A number for somebody who follows.
    pub(crate) fn number(&self) -> u64 {
        let mut state = self.state();
        state.last_number += 1;
        state.last_number
    }

    /// Until the events have come further than what somebody has seen.
    pub(crate) fn poll_beyond(&self, number: u64, seen: u64, context: &Context<'_>) -> Poll<Result<()>> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(Err(Error::Closed));
        }
        if state.position > seen {
            return Poll::Ready(Ok(()));
        }
        let before = state.waiting.insert(number, (seen, context.waker().clone()));
        drop(state);
        // It is the user's.
        thread::discard(before);
        Poll::Pending
    }

    /// He does not wait any more.
    pub(crate) fn forget(&self, number: u64) {
        let gone = self.state().waiting.remove(&number);
        thread::discard(gone);
    }

    /// Nothing more comes.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let woken = state.take_waiting(u64::MAX);
        drop(state);
        thread::wake(woken);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Horizon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Horizon").field("position", &self.state().position).finish_non_exhaustive()
    }
}

//! The way in: how many requests may be inside at once, and how many are still on their way to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::sleepers::{Sleeper, Sleepers};
use crate::thread;

/// One request inside.
const INSIDE: u64 = 1;

/// One request that is under way.
const UNDERWAY: u64 = 1 << 32;

fn inside(requests: u64) -> usize {
    (requests % UNDERWAY) as usize
}

/// Counts the requests of one store in this process.
///
/// It bounds all mailboxes together: none of them can hold more than what was let in.
#[derive(Debug)]
pub struct Gate {
    limit: usize,
    /// Requests inside in the lower half, those of them that are under way in the upper: both change with every request
    /// that comes in, on lines that several threads want.
    requests: AtomicU64,
    /// Callers that found no room; while there are any, whoever leaves says so.
    queuing: AtomicUsize,
    left: Notify,
    closed: AtomicBool,
    /// When the writer was last seen stuck in the storage for as long as a call may take; 0 if it is not.
    stuck_ms: AtomicU64,
    /// Those who wait for an answer, and are told that it is.
    answerless: Sleepers,
}

impl Gate {
    /// A gate that lets `limit` requests in.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Gate> {
        let (requests, queuing) = (0.into(), 0.into());
        let (closed, stuck_ms) = (false.into(), 0.into());
        // More than half of the counter's range nobody means in earnest.
        let limit = limit.min(1 << 31);
        let (left, answerless) = (Notify::new(), Sleepers::default());
        Arc::new(Gate { limit, requests, queuing, left, closed, stuck_ms, answerless })
    }

    /// Lets a request in if there is room now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn try_enter(self: &Arc<Gate>) -> Result<Option<Passage>> {
        // Only who gets in is counted: whoever looks in vain must disturb neither the others nor, by the
        // departure that this would be, itself.
        let room = |requests| (inside(requests) < self.limit).then_some(requests + INSIDE + UNDERWAY);
        let entered = self.requests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).is_ok();
        let passage = entered.then(|| Passage { gate: Arc::clone(self), underway: true });
        // Counted before the look at `closed`: whoever closes then either sees it inside or refuses it.
        if self.is_closed() { Err(Error::Closed) } else { Ok(passage) }
    }

    /// Lets a request in as soon as there is room.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn enter(self: &Arc<Gate>) -> Result<Passage> {
        let _queuing = Queuing::new(self);
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            // Told of every departure from here on, so none between the look and the wait is missed.
            left.as_mut().enable();
            if let Some(passage) = self.try_enter()? {
                return Ok(passage);
            }
            left.await;
        }
    }

    /// Requests that have come in and have not yet reached the writer (or ended before).
    #[must_use]
    pub fn underway(&self) -> usize {
        (self.requests.load(Ordering::SeqCst) / UNDERWAY) as usize
    }

    /// Requests inside, wherever they are.
    #[must_use]
    pub fn inside(&self) -> usize {
        inside(self.requests.load(Ordering::SeqCst))
    }

    /// How many may be inside.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Lets nobody in any more; whoever waits for room gets [`Error::Closed`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        wake(&self.left);
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Says that at `now_ms` the writer is stuck in the storage, or that it is not (any more). To be said again from
    /// time to time while it is.
    pub(crate) fn set_stuck(&self, now_ms: Option<u64>) {
        self.stuck_ms.store(now_ms.unwrap_or(0), Ordering::SeqCst);
        if now_ms.is_some() {
            self.answerless.wake();
        }
    }

    /// When the writer was last seen stuck; 0 if it is not.
    pub(crate) fn stuck_ms(&self) -> u64 {
        self.stuck_ms.load(Ordering::SeqCst)
    }

    /// Somebody who waits for an answer, and is woken each time it is said that the writer is stuck.
    pub(crate) fn answerless(&self) -> Sleeper<'_> {
        self.answerless.sleeper()
    }

    /// Waits until nobody is inside. Only sensible on a closed gate.
    pub async fn emptied(&self) {
        let _queuing = Queuing::new(self);
        loop {
            let mut left = std::pin::pin!(self.left.notified());
            left.as_mut().enable();
            if self.inside() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// Somebody wants to hear of departures.
struct Queuing<'a>(&'a Gate);

impl Queuing<'_> {
    fn new(gate: &Gate) -> Queuing<'_> {
        gate.queuing.fetch_add(1, Ordering::SeqCst);
        Queuing(gate)
    }
}

impl Drop for Queuing<'_> {
    fn drop(&mut self) {
        self.0.queuing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Wakes whoever waits. Their executors are not ours, and may panic.
fn wake(waiting: &Notify) {
    let _ = thread::contain(|| "the executor of a caller".into(), || waiting.notify_waiters());
}

/// One request's right to be inside; ends with it.
#[derive(Debug)]
pub struct Passage {
    gate: Arc<Gate>,
    underway: bool,
}

impl Passage {
    /// The request has reached the writer, or a place where it waits for something else than its way: the
    /// writer no longer lingers for it.
    pub fn arrive(&mut self) {
        if std::mem::take(&mut self.underway) {
            self.gate.requests.fetch_sub(UNDERWAY, Ordering::SeqCst);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let arriving = if self.underway { UNDERWAY } else { 0 };
        self.gate.requests.fetch_sub(INSIDE + arriving, Ordering::SeqCst);
        if self.gate.queuing.load(Ordering::SeqCst) > 0 {
            wake(&self.gate.left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_a_full_gate_lets_nobody_in_until_somebody_leaves() {
        let gate = Gate::new(2);
        let first = gate.try_enter().unwrap();
        let second = gate.try_enter().unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(gate.try_enter().unwrap().is_none());
        assert_eq!((gate.inside(), gate.underway()), (2, 2));
        drop(first);
        assert!(gate.try_enter().unwrap().is_some());
    }

    #[test]
    fn what_has_arrived_is_inside_but_not_underway() {
        let gate = Gate::new(2);
        let mut passage = gate.try_enter().unwrap().unwrap();
        passage.arrive();
        passage.arrive();
        assert_eq!((gate.inside(), gate.underway()), (1, 0));
        drop(passage);
        assert_eq!((gate.inside(), gate.underway()), (0, 0));
    }

    #[test]
    fn a_closed_gate_says_so() {
        let gate = Gate::new(1);
        gate.close();
        assert!(matches!(gate.try_enter(), Err(Error::Closed)));
    }
}

//! The way in: how many requests may be inside at once, and how many are still on their way to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore};

use crate::error::{Error, Result};

/// Counts the requests of one store in this process.
///
/// It bounds all mailboxes together: none of them can hold more than what was let in.
#[derive(Debug)]
pub struct Gate {
    room: Semaphore,
    limit: usize,
    underway: AtomicUsize,
    emptied: Notify,
}

impl Gate {
    /// A gate that lets `limit` requests in.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Gate> {
        let room = Semaphore::new(limit);
        Arc::new(Gate { room, limit, underway: AtomicUsize::new(0), emptied: Notify::new() })
    }

    /// Lets a request in if there is room now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn try_enter(self: &Arc<Gate>) -> Result<Option<Passage>> {
        match self.room.try_acquire() {
            Ok(permit) => {
                permit.forget();
                Ok(Some(self.passage()))
            }
            Err(tokio::sync::TryAcquireError::NoPermits) => Ok(None),
            Err(tokio::sync::TryAcquireError::Closed) => Err(Error::Closed),
        }
    }

    /// Lets a request in as soon as there is room, first come, first served.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn enter(self: &Arc<Gate>) -> Result<Passage> {
        self.room.acquire().await.map_err(|_| Error::Closed)?.forget();
        Ok(self.passage())
    }

    fn passage(self: &Arc<Gate>) -> Passage {
        self.underway.fetch_add(1, Ordering::Relaxed);
        Passage { gate: Arc::clone(self), underway: true }
    }

    /// Requests that have come in and have not yet reached the writer (or ended before).
    #[must_use]
    pub fn underway(&self) -> usize {
        self.underway.load(Ordering::Acquire)
    }

    /// Requests inside, wherever they are.
    #[must_use]
    pub fn inside(&self) -> usize {
        self.limit.saturating_sub(self.room.available_permits())
    }

    /// How many may be inside.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Lets nobody in any more; whoever waits for room gets [`Error::Closed`].
    pub fn close(&self) {
        self.room.close();
    }

    /// Whether it is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.room.is_closed()
    }

    /// Waits until nobody is inside. Only sensible on a closed gate.
    pub async fn emptied(&self) {
        while self.inside() > 0 {
            let emptied = self.emptied.notified();
            if self.inside() > 0 {
                emptied.await;
            }
        }
    }
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
            self.gate.underway.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.arrive();
        self.gate.room.add_permits(1);
        if self.gate.is_closed() && self.gate.inside() == 0 {
            self.gate.emptied.notify_waiters();
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

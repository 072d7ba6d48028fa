//! The leases that this process holds: which, and how often its row has to be written for them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the beat hangs on.
///
/// Tickets are the store's, over all locks. They are kept here and not with the actor of a lock, because an actor may
/// fail, and what is held is its holder's.
#[derive(Debug)]
pub(super) struct Leases {
    /// In order: most of them come at one end and go at the other, so that with many of them only the ends are looked
    /// at. And nearly always by the thread that commits, so that nobody waits for the mutex.
    tickets: Mutex<BTreeSet<u64>>,
    /// The shortest time to live of them, or shorter.
    least_ttl_ms: AtomicU64,
    /// The interval of the beat that is armed; `u64::MAX` if none is.
    armed_ms: AtomicU64,
}

impl Default for Leases {
    fn default() -> Leases {
        let tickets = Mutex::default();
        Leases { tickets, least_ttl_ms: u64::MAX.into(), armed_ms: u64::MAX.into() }
    }
}

impl Leases {
    fn tickets(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more. Whether the beat that is armed is too slow for it.
    pub(super) fn add(&self, ticket: u64, ttl_ms: u64) -> bool {
        let mut tickets = self.tickets();
        if tickets.is_empty() {
            self.least_ttl_ms.store(ttl_ms, Ordering::Relaxed);
        } else {
            self.least_ttl_ms.fetch_min(ttl_ms, Ordering::Relaxed);
        }
        tickets.insert(ticket);
        ttl_ms / 3 < self.armed_ms.load(Ordering::Relaxed)
    }

    pub(super) fn has(&self, ticket: u64) -> bool {
        self.tickets().contains(&ticket)
    }

    /// One less.
    pub(super) fn remove(&self, ticket: u64) {
        self.tickets().remove(&ticket);
    }

    pub(super) fn are_held(&self) -> bool {
        !self.tickets().is_empty()
    }

    /// Arms the beat, or not. How long this process may be silent at most: a third of the shortest lease.
    pub(super) fn arm(&self) -> Option<u64> {
        let every_ms = (self.least_ttl_ms.load(Ordering::Relaxed) / 3).max(1);
        let armed = self.are_held().then_some(every_ms);
        self.armed_ms.store(armed.unwrap_or(u64::MAX), Ordering::Relaxed);
        armed
    }
}

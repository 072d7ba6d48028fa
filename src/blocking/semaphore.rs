//! Named semaphores, for threads that wait.

use std::time::Duration;

use millpond_actors::error::Result;

use super::{Lock, LockGuard};

/// A semaphore; see [`crate::Semaphore`].
#[derive(Clone, Debug)]
pub struct Semaphore {
    pub(super) semaphore: crate::Semaphore,
}

impl Semaphore {
    /// See [`crate::Semaphore::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Semaphore {
        Semaphore { semaphore: self.semaphore.ttl(ttl) }
    }

    /// See [`crate::Semaphore::weight`].
    #[must_use]
    pub fn weight(self, weight: u32) -> Semaphore {
        Semaphore { semaphore: self.semaphore.weight(weight) }
    }

    /// See [`crate::Semaphore::acquire`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn acquire(&self) -> Result<LockGuard> {
        self.lock().acquire()
    }

    /// See [`crate::Semaphore::try_acquire`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_acquire(&self) -> Result<Option<LockGuard>> {
        self.lock().try_acquire()
    }

    /// See [`crate::Semaphore::acquire_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn acquire_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.lock().acquire_within(time)
    }

    fn lock(&self) -> Lock {
        Lock { lock: self.semaphore.lock().clone() }
    }
}

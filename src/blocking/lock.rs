//! Named locks, for threads that wait.

use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::lock::Wait;

/// A named lock; see [`crate::Lock`].
#[derive(Clone, Debug)]
pub struct Lock {
    pub(super) lock: crate::Lock,
}

impl Lock {
    /// See [`crate::Lock::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Lock {
        Lock { lock: self.lock.ttl(ttl) }
    }

    /// See [`crate::Lock::acquire`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn acquire(&self) -> Result<LockGuard> {
        let guard = self.request(Wait::Forever)?;
        guard.ok_or_else(|| Error::ActorFailed { what: format!("{:?}", self.lock) })
    }

    /// See [`crate::Lock::try_acquire`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn try_acquire(&self) -> Result<Option<LockGuard>> {
        self.request(Wait::No)
    }

    /// See [`crate::Lock::acquire_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn acquire_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.request(Wait::For(time))
    }

    /// See [`crate::Lock::break_lock`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn break_lock(&self) -> Result<bool> {
        self.lock.break_lock_blocking()
    }

    fn request(&self, wait: Wait) -> Result<Option<LockGuard>> {
        let guard = self.lock.request_blocking(wait)?;
        Ok(guard.map(|guard| LockGuard { guard }))
    }
}

/// A lock that is held; see [`crate::LockGuard`].
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard {
    pub(super) guard: crate::LockGuard,
}

impl LockGuard {
    /// See [`crate::LockGuard::token`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.guard.token()
    }

    /// See [`crate::LockGuard::name`].
    #[must_use]
    pub fn name(&self) -> &str {
        self.guard.name()
    }

    /// See [`crate::LockGuard::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.guard.remaining()
    }

    /// See [`crate::LockGuard::renew`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn renew(&self) -> Result<()> {
        self.guard.renew_blocking()
    }

    /// Waits until the lock is lost; see [`crate::LockGuard::lost`].
    pub fn lost(&self) {
        self.guard.lost_blocking();
    }

    /// See [`crate::LockGuard::release`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn release(self) -> Result<()> {
        self.guard.release_blocking()
    }
}

//! Named locks for readers and writers, for threads that wait.

use std::time::Duration;

use millpond_actors::error::Result;

use super::{Lock, LockGuard};

/// A lock for readers and writers; see [`crate::RwLock`].
#[derive(Clone, Debug)]
pub struct RwLock {
    pub(super) lock: crate::RwLock,
}

impl RwLock {
    /// See [`crate::RwLock::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> RwLock {
        RwLock { lock: self.lock.ttl(ttl) }
    }

    /// See [`crate::RwLock::read`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn read(&self) -> Result<LockGuard> {
        self.reader().acquire()
    }

    /// See [`crate::RwLock::try_read`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_read(&self) -> Result<Option<LockGuard>> {
        self.reader().try_acquire()
    }

    /// See [`crate::RwLock::read_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn read_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.reader().acquire_within(time)
    }

    /// See [`crate::RwLock::write`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn write(&self) -> Result<LockGuard> {
        self.writer().acquire()
    }

    /// See [`crate::RwLock::try_write`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_write(&self) -> Result<Option<LockGuard>> {
        self.writer().try_acquire()
    }

    /// See [`crate::RwLock::write_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn write_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.writer().acquire_within(time)
    }

    fn reader(&self) -> Lock {
        Lock { lock: self.lock.reader().clone() }
    }

    fn writer(&self) -> Lock {
        Lock { lock: self.lock.writer().clone() }
    }
}

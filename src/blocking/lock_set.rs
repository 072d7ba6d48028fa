//! Several locks at once, for threads that wait.

use std::time::Duration;

use millpond_actors::error::Result;

use super::{Lock, LockGuard};

/// Several locks that are taken together; see [`crate::LockSet`].
#[derive(Clone, Debug)]
pub struct LockSet {
    pub(super) set: crate::LockSet,
}

impl LockSet {
    /// See [`crate::LockSet::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> LockSet {
        LockSet { set: self.set.ttl(ttl) }
    }

    /// See [`crate::LockSet::acquire`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn acquire(&self) -> Result<LockSetGuard> {
        let mut guards = Vec::new();
        for lock in self.set.checked()? {
            guards.push(Lock { lock: lock.clone() }.acquire()?);
        }
        Ok(LockSetGuard { guards })
    }

    /// See [`crate::LockSet::try_acquire`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_acquire(&self) -> Result<Option<LockSetGuard>> {
        let mut guards = Vec::new();
        for lock in self.set.checked()? {
            match (Lock { lock: lock.clone() }).try_acquire()? {
                Some(guard) => guards.push(guard),
                None => return Ok(None),
            }
        }
        Ok(Some(LockSetGuard { guards }))
    }
}

/// Locks that are held together; see [`crate::LockSetGuard`].
#[derive(Debug)]
#[must_use = "the locks are released when the guard is dropped"]
pub struct LockSetGuard {
    guards: Vec<LockGuard>,
}

impl LockSetGuard {
    /// See [`crate::LockSetGuard::guards`].
    pub fn guards(&self) -> &[LockGuard] {
        &self.guards
    }

    /// See [`crate::LockSetGuard::release`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn release(self) -> Result<()> {
        let release = |released: Result<()>, guard: LockGuard| released.and(guard.release());
        self.guards.into_iter().rev().fold(Ok(()), release)
    }
}

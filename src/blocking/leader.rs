//! Leader election, for threads that wait.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::Result;

use super::{Inspector, Lock, LockGuard};
use crate::leader::Leader;

/// An election; see [`crate::Election`].
#[derive(Clone, Debug)]
pub struct Election {
    pub(super) election: crate::Election,
}

impl Election {
    /// See [`crate::Election::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Election {
        Election { election: self.election.ttl(ttl) }
    }

    /// See [`crate::Election::campaign`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn campaign(&self) -> Result<Leadership> {
        Ok(Leadership { guard: self.lock().acquire()? })
    }

    /// See [`crate::Election::try_campaign`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_campaign(&self) -> Result<Option<Leadership>> {
        Ok(self.lock().try_acquire()?.map(|guard| Leadership { guard }))
    }

    /// See [`crate::Election::leader`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn leader(&self) -> Result<Option<Leader>> {
        let inspect =
            Inspector { inspector: crate::Inspector::new(Arc::clone(&self.election.lock().runtime)) };
        Ok(inspect.lock(self.election.name()?.as_str())?.and_then(Leader::of_line))
    }

    /// See [`crate::Election::changed`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn changed(&self, known: Option<u64>) -> Result<Option<Leader>> {
        self.election.changed_blocking(known)
    }

    fn lock(&self) -> Lock {
        Lock { lock: self.election.lock().clone() }
    }
}

/// A term of leading; see [`crate::Leadership`].
#[derive(Debug)]
#[must_use = "leading ends when this is dropped"]
pub struct Leadership {
    guard: LockGuard,
}

impl Leadership {
    /// See [`crate::Leadership::term`].
    #[must_use]
    pub fn term(&self) -> u64 {
        self.guard.token()
    }

    /// See [`crate::Leadership::guard`].
    pub fn guard(&self) -> &LockGuard {
        &self.guard
    }

    /// See [`crate::Leadership::lost`].
    pub fn lost(&self) {
        self.guard.lost();
    }

    /// See [`crate::Leadership::resign`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn resign(self) -> Result<()> {
        self.guard.release()
    }
}

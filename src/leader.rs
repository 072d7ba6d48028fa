//! Leader election: a lock with a term, and a way to watch who leads.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::Identity;
use millpond_actors::storage::lock::{Holder, Line};

use crate::inspect::Inspector;
use crate::lock::{Lock, LockGuard};

/// An election among all processes of the store: at most one leads. A handle: no I/O to make one.
///
/// It is the lock of the same name: campaigning is waiting for it, and the term is its fencing token, so terms grow
/// from leader to leader, with gaps. All that is said of [`Lock`] holds, above all that a leader that was stopped may
/// believe in its leadership past its end: what must not happen then has to carry the term.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let election = store.election("scheduler");
/// let leadership = election.campaign().await?;
/// assert_eq!(election.leader().await?.map(|leader| leader.term), Some(leadership.term()));
/// leadership.resign().await?;
/// assert_eq!(election.leader().await?, None);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Election {
    lock: Lock,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leader {
    /// The term: larger than that of every leader before.
    pub term: u64,
    /// The leader's process, as the store knows it.
    pub process: u64,
    /// Who that process said it is.
    pub identity: Option<Identity>,
    /// How long it has led.
    pub since: Duration,
}

impl Leader {
    fn of(holder: Holder) -> Leader {
        Leader {
            term: holder.grant.token,
            process: holder.grant.process,
            identity: holder.identity,
            since: Duration::from_millis(holder.held_ms),
        }
    }

    /// Whoever holds the lock, if that is not void.
    pub(crate) fn of_line(line: Line) -> Option<Leader> {
        line.holder().filter(|holder| !holder.void).cloned().map(Leader::of)
    }
}

impl Election {
    pub(crate) fn new(lock: Lock) -> Election {
        Election { lock }
    }

    /// Sets how long a leader that is stopped goes on leading; see [`Lock::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Election {
        Election { lock: self.lock.ttl(ttl) }
    }

    /// Waits until this caller leads. First come, first served, over all processes. Cancel-safe.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn campaign(&self) -> Result<Leadership> {
        Ok(Leadership::of(self.lock.acquire().await?))
    }

    /// Leads if nobody does.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn try_campaign(&self) -> Result<Option<Leadership>> {
        Ok(self.lock.try_acquire().await?.map(Leadership::of))
    }

    /// Who leads at this moment.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        let line = Inspector::new(Arc::clone(&self.lock.runtime)).lock(self.name()?.as_str()).await?;
        Ok(line.and_then(Leader::of_line))
    }

    /// Waits until somebody else leads than in the term `known`, or nobody does, and tells who; `None` stands for
    /// nobody, on both sides. Terms that came and went in between are not told.
    ///
    /// # Errors
    /// A bad name; [`Error::Closed`](crate::Error::Closed).
    pub async fn changed(&self, known: Option<u64>) -> Result<Option<Leader>> {
        let holders = self.lock.changed(Vec::from_iter(known)).await?;
        Ok(holders.into_iter().next().map(Leader::of))
    }

    /// The same for a thread that waits.
    pub(crate) fn changed_blocking(&self, known: Option<u64>) -> Result<Option<Leader>> {
        let holders = self.lock.changed_blocking(Vec::from_iter(known))?;
        Ok(holders.into_iter().next().map(Leader::of))
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    pub(crate) fn name(&self) -> Result<Name> {
        self.lock.checked().map(|(name, ..)| name.clone())
    }
}

/// A term of leading. Dropping it resigns.
#[derive(Debug)]
#[must_use = "leading ends when this is dropped"]
pub struct Leadership {
    guard: LockGuard,
}

impl Leadership {
    fn of(guard: LockGuard) -> Leadership {
        Leadership { guard }
    }

    /// The term: the fencing token of the lock.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.guard.token()
    }

    /// The guard of the lock, for writes that only the leader may make
    /// ([`Events::guarded_by`](crate::Events::guarded_by)).
    pub fn guard(&self) -> &LockGuard {
        &self.guard
    }

    /// Resolves when the leadership is lost; see [`LockGuard::lost`].
    pub async fn lost(&self) {
        self.guard.lost().await;
    }

    /// Stops leading, for the next one.
    ///
    /// # Errors
    /// As [`LockGuard::release`].
    pub async fn resign(self) -> Result<()> {
        self.guard.release().await
    }
}

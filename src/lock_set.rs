//! Several locks at once, without deadlock.

use std::time::Duration;

use millpond_actors::error::{Error, Result};

use crate::lock::{Lock, LockGuard};

/// Several locks that are taken together. A handle: no I/O to make one.
///
/// They are taken one after the other in the order of their names, whatever the order they were given in: two sets
/// that overlap, in whatever processes, cannot wait for each other in a circle (Havender, "Avoiding deadlock in
/// multitasking systems", 1968). That holds as long as nobody who holds one of them asks for another lock on his own.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let both = store.lock_set(["account-b", "account-a"]).acquire().await?;
/// assert!(store.lock("account-a").try_acquire().await?.is_none());
/// both.release().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct LockSet {
    /// By name.
    locks: Result<Vec<Lock>>,
}

impl LockSet {
    pub(crate) fn new<N: AsRef<str>>(
        names: impl IntoIterator<Item = N>,
        lock: impl Fn(&str) -> Lock,
    ) -> LockSet {
        let mut names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(one.clone()),
            _ => None,
        });
        let invalid = |reason: String| Error::InvalidArgument { what: "a set of locks".into(), reason };
        let locks = match twice {
            Some(name) => Err(invalid(format!("\"{name}\" is in it twice, and locks are not re-entrant"))),
            None if names.is_empty() => Err(invalid("it is empty".into())),
            None => Ok(names.iter().map(|name| lock(name)).collect()),
        };
        LockSet { locks }
    }

    /// Sets the time to live of the leases; see [`Lock::ttl`].
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> LockSet {
        if let Ok(locks) = &mut self.locks {
            *locks = std::mem::take(locks).into_iter().map(|lock| lock.ttl(ttl)).collect();
        }
        self
    }

    /// Waits for all of them, without limit. Cancel-safe: whatever was granted is given back.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no name or one twice; as [`Lock::acquire`]. Nothing is held then.
    pub async fn acquire(&self) -> Result<LockSetGuard> {
        let mut guards = Vec::new();
        for lock in self.checked()? {
            guards.push(lock.acquire().await?);
        }
        Ok(LockSetGuard { guards })
    }

    /// Takes all of them if each is free now.
    ///
    /// # Errors
    /// As [`acquire`](LockSet::acquire).
    pub async fn try_acquire(&self) -> Result<Option<LockSetGuard>> {
        let mut guards = Vec::new();
        for lock in self.checked()? {
            match lock.try_acquire().await? {
                Some(guard) => guards.push(guard),
                None => return Ok(None),
            }
        }
        Ok(Some(LockSetGuard { guards }))
    }

    /// The locks in the order of their names. What is wrong with one of them is said before the first is taken.
    pub(crate) fn checked(&self) -> Result<&[Lock]> {
        let locks = self.locks.as_deref().map_err(Clone::clone)?;
        locks.iter().try_for_each(|lock| lock.checked().map(drop))?;
        Ok(locks)
    }
}

/// Locks that are held together. Dropping it releases them.
#[derive(Debug)]
#[must_use = "the locks are released when the guard is dropped"]
pub struct LockSetGuard {
    /// In the order of their names.
    guards: Vec<LockGuard>,
}

impl LockSetGuard {
    /// The guards, in the order of the locks' names.
    pub fn guards(&self) -> &[LockGuard] {
        &self.guards
    }

    /// Gives all of them back.
    ///
    /// # Errors
    /// The first error, after all have been tried; see [`LockGuard::release`].
    pub async fn release(self) -> Result<()> {
        let mut released = Ok(());
        for guard in self.guards.into_iter().rev() {
            released = released.and(guard.release().await);
        }
        released
    }
}

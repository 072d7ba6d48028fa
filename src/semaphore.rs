//! Named semaphores: as many holders as there are permits, over all processes.

use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::lock::Shape;

use crate::lock::{Lock, LockGuard};

/// A semaphore of a fixed number of permits, shared by all processes of the store. A handle: cheap to clone, no I/O to
/// make one.
///
/// It is a [`Lock`] with room for more than one, and all that is said there holds for each permit: its lease, its death
/// with its process, its [token](LockGuard::token).
///
/// - **At most so many**: never more permits are held than there are.
/// - **Order**: first come, first served, over all processes. Whoever wants more permits than are free holds up those
///   behind, so many small ones cannot starve a large one.
/// - **The number of permits is fixed by the first use** of the name, for as long as the store lives. Another number is
///   [`Error::UsedOtherwise`], and so is using a lock's name for a semaphore; one of a single permit is the lock.
///
/// Cost: whoever comes or goes looks at all who hold a permit, so it grows with their number.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let downloads = store.semaphore("downloads", 3);
/// let one = downloads.acquire().await?;
/// let two = downloads.clone().weight(2).acquire().await?;
/// assert!(downloads.try_acquire().await?.is_none());
/// two.release().await?;
/// assert!(downloads.try_acquire().await?.is_some());
/// one.release().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    lock: Lock,
    permits: u32,
}

impl Semaphore {
    pub(crate) fn new(lock: Lock, permits: u32) -> Semaphore {
        Semaphore { lock, permits }.weight(1)
    }

    /// Sets the time to live of leases taken through this handle; see [`Lock::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Semaphore {
        Semaphore { lock: self.lock.ttl(ttl), ..self }
    }

    /// Sets how many permits each acquire through this handle takes, all at once: at least 1, at most all; 1 unless set.
    /// A bad number is the first call's error.
    #[must_use]
    pub fn weight(self, weight: u32) -> Semaphore {
        Semaphore { lock: self.lock.shaped(shape(self.permits, weight)), ..self }
    }

    /// Waits for a permit, without limit. Cancel-safe, as [`Lock::acquire`] is.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a number of permits or a weight that cannot be; [`Error::UsedOtherwise`] if the
    /// name is that of something else, or of a semaphore of another size; as [`Lock::acquire`]. Nothing is held then.
    pub async fn acquire(&self) -> Result<LockGuard> {
        self.lock.acquire().await
    }

    /// Takes a permit if one is free and nobody waits for it; never waits for another holder.
    ///
    /// # Errors
    /// As [`acquire`](Semaphore::acquire).
    pub async fn try_acquire(&self) -> Result<Option<LockGuard>> {
        self.lock.try_acquire().await
    }

    /// Waits for a permit, but not longer than `time`. `None`: not granted in time, and not in line any more.
    ///
    /// # Errors
    /// As [`acquire`](Semaphore::acquire).
    pub async fn acquire_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.lock.acquire_within(time).await
    }

    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }
}

fn shape(permits: u32, weight: u32) -> Result<Shape> {
    let refused = |what: String, most| {
        Err(Error::InvalidArgument { what, reason: format!("it must lie between 1 and {most}") })
    };
    if permits == 0 || permits > limits::PERMITS {
        refused(format!("a semaphore of {permits} permits"), limits::PERMITS)
    } else if weight == 0 || weight > permits {
        refused(format!("a weight of {weight} in a semaphore of {permits} permits"), permits)
    } else {
        Ok(Shape { capacity: permits, weight })
    }
}

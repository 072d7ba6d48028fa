//! Named locks for readers and writers, over all processes.

use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::lock::Shape;

use crate::lock::{Lock, LockGuard};

/// A lock that many readers hold together, or one writer alone, over all processes of the store. A handle: cheap to
/// clone, no I/O to make one.
///
/// All that is said of [`Lock`] holds for each of them: its lease, its death with its process, its
/// [token](LockGuard::token).
///
/// - **Exclusion**: while a writer holds it, nobody else does.
/// - **Order**: first come, first served, readers and writers in one line. Readers who come behind a writer that waits
///   wait behind it, so readers cannot starve a writer, nor writers a reader.
/// - **Not re-entrant**: a reader who asks again while a writer waits would wait for itself. Nobody can turn from a reader
///   into a writer without releasing first.
/// - **A name is used for one thing**: using that of a lock or a semaphore is [`Error::UsedOtherwise`].
///
/// Cost: whoever comes or goes looks at all who hold it, so it grows with the number of readers.
///
/// [`Error::UsedOtherwise`]: crate::Error::UsedOtherwise
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let catalogue = store.rw_lock("catalogue");
/// let (one, another) = (catalogue.read().await?, catalogue.read().await?);
/// assert!(catalogue.try_write().await?.is_none());
/// one.release().await?;
/// another.release().await?;
/// let writer = catalogue.write().await?;
/// assert!(catalogue.try_read().await?.is_none());
/// writer.release().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RwLock {
    reader: Lock,
    writer: Lock,
}

impl RwLock {
    pub(crate) fn new(lock: &Lock) -> RwLock {
        let capacity = limits::READERS_AND_WRITERS;
        let wants = |weight| lock.clone().shaped(Ok(Shape { capacity, weight }));
        RwLock { reader: wants(1), writer: wants(capacity) }
    }

    /// Sets the time to live of leases taken through this handle; see [`Lock::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> RwLock {
        RwLock { reader: self.reader.ttl(ttl), writer: self.writer.ttl(ttl) }
    }

    /// Waits until no writer holds it or is before us, without limit. Cancel-safe, as [`Lock::acquire`] is.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn read(&self) -> Result<LockGuard> {
        self.reader.acquire().await
    }

    /// Reads if no writer holds it or waits; never waits for another holder.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn try_read(&self) -> Result<Option<LockGuard>> {
        self.reader.try_acquire().await
    }

    /// [`read`](RwLock::read), but waits no longer than `time`. `None`: not granted in time, and not in line any more.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn read_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.reader.acquire_within(time).await
    }

    /// Waits until nobody holds it or is before us, without limit. Cancel-safe, as [`Lock::acquire`] is.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn write(&self) -> Result<LockGuard> {
        self.writer.acquire().await
    }

    /// Writes if nobody holds it or waits; never waits for another holder.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn try_write(&self) -> Result<Option<LockGuard>> {
        self.writer.try_acquire().await
    }

    /// [`write`](RwLock::write), but waits no longer than `time`. `None`: not granted in time, and not in line any more.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub async fn write_within(&self, time: Duration) -> Result<Option<LockGuard>> {
        self.writer.acquire_within(time).await
    }

    pub(crate) fn reader(&self) -> &Lock {
        &self.reader
    }

    pub(crate) fn writer(&self) -> &Lock {
        &self.writer
    }
}

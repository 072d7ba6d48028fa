//! Logs: records in the order of the commits, read by sequence or time, followed as they come.

use std::marker::PhantomData;
use std::ops::{Range, RangeBounds};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::feed::From;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::Kind;

use crate::batch::{Batch, Slot};
use crate::feed::{Extent, Feed, History, Live, Message, Retention, Stamp, Subscription};
use crate::lock::LockGuard;

/// A named log of records of one type. A handle: cheap to clone, no I/O to make one.
///
/// - **`Ok` means on disk**, and a record never changes after that.
/// - **Sequences** start at 1, are dense, and follow the order of the commits, over all processes. Nobody ever sees
///   record *n + 1* before *n* exists. Several records that are appended at once follow one another, all or none.
/// - **Time**: a record knows when it was [recorded](Message::recorded_at_ms), which never goes back within a log, whatever
///   the clock does. The time that its source gives it ([`Stamp::at`]) is kept verbatim and orders nothing.
/// - **Records go** from the oldest on only: by [`retain`](Log::retain) or [`trim_before`](Log::trim_before). A sequence is
///   never used again. Without either everything is kept.
/// - **An append of unknown fate** ([`Error::CommitUnknown`](crate::Error::CommitUnknown)) that is repeated may be there
///   twice: records carry no id. What must have one is an [event](crate::Events).
///
/// Values are kept as JSON, which `sqlite3` can read too.
///
/// # Examples
/// ```
/// use millpond::{From, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let audit = store.log::<String>("audit");
/// assert_eq!(audit.append(&"opened".to_owned()).await?, 1);
/// let mut new = audit.follow(From::Now).await?;
/// audit.append(&"closed".to_owned()).await?;
/// let record = new.next().await.expect("the store is open")?;
/// assert_eq!((record.sequence(), record.as_str()), (2, "closed"));
/// let newest = audit.range(..).newest_first().next().await.expect("two records")?;
/// assert_eq!(*newest, "closed");
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Log<T> {
    feed: Feed,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log::of(self.feed.clone())
    }
}

impl<T> Log<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Log<T> {
        Log::of(Feed::new(runtime, Kind::Log, name))
    }

    fn of(feed: Feed) -> Log<T> {
        Log { feed, value: PhantomData }
    }

    pub(crate) fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The same log, but every append through this handle is applied only while `guard`'s lock is held: its token is
    /// compared inside the same transaction, and a stale one is [`Error::Fenced`](crate::Error::Fenced).
    #[must_use]
    pub fn guarded_by(&self, guard: &LockGuard) -> Log<T> {
        Log::of(self.feed.guarded_by(guard))
    }

    /// How the log stands: first and last record, how many bytes, how much is kept.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn extent(&self) -> Result<Extent> {
        self.feed.extent().await
    }

    /// Fixes how much is kept from now on, for every process, in place of what was said before. What is too much is removed
    /// before this returns, and from then on in the commit of each append: by at most 1,000 records more than it appends,
    /// so that nobody has to wait for it.
    ///
    /// # Errors
    /// A bad name or bound; [`Error::Busy`](crate::Error::Busy); what the database said. Some may have been removed then.
    pub async fn retain(&self, retention: Retention) -> Result<()> {
        self.feed.retain(retention).await
    }

    /// Removes all records before a sequence. The sequence of the first record that is kept.
    ///
    /// # Errors
    /// As [`retain`](Log::retain).
    pub async fn trim_before(&self, sequence: u64) -> Result<u64> {
        self.feed.trim(sequence).await
    }
}

impl Batch {
    /// Adds a record to be appended, as [`Log::append`] does it. Its sequence.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`](crate::Error::Encode); [`Error::TooLarge`](crate::Error::TooLarge);
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a log of another store. Nothing is added then.
    pub fn log<T: Serialize>(&mut self, log: &Log<T>, value: &T) -> Result<Slot<u64>> {
        self.log_with(log, value, Stamp::new())
    }

    /// Adds a record about which something is said beside its value.
    ///
    /// # Errors
    /// As [`log`](Batch::log); a bad key.
    pub fn log_with<T: Serialize>(&mut self, log: &Log<T>, value: &T, stamp: Stamp) -> Result<Slot<u64>> {
        let message = log.feed.message(value, stamp)?;
        log.feed.add_to(self, message)
    }
}

impl<T: Serialize> Log<T> {
    /// Appends a record. Its sequence.
    ///
    /// # Errors
    /// A bad name; [`Error::Encode`](crate::Error::Encode); [`Error::TooLarge`](crate::Error::TooLarge) above 16 MiB;
    /// [`Error::Fenced`](crate::Error::Fenced); [`Error::Busy`](crate::Error::Busy); what the database said.
    pub async fn append(&self, value: &T) -> Result<u64> {
        self.append_with(value, Stamp::new()).await
    }

    /// Appends a record about which something is said beside its value.
    ///
    /// # Errors
    /// As [`append`](Log::append); a bad key.
    pub async fn append_with(&self, value: &T, stamp: Stamp) -> Result<u64> {
        let record = self.feed.message(value, stamp)?;
        Ok(self.feed.append(vec![record]).await?.start)
    }

    /// Appends records in their order, all or none, in one commit. Their sequences; an empty range for no records.
    ///
    /// # Errors
    /// As [`append`](Log::append); more than 10,000 records or 64 MiB at once are
    /// [`Error::TooLarge`](crate::Error::TooLarge).
    pub async fn append_all<'a>(&self, values: impl IntoIterator<Item = &'a T>) -> Result<Range<u64>>
    where
        T: 'a,
    {
        let records = self.feed.messages(values)?;
        self.feed.append(records).await
    }
}

impl<T: DeserializeOwned> Log<T> {
    /// The records of these sequences that are kept, oldest first unless told otherwise. Nothing is read before the first
    /// is asked for.
    pub fn range(&self, sequences: impl RangeBounds<u64>) -> History<T> {
        self.feed.history().range(sequences)
    }

    /// Follows the log: each record once, in order, without a gap. Active when this returns.
    ///
    /// # Errors
    /// A bad name; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a sequence that there can never be; what
    /// the database said.
    pub async fn follow(&self, from: From) -> Result<Subscription<T>> {
        self.feed.follow(from).await.map(|(subscription, _)| subscription)
    }

    /// What the records of the last `window` amount to, anew every `every`: `fold` is given them, oldest first. Both lie
    /// between 1 ms and 365 days.
    ///
    /// # Errors
    /// As [`follow`](Log::follow); [`Error::InvalidDuration`](crate::Error::InvalidDuration).
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # futures_executor::block_on(async {
    /// # let store = millpond::Store::memory().await?;
    /// let tokens = store.log::<u64>("tokens");
    /// tokens.append_all(&[20, 22]).await?;
    /// let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
    /// let mut sums = tokens.live(minute, second, |last| last.iter().map(|record| **record).sum::<u64>()).await?;
    /// assert_eq!(sums.next().await, Some(Ok(42)));
    /// # store.close().await
    /// # }).unwrap();
    /// ```
    pub async fn live<R>(
        &self,
        window: Duration,
        every: Duration,
        fold: impl FnMut(&[Message<T>]) -> R + Send + 'static,
    ) -> Result<Live<T, R>> {
        self.feed.live(window, every, fold).await
    }
}

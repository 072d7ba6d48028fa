//! Logs, for threads that wait.

use std::ops::{Range, RangeBounds};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::feed::From;

use super::LockGuard;
use super::feed::{History, Live, Subscription};
use crate::feed::{Extent, Message, Retention, Stamp};

/// A named log; see [`crate::Log`].
#[derive(Debug)]
pub struct Log<T> {
    pub(super) log: crate::Log<T>,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Log<T> {
        Log { log: self.log.clone() }
    }
}

impl<T> Log<T> {
    /// See [`crate::Log::guarded_by`].
    #[must_use]
    pub fn guarded_by(&self, guard: &LockGuard) -> Log<T> {
        Log { log: self.log.guarded_by(&guard.guard) }
    }

    /// See [`crate::Log::extent`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn extent(&self) -> Result<Extent> {
        self.log.feed().extent_blocking()
    }

    /// See [`crate::Log::retain`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn retain(&self, retention: Retention) -> Result<()> {
        self.log.feed().retain_blocking(retention)
    }

    /// See [`crate::Log::trim_before`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn trim_before(&self, sequence: u64) -> Result<u64> {
        self.log.feed().trim_blocking(sequence)
    }
}

impl<T: Serialize> Log<T> {
    /// See [`crate::Log::append`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn append(&self, value: &T) -> Result<u64> {
        self.append_with(value, Stamp::new())
    }

    /// See [`crate::Log::append_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn append_with(&self, value: &T, stamp: Stamp) -> Result<u64> {
        let feed = self.log.feed();
        Ok(feed.append_blocking(vec![feed.message(value, stamp)?])?.start)
    }

    /// See [`crate::Log::append_all`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn append_all<'a>(&self, values: impl IntoIterator<Item = &'a T>) -> Result<Range<u64>>
    where
        T: 'a,
    {
        let feed = self.log.feed();
        feed.append_blocking(feed.messages(values)?)
    }
}

impl<T: DeserializeOwned> Log<T> {
    /// See [`crate::Log::range`].
    pub fn range(&self, sequences: impl RangeBounds<u64>) -> History<T> {
        History { history: self.log.range(sequences) }
    }

    /// See [`crate::Log::follow`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn follow(&self, from: From) -> Result<Subscription<T>> {
        self.log.feed().follow_blocking(from).map(|(subscription, _)| Subscription { subscription })
    }

    /// See [`crate::Log::live`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn live<R>(
        &self,
        window: Duration,
        every: Duration,
        fold: impl FnMut(&[Message<T>]) -> R + Send + 'static,
    ) -> Result<Live<T, R>> {
        self.log.feed().live_blocking(window, every, fold).map(|live| Live { live })
    }
}

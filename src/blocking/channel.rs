//! Channels, for threads that wait.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::feed::From;

use super::feed::{History, Subscription};
use super::{Durable, Group, LockGuard};
use crate::feed::{Extent, Retention, Stamp};

/// A named channel; see [`crate::Channel`].
#[derive(Debug)]
pub struct Channel<T> {
    pub(super) channel: crate::Channel<T>,
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Channel<T> {
        Channel { channel: self.channel.clone() }
    }
}

impl<T> Channel<T> {
    /// See [`crate::Channel::durable`].
    #[must_use]
    pub fn durable(&self, name: impl AsRef<str>) -> Durable<T> {
        Durable { durable: self.channel.durable(name) }
    }

    /// See [`crate::Channel::group`].
    #[must_use]
    pub fn group(&self, name: impl AsRef<str>) -> Group<T> {
        Group { group: self.channel.group(name) }
    }

    /// See [`crate::Channel::guarded_by`].
    #[must_use]
    pub fn guarded_by(&self, guard: &LockGuard) -> Channel<T> {
        Channel { channel: self.channel.guarded_by(&guard.guard) }
    }

    /// See [`crate::Channel::extent`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn extent(&self) -> Result<Extent> {
        self.channel.feed().extent_blocking()
    }

    /// See [`crate::Channel::retain`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn retain(&self, retention: Retention) -> Result<()> {
        self.channel.feed().retain_blocking(retention)
    }

    /// See [`crate::Channel::trim_before`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn trim_before(&self, sequence: u64) -> Result<u64> {
        self.channel.feed().trim_blocking(sequence)
    }
}

impl<T: Serialize> Channel<T> {
    /// See [`crate::Channel::publish`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn publish(&self, value: &T) -> Result<u64> {
        self.publish_with(value, Stamp::new())
    }

    /// See [`crate::Channel::publish_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn publish_with(&self, value: &T, stamp: Stamp) -> Result<u64> {
        let feed = self.channel.feed();
        Ok(feed.append_blocking(vec![feed.message(value, stamp)?])?.start)
    }

    /// See [`crate::Channel::publish_all`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn publish_all<'a>(&self, values: impl IntoIterator<Item = &'a T>) -> Result<Range<u64>>
    where
        T: 'a,
    {
        let feed = self.channel.feed();
        feed.append_blocking(feed.messages(values)?)
    }
}

impl<T: DeserializeOwned> Channel<T> {
    /// See [`crate::Channel::history`].
    pub fn history(&self) -> History<T> {
        History { history: self.channel.history() }
    }

    /// See [`crate::Channel::subscribe`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn subscribe(&self) -> Result<Subscription<T>> {
        self.subscribe_from(From::Now)
    }

    /// See [`crate::Channel::subscribe_from`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn subscribe_from(&self, from: From) -> Result<Subscription<T>> {
        self.channel.subscribe_blocking(from).map(|subscription| Subscription { subscription })
    }
}

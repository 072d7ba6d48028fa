//! All channels of a pattern, for threads that wait.

use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::feed::From;

use crate::feed::Message;

/// The channels of a pattern; see [`crate::Channels`].
#[derive(Debug)]
pub struct Channels<T> {
    pub(super) channels: crate::Channels<T>,
}

impl<T> Clone for Channels<T> {
    fn clone(&self) -> Channels<T> {
        Channels { channels: self.channels.clone() }
    }
}

impl<T: DeserializeOwned> Channels<T> {
    /// See [`crate::Channels::subscribe`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn subscribe(&self) -> Result<ChannelsSubscription<T>> {
        self.subscribe_from(From::Now)
    }

    /// See [`crate::Channels::subscribe_from`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn subscribe_from(&self, from: From) -> Result<ChannelsSubscription<T>> {
        self.channels.subscribe_blocking(from).map(|subscription| ChannelsSubscription { subscription })
    }
}

/// The messages of all channels of a pattern, as an iterator that waits for the next; see [`crate::ChannelsSubscription`].
/// It ends when the store is closed.
#[derive(Debug)]
#[must_use = "messages come when they are asked for"]
pub struct ChannelsSubscription<T> {
    subscription: crate::ChannelsSubscription<T>,
}

impl<T: DeserializeOwned> Iterator for ChannelsSubscription<T> {
    type Item = Result<Message<T>>;

    fn next(&mut self) -> Option<Result<Message<T>>> {
        self.subscription.next_blocking()
    }
}

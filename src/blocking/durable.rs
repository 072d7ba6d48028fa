//! Durable subscriptions, for threads that wait.

use std::time::Duration;

use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::lock::Wait;

use crate::feed::Message;

/// A named subscription of a channel that the store remembers; see [`crate::Durable`].
#[derive(Debug)]
pub struct Durable<T> {
    pub(super) durable: crate::Durable<T>,
}

impl<T> Clone for Durable<T> {
    fn clone(&self) -> Durable<T> {
        Durable { durable: self.durable.clone() }
    }
}

impl<T> Durable<T> {
    /// See [`crate::Durable::starting`].
    #[must_use]
    pub fn starting(self, start: From) -> Durable<T> {
        Durable { durable: self.durable.starting(start) }
    }

    /// See [`crate::Durable::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Durable<T> {
        Durable { durable: self.durable.ttl(ttl) }
    }

    /// See [`crate::Durable::consume`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn consume(&self) -> Result<Consumer<T>> {
        let consumer = self.durable.consume_blocking(Wait::Forever)?.map(|consumer| Consumer { consumer });
        consumer.ok_or_else(|| Error::ActorFailed { what: "a durable subscription's lock".into() })
    }

    /// See [`crate::Durable::try_consume`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn try_consume(&self) -> Result<Option<Consumer<T>>> {
        Ok(self.durable.consume_blocking(Wait::No)?.map(|consumer| Consumer { consumer }))
    }

    /// See [`crate::Durable::consume_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn consume_within(&self, time: Duration) -> Result<Option<Consumer<T>>> {
        Ok(self.durable.consume_blocking(Wait::For(time))?.map(|consumer| Consumer { consumer }))
    }

    /// See [`crate::Durable::cursor`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn cursor(&self) -> Result<Option<u64>> {
        self.durable.cursor_blocking()
    }

    /// See [`crate::Durable::remove`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn remove(&self) -> Result<bool> {
        self.durable.remove_blocking()
    }
}

/// Whoever consumes a durable subscription: an iterator that waits for the next message; see [`crate::Consumer`].
#[derive(Debug)]
#[must_use = "the subscription is consumed by nobody else meanwhile"]
pub struct Consumer<T> {
    consumer: crate::Consumer<T>,
}

impl<T> Consumer<T> {
    /// See [`crate::Consumer::cursor`].
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.consumer.cursor()
    }

    /// See [`crate::Consumer::token`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.consumer.token()
    }

    /// See [`crate::Consumer::ack`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn ack(&mut self, sequence: u64) -> Result<()> {
        self.consumer.ack_blocking(sequence)
    }

    /// See [`crate::Consumer::ack_in`].
    ///
    /// # Errors
    /// As there.
    pub fn ack_in(&self, batch: &mut super::Batch, sequence: u64) -> Result<()> {
        self.consumer.ack_in(&mut batch.batch, sequence)
    }

    /// See [`crate::Consumer::seek`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn seek(&mut self, sequence: u64) -> Result<()> {
        self.consumer.seek_blocking(sequence)
    }

    /// See [`crate::Consumer::stop`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn stop(self) -> Result<()> {
        self.consumer.into_guard().map_or(Ok(()), crate::lock::LockGuard::release_blocking)
    }
}

impl<T: DeserializeOwned> Iterator for Consumer<T> {
    type Item = Result<Message<T>>;

    fn next(&mut self) -> Option<Result<Message<T>>> {
        self.consumer.next_blocking()
    }
}

//! What logs and channels give to threads that wait: iterators.

use std::ops::RangeBounds;

use serde::de::DeserializeOwned;

use millpond_actors::error::Result;

use crate::feed::Message;
use crate::filter::Where;

/// Messages that are kept, as an iterator; see [`crate::History`].
#[derive(Debug)]
#[must_use = "nothing is read until messages are asked for"]
pub struct History<T> {
    pub(super) history: crate::History<T>,
}

impl<T> History<T> {
    /// See [`crate::History::range`].
    pub fn range(self, range: impl RangeBounds<u64>) -> History<T> {
        History { history: self.history.range(range) }
    }

    /// See [`crate::History::recorded_since`].
    pub fn recorded_since(self, ms: i64) -> History<T> {
        History { history: self.history.recorded_since(ms) }
    }

    /// See [`crate::History::recorded_before`].
    pub fn recorded_before(self, ms: i64) -> History<T> {
        History { history: self.history.recorded_before(ms) }
    }

    /// See [`crate::History::newest_first`].
    pub fn newest_first(self) -> History<T> {
        History { history: self.history.newest_first() }
    }

    /// See [`crate::History::matching`].
    pub fn matching(self, filter: Where) -> History<T> {
        History { history: self.history.matching(filter) }
    }

    /// See [`crate::History::limit`].
    pub fn limit(self, limit: u64) -> History<T> {
        History { history: self.history.limit(limit) }
    }
}

impl<T: DeserializeOwned> Iterator for History<T> {
    type Item = Result<Message<T>>;

    fn next(&mut self) -> Option<Result<Message<T>>> {
        self.history.next_blocking()
    }
}

/// Messages as they are committed, as an iterator that waits for the next; see [`crate::Subscription`]. It ends when the
/// store is closed.
#[derive(Debug)]
#[must_use = "messages come when they are asked for"]
pub struct Subscription<T> {
    pub(super) subscription: crate::Subscription<T>,
}

impl<T> Subscription<T> {
    /// See [`crate::Subscription::matching`].
    ///
    /// # Errors
    /// As there.
    pub fn matching(self, filter: Where) -> Result<Subscription<T>> {
        Ok(Subscription { subscription: self.subscription.matching(filter)? })
    }

    /// See [`crate::Subscription::next_sequence`].
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.subscription.next_sequence()
    }
}

impl<T: DeserializeOwned> Iterator for Subscription<T> {
    type Item = Result<Message<T>>;

    fn next(&mut self) -> Option<Result<Message<T>>> {
        self.subscription.next_blocking()
    }
}

/// What the records of a window of time amount to, as an iterator that waits for the next value; see [`crate::Live`].
#[derive(Debug)]
#[must_use = "nothing is folded until values are asked for"]
pub struct Live<T, R> {
    pub(super) live: crate::Live<T, R>,
}

impl<T: DeserializeOwned, R> Iterator for Live<T, R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        self.live.next_blocking()
    }
}

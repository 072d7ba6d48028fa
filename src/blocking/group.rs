//! Groups of consumers, for threads that wait.

use std::ops::Deref;
use std::time::Duration;

use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::feed::From;

use crate::feed::Message;

/// A durable subscription that a group of consumers shares; see [`crate::Group`].
#[derive(Debug)]
pub struct Group<T> {
    pub(super) group: crate::Group<T>,
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Group<T> {
        Group { group: self.group.clone() }
    }
}

impl<T> Group<T> {
    /// See [`crate::Group::starting`].
    #[must_use]
    pub fn starting(self, start: From) -> Group<T> {
        Group { group: self.group.starting(start) }
    }

    /// See [`crate::Group::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Group<T> {
        Group { group: self.group.ttl(ttl) }
    }

    /// See [`crate::Group::join`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn join(&self) -> Result<Member<T>> {
        self.group.join_blocking().map(|member| Member { member })
    }

    /// See [`crate::Group::cursor`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn cursor(&self) -> Result<Option<u64>> {
        self.group.cursor_blocking()
    }

    /// See [`crate::Group::remove`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn remove(&self) -> Result<bool> {
        self.group.remove_blocking()
    }
}

/// One who consumes in a group, as an iterator that waits for the next message; see [`crate::Member`].
#[derive(Debug)]
#[must_use = "the group takes messages for it meanwhile"]
pub struct Member<T> {
    member: crate::Member<T>,
}

impl<T> Member<T> {
    /// See [`crate::Member::token`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.member.token()
    }

    /// See [`crate::Member::parts`].
    #[must_use]
    pub fn parts(&self) -> usize {
        self.member.parts()
    }

    /// See [`crate::Member::leave`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn leave(self) -> Result<()> {
        self.member.leave_blocking()
    }
}

impl<T: DeserializeOwned> Iterator for Member<T> {
    type Item = Result<Delivery<T>>;

    fn next(&mut self) -> Option<Result<Delivery<T>>> {
        self.member.next_blocking().map(|found| found.map(|delivery| Delivery { delivery }))
    }
}

/// A message that is this consumer's to deal with; see [`crate::Delivery`].
#[derive(Debug)]
#[must_use = "a message that is not acknowledged comes again"]
pub struct Delivery<T> {
    delivery: crate::Delivery<T>,
}

impl<T> Delivery<T> {
    /// See [`crate::Delivery::token`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.delivery.token()
    }

    /// See [`crate::Delivery::ack`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn ack(self) -> Result<()> {
        self.delivery.ack_blocking()
    }
}

impl<T> Deref for Delivery<T> {
    type Target = Message<T>;

    fn deref(&self) -> &Message<T> {
        &self.delivery
    }
}

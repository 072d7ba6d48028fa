//! Event-sourced aggregates, for threads that wait.

use millpond_actors::aggregate::Until;
use millpond_actors::error::Result;

use super::EventStream;
use crate::aggregate::{Aggregate, CommandError, Committed, Execute};
use crate::events::Event;
use crate::reading::Recorded;

/// One aggregate by its id; see [`crate::Entity`].
pub struct Entity<A: Aggregate> {
    pub(super) entity: crate::Entity<A>,
}

impl<A: Aggregate> Clone for Entity<A> {
    fn clone(&self) -> Entity<A> {
        Entity { entity: self.entity.clone() }
    }
}

impl<A: Aggregate> std::fmt::Debug for Entity<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.entity.fmt(f)
    }
}

impl<A: Aggregate> Entity<A> {
    /// See [`crate::Entity::execute`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn execute(&self, command: A::Command) -> Result<Committed<A>, CommandError<A::Rejection>> {
        self.entity.execute_blocking(command, Execute::new())
    }

    /// See [`crate::Entity::execute_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn execute_with(
        &self,
        command: A::Command,
        how: Execute,
    ) -> Result<Committed<A>, CommandError<A::Rejection>> {
        self.entity.execute_blocking(command, how)
    }

    /// See [`crate::Entity::at_version`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn at_version(&self, version: u64) -> Result<A> {
        self.entity.past_blocking(Until::Version(version))
    }

    /// See [`crate::Entity::at_time`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn at_time(&self, ms: i64) -> Result<A> {
        self.entity.past_blocking(Until::Time(ms))
    }

    /// See [`crate::Entity::decode`].
    ///
    /// # Errors
    /// As there.
    pub fn decode(&self, event: &Recorded) -> Result<A::Event> {
        self.entity.decode(event)
    }

    /// See [`crate::Entity::encode`].
    ///
    /// # Errors
    /// As there.
    pub fn encode(&self, event: &A::Event) -> Result<Event> {
        self.entity.encode(event)
    }

    /// See [`crate::Entity::history`].
    pub fn history(&self) -> EventStream {
        EventStream { stream: self.entity.history() }
    }
}

impl<A: Aggregate + Clone> Entity<A> {
    /// See [`crate::Entity::state`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn state(&self) -> Result<A> {
        self.entity.look_blocking(false)
    }

    /// See [`crate::Entity::latest`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn latest(&self) -> Result<A> {
        self.entity.look_blocking(true)
    }
}

//! Event-sourced aggregates, for threads that wait.

use millpond_actors::error::Result;

use super::EventStream;
use crate::aggregate::{Aggregate, CommandError, Committed};

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
        self.entity.execute_blocking(command)
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
        self.entity.state_blocking()
    }
}

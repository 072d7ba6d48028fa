//! Schedules, for threads that wait.

use serde::Serialize;

use millpond_actors::error::Result;
use millpond_actors::storage::schedule::Schedule;

use super::Queue;
use crate::job::Push;
use crate::schedule::Every;

impl<T> Queue<T> {
    /// See [`crate::Queue::unschedule`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn unschedule(&self, name: impl AsRef<str>) -> Result<bool> {
        self.queue.unschedule_blocking(name.as_ref())
    }

    /// See [`crate::Queue::schedules`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn schedules(&self) -> Result<Vec<Result<Schedule>>> {
        self.queue.schedules_blocking()
    }

    /// See [`crate::Queue::keep_schedules`]. It returns when the store is closed.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn keep_schedules(&self) -> Result<()> {
        self.queue.keep_schedules_blocking()
    }
}

impl<T: Serialize> Queue<T> {
    /// See [`crate::Queue::recurring`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn recurring(
        &self,
        name: impl AsRef<str>,
        every: impl Into<Every>,
        job: &T,
        push: Push,
    ) -> Result<bool> {
        self.queue.recurring_blocking(name.as_ref(), every.into(), job, push)
    }
}

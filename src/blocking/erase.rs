//! Deleting what a stream holds, for threads that wait.

use millpond_actors::error::{Expected, Result};

use super::{EventStream, Events};
use crate::erase::Deleted;

impl Events {
    /// See [`crate::Events::delete`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn delete(&self, stream: impl AsRef<str>, expected: Expected) -> Result<Deleted> {
        self.events.erase_blocking(stream.as_ref(), expected, false)
    }

    /// See [`crate::Events::tombstone`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn tombstone(&self, stream: impl AsRef<str>, expected: Expected) -> Result<Deleted> {
        self.events.erase_blocking(stream.as_ref(), expected, true)
    }
}

impl EventStream {
    /// See [`crate::EventStream::with_deleted`].
    pub fn with_deleted(self) -> EventStream {
        EventStream { stream: self.stream.with_deleted() }
    }
}

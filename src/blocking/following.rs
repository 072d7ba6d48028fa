//! Events as they come, for threads that wait.

use millpond_actors::error::Result;

use super::EventStream;
use crate::reading::Recorded;

/// Events as they come, as an iterator that waits; see [`crate::Following`].
#[derive(Debug)]
#[must_use = "events come when they are asked for"]
pub struct Following {
    events: crate::Following,
}

impl EventStream {
    /// See [`crate::EventStream::follow`].
    ///
    /// # Errors
    /// As there.
    pub fn follow(self) -> Result<Following> {
        Ok(Following { events: self.stream.follow()? })
    }
}

impl Iterator for Following {
    type Item = Result<Recorded>;

    fn next(&mut self) -> Option<Result<Recorded>> {
        self.events.next_blocking()
    }
}

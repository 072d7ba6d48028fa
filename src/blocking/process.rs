//! Process managers, for threads that wait.

use millpond_actors::error::Result;

use super::EventStream;
use super::projection::{Projection, wait};
use crate::projection::{ProcessManager, Projected};
use crate::stopper::Stopper;

/// Runs a process manager on the thread that runs it; see [`crate::Manager`].
#[derive(Debug)]
#[must_use = "it does nothing unless it is run"]
pub struct Manager {
    manager: crate::Manager,
}

impl Projection {
    /// See [`crate::Projection::manager`].
    pub fn manager(&self, events: EventStream) -> Manager {
        Manager { manager: self.projection.manager(events.stream) }
    }
}

impl Manager {
    /// See [`crate::Manager::batch`].
    pub fn batch(self, events: u32) -> Manager {
        Manager { manager: self.manager.batch(events) }
    }

    /// See [`crate::Manager::attempts`].
    pub fn attempts(self, attempts: u32) -> Manager {
        Manager { manager: self.manager.attempts(attempts) }
    }

    /// See [`crate::Manager::dead_letters`].
    pub fn dead_letters(self) -> Manager {
        Manager { manager: self.manager.dead_letters() }
    }

    /// See [`crate::Manager::drain`].
    pub fn drain(self) -> Manager {
        Manager { manager: self.manager.drain() }
    }

    /// See [`crate::Manager::stopper`].
    pub fn stopper(&self) -> Stopper {
        self.manager.stopper()
    }

    /// See [`crate::Manager::run`]. It all happens on this thread.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn run(self, process: impl ProcessManager) -> Result<Projected> {
        wait(self.manager.run(process))
    }
}

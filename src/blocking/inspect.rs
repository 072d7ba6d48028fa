//! What is in a store, for threads that wait.

use std::sync::Arc;

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::lock::Line;
use millpond_actors::storage::queue::Numbers;
use millpond_actors::storage::{Process, Summary};

use crate::feed::Extent;
use crate::inspect::{SnapshotFigures, WriterFigures};

/// Looks at a store without changing it; see [`crate::Inspector`].
#[derive(Clone, Debug)]
pub struct Inspector {
    pub(super) inspector: crate::Inspector,
}

impl Inspector {
    /// See [`crate::Inspector::logs`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn logs(&self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Extent)>> {
        self.inspector.feeds_blocking(Kind::Log, after, limit)
    }

    /// See [`crate::Inspector::channels`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn channels(&self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Extent)>> {
        self.inspector.feeds_blocking(Kind::Channel, after, limit)
    }

    /// See [`crate::Inspector::summary`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn summary(&self) -> Result<Summary> {
        let clock = Arc::clone(&self.inspector.runtime.seams().clock);
        self.inspector.runtime.read_blocking(move |view| view.summary(clock.now()))
    }

    /// See [`crate::Inspector::processes`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn processes(&self) -> Result<Vec<Process>> {
        let clock = Arc::clone(&self.inspector.runtime.seams().clock);
        self.inspector.runtime.read_blocking(move |view| view.processes(clock.now()))
    }

    /// See [`crate::Inspector::locks`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn locks(&self, after: Option<&str>, limit: u32) -> Result<Vec<Line>> {
        let (clock, after) = (Arc::clone(&self.inspector.runtime.seams().clock), after.map(str::to_owned));
        self.inspector.runtime.read_blocking(move |view| view.locks(after.as_deref(), limit, clock.now()))
    }

    /// See [`crate::Inspector::lock`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn lock(&self, name: impl AsRef<str>) -> Result<Option<Line>> {
        let clock = Arc::clone(&self.inspector.runtime.seams().clock);
        let name = Name::new(name.as_ref())?;
        self.inspector.runtime.read_blocking(move |view| view.lock(&name, clock.now()))
    }

    /// See [`crate::Inspector::queues`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn queues(&self, after: Option<&str>, limit: u32) -> Result<Vec<Numbers>> {
        let after = after.map(str::to_owned);
        self.inspector.runtime.read_blocking(move |view| view.queues(after.as_deref(), limit))
    }

    /// See [`crate::Inspector::process`].
    #[must_use]
    pub fn process(&self) -> u64 {
        self.inspector.process()
    }

    /// See [`crate::Inspector::writer`].
    #[must_use]
    pub fn writer(&self) -> WriterFigures {
        self.inspector.writer()
    }

    /// See [`crate::Inspector::snapshots`].
    #[must_use]
    pub fn snapshots(&self) -> SnapshotFigures {
        self.inspector.snapshots()
    }

    /// See [`crate::Inspector::actors`].
    ///
    /// # Errors
    /// [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn actors(&self) -> Result<usize> {
        self.inspector.runtime.actors_blocking()
    }
}

//! What is in a store, who uses it, who holds what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::{Head, Kind};
use millpond_actors::storage::lock::Line;
use millpond_actors::storage::queue::Numbers;
use millpond_actors::storage::{Process, Summary};
pub use millpond_actors::writer::WriterState;

use crate::feed::Extent;

/// Looks at a store without changing it. A handle: cheap to clone.
#[derive(Clone, Debug)]
pub struct Inspector {
    pub(crate) runtime: Arc<Runtime>,
}

/// Figures of this process's writer since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterFigures {
    /// Groups committed; each cost one fsync.
    pub groups: u64,
    /// Operations in them.
    pub operations: u64,
    /// Groups that were done again because an operation in them failed.
    pub redone: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Checkpoints that failed; the log grows until one succeeds.
    pub failed_checkpoints: u64,
}

/// How this process's aggregates were loaded since the store was opened. One without a snapshot counts nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotFigures {
    /// Loaded from a snapshot and the events behind it.
    pub used: u64,
    /// Loaded from all events, because the snapshot could not be used: its schema is another one, it is damaged, or it
    /// could not be decoded.
    pub unusable: u64,
}

/// How a store does in this process, as seen from memory: asking waits for nothing, so a dead disk cannot delay it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// What the writer is doing.
    pub writer: WriterState,
    /// Calls inside, wherever they are.
    pub calls: usize,
    /// How many there may be; beyond it callers wait for room.
    pub calls_limit: usize,
    /// What the writer has done, failures included.
    pub figures: WriterFigures,
    /// Whether the store was closed.
    pub closed: bool,
}

impl Health {
    /// Longer than this a commit or a wait for the turn does not take on a machine that is well.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Whether a write that comes now may be expected to be answered soon.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let in_time = match &self.writer {
            WriterState::Ready => true,
            WriterState::WaitingForTurn { waited, .. } | WriterState::InStorage { waited } => {
                *waited < Health::PATIENCE
            }
            _ => false,
        };
        in_time && !self.closed && self.calls < self.calls_limit
    }
}

impl Inspector {
    /// Up to `limit` logs that were ever used, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn logs(&self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Extent)>> {
        self.feeds(Kind::Log, after, limit).await
    }

    /// Up to `limit` channels that were ever used, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn channels(&self, after: Option<&str>, limit: u32) -> Result<Vec<(String, Extent)>> {
        self.feeds(Kind::Channel, after, limit).await
    }

    async fn feeds(&self, kind: Kind, after: Option<&str>, limit: u32) -> Result<Vec<(String, Extent)>> {
        let after = after.map(str::to_owned);
        let found = self.runtime.read(move |view| view.feeds(kind, after.as_deref(), limit)).await?;
        Ok(found.into_iter().map(shown).collect())
    }

    /// The same for a thread that waits.
    pub(crate) fn feeds_blocking(
        &self,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Extent)>> {
        let after = after.map(str::to_owned);
        let found = self.runtime.read_blocking(move |view| view.feeds(kind, after.as_deref(), limit))?;
        Ok(found.into_iter().map(shown).collect())
    }

    /// How the store does. The public door is [`Store::health`](crate::Store::health).
    pub(crate) fn health(&self) -> Health {
        Health {
            writer: self.runtime.writer_state(),
            calls: self.runtime.inside(),
            calls_limit: self.runtime.request_limit(),
            figures: self.writer(),
            closed: self.runtime.is_closed(),
        }
    }

    pub(crate) fn new(runtime: Arc<Runtime>) -> Inspector {
        Inspector { runtime }
    }

    /// How much is in the store.
    ///
    /// # Errors
    /// What the database said.
    pub async fn summary(&self) -> Result<Summary> {
        let clock = Arc::clone(&self.runtime.seams().clock);
        self.runtime.read(move |view| view.summary(clock.now())).await
    }

    /// The processes that have the store open.
    ///
    /// # Errors
    /// What the database said.
    pub async fn processes(&self) -> Result<Vec<Process>> {
        let clock = Arc::clone(&self.runtime.seams().clock);
        self.runtime.read(move |view| view.processes(clock.now())).await
    }

    /// Up to `limit` locks that are held or waited for, by name, those behind `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn locks(&self, after: Option<&str>, limit: u32) -> Result<Vec<Line>> {
        let (clock, after) = (Arc::clone(&self.runtime.seams().clock), after.map(str::to_owned));
        self.runtime.read(move |view| view.locks(after.as_deref(), limit, clock.now())).await
    }

    /// How one lock stands; `None` if it was never used.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn lock(&self, name: impl AsRef<str>) -> Result<Option<Line>> {
        let (clock, name) = (Arc::clone(&self.runtime.seams().clock), Name::new(name.as_ref())?);
        self.runtime.read(move |view| view.lock(&name, clock.now())).await
    }

    /// Up to `limit` queues in numbers, by name, those behind `after`. Jobs are counted for it one by one.
    ///
    /// # Errors
    /// What the database said.
    pub async fn queues(&self, after: Option<&str>, limit: u32) -> Result<Vec<Numbers>> {
        let after = after.map(str::to_owned);
        self.runtime.read(move |view| view.queues(after.as_deref(), limit)).await
    }

    /// This process's id in the store.
    #[must_use]
    pub fn process(&self) -> u64 {
        self.runtime.process()
    }

    /// What this process's writer has done.
    #[must_use]
    pub fn writer(&self) -> WriterFigures {
        let [groups, operations, redone, failed_commits, failed_checkpoints] = self.runtime.figures();
        WriterFigures { groups, operations, redone, failed_commits, failed_checkpoints }
    }

    /// How this process's aggregates were loaded.
    #[must_use]
    pub fn snapshots(&self) -> SnapshotFigures {
        let stats = self.runtime.stats();
        let figure = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let (used, unusable) = (figure(&stats.snapshots_used), figure(&stats.snapshots_unusable));
        SnapshotFigures { used, unusable }
    }

    /// How many actors of this process are alive at this moment; idle ones leave.
    pub async fn actors(&self) -> usize {
        self.runtime.actors().await
    }
}

fn shown(head: Head) -> (String, Extent) {
    (head.name.clone(), Extent::from(Some(head)))
}

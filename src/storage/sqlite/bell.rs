//! The bell between processes: waking when another process rings or dies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Bell;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::place::Place;
use super::sync::Sidecar;

/// Through which description of the sidecar a process says that somebody there waits, or watches for changes. It is the one by which it rings:
/// locks of one description do not refuse each other, so nobody rings for himself.
#[derive(Debug)]
pub(super) struct Rope(Mutex<End>);

#[derive(Debug)]
struct End {
    /// Weak: the sidecar is its session's.
    sidecar: Weak<Sidecar>,
    waits: bool,
    watches: bool,
}

impl Rope {
    pub(super) fn new(sidecar: &Arc<Sidecar>) -> Rope {
        Rope(Mutex::new(End { sidecar: Arc::downgrade(sidecar), waits: false, watches: false }))
    }

    /// The session has another sidecar now.
    pub(super) fn move_to(&self, sidecar: &Arc<Sidecar>) -> Result<()> {
        let mut end = whole(&self.0);
        end.sidecar = Arc::downgrade(sidecar);
        sidecar.wait_for_ring(end.waits)?;
        sidecar.watch(end.watches)
    }

    fn wait(&self, somebody: bool) -> Result<()> {
        let mut end = whole(&self.0);
        end.waits = somebody;
        // Without a session nobody rings.
        end.sidecar.upgrade().map_or(Ok(()), |sidecar| sidecar.wait_for_ring(somebody))
    }
}

impl Rope {
    fn watch(&self, somebody: bool) -> Result<()> {
        let mut end = whole(&self.0);
        end.watches = somebody;
        end.sidecar.upgrade().map_or(Ok(()), |sidecar| sidecar.watch(somebody))
    }

    /// Whether somebody here watches for changes.
    pub(super) fn watches(&self) -> bool {
        whole(&self.0).watches
    }
}

/// The bell of one process.
#[derive(Debug)]
pub(super) struct SqliteBell {
    place: Arc<Place>,
    rope: Arc<Rope>,
    watcher: Mutex<Option<RecommendedWatcher>>,
}

impl SqliteBell {
    pub(super) fn new(place: Arc<Place>, rope: Arc<Rope>) -> SqliteBell {
        SqliteBell { place, rope, watcher: Mutex::default() }
    }
}

impl Bell for SqliteBell {
    fn listen(&self, on_ring: Box<dyn Fn() + Send + Sync>) -> Result<()> {
        let handler = move |event: notify::Result<notify::Event>| {
            // An error means that something was missed: that is a reason to look, too.
            if event.map_or(true, |event| is_ring(&event.kind)) {
                on_ring();
            }
        };
        let mut watcher = notify::recommended_watcher(handler).map_err(unwatched)?;
        let path = self.place.beside("-sync");
        watcher.watch(&path, RecursiveMode::NonRecursive).map_err(unwatched)?;
        *whole(&self.watcher) = Some(watcher);
        Ok(())
    }

    fn waiting(&self, somebody: bool) -> Result<()> {
        self.rope.wait(somebody)
    }

    fn watching(&self, somebody: bool) -> Result<()> {
        self.rope.watch(somebody)
    }
}

/// A panic elsewhere cannot have left it half changed.
fn whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A ring is a write. A dying process is a close: the kernel closes what it had open for writing. A sidecar
/// that is removed or renamed is looked at as well.
fn is_ring(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn unwatched(error: notify::Error) -> Error {
    Error::Storage { detail: format!("the store's sidecar cannot be watched: {error}") }
}

//! The bell between processes: waking when another process rings or dies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Bell;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::place::Place;
use super::sync::Sidecar;

/// The bell of one store.
#[derive(Debug)]
pub(super) struct SqliteBell {
    place: Arc<Place>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watcher: Option<RecommendedWatcher>,
    /// Opened on first use, for reading only, so that closing it wakes nobody.
    sidecar: Option<Sidecar>,
}

impl SqliteBell {
    pub(super) fn new(place: Arc<Place>) -> SqliteBell {
        SqliteBell { place, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.state().watcher = Some(watcher);
        Ok(())
    }

    fn waiting(&self, somebody: bool) -> Result<()> {
        let mut state = self.state();
        if state.sidecar.as_ref().is_none_or(|sidecar| !sidecar.is_current()) {
            state.sidecar = Sidecar::look(&self.place);
        }
        match &state.sidecar {
            Some(sidecar) => sidecar.wait_for_ring(somebody),
            None => Err(Error::Storage { detail: "the store's sidecar is missing".into() }),
        }
    }
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

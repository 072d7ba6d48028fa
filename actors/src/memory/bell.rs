//! The bell in memory: whoever rings calls the others' callbacks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::storage::Bell;

type OnRing = Arc<dyn Fn() + Send + Sync>;

/// All bells of a store.
#[derive(Clone, Default)]
pub(super) struct Belfry(Arc<Mutex<Bells>>);

#[derive(Default)]
struct Bells {
    last: u64,
    bells: BTreeMap<u64, Listener>,
}

#[derive(Clone, Default)]
struct Listener {
    process: u64,
    on_ring: Option<OnRing>,
    waiting: bool,
    watching: bool,
}

impl Belfry {
    /// A new bell of a process.
    pub(super) fn bell(&self, process: u64) -> Box<dyn Bell> {
        let mut bells = self.bells();
        bells.last += 1;
        let id = bells.last;
        bells.bells.insert(id, Listener { process, ..Listener::default() });
        Box::new(MemoryBell { id, belfry: self.clone() })
    }

    /// A process rings where another one waits.
    pub(super) fn ring(&self, process: u64) {
        self.call(|bell| bell.waiting && bell.process != process);
    }

    /// Rings everywhere: a process has died or left, or something else that nobody may miss.
    pub(super) fn alarm(&self) {
        self.call(|_| true);
    }

    /// Whether any process watches for changes.
    pub(super) fn is_watched(&self) -> bool {
        self.bells().bells.values().any(|bell| bell.watching)
    }

    /// Calls back without holding anything, so that a callback may do what it likes.
    fn call(&self, which: impl Fn(&Listener) -> bool) {
        let called: Vec<Listener> = self.bells().bells.values().filter(|bell| which(bell)).cloned().collect();
        for on_ring in called.into_iter().filter_map(|bell| bell.on_ring) {
            on_ring();
        }
    }

    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Belfry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Belfry").field("bells", &self.bells().bells.len()).finish()
    }
}

/// One process's bell. Dropped, it is silent.
struct MemoryBell {
    id: u64,
    belfry: Belfry,
}

impl Bell for MemoryBell {
    fn listen(&self, on_ring: Box<dyn Fn() + Send + Sync>) -> Result<()> {
        if let Some(bell) = self.belfry.bells().bells.get_mut(&self.id) {
            bell.on_ring = Some(Arc::from(on_ring));
        }
        Ok(())
    }

    fn waiting(&self, somebody: bool) -> Result<()> {
        if let Some(bell) = self.belfry.bells().bells.get_mut(&self.id) {
            bell.waiting = somebody;
        }
        Ok(())
    }

    fn watching(&self, somebody: bool) -> Result<()> {
        if let Some(bell) = self.belfry.bells().bells.get_mut(&self.id) {
            bell.watching = somebody;
        }
        Ok(())
    }
}

impl Drop for MemoryBell {
    fn drop(&mut self) {
        self.belfry.bells().bells.remove(&self.id);
    }
}

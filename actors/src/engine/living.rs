//! Who lives, if that is known.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The processes that live.
#[derive(Clone, Debug)]
pub struct Living {
    /// Nothing if it has to be found out.
    known: Option<BTreeSet<u64>>,
    /// Who asks, and lives.
    own: u64,
    wanted: Cell<bool>,
    missing: Option<Arc<AtomicBool>>,
}

impl Default for Living {
    fn default() -> Living {
        Living { known: Some(BTreeSet::new()), own: 0, wanted: Cell::new(false), missing: None }
    }
}

impl Living {
    /// Not found out yet. Whoever asks raises the flag.
    #[must_use]
    pub fn elsewhere(missing: &Arc<AtomicBool>) -> Living {
        Living { known: None, own: 0, wanted: Cell::new(false), missing: Some(Arc::clone(missing)) }
    }

    /// Whether a process lives.
    pub fn has(&self, process: u64) -> bool {
        // One's own life need not be found out.
        process == self.own || self.known().is_some_and(|known| known.contains(&process))
    }

    /// All that live.
    pub fn all(&self) -> BTreeSet<u64> {
        self.known().cloned().unwrap_or_default()
    }

    /// A process comes.
    pub fn add(&mut self, process: u64) {
        if let Some(known) = &mut self.known {
            known.insert(process);
        }
    }

    /// Whoever asks is this process.
    pub fn add_own(&mut self, process: u64) {
        self.own = process;
    }

    /// A process goes.
    pub fn remove(&mut self, process: u64) {
        if self.own == process {
            self.own = 0;
        }
        if let Some(known) = &mut self.known {
            known.remove(&process);
        }
    }

    /// It was found out.
    pub fn know(&mut self, living: BTreeSet<u64>) {
        self.known = Some(living);
    }

    /// Whether somebody asked since this was asked last, and it was not known.
    pub fn take_want(&mut self) -> bool {
        self.wanted.take()
    }

    /// It has to be found out anew, unless that is told here.
    pub fn forget(&mut self) {
        if self.missing.is_some() {
            self.known = None;
            self.wanted.set(false);
        }
    }

    fn known(&self) -> Option<&BTreeSet<u64>> {
        if self.known.is_none() {
            self.wanted.set(true);
            self.missing.iter().for_each(|missing| missing.store(true, Ordering::Relaxed));
        }
        self.known.as_ref()
    }
}

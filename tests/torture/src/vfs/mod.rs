//! A disk that remembers what was done to it, and that can be told to fail: a shim over SQLite's way to the files.
//!
//! | file | what it does |
//! | --- | --- |
//! | `journal` | what was done to the files of a store, in order |
//! | `fault` | which call is to fail, and how |
//! | `past` | the few calls of the store itself |
//! | `shim` | the calls of SQLite, recorded, refused or passed on; the only unsafe code of the project |
//!
//! Once [`install`]ed it is the default of the process, so the product needs no hook. Files of a store that nobody
//! [`watch`](Disk::watch)es go straight to the operating system. Locks and shared memory always do, and so does the
//! sidecar, which is no file of SQLite's.

mod fault;
mod journal;
mod past;
#[allow(unsafe_code, reason = "a VFS is a table of C functions")]
mod shim;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::fault::{Call, Fault, Harm};
pub use self::journal::{Entry, File};
pub use self::shim::install;
use crate::Result;

/// The disks that are watched, by the path of their store.
static WATCHED: Mutex<BTreeMap<PathBuf, Arc<Disk>>> = Mutex::new(BTreeMap::new());

/// What lies under one store: its files' journal, and the fault that waits for its call.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    recording: bool,
    journal: Vec<Entry>,
    fault: Option<Fault>,
    /// Whoever asks what is on disk is told that everything is.
    boasts: bool,
    /// Calls so far that the fault could have met.
    seen: u64,
    fired: u64,
}

impl Disk {
    /// Watches the files of the store at `path`, and records from now on, until the last handle is
    /// [`forget`](Disk::forget)ten.
    ///
    /// # Errors
    /// If the folder of `path` does not exist.
    pub fn watch(path: &Path) -> Result<Arc<Disk>> {
        install();
        let folder = path.parent().ok_or("no folder")?.canonicalize()?;
        let path = folder.join(path.file_name().ok_or("no name")?);
        let state = State { recording: true, ..State::default() };
        let disk = Arc::new(Disk { path: path.clone(), state: Mutex::new(state) });
        watched().insert(path, Arc::clone(&disk));
        Ok(disk)
    }

    /// Connections that are opened from now on are not watched any more.
    pub fn forget(&self) {
        watched().remove(&self.path);
    }

    /// Puts a mark into the journal, between the calls before and after it.
    pub fn mark(&self, mark: usize) {
        self.note(Entry::Mark(mark));
    }

    /// What was done to the files since the last time, which is forgotten here.
    #[must_use]
    pub fn take_journal(&self) -> Vec<Entry> {
        std::mem::take(&mut self.state().journal)
    }

    /// Entries in the journal.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.state().journal.len()
    }

    /// Whether to record; a run that only counts failures needs no memory for it.
    pub fn record(&self, on: bool) {
        self.state().recording = on;
    }

    /// From now on calls are counted, and the one that the fault is meant for fails.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.seen, state.fired) = (Some(fault), 0, 0);
    }

    /// From now on it says that everything that can be read is on disk.
    pub fn boast(&self) {
        self.state().boasts = true;
    }

    /// Calls that have failed since the fault was set.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.state().fired
    }

    /// Nothing fails any more; how many calls did.
    pub fn heal(&self) -> u64 {
        let mut state = self.state();
        state.fault = None;
        state.fired
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was done.
    fn note(&self, entry: Entry) {
        let mut state = self.state();
        if state.recording {
            state.journal.push(entry);
        }
    }

    /// Something is about to be done: whether it is to fail, and how.
    fn meets(&self, call: Call, file: File) -> Option<Harm> {
        let mut state = self.state();
        let fault = state.fault.filter(|fault| fault.is_meant_for(call, file))?;
        state.seen += 1;
        if !fault.strikes(state.seen) {
            return None;
        }
        state.fired += 1;
        Some(fault.harm)
    }
}

fn watched() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Disk>>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The disk under a file of SQLite's, and which file of the store it is; `None` if nobody watches it.
fn find(path: &Path) -> Option<(Arc<Disk>, File)> {
    let (store, file) = File::of(path);
    let disk = watched().get(&store).map(Arc::clone)?;
    Some((disk, file))
}

//! The contract in plain maps: a store that lives as long as its process, and the yardstick of the suite.
//!
//! It is written to be obviously right rather than fast. Several sessions joined to one [`Memory`] behave as
//! several processes; one that is dropped without leaving is dead at once. Files in reading order: the tables
//! (`table`, `store`), what is done to them (`process`, `lock`, `stream`, `import`, `snapshot`), and who does it
//! (`session`, `view`, `bell`).

pub mod faults;

mod bell;
mod import;
mod lock;
mod process;
mod session;
mod snapshot;
mod store;
mod stream;
mod table;
mod view;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use self::bell::Belfry;
use self::faults::Faults;
use self::session::MemorySession;
use self::store::Store;
use self::view::MemoryView;
use crate::error::Result;
use crate::storage::{Backend, Bell, Identity, Moment, Session, View};

/// A store in memory; all clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Shared>);

/// What the processes of one store share.
#[derive(Debug, Default)]
struct Shared {
    store: Mutex<Store>,
    turn: Turn,
    belfry: Belfry,
    faults: Faults,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    /// The knobs by which a test makes this store fail.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.0.faults.clone()
    }

    /// Buries a process though it may live, as another does that takes it for dead. Needs nobody's transaction
    /// to be open. The process learns of it from its next `begin`.
    #[cfg(any(test, feature = "testing"))]
    pub fn bury(&self, process: u64, now: Moment) {
        let mut store = self.0.store();
        let undertaker = store::Caller { process: 0, boot: Arc::from(store.boot.as_str()), now };
        store.bury(&undertaker, process);
        store.commit();
    }
}

impl Backend for Memory {
    fn join(&self, identity: &Identity, now: Moment) -> Result<Box<dyn Session>> {
        Ok(Box::new(MemorySession::join(Arc::clone(&self.0), identity, now)))
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(MemoryView(Arc::clone(&self.0))))
    }

    fn bell(&self) -> Box<dyn Bell> {
        self.0.belfry.bell()
    }
}

impl Shared {
    /// The tables. Held for one call at a time, never over two.
    ///
    /// A panic in between is a test's doing; the session's rollback puts the tables right.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose turn it is to write.
#[derive(Debug, Default)]
struct Turn {
    taken_by: Mutex<Option<u64>>,
    left: Condvar,
}

impl Turn {
    /// Takes the turn for `process`; waits for it if `wait`. Whether it has it then.
    fn take(&self, process: u64, wait: bool) -> bool {
        let mut taken_by = self.taken_by();
        let others = |taken_by: &Option<u64>| taken_by.is_some_and(|other| other != process);
        if others(&taken_by) && !wait {
            return false;
        }
        while others(&taken_by) {
            taken_by = self.left.wait(taken_by).unwrap_or_else(PoisonError::into_inner);
        }
        *taken_by = Some(process);
        true
    }

    /// Gives the turn up if `process` has it.
    fn leave(&self, process: u64) {
        let mut taken_by = self.taken_by();
        if *taken_by == Some(process) {
            *taken_by = None;
            self.left.notify_all();
        }
    }

    fn taken_by(&self) -> MutexGuard<'_, Option<u64>> {
        self.taken_by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

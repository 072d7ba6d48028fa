//! The contract in plain maps: a store that lives as long as its process, and the yardstick of the suite.
//!
//! The tables, and what is done to them, are the [`engine`](crate::engine)'s; here is who does it (`session`, `view`, `bell`). Several
//! sessions joined to one [`Memory`] behave as several processes; one that is dropped without leaving is dead at once.

pub mod faults;

mod bell;
mod session;
mod view;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use self::bell::Belfry;
use self::faults::Faults;
use self::session::MemorySession;
use self::view::MemoryView;
use crate::engine::Store;
use crate::error::{Occupant, Result};
use crate::storage::filter::Fields;
use crate::storage::{self, Backend, Identity, Moment, Session, View};

/// A store in memory; all clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Shared>);

/// What the processes of one store share.
#[derive(Debug, Default)]
struct Shared {
    store: Mutex<Sides>,
    turn: Turn,
    belfry: Belfry,
    faults: Faults,
}

/// All tables, twice: a reader and a transaction each look things up in the plainest way.
#[derive(Debug, Default)]
struct Sides {
    /// What readers see.
    committed: Store,
    /// What the transaction sees.
    working: Store,
}

impl Sides {
    /// The transaction's writes become visible to readers, all at once.
    fn commit(&mut self) {
        self.working.commit_to(&mut self.committed);
    }

    /// For what no transaction is asked about.
    fn both(&mut self, change: impl Fn(&mut Store)) {
        change(&mut self.committed);
        change(&mut self.working);
    }
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    /// An empty store whose filters and indexes read payloads with this. In one that is [`new`](Memory::new) nothing has a field.
    #[must_use]
    pub fn reading(fields: Fields) -> Memory {
        let memory = Memory::new();
        memory.0.store().both(|store| store.fields = fields);
        memory
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
        let undertaker =
            crate::engine::Caller { process: 0, boot: Arc::from(store.working.boot.as_str()), now };
        store.working.bury(&undertaker, process);
        store.commit();
    }
}

#[cfg(any(test, feature = "testing"))]
impl Memory {
    /// Has the turn pass from whoever has it to a process that is not there, past all who wait: as when one process
    /// commits and the next one takes the turn before us, again and again.
    pub fn pass_the_turn_to(&self, process: Identity, id: u64) {
        self.0.turn.taken().give(id, Occupant::Process(process.named(id)));
    }

    /// Whoever has the turn dies.
    pub fn end_the_turn(&self) {
        self.0.turn.taken().by = None;
        self.0.turn.left.notify_all();
    }
}

impl Backend for Memory {
    fn join(&self, identity: &Identity, now: &dyn Fn() -> Moment) -> Result<Box<dyn Session>> {
        Ok(Box::new(MemorySession::join(Arc::clone(&self.0), identity, now)))
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(MemoryView(Arc::clone(&self.0))))
    }
}

impl Shared {
    /// The tables. Held for one call at a time, never over two.
    ///
    /// A panic in between is a test's doing; the session's rollback puts the tables right.
    fn store(&self) -> MutexGuard<'_, Sides> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose turn it is to write.
#[derive(Debug, Default)]
struct Turn {
    taken: Mutex<Taken>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    by: Option<(u64, Occupant)>,
    /// Turns taken so far.
    number: u64,
}

impl Taken {
    fn others_than(&self, seat: u64) -> bool {
        self.by.as_ref().is_some_and(|(other, _)| *other != seat)
    }

    fn give(&mut self, seat: u64, occupant: Occupant) {
        self.by = Some((seat, occupant));
        self.number += 1;
    }
}

impl Turn {
    /// Takes the turn for `seat`; waits for it if `wait`. Whether it has it then.
    fn take(&self, seat: u64, occupant: Occupant, wait: bool) -> bool {
        let mut taken = self.taken();
        if taken.others_than(seat) && !wait {
            return false;
        }
        while taken.others_than(seat) {
            taken = self.left.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        if taken.by.is_none() {
            taken.give(seat, occupant);
        }
        true
    }

    /// Gives the turn up if `seat` has it.
    fn leave(&self, seat: u64) {
        let mut taken = self.taken();
        if taken.by.is_some() && !taken.others_than(seat) {
            taken.by = None;
            self.left.notify_all();
        }
    }

    /// Whether `seat` has it.
    fn is_of(&self, seat: u64) -> bool {
        let taken = self.taken();
        taken.by.is_some() && !taken.others_than(seat)
    }

    /// The turn that somebody has.
    fn holder(&self) -> Option<storage::Turn> {
        let taken = self.taken();
        let by = taken.by.as_ref();
        by.map(|(_, occupant)| storage::Turn { occupant: occupant.clone(), number: taken.number })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! What a store is used for while its disk is watched: appends, imports, an aggregate with snapshots, a lock with a
//! ledger under it; one caller, or many at once, who share groups.
//!
//! Who does what is determined by the seed. All callers live on one thread, so the order in which they ask is too; which
//! of them share a commit is up to the threads of the store.

mod deed;
mod settle;
mod tally;
mod told;

use futures_executor::block_on;
use futures_util::future::join_all;
use millpond::Store;

use self::deed::Deed;
pub use self::tally::{Happened, Tally};
pub use self::told::{Told, Word};
use crate::Result;
use crate::random::Random;

/// Callers in a round, by chance.
const CALLERS: [u64; 8] = [1, 1, 1, 2, 4, 8, 16, 32];

/// A run of rounds on one store.
#[derive(Debug)]
pub struct Workload<'a> {
    told: &'a Told,
    random: Random,
    /// What has been done so far: the number of the next deed.
    next: u64,
}

impl<'a> Workload<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(told: &'a Told, seed: u64) -> Workload<'a> {
        Workload { told, random: Random::new(seed), next: 1 }
    }

    /// Goes on behind a deed that has this number.
    #[must_use]
    pub fn after(self, number: u64) -> Workload<'a> {
        Workload { next: number, ..self }
    }

    /// A round of some callers, who ask at once. Returns when all have been answered.
    pub fn round(&mut self, store: &Store) {
        let callers = CALLERS.get(self.random.below(CALLERS.len() as u64) as usize).copied().unwrap_or(1);
        let deeds: Vec<Deed> =
            (0..callers).map(|who| Deed::draw(who, self.number(), &mut self.random)).collect();
        self.perform(store, &deeds);
    }

    /// Looks which of the events that nobody knew about are there, once something else has been acknowledged.
    ///
    /// # Errors
    /// What the store said to the reader.
    pub fn settle(&self, store: &Store) -> Result<()> {
        settle::settle(store, self.told)
    }

    /// One caller takes the lock.
    pub fn turn(&mut self, store: &Store) {
        let deed = Deed::Turn { who: 0, number: self.number() };
        self.perform(store, &[deed]);
    }

    /// A group of appends of so many callers.
    pub fn group(&mut self, store: &Store, callers: u64) {
        let deeds: Vec<Deed> = (0..callers).map(|who| Deed::append(who, self.number())).collect();
        self.perform(store, &deeds);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn perform(&self, store: &Store, deeds: &[Deed]) {
        block_on(join_all(deeds.iter().map(|deed| deed.perform(store, self.told))));
    }
}

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
use crate::callers::Caller;
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
    /// Readers in a round.
    readers: u64,
    /// Bytes that come with each event of a group, besides its content.
    pad: usize,
}

impl<'a> Workload<'a> {
    /// Nothing done yet.
    #[must_use]
    pub fn new(told: &'a Told, seed: u64) -> Workload<'a> {
        Workload { told, random: Random::new(seed), next: 1, readers: 0, pad: 0 }
    }

    /// Goes on behind a deed that has this number.
    #[must_use]
    pub fn after(self, number: u64) -> Workload<'a> {
        Workload { next: number, ..self }
    }

    /// With so many readers in each round.
    #[must_use]
    pub fn read_by(self, readers: u64) -> Workload<'a> {
        Workload { readers, ..self }
    }

    /// The events of its groups are larger by so many bytes, which may be 65,000 at most.
    #[must_use]
    pub fn padded(self, pad: usize) -> Workload<'a> {
        Workload { pad, ..self }
    }

    /// A round of some callers, who ask at once. Returns when all have been answered.
    pub fn round(&mut self, store: &Store) {
        let callers = CALLERS.get(self.random.below(CALLERS.len() as u64) as usize).copied().unwrap_or(1);
        let mut deeds: Vec<Deed> =
            (0..callers).map(|who| Deed::draw(who, self.number(), &mut self.random)).collect();
        deeds.extend((0..self.readers).map(|_| Deed::read()));
        self.perform(store, &deeds);
    }

    /// Some callers, for somebody who does not let all of them come to their end.
    pub fn callers<'s>(&mut self, store: &'s Store, callers: u64) -> Vec<Caller<'s>>
    where
        'a: 's,
    {
        let told = self.told;
        let draw = |who| {
            let deed = Deed::draw(who, self.number(), &mut self.random);
            Box::pin(async move { deed.perform(store, told).await }) as Caller<'s>
        };
        (0..callers).map(draw).collect()
    }

    /// Appends and imports of so many callers, for somebody who does not let all of them come to their end.
    pub fn appends<'s>(&mut self, store: &'s Store, callers: u64) -> Vec<Caller<'s>>
    where
        'a: 's,
    {
        let (told, pad) = (self.told, self.pad);
        let append = |who| {
            let deed = Deed::append(who, self.number(), pad);
            Box::pin(async move { deed.perform(store, told).await }) as Caller<'s>
        };
        (0..callers).map(append).collect()
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
        let deeds: Vec<Deed> = (0..callers).map(|who| Deed::append(who, self.number(), self.pad)).collect();
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

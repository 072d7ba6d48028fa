//! What a store is used for while it is hurt: by one caller, or by many at once, who share groups.
//!
//! Each [`Primitive`] has a file here, and a line in [`ALL`]. That is all it takes to have it used and judged while the
//! power fails (`power`, `fsync`), calls to files fail (`io`, `full`), processes are killed (`kill`, `failpoints`),
//! callers go away (`cancel`), and files are harmed (`files`).
//!
//! Who does what is determined by the seed. All callers live on one thread, so the order in which they ask is too; which
//! of them share a commit is up to the threads of the store.

pub mod aggregate;
mod batch;
mod blob;
mod channel;
mod dict;
mod erase;
pub mod events;
mod feed;
mod ledger;
mod line;
mod list;
mod lock;
mod log;
mod part;
pub mod queue;
mod rw_lock;
mod semaphore;
mod settle;
pub mod told;

use std::fmt::Debug;
use std::path::Path;
use std::pin::Pin;

use futures_executor::block_on;
use futures_util::future::join_all;
use millpond::{Error, Store, blocking};

pub use self::aggregate::{Happened, Tally};
pub use self::erase::is_erasable;
pub use self::events::Call;
pub use self::line::Line;
pub use self::told::{Fact, Told, Word};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Every primitive.
pub const ALL: &[&dyn Primitive] = &[
    &events::Events,
    &aggregate::Tallies,
    &lock::Till,
    &semaphore::Desk,
    &rw_lock::Shelf,
    &log::Logs,
    &channel::Channels,
    &dict::Dicts,
    &list::Lists,
    &blob::Films,
    &queue::Jobs,
    &batch::Batches,
    &erase::Slates,
];

/// One thing that a caller does. What has the same who and number is the same thing, with the same ids.
#[derive(Clone, Copy, Debug)]
pub struct Deed {
    /// Who.
    pub who: u64,
    /// Which of theirs.
    pub number: u64,
    /// Bytes that come with what is written, if that can be: 65,000 at most.
    pub pad: usize,
}

/// What can be read in one way: its name, and what is there.
pub type Reading = (String, std::result::Result<Option<Found>, Error>);

/// Something that a store can be used for, and what must be true of it afterwards.
pub trait Primitive: Debug + Sync {
    /// Its name on every floor.
    fn name(&self) -> &'static str;

    /// The beginnings of the names of the streams that are its own; none if it has no events.
    fn streams(&self) -> &'static [&'static str];

    /// How many deeds are of this sort, beside the shares of the others.
    fn share(&self) -> u64 {
        1
    }

    /// Whether a deed of this number that is done twice has one effect.
    fn is_idempotent(&self, _number: u64) -> bool {
        true
    }

    /// A caller who does it; what is left open is drawn now. It tells each thing that it is told, when it is.
    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s>;

    /// Everything that can be read of it besides the events, which are given.
    fn read<'s>(
        &self,
        _store: &'s Store,
        _found: &'s [Found],
    ) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// What is in tables of its own, which no handle reads.
    ///
    /// # Errors
    /// What the database said.
    fn rows(&self, _file: &Path) -> Result<Vec<Found>> {
        Ok(Vec::new())
    }

    /// What is wrong with it, whatever anybody was told.
    fn check(&self, seen: &Seen) -> Vec<Violation>;

    /// The same of a store that was harmed, where numbers may be others that no checksum covers.
    fn check_harmed(&self, seen: &Seen) -> Vec<Violation> {
        self.check(seen)
    }

    /// Whether everything that is read of it besides the events stays as it is, but for its state.
    fn stays(&self) -> bool {
        false
    }

    /// What somebody was told about, if it is there.
    fn find<'s>(&self, seen: &'s Seen, fact: &Fact) -> Option<&'s Found> {
        seen.find(fact)
    }

    /// What callers were told about it, and is not so. What comes and goes again needs all words for that; what stays is
    /// there as it was told.
    fn judge(&self, seen: &Seen, words: &[Word]) -> Vec<Violation> {
        let own = words.iter().filter(|word| word.fact().is_some_and(|fact| fact.of == self.name()));
        own.filter_map(|word| seen.belie(word)).collect()
    }

    /// Writes to a store that has been looked at.
    ///
    /// # Errors
    /// What the store said.
    fn use_again(&self, _store: &blocking::Store, _seen: &mut Seen) -> Result<()> {
        Ok(())
    }

    /// Takes all that there is to be had of it, without waiting, and gives it back; `false` if somebody has some. Where there
    /// is nothing to be had, nobody has.
    fn take_all<'s>(&self, _store: &'s Store) -> Pin<Box<dyn Future<Output = millpond::Result<bool>> + 's>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Ways to spoil the evidence, each of which must be noticed.
    fn mutants(&self) -> &'static [Mutant];
}

/// A way to spoil what was told, or what was seen.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name on the command line.
    pub name: &'static str,
    /// What must be said of it.
    pub breaks: Broken,
    /// Spoils it; `false` if there is nothing to be spoilt in this way.
    pub spoil: fn(&mut [Word], &mut Seen) -> bool,
}

impl PartialEq for Mutant {
    fn eq(&self, other: &Mutant) -> bool {
        self.name == other.name
    }
}

/// Every mutant of every primitive.
pub fn mutants() -> impl Iterator<Item = &'static Mutant> {
    ALL.iter().flat_map(|primitive| primitive.mutants())
}

/// The primitive of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Primitive> {
    ALL.iter().find(|primitive| primitive.name() == name).copied()
}

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
    /// Bytes that come with each deed.
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

    /// What is written is larger by so many bytes, which may be 65,000 at most.
    #[must_use]
    pub fn padded(self, pad: usize) -> Workload<'a> {
        Workload { pad, ..self }
    }

    /// A round of some callers, who ask at once. Returns when all have been answered.
    pub fn round(&mut self, store: &Store) {
        let callers = CALLERS.get(self.random.below(CALLERS.len() as u64) as usize).copied().unwrap_or(1);
        let mut all = self.callers(store, callers);
        all.extend((0..self.readers).map(|_| Box::pin(events::read(store, self.told)) as Caller<'_>));
        block_on(join_all(all));
    }

    /// So many callers at once.
    pub fn some(&mut self, store: &Store, callers: u64) {
        block_on(join_all(self.callers(store, callers)));
    }

    /// Each primitive once, one after the other.
    pub fn each(&mut self, store: &Store) {
        self.one_of_each(store).into_iter().for_each(block_on);
    }

    /// The same, for somebody who looks at each of them.
    pub fn one_of_each<'s>(&mut self, store: &'s Store) -> Vec<Caller<'s>>
    where
        'a: 's,
    {
        let ask = |primitive: &&dyn Primitive| {
            let deed = self.deed(0);
            primitive.ask(deed, &mut self.random, store, self.told)
        };
        ALL.iter().map(ask).collect()
    }

    /// A group of appends of so many callers.
    pub fn group(&mut self, store: &Store, callers: u64) {
        block_on(join_all(self.appends(store, callers)));
    }

    /// Some callers, for somebody who does not let all of them come to their end.
    pub fn callers<'s>(&mut self, store: &'s Store, callers: u64) -> Vec<Caller<'s>>
    where
        'a: 's,
    {
        let ask = |who| self.draw().ask(self.deed(who), &mut self.random, store, self.told);
        (0..callers).map(ask).collect()
    }

    /// Appends and imports of so many callers, for somebody who does not let all of them come to their end.
    pub fn appends<'s>(&mut self, store: &'s Store, callers: u64) -> Vec<Caller<'s>>
    where
        'a: 's,
    {
        let ask = |who| events::Events.ask(self.deed(who), &mut self.random, store, self.told);
        (0..callers).map(ask).collect()
    }

    /// So many who push a job and wait for one, for somebody who does not let all of them come to their end.
    pub fn pops<'s>(&mut self, store: &'s Store, callers: u64) -> Vec<Caller<'s>>
    where
        'a: 's,
    {
        let ask = |who| queue::Jobs.wait(self.deed(who), &mut self.random, store, self.told);
        (0..callers).map(ask).collect()
    }

    /// Looks which of the things that nobody knew about are there, once something else has been acknowledged.
    ///
    /// # Errors
    /// What the store said to the reader.
    pub fn settle(&self, store: &Store) -> Result<()> {
        settle::settle(store, self.told)
    }

    /// A primitive by chance, and by its share.
    fn draw(&mut self) -> &'static dyn Primitive {
        let mut at = self.random.below(ALL.iter().map(|primitive| primitive.share()).sum());
        let is_it = |primitive: &&&dyn Primitive| {
            let share = primitive.share();
            let is_it = at < share;
            at = at.saturating_sub(share);
            is_it
        };
        ALL.iter().find(is_it).copied().unwrap_or(&events::Events)
    }

    fn deed(&mut self, who: u64) -> Deed {
        self.next += 1;
        Deed { who, number: self.next, pad: self.pad }
    }
}

//! What the store told its callers, in order, with a mark in the disk's journal for each word.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpond::{Error, WriteOutcome};
use serde::Serialize;
use uuid::Uuid;

use super::{Primitive, named};
use crate::look::Found;
use crate::vfs::Disk;

/// Something that a caller has written, or wants to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The primitive that knows where it is.
    pub of: &'static str,
    /// Its id; nil if the store gives it one, and it is known by what is in it.
    pub id: Uuid,
    /// The name of what it belongs to: its stream.
    pub stream: String,
    /// Its content.
    pub content: String,
    /// Version and position, if that was said.
    pub place: Option<(u64, u64)>,
}

impl Fact {
    /// One whose place is not known yet.
    #[must_use]
    pub fn new(of: &dyn Primitive, id: Uuid, stream: impl Into<String>, content: impl Into<String>) -> Fact {
        Fact { of: of.name(), id, stream: stream.into(), content: content.into(), place: None }
    }

    /// Whether it is an event, whose position is one among all events.
    #[must_use]
    pub fn is_event(&self) -> bool {
        let own = named(self.of).map_or(&[][..], |primitive| primitive.streams());
        own.iter().any(|beginning| self.stream.starts_with(beginning))
    }
}

/// A caller was told something.
#[derive(Clone, Debug)]
pub enum Word {
    /// It is on disk.
    Acked(Fact),
    /// It was not applied, and never will be.
    Refused(Fact, Error),
    /// Nobody knows about it, until the next one is acknowledged.
    Unknown(Fact, Error),
    /// What nobody knew about is there, or is not.
    Settled(Fact, bool),
    /// A reader was shown these events, whoever wrote them.
    Saw(Vec<Found>),
    /// Something was granted under this token; each is larger than all before.
    Granted(u64),
    /// A lock could not be had, or be given back.
    Failed(Error),
}

impl Word {
    /// What happened to that which a caller wanted to write.
    #[must_use]
    pub fn fact(&self) -> Option<&Fact> {
        match self {
            Word::Acked(fact) | Word::Refused(fact, _) | Word::Unknown(fact, _) | Word::Settled(fact, _) => {
                Some(fact)
            }
            Word::Saw(_) | Word::Granted(_) | Word::Failed(_) => None,
        }
    }

    /// Whether it is good news.
    #[must_use]
    pub fn is_acked(&self) -> bool {
        matches!(self, Word::Acked(_))
    }
}

/// How many words there are of each sort.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// Something is on disk.
    pub acked: u64,
    /// Something was not applied.
    pub refused: u64,
    /// Nobody knows.
    pub unknown: u64,
    /// Somebody has looked.
    pub settled: u64,
}

impl Counts {
    /// Together with some words more.
    pub fn add(&mut self, words: &[Word]) {
        for word in words {
            match word {
                Word::Acked(_) => self.acked += 1,
                Word::Refused(..) | Word::Failed(_) => self.refused += 1,
                Word::Unknown(..) => self.unknown += 1,
                Word::Settled(..) => self.settled += 1,
                Word::Saw(_) | Word::Granted(_) => {}
            }
        }
    }

    /// Of these.
    #[must_use]
    pub fn of(words: &[Word]) -> Counts {
        let mut counts = Counts::default();
        counts.add(words);
        counts
    }
}

/// Whoever was told that all is well is told that nothing was applied.
pub fn deny(words: &mut [Word], error: &Error) {
    for word in words {
        if let Word::Acked(fact) = word {
            *word = Word::Refused(fact.clone(), error.clone());
        }
    }
}

/// Whoever was told that all is well is told so of something that nobody wrote; only the first, or all.
pub fn forget(words: &mut [Word], most: usize) {
    let acked =
        words.iter_mut().filter_map(|word| if let Word::Acked(fact) = word { Some(fact) } else { None });
    acked.take(most).for_each(|fact| fact.id = Uuid::from_u128(7));
}

/// Nobody was told of what was found here.
pub(super) fn unsay(words: &mut [Word], found: &Found) {
    for word in words.iter_mut().filter(|word| word.fact().is_some_and(|fact| fact.id == found.id)) {
        *word = Word::Saw(Vec::new());
    }
}

/// All words, and the journal that is marked with their number, if a disk is watched.
#[derive(Debug, Default)]
pub struct Told {
    disk: Option<Arc<Disk>>,
    words: Mutex<Vec<Word>>,
}

impl Told {
    /// Nothing yet.
    #[must_use]
    pub fn new(disk: Arc<Disk>) -> Told {
        Told { disk: Some(disk), words: Mutex::default() }
    }

    /// A caller has just been told so.
    pub fn say(&self, said: impl IntoIterator<Item = Word>) {
        let mut words = self.words();
        words.extend(said);
        if let Some(disk) = &self.disk {
            disk.mark(words.len());
        }
    }

    /// A caller hears how it went with these facts of one call; the place is that of the last.
    pub fn answer(&self, facts: Vec<Fact>, answer: &Result<Option<(u64, u64)>, Error>) {
        let count = facts.len() as u64;
        self.say((1..).zip(facts).map(|(number, fact)| match answer {
            Ok(last) => {
                let place =
                    last.map(|(version, position)| (version + number - count, position + number - count));
                Word::Acked(Fact { place, ..fact })
            }
            Err(error) if error.outcome() == WriteOutcome::Unknown => Word::Unknown(fact, error.clone()),
            Err(error) => Word::Refused(fact, error.clone()),
        }));
    }

    /// What was said so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Word> {
        self.words().clone()
    }

    /// What was said, which is then forgotten.
    #[must_use]
    pub fn take(&self) -> Vec<Word> {
        std::mem::take(&mut *self.words())
    }

    fn words(&self) -> MutexGuard<'_, Vec<Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

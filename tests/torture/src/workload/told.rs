//! What the store told its callers, in order, with a mark in the disk's journal for each word.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpond::{Error, WriteOutcome};
use uuid::Uuid;

use crate::kill::{Acked, Found};
use crate::vfs::Disk;

/// A caller was told something.
#[derive(Clone, Debug)]
pub enum Word {
    /// An event is on disk.
    Acked(Acked),
    /// An event was not applied, and never will be.
    Refused(Acked, Error),
    /// Nobody knows about this event, until the next one is acknowledged.
    Unknown(Acked, Error),
    /// An event that nobody knew about is there, or is not.
    Settled(Acked, bool),
    /// A reader was shown these events, whoever wrote them.
    Saw(Vec<Found>),
    /// The lock was granted under this token.
    Granted(u64),
    /// A lock could not be had, or be given back.
    Failed(Error),
}

/// All words, and the journal that is marked with their number.
#[derive(Debug)]
pub struct Told {
    disk: Arc<Disk>,
    words: Mutex<Vec<Word>>,
}

impl Told {
    /// Nothing yet.
    #[must_use]
    pub fn new(disk: Arc<Disk>) -> Told {
        Told { disk, words: Mutex::default() }
    }

    /// A caller has just been told so.
    pub fn say(&self, said: impl IntoIterator<Item = Word>) {
        let mut words = self.words();
        words.extend(said);
        self.disk.mark(words.len());
    }

    /// What was said so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Word> {
        self.words().clone()
    }

    fn words(&self) -> MutexGuard<'_, Vec<Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a caller hears about these events of one call.
pub(super) fn answer(
    events: Vec<Acked>,
    answer: std::result::Result<Option<(u64, u64)>, Error>,
) -> impl Iterator<Item = Word> {
    let count = events.len() as u64;
    (1..).zip(events).map(move |(number, event)| match &answer {
        // An append tells where its last event is.
        Ok(last) => {
            let place = last.map(|(version, position)| (version + number - count, position + number - count));
            Word::Acked(Acked { place, ..event })
        }
        Err(error) if error.outcome() == WriteOutcome::Unknown => Word::Unknown(event, error.clone()),
        Err(error) => Word::Refused(event, error.clone()),
    })
}

/// The events of an aggregate get their ids from the store; they are known by what is in them.
pub(super) const NO_ID: Uuid = Uuid::nil();

//! Copies: all that is in a store into another one, or into a dump, or out of one; begun anew it goes on where it stopped.
//!
//! | file | what it does |
//! | --- | --- |
//! | `records` | what is copied, record by record, read by a thread of its own |
//! | `compare` | holding what is there against what is copied |
//! | `words` | what a record is called when it is told of |
//! | `write` | into a store: one commit after the other |
//! | `paper` | into a dump |
//!
//! Nothing is kept of how far a copy has come: it has come as far as what is there is the beginning of what is copied, in the order of
//! a dump. So a copy first compares, then writes what is missing, then compares once more.

mod compare;
mod paper;
mod records;
mod words;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use millpond_actors::clock::Seams;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::View;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::record::Imprint;

use self::compare::{Against, Comparing};
pub(crate) use self::paper::to_dump;
pub(crate) use self::records::Original;
use self::records::Records;
pub(crate) use self::write::Work;
use crate::dump;

/// The lock that whoever copies to a store holds, so that two copies do not meet.
pub(crate) const LOCK: &str = "millpond-copy";

/// How a copy is made.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// # let store = millpond::Store::memory().await?;
/// # let other = millpond::Store::memory().await?;
/// let copying = millpond::Copying::new().progress(|far| eprintln!("{:?}: {}", far.step, far.records));
/// let copied = store.copy_to(&other, copying).await?;
/// assert_eq!(copied.records(), 0);
/// # other.close().await?;
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
#[must_use = "nothing is copied until it is given to Store::copy_to or its like"]
pub struct Copying {
    at_once: Option<NonZeroUsize>,
    progress: Option<Arc<dyn Fn(CopyProgress) + Send + Sync>>,
}

impl Copying {
    /// All of it, and nobody is told how far it has come.
    pub fn new() -> Copying {
        Copying::default()
    }

    /// Has this called for each 1,000 records that are read, and for each commit, on a thread of the store's own. It must not call the
    /// store.
    pub fn progress(mut self, tell: impl Fn(CopyProgress) + Send + Sync + 'static) -> Copying {
        self.progress = Some(Arc::new(tell));
        self
    }

    /// Commits so many records at once, more or less, instead of 10,000: with fewer of them others wait less, and it takes longer. A blob
    /// is one commit all the same; a dump has none.
    pub fn at_once(mut self, records: NonZeroUsize) -> Copying {
        self.at_once = Some(records);
        self
    }

    fn records_at_once(&self) -> usize {
        self.at_once.map_or(limits::COPIED_AT_ONCE, NonZeroUsize::get)
    }

    fn tell(&self, step: CopyStep, records: u64) {
        if let Some(tell) = &self.progress {
            tell(CopyProgress { step, records });
        }
    }
}

impl fmt::Debug for Copying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copying")
            .field("at_once", &self.at_once)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

/// Records between two words about how far it has come.
const TOLD_EVERY: u64 = 1_000;

/// How far a copy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// With what.
    pub step: CopyStep,
    /// Records that it has dealt with in this step.
    pub records: u64,
}

/// What a copy is made of, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyStep {
    /// What is there already is held against what is copied.
    Compare,
    /// What is missing is written.
    Write,
    /// All of it is read again on both sides and held against one another.
    Verify,
}

/// What was copied, and found to be the same on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// How many records of each kind both sides have, by the word that a dump has for it: `dict.entry`.
    pub counts: BTreeMap<String, u64>,
    /// Records that were written.
    pub written: u64,
    /// Records that were there, because this copy had been begun before.
    pub known: u64,
    /// CRC32C over all records of both sides, as the lines of a dump, without its first and last.
    pub checksum: u32,
    /// The position of the last event on both sides.
    pub position: u64,
}

impl Copied {
    /// How many records of whatever kind both sides have.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// What is copied is that what it is copied to? Looked up in both, since neither knows of which database the other is.
fn is_itself(original: &Original, there: Imprint, fence: &Fence) -> bool {
    // A backup has the id of its original, and none of its locks.
    original.imprint.store == there.store && !there.store.is_nil() && original.has_held(fence)
}

/// Holds what is in the store of a view against what is copied to it: what is missing is what is to be written.
pub(crate) fn compare(
    view: &mut dyn View,
    original: Original,
    (fence, copying): (Fence, Copying),
    seams: &Seams,
) -> Result<Work> {
    let there = view.imprint()?;
    if is_itself(&original, there, &fence) {
        return Err(onto_itself());
    }
    let tokens_are_above = there.token > original.imprint.token;
    let now = seams.clock.now();
    let records = Records::read(&original, now, seams)?;
    let mut comparing = Comparing::new(records, Against::Beginning, (CopyStep::Compare, copying.clone()));
    dump::all_records(view, now, &mut |theirs| comparing.next(&theirs))?;
    let (records, seen) = comparing.rest();
    Work::new(original, (records, seen.records), tokens_are_above, (fence, copying))
}

/// Holds all of what is in the store of a view against all of what was copied to it.
pub(crate) fn verify(view: &mut dyn View, work: Work, seams: &Seams) -> Result<Copied> {
    let Work { original, known, written, copying, .. } = work;
    let now = seams.clock.now();
    let imprint = original.imprint;
    let records = Records::read(&original, now, seams)?;
    let mut comparing = Comparing::new(records, Against::Whole, (CopyStep::Verify, copying));
    dump::all_records(view, now, &mut |theirs| comparing.next(&theirs))?;
    let (counts, checksum) = comparing.end()?;
    let there = view.imprint()?;
    if there.position != imprint.position {
        let reason = format!("is {}, there it is {}", imprint.position, there.position);
        return Err(Error::CopyDiffers { record: "the position of the last event".into(), reason });
    }
    if there.token <= imprint.token {
        let reason = format!("is {}, there it is not above that: {}", imprint.token, there.token);
        return Err(Error::CopyDiffers { record: "the last token".into(), reason });
    }
    Ok(Copied { counts, written, known, checksum, position: there.position })
}

/// A store is no copy of itself.
pub(crate) fn onto_itself() -> Error {
    Error::CopyRefused { reason: "a store cannot be copied onto itself".into() }
}

/// Somebody else has the lock.
pub(crate) fn another() -> Error {
    let reason = format!("somebody else copies to this store (he holds the lock \"{LOCK}\")");
    Error::CopyRefused { reason }
}

/// No token that the copy gives is one of its original's, also if that goes on.
fn above(imprint: Imprint) -> u64 {
    imprint.token.saturating_add(limits::TOKENS_AHEAD)
}

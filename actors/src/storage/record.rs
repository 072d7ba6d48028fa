//! Records: what a store holds, a row at a time, as it is dumped and loaded; and how they come back into one.
//!
//! A record is plain data and belongs to no database, so what was dumped from one can be loaded into another. What a process
//! has for itself is none: locks and claims, processes, changes, and what can be made anew from the rest (snapshots).
//!
//! Whoever loads does it in one transaction, in the order of a dump. What is called by a name comes before what is in it, and
//! comes back as a [`Base`]: how far the numbers of what follows have to be moved. A name that is new is not moved; under one
//! that was used before, all numbers go on behind those that were given, so that none is given twice.

use uuid::Uuid;

use super::blob::{Blob, Bytes};
use super::change::Changed;
use super::dict::Entry;
use super::feed::{Kind, Message, Retention};
use super::filter::Path;
use super::list::Item;
use super::projection;
use super::queue::{Job, Options};
use super::schedule::Schedule;
use super::stream::Recorded;
use super::subject::KeyState;
use super::subscription::Span;
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;

/// A record of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A subject, and how its key stands.
    Subject {
        /// Its name.
        name: Name,
        /// Its key.
        state: KeyState,
    },
    /// An event. Its stream comes into being with the first.
    Event(Box<Recorded>),
    /// What is to be known of a stream beside its events. A stream of which nothing is has none; it comes behind all events.
    Stream {
        /// Its name.
        name: Name,
        /// Version of its last event.
        version: u64,
        /// Events up to this version are erased.
        erased: u64,
        /// Whether nothing can be appended to it any more.
        closed: bool,
    },
    /// A log or a channel, before its messages.
    Feed {
        /// Which of them.
        kind: Kind,
        /// Its name.
        name: Name,
        /// The first message that is kept.
        first: u64,
        /// The last one.
        last: u64,
        /// When that was recorded.
        recorded_at: i64,
        /// How much is kept.
        retention: Retention,
    },
    /// A durable subscription.
    Subscription {
        /// Of which kind of feed.
        kind: Kind,
        /// The feed.
        feed: Name,
        /// Its name.
        name: Name,
        /// All messages up to this one were acknowledged.
        cursor: u64,
        /// And these beyond it.
        beyond: Vec<Span>,
    },
    /// A message.
    Message {
        /// Of which kind of feed.
        kind: Kind,
        /// The feed.
        feed: Name,
        /// The message.
        message: Box<Message>,
    },
    /// A queue, before its schedules and jobs.
    Queue {
        /// Its name.
        name: Name,
        /// The number of its last job.
        sequence: u64,
        /// Its options.
        options: Options,
    },
    /// A schedule.
    Schedule {
        /// The queue.
        queue: Name,
        /// The schedule.
        schedule: Box<Schedule>,
    },
    /// A job, which nobody has claimed.
    Job {
        /// The queue.
        queue: Name,
        /// The job.
        job: Box<Job>,
    },
    /// A dict, before its entries.
    Dict {
        /// Its name.
        name: Name,
        /// So many changes it has had.
        version: u64,
        /// How its values are sealed, if they are.
        seal: Option<Box<[u8]>>,
        /// Which fields are indexed.
        indexes: Vec<Path>,
    },
    /// An entry of a dict.
    Entry {
        /// The dict.
        dict: Name,
        /// The entry.
        entry: Box<Entry>,
    },
    /// A list, before its items.
    List {
        /// Its name.
        name: Name,
        /// So many changes it has had.
        version: u64,
    },
    /// An item of a list, behind those before it.
    Item {
        /// The list.
        list: Name,
        /// The item.
        item: Box<Item>,
    },
    /// Blobs of a name, before each of them.
    Blobs {
        /// Their name.
        name: Name,
        /// So many changes they have had.
        version: u64,
    },
    /// A blob, before its chunks. Where it is put back its content gets a number of its own.
    Blob {
        /// The blobs.
        blobs: Name,
        /// The blob.
        blob: Box<Blob>,
    },
    /// A chunk of a blob, one behind the other.
    Chunk {
        /// The blobs.
        blobs: Name,
        /// The key of the blob.
        key: Box<str>,
        /// Which chunk: the first is 0.
        sequence: u64,
        /// The chunk.
        data: Bytes,
    },
    /// A projection, with its generations and their partitions.
    Projection {
        /// Its name.
        name: Name,
        /// How they stand; at least one.
        rows: Vec<projection::Standing>,
    },
}

/// What becomes of a name that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Onto {
    /// It is refused.
    #[default]
    Nothing,
    /// What is loaded takes the place of what is there.
    Replace,
    /// What is loaded comes behind what is there.
    Append,
}

/// Put records back, in their order. Numbers of what is in something that has a name are moved already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The records.
    pub records: Vec<Record>,
    /// What becomes of names that are there.
    pub onto: Onto,
    /// No token that is given from now on is one of those up to this.
    pub above: u64,
    /// The position of the last event of the store that they are of.
    pub head: u64,
}

/// How far the numbers of what is in something that has a name have to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// So far.
    pub shift: i64,
    /// And nothing of it was recorded before this.
    pub since: i64,
}

impl Base {
    /// Not at all.
    pub const NONE: Base = Base { shift: 0, since: i64::MIN };

    /// A number, moved.
    #[must_use]
    pub fn moved(self, number: u64) -> u64 {
        number.saturating_add_signed(self.shift)
    }
}

/// What became of [`Load`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// All of it is there.
    Done {
        /// Of the last record that has a name.
        base: Base,
        /// So many were written.
        written: u64,
        /// So many were there already, or have to give way to what is.
        known: u64,
        /// Whether an event has another position than the one it had.
        moved: bool,
        /// What has changed.
        changed: Vec<Changed>,
    },
    /// One of them cannot be loaded. What came before it may have been written: the transaction is to be undone.
    Refused {
        /// Its index.
        index: usize,
        /// Why.
        why: Refusal,
    },
}

/// Why a record cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is something of this name.
    Exists,
    /// Its id is taken by another event.
    Taken(Uuid),
    /// Its stream is closed.
    Closed,
    /// Its stream holds something else at that place, or more than it is to be replaced by; events are never removed.
    Diverged,
    /// The subject has another key.
    OtherKey,
    /// The key of the subject was destroyed.
    Shredded,
    /// The dict keeps its values otherwise: as they are, or sealed with something else.
    OtherSeal,
    /// Its queue has as many schedules as it can have.
    Full,
    /// It stands behind an event that there is not.
    Beyond,
    /// It is not in what it belongs to, because that is not there.
    Orphan,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was written; what has changed with it, if anybody would know it by that.
    Written(Option<Changed>),
    /// Something that has a name was written, and the numbers of what is in it have to be moved.
    Placed(Base),
    /// An event was written, elsewhere.
    Moved(Changed),
    /// It is there already, or gives way to what is.
    Known,
    /// It cannot be.
    Refused(Refusal),
}

/// Puts records one by one, and adds up what becomes of them: for whoever implements it.
///
/// # Errors
/// What `put` says.
pub fn load(load: &Load, mut put: impl FnMut(&Record) -> Result<Put>) -> Result<Loaded> {
    let (mut last, mut written, mut known, mut moved, mut changes) = (Base::NONE, 0, 0, false, Vec::new());
    for (index, record) in load.records.iter().enumerate() {
        match put(record)? {
            Put::Refused(why) => return Ok(Loaded::Refused { index, why }),
            Put::Known => known += 1,
            Put::Placed(base) => {
                last = base;
                written += 1;
            }
            Put::Written(changed) => {
                changes.extend(changed);
                written += 1;
            }
            Put::Moved(changed) => {
                changes.push(changed);
                written += 1;
                moved = true;
            }
        }
    }
    Ok(Loaded::Done { base: last, written, known, moved, changed: changes })
}

/// The number `by` after `last`, of what is loaded behind what is there.
///
/// # Errors
/// [`Error::Exhausted`] if the file's numbers end before that.
pub fn behind(last: u64, by: u64, what: &'static str) -> Result<u64> {
    let after = last.checked_add(by).filter(|after| *after <= limits::LAST_SEQUENCE);
    after.ok_or(Error::Exhausted { what })
}

/// A stream of which there is something to be known beside its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its name.
    pub name: String,
    /// Version of its last event.
    pub version: u64,
    /// Events up to this version are erased.
    pub erased: u64,
    /// Whether nothing can be appended to it any more.
    pub closed: bool,
}

/// Which store it is, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imprint {
    /// Its id; nil in memory.
    pub store: Uuid,
    /// Its schema; 0 in memory.
    pub schema: u32,
    /// The position of the last event.
    pub position: u64,
    /// The last token given.
    pub token: u64,
}

//! Changes: what the groups of all processes have changed, written down while somebody watches.
//!
//! Whoever writes looks before each commit whether any process watches ([`Session::is_watched`](super::Session)), and only
//! then writes down, in the same transaction, what the group has changed. So a change is known if and only if it was
//! committed, and all processes see all of them in one order, that of the commits.

use super::batch::Applied;
use super::blob;
use super::dict::{Cleared, Incremented, Removed, Written as Put};
use super::erase::Erased;
use super::feed;
use super::list;
use super::lock::{Acquired, Was};
use super::queue;
use super::record::Loaded;
use super::schedule;
use super::stream::{Appended, Imported};
use super::{Operation, Outcome};

/// What sort of thing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Primitive {
    /// A stream of events, be it an aggregate's.
    Stream = 1,
    /// A lock.
    Lock = 2,
    /// A log.
    Log = 3,
    /// A channel.
    Channel = 4,
    /// A queue.
    Queue = 5,
    /// A dict.
    Dict = 6,
    /// A list.
    List = 7,
    /// Blobs.
    Blob = 8,
}

impl Primitive {
    /// All of them.
    pub const ALL: [Primitive; 8] = [
        Primitive::Stream,
        Primitive::Lock,
        Primitive::Log,
        Primitive::Channel,
        Primitive::Queue,
        Primitive::Dict,
        Primitive::List,
        Primitive::Blob,
    ];

    /// The one with this number in the file.
    #[must_use]
    pub fn of(number: u8) -> Option<Primitive> {
        Primitive::ALL.into_iter().find(|primitive| *primitive as u8 == number)
    }
}

/// A change that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Of what sort of thing.
    pub primitive: Primitive,
    /// Its row.
    pub row: u64,
    /// Where it stands now: the version of a stream, the sequence of the last message of a log or channel, that of the job
    /// that was pushed to a queue, claimed, revived or removed, or whose claim has ended, the fencing token of a lock that
    /// was given to somebody, the version of a dict, a list or of blobs; `None` of a lock that nobody holds, and of a queue whose options are
    /// others or of which many jobs were revived or removed at once.
    pub sequence: Option<u64>,
    /// Of a dict, and of blobs: under which key.
    pub key: Option<Box<str>>,
}

/// Write changes down, in order. None at all asks for the number of the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The changes.
    pub changes: Vec<Changed>,
}

/// What became of [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The number of the last change that was ever written down, 0 if there was none. Numbers are dense and start at 1.
    pub last: u64,
}

/// A change that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number.
    pub number: u64,
    /// Of what sort of thing.
    pub primitive: Primitive,
    /// Its name.
    pub name: String,
    /// Where it stands since then, see [`Changed::sequence`].
    pub sequence: Option<u64>,
    /// Of a dict, and of blobs: under which key.
    pub key: Option<String>,
}

/// What an operation has changed, by its outcome.
pub fn of(operation: &Operation, outcome: &Outcome, changes: &mut Vec<Changed>) {
    of_dict(operation, outcome, changes);
    of_list(outcome, changes);
    of_blobs(operation, outcome, changes);
    let mut add = |primitive, row, sequence| changes.push(Changed { primitive, row, sequence, key: None });
    match (operation, outcome) {
        (_, Outcome::StreamAppend(Appended::Done { stream, version, repeated: false, .. })) => {
            add(Primitive::Stream, *stream, Some(*version));
        }
        (_, Outcome::StreamImport(Imported::Done { streams, .. })) => {
            streams.iter().for_each(|(stream, version)| add(Primitive::Stream, *stream, Some(*version)));
        }
        (_, Outcome::StreamErase(Erased::Done { stream: Some(stream), version, erased: 1.., .. })) => {
            add(Primitive::Stream, *stream, Some(*version));
        }
        (_, Outcome::LockAcquire(Acquired::Granted(grant))) => {
            add(Primitive::Lock, grant.lock, Some(grant.token));
        }
        (Operation::LockLeave(leave), Outcome::LockLeave(left)) => {
            if left.was == Was::Holding && left.next.is_empty() {
                add(Primitive::Lock, leave.lock, None);
            }
            left.next.iter().for_each(|next| add(Primitive::Lock, next.lock, Some(next.token)));
        }
        (_, Outcome::LockSettle(settled)) => {
            settled.next.iter().for_each(|next| add(Primitive::Lock, next.lock, Some(next.token)));
        }
        (_, Outcome::LockBreak(broken)) => {
            if let (Some(taken), true) = (broken.taken.first(), broken.next.is_empty()) {
                add(Primitive::Lock, taken.lock, None);
            }
            broken.next.iter().for_each(|next| add(Primitive::Lock, next.lock, Some(next.token)));
        }
        (Operation::FeedAppend(append), Outcome::FeedAppend(feed::Appended::Done { feed, last, .. })) => {
            let primitive = match append.kind {
                feed::Kind::Log => Primitive::Log,
                feed::Kind::Channel => Primitive::Channel,
            };
            add(primitive, *feed, Some(*last));
        }
        (_, Outcome::QueuePush(pushed)) => {
            let new = pushed.places.iter().filter(|place| !place.existed);
            new.for_each(|place| add(Primitive::Queue, pushed.queue, Some(place.sequence)));
        }
        (_, Outcome::ScheduleFire(schedule::Fired::Pushed { queue, place })) if !place.existed => {
            add(Primitive::Queue, *queue, Some(place.sequence));
        }
        (_, Outcome::QueueClaim(claimed)) => {
            let receipts = claimed.jobs.iter().map(|(receipt, _)| receipt);
            receipts.for_each(|receipt| add(Primitive::Queue, receipt.queue, Some(receipt.sequence)));
        }
        (Operation::QueueFinish(finish), Outcome::QueueFinish(finished)) => {
            let receipt = &finish.receipt;
            if *finished != queue::Finished::Stale {
                add(Primitive::Queue, receipt.queue, Some(receipt.sequence));
            }
        }
        (Operation::QueueRevive(revive), Outcome::QueueRevive(revived)) if revived.revived > 0 => {
            let one = match revive.which {
                queue::Which::One(sequence) => Some(sequence),
                queue::Which::From(_) => None,
            };
            revived.queue.into_iter().for_each(|queue| add(Primitive::Queue, queue, one));
        }
        (_, Outcome::QueuePurge(purged)) if purged.removed > 0 => {
            purged.queue.into_iter().for_each(|queue| add(Primitive::Queue, queue, purged.one));
        }
        (_, Outcome::QueueConfigure(configured)) => add(Primitive::Queue, configured.queue, None),
        (_, Outcome::RecordLoad(Loaded::Done { changed, .. })) => changes.extend(changed.iter().cloned()),
        (Operation::Batch(batch), Outcome::Batch(Applied::Done(outcomes))) => {
            batch.parts.iter().zip(outcomes).for_each(|(part, outcome)| of(part, outcome, changes));
        }
        _ => {}
    }
}

/// What has changed in lists.
fn of_list(outcome: &Outcome, changes: &mut Vec<Changed>) {
    let mut add = |row: u64, version: u64| {
        changes.push(Changed { primitive: Primitive::List, row, sequence: Some(version), key: None });
    };
    match outcome {
        Outcome::ListInsert(list::Inserted::Done { list, version, .. })
        | Outcome::ListRemove(list::Removed::Done { list, version, .. })
        | Outcome::ListReplace(list::Replaced::Done { list, version }) => add(*list, *version),
        Outcome::ListTake(list::Taken { list: Some((list, version)), items, .. }) if !items.is_empty() => {
            add(*list, *version);
        }
        Outcome::ListMove(list::Moved::Done { lists: [from, to], .. }) => {
            add(from.0, from.1);
            if from.0 != to.0 {
                add(to.0, to.1);
            }
        }
        Outcome::ListTrim(list::Trimmed { list: Some((list, version)), removed: 1.., .. }) => {
            add(*list, *version);
        }
        _ => {}
    }
}

/// What has changed in a dict, key by key.
fn of_dict(operation: &Operation, outcome: &Outcome, changes: &mut Vec<Changed>) {
    let mut add = |row: &u64, version: &u64, key: &str| {
        let (row, sequence, key) = (*row, Some(*version), Some(key.into()));
        changes.push(Changed { primitive: Primitive::Dict, row, sequence, key });
    };
    match (operation, outcome) {
        (Operation::DictSet(set), Outcome::DictSet(Put::Done { dict, version, .. })) => {
            add(dict, version, &set.key);
        }
        (Operation::DictIncrement(it), Outcome::DictIncrement(Incremented::Done { dict, version, .. })) => {
            add(dict, version, &it.key);
        }
        (
            Operation::DictRemove(remove),
            Outcome::DictRemove(Removed::Done { dict: Some((dict, version)), entry: Some(_) }),
        ) => add(dict, version, &remove.key),
        (_, Outcome::DictClear(Cleared { dict: Some((dict, version)), removed, .. })) => {
            removed.iter().for_each(|key| add(dict, version, key));
        }
        _ => {}
    }
}

/// What has changed among blobs, key by key.
fn of_blobs(operation: &Operation, outcome: &Outcome, changes: &mut Vec<Changed>) {
    let (row, version, key) = match (operation, outcome) {
        (Operation::BlobFinish(it), Outcome::BlobFinish(blob::Finished::Done { blobs, version, .. })) => {
            (blobs, version, &it.key)
        }
        (
            Operation::BlobRemove(it),
            Outcome::BlobRemove(blob::Removed::Done { was: Some((row, version)), .. }),
        ) => (row, version, &it.key),
        _ => return,
    };
    let (row, sequence, key) = (*row, Some(*version), Some(key.clone()));
    changes.push(Changed { primitive: Primitive::Blob, row, sequence, key });
}

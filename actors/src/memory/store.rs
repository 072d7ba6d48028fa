//! All tables of a store in memory, and the transaction over them.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::blob;
use super::dict;
use super::dict_index;
use super::feed::Feed;
use super::job::{self, Spot};
use super::list;
use super::lock::{Lock, Ticket};
use super::process::Row;
use super::projection;
use super::queue::Queue;
use super::schedule;
use super::stream::Stream;
use super::table::{Table, Transactional};
use crate::name::Name;
use crate::storage::Moment;
use crate::storage::blob::{Blob, Bytes};
use crate::storage::change::Changed;
use crate::storage::dict::Progress;
use crate::storage::feed::{Kind, Message};
use crate::storage::filter::Fields;
use crate::storage::list::Item;
use crate::storage::order::Node;
use crate::storage::snapshot::Kept;
use crate::storage::stream::Recorded;
use crate::storage::subject::KeyState;

/// Everything that is stored. The operations on it are in the files named after what they are about.
///
/// There is at most one transaction at a time, because only the session that has the turn may begin one.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) streams: Table<u64, Stream>,
    pub(super) stream_names: Table<Name, u64>,
    /// By position.
    pub(super) events: Table<u64, Arc<Recorded>>,
    /// The position of an event's id.
    pub(super) event_ids: Table<Uuid, u64>,
    /// The position of a stream's version.
    pub(super) versions: Table<(u64, u64), u64>,
    /// Category and position of every event.
    pub(super) categories: Table<(String, u64), ()>,
    pub(super) snapshots: Table<u64, Arc<Kept>>,
    pub(super) subjects: Table<Name, KeyState>,
    /// By name, generation and partition.
    pub(super) projections: Table<projection::Key, projection::Row>,
    pub(super) dicts: Table<u64, dict::Dict>,
    pub(super) dict_names: Table<Name, u64>,
    /// By dict and key.
    pub(super) values: Table<dict::Key, dict::Value>,
    /// Of dicts, by dict and path.
    pub(super) indexes: Table<dict_index::Key, Progress>,
    /// What is in them, each with the key of its entry.
    pub(super) indexed: Table<dict_index::Row, ()>,
    /// When values end, by the wall clock.
    pub(super) ends: Table<(i64, dict::Key), ()>,
    pub(super) lists: Table<u64, list::List>,
    pub(super) list_names: Table<Name, u64>,
    /// By list and version.
    pub(super) items: Table<list::Key, Item>,
    /// By list and number.
    pub(super) nodes: Table<list::Key, Node>,
    pub(super) blob_rows: Table<u64, blob::Blobs>,
    pub(super) blob_names: Table<Name, u64>,
    /// By their row and key.
    pub(super) blobs: Table<blob::Key, Blob>,
    /// Contents that no blob has, by number.
    pub(super) contents: Table<u64, blob::Loose>,
    /// By content and number.
    pub(super) chunks: Table<(u64, u64), Arc<Bytes>>,
    pub(super) feeds: Table<u64, Feed>,
    pub(super) feed_names: Table<(Kind, Name), u64>,
    /// By feed and sequence.
    pub(super) messages: Table<(u64, u64), Arc<Message>>,
    /// Of durable subscriptions, by feed and name.
    pub(super) cursors: Table<(u64, Name), u64>,
    /// What was acknowledged beyond them, message by message.
    pub(super) acknowledged: Table<(u64, Name, u64), ()>,
    pub(super) locks: Table<u64, Lock>,
    pub(super) lock_names: Table<Name, u64>,
    /// Who waits: by lock and ticket, so that a lock's first row is the first in its line.
    pub(super) tickets: Table<(u64, u64), Ticket>,
    /// The last number given to a ticket or token, under the only key.
    pub(super) numbers: Table<(), u64>,
    pub(super) processes: Table<u64, Row>,
    /// Changes by their numbers, and the last number ever given, under the only key.
    pub(super) changes: Table<u64, Changed>,
    pub(super) last_change: Table<(), u64>,
    pub(super) queues: Table<u64, Queue>,
    pub(super) queue_names: Table<Name, u64>,
    /// By queue and number.
    pub(super) jobs: Table<(u64, u64), job::Row>,
    /// In which order jobs of a state come.
    pub(super) spots: Table<Spot, ()>,
    /// By queue and name.
    pub(super) schedules: Table<(u64, Name), schedule::Row>,

    /// Processes that live. Not part of any transaction: death asks nobody.
    pub(super) living: BTreeSet<u64>,
    /// The last process id given. Not part of any transaction either, so that it is never given twice.
    pub(super) last_process: u64,
    /// The boot of the process that joined last: what a reader takes for the running system's.
    pub(super) boot: String,
    /// What reads payloads for filters and indexes.
    pub(super) fields: Fields,
    /// Commits so far.
    pub(super) commits: u64,
}

/// Who writes, and when: what an operation knows beside its own words.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) process: u64,
    pub(super) boot: Arc<str>,
    pub(super) now: Moment,
}

impl Store {
    /// Makes the transaction's writes visible to readers, all at once.
    pub(super) fn commit(&mut self) {
        self.tables().into_iter().for_each(Transactional::keep);
        self.commits += 1;
    }

    /// Undoes the transaction's writes.
    pub(super) fn rollback(&mut self) {
        self.tables().into_iter().for_each(Transactional::undo);
    }

    /// Starts a part that can be undone alone.
    pub(super) fn savepoint(&mut self) {
        self.tables().into_iter().for_each(Transactional::mark);
    }

    /// Ends the innermost of these parts.
    pub(super) fn end_savepoint(&mut self, keep: bool) {
        self.tables().into_iter().for_each(|table| table.end_mark(keep));
    }

    fn tables(&mut self) -> [&mut dyn Transactional; 41] {
        [
            &mut self.streams,
            &mut self.stream_names,
            &mut self.events,
            &mut self.event_ids,
            &mut self.versions,
            &mut self.categories,
            &mut self.snapshots,
            &mut self.subjects,
            &mut self.projections,
            &mut self.dicts,
            &mut self.dict_names,
            &mut self.values,
            &mut self.indexes,
            &mut self.indexed,
            &mut self.ends,
            &mut self.lists,
            &mut self.list_names,
            &mut self.items,
            &mut self.nodes,
            &mut self.blob_rows,
            &mut self.blob_names,
            &mut self.blobs,
            &mut self.contents,
            &mut self.chunks,
            &mut self.feeds,
            &mut self.feed_names,
            &mut self.messages,
            &mut self.cursors,
            &mut self.acknowledged,
            &mut self.locks,
            &mut self.lock_names,
            &mut self.tickets,
            &mut self.numbers,
            &mut self.processes,
            &mut self.changes,
            &mut self.last_change,
            &mut self.queues,
            &mut self.queue_names,
            &mut self.jobs,
            &mut self.spots,
            &mut self.schedules,
        ]
    }
}

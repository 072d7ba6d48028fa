//! All tables of a store, and the transaction over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::blob;
use super::counter::Counter;
use super::dict;
use super::dict_index;
use super::feed::Feed;
use super::job::{self, Spot};
use super::list;
use super::living::Living;
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

/// Generates the store out of the list of its tables.
macro_rules! tables {
    ($( $(#[$doc:meta])* $table:ident: $key:ty => $value:ty; )+) => {
        /// Everything that is stored. The operations on it are in the files named after what they are about.
        ///
        /// There is at most one transaction at a time, because only the session that has the turn may begin one.
        #[derive(Clone, Debug, Default)]
        pub struct Store {
            $( $(#[$doc])* pub $table: Table<$key, $value>, )+
            /// Processes that live. Not part of any transaction: death asks nobody.
            pub living: Living,
            /// The last process id given. Not part of any transaction either, so that it is never given twice.
            pub last_process: u64,
            /// The boot of the process that joined last: what a reader takes for the running system's.
            pub boot: String,
            /// What reads payloads for filters and indexes.
            pub fields: Fields,
            /// Something was looked for that is not here.
            missing: Arc<AtomicBool>,
        }

        impl Store {
            /// One that lies elsewhere: nothing of it is here yet. Of a range, so many rows are wanted `first`, and then more and
            /// more.
            #[must_use]
            pub fn elsewhere(fields: Fields, first: usize) -> Store {
                let missing = Arc::new(AtomicBool::new(false));
                Store {
                    $( $table: Table::elsewhere(&missing, first), )+
                    living: Living::elsewhere(&missing),
                    last_process: 0,
                    boot: String::new(),
                    fields,
                    missing,
                }
            }

            /// Does to another store what the transaction has done to this one, which it ends.
            pub fn commit_to(&mut self, other: &mut Store) {
                $( self.$table.keep_in(&mut other.$table); )+
            }

            fn each(&mut self, with: impl Fn(&mut dyn Transactional)) {
                $( with(&mut self.$table); )+
            }

            /// How many rows are here.
            #[must_use]
            pub fn rows(&self) -> usize {
                [$( self.$table.len(), )+].into_iter().sum()
            }
        }
    };
}

tables! {
    /// By row.
    streams: u64 => Stream;
    /// Rows by name.
    stream_names: Name => u64;
    /// By position.
    events: u64 => Arc<Recorded>;
    /// The position of an event's id.
    event_ids: Uuid => u64;
    /// The position of a stream's version.
    versions: (u64, u64) => u64;
    /// Category and position of every event.
    categories: (String, u64) => ();
    /// By the row of their stream.
    snapshots: u64 => Arc<Kept>;
    /// By name.
    subjects: Name => KeyState;
    /// By name, generation and partition.
    projections: projection::Key => projection::Row;
    /// By row.
    dicts: u64 => dict::Dict;
    /// Rows by name.
    dict_names: Name => u64;
    /// By dict and key.
    values: dict::Key => dict::Value;
    /// Of dicts, by dict and path.
    indexes: dict_index::Key => Progress;
    /// What is in them, each with the key of its entry.
    indexed: dict_index::Row => ();
    /// When values end, by the wall clock.
    ends: (i64, dict::Key) => ();
    /// By row.
    lists: u64 => list::List;
    /// Rows by name.
    list_names: Name => u64;
    /// By list and version.
    items: list::Key => Item;
    /// By list and number.
    nodes: list::Key => Node;
    /// Blobs of a name, by row.
    blob_rows: u64 => blob::Blobs;
    /// Rows by name.
    blob_names: Name => u64;
    /// By their row and key.
    blobs: blob::Key => Blob;
    /// Contents that no blob has, by number.
    contents: u64 => blob::Loose;
    /// By content and number.
    chunks: (u64, u64) => Arc<Bytes>;
    /// By row.
    feeds: u64 => Feed;
    /// Rows by kind and name.
    feed_names: (Kind, Name) => u64;
    /// By feed and sequence.
    messages: (u64, u64) => Arc<Message>;
    /// Of durable subscriptions, by feed and name.
    cursors: (u64, Name) => u64;
    /// What was acknowledged beyond them, message by message.
    acknowledged: (u64, Name, u64) => ();
    /// By row.
    locks: u64 => Lock;
    /// Rows by name.
    lock_names: Name => u64;
    /// Who waits: by lock and ticket, so that a lock's first row is the first in its line.
    tickets: (u64, u64) => Ticket;
    /// Process, lock and ticket of all who hold or wait.
    uses: (u64, u64, u64) => ();
    /// What only grows.
    counters: Counter => u64;
    /// By id.
    processes: u64 => Row;
    /// By number.
    changes: u64 => Changed;
    /// By row.
    queues: u64 => Queue;
    /// Rows by name.
    queue_names: Name => u64;
    /// By queue and number.
    jobs: (u64, u64) => job::Row;
    /// In which order jobs of a state come.
    spots: Spot => ();
    /// By queue and name.
    schedules: (u64, Name) => schedule::Row;
}

/// Who writes, and when: what an operation knows beside its own words.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The process.
    pub process: u64,
    /// The boot of its system.
    pub boot: Arc<str>,
    /// When the group happens.
    pub now: Moment,
}

impl Store {
    /// Everything that was written stays, and the transaction ends.
    pub fn commit(&mut self) {
        self.each(|table| table.keep());
    }

    /// Undoes the transaction's writes.
    pub fn rollback(&mut self) {
        self.each(|table| table.undo());
    }

    /// Starts a part that can be undone alone.
    pub fn savepoint(&mut self) {
        self.each(|table| table.mark());
    }

    /// Ends the innermost of these parts.
    pub fn end_savepoint(&mut self, keep: bool) {
        self.each(|table| table.end_mark(keep));
    }

    /// Nothing is here any more of what lies elsewhere. Not within a transaction.
    pub fn forget(&mut self) {
        self.each(|table| table.forget());
        self.living.forget();
    }

    /// The same, but for what is the same for ever once it is there: which row has which name.
    pub fn forget_all_but_names(&mut self) {
        let names = (
            self.stream_names.without_gaps(),
            self.feed_names.without_gaps(),
            self.lock_names.without_gaps(),
            self.queue_names.without_gaps(),
            self.dict_names.without_gaps(),
            self.list_names.without_gaps(),
            self.blob_names.without_gaps(),
        );
        self.forget();
        (
            self.stream_names,
            self.feed_names,
            self.lock_names,
            self.queue_names,
            self.dict_names,
            self.list_names,
            self.blob_names,
        ) = names;
    }

    /// Whether something was looked for, since this was asked last, that is not here.
    pub fn was_missing(&self) -> bool {
        self.missing.swap(false, Ordering::Relaxed)
    }
}

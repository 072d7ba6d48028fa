//! The contract a database fulfils: operations and their outcomes as data, a file a primitive.
//!
//! Internal: its shape changes whenever the actors need it to. A database implements [`Backend`], [`Session`]
//! with one method an operation ([`Tables`]), [`View`] and [`Bell`]; the suite in `src/storage/contract` holds
//! all of them to the same answers.
//!
//! Rules that every implementation keeps:
//! - An operation looks before it writes: whatever it refuses, it returns as an outcome, having written nothing.
//!   An `Err` from an operation means that its writes may be half done; the caller rolls back.
//! - Nothing asks the clock. [`Session::begin`] is told the [`Moment`], and the whole group happens at it.
//! - Counters (positions, fencing tokens, process ids) only grow, for ever, and are the store's, not a table's.

pub mod batch;
pub mod blob;
pub mod change;
pub mod checksum;
mod data;
pub mod dict;
pub mod erase;
pub mod feed;
pub mod filter;
pub mod list;
pub mod lock;
mod onlooker;
pub mod order;
mod origin;
pub mod partition;
pub mod process;
pub mod projection;
pub mod queue;
pub mod record;
pub mod schedule;
pub mod snapshot;
pub mod sql;
pub mod stream;
pub mod subject;
pub mod subscription;

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Weak};

pub use self::data::Data;
pub use self::onlooker::Onlooker;
pub use self::origin::Origin;
pub use self::process::{Identity, Process, Pulse, Standing, Summary, Turn};
use crate::clock::Clock;
pub use crate::clock::Moment;
use uuid::Uuid;

use crate::error::Result;
use crate::name::Name;

/// Which row an operation is about: by name, and by the row's id once a committed outcome has told it.
///
/// Ids are never reused and rows of names are never removed, so a remembered id stays right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name.
    pub name: Name,
    /// The row's id, if it is known; saves the look-up by name.
    pub id: Option<u64>,
}

/// Generates the closed enums of operations and outcomes, the trait that gives each operation its typed
/// outcome, and the table of methods that a database implements. A new primitive adds lines to the list below.
macro_rules! operations {
    ($( $(#[$doc:meta])* $method:ident: $variant:ident($operation:ty) => $outcome:ty; )+) => {
        /// Everything that can be asked of the writer, as plain data.
        #[derive(Clone, Debug)]
        pub enum Operation { $( $(#[$doc])* $variant($operation), )+ }

        /// What became of an operation, variant by variant as in [`Operation`].
        #[derive(Clone, Debug, PartialEq)]
        pub enum Outcome { $( $(#[$doc])* $variant($outcome), )+ }

        /// One method an operation: what a database has to be able to do inside a transaction.
        pub trait Tables {
            $( $(#[$doc])*
            ///
            /// # Errors
            /// Only what went wrong in the database; a refusal is an outcome.
            fn $method(&mut self, operation: &$operation) -> Result<$outcome>; )+

            /// Applies any operation. A database that has something to do with every one of them does it here.
            ///
            /// # Errors
            /// As the operation's own method.
            fn apply(&mut self, operation: &Operation) -> Result<Outcome> {
                dispatch(self, operation)
            }
        }

        /// Calls the method of an operation.
        ///
        /// # Errors
        /// As the method.
        pub fn dispatch(tables: &mut (impl Tables + ?Sized), operation: &Operation) -> Result<Outcome> {
            match operation {
                $( Operation::$variant(operation) => tables.$method(operation).map(Outcome::$variant), )+
            }
        }

        /// Nothing is written by whoever only looks.
        impl Tables for Onlooker {
            $( fn $method(&mut self, _: &$operation) -> Result<$outcome> { Err(self.refusal()) } )+
        }

        $( impl Apply for $operation {
            type Outcome = $outcome;
            fn into_operation(self) -> Operation { Operation::$variant(self) }
            fn from_outcome(outcome: Outcome) -> Option<$outcome> {
                if let Outcome::$variant(outcome) = outcome { Some(outcome) } else { None }
            }
        } )+
    };
}

/// An operation that knows the type of its outcome.
pub trait Apply: Send + 'static {
    /// What it comes back as.
    type Outcome: Send + 'static;
    /// As one of all operations.
    fn into_operation(self) -> Operation;
    /// Its own outcome out of any; `None` if the outcome is another operation's.
    fn from_outcome(outcome: Outcome) -> Option<Self::Outcome>;
}

impl Operation {
    /// Whether it changes nothing: its commit says that this process lives, which is all that is asked for.
    #[must_use]
    pub fn is_beat(&self) -> bool {
        matches!(self, Operation::LockRenew(_))
    }

    /// Whether it has delays, which count from when it was asked for.
    #[must_use]
    pub fn has_delays(&self) -> bool {
        match self {
            Operation::QueuePush(push) => push.has_delays(),
            Operation::QueueFinish(finish) => finish.how.delay().is_some_and(|ms| ms > 0),
            Operation::Batch(batch) => batch.parts.iter().any(Operation::has_delays),
            _ => false,
        }
    }

    /// Its delays are so much longer: it was asked for so long after the moment at which the group happens.
    pub fn put_off(&mut self, by_ms: u64) {
        match self {
            Operation::QueuePush(push) => push.put_off(by_ms),
            Operation::QueueFinish(finish) => finish.how.put_off(by_ms),
            Operation::Batch(batch) => batch.parts.iter_mut().for_each(|part| part.put_off(by_ms)),
            _ => {}
        }
    }
}

operations! {
    /// Take a ticket, or the lock itself if nobody is before us.
    lock_acquire: LockAcquire(lock::Acquire) => lock::Acquired;
    /// Leave the line: release what the ticket holds, or stop waiting.
    lock_leave: LockLeave(lock::Leave) => lock::Left;
    /// Pass the lock on if its holder is gone, and tell who holds it.
    lock_settle: LockSettle(lock::Settle) => lock::Settled;
    /// Ask whether a ticket still holds its lock.
    lock_renew: LockRenew(lock::Renew) => lock::Renewed;
    /// Ask which tickets of a lock this process has.
    lock_recall: LockRecall(lock::Recall) => lock::Recalled;
    /// Take a lock away from its holder.
    lock_break: LockBreak(lock::Break) => lock::Broken;
    /// Append events to a stream.
    stream_append: StreamAppend(stream::Append) => stream::Appended;
    /// Find out whether a stream is as expected.
    stream_check: StreamCheck(stream::Check) => stream::Checked;
    /// Add events of many streams, leaving out those that are there already.
    stream_import: StreamImport(stream::Import) => stream::Imported;
    /// Erase what a stream holds.
    stream_erase: StreamErase(erase::Erase) => erase::Erased;
    /// Keep a snapshot of an aggregate's state, in place of an older one.
    snapshot_save: SnapshotSave(snapshot::Save) => snapshot::Saved;
    /// Write down what a group has changed, for those who watch.
    change_record: ChangeRecord(change::Record) => change::Written;

    /// Append messages to a feed: a log or a channel.
    feed_append: FeedAppend(feed::Append) => feed::Appended;
    /// Fix how much of a feed is kept.
    feed_retain: FeedRetain(feed::Retain) => feed::Trimmed;
    /// Remove the oldest messages of a feed.
    feed_trim: FeedTrim(feed::Trim) => feed::Trimmed;

    /// Push jobs to a queue.
    queue_push: QueuePush(queue::Push) => queue::Pushed;
    /// Claim jobs, the most urgent first.
    queue_claim: QueueClaim(queue::Claim) => queue::Claimed;
    /// End a claim: the job is done, tried again, buried, or given back.
    queue_finish: QueueFinish(queue::Finish) => queue::Finished;
    /// Ask which jobs of a queue this process has claimed.
    queue_recall: QueueRecall(queue::Recall) => queue::Recalled;
    /// Have dead letters tried again.
    queue_revive: QueueRevive(queue::Revive) => queue::Revived;
    /// Remove jobs.
    queue_purge: QueuePurge(queue::Purge) => queue::Purged;
    /// Change the options of a queue.
    queue_configure: QueueConfigure(queue::Configure) => queue::Configured;
    /// Make a schedule of a queue, or change it.
    schedule_set: ScheduleSet(schedule::Set) => schedule::Placed;
    /// Remove a schedule.
    schedule_remove: ScheduleRemove(schedule::Remove) => bool;
    /// Push the job of a schedule that is due, and move it on to its next time.
    schedule_fire: ScheduleFire(schedule::Fire) => schedule::Fired;
    /// Begin a durable subscription, or find out where it stands.
    subscription_begin: SubscriptionBegin(subscription::Subscribe) => u64;
    /// Move the cursor of a durable subscription.
    subscription_move: SubscriptionMove(subscription::Move) => subscription::Moved;
    /// Say that one message has been dealt with, in whatever order.
    subscription_acknowledge: SubscriptionAcknowledge(subscription::Acknowledge) => subscription::Moved;
    /// Have the cursor pass over what retention has removed.
    subscription_pass_over: SubscriptionPassOver(subscription::PassOver) => u64;
    /// Forget a durable subscription.
    subscription_end: SubscriptionEnd(subscription::Unsubscribe) => bool;

    /// Make a projection, or find out how it stands.
    projection_begin: ProjectionBegin(projection::Begin) => Vec<projection::Standing>;
    /// Move the checkpoint of a projection.
    projection_advance: ProjectionAdvance(projection::Advance) => projection::Advanced;
    /// Have the newer generation of a projection be read.
    projection_promote: ProjectionPromote(projection::Promote) => projection::Advanced;
    /// Say what is wanted of a projection.
    projection_want: ProjectionWant(projection::Want) => bool;

    /// Put a value into a dict.
    dict_set: DictSet(dict::Set) => dict::Written;
    /// Remove an entry of a dict.
    dict_remove: DictRemove(dict::Remove) => dict::Removed;
    /// Add to a number in a dict.
    dict_increment: DictIncrement(dict::Increment) => dict::Incremented;
    /// Remove many entries of a dict.
    dict_clear: DictClear(dict::Clear) => dict::Cleared;
    /// Have a dict keep its values sealed. How it keeps them before; `None` if it was not used, and is sealed now.
    dict_seal: DictSeal(dict::Seal) => Option<dict::Kept>;
    /// Index fields of a dict, a few entries at a time.
    dict_index: DictIndex(dict::MakeIndex) => dict::Indexed;
    /// Remove indexes of a dict, a few entries at a time.
    dict_unindex: DictUnindex(dict::DropIndex) => dict::Unindexed;

    /// Put items into a list.
    list_insert: ListInsert(list::Insert) => list::Inserted;
    /// Take items from an end of a list.
    list_take: ListTake(list::Take) => list::Taken;
    /// Remove an item of a list.
    list_remove: ListRemove(list::Remove) => list::Removed;
    /// Put a value in the place of an item of a list.
    list_replace: ListReplace(list::Replace) => list::Replaced;
    /// Move an item of a list.
    list_move: ListMove(list::Move) => list::Moved;
    /// Remove what is at the ends of a list.
    list_trim: ListTrim(list::Trim) => list::Trimmed;

    /// Begin a content of a blob.
    blob_begin: BlobBegin(blob::Begin) => blob::Begun;
    /// Write a chunk of a content.
    blob_write: BlobWrite(blob::Write) => blob::Stored;
    /// Put a content under its key.
    blob_finish: BlobFinish(blob::Finish) => blob::Finished;
    /// Remove a blob.
    blob_remove: BlobRemove(blob::Remove) => blob::Removed;
    /// Give up what is not written on, and remove chunks that are nobody's.
    blob_sweep: BlobSweep(blob::Sweep) => blob::Swept;

    /// Put records of a dump back.
    record_load: RecordLoad(record::Load) => record::Loaded;

    /// Find the key of a subject, or make it.
    subject_key: SubjectKey(subject::Make) => subject::KeyState;
    /// Destroy the key of a subject.
    subject_shred: SubjectShred(subject::Shred) => bool;

    /// Run statements of the user's own, all or none.
    sql_run: SqlRun(sql::Run) => sql::Ran;

    /// Find out whether a lock is held.
    lock_check: LockCheck(batch::Check) => bool;
    /// Apply operations, all or none.
    batch_apply: Batch(batch::Batch) => batch::Applied;
}

/// A database that holds one store, opened.
pub trait Backend: Debug + Send + Sync + 'static {
    /// Registers this process and opens the one connection that writes for it. `now` is asked once nobody else can write
    /// any more: waiting for the turn takes time, and what ends meanwhile has ended.
    ///
    /// # Errors
    /// What the database said.
    fn join(&self, identity: &Identity, now: &dyn Fn() -> Moment) -> Result<Box<dyn Session>>;

    /// Opens a read-only connection.
    ///
    /// # Errors
    /// What the database said.
    fn view(&self) -> Result<Box<dyn View>>;

    /// Whether a look at it, or a commit, is a way over a network, for which nobody waits who has others to attend to.
    fn is_far(&self) -> bool {
        false
    }

    /// The clock that all processes of the store go by, if it is not their machine's. Whoever joins is of no boot then but this clock's.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        None
    }
}

/// The connection that writes. One a process; only the writer has it.
///
/// A group is `begin`, operations, `commit`. The turn is held from before `begin` until after `commit`.
pub trait Session: Tables + Send {
    /// This process's id: unique for the life of the store.
    fn process(&self) -> u64;

    /// What keeps this process alive in the eyes of the others, for programs that it starts; `None` if the store
    /// ends with the process. It goes with the session.
    fn presence(&self) -> Option<Weak<dyn Presence>>;

    /// Lets other processes that wait for the turn have it first, if this one has had it some times in a row. For whoever takes
    /// it one time after the other; it may wait for some milliseconds.
    fn give_way(&mut self) {}

    /// Takes the writers' turn between processes. `wait` says whether to wait for it; without, the answer is
    /// `false` at once if somebody else has it. Taking it twice is the same as once.
    ///
    /// # Errors
    /// If the ground of turns itself fails.
    fn take_turn(&mut self, wait: bool) -> Result<bool>;

    /// Passes the turn on.
    fn leave_turn(&mut self);

    /// Says whether another group is to be expected as soon as the next commit is answered: a database that is far may be asked for the
    /// turn of that one with the commit. Whoever said so and finds that nothing comes says that too, so that others need not wait.
    fn expect_more(&mut self, more: bool) {
        let _ = more;
    }

    /// The turn that somebody else has at this moment; `None` if nobody has.
    fn turn_holder(&self) -> Option<Turn>;

    /// Opens a transaction that may write. Never waits: a database that another program has locked is
    /// [`Error::Busy`](crate::error::Error::Busy), and the caller tries again later.
    ///
    /// If this process was silent for longer than a lease of its own (it was stopped), what had expired is
    /// freed first and the answer is [`Standing::Lapsed`]; likewise if others have buried it meanwhile, when
    /// it registers anew.
    ///
    /// # Errors
    /// What the database said; no transaction is open then.
    fn begin(&mut self, now: Moment) -> Result<Standing>;

    /// The same for a transaction that writes nothing but [beats](Operation::is_beat): its commit need not survive a power
    /// cut, because no lease does. What has to be freed on the way makes it one that must.
    ///
    /// # Errors
    /// As [`begin`](Session::begin).
    fn begin_beat(&mut self, now: Moment) -> Result<Standing> {
        self.begin(now)
    }

    /// Within a transaction: these operations, and no others, will be applied next, one after the other. A database that is far fetches
    /// what they will look for, all at once, and one may do some of them right away, so that applying them only tells what
    /// has become of them. What is not applied then is undone with the transaction.
    fn foresee(&mut self, operations: &[&Operation]) {
        let _ = operations;
    }

    /// Whether anybody watches for [changes](change), in whatever process. Asked within a transaction it is true of everybody
    /// who began to before that was opened.
    ///
    /// # Errors
    /// If the ground of it fails.
    fn is_watched(&mut self) -> Result<bool>;

    /// Within a transaction: starts a part that can be undone alone. There may be one within another.
    ///
    /// # Errors
    /// What the database said.
    fn savepoint(&mut self) -> Result<()>;

    /// Ends the innermost part: kept if `keep`, else undone.
    ///
    /// # Errors
    /// What the database said.
    fn end_savepoint(&mut self, keep: bool) -> Result<()>;

    /// Commits, and sees to it that [`last_group`](Session::last_group) will know `group`. While this process holds or
    /// waits for anything, its beat is written too, and otherwise every now and then. After an `Ok` the group
    /// is on disk. After an `Err` it is unknown, until [`reopen`](Session::reopen) and
    /// [`last_group`](Session::last_group) have told; except for
    /// [`Error::FileReplaced`](crate::error::Error::FileReplaced), found before the commit.
    ///
    /// # Errors
    /// What the database said.
    fn commit(&mut self, group: u64) -> Result<()>;

    /// The position of the last event there was when this session last committed.
    fn position(&self) -> u64;

    /// Undoes the open transaction, if there is one.
    fn rollback(&mut self);

    /// Whether a transaction is open. After an error it may not be: SQLite rolls back on its own when the disk
    /// is full or broken, and whatever followed would be committed alone.
    fn in_transaction(&self) -> bool;

    /// Throws the connection away, whatever state it is in, and opens a new one for the same process.
    ///
    /// # Errors
    /// What the database said.
    fn reopen(&mut self) -> Result<()>;

    /// Within a transaction: the group that this process committed last, whatever a commit that failed had said.
    ///
    /// # Errors
    /// What the database said.
    fn last_group(&mut self) -> Result<u64>;

    /// Rings for the other processes, if one of them waits.
    fn ring(&self);

    /// This process's bell, which rings for what the others do.
    fn bell(&self) -> Box<dyn Bell>;

    /// Pages in the log since the last checkpoint. A storage that has no log of its own to look after says nothing of it here and in
    /// what follows.
    fn log_pages(&self) -> u32 {
        0
    }

    /// Pages in the log, moved or not.
    fn log_length(&self) -> u32 {
        0
    }

    /// Moves all of the log into the main file, and waits a moment until nobody reads in it any more, so that the next
    /// commit begins it anew. Whether it did, [`log_length`](Session::log_length) tells after that commit.
    ///
    /// # Errors
    /// What the database said; nothing is lost by it.
    fn clear_log(&mut self) -> Result<()> {
        Ok(())
    }

    /// Moves the log into the main file; `whole` waits for readers and truncates the log.
    ///
    /// # Errors
    /// What the database said; nothing is lost by it.
    fn checkpoint(&mut self, whole: bool) -> Result<()> {
        let _ = whole;
        Ok(())
    }

    /// Gives what is free in the file back to the file system, and empties the log. Needs the turn, and no open transaction.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::error::Error::Unsupported) where there is no file; what the database said. Nothing was done
    /// then.
    fn compact(&mut self) -> Result<Compacted>;

    /// Leaves the store: what this process holds or waits for is given up, its row goes. Needs the turn.
    ///
    /// # Errors
    /// What the database said; the others will notice anyway.
    fn leave(&mut self, now: Moment) -> Result<()>;
}

/// What became of a file whose free room was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Bytes of the main file and the log before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

impl Compacted {
    /// From so many bytes to so many.
    #[must_use]
    pub fn of(before: u64, after: u64) -> Compacted {
        Compacted { before, after }
    }
}

/// What the others look at to learn whether a process lives.
pub trait Presence: Debug + Send + Sync {
    /// A descriptor that a program inherits which is started while it exists. As long as one of them lives that
    /// have inherited it, the process is not taken for dead; it holds nothing else up, least of all the turn.
    ///
    /// # Errors
    /// If there is no descriptor left.
    fn lend(&self) -> Result<OwnedFd>;
}

/// A read-only connection. Each call sees one snapshot of what has been committed.
pub trait View: Send {
    /// One page of events.
    ///
    /// # Errors
    /// What the database said. A damaged record is an item of the page, not an error of it.
    fn events(&mut self, query: &stream::Query) -> Result<stream::Page>;

    /// The event with this id, if there is one.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if it is damaged.
    fn event(&mut self, id: &Uuid) -> Result<Option<stream::Recorded>>;

    /// Id and version of a stream, if it exists.
    ///
    /// # Errors
    /// What the database said.
    fn stream(&mut self, name: &Name) -> Result<Option<stream::Head>>;

    /// The position of the last event in the store, 0 if there is none.
    ///
    /// # Errors
    /// What the database said.
    fn head(&mut self) -> Result<u64>;

    /// The snapshot kept for a stream.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if its checksum is wrong.
    fn snapshot(&mut self, stream: &Name) -> Result<Option<snapshot::Kept>>;

    /// How a subject stands, if it is known.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if its checksum is wrong.
    fn subject(&mut self, name: &Name) -> Result<Option<subject::KeyState>>;

    /// One entry of a dict, if it is there at `now`.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if it is damaged.
    fn dict_entry(&mut self, dict: &Name, key: &str, now: Moment) -> Result<Option<dict::Entry>>;

    /// One page of a dict, of what is there at `now`.
    ///
    /// # Errors
    /// What the database said. A damaged entry is an item of the page, not an error of it.
    fn dict_page(&mut self, query: &dict::Query, now: Moment) -> Result<dict::Page>;

    /// How a dict keeps its values, if it was used.
    ///
    /// # Errors
    /// What the database said.
    fn dict_kept(&mut self, dict: &Name) -> Result<Option<dict::Kept>>;

    /// The indexes of a dict, by path.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if one is damaged.
    fn dict_indexes(&mut self, dict: &Name) -> Result<Vec<dict::Index>>;

    /// How a page of a dict would be found: how each index that is complete stands to the query's filter.
    ///
    /// # Errors
    /// What the database said.
    fn dict_ways(&mut self, query: &dict::Query) -> Result<Vec<filter::plan::Standing>>;

    /// Row and version of a dict, if it was ever used: whatever is read behind it is of that version or a later one.
    ///
    /// # Errors
    /// What the database said.
    fn dict_stamp(&mut self, name: &Name) -> Result<Option<(u64, u64)>>;

    /// How a dict stands at `now`, if it was ever used. Its entries are counted for it.
    ///
    /// # Errors
    /// What the database said.
    fn dict(&mut self, name: &Name, now: Moment) -> Result<Option<dict::Head>>;

    /// Up to `limit` dicts, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn dicts(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<dict::Head>>;

    /// One page of a list.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if its order is damaged. A damaged item is an
    /// item of the page, not an error of it.
    fn list_page(&mut self, query: &list::Query) -> Result<list::Page>;

    /// How a list stands, if it was ever used.
    ///
    /// # Errors
    /// What the database said.
    fn list(&mut self, name: &Name) -> Result<Option<list::Head>>;

    /// Up to `limit` lists, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn lists(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<list::Head>>;

    /// A blob, if there is one, and up to so many of its chunks, from the one on that has byte `from`: one snapshot of both.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if it is damaged. A damaged chunk is an item of
    /// the chunks.
    fn blob(
        &mut self,
        blobs: &Name,
        key: &str,
        from: u64,
        chunks: u32,
    ) -> Result<Option<(blob::Blob, blob::Chunks)>>;

    /// Up to so many chunks of a blob that was read before, from this one on; `None` if they were swept, because it was replaced
    /// or removed.
    ///
    /// # Errors
    /// What the database said. A damaged chunk is an item of the chunks.
    fn blob_chunks(
        &mut self,
        blobs: &Name,
        blob: &blob::Blob,
        from: u64,
        chunks: u32,
    ) -> Result<Option<blob::Chunks>>;

    /// One page of blobs, without their bytes.
    ///
    /// # Errors
    /// What the database said. A damaged blob is an item of the page, not an error of it.
    fn blob_page(&mut self, query: &blob::Query) -> Result<blob::Page>;

    /// How blobs stand, if they were ever used.
    ///
    /// # Errors
    /// What the database said.
    fn blobs_head(&mut self, name: &Name) -> Result<Option<blob::Head>>;

    /// Up to `limit` names of blobs, in order, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn blobs_heads(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<blob::Head>>;

    /// One page of a feed.
    ///
    /// # Errors
    /// What the database said. A damaged message is an item of the page, not an error of it.
    fn feed_page(&mut self, query: &feed::Query) -> Result<feed::Page>;

    /// How a feed stands, if it was ever used.
    ///
    /// # Errors
    /// What the database said.
    fn feed(&mut self, kind: feed::Kind, name: &Name) -> Result<Option<feed::Head>>;

    /// Up to `limit` feeds of a kind, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn feeds(&mut self, kind: feed::Kind, after: Option<&str>, limit: u32) -> Result<Vec<feed::Head>>;

    /// The durable subscriptions of a feed, by name.
    ///
    /// # Errors
    /// What the database said.
    fn subscriptions(&mut self, kind: feed::Kind, name: &Name) -> Result<Vec<subscription::Standing>>;

    /// What of a feed has been acknowledged in a durable subscription, of the messages between two, inclusive; `None` if
    /// there is no such subscription.
    ///
    /// # Errors
    /// What the database said.
    fn acknowledged(
        &mut self,
        kind: feed::Kind,
        feed: &Name,
        subscription: &Name,
        within: subscription::Span,
    ) -> Result<Option<subscription::Acknowledged>>;

    /// The generations of a projection, the one that is read first; none if there is no such projection.
    ///
    /// # Errors
    /// What the database said.
    fn projection(&mut self, name: &Name) -> Result<Vec<projection::Standing>>;

    /// Up to `limit` projections, by name, after `after`, each with all its generations.
    ///
    /// # Errors
    /// What the database said.
    fn projections(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<projection::Standing>>;

    /// How one lock stands at `now`, without changing anything; `None` if it was never used.
    ///
    /// # Errors
    /// What the database said.
    fn lock(&mut self, name: &Name, now: Moment) -> Result<Option<lock::Line>>;

    /// Up to `limit` locks that are held or waited for, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn locks(&mut self, after: Option<&str>, limit: u32, now: Moment) -> Result<Vec<lock::Line>>;

    /// Up to `limit` changes that were written down after the one with number `after`, in order. The first is a later one
    /// than the next if those in between are not kept any more.
    ///
    /// # Errors
    /// What the database said.
    fn changes(&mut self, after: u64, limit: u32) -> Result<Vec<change::Change>>;
    /// A queue in numbers; `None` if it was never used. Each job is counted for it.
    ///
    /// # Errors
    /// What the database said.
    fn queue(&mut self, name: &Name) -> Result<Option<queue::Numbers>>;

    /// Up to `limit` queues in numbers, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn queues(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<queue::Numbers>>;

    /// What a claim would find in a queue at `now`, without counting; `None` if it was never used.
    ///
    /// # Errors
    /// What the database said.
    fn queue_outlook(&mut self, name: &Name, now: Moment) -> Result<Option<queue::Outlook>>;

    /// The schedules of a queue, by name.
    ///
    /// # Errors
    /// What the database said. A damaged record is an item of the list, not an error of it.
    fn schedules(&mut self, queue: &Name) -> Result<Vec<Result<schedule::Schedule>>>;

    /// One page of jobs.
    ///
    /// # Errors
    /// What the database said. A damaged record is an item of the page, not an error of it.
    fn jobs(&mut self, query: &queue::Query) -> Result<queue::Page>;

    /// The job of a key that is neither done nor dead, if there is one.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if it is damaged.
    fn job_of_key(&mut self, queue: &Name, key: &str) -> Result<Option<queue::Job>>;

    /// Before something is read: sees to it that it is what is there. One that can tell without being asked has nothing to do.
    ///
    /// # Errors
    /// What the database said.
    fn refresh(&mut self) -> Result<()> {
        Ok(())
    }

    /// Copies the store as it is at this moment to a file that must not be there. How many bytes that has.
    ///
    /// # Errors
    /// [`Error::InvalidPath`](crate::error::Error::InvalidPath);
    /// [`Error::Unsupported`](crate::error::Error::Unsupported) where there is no file; what the database and the file system said.
    /// Nothing is left there then.
    fn backup(&mut self, to: &Path) -> Result<u64>;

    /// All that was committed, as it is at this moment, for as long as that is looked at: others are held up by nothing that is
    /// read there, and it goes when it is dropped, or with the process.
    ///
    /// # Errors
    /// What the database and the file system said.
    fn frozen(&mut self) -> Result<Box<dyn View>>;

    /// Looks for what is wrong beside what the records say of themselves, and hands it on; no more once `found` says that it is
    /// enough.
    ///
    /// # Errors
    /// What keeps it from being looked at; what is wrong is handed on.
    fn check(&mut self, found: &mut dyn FnMut(crate::error::Error) -> bool) -> Result<()>;

    /// Which store it is, and where it stands.
    ///
    /// # Errors
    /// What the database said.
    fn imprint(&mut self) -> Result<record::Imprint>;

    /// Up to `limit` streams of which there is something to be known beside their events, by name, after `after`.
    ///
    /// # Errors
    /// What the database said.
    fn marked_streams(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<record::Marked>>;

    /// Up to `limit` subjects, by name, after `after`.
    ///
    /// # Errors
    /// What the database said. A damaged record is an item of the list, not an error of it.
    fn subjects(
        &mut self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Result<subject::KeyState>)>>;

    /// The processes registered, living or not yet buried.
    ///
    /// # Errors
    /// What the database said.
    fn processes(&mut self, now: Moment) -> Result<Vec<Process>>;

    /// What is in the store at `now`, in numbers.
    ///
    /// # Errors
    /// What the database said.
    fn summary(&mut self, now: Moment) -> Result<Summary>;

    /// The turn that somebody has at this moment, this process included; `None` if nobody has. Waits for no writer.
    ///
    /// # Errors
    /// What the database said.
    fn turn_holder(&mut self) -> Result<Option<Turn>>;

    /// What to compare to learn whether a process other than `own` wrote, came or went.
    ///
    /// # Errors
    /// What the database said.
    fn pulse(&mut self, own: u64) -> Result<Pulse>;
}

/// The bell between processes. It is a hint: whoever waits also looks from time to time.
pub trait Bell: Send + Sync {
    /// Has `on_ring` called, from any thread, whenever another process may have rung or died. Once a store.
    ///
    /// # Errors
    /// If it cannot be watched; then the slow poll alone has to do.
    fn listen(&self, on_ring: Box<dyn Fn() + Send + Sync>) -> Result<()>;

    /// Says to the other processes that somebody here waits, or that nobody does any more.
    ///
    /// # Errors
    /// If the ground of it fails; then the slow poll alone has to do.
    fn waiting(&self, somebody: bool) -> Result<()>;

    /// Says to all processes, this one included, that somebody here watches for [changes](change), or that nobody does any
    /// more.
    ///
    /// # Errors
    /// If the ground of it fails; then nothing is written down for who watches here.
    fn watching(&self, somebody: bool) -> Result<()>;
}

//! A limit on everything, each a named constant with its reason.

use std::time::Duration;

use crate::error::{Error, Result};

/// Longest name, in bytes: long enough for a URL or a path, short enough for an index page to hold many.
pub const NAME_BYTES: usize = 512;

/// Longest event type, in bytes.
pub const EVENT_TYPE_BYTES: usize = 256;

/// Most types that one read picks out. Each is a parameter of the statement; who wants more of them wants nearly all.
pub const TYPES_PER_READ: usize = 100;

/// Events that are erased in one operation. The others in the group wait for it.
pub const ERASED_AT_ONCE: u32 = 1_000;

/// Largest data of one event, in bytes. What is larger belongs in a blob.
pub const EVENT_BYTES: usize = 16 << 20;

/// Largest metadata of one event, in bytes.
pub const METADATA_BYTES: usize = 64 << 10;

/// Most events in one append: a group stays short enough that other callers do not notice it.
pub const EVENTS_PER_APPEND: usize = 10_000;

/// Most bytes of event data in one append.
pub const APPEND_BYTES: usize = 64 << 20;

/// Largest data of one record of a log or one message of a channel, in bytes. What is larger belongs in a blob.
pub const MESSAGE_BYTES: usize = 16 << 20;

/// Most of them in one append: a group stays short enough that other callers do not notice it.
pub const MESSAGES_PER_APPEND: usize = 10_000;

/// The largest number of a sequence: the file's numbers end there.
pub const LAST_SEQUENCE: u64 = i64::MAX.unsigned_abs();

/// Pages of a feed's end that are kept for those who follow it and were not there in time, and messages in them. With more
/// of them a slow follower has to read on from the store a little later.
pub const WINDOW_PAGES: usize = 256;

/// See [`WINDOW_PAGES`].
pub const WINDOW_ROWS: usize = 4_096;

/// Followers of one feed in one process. At some hundred bytes each this bounds their memory to some tens of MiB.
pub const FOLLOWERS: usize = 100_000;

/// Channels that one subscription to a pattern follows. It remembers of each how far it has come, which is about a hundred
/// bytes: this bounds it to some ten MiB.
pub const CHANNELS_FOLLOWED: usize = 100_000;

/// Parts that the messages of a channel are divided into among the consumers of a group, by their keys. It is how many of
/// them can have work at once; each is a lock that one of them holds. It belongs to the file: with another number,
/// processes would not agree on whose a key is.
pub const GROUP_PARTS: usize = 32;

/// Consumers of one group. Those above the number of parts have nothing to do but to be there when another one goes.
pub const GROUP_MEMBERS: u32 = 1_000;

/// Messages of one part that a consumer has at hand, handed out and not acknowledged or waiting. It is how far one message
/// that takes its time lets the others of its part get ahead.
pub const GROUP_AT_HAND: usize = 256;

/// Bytes of them that wait; one message may be larger. With all parts it is a page.
pub const GROUP_BYTES: usize = PAGE_BYTES / GROUP_PARTS;

/// Records in the window of a live view, which holds them all in memory.
pub const LIVE_RECORDS: usize = 100_000;

/// Most of them that one commit removes beside as many as it appends: a retention that was made much smaller is reached
/// step by step, and nobody else in the group has to wait for it.
pub const REMOVED_AT_ONCE: usize = 1_000;

/// Largest snapshot, in bytes.
pub const SNAPSHOT_BYTES: usize = 64 << 20;

/// Requests that may be on their way at once in a process, whatever they are. Beyond it a caller waits for
/// room until its deadline and then gets `Overloaded`. At a few hundred bytes a request this bounds the
/// memory of all mailboxes together to some tens of MiB.
pub const REQUESTS: usize = 65_536;

/// Callers that may wait for one lock. They wait in the database, so a request slot is not held meanwhile.
pub const WAITERS: u64 = 1_000_000;

/// What nobody waits for and could not be written or read, as giving back what was dropped, is tried again after this.
pub const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Most permits of a semaphore. Each holder is a row, and whoever comes or goes looks at them all, inside the one
/// transaction that everybody waits for.
pub const PERMITS: u32 = 10_000;

/// The capacity of a lock for readers and writers: a writer wants all of it. More than any semaphore has.
pub const READERS_AND_WRITERS: u32 = 1 << 30;

/// Messages in the mailbox of a supervisor or an actor before actix makes `send` wait. The bound that counts
/// is [`REQUESTS`]; this one must not be reached first.
pub const MAILBOX: usize = REQUESTS * 2;

/// Most operations in one group, for which it keeps the writers' turn for 0.1 s or so. Many operations on one page cost that page
/// once, so the larger the better: with 10,000 callers, groups of 4,096 were slower. No more than [`CHANGES`]: whoever watches and has
/// seen all that was before a group sees all of the group.
pub const GROUP_OPERATIONS: usize = 10_000;
const _: () = assert!(GROUP_OPERATIONS as u64 <= CHANGES, "a group pushes its own changes out");

/// So many requests of a group are looked at, answered, and leave the gate together. Each of the three has to do with memory that
/// another thread has, and takes less for many at once.
pub const TOGETHER: usize = 64;

/// A group of this size is worth its fsync: it waits for nobody.
pub const GROUP_FLOOR: usize = 256;

/// How long an open group waits for requests that are known to be on their way.
pub const LINGER: Duration = Duration::from_micros(200);

/// How long an open group waits for callers who were answered a moment ago, if it is smaller than the one before.
pub const RETURN: Duration = Duration::from_micros(100);

/// How long an aggregate waits for all who were answered a moment ago, as long as one comes after the other.
pub const RETURN_OF_ALL: Duration = Duration::from_millis(4);

/// Changes that are kept for those who watch: whoever is further behind is told how many are gone.
pub const CHANGES: u64 = 10_000;

/// Most commands merged into one append of a hot aggregate.
pub const MERGED_COMMANDS: usize = 4_096;

/// Most bytes of event data in a merged append.
pub const MERGED_BYTES: usize = 4 << 20;

/// How often an aggregate's commands are decided again after another process wrote in between.
pub const CONFLICT_RETRIES: u32 = 8;

/// A command, or an update of a dict's entry, that was overtaken so often insists: if it is overtaken once more, its process keeps
/// the turn until it has been decided again.
pub const INSIST_AFTER: u32 = 4;

/// But no longer than this.
pub const INSIST: Duration = Duration::from_millis(25);

/// For so many flights after such a conflict an aggregate keeps a copy of the state that each rests on, if it lets itself be
/// copied: who was overtaken once is likely to be again.
pub const CAREFUL_FLIGHTS: u32 = 64;

/// How long a call that does not wait for somebody may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time to live of a lock unless told otherwise.
pub const LOCK_TTL: Duration = Duration::from_secs(60);

/// How long a lock stays with a process that gives no sign of life after the lock was passed on to it. A stopped process
/// would keep the others waiting for its whole time to live, though it has never begun to use the lock.
pub const TAKE_UP: Duration = Duration::from_secs(5);

/// Shortest time to live: below it a busy machine alone would lose the lock.
pub const TTL_MIN: Duration = Duration::from_millis(10);

/// Longest duration that is taken anywhere.
pub const DURATION_MAX: Duration = Duration::from_secs(365 * 86_400);

/// Largest data of one job, in bytes. It is written anew with every claim; what is larger belongs in a blob.
pub const JOB_BYTES: usize = 4 << 20;

/// Most jobs in one push: a group stays short enough that other callers do not notice it.
pub const JOBS_PER_PUSH: usize = 10_000;

/// Most bytes of job data in one push.
pub const PUSH_BYTES: usize = 64 << 20;

/// Longest reason of a failed attempt that is kept, in bytes: an error and its causes, not a log. What is longer is cut.
pub const REASON_BYTES: usize = 4_096;

/// How often a job is tried unless told otherwise.
pub const MAX_ATTEMPTS: u32 = 20;

/// Most attempts that can be asked for.
pub const ATTEMPTS_CAP: u32 = 1_000_000;

/// Time to live of a claim unless told otherwise. It matters only for a process that is stopped.
pub const JOB_LEASE: Duration = Duration::from_secs(30);

/// How long a job waits after its first attempt that came to nothing, where nobody says so; twice as long after each
/// other.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);

/// How long it waits at most.
pub const RETRY_MOST: Duration = Duration::from_secs(3_600);

/// Whoever waits for a job's time looks again after this long: the wall clock may have been set meanwhile, and a machine
/// that slept has not counted that where timers are kept.
pub const CLOCKS_DRIFT: Duration = Duration::from_secs(10);

/// Jobs that one operation revives or removes, and delayed ones that one claim makes visible: whoever has more does it in
/// steps, so that nobody waits for all of them.
pub const JOBS_AT_ONCE: u32 = 1_000;

/// Most jobs in one claim.
pub const JOBS_PER_CLAIM: u32 = 256;

/// Kept jobs past their time that go with each one that is done: more than one, so that they do not pile up.
pub const DONE_SWEPT: u32 = 4;

/// Values of dicts whose time may be over that are looked at with each one that is put.
pub const ENTRIES_SWEPT: u32 = 100;

/// Most schedules of one queue: whoever waits for a job looks through their times, and reads them all when one is due.
pub const SCHEDULES: usize = 1_000;

/// Largest data of what a schedule pushes, in bytes: with the number of them it bounds what is read when one is due. What is
/// larger belongs in a blob.
pub const SCHEDULE_BYTES: usize = 64 << 10;

/// What of a schedule is later than this counts as missed, where that matters: a busy machine alone is never so late.
pub const SCHEDULE_LATE: Duration = Duration::from_secs(60);

/// Jobs that one worker works on at a time, and starts within a period: each has a future or a thread, and each start a timer.
pub const WORKER_JOBS: u32 = 10_000;

/// A worker whose claim failed for a reason that may pass tries again after [`TRY_AGAIN`], twice as long after each other,
/// and after this long at most.
pub const WORKER_PAUSE: Duration = Duration::from_secs(8);

/// Reader threads, and so read-only connections.
pub const READERS: usize = 2;

/// Effects of one command: those that were decided in the same flight wait for them.
pub const EFFECTS: usize = 1_000;

/// Writes in a batch: they are applied one behind the other while the others of the group wait.
pub const BATCH_WRITES: usize = 10_000;

/// Bytes of all of them, as of an append.
pub const BATCH_BYTES: usize = APPEND_BYTES;

/// Statements of a user's that are run as one write: they are prepared and run one behind the other while the others of the
/// group wait.
pub const SQL_STATEMENTS: usize = 1_000;

/// Longest of them, in bytes: each is parsed while the others wait. What is data belongs in parameters.
pub const SQL_BYTES: usize = 64 << 10;

/// Most parameters of one: as many as SQLite takes.
pub const SQL_PARAMETERS: usize = 32_766;

/// Steps of SQLite's machine that one of them may take, about half a second; a row that is looked at takes some five to ten. All
/// others of the group wait for it.
pub const SQL_STEPS: u32 = 10_000_000;

/// Largest value of a dict, in bytes. It is read and written whole; what is larger belongs in a blob.
pub const ENTRY_BYTES: usize = 4 << 20;

/// Keys of a dict that are remembered with what is under them, by each handle that is asked to. Those that were not asked for the
/// longest go first.
pub const CACHED_KEYS: usize = 10_000;

/// Bytes of the values that are remembered so.
pub const CACHED_BYTES: usize = 16 << 20;

/// Largest item of a list, in bytes. It is read and written whole; what is larger belongs in a blob.
pub const ITEM_BYTES: usize = 4 << 20;

/// Items that are put into a list at once.
pub const ITEMS_PER_INSERT: usize = 10_000;

/// Largest insert into a list, in bytes of its items together.
pub const INSERT_BYTES: usize = 64 << 20;

/// Items that are taken from a list for those who wait at once, so that no commit becomes long.
pub const ITEMS_PER_TAKE: u32 = 256;

/// Entries of a node in the order of a list: a leaf is 1 KiB then, an inner node 2 KiB, and a million items are three levels.
pub const NODE_ENTRIES: usize = 128;

/// Bytes of a chunk of a blob. Each is a row and a part of a group, so others wait for a few of them. Chunks of half of that were
/// measured to be written a quarter more slowly; larger ones not faster.
pub const BLOB_CHUNK: usize = 128 << 10;

/// Chunks of one blob that are on their way to the disk while the next is gathered: some of them share a commit while the others
/// come. With half as many a blob was measured to be written a quarter more slowly, with more of them not faster. With what is
/// gathered, this bounds the memory of who writes to about 2 MiB.
pub const BLOB_CHUNKS_AHEAD: usize = 16;

/// Chunks of a blob that are read at once; one page more is read ahead.
pub const BLOB_CHUNKS_PER_PAGE: u32 = 8;

/// Largest blob, in bytes: with chunks of any size that is sensible, their numbers fit into 32 bits.
pub const BLOB_BYTES: u64 = 1 << 40;

/// Largest blob that is read in one piece, in bytes. It is in memory whole; what is larger is read as a stream.
pub const BLOB_WHOLE_BYTES: u64 = 16 << 20;

/// Blobs that are removed in one commit, where many are: a few chunks of each may go at once with it.
pub const BLOBS_REMOVED_AT_ONCE: usize = 100;

/// Chunks that are swept with each chunk that is written: more than one, so that what is nobody's becomes less. A blob that has no
/// more of them goes whole in the commit that removes it.
pub const CHUNKS_SWEPT: u32 = 2;

/// Chunks that are swept at once by who does nothing else. Others of the group wait for it, a few milliseconds.
pub const CHUNKS_SWEPT_AT_ONCE: u32 = 32;

/// Comparisons in one filter, combinations included. Each is made for every value that is looked at.
pub const FILTER_TESTS: usize = 256;

/// Values that one filter compares with. Each may be a look into an index.
pub const FILTER_VALUES: usize = 1_000;

/// Bytes of all that one filter compares with.
pub const FILTER_BYTES: usize = 64 << 10;

/// How deep a filter may be nested: it is looked through by functions that call themselves.
pub const FILTER_DEPTH: usize = 32;

/// Steps of a path into a value.
pub const PATH_SEGMENTS: usize = 32;

/// The largest exponent of a number that is compared, with a digit before it: a file keeps it in four bytes. A number beyond it is
/// there, and is compared with nothing.
pub const NUMBER_EXPONENT: i32 = 1_000_000_000;

/// Bytes that an index keeps of a value. Values that differ only behind them are told apart by reading them.
pub const INDEXED_BYTES: usize = 256;

/// Indexes of one dict: each is a row more for every value that is put.
pub const INDEXES_PER_DICT: usize = 16;

/// Entries that are indexed, or whose places in an index are removed, in one commit; others in the group wait for it.
pub const INDEXED_AT_ONCE: u32 = 1_000;

/// Partitions that the events of a projection may be divided into among its reactors. Each reads the events by itself, and is a lock
/// that one of them holds.
pub const PARTITIONS: u32 = 64;

/// Reactors that share the partitions of one projection. Those above the number of partitions have nothing to do but to be there
/// when another one goes.
pub const PROJECTION_MEMBERS: u32 = 1_000;

/// A projection that has found nothing of interest saves its place after this, or at once after [`PAGE_ROWS`] events: in a
/// store where much happens that does not concern it, that is not a commit an event.
pub const PLACE_SAVED: Duration = Duration::from_millis(100);

/// Streams whose events an event bus has handled at once.
pub const BUS_STREAMS: usize = 64;

/// States of processes that a process manager keeps at hand, so that most of them need not be read again for each event.
pub const STATES_KEPT: usize = 10_000;

/// Longest line of a dump, in bytes: the largest payload as a text, in which each byte may have become six.
pub const DUMP_LINE_BYTES: usize = 6 * EVENT_BYTES + (4 << 20);

/// Largest last token that a dump may tell of: a store that is loaded from it has to begin far above.
pub const DUMPED_TOKEN: u64 = 1 << 62;

/// So far above the last token of the original a copy begins, because that may go on. No store gives so many in a hundred years.
pub const TOKENS_AHEAD: u64 = 1 << 40;

/// Records that are loaded in one operation, and bytes of their lines, more or less: what is in memory at once.
pub const LOADED_AT_ONCE: usize = 1_000;

/// See [`LOADED_AT_ONCE`].
pub const LOADED_BYTES: usize = PAGE_BYTES;

/// Records that a copy commits together, and bytes of what is in them, more or less: so much is written anew if it is killed, and for
/// so long others wait.
pub const COPIED_AT_ONCE: usize = 10_000;

/// See [`COPIED_AT_ONCE`].
pub const COPIED_BYTES: usize = 16 << 20;

/// Findings that a store's check tells of. What is wrong in more places than that has one cause, and nobody reads them all.
pub const FINDINGS: usize = 1_000;

/// Rows a reader hands over at once. Larger pages read a little faster and hold more memory.
pub const PAGE_ROWS: u32 = 1_000;

/// A page ends early when it has gathered this much, so that large events do not add up.
pub const PAGE_BYTES: usize = 8 << 20;

/// Events of other partitions, and records that a filter leaves out, that are looked at for one page, so that no page keeps its
/// snapshot for long.
pub const OTHERS_PER_PAGE: u32 = 16_384;

/// Names whose rows are remembered, of streams and of feeds, so that an append need not look for them: about 2 MiB each, and
/// more than are written to at once.
pub const ROWS: usize = 16_384;

/// An actor that nobody used for this long leaves.
pub const IDLE: Duration = Duration::from_secs(30);

/// Idle actors looked at in one slice of a sweep, so that a sweep of many does not stall the arbiter.
pub const SWEEP_SLICE: usize = 4_096;

/// While somebody waits for another process, the store is looked at this often whether the bell rang or not. A look costs
/// 60 to 120 us of processor, so that ten a second are more than the 0.1 % of a core that a waiter may cost; and a lock
/// whose holder was killed unheard still goes on within a quarter of a second.
pub const SLOW_POLL: Duration = Duration::from_millis(150);

/// Pages in the write-ahead log at which the writer runs a passive checkpoint, after it has replied.
pub const CHECKPOINT_PAGES: u32 = 1_000;

/// How many times as long as at a checkpoint the log may become before it waits for its readers: with the usual
/// checkpoint 32 MiB, so that it stays below 64 MiB even if it has to try a few times.
pub const LONG_LOG: u32 = 4;

/// How long a closing store waits for the requests it has accepted.
pub const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Commits that may fail in ten minutes before the writer gives up and stays closed.
pub const FAILED_COMMITS: usize = 3;

/// How often a group is looked through for what it will look for in a database that is far, before it is begun all the same: so deep
/// nothing leads from row to row.
pub const LOOKS: usize = 64;

/// Whether what was measured is within its limit; `what` names it with its unit.
///
/// # Errors
/// [`Error::TooLarge`].
pub fn check_size(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size > limit {
        return Err(Error::TooLarge { what, size: size as u64, limit: limit as u64 });
    }
    Ok(())
}

//! The one error of Millpond, and what it says about a write: not applied, or unknown.

mod occupant;

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

pub use self::occupant::{Occupant, ProcessName};

/// `Result` with Millpond's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an error says about the write it answers.
///
/// An `Ok` means applied and on disk. There is no third possibility for an error than these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// The write left no trace and never will.
    NotApplied,
    /// The write may have been applied: the storage failed at the moment of the commit and could not be asked
    /// afterwards, or it did not answer for as long as a call may take. It is settled, one way or the other, when the
    /// next write on the store succeeds.
    Unknown,
}

/// What a caller expected of a stream, or found in it: for [`Error::Conflict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there; this never conflicts.
    Any,
    /// The stream holds no event yet.
    NoStream,
    /// The stream holds at least one event.
    Exists,
    /// The stream's last event has exactly this version; 0 is the same as [`Expected::NoStream`].
    Version(u64),
}

impl Expected {
    /// Whether a stream of this version is as expected; 0 is one that does not exist.
    #[must_use]
    pub fn allows(self, version: u64) -> bool {
        match self {
            Expected::Any => true,
            Expected::NoStream => version == 0,
            Expected::Exists => version > 0,
            Expected::Version(expected) => version == expected,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Any => f.write_str("any version"),
            Expected::NoStream | Expected::Version(0) => f.write_str("no events"),
            Expected::Exists => f.write_str("at least one event"),
            Expected::Version(version) => write!(f, "version {version}"),
        }
    }
}

/// Everything that can go wrong, in words for a person and variants for a program.
///
/// It is `Clone` because one failed commit answers every caller that shared it, and it carries no other
/// library's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is refused before anything is sent.
    #[error("the {what} \"{name}\" is not usable: {reason}")]
    InvalidName {
        /// Which sort of name: "name", "event type", ...
        what: &'static str,
        /// The name, escaped and cut.
        name: String,
        /// Why.
        reason: String,
    },
    /// A duration outside what the operation takes.
    #[error("the {what} of {given:?} is not usable: it must lie between {min:?} and {max:?}")]
    InvalidDuration {
        /// Which duration: "time to live", ...
        what: &'static str,
        /// What was given.
        given: Duration,
        /// The smallest that is taken.
        min: Duration,
        /// The largest that is taken.
        max: Duration,
    },
    /// An argument that contradicts itself or the operation.
    #[error("{what}: {reason}")]
    InvalidArgument {
        /// What was asked for.
        what: String,
        /// Why it cannot be done.
        reason: String,
    },
    /// A path or address that cannot be a store.
    #[error("cannot use \"{path}\" as a store: {reason}")]
    InvalidPath {
        /// The path as given.
        path: String,
        /// Why.
        reason: String,
    },
    /// More bytes or items than a limit allows; nothing was copied or written.
    #[error("{what} is too large: {size}, the limit is {limit}")]
    TooLarge {
        /// What was measured, with its unit.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The stream is not where the caller thought it was.
    #[error(
        "stream \"{stream}\" was expected to hold {expected}, but its version is {actual}; read it again and decide anew"
    )]
    Conflict {
        /// The stream.
        stream: String,
        /// What the caller expected.
        expected: Expected,
        /// The version found.
        actual: u64,
    },
    /// What is under a key of a dict is not what was expected.
    #[error("\"{key}\" of dict \"{dict}\" was expected to be {expected}, but {}", found(*actual))]
    EntryConflict {
        /// The dict.
        dict: String,
        /// The key.
        key: String,
        /// What the caller expected, in words.
        expected: String,
        /// The version of what is there; `None` if there is nothing.
        actual: Option<u64>,
    },
    /// A list has no item with this index, or no such place to put one.
    #[error("list \"{list}\" has {}, and no place {index} among them; it is as it was", items(*count))]
    NoItem {
        /// The list.
        list: String,
        /// The index that was asked for.
        index: i64,
        /// So many items there are.
        count: u64,
    },
    /// An item of a list is not the one that was expected.
    #[error(
        "item {index} of list \"{list}\" was expected to have version {expected}, but it has version {actual}"
    )]
    ItemConflict {
        /// The list.
        list: String,
        /// The index.
        index: i64,
        /// The version that the caller expected.
        expected: u64,
        /// The version of what is there.
        actual: u64,
    },
    /// What is under a key of a dict cannot be added to.
    #[error("\"{key}\" of dict \"{dict}\" cannot be added to: {reason}; it is as it was")]
    NoNumber {
        /// The dict.
        dict: String,
        /// The key.
        key: String,
        /// Why not.
        reason: String,
    },
    /// What is under a key of blobs is not what was expected.
    #[error("\"{key}\" of blobs \"{blobs}\" was expected to be {expected}, but {}", found(*actual))]
    BlobConflict {
        /// The blobs.
        blobs: String,
        /// The key.
        key: String,
        /// What the caller expected, in words.
        expected: String,
        /// The version of what is there; `None` if there is nothing.
        actual: Option<u64>,
    },
    /// A blob was replaced or removed while it was read, and its bytes are gone. What was read of it so far is right.
    #[error(
        "\"{key}\" of blobs \"{blobs}\" was replaced or removed while it was read, and the rest of it is gone; read it anew"
    )]
    BlobGone {
        /// The blobs.
        blobs: String,
        /// The key.
        key: String,
    },
    /// A blob that was being written was given up: its process was taken for dead, or a part of it could not be written. Nothing
    /// of it is to be seen.
    #[error(
        "what was written as \"{key}\" of blobs \"{blobs}\" was given up: {reason}; nothing of it is to be seen, write it anew"
    )]
    BlobLost {
        /// The blobs.
        blobs: String,
        /// The key.
        key: String,
        /// Why.
        reason: String,
    },
    /// An event id of this append is already stored, and the append is not a repetition of that one.
    #[error(
        "an event with id {id} is already stored (append to stream \"{stream}\"); an event id names one event for ever"
    )]
    DuplicateEvent {
        /// The stream of the refused append.
        stream: String,
        /// The id that is taken.
        id: Uuid,
    },
    /// The stream was closed for ever: what it held is erased, and nothing can be appended to it.
    #[error("stream \"{stream}\" was erased and closed for ever; take another name")]
    StreamClosed {
        /// The stream.
        stream: String,
    },
    /// The key of a subject was destroyed: nothing can be sealed for it any more.
    #[error("the key of subject \"{subject}\" was destroyed for ever; what is new takes another name")]
    Shredded {
        /// The subject.
        subject: String,
    },
    /// A sealed value cannot be opened, and not because its key was destroyed.
    #[error("what was sealed for subject \"{subject}\" cannot be opened: {reason}")]
    SealBroken {
        /// The subject.
        subject: String,
        /// Why.
        reason: String,
    },
    /// A sealed dict cannot be opened with this key. Nothing was read or written.
    #[error("dict \"{dict}\" is sealed with another key: {reason}")]
    WrongKey {
        /// The dict.
        dict: String,
        /// What does not fit.
        reason: String,
    },
    /// A write was guarded by a lock that its holder no longer holds.
    #[error(
        "the write was guarded by token {token} of lock \"{lock}\", which is no longer the current one; the lock was lost"
    )]
    Fenced {
        /// The lock.
        lock: String,
        /// The stale token.
        token: u64,
    },
    /// The lock was lost before it was released: it expired, was broken, or its actor failed.
    #[error("lock \"{lock}\" (ticket {ticket}) is not held any more: it expired or was taken away")]
    Lost {
        /// The lock.
        lock: String,
        /// The ticket under which it was held.
        ticket: u64,
    },
    /// A projection waits at an event that it could not project.
    #[error("projection \"{projection}\" is parked until it is resumed: {reason}")]
    Parked {
        /// The projection.
        projection: String,
        /// What went wrong, and at which event.
        reason: String,
    },
    /// A job was not finished: its claim is not the current one any more. It may be done, or somebody else works on it.
    #[error("job {sequence} of queue \"{queue}\" is not ours any more: its lease ended, or it was removed")]
    StaleClaim {
        /// The queue.
        queue: String,
        /// The job's number in it.
        sequence: u64,
    },
    /// A statement of the user's own SQL may not be run, or the database could not run it: it is about what is Millpond's
    /// own, it is no SQL, or a constraint of a table forbids it.
    #[error("the SQL `{statement}` was refused: {reason}; nothing was written")]
    SqlRefused {
        /// The statement, shortened.
        statement: String,
        /// Why.
        reason: String,
    },
    /// A statement of the user's own SQL changed, or found, another number of rows than it had to.
    #[error(
        "the SQL `{statement}` was expected to change or find {expected} rows, but it was {actual}; nothing was written"
    )]
    WrongRows {
        /// The statement, shortened.
        statement: String,
        /// The number that was expected.
        expected: u64,
        /// The number found.
        actual: u64,
    },
    /// A dump cannot be loaded: one of its lines is not what it should be, or the store does not take it. Nothing was loaded.
    #[error("line {line} of the dump: {reason}; nothing was loaded")]
    LoadRefused {
        /// Which line, from 1 on.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A dump holds something whose name is used in the store already. Nothing was loaded.
    #[error(
        "{kind} \"{name}\" is there already; nothing was loaded (replace what is there, or append to it)"
    )]
    Exists {
        /// "dict", "queue", ...
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A copy was refused before anything of it was looked at: onto itself, of a dump that holds a part of its store, while somebody
    /// else copies to the same store.
    #[error("{reason}; nothing was copied")]
    CopyRefused {
        /// Why.
        reason: String,
    },
    /// What is to be copied to is not empty, and not the beginning of this copy either: it has something else, or what is copied has
    /// changed since it was begun. Nothing was written.
    #[error(
        "what is there is not the beginning of this copy: {record} {reason}; nothing was written, copy to an empty place"
    )]
    NotTheCopy {
        /// The first record that differs, in words.
        record: String,
        /// How.
        reason: String,
    },
    /// A copy came to a record that the store does not take, because somebody else has written to it meanwhile, or a dump
    /// contradicts itself. What was copied before is there.
    #[error("the copy stopped at {record}: {reason}; what was copied before it is there")]
    CopyStopped {
        /// The record, in words, or its line.
        record: String,
        /// Why.
        reason: String,
    },
    /// What was copied, read again, is not the same on both sides: somebody else has written to the copy.
    #[error("the copy is not what was copied: {record} {reason}")]
    CopyDiffers {
        /// The first record that differs, in words.
        record: String,
        /// How.
        reason: String,
    },
    /// A name is already used for something else: a lock for a semaphore, or a semaphore of another size.
    #[error("\"{name}\" cannot be used as {wanted}: it is {found} since its first use; take another name")]
    UsedOtherwise {
        /// The name.
        name: String,
        /// As what it was asked for.
        wanted: String,
        /// What its first use made it.
        found: String,
    },
    /// Messages were removed by their retention, or by request, before this subscription had read them. It goes on with the
    /// first that is kept.
    #[error(
        "{missed} messages of {kind} \"{name}\" were removed before they were read; what is kept comes next"
    )]
    Lagged {
        /// "channel", "log" or "watch".
        kind: &'static str,
        /// Its name, or the pattern that is watched.
        name: String,
        /// Exactly so many.
        missed: u64,
    },
    /// Another process has the writers' turn, or another program the database's write lock, and it was waited for as
    /// long as a call may take. A process that is stopped (SIGSTOP) inside a commit keeps the turn until it goes on or
    /// is killed; its death frees the turn at once.
    #[error(
        "the store is busy: {process}, for {held_for:?} at least; nothing was written, try again or see what holds \
         that up"
    )]
    Busy {
        /// Who keeps it busy, as this process saw it last: at most a quarter of a second before.
        process: Occupant,
        /// For how long this very turn has lasted at least: from the first time that this process saw it to now, by its
        /// own clock. What came before that is not known, so the turn may be older.
        held_for: Duration,
    },
    /// A bound was reached and room did not come in time.
    #[error("{what} is full (limit {limit}); nothing was written, try again when the load is lower")]
    Overloaded {
        /// What is full.
        what: &'static str,
        /// Its limit.
        limit: u64,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The store was opened before this process was forked off. The threads and locks of the store stayed with the
    /// parent; a child opens a store of its own.
    #[error("the store was opened in another process, before a fork; open it anew in this one")]
    Forked,
    /// Code of the user, called on behalf of this request, panicked. Nothing was written.
    #[error("{what} panicked: {message}; nothing was written")]
    Panicked {
        /// Whose code: "decide of account-alice", ...
        what: String,
        /// The panic's message.
        message: String,
    },
    /// The actor that had the request failed before the request was written.
    #[error("the actor of {what} failed before anything was written; it is started anew by the next call")]
    ActorFailed {
        /// Which actor.
        what: String,
    },
    /// A blocking call on one of Millpond's own threads, where it could never be answered.
    #[error(
        "a blocking call on one of Millpond's own threads (from decide, evolve or a serializer) would wait for itself"
    )]
    WouldDeadlock,
    /// What was asked for is not compiled in, or this database cannot do it.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// What.
        what: String,
        /// Why, and what would help.
        reason: String,
    },
    /// The disk is full. Reads go on; a later write may succeed.
    #[error("the disk is full: {detail}; nothing was written")]
    StorageFull {
        /// What the database said.
        detail: String,
    },
    /// The file or its directory may not be written.
    #[error("the store is read-only: {detail}")]
    ReadOnly {
        /// What the database said.
        detail: String,
    },
    /// The file is something else than a store of Millpond. It was not touched.
    #[error("\"{path}\" is not a store of Millpond: {reason}; it was not touched")]
    NotOurFile {
        /// The file.
        path: String,
        /// What it seems to be.
        reason: String,
    },
    /// The file was made by a newer Millpond. It was not touched.
    #[error(
        "\"{path}\" has schema {found}, this program knows schemas up to {supported}; use a newer millpond"
    )]
    SchemaTooNew {
        /// The file.
        path: String,
        /// Its schema.
        found: u32,
        /// The newest that this program knows.
        supported: u32,
    },
    /// The file, or its log, was replaced, moved or unlinked while open, or the file got a second name. The store is closed
    /// for writing.
    #[error(
        "\"{path}\" was replaced, moved or removed while it was open; nothing more is written through this handle"
    )]
    FileReplaced {
        /// Which of them.
        path: String,
    },
    /// Stored bytes do not match their checksum, or the database found itself damaged.
    #[error("damaged record: {kind} \"{name}\" at {sequence}: {detail}")]
    Corrupt {
        /// "event", "snapshot", "database", ...
        kind: &'static str,
        /// The name it belongs to.
        name: String,
        /// Its sequence number within the name, 0 if there is none.
        sequence: u64,
        /// What did not match.
        detail: String,
    },
    /// A value could not be turned into bytes.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// Stored bytes could not be turned into the value asked for. They stay as they are.
    #[error("cannot decode {what}: {reason}")]
    Decode {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
    /// A counter has reached its end.
    #[error("{what} is exhausted")]
    Exhausted {
        /// Which counter.
        what: &'static str,
    },
    /// Commits failed again and again: nothing more is written until the store is opened anew. Reads go on.
    ///
    /// A disk whose fsync fails may say that all is well the next time, and have lost what it was given (Rebello et
    /// al., "Can Applications Recover from fsync Failures?", 2020); so trying for ever is not safe. Look after the disk
    /// first. Whoever opens the store then writes again what the disk has lost of the log and can still be read.
    #[error("the store is closed for writing, open it again: {detail}; nothing was written")]
    Poisoned {
        /// What happened.
        detail: String,
    },
    /// The database failed; the write was rolled back.
    #[error("the database failed: {detail}; nothing was written")]
    Storage {
        /// What it said.
        detail: String,
    },
    /// The database failed at the moment of the commit, and could not be asked afterwards; or it did not answer for as
    /// long as a call may take. What it grants after that is given back.
    #[error("the database failed while committing: {detail}; the write may or may not be applied")]
    CommitUnknown {
        /// What it said.
        detail: String,
    },
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}

/// So many of a list, for [`Error::NoItem`].
fn items(count: u64) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}

/// What is under a key, for [`Error::EntryConflict`] and [`Error::BlobConflict`].
fn found(version: Option<u64>) -> String {
    version.map_or_else(|| "there is nothing".to_owned(), |version| format!("it has version {version}"))
}

impl Error {
    /// What this error says about the write it answers.
    #[must_use]
    pub fn outcome(&self) -> WriteOutcome {
        match self {
            Error::CommitUnknown { .. } => WriteOutcome::Unknown,
            _ => WriteOutcome::NotApplied,
        }
    }

    /// Whether it is an operation's own doing even if the whole transaction has gone with it, so that the others of its group
    /// can be done without it.
    pub(crate) fn blames_the_operation(&self) -> bool {
        matches!(self, Error::SqlRefused { .. })
    }

    /// Whether the storage could not be reached: what has not been done can be done when it is there again.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Error::Busy { process: Occupant::Away { .. }, .. })
    }

    /// Whether it is worth for this store to try again what nobody waits for. One that is not written to any more loses
    /// its leases by its silence.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Error::Closed | Error::Poisoned { .. } | Error::FileReplaced { .. })
    }

    /// Whether the same call may succeed later without anything being changed by the caller.
    ///
    /// For an error whose [`outcome`](Error::outcome) is unknown this is `false`: a repetition is harmless only
    /// if the operation carries an id of the caller's.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Error::Busy { .. }
                | Error::Overloaded { .. }
                | Error::StorageFull { .. }
                | Error::ActorFailed { .. }
        )
    }
}

//! Which call on a disk is to fail, and how.

use super::File;

/// A call of SQLite to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// A file is opened, or made.
    Open,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// What was written is to be brought to disk.
    Sync,
    /// A file is cut.
    Truncate,
    /// A file is removed.
    Delete,
    /// A piece of the log's shared memory is mapped.
    Map,
}

impl Call {
    /// All of them.
    pub const ALL: [Call; 7] =
        [Call::Open, Call::Read, Call::Write, Call::Sync, Call::Truncate, Call::Delete, Call::Map];
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Harm {
    /// It does nothing, with EIO.
    Error,
    /// It does nothing, with ENOSPC.
    Full,
    /// A write does half of its work and then fails with ENOSPC; any other call does nothing.
    Short,
    /// A sync fails with EIO, and what it should have brought to disk is dropped; any other call does nothing.
    Dropped,
    /// As [`Dropped`](Harm::Dropped), but nobody is told: what a program does that does not look.
    Unheard,
}

/// A call that is to fail: the `nth` of its kind, and, if it is for good, every one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub call: Call,
    /// On which file; `None` is any.
    pub file: Option<File>,
    /// Which of them; the first is 1.
    pub nth: u64,
    /// Whether all later ones fail too.
    pub for_good: bool,
    /// So many calls later it strikes once more; 0 is never.
    pub again: u64,
    /// How.
    pub harm: Harm,
}

impl Fault {
    pub(super) fn is_meant_for(&self, call: Call, file: File) -> bool {
        self.call == call && self.file.is_none_or(|meant| meant == file)
    }

    /// Whether the call with this number fails.
    pub(super) fn strikes(&self, number: u64) -> bool {
        let again = self.again > 0 && number == self.nth + self.again;
        number == self.nth || again || (self.for_good && number > self.nth)
    }
}

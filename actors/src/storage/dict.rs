//! Dicts in the database: values by key, each with a version, and for a while only if that is wanted.
//!
//! Each change of a dict takes the next of its versions, so an entry that is removed and put again never has a version that
//! it had before. An entry whose time is over is not there, for whoever looks or writes; its row goes with some later write.

use super::{Data, partition};
use crate::clock::{Moment, millis};
use crate::limits;
use crate::name::Name;

/// What of an entry must be so, for it to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    #[default]
    Any,
    /// There is none.
    Absent,
    /// There is one.
    Present,
    /// It has this version.
    Version(u64),
}

impl Expected {
    /// Whether that is so of an entry of this version, or of none.
    #[must_use]
    pub fn is_met(self, version: Option<u64>) -> bool {
        match self {
            Expected::Any => true,
            Expected::Absent => version.is_none(),
            Expected::Present => version.is_some(),
            Expected::Version(expected) => version == Some(expected),
        }
    }
}

/// Put a value under a key, in place of what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The dict; it comes into being with its first entry.
    pub dict: Name,
    /// The key.
    pub key: Box<str>,
    /// The value.
    pub data: Data,
    /// The schema of the value.
    pub schema: u32,
    /// For how many milliseconds it is there; for ever if `None`.
    pub life_ms: Option<u64>,
    /// What must be so before.
    pub expected: Expected,
}

/// What became of [`Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done {
        /// The dict's row.
        dict: u64,
        /// The version that the entry has now.
        version: u64,
        /// Whether there was one before.
        replaced: bool,
    },
    /// It is not as expected.
    Conflict {
        /// The version of what is there.
        actual: Option<u64>,
    },
}

/// Remove an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove {
    /// The dict.
    pub dict: Name,
    /// The key.
    pub key: Box<str>,
    /// What must be so before.
    pub expected: Expected,
}

/// What became of [`Remove`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// There is none any more.
    Done {
        /// The dict's row, if it has one, and the version that it has since then.
        dict: Option<(u64, u64)>,
        /// What was there.
        entry: Option<Entry>,
    },
    /// It is not as expected.
    Conflict {
        /// The version of what is there.
        actual: Option<u64>,
    },
}

/// Add to a number, which is 0 if there is none. Its time stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Increment {
    /// The dict; it comes into being with its first entry.
    pub dict: Name,
    /// The key.
    pub key: Box<str>,
    /// How much.
    pub by: i64,
}

/// What became of [`Increment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incremented {
    /// It is added.
    Done {
        /// The dict's row.
        dict: u64,
        /// The version that the entry has now.
        version: u64,
        /// The sum.
        value: i64,
    },
    /// What is there is no whole number of 64 bits, as JSON.
    NoNumber,
    /// The sum would be none.
    Overflow {
        /// What is there.
        value: i64,
    },
}

/// Remove entries, in the order of their keys, so many at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clear {
    /// The dict.
    pub dict: Name,
    /// Those whose keys begin so.
    pub prefix: Box<str>,
    /// How many at most.
    pub limit: u32,
}

/// What became of [`Clear`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The dict's row, if it has one, and the version that it has since then.
    pub dict: Option<(u64, u64)>,
    /// The keys of those that were removed.
    pub removed: Vec<Box<str>>,
    /// Whether there may be more.
    pub more: bool,
}

/// An entry of a dict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its version: that of the dict when it was written last.
    pub version: u64,
    /// Its value.
    pub data: Data,
    /// The schema of the value.
    pub schema: u32,
    /// Until when it is there, in milliseconds since 1970, as the wall clock was expected to show it; for ever if `None`.
    pub ends_at: Option<i64>,
}

/// Which entries to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The dict.
    pub dict: Name,
    /// Those whose keys begin so.
    pub prefix: Box<str>,
    /// Those behind this key, in the order that is asked for.
    pub after: Option<Box<str>>,
    /// Whether the last comes first.
    pub backward: bool,
    /// At most so many; a page may end earlier for its size.
    pub limit: u32,
}

/// One page of a dict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries in the order of their keys, byte by byte; a damaged one is an
    /// [`Error::Corrupt`](crate::error::Error::Corrupt) in its place.
    pub entries: Vec<crate::error::Result<Entry>>,
    /// The key of the last row looked at, if any.
    pub last: Option<String>,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// How a dict stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its row.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// So many changes it has had.
    pub version: u64,
    /// So many entries there are.
    pub count: u64,
}

/// Until when an entry is there. The boot clock decides as long as the machine runs, so that nobody who sets the wall clock makes
/// it longer or shorter; after another boot the wall clock has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// By the wall clock.
    pub wall_ms: i64,
    /// By the boot clock of that boot.
    pub boot_ms: u64,
    /// Which boot, as a number.
    pub boot: u64,
}

impl Life {
    /// Of so many milliseconds from now on.
    #[must_use]
    pub fn of(ms: u64, now: Moment, boot: u64) -> Life {
        let ms = ms.min(millis(limits::DURATION_MAX));
        let wall_ms = now.wall_ms.saturating_add(ms.cast_signed());
        Life { wall_ms, boot_ms: now.boot_ms.saturating_add(ms), boot }
    }

    /// Until the wall clock shows this, whatever the boot: of what was loaded.
    #[must_use]
    pub fn by_wall(wall_ms: i64) -> Life {
        // No machine has a boot of no name.
        Life { wall_ms, boot_ms: 0, boot: partition::number("") }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self, now: Moment, boot: u64) -> bool {
        if self.boot == boot { now.boot_ms >= self.boot_ms } else { now.wall_ms >= self.wall_ms }
    }
}

/// A whole number as it is kept, and as it is read.
#[must_use]
pub fn number(data: &Data) -> Option<i64> {
    match data {
        Data::Json(text) => text.parse().ok(),
        Data::Bincode(_) => None,
    }
}

/// A text behind all keys that begin so, which no key can be.
#[must_use]
pub fn behind(prefix: &str) -> String {
    let more = limits::NAME_BYTES / char::MAX.len_utf8() + 1;
    format!("{prefix}{}", char::MAX.to_string().repeat(more))
}

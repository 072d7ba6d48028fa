//! Dicts in the database: values by key, each with a version, and for a while only if that is wanted.
//!
//! Each change of a dict takes the next of its versions, so an entry that is removed and put again never has a version that
//! it had before. An entry whose time is over is not there, for whoever looks or writes; its row goes with some later write.

use std::sync::Arc;

use super::filter::{Filter, Path};
use super::{Data, partition};
use crate::clock::{Moment, millis};
use crate::error::Error;
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

/// Have a dict that was never used keep its values sealed, for ever. What it is sealed with is nobody's business here: whoever has the
/// key knows it by these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The dict; it comes into being.
    pub dict: Name,
    /// How its key is made, and what it is known by.
    pub seal: Box<[u8]>,
}

/// How a dict keeps its values, if it was used: its first use says so, and it stays so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As they are. What is written to it has to be plain, and whoever asks has to take it for that.
    Plain,
    /// Sealed, by this seal. What is written to it has to be sealed.
    Sealed(Box<[u8]>),
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
    /// The dict is sealed and the value is not, or the other way round.
    Otherwise,
}

/// Remove an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove {
    /// The dict.
    pub dict: Name,
    /// The key.
    pub key: Box<str>,
    /// Whether the dict is taken for a sealed one.
    pub sealed: bool,
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
    /// The dict is sealed and is not taken for that, or the other way round.
    Otherwise,
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
    /// The dict is sealed: nobody can add to what he cannot read.
    Otherwise,
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
    /// Whether the dict is taken for a sealed one.
    pub sealed: bool,
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
    /// The dict is sealed and is not taken for that, or the other way round. Nothing was removed.
    pub otherwise: bool,
}

/// Index fields of a dict, in steps. An index that is not there yet is declared, and from then on every write keeps it up; what was
/// there before is indexed in the order of the keys, so many entries a step. It is used once it is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MakeIndex {
    /// The dict; it comes into being with its first index.
    pub dict: Name,
    /// What is indexed, each once.
    pub paths: Vec<Path>,
    /// How many entries this step indexes at most.
    pub limit: u32,
}

/// What became of [`MakeIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    /// This step is done.
    Done {
        /// Whether there may be more to be indexed.
        more: bool,
    },
    /// There would be more than [`limits::INDEXES_PER_DICT`]. Nothing was declared.
    TooMany {
        /// So many there are.
        there: u64,
    },
    /// The dict is sealed: there is nothing that could be indexed.
    Sealed,
}

/// Remove indexes of a dict, in steps. It is not used or kept up any more from the first of them on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIndex {
    /// The dict.
    pub dict: Name,
    /// What is indexed.
    pub paths: Vec<Path>,
    /// How many of its rows this step removes at most.
    pub limit: u32,
}

/// What became of [`DropIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unindexed {
    /// So many of them were there, and in use or being made.
    pub removed: u64,
    /// Whether there are rows of them left.
    pub more: bool,
}

/// How far an index has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Entries up to this key are in it, and all that were written since it was declared.
    Building(Option<Box<str>>),
    /// Everything is in it.
    Complete,
    /// It is being removed.
    Leaving,
}

/// An index of a dict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Of what.
    pub path: Path,
    /// How far it has come.
    pub progress: Progress,
    /// So many entries are in it: those that have a scalar there, those included whose time is over.
    pub rows: u64,
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
    /// Those whose values are so, as far as they are read at all: one that is damaged is an error whatever is asked for.
    pub filter: Option<Arc<Filter>>,
    /// At most so many; a page may end earlier for its size, or for what the filter has left out.
    pub limit: u32,
}

/// One page of a dict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries in the order of their keys, byte by byte; a damaged one is an [`Error::Corrupt`]
    /// in its place.
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
    /// Whether its values are sealed.
    pub sealed: bool,
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

/// A filter that is asked of a sealed dict, as an error.
#[must_use]
pub fn unfiltered(dict: &Name) -> Error {
    let reason = "its values can be read by whoever has the key only, and by no filter or index".to_owned();
    Error::Unsupported { what: format!("a filter on sealed dict \"{dict}\""), reason }
}

/// A whole number as it is kept, and as it is read.
#[must_use]
pub fn number(data: &Data) -> Option<i64> {
    match data {
        Data::Json(text) => text.parse().ok(),
        Data::Bincode(_) | Data::Sealed(_) => None,
    }
}

/// A text behind all keys that begin so, which no key can be.
#[must_use]
pub fn behind(prefix: &str) -> String {
    let more = limits::NAME_BYTES / char::MAX.len_utf8() + 1;
    format!("{prefix}{}", char::MAX.to_string().repeat(more))
}

//! What was done to the files of a store, call by call.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of a store, as SQLite uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum File {
    /// The database itself.
    Main,
    /// The write-ahead log.
    Log,
    /// The rollback journal; only a new file has one, until it is switched to the log.
    Rollback,
}

impl File {
    /// What is behind the store's name in its own.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            File::Main => "",
            File::Log => "-wal",
            File::Rollback => "-journal",
        }
    }

    /// The store to which a path belongs, and as what.
    pub(super) fn of(path: &Path) -> (PathBuf, File) {
        let bytes = path.as_os_str().as_bytes();
        for file in [File::Log, File::Rollback] {
            if let Some(store) = bytes.strip_suffix(file.suffix().as_bytes()) {
                return (OsString::from_vec(store.to_vec()).into(), file);
            }
        }
        (path.to_owned(), File::Main)
    }
}

/// One thing that was done. What was read leaves no entry, and neither does what failed without a trace.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A file was made.
    Create(File),
    /// Bytes were written.
    Write {
        /// Where to.
        file: File,
        /// From which byte on.
        at: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// A file was cut to this many bytes.
    Truncate {
        /// Which.
        file: File,
        /// Its length since then.
        length: u64,
    },
    /// What had been written to a file was said to be on disk.
    Sync(File),
    /// A sync failed, and what it should have brought to disk never will be, though it can still be read: this is what
    /// Linux does.
    Dropped(File),
    /// A file was removed.
    Delete {
        /// Which.
        file: File,
        /// The folder was synced afterwards.
        synced: bool,
    },
    /// Whoever watches has put a mark here.
    Mark(usize),
}

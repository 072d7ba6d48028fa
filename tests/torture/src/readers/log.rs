//! The write-ahead log as it is seen from outside: how long it is, how often it began anew, who keeps it.

use std::fs::{File, metadata, read_to_string};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Result;

/// A page in the log: its header and as much as the store puts into a page.
pub const PAGE_BYTES: u64 = 24 + 8_192;

/// The bytes of the index on which whoever reads in the log has a lock (SQLite's `WAL_READ_LOCK`).
const READ_LOCKS: std::ops::RangeInclusive<u64> = 123..=127;

/// The log of a store.
#[derive(Debug)]
pub(super) struct Log {
    log: PathBuf,
    index: PathBuf,
}

impl Log {
    /// The log of the store in `file`.
    pub(super) fn of(file: &Path) -> Log {
        let beside = |suffix: &str| {
            let mut name = file.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Log { log: beside("-wal"), index: beside("-shm") }
    }

    /// Its length.
    pub(super) fn bytes(&self) -> Result<u64> {
        Ok(metadata(&self.log)?.len())
    }

    /// The number of its beginning: it grows each time that the log is written from the front again. No lock is lost by
    /// looking into this file: SQLite has none on it.
    pub(super) fn beginning(&self) -> Result<u32> {
        let mut header = [0; 16];
        File::open(&self.log)?.read_exact(&mut header)?;
        let [.., a, b, c, d] = header;
        Ok(u32::from_be_bytes([a, b, c, d]))
    }

    /// Whether a process is in the middle of a read.
    pub(super) fn is_read_by(&self, pid: i32) -> Result<bool> {
        let (pid, inode) = (pid.to_string(), metadata(&self.index)?.ino().to_string());
        let holds = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, "READ", owner, file, start, ..] = words.as_slice() else { return false };
            let is_its = *owner == pid && file.rsplit(':').next() == Some(&*inode);
            is_its && start.parse().is_ok_and(|start: u64| READ_LOCKS.contains(&start))
        };
        Ok(read_to_string("/proc/locks")?.lines().any(holds))
    }
}

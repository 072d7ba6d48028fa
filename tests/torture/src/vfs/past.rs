//! What the store does to its log past SQLite: recorded, or refused, as what SQLite does.

use std::io;
use std::path::Path;

use millpond::watched::Watch;

use super::{Call, Disk, Entry, File, Harm, find};
use crate::medium::Medium;

/// The disks that are watched.
pub(super) struct PastSqlite;

impl Watch for PastSqlite {
    fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let (disk, file) = find(path)?;
        let state = disk.state();
        if state.boasts {
            return std::fs::read(path).ok();
        }
        let mut medium = Medium::default();
        state.journal.iter().for_each(|entry| medium.play(entry));
        state.recording.then(|| medium.read(file))
    }

    fn write(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let write = |file| Entry::Write { file, at, bytes: bytes.into() };
        find(path).map_or(Ok(()), |(disk, file)| step(&disk, Call::Write, file, write(file)))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        find(path).map_or(Ok(()), |(disk, file)| step(&disk, Call::Sync, file, Entry::Sync(file)))
    }
}

fn step(disk: &Disk, call: Call, file: File, entry: Entry) -> io::Result<()> {
    let Some(harm) = disk.meets(call, file) else {
        disk.note(entry);
        return Ok(());
    };
    if call == Call::Sync && matches!(harm, Harm::Dropped | Harm::Unheard) {
        disk.note(Entry::Dropped(file));
    }
    if harm == Harm::Unheard { Ok(()) } else { Err(io::Error::other("asked for")) }
}

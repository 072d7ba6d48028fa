//! The log, brought to disk again before anybody builds on it.
//!
//! A sync that fails leaves what it should have brought to disk where it can be read, and never brings it there
//! (Rebello et al., "Can Applications Recover from fsync Failures?", 2020). A process that lives settles that by itself:
//! the log's index does not know of those frames, so they are overwritten. But whoever is the first to open the store
//! makes the index anew, from all that can be read, and would commit behind frames that the power takes with it, and with
//! them all that is behind. So the first process compares what can be read with what is on disk, and writes again what is
//! not there.
//!
//! Nothing else is written: a power cut may leave a sector that was being written in any state, and most of the log is
//! there and has been acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use millpond_actors::error::Result;
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::observe::target;
use nix::libc;

use super::error::system;
use super::place::{Place, sync_directory};
use super::sync::Sidecar;

/// Bytes of the log's header; its page size and its salts are in it.
const HEADER: usize = 32;

/// Bytes before each page in the log; the salts are those of the header if the page belongs to it.
const FRAME_HEADER: usize = 24;

/// What is read past the cache has to lie and to be placed by this; no disk asks for more.
const ALIGNMENT: usize = 4_096;

/// So much of it is read at once.
const CHUNK: usize = 1 << 20;

/// Brings the log to disk, if no other process runs that has the store open. The caller has the turn, and a transaction
/// open that may write, so that nobody else writes to the log.
pub(super) fn anchor(place: &Place, sidecar: &Sidecar) -> Result<()> {
    reach(Point::BeforeAnchor)?;
    if sidecar.anybody_runs()? {
        return Ok(());
    }
    let path = place.beside("-wal");
    let failed = |error: io::Error| system(&format!("cannot bring \"{}\" to disk", path.display()), &error);
    if bring(&path).map_err(failed)? {
        // A new log is found again only once its folder is on disk.
        sync_directory(&place.path)?;
    }
    reach(Point::AfterAnchor)
}

/// Whether anything had to be written.
fn bring(path: &Path) -> io::Result<bool> {
    let log = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let pieces = pieces(&log)?;
    let length = pieces.iter().map(Vec::len).sum();
    let there = on_disk(path, length)?;
    let (mut at, mut written) = (0, false);
    for piece in pieces {
        let end = at + piece.len();
        if there.get(at..end) != Some(&*piece) {
            write(&log, path, at as u64, &piece)?;
            written = true;
        }
        at = end;
    }
    if written {
        tracing::warn!(target: target::STORE, log = %path.display(), "part of the log was not on disk, and was written again");
        sync(&log, path)?;
    }
    Ok(written)
}

/// The header and the frames that belong to it, as they are read by everybody.
fn pieces(log: &File) -> io::Result<Vec<Vec<u8>>> {
    let mut header = vec![0; HEADER];
    if !is_read(log.read_exact_at(&mut header, 0))? {
        return Ok(Vec::new());
    }
    let (salts, mut at) = (header.get(16..24).map(<[u8]>::to_vec), HEADER as u64);
    let mut frame = vec![0; FRAME_HEADER + page_size(&header)];
    let mut pieces = vec![header];
    // Frames with other salts are of an older log, and end this one.
    while is_read(log.read_exact_at(&mut frame, at))? && frame.get(8..16) == salts.as_deref() {
        at += frame.len() as u64;
        pieces.push(frame.clone());
    }
    Ok(pieces)
}

fn is_read(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

/// As the header has it. What is no page size makes frames that have no salts.
fn page_size(header: &[u8]) -> usize {
    let size = header.get(8..12).and_then(|size| size.try_into().ok()).map_or(0, u32::from_be_bytes);
    size.min(65_536) as usize
}

/// The first bytes of the log, as they are on disk; none where the file system cannot look past its cache.
fn on_disk(path: &Path, length: usize) -> io::Result<Vec<u8>> {
    #[cfg(feature = "testing")]
    if let Some(content) = watched::by().and_then(|watch| watch.content(path)) {
        return Ok(content);
    }
    let log = match OpenOptions::new().read(true).custom_flags(libc::O_DIRECT).open(path) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(Vec::new()),
        log => log?,
    };
    let mut room = vec![0; CHUNK + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let chunk = room.get_mut(start..start + CHUNK).unwrap_or_default();
    let mut content = Vec::with_capacity(length);
    while content.len() < length {
        let read = match log.read_at(chunk, content.len() as u64) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(Vec::new()),
            read => read?,
        };
        content.extend_from_slice(chunk.get(..read).unwrap_or_default());
        // Only the end of the file is not aligned.
        if !read.is_multiple_of(ALIGNMENT) || read == 0 {
            break;
        }
    }
    Ok(content)
}

fn write(log: &File, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
    #[cfg(feature = "testing")]
    watched::by().map_or(Ok(()), |watch| watch.write(path, at, bytes))?;
    let _ = path;
    log.write_all_at(bytes, at)
}

fn sync(log: &File, path: &Path) -> io::Result<()> {
    #[cfg(feature = "testing")]
    watched::by().map_or(Ok(()), |watch| watch.sync(path))?;
    let _ = path;
    log.sync_all()
}

/// What tests see and spoil: SQLite's own way to the disk, on which they stand, knows nothing of these steps.
#[cfg(feature = "testing")]
pub mod watched {
    use std::io;
    use std::path::Path;
    use std::sync::OnceLock;

    /// Whoever stands for the disk under the logs of some stores.
    pub trait Watch: Send + Sync {
        /// What is on disk of the log at a path, cached or not; `None` if that is not one of his.
        fn content(&self, path: &Path) -> Option<Vec<u8>>;

        /// Bytes that are there already are about to be written.
        ///
        /// # Errors
        /// The one with which the write is to fail.
        fn write(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;

        /// The log is about to be synced.
        ///
        /// # Errors
        /// The one with which the sync is to fail.
        fn sync(&self, path: &Path) -> io::Result<()>;
    }

    /// Who does, for the life of the process.
    pub static BY: OnceLock<Box<dyn Watch>> = OnceLock::new();

    pub(super) fn by() -> Option<&'static dyn Watch> {
        BY.get().map(|watch| &**watch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g1_what_is_read_past_the_cache_is_what_is_read_through_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for length in [0, 1, 4_095, 4_096, 8_224, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 32] {
            let bytes: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let there = on_disk(&path, length).unwrap();
            // In memory there is no disk.
            assert!(there == bytes || there.is_empty(), "{length}: {}", there.len());
        }
    }
}

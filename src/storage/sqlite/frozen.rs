//! The store as it was at one moment, for whoever takes long to look at it.
//!
//! A reader that keeps its snapshot keeps the log from beginning anew. So what takes long is read from a copy, which `VACUUM INTO`
//! makes of one snapshot. It has no name from the moment on that it is open, and ends with whoever has it. One whose maker was killed
//! before that is removed by the next who makes one in that folder: it is his if nobody has it locked.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use millpond_actors::clock::{Rng as _, SystemRng};
use millpond_actors::error::{Error, Result};
use rustix::fs::{FlockOperation, flock};

use super::Options;
use super::error::{database, system};
use super::open;
use super::place::Place;
use super::view::SqliteView;

/// What the names of copies begin with.
const PREFIX: &str = ".millpond-frozen-";

/// All that was committed, as it is now. Where the store is only looked at nothing is written beside it.
pub(super) fn frozen(
    place: &Place,
    boot: &Arc<OnceLock<String>>,
    (options, still): (Options, bool),
) -> Result<SqliteView> {
    let beside = place.path.parent().filter(|_| !options.read_only);
    let made = Copy::make_in(beside.unwrap_or(&std::env::temp_dir()));
    let copy = made.map_err(|error| system("cannot make a copy to read from", &error))?;
    let path = copy.path.to_str().ok_or_else(|| Error::InvalidPath {
        path: copy.path.display().to_string(),
        reason: "SQLite needs a path that is Unicode".into(),
    })?;
    let connection = open::looker(place, still)?;
    // It writes, though not to this file.
    connection.execute_batch("PRAGMA query_only = OFF").map_err(database)?;
    connection.execute("VACUUM main INTO ?1", [path]).map_err(database)?;
    drop(connection);
    SqliteView::open(
        Arc::new(Place::find(&copy.path, false)?),
        Arc::clone(boot),
        Options { read_only: false, ..options },
    )
}

/// A file that has no name any more when this is dropped.
struct Copy {
    path: PathBuf,
    /// Locked: somebody is at it.
    _file: File,
}

impl Copy {
    /// An empty file in a folder, which nobody else may read.
    fn make_in(folder: &Path) -> io::Result<Copy> {
        remove_left_behind(folder);
        // Before it is locked, somebody else may take it for one that was left behind; a few times is an accident.
        for _ in 0..10 {
            let path = folder.join(format!("{PREFIX}{}", SystemRng.uuid().simple()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            let is_ours = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
            if is_ours && file.metadata()?.nlink() == 1 {
                return Ok(Copy { path, _file: file });
            }
        }
        Err(io::Error::other("it is removed as fast as it is made"))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Whoever has it open goes on with it.
        let _ = fs::remove_file(&self.path);
        let mut journal = self.path.clone().into_os_string();
        journal.push("-journal");
        let _ = fs::remove_file(journal);
    }
}

/// Removes copies whose makers were killed. What cannot be removed stays, and holds nobody up.
fn remove_left_behind(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !is_one || entry.file_name().to_str().is_some_and(|name| name.ends_with("-journal")) {
            continue;
        }
        let Ok(file) = OpenOptions::new().read(true).write(true).open(entry.path()) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            drop(Copy { path: entry.path(), _file: file });
        }
    }
}

#[cfg(test)]
mod tests {
    use millpond_actors::storage::Backend as _;

    use super::super::Sqlite;
    use super::*;

    fn copies(folder: &Path) -> usize {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with(PREFIX)).count()
    }

    #[test]
    fn a_copy_has_no_name_and_what_the_killed_left_behind_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("a.db"), Options::default()).unwrap();
        fs::write(folder.path().join(format!("{PREFIX}of-the-killed")), "half a copy").unwrap();
        let under_way = Copy::make_in(folder.path()).unwrap();
        assert_eq!(copies(folder.path()), 1, "of the killed nothing is left, and nobody else's is touched");
        let mut frozen = store.view().unwrap().frozen().unwrap();
        assert_eq!(copies(folder.path()), 1);
        assert_eq!(frozen.head(), Ok(0));
        drop(under_way);
        assert_eq!(copies(folder.path()), 0);
    }
}

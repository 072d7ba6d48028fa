//! A copy of the store in another file, as it was at one moment, made while others write.
//!
//! `VACUUM INTO` reads one snapshot, so it waits for nobody; but the log cannot be moved into the main file beyond that
//! snapshot, and grows meanwhile. The copy has no log and nothing that was removed. What has a process of its own in the
//! original has none in it, and it goes on with tokens above all that the original may give before somebody uses the copy in
//! its place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use millpond_actors::clock::{Rng as _, SystemRng};
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::error::{corrupt, database, system};
use super::open;
use super::place::{Place, sync_directory};

/// Copies the store to a file that must not be there. How many bytes it has.
pub(super) fn backup(place: &Place, to: &Path) -> Result<u64> {
    let refused =
        |reason: &str| Error::InvalidPath { path: to.display().to_string(), reason: reason.to_owned() };
    if fs::symlink_metadata(to).is_ok() {
        return Err(refused("there is something already; a backup is made in a new file"));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // From here on it does not matter where this process works.
    let folder = fs::canonicalize(folder).ok().filter(|folder| folder.is_dir());
    let folder = folder.ok_or_else(|| refused("its folder is not there"))?;
    let target = folder.join(to.file_name().ok_or_else(|| refused("it is no name of a file"))?);
    let made = Unfinished(folder.join(format!(".millpond-backup-{}", SystemRng.uuid().simple())));
    let path = made.0.to_str().ok_or_else(|| refused("SQLite needs a path that is Unicode"))?;
    let connection = open::reader(place)?;
    // It writes, though not to this file.
    connection.execute_batch("PRAGMA query_only = OFF").map_err(database)?;
    connection.execute("VACUUM main INTO ?1", [path]).map_err(database)?;
    drop(connection);
    settle(&made.0)?;
    let failed =
        |what: &str, error: &std::io::Error| system(&format!("cannot {what} \"{}\"", to.display()), error);
    let file = File::open(&made.0).map_err(|error| failed("read", &error))?;
    file.sync_all().map_err(|error| failed("sync", &error))?;
    let bytes = file.metadata().map_err(|error| failed("read", &error))?.len();
    // Whoever may not read the original is not to read the copy.
    let mode = fs::metadata(&place.path).map_err(|error| failed("make", &error))?.permissions();
    file.set_permissions(mode).map_err(|error| failed("make", &error))?;
    name(&made.0, &target).map_err(|error| failed("make", &error))?;
    sync_directory(&target)?;
    Ok(bytes)
}

const SETTLE: &str = "UPDATE store SET token = token + (SELECT ifnull(max(token), 0) FROM process) + ?1";
const NOBODY: &str = "UPDATE process SET boot = ''";

/// Makes the copy a store that nobody has open, and looks whether it is sound.
fn settle(path: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database)?;
    connection.execute(SETTLE, [limits::TOKENS_AHEAD]).map_err(database)?;
    // All are of another boot, and so dead: whoever opens it gives up what they had.
    connection.execute(NOBODY, []).map_err(database)?;
    let found: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(database)?;
    if found != "ok" {
        return Err(corrupt("backup", &path.display().to_string(), 0, found));
    }
    connection.close().map_err(|(_, error)| database(error))
}

/// Gives it its name, not in place of what somebody has put there meanwhile. Where the file system cannot do that at once, it has
/// two names for a moment.
fn name(made: &Path, target: &Path) -> std::io::Result<()> {
    match rustix::fs::renameat_with(CWD, made, CWD, target, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(made, target)?;
            fs::remove_file(made)
        }
        renamed => Ok(renamed?),
    }
}

/// A file that is removed again, unless it has another name by then.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        for suffix in ["", "-journal"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            // It may not have come so far.
            let _ = fs::remove_file(path);
        }
    }
}

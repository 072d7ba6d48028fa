//! Whether the paths of a store still lead to the files that were opened. SQLite would go on writing to a log that has been
//! removed, where nobody will ever find it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::Moment;
use nix::libc;
use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, makedev, statx};

use super::place::Place;

/// Device and inode: which file it is, whatever its name.
pub(super) type FileId = (u64, u64);

/// Which files the log and its index are.
pub(super) type LogId = [Option<FileId>; 2];

/// When a directory changed last: seconds and nanoseconds of its file system's clock.
type Changed = (i64, u32);

/// How coarse the clock of a file system may be: two changes that are no further apart may bear the same time.
const TICK_MS: i64 = 20;

/// The same of a file system that knows only whole seconds, or every other one.
const COARSE_TICK_MS: i64 = 2_000;

/// How often, at most, the paths are followed as long as the directory does not change. What happens further up, where nobody looks,
/// is seen so late.
const PATHS_CHECK_MS: u64 = 50;

/// The store and its directory, whatever their names: nothing is read or locked through these, so that closing them drops no lock.
#[derive(Debug)]
struct Grips {
    file: File,
    directory: File,
}

/// The paths led to the files that were opened, and have to be followed again when the directory has changed or this time has come.
#[derive(Clone, Copy, Debug)]
struct Calm {
    changed: Changed,
    until_ms: u64,
}

/// What a connection that writes knows of its paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    grips: Option<Grips>,
    calm: Option<Calm>,
}

impl Paths {
    /// Those of a place whose log is known.
    pub(super) fn of(place: &Place) -> Paths {
        // Without grips they are followed each time.
        Paths { grips: Grips::take(&place.path).ok(), calm: None }
    }

    /// Whether they still lead to the files that were opened, as [`Place::check_same`] says, for whoever looks again and again. To
    /// follow a path is dear when the caches are cold, as they are between two commits of a lone caller (three paths 28 us, where it
    /// was measured, the directory alone 7), and a name that comes, goes or changes is a change of its directory.
    pub(super) fn check_same(&mut self, place: &Place, now: Moment) -> Result<()> {
        let changed = self.grips.as_ref().and_then(Grips::changed);
        if self.calm.is_some_and(|calm| Some(calm.changed) == changed && now.boot_ms < calm.until_ms) {
            return Ok(());
        }
        self.calm = None;
        place.check_same()?;
        // What changes within the tick of the last change bears the same time, and is not seen by it.
        let long_ago = |(seconds, nanos): Changed| {
            let tick_ms = if nanos == 0 { COARSE_TICK_MS } else { TICK_MS };
            seconds * 1_000 + i64::from(nanos / 1_000_000) + tick_ms <= now.wall_ms
        };
        let until_ms = now.boot_ms.saturating_add(PATHS_CHECK_MS);
        self.calm = changed.filter(|changed| long_ago(*changed)).map(|changed| Calm { changed, until_ms });
        Ok(())
    }
}

impl Place {
    /// Whether the paths still lead to the files that were opened, and no other path leads to the store.
    pub(super) fn check_same(&self) -> Result<()> {
        let replaced = |path: &Path| Err(Error::FileReplaced { path: path.display().to_string() });
        if glance(&self.path) != Some((self.file, 1)) {
            return replaced(&self.path);
        }
        let log = *self.known_log();
        match log {
            Some(log) if log != self.find_log() => replaced(&self.beside("-wal")),
            _ => Ok(()),
        }
    }

    /// A connection has the log open to write. As long as there is one, SQLite neither removes the log nor makes another;
    /// if somebody else does, it goes on writing to the one that it has open, where nobody will ever find it.
    pub(super) fn know_log(&self) {
        *self.known_log() = Some(self.find_log());
    }

    fn known_log(&self) -> MutexGuard<'_, Option<LogId>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_log(&self) -> LogId {
        let find = |suffix| glance(&self.beside(suffix)).map(|(file, _)| file);
        ["-wal", "-shm"].map(find)
    }
}

impl Grips {
    fn take(path: &Path) -> io::Result<Grips> {
        let take = |path: &Path| OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path);
        Ok(Grips { file: take(path)?, directory: take(path.parent().unwrap_or(path))? })
    }

    /// When the directory changed last, if the store still has one name.
    fn changed(&self) -> Option<Changed> {
        let links = look(&self.file, StatxFlags::NLINK)?.stx_nlink;
        let changed = look(&self.directory, StatxFlags::CTIME)?.stx_ctime;
        (links == 1).then_some((changed.tv_sec, changed.tv_nsec))
    }
}

/// Which file it is, and how many names it has. Not when it was written: Linux would make the time of its next write an
/// exact one, and since no two of those are alike, each sync of the log would have to bring the file's times to disk too
/// (a quarter more, where it was measured).
pub(super) fn glance(path: &Path) -> Option<(FileId, u32)> {
    let wanted = StatxFlags::INO | StatxFlags::NLINK;
    let found = statx(CWD, path, AtFlags::empty(), wanted).ok()?;
    Some(((makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino), found.stx_nlink))
}

fn look(file: &File, wanted: StatxFlags) -> Option<Statx> {
    statx(file, "", AtFlags::EMPTY_PATH, wanted).ok()
}

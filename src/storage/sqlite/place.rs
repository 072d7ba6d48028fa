//! Where a store lies: what a path must be, looked at before a byte is written.
//!
//! POSIX locks make this delicate: closing any descriptor of a database file drops all locks that SQLite holds
//! on it in this process. So the file is read directly only while no connection of this process exists for it,
//! which the registry of open stores knows.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millpond_actors::error::{Error, Result};

use super::error::{corrupt, system};
use super::migrate::{APPLICATION_ID, SCHEMA};
use super::same::{FileId, LogId};
use super::sync::Sidecar;

/// The stores that this process has open, with the number of handles of each.
static OPEN: Mutex<BTreeMap<FileId, usize>> = Mutex::new(BTreeMap::new());

/// The registry; a panic elsewhere cannot have left a count half changed.
fn registry() -> MutexGuard<'static, BTreeMap<FileId, usize>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is a store or may become one. While it lives, nobody in this process reads the file directly.
#[derive(Debug)]
pub(super) struct Place {
    /// Absolute, symbolic links resolved, so that all who open it agree on the sidecar's name.
    pub(super) path: PathBuf,
    pub(super) file: FileId,
    /// The log, once somebody has it open to write.
    pub(super) log: Mutex<Option<LogId>>,
}

/// How a file stands that nobody has open to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stillness {
    file: FileId,
    length: u64,
    changed: (i64, i64),
}

impl Place {
    /// Looks at `path`, makes an empty file there if there is none and `create` says so, and registers it.
    pub(super) fn find(path: &Path, create: bool) -> Result<Place> {
        let path = resolve(path)?;
        check_file_system(&path)?;
        check_beside(&path)?;
        let mut open = registry();
        let found = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && create => {
                // Somebody else may just have made it, and a log.
                if has_log(&path) && !path.exists() {
                    return Err(bereft(
                        &path,
                        "there is no file, though there is its log: it was removed or moved",
                    ));
                }
                create_empty(&path)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(refuse(&path, "there is no such file"));
            }
            Err(error) => return Err(refuse(&path, &error.to_string())),
            Ok(found) => found,
        };
        check_kind(&path, &found)?;
        let file = (found.dev(), found.ino());
        if !open.contains_key(&file) {
            check_header(&path)?;
        }
        *open.entry(file).or_insert(0) += 1;
        Ok(Place { path, file, log: Mutex::default() })
    }

    /// Whether the power, or the disk, failed while SQLite made a database of a new file. Nobody was told of anything in
    /// it; a connection that may write rolls it back.
    pub(super) fn creation_was_cut(&self) -> bool {
        has_rollback_journal(&self.path)
    }

    /// How the file stands, if nobody has it open to write and there is nothing in its log: then it holds all, and does not change as
    /// long as it stands so. `None` if it has to be read through its log.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] if that cannot be done without writing.
    pub(super) fn stillness(&self) -> Result<Option<Stillness>> {
        let log = fs::metadata(self.beside("-wal")).map_or(0, |found| found.len());
        let is_used = Sidecar::look(self).is_some_and(|sidecar| sidecar.anybody_runs().unwrap_or(true));
        if log == 0 && !is_used {
            return Ok(self.stands());
        }
        if fs::metadata(self.beside("-shm")).is_ok() {
            return Ok(None);
        }
        Err(Error::ReadOnly {
            detail: format!(
                "\"{}\" has a log that no process has read, and to read it is to write beside it; open it for writing once",
                self.path.display()
            ),
        })
    }

    /// Whether it stands as it did.
    pub(super) fn is_still(&self, before: &Stillness) -> bool {
        let log = fs::metadata(self.beside("-wal")).map_or(0, |found| found.len());
        log == 0 && self.stands().is_some_and(|now| now == *before)
    }

    fn stands(&self) -> Option<Stillness> {
        let found = fs::metadata(&self.path).ok()?;
        Some(Stillness {
            file: (found.dev(), found.ino()),
            length: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }

    /// Bytes of the file and of its log.
    pub(super) fn bytes(&self) -> u64 {
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        length(&self.path) + length(&self.beside("-wal"))
    }

    /// The path of a file beside the store: `-sync`, `-wal`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.path, suffix)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = registry();
        if let Some(handles) = open.get_mut(&self.file) {
            *handles -= 1;
            if *handles == 0 {
                open.remove(&self.file);
            }
        }
    }
}

/// A log without its file. SQLite would take the store for new, and remove the log.
fn bereft(path: &Path, detail: &str) -> Error {
    corrupt("database", &path.display().to_string(), 0, detail)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

fn refuse(path: &Path, reason: &str) -> Error {
    Error::InvalidPath { path: path.display().to_string(), reason: reason.to_owned() }
}

/// Makes the path absolute and follows its links. SQLite reads `file:...` as a URI and `:memory:` as no file;
/// an absolute path is neither.
fn resolve(path: &Path) -> Result<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(refuse(path, "it is empty"));
    }
    if bytes.contains(&0) {
        return Err(refuse(path, "it contains a NUL byte"));
    }
    if bytes == b":memory:" {
        return Err(refuse(path, "a store in memory has a constructor of its own"));
    }
    match fs::symlink_metadata(path) {
        Ok(_) => fs::canonicalize(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => refuse(path, "it is a symbolic link that leads nowhere"),
            _ => refuse(path, &error.to_string()),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => resolve_new(path),
        Err(error) => Err(refuse(path, &error.to_string())),
    }
}

/// The absolute path of a file that does not exist yet.
fn resolve_new(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| refuse(path, "it names no file"))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let parent = fs::canonicalize(parent).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refuse(path, "its directory does not exist"),
        _ => refuse(path, &error.to_string()),
    })?;
    if !parent.is_dir() {
        return Err(refuse(path, "its directory is not a directory"));
    }
    Ok(parent.join(name))
}

/// Refuses file systems on which locks or the shared memory of the log do not work between machines.
fn check_file_system(path: &Path) -> Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let Ok(found) = rustix::fs::statfs(directory) else { return Ok(()) };
    // Only the lower half of the word is the magic number.
    let name = match found.f_type as u32 {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        _ => return Ok(()),
    };
    Err(Error::Unsupported {
        what: format!("a store on {name}"),
        reason: format!(
            "\"{}\" lies on it, and its locks cannot be trusted; use a local disk",
            path.display()
        ),
    })
}

fn create_empty(path: &Path) -> Result<Metadata> {
    let what = format!("cannot create \"{}\"", path.display());
    match File::create_new(path) {
        Ok(_) => sync_directory(path)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(system(&what, &error)),
    }
    fs::metadata(path).map_err(|error| system(&what, &error))
}

/// A new file survives a power cut only when its directory has been written too.
pub(super) fn sync_directory(of: &Path) -> Result<()> {
    let directory = of.parent().unwrap_or(Path::new("/"));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| system(&format!("cannot sync directory \"{}\"", directory.display()), &error))
}

fn check_kind(path: &Path, found: &Metadata) -> Result<()> {
    let kind = found.file_type();
    let reason = if kind.is_dir() {
        "it is a directory"
    } else if kind.is_fifo() {
        "it is a pipe"
    } else if kind.is_socket() {
        "it is a socket"
    } else if !kind.is_file() {
        "it is a device"
    } else if found.nlink() > 1 {
        "the file has a second name (a hard link); two names would have two logs and lose data"
    } else {
        return Ok(());
    };
    Err(refuse(path, reason))
}

/// What stands where the store keeps its log, and does not let it, SQLite would not name.
fn check_beside(path: &Path) -> Result<()> {
    let others = ["-wal", "-shm", "-sync"].map(|suffix| beside(path, suffix));
    match others.iter().find(|other| fs::metadata(other).is_ok_and(|found| !found.is_file())) {
        Some(other) => Err(refuse(other, "it is not a file, and the store needs one of this name")),
        None => Ok(()),
    }
}

/// Reads the 100 bytes of a database's header. SQLite itself would take a file of 1 byte for an empty one and
/// overwrite it.
fn check_header(path: &Path) -> Result<()> {
    let foreign = |reason: String| Err(Error::NotOurFile { path: path.display().to_string(), reason });
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(108).read_to_end(&mut head))
        .map_err(|error| system(&format!("cannot read \"{}\"", path.display()), &error))?;
    if head.is_empty() && has_log(path) {
        return Err(bereft(
            path,
            "the file is empty, though its log is not: it was cut short, or belongs elsewhere",
        ));
    }
    if head.is_empty() {
        return Ok(());
    }
    if !head.starts_with(b"SQLite format 3\0") && (has_rollback_journal(path) || has_log(path)) {
        // The power failed in the middle of the first page. What stands beside the file mends it, and `migrate` looks at
        // it through SQLite.
        return Ok(());
    }
    if head.len() < 100 {
        return foreign(format!("its length is {}, and a database starts with 100 bytes", head.len()));
    }
    if !head.starts_with(b"SQLite format 3\0") {
        return foreign("it is not a SQLite database".into());
    }
    let (application, schema) = (number(&head, 68), number(&head, 60));
    // A creation that was cut short leaves one page without a table; `migrate` looks at it through SQLite.
    let no_table = head.get(103..105) == Some(&[0, 0]);
    match application {
        APPLICATION_ID if schema > SCHEMA => {
            Err(Error::SchemaTooNew { path: path.display().to_string(), found: schema, supported: SCHEMA })
        }
        // A backup has no log before it is opened, and a store says that it has one before it has any.
        APPLICATION_ID if head.get(18) == Some(&1) && has_log(path) => Err(bereft(
            path,
            "it is a copy that was never opened, and the log beside it is another file's, of which nothing must come over it",
        )),
        APPLICATION_ID => Ok(()),
        0 if schema == 0 && no_table => Ok(()),
        other => {
            foreign(format!("it is a SQLite database of another program (application id {other:#010x})"))
        }
    }
}

/// Whether a rollback journal stands beside it. Only a new store has one, until it is switched to the log.
fn has_rollback_journal(path: &Path) -> bool {
    beginning(&beside(path, "-journal"), 8) == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
}

/// Whether a write-ahead log stands beside it.
fn has_log(path: &Path) -> bool {
    let head = beginning(&beside(path, "-wal"), 32);
    head.len() == 32 && matches!(number(&head, 0), 0x377F_0682 | 0x377F_0683)
}

/// The first bytes of a file, none if it cannot be read.
fn beginning(path: &Path, length: u64) -> Vec<u8> {
    let mut head = Vec::new();
    // What cannot be read mends nothing.
    let _ = File::open(path).and_then(|file| file.take(length).read_to_end(&mut head));
    head
}

/// The big-endian number at `offset` of the header.
fn number(head: &[u8], offset: usize) -> u32 {
    head.iter().skip(offset).take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

//! The databases: the only rooms where SQL is spoken, and the only file that knows which of them are built in.

#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(test)]
mod contract;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

#[cfg(not(feature = "sqlite"))]
use millpond_actors::error::Error;
use millpond_actors::error::Result;
use millpond_actors::memory::Memory;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::filter::Fields;
use millpond_actors::storage::{Backend, Identity};

#[cfg(all(feature = "sqlite", feature = "testing"))]
pub use self::sqlite::watched;
use crate::location::{Durability, Location};

/// The stores that are open in this process, by their file.
///
/// A file is opened once a process. Two sets of connections would not only waste threads: closing one of them
/// would drop the file locks of the other (that is how POSIX locks are).
///
/// Whoever only looks has one of his own: he writes nothing, and has none of the others' locks.
static OPEN: Mutex<Option<Running>> = Mutex::new(None);

/// By the file, and whether it is only looked at.
type Running = HashMap<(PathBuf, bool), Weak<Runtime>>;

/// The running store at a location: the one that is open already, or a new one, whose filters and indexes read payloads with
/// `fields`.
pub(crate) fn open_once(
    location: &Location,
    (durability, read_only): (Durability, bool),
    fields: Fields,
    start: impl FnOnce(Arc<dyn Backend>, Identity) -> Result<Runtime>,
) -> Result<Arc<Runtime>> {
    let Location::File(path) = location else {
        return start(Arc::new(Memory::reading(fields)), identity()).map(Arc::new);
    };
    // Held while the store is opened: whoever opens the same file meanwhile gets this one.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.get_or_insert_with(HashMap::new);
    open.retain(|_, runtime| runtime.strong_count() > 0);
    if let Some(runtime) =
        std::fs::canonicalize(path).ok().and_then(|path| open.get(&(path, read_only))?.upgrade())
        && !runtime.is_closed()
    {
        return Ok(runtime);
    }
    let runtime = Arc::new(start(connect(path, durability, read_only, fields)?, identity())?);
    if let Ok(path) = std::fs::canonicalize(path) {
        open.insert((path, read_only), Arc::downgrade(&runtime));
    }
    Ok(runtime)
}

#[cfg(feature = "sqlite")]
fn connect(
    path: &std::path::Path,
    durability: Durability,
    read_only: bool,
    fields: Fields,
) -> Result<Arc<dyn Backend>> {
    let options = sqlite::Options { durability, read_only, fields };
    Ok(Arc::new(sqlite::Sqlite::open(path, options)?))
}

#[cfg(not(feature = "sqlite"))]
fn connect(path: &std::path::Path, _: Durability, _: bool, _: Fields) -> Result<Arc<dyn Backend>> {
    let what = format!("a store in the file \"{}\"", path.display());
    Err(Error::Unsupported { what, reason: "this program was built without the feature `sqlite`".into() })
}

/// Who this process is, for the others.
fn identity() -> Identity {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    Identity {
        pid: std::process::id(),
        host: read_line("/proc/sys/kernel/hostname").unwrap_or_else(|| "localhost".to_owned()),
        program: program.unwrap_or_else(|| "unknown".to_owned()),
        boot: read_line("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| "unknown".to_owned()),
    }
}

fn read_line(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

//! The databases: the only rooms where SQL is spoken, and the only file that knows which of them are built in.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(test)]
mod contract;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
use millpond_actors::error::Error;
use millpond_actors::error::Result;
use millpond_actors::memory::Memory;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::filter::Fields;
use millpond_actors::storage::{Backend, Identity};

#[cfg(all(feature = "sqlite", feature = "testing"))]
pub use self::sqlite::watched;
use crate::location::{Durability, Location};

/// The stores that are open in this process, by their place.
///
/// A store is opened once a process. Of a file two sets of connections would not only waste threads: closing one of them
/// would drop the file locks of the other (that is how POSIX locks are).
///
/// Whoever only looks has one of his own: he writes nothing, and has none of the others' locks.
static OPEN: Mutex<Option<Running>> = Mutex::new(None);

/// By the place, and whether it is only looked at.
type Running = HashMap<(PathBuf, bool), Weak<Runtime>>;

/// The running store at a location: the one that is open already, or a new one, whose filters and indexes read payloads with
/// `fields`. A call to it has so much patience.
pub(crate) fn open_once(
    location: &Location,
    (durability, read_only): (Durability, bool),
    fields: Fields,
    patience: Duration,
    start: impl FnOnce(Arc<dyn Backend>, Identity) -> Result<Runtime>,
) -> Result<Arc<Runtime>> {
    if *location == Location::Memory {
        return start(Arc::new(Memory::reading(fields)), identity()).map(Arc::new);
    }
    // Held while the store is opened: whoever opens the same one meanwhile gets this one.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.get_or_insert_with(HashMap::new);
    open.retain(|_, runtime| runtime.strong_count() > 0);
    if let Some(runtime) = place(location).and_then(|place| open.get(&(place, read_only))?.upgrade())
        && !runtime.is_closed()
    {
        return Ok(runtime);
    }
    let backend = connect(location, durability, read_only, fields, patience)?;
    // Boot times of two machines mean nothing to one another: where there is one clock for all, all are of its boot.
    let identity = match backend.clock() {
        Some(_) => Identity { boot: "server".to_owned(), ..identity() },
        None => identity(),
    };
    let runtime = Arc::new(start(backend, identity)?);
    if let Some(place) = place(location) {
        open.insert((place, read_only), Arc::downgrade(&runtime));
    }
    Ok(runtime)
}

/// Where a store is, however it was named; nothing if it is not there.
fn place(location: &Location) -> Option<PathBuf> {
    match location {
        Location::Memory => None,
        Location::File(path) => std::fs::canonicalize(path).ok(),
        #[cfg(feature = "postgres")]
        Location::Postgres(url) => postgres::Postgres::place(url.reveal()).ok().map(PathBuf::from),
        #[cfg(not(feature = "postgres"))]
        Location::Postgres(_) => None,
    }
}

#[allow(clippy::unnecessary_wraps, unused_variables, reason = "it depends on the features")]
fn connect(
    location: &Location,
    durability: Durability,
    read_only: bool,
    fields: Fields,
    patience: Duration,
) -> Result<Arc<dyn Backend>> {
    match location {
        Location::Memory => Ok(Arc::new(Memory::reading(fields))),
        #[cfg(feature = "sqlite")]
        Location::File(path) => {
            let options = sqlite::Options { durability, read_only, fields };
            Ok(Arc::new(sqlite::Sqlite::open(path, options)?))
        }
        #[cfg(not(feature = "sqlite"))]
        Location::File(path) => {
            Err(left_out(&format!("a store in the file \"{}\"", path.display()), "sqlite"))
        }
        #[cfg(feature = "postgres")]
        Location::Postgres(url) => {
            Ok(Arc::new(postgres::Postgres::open(url.reveal(), durability, read_only, fields, patience)?))
        }
        #[cfg(not(feature = "postgres"))]
        Location::Postgres(url) => Err(left_out(&format!("a store at {url}"), "postgres")),
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn left_out(what: &str, feature: &str) -> Error {
    let reason = format!("this program was built without the feature `{feature}`");
    Error::Unsupported { what: what.to_owned(), reason }
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

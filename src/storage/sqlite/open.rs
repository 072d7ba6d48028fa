//! Connections: how one is opened, for the writer and for readers.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::failpoint::{Point, reach};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::error::database;
use super::place::Place;

/// Every statement of a session stays prepared; rusqlite keeps 16 by default.
const STATEMENTS: usize = 128;

/// How long is waited while another process recovers the log.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest SQLite without the WAL-reset bug, which loses data when two connections write and checkpoint.
const OLDEST_SQLITE: i32 = 3_051_003;

/// Refuses a library that was linked in place of the bundled one and is too old.
pub(super) fn check_library() -> Result<()> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("SQLite {}", rusqlite::version()),
        reason: "it can lose data when several processes write; build with the bundled one (3.51.3 or newer)"
            .into(),
    })
}

/// What only the first connection of a new file can decide; later it would ask for the write lock.
const NEW_FILE: &str = "PRAGMA page_size = 8192; PRAGMA auto_vacuum = NONE;";

/// Answers with the mode that it is in afterwards.
const LOG: &str = "PRAGMA journal_mode = WAL";

/// Checkpoints are ours alone, because SQLite swallows the errors of its own.
///
/// What moves within a page, or to another, leaves nothing behind: who erases something later would not find that copy.
const WRITER: &str = "
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -16384;
    PRAGMA secure_delete = FAST;";

/// For every connection: nothing that maps the file (an I/O error would be a SIGBUS), nothing that trusts it.
const EVERY: &str = "
    PRAGMA mmap_size = 0;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA foreign_keys = OFF;
    PRAGMA temp_store = MEMORY;";

/// Opens the connection that writes. It waits for a lock until it is told not to: whoever looks into the file may be
/// recovering the log, which takes the lock without the turn.
pub(super) fn writer(place: &Place, options: &Options) -> Result<Connection> {
    reach(Point::OpenWriter)?;
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if connection.is_readonly("main").map_err(database)? {
        return Err(Error::ReadOnly { detail: format!("\"{}\" may not be written", place.path.display()) });
    }
    // Another connection may be switching a new file to WAL at this moment; that is over soon.
    connection.busy_timeout(PATIENCE).map_err(database)?;
    if std::fs::metadata(&place.path).is_ok_and(|found| found.len() == 0) {
        connection.execute_batch(NEW_FILE).map_err(database)?;
    }
    let mode: String = connection.query_row(LOG, [], |row| row.get(0)).map_err(database)?;
    if mode != "wal" {
        return Err(Error::Unsupported {
            what: format!("a store in \"{}\"", place.path.display()),
            reason: format!("SQLite cannot keep a write-ahead log there (it stays in mode {mode})"),
        });
    }
    connection.execute_batch(WRITER).map_err(database)?;
    sync(&connection, options.syncs())?;
    Ok(connection)
}

/// From now on every commit is synced, or only checkpoints are. Not within a transaction.
pub(super) fn sync(connection: &Connection, commits: bool) -> Result<()> {
    let pragma = if commits { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
    connection.execute_batch(pragma).map_err(database)
}

/// A connection that keeps the log's index alive while the one that writes is opened anew.
///
/// The index knows nothing of a group whose commit has failed. Without it the log itself would be read, and would be
/// believed: there the group's frames stand, though a disk that failed to sync them may never have them, and whatever is
/// committed behind them would go with the power.
pub(super) fn keeper(place: &Place) -> Result<Connection> {
    let connection = reader(place)?;
    connection.query_row("PRAGMA schema_version", [], |_| Ok(())).map_err(database)?;
    Ok(connection)
}

/// Tries a first transaction again, on the same connection, if its commit failed. Whatever that has left in the log stands
/// behind the end of which this connection knows, and is overwritten. Left there, it would be the end for whoever opens
/// the store next, though a disk that failed to sync it may never have it: what is committed behind it would go with the
/// power.
pub(super) fn try_twice(mut transaction: impl FnMut() -> Result<()>) -> Result<()> {
    match transaction() {
        Err(Error::Storage { .. }) => transaction(),
        done => done,
    }
}

/// Has SQLite roll back the creation of a file that was cut short, by looking into it with leave to write. Before the
/// writer is opened: it must find the file empty to give it its page size.
pub(super) fn undo_creation(place: &Place) -> Result<()> {
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE).map_err(database)?;
    connection.query_row("PRAGMA schema_version", [], |_| Ok(())).map_err(database)
}

/// Opens a connection that only reads, where not even the log's index may be made: as a rule through the log, for which its index
/// has to be there; or, where there is no log, as a file that nobody changes.
pub(super) fn looker(place: &Place, still: bool) -> Result<Connection> {
    if !still {
        return reader(place);
    }
    reach(Point::OpenReader)?;
    let mut address = String::from("file://");
    for byte in place.path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                address.push(char::from(*byte))
            }
            other => address.push_str(&format!("%{other:02X}")),
        }
    }
    address.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = prepared(Path::new(&address), flags)?;
    connection.execute_batch("PRAGMA query_only = ON;").map_err(database)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn reader(place: &Place) -> Result<Connection> {
    reach(Point::OpenReader)?;
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE).map_err(database)?;
    connection.execute_batch("PRAGMA query_only = ON;").map_err(database)?;
    Ok(connection)
}

/// Never with `SQLITE_OPEN_CREATE` (an unlinked store must not come back empty) and never with
/// `SQLITE_OPEN_URI`, but for an address that was made here.
fn connect(place: &Place, access: OpenFlags) -> Result<Connection> {
    prepared(&place.path, access)
}

fn prepared(path: &Path, access: OpenFlags) -> Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags).map_err(database)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The checkpoint on the last close would run outside the writers' turn and hide its errors.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(database)?;
    // Whoever runs SQL on it cannot write past what SQLite itself keeps in order.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(database)?;
    // How a statement is carried out must not hang on the values that are bound to it, a LIMIT's among them. If it did, SQLite
    // would prepare it anew for each use: more than half of what a claim cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(database)?;
    connection.execute_batch(EVERY).map_err(database)?;
    Ok(connection)
}

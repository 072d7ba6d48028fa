//! The ladder of schemas: what makes a new file a store, and an old store a current one.

use millpond_actors::clock::{Clock, Rng, SystemClock, SystemRng};
use millpond_actors::error::{Error, Occupant, Result};
use millpond_actors::failpoint::{Point, reach};
use millpond_actors::observe::target;
use rusqlite::{Connection, TransactionBehavior};

use super::Options;
use super::anchor::anchor;
use super::error::database;
use super::open;
use super::place::{Place, sync_directory};
use super::process;
use super::sync::Sidecar;

/// "MPND": in the header of every store, so that `file` and other programs can tell.
pub(super) const APPLICATION_ID: u32 = 0x4D50_4E44;

/// One script a schema, in order; the first makes schema 1.
const LADDER: [&str; 1] = [include_str!("migrations/0001_initial.sql")];

/// The newest schema that this program knows.
pub(super) const SCHEMA: u32 = LADDER.len() as u32;

/// Brings the store at `place` to the newest schema, or makes one of an empty file.
pub(super) fn bring_up(place: &Place, options: &Options) -> Result<()> {
    if options.read_only {
        return check_readable(place);
    }
    let sidecar = Sidecar::open(place)?;
    if !place.creation_was_cut() && place_is_current(place)? {
        return Ok(());
    }
    // Two processes may find the same empty file: the turn lets one of them make it a store.
    sidecar.wait_for_turn(|slot| holder(place, slot))?;
    let result = climb(place, options, &sidecar);
    sidecar.leave_turn();
    result
}

/// A new store's tables in memory, without a row: what a store has of its own.
pub(super) fn in_memory() -> Result<Connection> {
    let connection = Connection::open_in_memory().map_err(database)?;
    LADDER.iter().try_for_each(|script| connection.execute_batch(script)).map_err(database)?;
    Ok(connection)
}

/// Who keeps us from it.
fn holder(place: &Place, slot: u32) -> Occupant {
    open::reader(place).map_or(Occupant::Unknown, |connection| process::occupant(&connection, slot))
}

/// A store that is only read must be current already: nothing may be written to it.
fn check_readable(place: &Place) -> Result<()> {
    let found = schema_at_once(place, &open::looker(place, place.stillness()?.is_some())?)?;
    if found == SCHEMA {
        return Ok(());
    }
    Err(Error::Unsupported {
        what: format!("reading \"{}\" with schema {found}", place.path.display()),
        reason: format!("it has to be opened once for writing, to become schema {SCHEMA}"),
    })
}

/// Whether nothing has to be done, found out without writing.
fn place_is_current(place: &Place) -> Result<bool> {
    let length = std::fs::metadata(&place.path).map_or(0, |found| found.len());
    if length == 0 {
        return Ok(false);
    }
    schema_at_once(place, &open::reader(place)?).map(|found| found == SCHEMA)
}

/// What a connection of its own sees at one moment. Another process may be making the file a store just now: half of it
/// seen before and half after would be neither a new file nor a store.
fn schema_at_once(place: &Place, connection: &Connection) -> Result<u32> {
    connection.execute_batch("BEGIN").map_err(database)?;
    schema(place, connection)
}

const APPLICATION: &str = "SELECT application_id FROM pragma_application_id";
const USER_VERSION: &str = "SELECT user_version FROM pragma_user_version";
const TABLES: &str = "SELECT count(*) FROM sqlite_schema";

/// The file's schema, 0 if it is new. Unlike the header on disk this sees what is still in the log.
fn schema(place: &Place, connection: &Connection) -> Result<u32> {
    let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).map_err(database);
    let (application, version, tables) = (ask(APPLICATION)?, ask(USER_VERSION)?, ask(TABLES)?);
    let path = place.path.display().to_string();
    match application {
        APPLICATION_ID if version > SCHEMA => {
            Err(Error::SchemaTooNew { path, found: version, supported: SCHEMA })
        }
        APPLICATION_ID => Ok(version),
        0 if version == 0 && tables == 0 => Ok(0),
        _ => Err(Error::NotOurFile { path, reason: "it is a SQLite database of another program".into() }),
    }
}

/// Runs what is missing of the ladder in one transaction, and moves the result into the main file at once: a
/// store of which only the log knows would not be recognised without the log.
fn climb(place: &Place, options: &Options, sidecar: &Sidecar) -> Result<()> {
    if place.creation_was_cut() {
        open::undo_creation(place)?;
    }
    let mut connection = open::writer(place, options)?;
    reach(Point::BeforeMigrate)?;
    open::try_twice(|| run_scripts(&mut connection, place, sidecar))?;
    reach(Point::AfterMigrate)?;
    checkpoint(&connection)?;
    sync_directory(&place.path)
}

fn run_scripts(connection: &mut Connection, place: &Place, sidecar: &Sidecar) -> Result<()> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
    let found = schema(place, &transaction)?;
    if found == SCHEMA {
        return Ok(());
    }
    anchor(place, sidecar)?;
    if found > 0 {
        refuse_if_older_live(&transaction, sidecar)?;
    }
    for script in LADDER.iter().skip(found as usize) {
        transaction.execute_batch(script).map_err(database)?;
    }
    if found == 0 {
        first_row(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(database)?;
    transaction.pragma_update(None, "user_version", SCHEMA).map_err(database)?;
    reach(Point::WithinMigrate)?;
    transaction.commit().map_err(database)?;
    tracing::info!(target: target::STORE, found, schema = SCHEMA, "the store was brought to this schema");
    Ok(())
}

const FIRST_ROW: &str = "INSERT INTO store (id, uuid, created, position, token, process, recorded_at)
    VALUES (1, ?1, ?2, 0, 0, 0, 0)";

/// The one row of `store`. Its time and its id are information: nothing is ever decided by them, so they need
/// no seam.
fn first_row(connection: &Connection) -> Result<()> {
    let id = SystemRng.uuid();
    let created = SystemClock.now().wall_ms;
    connection.execute(FIRST_ROW, rusqlite::params![id.as_bytes(), created]).map_err(database)?;
    Ok(())
}

fn checkpoint(connection: &Connection) -> Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(database)
}

const OLDER: &str = "SELECT id, slot, boot, sidecar, last_beat, pid, program FROM process WHERE schema < ?1";

/// A process of an older schema would go on writing rows of the old shape. One that runs no more does not, though a
/// command that it has left behind may keep its lock for it.
pub(super) fn refuse_if_older_live(connection: &Connection, sidecar: &Sidecar) -> Result<()> {
    let mut statement = connection.prepare(OLDER).map_err(database)?;
    let mut rows = statement.query([SCHEMA]).map_err(database)?;
    while let Some(row) = rows.next().map_err(database)? {
        let peer = process::Peer::from_row(row).map_err(database)?;
        if !peer.is_known_dead(None, Some(sidecar))? && !peer.only_lent(Some(sidecar))? {
            let pid: u32 = row.get(5).map_err(database)?;
            let program: String = row.get(6).map_err(database)?;
            return Err(Error::Unsupported {
                what: format!("moving the store to schema {SCHEMA}"),
                reason: format!("{program} (pid {pid}) has it open with an older one; stop it first"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

    use super::*;

    #[test]
    fn a_file_that_becomes_a_store_while_it_is_looked_at_is_not_taken_for_anothers() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::find(&directory.path().join("a.db"), true).unwrap();
        drop(open::writer(&place, &Options::default()).unwrap());
        let mut connection = open::reader(&place).unwrap();
        let maker = Mutex::new(Some(Connection::open(&place.path).unwrap()));
        let made = move |context: AuthContext<'_>| {
            let version = matches!(context.action, AuthAction::Pragma { pragma_name: "user_version", .. });
            if version && let Some(maker) = maker.lock().unwrap().take() {
                let id = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA};");
                maker.execute_batch(&format!("BEGIN; {} {id} COMMIT;", LADDER[0])).unwrap();
            }
            Authorization::Allow
        };
        connection.authorizer(Some(made)).unwrap();
        assert_eq!(schema_at_once(&place, &connection), Ok(0), "as it was when the look began");
        assert_eq!(place_is_current(&place), Ok(true));
    }

    #[test]
    fn whoever_recovers_the_log_meanwhile_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::find(&directory.path().join("a.db"), true).unwrap();
        let recovers = open::writer(&place, &Options::default()).unwrap();
        recovers.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (tell, told) = channel();
        std::thread::scope(|threads| {
            threads.spawn(|| tell.send(bring_up(&place, &Options::default())).unwrap());
            let too_early = told.recv_timeout(Duration::from_millis(200));
            recovers.execute_batch("ROLLBACK").unwrap();
            too_early.unwrap_err();
            assert_eq!(told.recv(), Ok(Ok(())));
        });
    }
}

//! A process that writes as fast as it can, from the line it is told on, and says of each write how long it took.

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Event, Expected};
use rusqlite::Connection;

use crate::crew::say;
use crate::workload::Call;
use crate::{Result, clock};

/// How long the mutant's database handler waits: as long as the store's callers would, or nearly.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Writes what has this number, and tells its version and position.
type Write = Box<dyn Fn(u64) -> Result<(u64, u64)>>;

/// Opens the store, and writes from `next` on until it is killed. `plain`: not the store, but bare SQLite.
///
/// # Errors
/// If something went wrong that should not.
pub fn live(file: &Path, who: u64, next: u64, plain: bool) -> Result<()> {
    let write: Write = if plain { bare(file)? } else { stored(file, who)? };
    say("open")?;
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        return Ok(());
    }
    let mut number = next;
    loop {
        let since = clock::stamp()?;
        let (version, position) = write(number)?;
        say(&format!("acked {number} {version} {position} {}", clock::stamp()?.saturating_sub(since)))?;
        number += 1;
    }
}

fn stored(file: &Path, who: u64) -> Result<Write> {
    let store = Store::open(file)?;
    Ok(Box::new(move |number| {
        let call = Call::appending(who, number);
        let events =
            (0..call.events()).map(|part| call.event(part)).collect::<millpond::Result<Vec<Event>>>()?;
        let done = store.events().append(call.stream(0), Expected::Any, events)?;
        Ok((done.version, done.position))
    }))
}

/// A transaction of the same size, begun when SQLite's own handler lets it.
fn bare(file: &Path) -> Result<Write> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS event (data TEXT)",
    )?;
    Ok(Box::new(move |number| {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        connection.execute("INSERT INTO event VALUES (?1)", [format!("{:0200}", number)])?;
        connection.execute_batch("COMMIT")?;
        Ok((number, number))
    }))
}

//! Another program with SQLite of its own, which knows nothing of Millpond: it says what it did to the file, and keeps its
//! connection until it is told to end.

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::crew::say;

/// Runs the statements, says `done` or what was wrong, and waits for a line.
///
/// # Errors
/// If the file cannot be opened, or nobody listens any more.
pub fn live(file: &Path, sql: &str) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    match connection.execute_batch(sql) {
        Ok(()) => say("done")?,
        Err(error) => say(&format!("failed: {error}"))?,
    }
    std::io::stdin().lock().lines().next().transpose()?;
    Ok(())
}

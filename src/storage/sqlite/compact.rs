//! The log is moved into the main file; and what is free there is given back, for which SQLite writes all of it anew, in one commit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::storage::Compacted;

use super::error::database;
use super::session::{A_MOMENT, SqliteSession};

impl SqliteSession {
    /// A checkpoint that waits so long for others; whether it was kept from its end.
    pub(super) fn move_log(&mut self, patience: Duration, sql: &'static str) -> Result<bool> {
        self.connection.busy_timeout(patience).map_err(database)?;
        let result = self.connection.query_row(sql, [], |row| {
            Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        self.connection.busy_timeout(Duration::ZERO).map_err(database)?;
        let (interrupted, pages, moved) = result.map_err(database)?;
        self.log.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        self.moved = u32::try_from(moved).unwrap_or(0);
        Ok(interrupted)
    }

    /// Writes the file anew, and empties the log. With the turn, and without a transaction.
    pub(super) fn vacuum(&mut self) -> Result<Compacted> {
        self.place.check_same()?;
        self.sync(true)?;
        let before = self.place.bytes();
        // What it makes meanwhile may be as large as the store: that is not for the memory.
        self.connection.execute_batch("PRAGMA temp_store = FILE").map_err(database)?;
        let made = self.run("VACUUM");
        self.connection.execute_batch("PRAGMA temp_store = MEMORY").map_err(database)?;
        self.forget();
        made?;
        // Whoever still reads from before it keeps the file from being shortened: the next checkpoint does it.
        self.move_log(A_MOMENT, "PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(Compacted::of(before, self.place.bytes()))
    }
}

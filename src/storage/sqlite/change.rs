//! Changes: the last so many, written while somebody watches.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::change::{Change, Primitive, Record, Written};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{corrupt, database};
use super::session::SqliteSession;

impl SqliteSession {
    // Numbers are never given twice, also when all rows are gone.
    const LAST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'change'";
    const WRITE: &str = "INSERT INTO change (primitive, row, sequence, key) VALUES (?1, ?2, ?3, ?4)";
    const FORGET: &str = "DELETE FROM change WHERE number <= ?1";

    /// Writes changes down, and forgets those that are too old.
    pub(super) fn write_changes(&self, record: &Record) -> Result<Written> {
        let mut write = self.connection.prepare_cached(Self::WRITE).map_err(database)?;
        for changed in &record.changes {
            write
                .execute(params![changed.primitive as u8, changed.row, changed.sequence, changed.key])
                .map_err(database)?;
        }
        let mut last = self.connection.prepare_cached(Self::LAST).map_err(database)?;
        let last: Option<u64> = last.query_row([], |row| row.get(0)).optional().map_err(database)?;
        let last = last.unwrap_or(0);
        if !record.changes.is_empty() {
            let mut forget = self.connection.prepare_cached(Self::FORGET).map_err(database)?;
            forget.execute([last.saturating_sub(limits::CHANGES)]).map_err(database)?;
        }
        Ok(Written { last })
    }
}

const AFTER: &str =
    "SELECT c.number, c.primitive, c.sequence, coalesce(s.name, l.name, f.name, q.name, d.name, i.name, b.name), c.key
    FROM change c
    LEFT JOIN stream s ON c.primitive = 1 AND s.id = c.row
    LEFT JOIN lock l ON c.primitive = 2 AND l.id = c.row
    LEFT JOIN feed f ON c.primitive IN (3, 4) AND f.id = c.row
    LEFT JOIN queue q ON c.primitive = 5 AND q.id = c.row
    LEFT JOIN dict d ON c.primitive = 6 AND d.id = c.row
    LEFT JOIN list i ON c.primitive = 7 AND i.id = c.row
    LEFT JOIN blobs b ON c.primitive = 8 AND b.id = c.row
    WHERE c.number > ?1 ORDER BY c.number LIMIT ?2";

/// Changes after a number.
pub(super) fn after(connection: &Connection, number: u64, limit: u32) -> Result<Vec<Change>> {
    let mut statement = connection.prepare_cached(AFTER).map_err(database)?;
    let mut rows = statement.query(params![number, limit]).map_err(database)?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        changes.push(change(row)?);
    }
    Ok(changes)
}

fn change(row: &Row<'_>) -> Result<Change> {
    let number: u64 = row.get(0).map_err(database)?;
    let unknown = || corrupt("change", "?", number, "nobody knows what has changed");
    let primitive = Primitive::of(row.get(1).map_err(database)?).ok_or_else(unknown)?;
    let name = row.get::<_, Option<String>>(3).map_err(database)?.ok_or_else(unknown)?;
    let (sequence, key) = (row.get(2).map_err(database)?, row.get(4).map_err(database)?);
    Ok(Change { number, primitive, name, sequence, key })
}

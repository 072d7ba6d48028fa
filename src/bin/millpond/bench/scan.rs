//! What reading is compared with: bare rusqlite that selects the same rows in one statement and decodes their contents.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::drive::failed;

const ALL: &str = "SELECT position, stream, version, event_id, type, schema, recorded_at, at, data, metadata
    FROM event ORDER BY position";
const STREAM: &str =
    "SELECT position, stream, version, event_id, type, schema, recorded_at, at, data, metadata
    FROM event WHERE stream = (SELECT id FROM stream WHERE name = ?1) ORDER BY version";

/// A store's file, opened by nothing but rusqlite.
pub(super) struct Scan(Connection);

/// A row of it. That it is made is what counts.
#[allow(dead_code, reason = "whoever reads events has all of it")]
struct Event {
    places: (u64, i64, u64),
    id: Uuid,
    event_type: String,
    schema: u32,
    recorded_at: i64,
    at: Option<String>,
    data: String,
    metadata: Option<String>,
}

impl Scan {
    pub(super) fn open(file: &Path) -> millpond::Result<Scan> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
        connection.map(Scan).map_err(|error| failed(&error))
    }

    /// All events, each decoded and handed over; how many there are.
    pub(super) fn all<T: DeserializeOwned>(&self, each: impl FnMut(T)) -> millpond::Result<u64> {
        self.rows(ALL, &[], each)
    }

    /// Those of one stream.
    pub(super) fn stream<T: DeserializeOwned>(
        &self,
        name: &str,
        each: impl FnMut(T),
    ) -> millpond::Result<u64> {
        self.rows(STREAM, &[&name], each)
    }

    fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
        mut each: impl FnMut(T),
    ) -> millpond::Result<u64> {
        let read = || -> Result<u64, Box<dyn std::error::Error>> {
            let mut statement = self.0.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let event = event(row)?;
                each(serde_json::from_str(&event.data)?);
                count += 1;
            }
            Ok(count)
        };
        let mut read = read;
        read().map_err(|error| failed(&error))
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        places: (row.get(0)?, row.get(1)?, row.get(2)?),
        id: Uuid::from_bytes(row.get(3)?),
        event_type: row.get(4)?,
        schema: row.get(5)?,
        recorded_at: row.get(6)?,
        at: row.get(7)?,
        data: row.get(8)?,
        metadata: row.get(9)?,
    })
}

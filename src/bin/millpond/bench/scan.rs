//! What reading is compared with: bare rusqlite that selects the same rows in one statement and decodes their contents.

use std::hint::black_box;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::de::DeserializeOwned;

use super::drive::failed;

const ALL: &str = "SELECT position, stream, version, event_id, type, schema, recorded_at, at, metadata, data
    FROM event ORDER BY position";
const STREAM: &str =
    "SELECT position, stream, version, event_id, type, schema, recorded_at, at, metadata, data
    FROM event WHERE stream = (SELECT id FROM stream WHERE name = ?1) ORDER BY version";

/// A store's file, opened by nothing but rusqlite.
pub(super) struct Scan(Connection);

/// All that whoever reads events has of one, but for its content.
type Event = (u64, i64, u64, [u8; 16], String, u32, i64, Option<String>, Option<String>);

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
        let mut read = || -> Result<u64, Box<dyn std::error::Error>> {
            let mut statement = self.0.prepare_cached(sql)?;
            let mut rows = statement.query(values)?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let data: String = row.get(9)?;
                black_box(Event::try_from(row)?);
                each(serde_json::from_str(&data)?);
                count += 1;
            }
            Ok(count)
        };
        read().map_err(|error| failed(&*error))
    }
}

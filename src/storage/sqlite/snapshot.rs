//! Snapshots: one row a stream, replaced by later ones.

use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::snapshot::{Kept, Save, Saved};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::data::{data_column, data_from};
use super::error::{corrupt, database};
use super::session::SqliteSession;

impl SqliteSession {
    /// A version beyond the stream's, or none at all, is that of a damaged snapshot. A state of what was erased is erased too.
    const STREAM: &str = "SELECT t.name, t.erased >= ?2 OR (s.version > ?2 AND s.version <= t.version)
        FROM stream t LEFT JOIN snapshot s ON s.stream = t.id WHERE t.id = ?1";
    const SAVE: &str = "INSERT INTO snapshot (stream, version, schema, format, crc, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version, schema = excluded.schema,
            format = excluded.format, crc = excluded.crc, data = excluded.data";

    /// Keeps a snapshot unless a later one is kept, or what it is of is erased.
    pub(super) fn save_snapshot(&mut self, save: &Save) -> Result<Saved> {
        let mut statement = self.connection.prepare_cached(Self::STREAM).map_err(database)?;
        let found = statement
            .query_row([save.stream, save.version], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<bool>>(1)?))
            })
            .optional()
            .map_err(database)?;
        let Some((name, None | Some(false))) = found else { return Ok(Saved::Outdated) };
        let (format, data) = (save.data.format(), save.data.bytes());
        let crc = checksum::record(Kind::Snapshot, &name, save.version, "", format, save.schema, data);
        let mut statement = self.connection.prepare_cached(Self::SAVE).map_err(database)?;
        statement
            .execute(params![save.stream, save.version, save.schema, format, crc, data_column(&save.data)])
            .map_err(database)?;
        Ok(Saved::Kept)
    }
}

const LOAD: &str = "SELECT s.version, s.schema, s.format, s.crc, s.data
    FROM stream t JOIN snapshot s ON s.stream = t.id WHERE t.name = ?1";

/// The snapshot kept for a stream, if it is sound.
pub(super) fn load(connection: &Connection, stream: &Name) -> Result<Option<Kept>> {
    let mut statement = connection.prepare_cached(LOAD).map_err(database)?;
    let mut rows = statement.query([stream.as_str()]).map_err(database)?;
    match rows.next().map_err(database)? {
        None => Ok(None),
        Some(row) => kept(row, stream).map(Some),
    }
}

fn kept(row: &Row<'_>, stream: &Name) -> Result<Kept> {
    let version: u64 = row.get(0).map_err(|error| damaged(stream, 0, error.to_string()))?;
    let odd = |error: rusqlite::Error| damaged(stream, version, error.to_string());
    let schema: u32 = row.get(1).map_err(odd)?;
    let format: u8 = row.get(2).map_err(odd)?;
    let crc: u32 = row.get(3).map_err(odd)?;
    let data = data_from(format, row.get_ref(4).map_err(odd)?)
        .ok_or_else(|| damaged(stream, version, "its data is not of its format"))?;
    let found = checksum::record(Kind::Snapshot, stream.as_str(), version, "", format, schema, data.bytes());
    if found != crc {
        return Err(damaged(stream, version, format!("its checksum is {found:08x}, stored is {crc:08x}")));
    }
    Ok(Kept { version, schema, data })
}

fn damaged(stream: &Name, version: u64, detail: impl Into<String>) -> Error {
    corrupt("snapshot", stream.as_str(), version, detail)
}

//! Events of a dump: each goes to the end of its stream and of the store, unless it is there.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::record::{Marked, Onto, Put, Refusal};
use millpond_actors::storage::stream::Recorded;
use rusqlite::{Connection, params};

use super::super::data::data_column;
use super::super::error::database;
use super::super::look_up;
use super::super::origin::origin_columns;
use super::super::process::next;
use super::super::session::SqliteSession;
use super::super::trace::Trace;

impl SqliteSession {
    /// Puts an event back, at the end of its stream and of the store.
    pub(super) fn put_event(&mut self, onto: Onto, event: &Recorded) -> Result<Put> {
        let name = event.stream.as_str();
        let row = look_up::stream(&self.connection, name)?;
        if onto == Onto::Nothing && event.version == 1 && row.is_some() {
            return Ok(Put::Refused(Refusal::Exists));
        }
        if let Some((stream, version)) = self.where_is(&event.id)? {
            return Ok(match onto {
                _ if row.is_none_or(|row| row.id != stream) => Put::Refused(Refusal::Taken(event.id)),
                Onto::Nothing => Put::Refused(Refusal::Taken(event.id)),
                Onto::Replace if version != event.version => Put::Refused(Refusal::Diverged),
                Onto::Replace | Onto::Append => Put::Known,
            });
        }
        if row.is_some_and(|row| row.closed) {
            return Ok(Put::Refused(Refusal::Closed));
        }
        let before = row.map_or(0, |row| row.version);
        if onto != Onto::Append && event.version != before + 1 {
            return Ok(Put::Refused(Refusal::Diverged));
        }
        let stream = self.lengthen(&event.stream, row.map(|row| row.id), before)?;
        self.counters.position = next(self.counters.position, "the position")?;
        self.counters.recorded_at = self.counters.recorded_at.max(event.recorded_at);
        let (position, version) = (self.counters.position, before + 1);
        self.insert_back(event, stream, (position, version))?;
        self.written.last_event = Some(Trace { position, id: event.id });
        let changed =
            Changed { primitive: Primitive::Stream, row: stream, sequence: Some(version), key: None };
        Ok(if position == event.position { Put::Written(Some(changed)) } else { Put::Moved(changed) })
    }

    const LENGTHEN: &str = "UPDATE stream SET version = ?2 WHERE id = ?1";
    const BEGIN_STREAM: &str = "INSERT INTO stream (name, category, version, erased, closed)
        VALUES (?1, ?2, 1, 0, 0)";

    /// A stream has one event more, and comes into being with the first.
    fn lengthen(&mut self, name: &Name, stream: Option<u64>, before: u64) -> Result<u64> {
        let Some(stream) = stream else {
            let category = self.category(name.category())?;
            let mut statement = self.connection.prepare_cached(Self::BEGIN_STREAM).map_err(database)?;
            let id = statement.insert(params![name.as_str(), category]).map_err(database)?;
            return Ok(id.unsigned_abs());
        };
        let after = next(before, "the version of a stream")?;
        let mut statement = self.connection.prepare_cached(Self::LENGTHEN).map_err(database)?;
        statement.execute([stream, after]).map_err(database)?;
        Ok(stream)
    }

    fn insert_back(&mut self, event: &Recorded, stream: u64, (position, version): (u64, u64)) -> Result<()> {
        let Recorded { stream: name, event_type, data, schema, .. } = event;
        let category = self.category(name.category())?;
        let format = data.format();
        let crc =
            checksum::record(Kind::Event, name.as_str(), version, event_type, format, *schema, data.bytes());
        let [correlation, causation, actor, tenant] = origin_columns(event.origin.as_deref());
        let mut statement = self.connection.prepare_cached(Self::INSERT).map_err(database)?;
        let values = params![
            position,
            stream,
            version,
            category,
            event.id.as_bytes(),
            event_type,
            format,
            schema,
            crc,
            self.counters.recorded_at,
            event.at,
            data_column(data),
            event.metadata,
            correlation,
            causation,
            actor,
            tenant,
        ];
        statement.execute(values).map_err(database)?;
        Ok(())
    }

    const SAYS: &str =
        "SELECT count(*) FROM event WHERE stream = ?1 AND version <= ?2 AND type <> '' LIMIT 1";
    const MARK_BACK: &str = "UPDATE stream SET erased = ?2, closed = ?3 WHERE id = ?1";

    /// Puts back what is known of a stream beside its events, if it is what it was.
    pub(super) fn put_stream(
        &self,
        onto: Onto,
        name: &Name,
        version: u64,
        (erased, closed): (u64, bool),
    ) -> Result<Put> {
        let Some(row) = look_up::stream(&self.connection, name.as_str())? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        if onto == Onto::Replace && row.version != version {
            return Ok(Put::Refused(Refusal::Diverged));
        }
        let says_nothing = erased == 0 && !closed;
        if row.version != version || says_nothing || (row.erased, row.closed) == (erased, closed) {
            return Ok(Put::Known);
        }
        let mut statement = self.connection.prepare_cached(Self::SAYS).map_err(database)?;
        let says: u64 = statement.query_row([row.id, erased], |row| row.get(0)).map_err(database)?;
        if says > 0 {
            return Ok(Put::Known);
        }
        let mut statement = self.connection.prepare_cached(Self::MARK_BACK).map_err(database)?;
        statement.execute(params![row.id, erased, closed]).map_err(database)?;
        Ok(Put::Written(None))
    }
}

const MARKED: &str = "SELECT name, version, erased, closed FROM stream
    WHERE (?1 IS NULL OR name > ?1) AND (erased > 0 OR closed) ORDER BY name LIMIT ?2";

/// Streams that were erased or closed, by name.
pub(in super::super) fn marked(
    connection: &Connection,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Marked>> {
    let mut statement = connection.prepare_cached(MARKED).map_err(database)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Marked { name: row.get(0)?, version: row.get(1)?, erased: row.get(2)?, closed: row.get(3)? })
    };
    let rows = statement.query_map(params![after, limit], read).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

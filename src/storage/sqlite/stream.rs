//! Streams: appending events, and the columns they are kept in.

use std::collections::HashSet;

use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::storage::Target;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::stream::{Append, Appended, Check, Checked, NewEvent};
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::data::data_column;
use super::error::database;
use super::look_up::{self, Stream, look_up};
use super::origin::origin_columns;
use super::process::{advance, next};
use super::session::SqliteSession;
use super::trace::Trace;

/// Categories whose ids a session remembers. A name without a dash is a category of its own, so there may be
/// as many as streams.
const CATEGORIES: usize = 4_096;

/// A stream that is ready to take the events: it has its new version already.
struct Ready {
    stream: u64,
    before: u64,
}

/// Where an event with a known id stands.
#[derive(Clone, Copy)]
struct Place {
    position: u64,
    stream: u64,
    version: u64,
}

impl SqliteSession {
    /// Appends all events or none. The order of the checks is the contract's: fence, ids, version.
    pub(super) fn append(&mut self, append: &Append) -> Result<Appended> {
        if append.events.is_empty() {
            let what = format!("an append to stream \"{}\"", append.stream.name);
            return Err(Error::InvalidArgument { what, reason: "it holds no event".into() });
        }
        if let Some(fence) = &append.fence
            && !self.fence_holds(fence)?
        {
            return Ok(Appended::Fenced);
        }
        if append.known_ids
            && let Some(answer) = self.check_ids(append)?
        {
            return Ok(answer);
        }
        let count = append.events.len();
        let last_position = advance(self.counters.position, count, "the position")?;
        let ready = match self.make_ready(&append.stream, append.expected, count)? {
            Ok(ready) => ready,
            Err(refused) => return Ok(refused),
        };
        self.insert(append, &ready)?;
        self.counters.position = last_position;
        self.written.last_event =
            append.events.last().map(|event| Trace { position: last_position, id: event.id });
        Ok(Appended::Done {
            stream: ready.stream,
            version: ready.before + count as u64,
            position: last_position,
            repeated: false,
        })
    }

    /// Looks the ids up. `None` if all are new, else the answer: a repetition, or the first id that is taken.
    fn check_ids(&self, append: &Append) -> Result<Option<Appended>> {
        let mut seen = HashSet::with_capacity(append.events.len());
        let mut first_taken = None;
        let mut named_twice = false;
        let mut places = Vec::with_capacity(append.events.len());
        for event in &append.events {
            let fresh = seen.insert(event.id);
            named_twice |= !fresh;
            let place = self.place_of(&event.id)?;
            if first_taken.is_none() && (place.is_some() || !fresh) {
                first_taken = Some(event.id);
            }
            places.push(place);
        }
        let Some(id) = first_taken else { return Ok(None) };
        let repetition = if named_twice { None } else { self.repetition(append, &places)? };
        Ok(Some(repetition.unwrap_or(Appended::Duplicate { id })))
    }

    /// The first time's answer, if the events stand in this stream one behind the other.
    fn repetition(&self, append: &Append, places: &[Option<Place>]) -> Result<Option<Appended>> {
        let Some(places) = places.iter().copied().collect::<Option<Vec<Place>>>() else { return Ok(None) };
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(None) };
        let in_a_row = (first.version..).zip(&places);
        let together = in_a_row
            .into_iter()
            .all(|(version, place)| place.version == version && place.stream == first.stream);
        let name = append.stream.name.as_str();
        if !together
            || look_up::stream(&self.connection, name)?.is_none_or(|stream| stream.id != first.stream)
        {
            return Ok(None);
        }
        let Place { position, stream, version } = *last;
        Ok(Some(Appended::Done { stream, version, position, repeated: true }))
    }

    const PLACE_OF: &str = "SELECT e.position, e.stream, e.version, e.event_id = ?1
        FROM event i LEFT JOIN event e ON e.position = i.position WHERE i.event_id = ?1";

    fn place_of(&self, id: &Uuid) -> Result<Option<Place>> {
        look_up(&self.connection, Self::PLACE_OF, ("event", id), [id.as_bytes()], |row| {
            Ok(Place { position: row.get(0)?, stream: row.get(1)?, version: row.get(2)? })
        })
    }

    /// The stream and the version of the event with an id.
    pub(super) fn where_is(&self, id: &Uuid) -> Result<Option<(u64, u64)>> {
        Ok(self.place_of(id)?.map(|place| (place.stream, place.version)))
    }

    const STREAM_OF: &str = "SELECT s.name, e.event_id = ?1
        FROM event i LEFT JOIN event e ON e.position = i.position LEFT JOIN stream s ON s.id = e.stream
        WHERE i.event_id = ?1";

    /// The stream that an event is in.
    pub(super) fn stream_of(&self, id: &Uuid) -> Result<Option<String>> {
        look_up(&self.connection, Self::STREAM_OF, ("event", id), [id.as_bytes()], |row| row.get(0))
    }

    /// Compares the stream with what is expected and gives it its new version; or says why nothing can be appended.
    fn make_ready(
        &mut self,
        target: &Target,
        expected: Expected,
        count: usize,
    ) -> Result<std::result::Result<Ready, Appended>> {
        // The common case is one statement: the row is known, and its version is expected.
        if let (Some(stream), Expected::Version(before @ 1..)) = (target.id, expected)
            && i64::try_from(before.saturating_add(count as u64)).is_ok()
            && self.move_on(stream, before, count)?
        {
            return Ok(Ok(Ready { stream, before }));
        }
        let found = self.find_stream(target)?;
        if found.is_some_and(|found| found.closed) {
            return Ok(Err(Appended::Closed));
        }
        let before = found.map_or(0, |found| found.version);
        if !expected.allows(before) {
            return Ok(Err(Appended::Conflict { actual: before }));
        }
        let stream = match found {
            Some(found) => {
                self.move_on(found.id, before, count)?;
                found.id
            }
            None => self.make_stream(target, count)?,
        };
        Ok(Ok(Ready { stream, before }))
    }

    /// Whether a stream is as expected.
    pub(super) fn check_stream(&self, check: &Check) -> Result<Checked> {
        let actual = self.find_stream(&check.stream)?.map_or(0, |found| found.version);
        Ok(if check.expected.allows(actual) { Checked::Stands } else { Checked::Conflict { actual } })
    }

    const BY_ID: &str = "SELECT id, version, erased, closed FROM stream WHERE id = ?1";

    /// The row of a stream.
    pub(super) fn find_stream(&self, target: &Target) -> Result<Option<Stream>> {
        let Some(id) = target.id else { return look_up::stream(&self.connection, target.name.as_str()) };
        let mut statement = self.connection.prepare_cached(Self::BY_ID).map_err(database)?;
        statement.query_row([id], Stream::read).optional().map_err(database)
    }

    const MOVE_ON: &str = "UPDATE stream SET version = ?3 WHERE id = ?1 AND version = ?2 AND closed = 0";

    /// Gives a stream its new version if it still has the old one.
    fn move_on(&self, stream: u64, before: u64, count: usize) -> Result<bool> {
        let after = advance(before, count, "the version of a stream")?;
        let mut statement = self.connection.prepare_cached(Self::MOVE_ON).map_err(database)?;
        Ok(statement.execute([stream, before, after]).map_err(database)? == 1)
    }

    const MAKE_STREAM: &str = "INSERT INTO stream (name, category, version, erased, closed)
        VALUES (?1, ?2, ?3, 0, 0)";

    fn make_stream(&mut self, target: &Target, count: usize) -> Result<u64> {
        let category = self.category(target.name.category())?;
        let mut statement = self.connection.prepare_cached(Self::MAKE_STREAM).map_err(database)?;
        let id = statement.insert(params![target.name.as_str(), category, count]).map_err(database)?;
        Ok(id.unsigned_abs())
    }

    const MAKE_CATEGORY: &str = "INSERT INTO category (name) VALUES (?1)";

    /// The id of a category; it comes into being with its first stream.
    pub(super) fn category(&mut self, name: &str) -> Result<i64> {
        if let Some(id) = self.categories.get(name) {
            return Ok(*id);
        }
        let id = match look_up::category(&self.connection, name)? {
            Some(id) => id,
            None => {
                let mut make = self.connection.prepare_cached(Self::MAKE_CATEGORY).map_err(database)?;
                make.insert([name]).map_err(database)?
            }
        };
        if self.categories.len() >= CATEGORIES {
            self.categories.clear();
        }
        self.categories.insert(name.into(), id);
        Ok(id)
    }

    pub(super) const INSERT: &str =
        "INSERT INTO event (position, stream, version, category, event_id, type, format,
        schema, crc, recorded_at, at, data, metadata, correlation, causation, actor, tenant)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

    fn insert(&mut self, append: &Append, ready: &Ready) -> Result<()> {
        let name = &append.stream.name;
        let category = self.category(name.category())?;
        // The wall clock may be set back; what is recorded later is never recorded earlier.
        self.counters.recorded_at = self.counters.recorded_at.max(self.now.wall_ms);
        let mut statement = self.connection.prepare_cached(Self::INSERT).map_err(database)?;
        let (mut position, mut version) = (self.counters.position, ready.before);
        for event in &append.events {
            position = next(position, "the position")?;
            version = next(version, "the version of a stream")?;
            let [correlation, causation, actor, tenant] = origin_columns(event.origin.as_deref());
            statement
                .execute(params![
                    position,
                    ready.stream,
                    version,
                    category,
                    event.id.as_bytes(),
                    event.event_type,
                    event.data.format(),
                    event.schema,
                    checksum_of(event, name.as_str(), version),
                    self.counters.recorded_at,
                    event.at,
                    data_column(&event.data),
                    event.metadata,
                    correlation,
                    causation,
                    actor,
                    tenant,
                ])
                .map_err(database)?;
        }
        Ok(())
    }
}

pub(super) fn checksum_of(event: &NewEvent, stream: &str, version: u64) -> u32 {
    let (format, data) = (event.data.format(), event.data.bytes());
    checksum::record(Kind::Event, stream, version, &event.event_type, format, event.schema, data)
}

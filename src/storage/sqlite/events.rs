//! Events: reading them page by page, each checked against its checksum.

use std::collections::HashMap;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::stream::{Head, Page, Query, Recorded, Scope};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::error::{corrupt, database};
use super::stream::data_from;

/// Names of streams that a reader remembers, so that a page needs no join.
const NAMES: usize = 65_536;

/// Names by the stream's id. Only what is committed is read, and ids are never reused: it cannot go stale.
pub(super) type Names = HashMap<i64, Name>;

/// The page statements differ in the range and the direction; the parameters are the same: 1 the category or
/// stream, 2 and 3 the range, 4 the type or NULL, 5 the limit.
macro_rules! page {
    ($range:literal, $order:literal) => {
        concat!(
            "SELECT position, stream, version, event_id, type, format, schema, crc, recorded_at, at, data, metadata
            FROM event WHERE ",
            $range,
            " AND (?4 IS NULL OR type = ?4) ORDER BY ",
            $order,
            " LIMIT ?5"
        )
    };
}

const ALL: &str = page!("?1 IS NULL AND position BETWEEN ?2 AND ?3", "position");
const ALL_BACK: &str = page!("?1 IS NULL AND position BETWEEN ?2 AND ?3", "position DESC");
const CATEGORY: &str = page!("category = ?1 AND position BETWEEN ?2 AND ?3", "position");
const CATEGORY_BACK: &str = page!("category = ?1 AND position BETWEEN ?2 AND ?3", "position DESC");
const STREAM: &str = page!("stream = ?1 AND version BETWEEN ?2 AND ?3", "version");
const STREAM_BACK: &str = page!("stream = ?1 AND version BETWEEN ?2 AND ?3", "version DESC");

/// Reads one page.
pub(super) fn page(connection: &Connection, names: &mut Names, query: &Query) -> Result<Page> {
    let (Ok(from), to) = (i64::try_from(query.from), i64::try_from(query.to).unwrap_or(i64::MAX)) else {
        return Ok(Page::default());
    };
    let (by_version, key, sql) = match &query.scope {
        Scope::All => (false, None, if query.backward { ALL_BACK } else { ALL }),
        Scope::Category(name) => match category_id(connection, name)? {
            None => return Ok(Page::default()),
            key => (false, key, if query.backward { CATEGORY_BACK } else { CATEGORY }),
        },
        Scope::Stream(name) => match stream_id(connection, name)? {
            None => return Ok(Page::default()),
            key => (true, key, if query.backward { STREAM_BACK } else { STREAM }),
        },
    };
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let values = params![key, from, to, query.event_type, query.limit];
    let mut rows = statement.query(values).map_err(database)?;
    let (mut page, mut bytes) = (Page::default(), 0);
    while let Some(row) = rows.next().map_err(database)? {
        // The two numbers are keys of the tree that was walked to find the row.
        let place = if by_version { row.get(2) } else { row.get(0) };
        page.last = place.ok().or(page.last);
        let event = recorded(connection, names, row);
        bytes += event.as_ref().map_or(0, size);
        page.events.push(event);
        if bytes >= limits::PAGE_BYTES {
            page.more = true;
            return Ok(page);
        }
    }
    page.more = query.limit > 0 && page.events.len() >= query.limit as usize;
    Ok(page)
}

/// Bytes of an event that can be large.
fn size(event: &Recorded) -> usize {
    event.data.bytes().len() + event.metadata.as_ref().map_or(0, String::len)
}

/// The event of a row, if the row is sound.
fn recorded(connection: &Connection, names: &mut Names, row: &Row<'_>) -> Result<Recorded> {
    let position: u64 = row.get(0).map_err(database)?;
    let unnamed = |detail: String| corrupt("event", "?", position, detail);
    let stream: i64 = row.get(1).map_err(|error| unnamed(error.to_string()))?;
    let name = stream_name(connection, names, stream)?
        .ok_or_else(|| unnamed(format!("its stream {stream} has no usable name")))?;
    let version: u64 = column(row, 2, &name, position)?;
    let id: Uuid = column::<[u8; 16]>(row, 3, &name, version).map(Uuid::from_bytes)?;
    let format: u8 = column(row, 5, &name, version)?;
    let data = row.get_ref(10).map_err(database)?;
    let data = data_from(format, data)
        .ok_or_else(|| corrupt("event", name.as_str(), version, "its data is not of its format"))?;
    let event = Recorded {
        position,
        version,
        id,
        event_type: column(row, 4, &name, version)?,
        data,
        schema: column(row, 6, &name, version)?,
        recorded_at: column(row, 8, &name, version)?,
        at: column(row, 9, &name, version)?,
        metadata: column(row, 11, &name, version)?,
        stream: name,
    };
    check(&event, column(row, 7, &event.stream, version)?).map(|()| event)
}

/// A column of the type that it was written with.
fn column<T: FromSql>(row: &Row<'_>, index: usize, name: &Name, version: u64) -> Result<T> {
    row.get(index).map_err(|error| corrupt("event", name.as_str(), version, error.to_string()))
}

/// Compares an event with its checksum.
fn check(event: &Recorded, stored: u32) -> Result<()> {
    let Recorded { stream, version, event_type, data, schema, .. } = event;
    let (name, format) = (stream.as_str(), data.format());
    let found = checksum::record(Kind::Event, name, *version, event_type, format, *schema, data.bytes());
    if found == stored {
        return Ok(());
    }
    let detail = format!("its checksum is {found:08x}, stored is {stored:08x}");
    Err(corrupt("event", name, *version, detail))
}

const NAME: &str = "SELECT name FROM stream WHERE id = ?1";

/// The name of a stream; `None` if it has none that could have been given.
fn stream_name(connection: &Connection, names: &mut Names, stream: i64) -> Result<Option<Name>> {
    if let Some(name) = names.get(&stream) {
        return Ok(Some(name.clone()));
    }
    let mut statement = connection.prepare_cached(NAME).map_err(database)?;
    let mut rows = statement.query([stream]).map_err(database)?;
    let Some(row) = rows.next().map_err(database)? else { return Ok(None) };
    let Some(name) = row.get::<_, String>(0).ok().and_then(|name| Name::new(name).ok()) else {
        return Ok(None);
    };
    if names.len() >= NAMES {
        names.clear();
    }
    names.insert(stream, name.clone());
    Ok(Some(name))
}

const CATEGORY_ID: &str = "SELECT id FROM category WHERE name = ?1";

fn category_id(connection: &Connection, name: &str) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached(CATEGORY_ID).map_err(database)?;
    statement.query_row([name], |row| row.get(0)).optional().map_err(database)
}

const STREAM_ID: &str = "SELECT id FROM stream WHERE name = ?1";

fn stream_id(connection: &Connection, name: &Name) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached(STREAM_ID).map_err(database)?;
    statement.query_row([name.as_str()], |row| row.get(0)).optional().map_err(database)
}

const HEAD: &str = "SELECT id, version FROM stream WHERE name = ?1";

/// Where a stream stands.
pub(super) fn head(connection: &Connection, name: &Name) -> Result<Option<Head>> {
    let mut statement = connection.prepare_cached(HEAD).map_err(database)?;
    let head = |row: &Row<'_>| Ok(Head { id: row.get(0)?, version: row.get(1)? });
    let found: std::result::Result<Option<Head>, Error> =
        statement.query_row([name.as_str()], head).optional().map_err(database);
    found
}

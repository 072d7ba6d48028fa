//! Events: reading them page by page, each checked against its checksum.

use std::collections::HashMap;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::stream::{Head, Page, Query, Recorded, Scope};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::data::data_from;
use super::dense::Walk;
use super::error::{corrupt, database};
use super::look_up::{self, look_up};

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
    let nothing = || Ok(Page::default());
    // How many there are at least is asked for first: what is appended meanwhile only makes it more.
    let (by_version, key, last, sql) = match &query.scope {
        Scope::All => (false, None, counted(connection)?, if query.backward { ALL_BACK } else { ALL }),
        Scope::Category(name) => match look_up::category(connection, name)? {
            None => return nothing(),
            key => (false, key, 0, if query.backward { CATEGORY_BACK } else { CATEGORY }),
        },
        Scope::Stream(name) => match look_up::stream(connection, name.as_str())? {
            None => return nothing(),
            Some((key, last)) => {
                (true, Some(key.cast_signed()), last, if query.backward { STREAM_BACK } else { STREAM })
            }
        },
    };
    let missing = |place| corrupt("event", scope_name(&query.scope), place, "it is not where it belongs");
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let values = params![key, from, to, query.event_type, query.limit];
    let mut rows = statement.query(values).map_err(database)?;
    let picks = query.event_type.is_some() || matches!(query.scope, Scope::Category(_));
    let mut walk = Walk::new(query.backward, (query.from, query.to), last, picks);
    let (mut page, mut bytes) = (Page::default(), 0);
    for _ in 0..query.limit {
        let Some(row) = rows.next().map_err(database)? else {
            page.last = (!page.events.is_empty()).then_some(walk.reached());
            page.events.extend(walk.end().map(|place| Err(missing(place))));
            return Ok(page);
        };
        // The two numbers are keys of the tree that was walked to find the row.
        if let Ok(place) = if by_version { row.get(2) } else { row.get(0) } {
            page.events.extend(walk.step(place).map(|missed| Err(missing(missed))));
        }
        let event = recorded(connection, names, row).and_then(|event| belongs(event, &query.scope));
        bytes += event.as_ref().map_or(0, size);
        page.events.push(event);
        if bytes >= limits::PAGE_BYTES {
            break;
        }
    }
    page.more = query.limit > 0;
    page.last = page.more.then_some(walk.reached());
    Ok(page)
}

/// Whose events they are, for an error.
fn scope_name(scope: &Scope) -> &str {
    match scope {
        Scope::All => "?",
        Scope::Category(name) => name,
        Scope::Stream(name) => name.as_str(),
    }
}

/// The index that led to an event may be damaged.
fn belongs(event: Recorded, scope: &Scope) -> Result<Recorded> {
    let belongs = match scope {
        Scope::All => true,
        Scope::Category(name) => event.stream.category() == name,
        Scope::Stream(name) => event.stream == *name,
    };
    if belongs {
        return Ok(event);
    }
    let (found, asked) = (&event.stream, scope_name(scope));
    Err(corrupt("event", found.as_str(), event.version, format!("an index leads to it from \"{asked}\"")))
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

const COUNTED: &str = "SELECT max(s.position, ifnull(max(p.position), 0)) FROM store s LEFT JOIN process p";

/// So many events have been counted. There may be more: a group of events alone does not count them.
fn counted(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached(COUNTED).map_err(database)?;
    statement.query_row([], |row| row.get(0)).map_err(database)
}

const LAST: &str = "SELECT ifnull(max(position), 0) FROM event";

/// The position of the last event.
pub(super) fn last(connection: &Connection) -> Result<u64> {
    let counted = counted(connection)?;
    let mut statement = connection.prepare_cached(LAST).map_err(database)?;
    let last = statement.query_row([], |row| row.get(0)).map_err(database)?;
    if last < counted {
        return Err(corrupt("event", "?", counted, format!("the last event is {last}")));
    }
    Ok(last)
}

const HEAD: &str = "SELECT s.id, s.version, (SELECT max(version) FROM event WHERE stream = s.id), s.name = ?1
    FROM stream i LEFT JOIN stream s ON s.id = i.id WHERE i.name = ?1";

/// Where a stream stands.
pub(super) fn head(connection: &Connection, name: &Name) -> Result<Option<Head>> {
    let read = |row: &Row<'_>| Ok((Head { id: row.get(0)?, version: row.get(1)? }, row.get(2)?));
    let found = look_up(connection, HEAD, ("stream", name), name.as_str(), read)?;
    let Some((head, last)): Option<(Head, Option<u64>)> = found else { return Ok(None) };
    if last == Some(head.version) {
        return Ok(Some(head));
    }
    let detail = format!("its version is {}, its last event {last:?}", head.version);
    Err(corrupt("stream", name.as_str(), head.version, detail))
}

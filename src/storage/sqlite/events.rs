//! Events: reading them page by page, each checked against its checksum.

use std::collections::HashMap;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::filter::{Fields, Matcher};
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::stream::{Filter, Head, Page, Query, Recorded, Scope};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use uuid::Uuid;

use super::data::data_from;
use super::dense::{Walk, first_at};
use super::error::{corrupt, database};
use super::look_up::{self, look_up};
use super::origin::origin_from;

/// Names of streams that a reader remembers, so that a page needs no join.
const NAMES: usize = 65_536;

/// Names by the stream's id. Only what is committed is read, and ids are never reused: it cannot go stale.
pub(super) type Names = HashMap<i64, Name>;

const COLUMNS: &str =
    "SELECT position, stream, version, event_id, type, format, schema, crc, recorded_at, at, data,
    metadata, correlation, causation, actor, tenant FROM event";

/// What picks the events of a scope out, and what orders them. The parameters are 1 and 2 the range, 3 the category or
/// stream, and behind them what a filter asks for.
fn scope_sql(scope: &Scope) -> (&'static str, &'static str) {
    match scope {
        Scope::All => ("position BETWEEN ?1 AND ?2 AND ?3 IS NULL", "position"),
        Scope::Category(_) => ("category = ?3 AND position BETWEEN ?1 AND ?2", "position"),
        Scope::Stream(_) => ("stream = ?3 AND version BETWEEN ?1 AND ?2", "version"),
    }
}

/// The statement of a page. There are few of them, so that they stay prepared.
fn page_sql(query: &Query) -> String {
    let (scope, place) = scope_sql(&query.scope);
    let Filter { types, tenant, .. } = &query.filter;
    // The plus keeps a stream's events from being looked for among all of the tenant.
    let tenant = match (tenant, &query.scope) {
        (None, _) => "AND ?4 IS NULL",
        (Some(_), Scope::Stream(_)) => "AND +tenant = ?4",
        (Some(_), _) => "AND tenant = ?4",
    };
    let types = match types.len() {
        0 => String::new(),
        count => format!("AND type IN (?5{})", (6..5 + count).map(|n| format!(", ?{n}")).collect::<String>()),
    };
    let order = if query.backward { "DESC" } else { "ASC" };
    format!("{COLUMNS} WHERE {scope} {tenant} {types} ORDER BY {place} {order}")
}

/// Reads one page.
pub(super) fn page(
    connection: &Connection,
    names: &mut Names,
    query: &Query,
    fields: Fields,
) -> Result<Page> {
    // How many there are at least is asked for first: what is appended meanwhile only makes it more.
    let (key, last) = match &query.scope {
        Scope::All => (None, counted(connection)?),
        Scope::Category(name) => match look_up::category(connection, name)? {
            None => return Ok(Page::default()),
            key => (key, 0),
        },
        Scope::Stream(name) => match look_up::stream(connection, name.as_str())? {
            None => return Ok(Page::default()),
            Some(stream) => (Some(stream.id.cast_signed()), stream.version),
        },
    };
    let by_version = matches!(query.scope, Scope::Stream(_));
    let (from, to) = range(connection, query, key.filter(|_| by_version), last)?;
    if from > to {
        return Ok(Page::default());
    }
    let missing = |place| corrupt("event", scope_name(&query.scope), place, "it is not where it belongs");
    let mut statement = connection.prepare_cached(&page_sql(query)).map_err(database)?;
    let (from_column, to_column) = (i64::try_from(from), i64::try_from(to).unwrap_or(i64::MAX));
    let Ok(from_column) = from_column else { return Ok(Page::default()) };
    let Filter { types, tenant, .. } = &query.filter;
    let mut values: Vec<&dyn ToSql> = vec![&from_column, &to_column, &key, tenant];
    values.extend(types.iter().map(|event_type| event_type as &dyn ToSql));
    let mut rows = statement.query(&*values).map_err(database)?;
    let picks = query.filter.picks() || matches!(query.scope, Scope::Category(_));
    let mut walk = Walk::new(query.backward, (from, to), last, picks);
    let (mut page, mut bytes, mut others) = (Page::default(), 0, 0);
    let matcher = query.filter.content.as_ref().map(|content| Matcher::new(content, fields));
    let is_wanted = |data: &Data| matcher.as_ref().is_none_or(|matcher| matcher.matches(data));
    // Those that are left out here were erased, and only their places count.
    while page.events.len() < query.limit as usize {
        let Some(row) = rows.next().map_err(database)? else {
            page.events.extend(walk.end().map(|place| Err(missing(place))));
            return Ok(page);
        };
        // The two numbers are keys of the tree that was walked to find the row.
        if let Ok(place) = if by_version { row.get(2) } else { row.get(0) } {
            page.events.extend(walk.step(place).map(|missed| Err(missing(missed))));
        }
        let event = if is_others(connection, names, row, query.filter.partition)? {
            None
        } else {
            let event = recorded(connection, names, row).and_then(|event| belongs(event, &query.scope));
            if event.as_ref().is_ok_and(|event| event.is_erased() && !query.filter.erased) {
                continue;
            }
            Some(event).filter(|event| event.as_ref().map_or(true, |event| is_wanted(&event.data)))
        };
        let Some(event) = event else {
            others += 1;
            if others < limits::OTHERS_PER_PAGE {
                continue;
            }
            page.last = Some(walk.reached());
            break;
        };
        bytes += event.as_ref().map_or(0, size);
        page.events.push(event);
        page.last = Some(walk.reached());
        if bytes >= limits::PAGE_BYTES {
            break;
        }
    }
    page.more = query.limit > 0;
    Ok(page)
}

/// Whether a row is of a stream of another partition. Whose stream has no usable name is of all.
fn is_others(
    connection: &Connection,
    names: &mut Names,
    row: &Row<'_>,
    partition: Partition,
) -> Result<bool> {
    if partition.is_whole() {
        return Ok(false);
    }
    let Ok(stream) = row.get(1) else { return Ok(false) };
    Ok(stream_name(connection, names, stream)?.is_some_and(|name| !partition.holds(name.as_str())))
}

const AT_POSITION: &str =
    "SELECT position, recorded_at FROM event WHERE position >= ?1 AND ?2 IS NULL ORDER BY position LIMIT 1";
const AT_VERSION: &str =
    "SELECT version, recorded_at FROM event WHERE version >= ?1 AND stream = ?2 ORDER BY version LIMIT 1";

/// The versions of a stream, or the positions, that a query is about. Times never go back from one to the next.
fn range(connection: &Connection, query: &Query, stream: Option<i64>, counted: u64) -> Result<(u64, u64)> {
    let Query { from, to, filter: Filter { since, until, .. }, .. } = query;
    if since.is_none() && until.is_none() {
        return Ok((*from, *to));
    }
    let last = if stream.is_some() { counted } else { last(connection)? };
    let sql = if stream.is_some() { AT_VERSION } else { AT_POSITION };
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let mut look = |place: u64| {
        let found = statement.query_row(params![place, stream], |row| Ok((row.get(0)?, row.get(1)?)));
        found.optional().map_err(database)
    };
    let from =
        since.map_or(Ok(*from), |since| first_at((1, last), since, &mut look).map(|at| at.max(*from)))?;
    let to =
        until.map_or(Ok(*to), |until| first_at((1, last), until, &mut look).map(|at| (at - 1).min(*to)))?;
    Ok((from, to))
}

const BY_ID: &str =
    "SELECT e.position, e.stream, e.version, e.event_id, e.type, e.format, e.schema, e.crc, e.recorded_at,
    e.at, e.data, e.metadata, e.correlation, e.causation, e.actor, e.tenant
    FROM event i LEFT JOIN event e ON e.position = i.position WHERE i.event_id = ?1";

/// The event with an id.
pub(super) fn by_id(connection: &Connection, names: &mut Names, id: &Uuid) -> Result<Option<Recorded>> {
    let mut statement = connection.prepare_cached(BY_ID).map_err(database)?;
    let mut rows = statement.query([id.as_bytes()]).map_err(database)?;
    let Some(row) = rows.next().map_err(database)? else { return Ok(None) };
    let event = recorded(connection, names, row)?;
    if event.id == *id {
        return Ok(Some(event));
    }
    Err(corrupt("event", &id.to_string(), 0, "the index leads to another one"))
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
        origin: origin_from(row, 12)
            .map_err(|error| corrupt("event", name.as_str(), version, error.to_string()))?,
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

const HEAD: &str =
    "SELECT s.id, s.version, s.erased, (SELECT max(version) FROM event WHERE stream = s.id), s.name = ?1
    FROM stream i LEFT JOIN stream s ON s.id = i.id WHERE i.name = ?1";

/// Where a stream stands.
pub(super) fn head(connection: &Connection, name: &Name) -> Result<Option<Head>> {
    let read = |row: &Row<'_>| {
        Ok((Head { id: row.get(0)?, version: row.get(1)?, erased: row.get(2)? }, row.get(3)?))
    };
    let found = look_up(connection, HEAD, ("stream", name), [name.as_str()], read)?;
    let Some((head, last)): Option<(Head, Option<u64>)> = found else { return Ok(None) };
    if last == Some(head.version) {
        return Ok(Some(head));
    }
    let detail = format!("its version is {}, its last event {last:?}", head.version);
    Err(corrupt("stream", name.as_str(), head.version, detail))
}

//! The messages of feeds: reading them page by page, each checked against its checksum.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::Data;
use millpond_actors::storage::feed::{Head, Kind, Message, NewMessage, Page, Query};
use millpond_actors::storage::filter::{Fields, Matcher};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::data::data_from;
use super::dense::{Walk, first_at};
use super::error::{corrupt, database};
use super::feed;

const PAGE: &str = "SELECT sequence, recorded_at, at, key, format, schema, crc, data FROM message
    WHERE feed = ?1 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence";
const PAGE_BACK: &str = "SELECT sequence, recorded_at, at, key, format, schema, crc, data FROM message
    WHERE feed = ?1 AND sequence BETWEEN ?2 AND ?3 ORDER BY sequence DESC";

/// Reads one page, within one snapshot.
pub(super) fn page(connection: &Connection, query: &Query, fields: Fields) -> Result<Page> {
    let Some(head) = feed::row(connection, query.kind, &query.name)? else { return Ok(Page::nothing()) };
    let mut page = Page { first: head.first, head: head.last, ..Page::nothing() };
    let (from, to) = range(connection, &head, query)?;
    if from > to {
        return Ok(page);
    }
    let missing = |place| corrupt(query.kind.word(), &head.name, place, "it is not where it belongs");
    let sql = if query.backward { PAGE_BACK } else { PAGE };
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let mut rows = statement.query(params![head.id, from, to]).map_err(database)?;
    let matcher = query.content.as_ref().map(|content| Matcher::new(content, fields));
    let is_wanted = |data: &Data| matcher.as_ref().is_none_or(|matcher| matcher.matches(data));
    let mut walk = Walk::new(query.backward, (from, to), head.last, false);
    let (mut taken, mut bytes, mut others) = (0, 0, 0);
    while taken < query.limit && bytes < limits::PAGE_BYTES {
        let Some(row) = rows.next().map_err(database)? else {
            page.messages.extend(walk.end().map(|place| (place, Err(missing(place)))));
            return Ok(page);
        };
        // It is a key of the tree that was walked to find the row.
        let sequence: u64 = row.get(0).map_err(database)?;
        page.messages.extend(walk.step(sequence).map(|missed| (missed, Err(missing(missed)))));
        let message = message(row, query.kind, &head.name, sequence);
        if message.as_ref().is_ok_and(|message| !is_wanted(&message.data)) {
            others += 1;
            if others < limits::OTHERS_PER_PAGE {
                continue;
            }
            page.last = Some(walk.reached());
            break;
        }
        taken += 1;
        bytes += message.as_ref().map_or(0, |message| message.data.bytes().len());
        page.messages.push((sequence, message));
        page.last = Some(walk.reached());
    }
    page.more = query.limit > 0;
    Ok(page)
}

const TIME: &str = "SELECT sequence, recorded_at FROM message WHERE feed = ?1 AND sequence >= ?2
    ORDER BY sequence LIMIT 1";

/// The sequences that a query is about, as far as there are messages.
fn range(connection: &Connection, head: &Head, query: &Query) -> Result<(u64, u64)> {
    let (mut from, mut to) = (query.from.max(head.first), query.to.min(head.last));
    let mut statement = connection.prepare_cached(TIME).map_err(database)?;
    let mut look = |place: u64| {
        let found = statement.query_row(params![head.id, place], |row| Ok((row.get(0)?, row.get(1)?)));
        found.optional().map_err(database)
    };
    if let Some(since) = query.since {
        from = from.max(first_at((head.first, head.last), since, &mut look)?);
    }
    if let Some(until) = query.until {
        to = to.min(first_at((head.first, head.last), until, &mut look)? - 1);
    }
    Ok((from, to))
}

/// The message of a row, if the row is sound.
fn message(row: &Row<'_>, kind: Kind, name: &str, sequence: u64) -> Result<Message> {
    let odd = |detail: String| corrupt(kind.word(), name, sequence, detail);
    let format: u8 = column(row, 4).map_err(odd)?;
    let data = data_from(format, row.get_ref(7).map_err(database)?);
    let data = data.ok_or_else(|| odd("its data is not of its format".into()))?;
    let (recorded_at, stored): (_, u32) = (column(row, 1).map_err(odd)?, column(row, 6).map_err(odd)?);
    let (at, key, schema) =
        (column(row, 2).map_err(odd)?, column(row, 3).map_err(odd)?, column(row, 5).map_err(odd)?);
    let written = NewMessage { data, schema, key, at };
    let found = feed::checksum(kind, name, sequence, &written);
    if found != stored {
        return Err(odd(format!("its checksum is {found:08x}, stored is {stored:08x}")));
    }
    let NewMessage { data, schema, key, at } = written;
    Ok(Message { sequence, recorded_at, data, schema, key, at })
}

/// A column of the type that it was written with.
fn column<T: FromSql>(row: &Row<'_>, index: usize) -> std::result::Result<T, String> {
    row.get(index).map_err(|error| error.to_string())
}

//! Feeds: appending messages, removing the oldest, and what is told of a feed without its messages. Reading them is
//! `messages`.

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::Target;
use millpond_actors::storage::checksum::{self, Kind as Checked};
use millpond_actors::storage::feed::{
    Append, Appended, Cut, Head, Kind, NewMessage, Retain, Retention, Trim, Trimmed,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::data::data_column;
use super::error::{corrupt, database};
use super::look_up::look_up;
use super::process::advance;
use super::session::SqliteSession;

/// The columns of a feed, and a last one that says whether it is the one that was asked for.
macro_rules! feed {
    ($is_it:literal, $from:literal) => {
        concat!(
            "SELECT f.id, f.name, f.first, f.last, f.bytes, f.recorded_at, f.keep_count, f.keep_bytes, f.keep_ms, ",
            $is_it,
            " FROM feed ",
            $from
        )
    };
}

const BY_ID: &str = feed!("1", "f WHERE f.id = ?1");
const LOG: &str =
    feed!("f.kind = 1 AND f.name = ?1", "i LEFT JOIN feed f ON f.id = i.id WHERE i.kind = 1 AND i.name = ?1");
const CHANNEL: &str =
    feed!("f.kind = 2 AND f.name = ?1", "i LEFT JOIN feed f ON f.id = i.id WHERE i.kind = 2 AND i.name = ?1");

fn read(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        id: row.get(0)?,
        name: row.get(1)?,
        first: row.get(2)?,
        last: row.get(3)?,
        bytes: row.get(4)?,
        recorded_at: row.get(5)?,
        retention: Retention { count: row.get(6)?, bytes: row.get(7)?, age_ms: row.get(8)? },
    })
}

/// The row of a feed.
pub(super) fn row(connection: &Connection, kind: Kind, name: &Name) -> Result<Option<Head>> {
    let sql = match kind {
        Kind::Log => LOG,
        Kind::Channel => CHANNEL,
    };
    look_up(connection, sql, (kind.word(), name), [name.as_str()], read)
}

const LAST: &str = "SELECT max(sequence) FROM message WHERE feed = ?1";

/// How a feed stands, if its messages say the same as its row.
pub(super) fn head(connection: &Connection, kind: Kind, name: &Name) -> Result<Option<Head>> {
    let Some(head) = row(connection, kind, name)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(LAST).map_err(database)?;
    let last: Option<u64> = statement.query_row([head.id], |row| row.get(0)).map_err(database)?;
    if last == (head.count() > 0).then_some(head.last) {
        return Ok(Some(head));
    }
    let detail = format!("it should end with {}, its last message is {last:?}", head.last);
    Err(corrupt(kind.word(), name.as_str(), head.last, detail))
}

const LIST: &str = feed!("1", "f WHERE f.kind = ?1 AND f.name > ?2 ORDER BY f.name LIMIT ?3");

/// The feeds of a kind, by name. No name is empty, so the empty one is before all.
pub(super) fn list(
    connection: &Connection,
    kind: Kind,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Head>> {
    let mut statement = connection.prepare_cached(LIST).map_err(database)?;
    let values = params![kind as u8, after.unwrap_or(""), limit];
    let rows = statement.query_map(values, read).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

/// The checksum of a message.
pub(super) fn checksum(kind: Kind, name: &str, sequence: u64, message: &NewMessage) -> u32 {
    let checked = match kind {
        Kind::Log => Checked::Log,
        Kind::Channel => Checked::Channel,
    };
    let (format, data, key) = (message.data.format(), message.data.bytes(), message.key.as_deref());
    checksum::record(checked, name, sequence, key.unwrap_or(""), format, message.schema, data)
}

/// What changes with every append.
const MOVE_ON: &str = "UPDATE feed SET first = ?2, last = ?3, bytes = ?4, recorded_at = ?5 WHERE id = ?1";

impl SqliteSession {
    /// Appends all messages or none, and removes what is too much.
    pub(super) fn append_messages(&mut self, append: &Append) -> Result<Appended> {
        let Append { kind, feed, messages, fence } = append;
        if messages.is_empty() {
            let what = format!("an append to {} \"{}\"", kind.word(), feed.name);
            return Err(Error::InvalidArgument { what, reason: "it holds no message".into() });
        }
        if let Some(fence) = fence
            && !self.fence_holds(fence)?
        {
            return Ok(Appended::Fenced);
        }
        let found = self.find_feed(*kind, feed)?;
        let before = found.as_ref().map_or(0, |head| head.last);
        let last = advance(before, messages.len(), "the sequence of a feed")?;
        let mut head = found.map_or_else(|| self.make_feed(*kind, &feed.name), Ok)?;
        let now = self.now.wall_ms;
        head.recorded_at = if before == 0 { now } else { head.recorded_at.max(now) };
        for (sequence, message) in (before + 1..).zip(messages) {
            self.insert_message(*kind, &head, sequence, message)?;
            head.bytes += message.data.bytes().len() as u64;
        }
        head.last = last;
        let retention = head.retention;
        let cut = Cut { retention, ..self.cut(&head) };
        self.remove_messages(&mut head, cut, messages.len() + limits::REMOVED_AT_ONCE)?;
        self.save(&head)?;
        Ok(Appended::Done { feed: head.id, last, first: head.first, recorded_at: head.recorded_at })
    }

    const RETAIN: &str = "UPDATE feed SET keep_count = ?2, keep_bytes = ?3, keep_ms = ?4 WHERE id = ?1";

    /// Says how much is kept, and begins to remove the rest.
    pub(super) fn retain(&mut self, retain: &Retain) -> Result<Trimmed> {
        let found = self.find_feed(retain.kind, &retain.feed)?;
        let mut head = found.map_or_else(|| self.make_feed(retain.kind, &retain.feed.name), Ok)?;
        let Retention { count, bytes, age_ms } = retain.retention;
        let mut statement = self.connection.prepare_cached(Self::RETAIN).map_err(database)?;
        statement.execute(params![head.id, count, bytes, age_ms]).map_err(database)?;
        drop(statement);
        let cut = Cut { retention: retain.retention, ..self.cut(&head) };
        let trimmed = self.remove_messages(&mut head, cut, limits::REMOVED_AT_ONCE)?;
        self.save(&head).map(|()| trimmed)
    }

    /// Removes what is before a message.
    pub(super) fn trim(&mut self, trim: &Trim) -> Result<Trimmed> {
        let Some(mut head) = self.find_feed(trim.kind, &trim.feed)? else {
            return Ok(Trimmed { first: 1, more: false });
        };
        let cut = Cut { before: trim.before, ..self.cut(&head) };
        let trimmed = self.remove_messages(&mut head, cut, limits::REMOVED_AT_ONCE)?;
        self.save(&head).map(|()| trimmed)
    }

    pub(super) fn find_feed(&self, kind: Kind, feed: &Target) -> Result<Option<Head>> {
        let Some(id) = feed.id else { return row(&self.connection, kind, &feed.name) };
        let mut statement = self.connection.prepare_cached(BY_ID).map_err(database)?;
        statement.query_row([id], read).optional().map_err(database)
    }

    const MAKE_FEED: &str =
        "INSERT INTO feed (kind, name, first, last, bytes, recorded_at) VALUES (?1, ?2, 1, 0, 0, 0)";

    pub(super) fn make_feed(&self, kind: Kind, name: &Name) -> Result<Head> {
        let mut statement = self.connection.prepare_cached(Self::MAKE_FEED).map_err(database)?;
        let id = statement.insert(params![kind as u8, name.as_str()]).map_err(database)?.unsigned_abs();
        let (name, retention) = (name.to_string(), Retention::default());
        Ok(Head { id, name, first: 1, last: 0, bytes: 0, recorded_at: 0, retention })
    }

    const INSERT_MESSAGE: &str =
        "INSERT INTO message (feed, sequence, recorded_at, at, key, format, schema, crc, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

    fn insert_message(&self, kind: Kind, head: &Head, sequence: u64, message: &NewMessage) -> Result<()> {
        let NewMessage { data, schema, key, at } = message;
        let crc = checksum(kind, &head.name, sequence, message);
        let mut statement = self.connection.prepare_cached(Self::INSERT_MESSAGE).map_err(database)?;
        let (time, format, data) = (head.recorded_at, data.format(), data_column(data));
        let values = params![head.id, sequence, time, at, key, format, schema, crc, data];
        statement.execute(values).map_err(database)?;
        Ok(())
    }

    fn save(&self, head: &Head) -> Result<()> {
        let Head { id, first, last, bytes, recorded_at, .. } = *head;
        let mut statement = self.connection.prepare_cached(MOVE_ON).map_err(database)?;
        statement.execute(params![id, first, last, bytes, recorded_at]).map_err(database)?;
        Ok(())
    }

    /// Nothing goes yet.
    fn cut(&self, head: &Head) -> Cut {
        let Head { first, last, bytes, recorded_at, .. } = *head;
        let newest = if last == 0 { self.now.wall_ms } else { recorded_at.max(self.now.wall_ms) };
        Cut { first, last, bytes, newest, retention: Retention::default(), before: 0 }
    }

    const OLDEST: &str = "SELECT sequence, recorded_at, octet_length(data) FROM message
        WHERE feed = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3";
    const REMOVE: &str = "DELETE FROM message WHERE feed = ?1 AND sequence < ?2";

    /// Removes messages from the head, at most so many, and moves the head's numbers on.
    fn remove_messages(&self, head: &mut Head, mut cut: Cut, most: usize) -> Result<Trimmed> {
        let before = cut.first;
        let mut more = false;
        if cut.may_remove() {
            let mut statement = self.connection.prepare_cached(Self::OLDEST).map_err(database)?;
            let mut rows = statement.query(params![head.id, before, most + 1]).map_err(database)?;
            let mut count = 0;
            while let Some(row) = rows.next().map_err(database)? {
                let (sequence, size) = (row.get(0).map_err(database)?, row.get(2).map_err(database)?);
                if !cut.removes(sequence, row.get(1).map_err(database)?) {
                    break;
                }
                more = count == most;
                if !more {
                    cut.removed(sequence, size);
                }
                count += 1;
            }
        }
        if cut.first > before {
            let mut statement = self.connection.prepare_cached(Self::REMOVE).map_err(database)?;
            statement.execute(params![head.id, cut.first]).map_err(database)?;
        }
        (head.first, head.bytes) = (cut.first, cut.bytes);
        Ok(Trimmed { first: cut.first, more })
    }
}

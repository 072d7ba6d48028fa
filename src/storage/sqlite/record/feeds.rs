//! Logs and channels of a dump, with what was read of them.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::Target;
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::feed::{Head, Kind, Message, NewMessage, Retention};
use millpond_actors::storage::record::{self, Base, Onto, Put, Refusal};
use millpond_actors::storage::subscription::Span;
use rusqlite::params;

use super::super::data::data_column;
use super::super::error::database;
use super::super::feed::{self, checksum};
use super::super::session::SqliteSession;

/// What may come to an end.
const NUMBERS: &str = "the sequence of a feed";

impl SqliteSession {
    const PUT_FEED: &str = "UPDATE feed SET first = ?2, last = ?3, bytes = ?4, recorded_at = ?5,
        keep_count = ?6, keep_bytes = ?7, keep_ms = ?8 WHERE id = ?1";

    /// Puts a feed back, without its messages.
    pub(super) fn put_feed(
        &mut self,
        onto: Onto,
        (kind, name): (Kind, &Name),
        (first, last, recorded_at): (u64, u64, i64),
        retention: Retention,
    ) -> Result<Put> {
        let before = self.find_feed(kind, &Target { name: name.clone(), id: None })?;
        let (head, base) = match (before, onto) {
            (Some(_), Onto::Nothing) => return Ok(Put::Refused(Refusal::Exists)),
            (None, _) => {
                let new = self.make_feed(kind, name)?;
                (Head { first, last, recorded_at, retention, ..new }, Base::NONE)
            }
            (Some(head), Onto::Replace) => {
                self.empty_feed(head.id)?;
                let (shift, behind) = (head.last.cast_signed(), head.last);
                let (first, last) = (behind + first, record::behind(behind, last, NUMBERS)?);
                let head = Head { first, last, bytes: 0, recorded_at, retention, ..head };
                (head, Base { shift, ..Base::NONE })
            }
            (Some(head), Onto::Append) => {
                let since = if head.last == 0 { i64::MIN } else { head.recorded_at };
                let (shift, count) = ((head.last + 1).cast_signed() - first.cast_signed(), last + 1 - first);
                let recorded_at = if count == 0 { head.recorded_at } else { recorded_at.max(since) };
                let last = record::behind(head.last, count, NUMBERS)?;
                (Head { last, recorded_at, ..head }, Base { shift, since })
            }
        };
        let Retention { count, bytes, age_ms } = head.retention;
        let mut statement = self.connection.prepare_cached(Self::PUT_FEED).map_err(database)?;
        let numbers = (head.id, head.first, head.last, head.bytes, head.recorded_at);
        let values = params![numbers.0, numbers.1, numbers.2, numbers.3, numbers.4, count, bytes, age_ms];
        statement.execute(values).map_err(database)?;
        Ok(Put::Placed(base))
    }

    const EMPTY: [&str; 3] = [
        "DELETE FROM message WHERE feed = ?1",
        "DELETE FROM subscription WHERE feed = ?1",
        "DELETE FROM acknowledged WHERE feed = ?1",
    ];

    /// Nothing is in it any more, and nobody has read anything.
    fn empty_feed(&self, feed: u64) -> Result<()> {
        for sql in Self::EMPTY {
            let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
            statement.execute([feed]).map_err(database)?;
        }
        Ok(())
    }

    const PUT_MESSAGE: &str =
        "INSERT INTO message (feed, sequence, recorded_at, at, key, format, schema, crc, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    const COUNT_BYTES: &str = "UPDATE feed SET bytes = bytes + ?2 WHERE id = ?1";

    /// Puts a message back.
    pub(super) fn put_message(&mut self, (kind, name): (Kind, &Name), message: &Message) -> Result<Put> {
        let Some(head) = feed::row(&self.connection, kind, name)? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        let Message { sequence, recorded_at, data, schema, key, at } = message.clone();
        let new = NewMessage { data, schema, key, at };
        let crc = checksum(kind, name.as_str(), sequence, &new);
        let NewMessage { data, schema, key, at } = new;
        let mut statement = self.connection.prepare_cached(Self::PUT_MESSAGE).map_err(database)?;
        let (format, column) = (data.format(), data_column(&data));
        let values = params![head.id, sequence, recorded_at, at, key, format, schema, crc, column];
        statement.execute(values).map_err(database)?;
        let mut statement = self.connection.prepare_cached(Self::COUNT_BYTES).map_err(database)?;
        statement.execute(params![head.id, data.bytes().len()]).map_err(database)?;
        let primitive = match kind {
            Kind::Log => Primitive::Log,
            Kind::Channel => Primitive::Channel,
        };
        Ok(Put::Written(Some(Changed { primitive, row: head.id, sequence: Some(sequence), key: None })))
    }

    const PUT_BACK_CURSOR: &str =
        "INSERT OR IGNORE INTO subscription (feed, name, cursor) VALUES (?1, ?2, ?3)";
    const PUT_BACK_SPAN: &str =
        "INSERT INTO acknowledged (feed, subscription, first, last) VALUES (?1, ?2, ?3, ?4)";

    /// Puts a subscription back, unless there is one.
    pub(super) fn put_subscription(
        &self,
        (kind, feed): (Kind, &Name),
        name: &Name,
        cursor: u64,
        beyond: &[Span],
    ) -> Result<Put> {
        let Some(head) = feed::row(&self.connection, kind, feed)? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        let mut statement = self.connection.prepare_cached(Self::PUT_BACK_CURSOR).map_err(database)?;
        if statement.execute(params![head.id, name.as_str(), cursor]).map_err(database)? == 0 {
            return Ok(Put::Known);
        }
        let mut statement = self.connection.prepare_cached(Self::PUT_BACK_SPAN).map_err(database)?;
        for span in beyond {
            let values = params![head.id, name.as_str(), span.first, span.last];
            statement.execute(values).map_err(database)?;
        }
        Ok(Put::Written(None))
    }
}

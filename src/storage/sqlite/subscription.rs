//! Durable subscriptions: a cursor a name, and spans of what was acknowledged beyond it.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::subscription::{
    Acknowledge, Acknowledged, Move, Moved, PassOver, Span, Standing, Subscribe, Unsubscribe,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::database;
use super::feed;
use super::session::SqliteSession;

impl SqliteSession {
    const CURSOR: &str = "SELECT cursor FROM subscription WHERE feed = ?1 AND name = ?2";
    const PUT_CURSOR: &str = "INSERT INTO subscription (feed, name, cursor) VALUES (?1, ?2, ?3)
        ON CONFLICT (feed, name) DO UPDATE SET cursor = excluded.cursor";
    const END: &str = "DELETE FROM subscription WHERE feed = ?1 AND name = ?2";
    const FORGET_SPANS: &str =
        "DELETE FROM acknowledged WHERE feed = ?1 AND subscription = ?2 AND first <= ?3";
    const FORGET_SPAN: &str = "DELETE FROM acknowledged WHERE feed = ?1 AND subscription = ?2 AND first = ?3";
    const PUT_SPAN: &str =
        "INSERT INTO acknowledged (feed, subscription, first, last) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (feed, subscription, first) DO UPDATE SET last = excluded.last";

    fn read_cursor(&self, feed: u64, subscription: &Name) -> Result<Option<u64>> {
        let mut statement = self.connection.prepare_cached(Self::CURSOR).map_err(database)?;
        let found = statement.query_row(params![feed, subscription.as_str()], |row| row.get(0));
        found.optional().map_err(database)
    }

    fn put_cursor(&self, feed: u64, subscription: &Name, cursor: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::PUT_CURSOR).map_err(database)?;
        statement.execute(params![feed, subscription.as_str(), cursor]).map_err(database)?;
        Ok(())
    }

    /// Where a subscription stands; makes it if there is none.
    pub(super) fn begin_subscription(&self, asked: &Subscribe) -> Result<u64> {
        let found = self.find_feed(asked.kind, &asked.feed)?;
        let feed = found.map_or_else(|| self.make_feed(asked.kind, &asked.feed.name), Ok)?.id;
        match self.read_cursor(feed, &asked.subscription)? {
            Some(cursor) => Ok(cursor),
            None => self.put_cursor(feed, &asked.subscription, asked.cursor).map(|()| asked.cursor),
        }
    }

    /// Moves a cursor.
    pub(super) fn move_cursor(&self, asked: &Move) -> Result<Moved> {
        if !self.fence_holds(&asked.fence)? {
            return Ok(Moved::Fenced);
        }
        let Some(feed) = self.find_feed(asked.kind, &asked.feed)? else { return Ok(Moved::Fenced) };
        let Some(before) = self.read_cursor(feed.id, &asked.subscription)? else { return Ok(Moved::Fenced) };
        let cursor = if asked.back { asked.cursor } else { asked.cursor.max(before) };
        if cursor != before {
            self.put_cursor(feed.id, &asked.subscription, cursor)?;
        }
        Ok(Moved::Done { cursor })
    }

    /// Says that one message has been dealt with. Spans grow together, and into the cursor.
    pub(super) fn acknowledge(&self, asked: &Acknowledge) -> Result<Moved> {
        if !self.fence_holds(&asked.fence)? {
            return Ok(Moved::Fenced);
        }
        let Some(feed) = self.find_feed(asked.kind, &asked.feed)? else { return Ok(Moved::Fenced) };
        let (feed, name, sequence) = (feed.id, &asked.subscription, asked.sequence);
        let Some(cursor) = self.read_cursor(feed, name)? else { return Ok(Moved::Fenced) };
        let around = Span { first: sequence.saturating_sub(1), last: sequence.saturating_add(1) };
        let around = spans(&self.connection, feed, name, around)?;
        if sequence <= cursor || around.iter().any(|span| span.contains(sequence)) {
            return Ok(Moved::Done { cursor });
        }
        let first = around.iter().find(|span| span.last < sequence).map_or(sequence, |span| span.first);
        let behind = around.iter().find(|span| span.first > sequence);
        if let Some(behind) = behind {
            let mut forget = self.connection.prepare_cached(Self::FORGET_SPAN).map_err(database)?;
            forget.execute(params![feed, name.as_str(), behind.first]).map_err(database)?;
        }
        let last = behind.map_or(sequence, |span| span.last);
        if first == cursor + 1 {
            self.put_cursor(feed, name, last)?;
            return Ok(Moved::Done { cursor: last });
        }
        let mut put = self.connection.prepare_cached(Self::PUT_SPAN).map_err(database)?;
        put.execute(params![feed, name.as_str(), first, last]).map_err(database)?;
        Ok(Moved::Done { cursor })
    }

    /// Has the cursor pass over what was removed. How many of that nobody had acknowledged.
    pub(super) fn pass_over(&self, asked: &PassOver) -> Result<u64> {
        let Some(feed) = self.find_feed(asked.kind, &asked.feed)? else { return Ok(0) };
        let (name, removed) = (&asked.subscription, feed.first - 1);
        let Some(cursor) = self.read_cursor(feed.id, name)?.filter(|cursor| *cursor < removed) else {
            return Ok(0);
        };
        // As far as the message behind: a span that begins there has no gap before it any more.
        let gone = Span { first: cursor + 1, last: feed.first };
        let spans = spans(&self.connection, feed.id, name, gone)?;
        let counted = spans.iter().map(|span| span.count_within(cursor + 1, removed)).sum::<u64>();
        let reached = spans.last().map_or(removed, |span| span.last.max(removed));
        let mut forget = self.connection.prepare_cached(Self::FORGET_SPANS).map_err(database)?;
        forget.execute(params![feed.id, name.as_str(), reached]).map_err(database)?;
        self.put_cursor(feed.id, name, reached)?;
        Ok(removed - cursor - counted)
    }

    /// Forgets a subscription.
    pub(super) fn end_subscription(&self, asked: &Unsubscribe) -> Result<bool> {
        let Some(feed) = self.find_feed(asked.kind, &asked.feed)? else { return Ok(false) };
        let mut statement = self.connection.prepare_cached(Self::END).map_err(database)?;
        let ended = statement.execute(params![feed.id, asked.subscription.as_str()]).map_err(database)?;
        let mut forget = self.connection.prepare_cached(Self::FORGET_SPANS).map_err(database)?;
        forget.execute(params![feed.id, asked.subscription.as_str(), i64::MAX]).map_err(database)?;
        Ok(ended > 0)
    }
}

/// From the one that holds the first message, or begins behind it: what begins earlier is not looked at.
const SPANS: &str =
    "SELECT first, last FROM acknowledged WHERE feed = ?1 AND subscription = ?2 AND last >= ?3
    AND first BETWEEN coalesce((SELECT max(first) FROM acknowledged
        WHERE feed = ?1 AND subscription = ?2 AND first <= ?3), ?3) AND ?4 ORDER BY first";

/// The spans in which any of these messages is.
fn spans(connection: &Connection, feed: u64, subscription: &Name, within: Span) -> Result<Vec<Span>> {
    let mut statement = connection.prepare_cached(SPANS).map_err(database)?;
    let in_file = |sequence: u64| sequence.min(limits::LAST_SEQUENCE);
    let values = params![feed, subscription.as_str(), in_file(within.first), in_file(within.last)];
    let read = |row: &rusqlite::Row<'_>| Ok(Span { first: row.get(0)?, last: row.get(1)? });
    let rows = statement.query_map(values, read).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

/// What was acknowledged of the messages between two.
pub(super) fn acknowledged(
    connection: &Connection,
    (kind, feed): (Kind, &Name),
    subscription: &Name,
    within: Span,
) -> Result<Option<Acknowledged>> {
    let Some(feed) = feed::row(connection, kind, feed)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(SqliteSession::CURSOR).map_err(database)?;
    let found = statement.query_row(params![feed.id, subscription.as_str()], |row| row.get(0));
    let Some(cursor) = found.optional().map_err(database)? else { return Ok(None) };
    let beyond = spans(connection, feed.id, subscription, within)?;
    let cut = |span: Span| Span { first: span.first.max(within.first), last: span.last.min(within.last) };
    Ok(Some(Acknowledged { cursor, beyond: beyond.into_iter().map(cut).collect() }))
}

const LIST: &str = "SELECT name, cursor FROM subscription WHERE feed = ?1 ORDER BY name";

/// The subscriptions of a feed.
pub(super) fn list(connection: &Connection, kind: Kind, name: &Name) -> Result<Vec<Standing>> {
    let Some(feed) = feed::row(connection, kind, name)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(LIST).map_err(database)?;
    let read = |row: &rusqlite::Row<'_>| Ok(Standing { name: row.get(0)?, cursor: row.get(1)? });
    let rows = statement.query_map([feed.id], read).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

//! Durable subscriptions: a cursor a name.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::subscription::{Move, Moved, Standing, Subscribe, Unsubscribe};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::database;
use super::feed;
use super::session::SqliteSession;

impl SqliteSession {
    const CURSOR: &str = "SELECT cursor FROM subscription WHERE feed = ?1 AND name = ?2";
    const PUT_CURSOR: &str = "INSERT INTO subscription (feed, name, cursor) VALUES (?1, ?2, ?3)
        ON CONFLICT (feed, name) DO UPDATE SET cursor = excluded.cursor";
    const END: &str = "DELETE FROM subscription WHERE feed = ?1 AND name = ?2";

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

    /// Forgets a subscription.
    pub(super) fn end_subscription(&self, asked: &Unsubscribe) -> Result<bool> {
        let Some(feed) = self.find_feed(asked.kind, &asked.feed)? else { return Ok(false) };
        let mut statement = self.connection.prepare_cached(Self::END).map_err(database)?;
        let ended = statement.execute(params![feed.id, asked.subscription.as_str()]).map_err(database)?;
        Ok(ended > 0)
    }
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

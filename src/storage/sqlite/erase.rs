//! Erasing what a stream holds: its rows are written over, and SQLite is told to leave nothing of what they were.

use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::limits;
use millpond_actors::storage::erase::{Erase, Erased, Step, blank};
use millpond_actors::storage::stream::{Append, Appended};
use rusqlite::params;
use uuid::Uuid;

use super::error::database;
use super::look_up::Stream;
use super::session::SqliteSession;
use super::stream::checksum_of;

impl SqliteSession {
    /// Erases a portion of what a stream holds.
    pub(super) fn erase(&mut self, erase: &Erase) -> Result<Erased> {
        self.leaving_nothing(|session| session.erase_portion(erase))
    }

    /// Has pages that become free be written over too. Otherwise only what becomes free within a page is, because these
    /// writes would cost every removal.
    pub(super) fn leaving_nothing<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.connection.pragma_update(None, "secure_delete", true).map_err(database)?;
        let written = write(self);
        let back = self.connection.pragma_update(None, "secure_delete", "FAST").map_err(database);
        written.and_then(|written| back.map(|()| written))
    }

    fn erase_portion(&mut self, erase: &Erase) -> Result<Erased> {
        let nothing = Erased::Done { stream: None, version: 0, erased: 0, next: None };
        let from = match erase.step {
            Step::GoOn { from } => from,
            Step::Begin { expected, id, close } => {
                let found = self.find_stream(&erase.stream)?;
                let actual = found.map_or(0, |found| found.version);
                let closed = found.is_some_and(|found| found.closed);
                if !closed && !expected.allows(actual) {
                    return Ok(Erased::Conflict { actual });
                }
                if found.is_none() && !close {
                    return Ok(nothing);
                }
                if !closed && (close || found.is_none_or(|found| found.erased != actual)) {
                    self.begin_to_erase(erase, id, close)?;
                }
                1
            }
        };
        match self.find_stream(&erase.stream)? {
            Some(stream) => self.blank_out(erase, stream, from),
            None => Ok(nothing),
        }
    }

    const MARK: &str = "UPDATE stream SET erased = version, closed = ?2 WHERE id = ?1";
    const NO_SNAPSHOT: &str = "DELETE FROM snapshot WHERE stream = ?1";

    /// Whoever rests on what the stream held has been overtaken from here on.
    fn begin_to_erase(&mut self, erase: &Erase, id: Uuid, close: bool) -> Result<()> {
        let (stream, events) = (erase.stream.clone(), vec![blank(id)]);
        let append = Append { stream, expected: Expected::Any, events, known_ids: false, fence: None };
        let Appended::Done { stream, .. } = self.append(&append)? else {
            return Err(Error::Storage { detail: "a blank event was refused".into() });
        };
        let mut mark = self.connection.prepare_cached(Self::MARK).map_err(database)?;
        mark.execute(params![stream, close]).map_err(database)?;
        let mut forget = self.connection.prepare_cached(Self::NO_SNAPSHOT).map_err(database)?;
        forget.execute([stream]).map_err(database)?;
        Ok(())
    }

    const LEFT: &str = "SELECT version, event_id FROM event
        WHERE stream = ?1 AND version BETWEEN ?2 AND ?3 AND type <> '' ORDER BY version LIMIT ?4";
    const BLANK: &str =
        "UPDATE event SET type = '', format = ?3, schema = ?4, crc = ?5, at = NULL, data = '',
        metadata = NULL, correlation = NULL, causation = NULL, actor = NULL, tenant = NULL
        WHERE stream = ?1 AND version = ?2";

    fn blank_out(&self, erase: &Erase, stream: Stream, from: u64) -> Result<Erased> {
        let Stream { id: stream, version, erased: to, .. } = stream;
        let mut left = self.connection.prepare_cached(Self::LEFT).map_err(database)?;
        let rows = left.query_map(params![stream, from, to, limits::ERASED_AT_ONCE + 1], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, [u8; 16]>(1).map(Uuid::from_bytes)?))
        });
        let rows: Vec<(u64, Uuid)> = rows.and_then(Iterator::collect).map_err(database)?;
        let (now, later) = rows.split_at(rows.len().min(limits::ERASED_AT_ONCE as usize));
        let mut statement = self.connection.prepare_cached(Self::BLANK).map_err(database)?;
        for (version, id) in now {
            let event = blank(*id);
            let crc = checksum_of(&event, erase.stream.name.as_str(), *version);
            let values = params![stream, version, event.data.format(), event.schema, crc];
            statement.execute(values).map_err(database)?;
        }
        let (erased, next) = (now.len() as u64, later.first().map(|(version, _)| *version));
        Ok(Erased::Done { stream: Some(stream), version, erased, next })
    }
}

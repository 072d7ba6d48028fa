//! Which group came last: what tells it, the process's row or an event of the group; and what a transaction has written.

use millpond_actors::error::Result;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::error::database;
use super::session::SqliteSession;

/// A process that writes says that it lives at least so often, in milliseconds, even if nobody needs to know.
const BEAT_MS: u64 = 250;

/// An event that tells by being there that its group is on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    pub(super) position: u64,
    pub(super) id: Uuid,
}

/// What a transaction has written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// Its last event.
    pub(super) last_event: Option<Trace>,
    /// Anything but events.
    pub(super) other: bool,
    /// The claims of the dead and the stopped were given up.
    pub(super) gave_up: bool,
    /// In this queue nothing is left that is due.
    pub(super) shown: Option<u64>,
    /// In this queue nothing is left that was kept for longer than it should.
    pub(super) swept: Option<u64>,
}

impl SqliteSession {
    /// What tells that the open group is on disk, if the process's row need not be written for it: a group that only
    /// appends is known by its last event, and a process that neither holds nor waits for anything needs no beat. It
    /// saves a page in the commit of a lone append, of six.
    pub(super) fn trace(&self) -> Option<Trace> {
        let silent = self.now.boot_ms.saturating_sub(self.own.beat_at());
        let needed = self.written.other || self.processes_changed || self.own.may_hold() || silent >= BEAT_MS;
        self.written.last_event.filter(|_| !needed)
    }

    /// The group that came last, whatever its commit had said.
    pub(super) fn find_last_group(&self) -> Result<u64> {
        match &self.unmarked {
            Some((group, trace)) if self.is_there(trace)? => Ok(*group),
            _ => Ok(self.read_last_group()?.max(self.known_group)),
        }
    }

    const IS_THERE: &str = "SELECT event_id = ?2 FROM event WHERE position = ?1";

    fn is_there(&self, trace: &Trace) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::IS_THERE).map_err(database)?;
        let found = statement.query_row(params![trace.position, trace.id.as_bytes()], |row| row.get(0));
        Ok(found.optional().map_err(database)?.unwrap_or(false))
    }

    /// As if the last commit had returned an error, though it is on disk.
    #[cfg(test)]
    pub(super) fn forget_last_commit(&mut self) {
        self.known_group -= 1;
    }
}

//! Leases: when one ends, what happens to all of a process's at once, and how a line looks from outside.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::{Grant, Holder, Line, lease_end};
use millpond_actors::storage::{Identity, Moment};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::database;
use super::process;
use super::session::SqliteSession;
use super::sync::Sidecar;

/// What a lease hangs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) process: u64,
    pub(super) granted_at: u64,
    pub(super) ttl: u64,
}

/// Tells who lives and which leases have ended, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'a> {
    pub(super) connection: &'a Connection,
    /// The running system's boot id, if it is known here.
    pub(super) boot: Option<&'a str>,
    /// The sidecar, if there is one to look at.
    pub(super) sidecar: Option<&'a Sidecar>,
    /// The process that asks, if it is one. It lives, and `begin` has freed what it had lost.
    pub(super) own: Option<u64>,
    pub(super) now: Moment,
}

impl Judge<'_> {
    /// Whether a process may still take up what it is given.
    pub(super) fn lives(&self, process: u64) -> Result<bool> {
        Ok(self.own == Some(process) || self.last_beat(process)?.is_some())
    }

    /// When a lease ends; `None` if it is void already.
    pub(super) fn end(&self, lease: &Lease) -> Result<Option<u64>> {
        let beat = match self.own {
            Some(own) if own == lease.process => Some(self.now.boot_ms),
            _ => self.last_beat(lease.process)?,
        };
        let end = beat.map(|beat| lease_end(lease.granted_at, beat, lease.ttl));
        Ok(end.filter(|end| *end > self.now.boot_ms))
    }

    /// The last beat of a process that is not known to be dead.
    fn last_beat(&self, process: u64) -> Result<Option<u64>> {
        let Some(peer) = process::find(self.connection, process)? else { return Ok(None) };
        Ok((!peer.is_known_dead(self.boot, self.sidecar)?).then_some(peer.last_beat))
    }
}

impl SqliteSession {
    // What was passed on to us while we were silent, and is still ours, is taken up by this very transaction.
    const EXPIRED: &str = "SELECT id FROM lock
        WHERE holder <> 0 AND process = ?1 AND max(granted_at, ?2) + ttl <= ?3";

    /// Passes on what expired while this process was silent, before a new beat would revive it.
    pub(super) fn expire_own(&mut self, last_beat: u64) -> Result<()> {
        let expired = self.ids(Self::EXPIRED, &[self.own.id, last_beat, self.now.boot_ms])?;
        expired.iter().try_for_each(|lock| self.pass_on(*lock).map(drop))
    }

    const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM lock WHERE holder <> 0 AND process = ?1)
        OR EXISTS (SELECT 1 FROM ticket WHERE process = ?1)";

    /// Whether this process holds or waits for anything.
    pub(super) fn holds_or_waits(&self) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::HOLDS).map_err(database)?;
        statement.query_row([self.own.id], |row| row.get(0)).map_err(database)
    }

    const WAITED_FOR: &str = "SELECT id FROM lock WHERE holder <> 0 AND waiting > 0 AND process = ?1";

    /// Passes on what a buried process held, where somebody waits; the rest is void and free to take.
    pub(super) fn pass_on_of(&mut self, process: u64) -> Result<()> {
        let locks = self.ids(Self::WAITED_FOR, &[process])?;
        locks.iter().try_for_each(|lock| self.pass_on(*lock).map(drop))
    }

    const HELD: &str = "SELECT id FROM lock WHERE holder <> 0 AND process = ?1";

    /// Passes on everything that this process holds.
    pub(super) fn release_own(&mut self) -> Result<()> {
        let locks = self.ids(Self::HELD, &[self.own.id])?;
        locks.iter().try_for_each(|lock| self.pass_on(*lock).map(drop))
    }

    const SHORTEN: &str = "UPDATE lock SET waiting = waiting -
        (SELECT count(*) FROM ticket WHERE ticket.lock = lock.id AND ticket.process = ?1) WHERE waiting > 0";
    const DROP_OWN: &str = "DELETE FROM ticket WHERE process = ?1";

    /// Stops waiting everywhere.
    pub(super) fn drop_own_tickets(&self) -> Result<()> {
        for sql in [Self::SHORTEN, Self::DROP_OWN] {
            let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
            statement.execute([self.own.id]).map_err(database)?;
        }
        Ok(())
    }

    fn ids(&self, sql: &'static str, values: &[u64]) -> Result<Vec<u64>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
        let rows =
            statement.query_map(rusqlite::params_from_iter(values), |row| row.get(0)).map_err(database)?;
        rows.collect::<rusqlite::Result<_>>().map_err(database)
    }
}

const LINE: &str = "SELECT l.id, l.name, l.holder, l.token, l.process, l.granted_at, l.ttl, l.waiting,
    p.pid, p.host, p.program, p.boot FROM lock l LEFT JOIN process p ON p.id = l.process WHERE l.name = ?1";

/// How one lock stands.
pub(super) fn line(judge: &Judge<'_>, name: &Name) -> Result<Option<Line>> {
    let mut statement = judge.connection.prepare_cached(LINE).map_err(database)?;
    let found = statement.query_row([name.as_str()], Seen::from_row).optional().map_err(database)?;
    found.map(|seen| seen.judged(judge)).transpose()
}

const LINES: &str = "SELECT l.id, l.name, l.holder, l.token, l.process, l.granted_at, l.ttl, l.waiting,
    p.pid, p.host, p.program, p.boot FROM lock l LEFT JOIN process p ON p.id = l.process
    WHERE l.name > ?1 AND (l.holder <> 0 OR l.waiting > 0) ORDER BY l.name LIMIT ?2";

/// The locks that are held or waited for, by name. No name is empty, so the empty one is before all.
pub(super) fn lines(judge: &Judge<'_>, after: Option<&str>, limit: u32) -> Result<Vec<Line>> {
    let mut statement = judge.connection.prepare_cached(LINES).map_err(database)?;
    let rows = statement.query_map(params![after.unwrap_or(""), limit], Seen::from_row).map_err(database)?;
    rows.map(|seen| seen.map_err(database)?.judged(judge)).collect()
}

/// A lock's row with its holder's.
struct Seen {
    line: Line,
    grant: Grant,
    lease: Lease,
    identity: Option<Identity>,
}

impl Seen {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Seen> {
        let (lock, process) = (row.get(0)?, row.get(4)?);
        let identity = match row.get(8)? {
            None => None,
            Some(pid) => Some(Identity { pid, host: row.get(9)?, program: row.get(10)?, boot: row.get(11)? }),
        };
        Ok(Seen {
            line: Line { lock, name: row.get(1)?, holder: None, waiting: row.get(7)? },
            grant: Grant { lock, ticket: row.get(2)?, token: row.get(3)?, process },
            lease: Lease { process, granted_at: row.get(5)?, ttl: row.get(6)? },
            identity,
        })
    }

    fn judged(mut self, judge: &Judge<'_>) -> Result<Line> {
        if self.grant.ticket != 0 {
            let end = judge.end(&self.lease)?;
            self.line.holder = Some(Holder {
                grant: self.grant,
                held_ms: judge.now.boot_ms.saturating_sub(self.lease.granted_at),
                ttl_ms: self.lease.ttl,
                remaining_ms: end.map_or(0, |end| end.saturating_sub(judge.now.boot_ms)),
                void: end.is_none(),
                identity: self.identity,
            });
        }
        Ok(self.line)
    }
}

//! Leases: when one ends, what happens to all of a process's at once, and how a line looks from outside.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::{Grant, Holder, Line};
use millpond_actors::storage::{Identity, Moment};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::database;
use super::process;
use super::session::SqliteSession;
use super::shared;
use super::sync::Sidecar;

/// What a lease hangs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) process: u64,
    pub(super) granted_at: u64,
    pub(super) ttl: u64,
}

/// A ticket in line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) ticket: u64,
    pub(super) process: u64,
    pub(super) ttl: u64,
    pub(super) weight: u32,
}

impl Ticket {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Ticket> {
        Ok(Ticket { ticket: row.get(0)?, process: row.get(1)?, ttl: row.get(2)?, weight: row.get(3)? })
    }
}

const WAITING: &str =
    "SELECT ticket, process, ttl, weight FROM ticket WHERE lock = ?1 AND token = 0 ORDER BY ticket";

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
        let end = beat.map(|beat| lease.granted_at.max(beat).saturating_add(lease.ttl));
        Ok(end.filter(|end| *end > self.now.boot_ms))
    }

    /// A holder as a reader sees it.
    pub(super) fn holder(
        &self,
        grant: Grant,
        weight: u32,
        lease: &Lease,
        identity: Option<Identity>,
    ) -> Result<Holder> {
        let end = self.end(lease)?;
        Ok(Holder {
            grant,
            weight,
            held_ms: self.now.boot_ms.saturating_sub(lease.granted_at),
            remaining_ms: end.map_or(0, |end| end.saturating_sub(self.now.boot_ms)),
            void: end.is_none(),
            identity,
        })
    }

    /// The first waiting ticket of a living process, and how many of the dead stand before it.
    pub(super) fn first_living(&self, lock: u64) -> Result<Option<(Ticket, u64)>> {
        let mut statement = self.connection.prepare_cached(WAITING).map_err(database)?;
        let mut rows = statement.query([lock]).map_err(database)?;
        let (mut dead, mut known_dead) = (0, None);
        while let Some(row) = rows.next().map_err(database)? {
            let ticket = Ticket::from_row(row).map_err(database)?;
            // The dead often have many tickets in a row: asking once is enough.
            if known_dead != Some(ticket.process) {
                if self.lives(ticket.process)? {
                    return Ok(Some((ticket, dead)));
                }
                known_dead = Some(ticket.process);
            }
            dead += 1;
        }
        Ok(None)
    }

    /// The last beat of a process that is not known to be dead.
    fn last_beat(&self, process: u64) -> Result<Option<u64>> {
        let Some(peer) = process::find(self.connection, process)? else { return Ok(None) };
        Ok((!peer.is_known_dead(self.boot, self.sidecar)?).then_some(peer.last_beat))
    }
}

impl SqliteSession {
    const EXPIRED: &str = "SELECT id FROM lock
        WHERE holder <> 0 AND process = ?1 AND max(granted_at, ?2) + ttl <= ?3
        UNION SELECT lock FROM ticket
        WHERE token <> 0 AND process = ?1 AND max(granted_at, ?2) + ttl <= ?3 ORDER BY 1";
    const DROP_EXPIRED: &str = "DELETE FROM ticket
        WHERE token <> 0 AND process = ?1 AND max(granted_at, ?2) + ttl <= ?3";

    /// Passes on what expired while this process was silent, before a new beat would revive it.
    pub(super) fn expire_own(&mut self, last_beat: u64) -> Result<()> {
        let of = [self.own.id, last_beat, self.now.boot_ms];
        let expired = self.ids(Self::EXPIRED, &of)?;
        let mut statement = self.connection.prepare_cached(Self::DROP_EXPIRED).map_err(database)?;
        statement.execute(of).map_err(database)?;
        drop(statement);
        expired.iter().try_for_each(|lock| self.pass_on_any(*lock))
    }

    /// Passes on a lock of either sort, whose holder has gone.
    fn pass_on_any(&mut self, lock: u64) -> Result<()> {
        match self.by_id(lock)? {
            Some(found) if found.capacity > 1 => self.pass_on_shared(&found).map(drop),
            _ => self.pass_on(lock).map(drop),
        }
    }

    const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM lock WHERE holder <> 0 AND process = ?1)
        OR EXISTS (SELECT 1 FROM ticket WHERE process = ?1)";

    /// Whether this process holds or waits for anything.
    pub(super) fn holds_or_waits(&self) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::HOLDS).map_err(database)?;
        statement.query_row([self.own.id], |row| row.get(0)).map_err(database)
    }

    // Of a shared lock also where it only waited: it may have held up those behind.
    const WAITED_FOR: &str = "SELECT id FROM lock WHERE holder <> 0 AND waiting > 0 AND process = ?1
        UNION SELECT lock.id FROM ticket JOIN lock ON lock.id = ticket.lock
        WHERE ticket.process = ?1 AND lock.capacity > 1 AND lock.waiting > 0 ORDER BY 1";

    /// Passes on what a buried process held, where somebody waits; the rest is void and free to take.
    pub(super) fn pass_on_of(&mut self, process: u64) -> Result<()> {
        let locks = self.ids(Self::WAITED_FOR, &[process])?;
        locks.iter().try_for_each(|lock| self.pass_on_any(*lock))
    }

    const HELD: &str = "SELECT id FROM lock WHERE holder <> 0 AND process = ?1
        UNION SELECT lock.id FROM ticket JOIN lock ON lock.id = ticket.lock
        WHERE ticket.process = ?1 AND lock.capacity > 1 ORDER BY 1";

    /// Stops waiting everywhere, and passes on everything that this process holds.
    pub(super) fn release_own(&mut self) -> Result<()> {
        let locks = self.ids(Self::HELD, &[self.own.id])?;
        self.drop_own_tickets()?;
        locks.iter().try_for_each(|lock| self.pass_on_any(*lock))
    }

    const SHORTEN: &str = "UPDATE lock SET waiting = waiting -
        (SELECT count(*) FROM ticket WHERE ticket.lock = lock.id AND ticket.process = ?1 AND ticket.token = 0)
        WHERE waiting > 0";
    const DROP_OWN: &str = "DELETE FROM ticket WHERE process = ?1";

    /// Gives up every ticket, those that hold a part of a shared lock included.
    fn drop_own_tickets(&self) -> Result<()> {
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

const LINE: &str =
    "SELECT l.id, l.name, l.holder, l.token, l.process, l.granted_at, l.ttl, l.waiting, l.capacity,
    p.pid, p.host, p.program, p.boot FROM lock l LEFT JOIN process p ON p.id = l.process WHERE l.name = ?1";

/// How one lock stands.
pub(super) fn line(judge: &Judge<'_>, name: &Name) -> Result<Option<Line>> {
    let mut statement = judge.connection.prepare_cached(LINE).map_err(database)?;
    let found = statement.query_row([name.as_str()], Seen::from_row).optional().map_err(database)?;
    found.map(|seen| seen.judged(judge)).transpose()
}

const LINES: &str =
    "SELECT l.id, l.name, l.holder, l.token, l.process, l.granted_at, l.ttl, l.waiting, l.capacity,
    p.pid, p.host, p.program, p.boot FROM lock l LEFT JOIN process p ON p.id = l.process
    WHERE l.name > ?1 AND (l.holder <> 0 OR EXISTS (SELECT 1 FROM ticket t WHERE t.lock = l.id))
    ORDER BY l.name LIMIT ?2";

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
        let identity = identity(row, 9)?;
        let (name, waiting, capacity) = (row.get(1)?, row.get(7)?, row.get(8)?);
        Ok(Seen {
            line: Line { lock, name, capacity, holders: Vec::new(), waiting, ready: false },
            grant: Grant { lock, ticket: row.get(2)?, token: row.get(3)?, process },
            lease: Lease { process, granted_at: row.get(5)?, ttl: row.get(6)? },
            identity,
        })
    }

    fn judged(mut self, judge: &Judge<'_>) -> Result<Line> {
        if self.line.capacity > 1 {
            self.line.holders = shared::holders(judge, self.line.lock)?;
        } else if self.grant.ticket != 0 {
            self.line.holders.push(judge.holder(self.grant, 1, &self.lease, self.identity)?);
        }
        let living = self.line.holders.iter().filter(|holder| !holder.void);
        let used: u64 = living.map(|holder| u64::from(holder.weight)).sum();
        if self.line.waiting > 0 && used < u64::from(self.line.capacity) {
            let fits =
                |(first, _): (Ticket, u64)| used + u64::from(first.weight) <= u64::from(self.line.capacity);
            self.line.ready = judge.first_living(self.line.lock)?.is_some_and(fits);
        }
        Ok(self.line)
    }
}

/// Pid, host, program and boot of a process that may be gone, from column `at` on.
pub(super) fn identity(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Identity>> {
    let Some(pid) = row.get(at)? else { return Ok(None) };
    Ok(Some(Identity { pid, host: row.get(at + 1)?, program: row.get(at + 2)?, boot: row.get(at + 3)? }))
}

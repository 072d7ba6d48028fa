//! Leases: when one ends, what happens to all of a process's at once, and how a line looks from outside.

use std::collections::HashMap;

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::lock::{First, Holder, Line, lease_end};
use millpond_actors::storage::queue::{DIED, LEFT};
use millpond_actors::storage::{Identity, Moment};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::database;
use super::line::{Found, Held};
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

impl Lease {
    /// When it ends if its process beat last at `beat`.
    fn end(&self, beat: u64) -> u64 {
        lease_end(self.granted_at, beat, self.ttl)
    }
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
    /// When a lease ends, by its process's last beat; `None` if it is void already.
    pub(super) fn end(&self, lease: &Lease, beat: u64) -> Option<u64> {
        Some(lease.end(beat)).filter(|end| *end > self.now.boot_ms)
    }

    /// The last beat of a process that may still take up what it is given: one that is not known to be dead.
    pub(super) fn beat(&self, process: u64) -> Result<Option<u64>> {
        if self.own == Some(process) {
            return Ok(Some(self.now.boot_ms));
        }
        let Some(peer) = process::find(self.connection, process)? else { return Ok(None) };
        Ok((!peer.is_known_dead(self.boot, self.sidecar)?).then_some(peer.last_beat))
    }
}

impl SqliteSession {
    // What was passed on to us while we were silent, and is still ours, is taken up by this very transaction.
    const EXPIRED: &str = "SELECT id FROM lock
            WHERE holder <> 0 AND process = ?1 AND max(granted_at, ?2) + ttl <= ?3
        UNION SELECT lock FROM share
            WHERE process = ?1 AND max(granted_at, ?2) + ttl <= ?3 ORDER BY 1";

    /// Passes on what expired while this process was silent, before a new beat would revive it.
    pub(super) fn expire_own(&mut self, last_beat: u64) -> Result<()> {
        let (own, now) = (self.own.id, self.now.boot_ms);
        self.give_up_expired_of(own, last_beat)?;
        let locks = self.ids(Self::EXPIRED, &[own, last_beat, now])?;
        let has_expired = |Held { grant, lease, .. }: &Held| {
            grant.process == own && lease.end(last_beat.max(lease.granted_at)) <= now
        };
        locks.iter().try_for_each(|lock| self.pass_on_of(*lock, |held| !held.is_void() && !has_expired(held)))
    }

    const HOLDS: &str = "SELECT EXISTS (SELECT 1 FROM lock WHERE holder <> 0 AND process = ?1)
        OR EXISTS (SELECT 1 FROM share WHERE process = ?1)
        OR EXISTS (SELECT 1 FROM ticket WHERE process = ?1)
        OR EXISTS (SELECT 1 FROM job INDEXED BY job_claimed WHERE state = 2 AND process = ?1)";

    /// Whether this process holds or waits for anything.
    pub(super) fn holds_or_waits(&self) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::HOLDS).map_err(database)?;
        statement.query_row([self.own.id], |row| row.get(0)).map_err(database)
    }

    // Also those that it only waits for: it may hold up others there.
    const USED: &str = "SELECT id FROM lock WHERE waiting >= ?2 AND (holder <> 0 AND process = ?1
            OR id IN (SELECT lock FROM share WHERE process = ?1 UNION SELECT lock FROM ticket WHERE process = ?1))
        ORDER BY id";

    /// Passes on what a buried process held or held up, where somebody waits; the rest is void and free to take.
    pub(super) fn pass_on_of_the_buried(&mut self, process: u64) -> Result<()> {
        self.give_up_of(process, DIED)?;
        let locks = self.ids(Self::USED, &[process, 1])?;
        locks.iter().try_for_each(|lock| self.pass_on_of(*lock, |held| !held.is_void()))
    }

    /// Stops waiting everywhere, and passes on everything that this process holds.
    pub(super) fn release_own(&mut self) -> Result<()> {
        let own = self.own.id;
        let locks = self.ids(Self::USED, &[own, 0])?;
        self.drop_own_tickets()?;
        self.give_up_of(own, LEFT)?;
        let keep = |held: &Held| !held.is_void() && held.grant.process != own;
        locks.iter().try_for_each(|lock| self.pass_on_of(*lock, keep))
    }

    fn pass_on_of(&mut self, lock: u64, keep: impl Fn(&Held) -> bool) -> Result<()> {
        let Some(found) = self.judge().by_id(lock)? else { return Ok(()) };
        self.pass_on(&found, keep).map(drop)
    }

    const SHORTEN: &str = "UPDATE lock SET waiting = waiting -
        (SELECT count(*) FROM ticket WHERE ticket.lock = lock.id AND ticket.process = ?1) WHERE waiting > 0";
    const DROP_OWN: &str = "DELETE FROM ticket WHERE process = ?1";

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

// Those that exclude stand in the lock's row, shares in rows of their own.
const HELD: &str = "SELECT l.lock, l.process, l.granted_at, l.ttl, p.last_beat FROM
        (SELECT id AS lock, process, granted_at, ttl FROM lock WHERE holder <> 0
            UNION ALL SELECT lock, process, granted_at, ttl FROM share) l
    JOIN process p ON p.id = l.process";

/// The leases that have not ended by time: lock and process of each, be it dead.
pub(super) fn held(connection: &Connection, now: Moment) -> Result<Vec<(u64, u64)>> {
    let mut statement = connection.prepare_cached(HELD).map_err(database)?;
    let mut rows = statement.query([]).map_err(database)?;
    let mut held = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        let get = |column| row.get::<_, u64>(column).map_err(database);
        let (lock, process, granted_at, ttl, last_beat) = (get(0)?, get(1)?, get(2)?, get(3)?, get(4)?);
        if lease_end(granted_at, last_beat, ttl) > now.boot_ms {
            held.push((lock, process));
        }
    }
    Ok(held)
}

const WAITING_BY: &str = "SELECT process, count(*) FROM ticket GROUP BY process";

/// How many tickets each process has, be it dead.
pub(super) fn waiting(connection: &Connection) -> Result<HashMap<u64, u64>> {
    let mut statement = connection.prepare_cached(WAITING_BY).map_err(database)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

/// How one lock stands.
pub(super) fn line(judge: &Judge<'_>, name: &Name) -> Result<Option<Line>> {
    let found = judge.by_name(name.as_str())?;
    found.map(|found| shown(judge, found, name.to_string())).transpose()
}

const LINES: &str = "SELECT id, name FROM lock
    WHERE name > ?1 AND (holder <> 0 OR waiting > 0 OR EXISTS (SELECT 1 FROM share WHERE lock = lock.id))
    ORDER BY name LIMIT ?2";

/// The locks that are held or waited for, by name. No name is empty, so the empty one is before all.
pub(super) fn lines(judge: &Judge<'_>, after: Option<&str>, limit: u32) -> Result<Vec<Line>> {
    let mut statement = judge.connection.prepare_cached(LINES).map_err(database)?;
    let mut rows = statement.query(params![after.unwrap_or(""), limit]).map_err(database)?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        let (id, name) = (row.get(0).map_err(database)?, row.get(1).map_err(database)?);
        if let Some(found) = judge.by_id(id)? {
            lines.push(shown(judge, found, name)?);
        }
    }
    Ok(lines)
}

fn shown(judge: &Judge<'_>, found: Found, name: String) -> Result<Line> {
    let Found { id: lock, capacity, waiting, holders } = found;
    let first = if waiting > 0 { judge.first_living(lock)? } else { None };
    let first = first.map(|first| First { ticket: first.ticket, weight: first.weight });
    let holders = holders.iter().map(|held| holder(judge, held)).collect::<Result<_>>()?;
    let synced = process::all_sync(judge.connection)?;
    Ok(Line { lock, name, capacity, holders, waiting, first, synced })
}

fn holder(judge: &Judge<'_>, held: &Held) -> Result<Holder> {
    let now = judge.now.boot_ms;
    Ok(Holder {
        grant: held.grant,
        weight: held.weight,
        held_ms: now.saturating_sub(held.lease.granted_at),
        ttl_ms: held.lease.ttl,
        remaining_ms: held.end.map_or(0, |end| end - now),
        void: held.is_void(),
        identity: identity(judge, held.grant.process)?,
    })
}

const IDENTITY: &str = "SELECT pid, host, program, boot FROM process WHERE id = ?1";

fn identity(judge: &Judge<'_>, process: u64) -> Result<Option<Identity>> {
    let mut statement = judge.connection.prepare_cached(IDENTITY).map_err(database)?;
    let found = statement.query_row([process], |row| {
        Ok(Identity { pid: row.get(0)?, host: row.get(1)?, program: row.get(2)?, boot: row.get(3)? })
    });
    found.optional().map_err(database)
}

//! Locks: taking a ticket, leaving the line, passing a lock on.
//!
//! `lock` holds the line's head, `ticket` those who wait. An uncontended acquire and release are one `UPDATE`
//! each; everything else looks first, decides here, and then writes.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::Target;
use millpond_actors::storage::lock::{
    Acquire, Acquired, Break, Broken, Fence, Grant, Leave, Left, Renew, Renewed, Settle, Settled, Was,
};
use rusqlite::{OptionalExtension, Row, params};

use super::error::database;
use super::lease::{Judge, Lease, Ticket};
use super::process::next;
use super::session::SqliteSession;

/// A lock's row.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: u64,
    holder: u64,
    token: u64,
    lease: Lease,
    pub(super) waiting: u64,
    pub(super) capacity: u32,
}

impl Found {
    /// From the columns of `BY_ID` and `BY_NAME`.
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Found> {
        Ok(Found {
            id: row.get(0)?,
            holder: row.get(1)?,
            token: row.get(2)?,
            lease: Lease { process: row.get(3)?, granted_at: row.get(4)?, ttl: row.get(5)? },
            waiting: row.get(6)?,
            capacity: row.get(7)?,
        })
    }
}

impl Found {
    /// What its holder was given, if it has one.
    fn grant(&self) -> Option<Grant> {
        let Found { id: lock, holder: ticket, token, lease, .. } = *self;
        (ticket != 0).then_some(Grant { lock, ticket, token, process: lease.process })
    }
}

impl SqliteSession {
    pub(super) fn judge(&self) -> Judge<'_> {
        Judge {
            connection: &self.connection,
            boot: Some(&self.identity.boot),
            sidecar: Some(&self.sidecar),
            own: Some(self.own.id),
            now: self.now,
        }
    }

    /// Takes a ticket, or the lock itself if nobody living is before us.
    pub(super) fn acquire(&mut self, wanted: &Acquire) -> Result<Acquired> {
        if wanted.capacity > 1 {
            return self.acquire_shared(wanted);
        }
        if let Some(id) = wanted.lock.id
            && let Some(grant) = self.take_free(id, wanted.ttl_ms)?
        {
            return Ok(Acquired::Granted(grant));
        }
        let Some(found) = self.find_lock(&wanted.lock)? else {
            return self.make(wanted.lock.name.as_str(), wanted.ttl_ms).map(Acquired::Granted);
        };
        if found.capacity != 1 {
            return Ok(Acquired::Mismatch { capacity: found.capacity });
        }
        if found.holder == 0
            && let Some(grant) = self.take_free(found.id, wanted.ttl_ms)?
        {
            return Ok(Acquired::Granted(grant));
        }
        self.join_line(&found, wanted)
    }

    /// The lock is held, or was: waits behind those who wait, or takes the place of a void holder.
    fn join_line(&mut self, found: &Found, wanted: &Acquire) -> Result<Acquired> {
        if self.is_void(found)? && self.first_living(found.id)?.is_none() {
            self.clear_line(found.id)?;
            let ticket = self.take_ticket()?;
            let waiter = Ticket { ticket, process: self.own.id, ttl: wanted.ttl_ms, weight: 1 };
            self.own.asked(wanted.ttl_ms);
            return self.give(found.id, waiter, 0).map(Acquired::Granted);
        }
        if !wanted.wait {
            return Ok(Acquired::Held);
        }
        if found.waiting >= limits::WAITERS {
            return Ok(Acquired::Full);
        }
        let ticket = self.take_ticket()?;
        self.queue(found.id, ticket, wanted)?;
        Ok(Acquired::Waiting { lock: found.id, ticket })
    }

    /// A lock's row.
    pub(super) fn find_lock(&self, target: &Target) -> Result<Option<Found>> {
        match target.id {
            Some(id) => self.by_id(id),
            None => self.by_name(target.name.as_str()),
        }
    }

    /// Leaves the line: passes the lock on if `leaving` holds it, stops waiting if it waits.
    pub(super) fn leave_line(&mut self, leaving: &Leave) -> Result<Left> {
        if self.free_quickly(leaving)? {
            return Ok(Left { was: Was::Holding, next: Vec::new() });
        }
        let gone = Left { was: Was::Gone, next: Vec::new() };
        let Some(found) = self.by_id(leaving.lock)? else { return Ok(gone) };
        if found.capacity > 1 {
            return self.leave_shared(leaving, &found);
        }
        if found.holder == leaving.ticket && found.lease.process == self.own.id {
            return Ok(Left { was: Was::Holding, next: self.pass_on(leaving.lock)?.into_iter().collect() });
        }
        if self.drop_ticket(leaving)? {
            return Ok(Left { was: Was::Waiting, next: Vec::new() });
        }
        Ok(gone)
    }

    /// Passes the lock on if its holder is void, and tells who holds it.
    pub(super) fn settle(&mut self, asked: &Settle) -> Result<Settled> {
        let Some(found) = self.by_id(asked.lock)? else { return Ok(Settled { holders: Vec::new() }) };
        if found.capacity > 1 {
            self.pass_on_shared(&found)?;
            return Ok(Settled { holders: self.grants_of(found.id)? });
        }
        let holder = if self.is_void(&found)? { self.pass_on(found.id)? } else { found.grant() };
        Ok(Settled { holders: holder.into_iter().collect() })
    }

    /// Whether our ticket holds the lock.
    pub(super) fn renew(&self, asked: &Renew) -> Result<Renewed> {
        let Some(found) = self.by_id(asked.lock)? else { return Ok(Renewed { held: false }) };
        if found.capacity > 1 {
            let ours = |grant: &Grant| grant.ticket == asked.ticket && grant.process == self.own.id;
            return Ok(Renewed { held: self.grants_of(found.id)?.iter().any(ours) });
        }
        let ours = found.holder == asked.ticket && found.lease.process == self.own.id;
        Ok(Renewed { held: ours && !self.is_void(&found)? })
    }

    /// Takes the lock away from its holder and passes it on.
    pub(super) fn break_lock(&mut self, asked: &Break) -> Result<Broken> {
        match self.find_lock(&asked.lock)? {
            Some(found) if found.capacity > 1 => self.break_shared(&found),
            Some(found) if found.holder != 0 => {
                let taken = if self.is_void(&found)? { None } else { found.grant() };
                let next = self.pass_on(found.id)?;
                Ok(Broken { taken: taken.into_iter().collect(), next: next.into_iter().collect() })
            }
            _ => Ok(Broken { taken: Vec::new(), next: Vec::new() }),
        }
    }

    /// Whether the token is the current one of a live lease.
    pub(super) fn fence_holds(&self, fence: &Fence) -> Result<bool> {
        match self.by_id(fence.lock)? {
            Some(found) if found.capacity > 1 => {
                Ok(self.grants_of(found.id)?.iter().any(|grant| grant.token == fence.token))
            }
            Some(found) if found.holder != 0 && found.token == fence.token => Ok(!self.is_void(&found)?),
            _ => Ok(false),
        }
    }

    /// Whether the lock is held by somebody whose lease has ended.
    fn is_void(&self, found: &Found) -> Result<bool> {
        Ok(found.holder != 0 && self.judge().end(&found.lease)?.is_none())
    }

    const BY_ID: &str = "SELECT id, holder, token, process, granted_at, ttl, waiting, capacity
        FROM lock WHERE id = ?1";

    pub(super) fn by_id(&self, id: u64) -> Result<Option<Found>> {
        let mut statement = self.connection.prepare_cached(Self::BY_ID).map_err(database)?;
        statement.query_row([id], Found::from_row).optional().map_err(database)
    }

    const BY_NAME: &str = "SELECT id, holder, token, process, granted_at, ttl, waiting, capacity
        FROM lock WHERE name = ?1";

    fn by_name(&self, name: &str) -> Result<Option<Found>> {
        let mut statement = self.connection.prepare_cached(Self::BY_NAME).map_err(database)?;
        statement.query_row([name], Found::from_row).optional().map_err(database)
    }

    const MAKE: &str = "INSERT INTO lock (name, holder, token, process, granted_at, ttl, waiting)
        VALUES (?1, ?2, ?2, ?3, ?4, ?5, 0)";

    /// A lock's first use: its row, held by the first ticket.
    fn make(&mut self, name: &str, ttl: u64) -> Result<Grant> {
        let ticket = self.take_ticket()?;
        let mut statement = self.connection.prepare_cached(Self::MAKE).map_err(database)?;
        let values = params![name, ticket, self.own.id, self.now.boot_ms, ttl];
        let id = statement.insert(values).map_err(database)?;
        drop(statement);
        self.own.asked(ttl);
        Ok(Grant { lock: id.unsigned_abs(), ticket, token: ticket, process: self.own.id })
    }

    const TAKE_FREE: &str = "UPDATE lock SET holder = ?2, token = ?2, process = ?3, granted_at = ?4, ttl = ?5
        WHERE id = ?1 AND holder = 0 AND waiting = 0 AND capacity = 1";

    /// Takes a lock that nobody holds; `None` if somebody does, and the number of the ticket is still to be had.
    fn take_free(&mut self, lock: u64, ttl: u64) -> Result<Option<Grant>> {
        let ticket = next(self.counters.token, "the tickets")?;
        let process = self.own.id;
        let mut statement = self.connection.prepare_cached(Self::TAKE_FREE).map_err(database)?;
        let taken = statement.execute([lock, ticket, process, self.now.boot_ms, ttl]).map_err(database)?;
        drop(statement);
        if taken == 0 {
            return Ok(None);
        }
        self.counters.token = ticket;
        self.own.asked(ttl);
        Ok(Some(Grant { lock, ticket, token: ticket, process }))
    }

    const FREE_QUICKLY: &str =
        "UPDATE lock SET holder = 0 WHERE id = ?1 AND holder = ?2 AND process = ?3 AND waiting = 0";

    /// Frees a lock that we hold and nobody waits for.
    fn free_quickly(&self, leaving: &Leave) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::FREE_QUICKLY).map_err(database)?;
        let changed = statement.execute([leaving.lock, leaving.ticket, self.own.id]).map_err(database)?;
        Ok(changed == 1)
    }

    /// A ticket is the next number of the store's counter, so it needs no row of its own to be counted in.
    pub(super) fn take_ticket(&mut self) -> Result<u64> {
        self.counters.token = next(self.counters.token, "the tickets")?;
        Ok(self.counters.token)
    }

    const QUEUE: &str = "INSERT INTO ticket (lock, ticket, process, ttl, weight) VALUES (?1, ?2, ?3, ?4, ?5)";
    const LONGER: &str = "UPDATE lock SET waiting = waiting + 1 WHERE id = ?1";

    pub(super) fn queue(&mut self, lock: u64, ticket: u64, wanted: &Acquire) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::QUEUE).map_err(database)?;
        let (ttl, weight) = (wanted.ttl_ms, u64::from(wanted.weight));
        statement.execute([lock, ticket, self.own.id, ttl, weight]).map_err(database)?;
        let mut statement = self.connection.prepare_cached(Self::LONGER).map_err(database)?;
        statement.execute([lock]).map_err(database)?;
        drop(statement);
        self.own.asked(ttl);
        Ok(())
    }

    const DROP_TICKET: &str =
        "DELETE FROM ticket WHERE lock = ?1 AND ticket = ?2 AND process = ?3 AND token = 0";
    const SHORTER: &str = "UPDATE lock SET waiting = waiting - 1 WHERE id = ?1";

    /// Stops waiting; `false` if the ticket does not wait.
    pub(super) fn drop_ticket(&self, leaving: &Leave) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::DROP_TICKET).map_err(database)?;
        let dropped = statement.execute([leaving.lock, leaving.ticket, self.own.id]).map_err(database)?;
        if dropped == 1 {
            let mut statement = self.connection.prepare_cached(Self::SHORTER).map_err(database)?;
            statement.execute([leaving.lock]).map_err(database)?;
        }
        Ok(dropped == 1)
    }

    /// The first ticket of a living process, and how many of the dead stand before it.
    pub(super) fn first_living(&self, lock: u64) -> Result<Option<(Ticket, u64)>> {
        self.judge().first_living(lock)
    }

    /// Passes a lock on to the first living ticket, or frees it. The dead before it are cleared away.
    pub(super) fn pass_on(&mut self, lock: u64) -> Result<Option<Grant>> {
        match self.first_living(lock)? {
            Some((ticket, dead)) => {
                self.clear_until(lock, ticket.ticket)?;
                self.give(lock, ticket, dead + 1).map(Some)
            }
            None => {
                self.clear_line(lock)?;
                self.free(lock)?;
                Ok(None)
            }
        }
    }

    const GIVE: &str = "UPDATE lock SET holder = ?2, token = ?3, process = ?4, granted_at = ?5, ttl = ?6,
        waiting = waiting - ?7 WHERE id = ?1";

    /// Gives the lock to a ticket; `cleared` rows have left the line for it.
    fn give(&mut self, lock: u64, to: Ticket, cleared: u64) -> Result<Grant> {
        // A ticket that is the newest number of all serves as the token too.
        let token = if to.ticket == self.counters.token { to.ticket } else { self.take_ticket()? };
        let mut statement = self.connection.prepare_cached(Self::GIVE).map_err(database)?;
        let values = [lock, to.ticket, token, to.process, self.now.boot_ms, to.ttl, cleared];
        statement.execute(values).map_err(database)?;
        Ok(Grant { lock, ticket: to.ticket, token, process: to.process })
    }

    const FREE: &str = "UPDATE lock SET holder = 0 WHERE id = ?1";

    fn free(&self, lock: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::FREE).map_err(database)?;
        statement.execute([lock]).map_err(database)?;
        Ok(())
    }

    const CLEAR_UNTIL: &str = "DELETE FROM ticket WHERE lock = ?1 AND ticket <= ?2";

    fn clear_until(&self, lock: u64, ticket: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::CLEAR_UNTIL).map_err(database)?;
        statement.execute([lock, ticket]).map_err(database)?;
        Ok(())
    }

    const CLEAR_LINE: &str = "DELETE FROM ticket WHERE lock = ?1 AND token = 0";
    const NOBODY: &str = "UPDATE lock SET waiting = 0 WHERE id = ?1";

    /// Removes the tickets of a line in which nobody lives.
    pub(super) fn clear_line(&self, lock: u64) -> Result<()> {
        for sql in [Self::CLEAR_LINE, Self::NOBODY] {
            let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
            statement.execute([lock]).map_err(database)?;
        }
        Ok(())
    }
}

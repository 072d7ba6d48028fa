//! Locks: taking a ticket, leaving the line, passing a lock on.
//!
//! An uncontended acquire and release of a lock that excludes are one `UPDATE` each; everything else looks first,
//! decides here, and then writes (`line`).

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::Moment;
use millpond_actors::storage::lock::{
    Acquire, Acquired, Break, Broken, Fence, Grant, Leave, Left, Recall, Recalled, Renew, Renewed, Settle,
    Settled, Was,
};
use rusqlite::{Statement, params};

use super::error::database;
use super::lease::Judge;
use super::line::{Found, Held, Ticket, Turn};
use super::process::{Own, next};
use super::session::{Counters, SqliteSession};

pub(super) const TAKE_FREE: &str =
    "UPDATE lock SET holder = ?2, token = ?2, process = ?3, granted_at = ?4, ttl = ?5
    WHERE id = ?1 AND holder = 0 AND waiting = 0 AND capacity = 1";

/// The lock that is taken, if one statement can do it: it is known, and excludes.
pub(super) fn quickly(wanted: &Acquire) -> Option<u64> {
    wanted.lock.id.filter(|_| wanted.capacity == 1)
}

/// Takes a lock that nobody holds; `None` if somebody does, and the number of the ticket is still to be had.
pub(super) fn take_free(
    take: &mut Statement<'_>,
    (counters, own, now): (&mut Counters, &mut Own, Moment),
    lock: u64,
    ttl_ms: u64,
) -> Result<Option<Grant>> {
    let ticket = next(counters.token, "the tickets")?;
    if take.execute([lock, ticket, own.id, now.boot_ms, ttl_ms]).map_err(database)? == 0 {
        return Ok(None);
    }
    counters.token = ticket;
    own.asked(ttl_ms);
    Ok(Some(Grant { lock, ticket, token: ticket, process: own.id }))
}

pub(super) const FREE_QUICKLY: &str =
    "UPDATE lock SET holder = 0 WHERE id = ?1 AND holder = ?2 AND process = ?3 AND waiting = 0";

/// Frees a lock that this process holds and nobody waits for.
pub(super) fn free_quickly(free: &mut Statement<'_>, process: u64, leaving: &Leave) -> Result<bool> {
    let changed = free.execute([leaving.lock, leaving.ticket, process]).map_err(database)?;
    Ok(changed == 1)
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

    /// Takes a ticket, or the lock itself if it fits and nobody living is before us.
    pub(super) fn acquire(&mut self, wanted: &Acquire) -> Result<Acquired> {
        if let Some(lock) = quickly(wanted) {
            let mut take = self.connection.prepare_cached(TAKE_FREE).map_err(database)?;
            let numbers = (&mut self.counters, &mut self.own, self.now);
            if let Some(grant) = take_free(&mut take, numbers, lock, wanted.ttl_ms)? {
                return Ok(Acquired::Granted(grant));
            }
        }
        let Some(found) = self.judge().find(&wanted.lock)? else {
            return self.make(wanted).map(Acquired::Granted);
        };
        if found.capacity != wanted.capacity {
            return Ok(Acquired::Mismatch { capacity: found.capacity });
        }
        if self.has_room(&found, wanted.weight)? {
            return self.take(&found, wanted).map(Acquired::Granted);
        }
        if !wanted.wait {
            return Ok(Acquired::Held);
        }
        if found.waiting >= limits::WAITERS && self.judge().living_in_line(found.id)? >= limits::WAITERS {
            return Ok(Acquired::Full);
        }
        let waiter = self.own_ticket(wanted)?;
        self.queue(found.id, &waiter)?;
        Ok(Acquired::Waiting { lock: found.id, ticket: waiter.ticket })
    }

    /// Whether a newcomer need not wait: the living holders leave room, and nobody living is in the line.
    fn has_room(&self, found: &Found, weight: u32) -> Result<bool> {
        let used: u64 = found.living().map(|held| u64::from(held.weight)).sum();
        let fits = used + u64::from(weight) <= u64::from(found.capacity);
        Ok(fits && (found.waiting == 0 || self.judge().first_living(found.id)?.is_none()))
    }

    /// Holds a lock that has room. Void holders and the dead in the line are cleared away.
    fn take(&mut self, found: &Found, wanted: &Acquire) -> Result<Grant> {
        let own = self.own_ticket(wanted)?;
        let void: Vec<Held> = found.holders.iter().filter(|held| held.is_void()).copied().collect();
        let turn = Turn { granted: vec![own], last: own.ticket, count: found.waiting };
        self.hand_over(found, &void, &turn)?;
        Ok(Grant { lock: found.id, ticket: own.ticket, token: own.ticket, process: own.process })
    }

    /// Leaves the line: passes the lock on if `leaving` holds it, stops waiting if it waits.
    pub(super) fn leave_line(&mut self, leaving: &Leave) -> Result<Left> {
        let mut free = self.connection.prepare_cached(FREE_QUICKLY).map_err(database)?;
        if free_quickly(&mut free, self.own.id, leaving)? {
            return Ok(Left { was: Was::Holding, next: Vec::new() });
        }
        drop(free);
        let gone = Left { was: Was::Gone, next: Vec::new() };
        let Some(mut found) = self.judge().by_id(leaving.lock)? else { return Ok(gone) };
        let was = if self.holds(&found, leaving.ticket) {
            Was::Holding
        } else if self.drop_ticket(leaving.lock, leaving.ticket)? {
            found.waiting -= 1;
            Was::Waiting
        } else {
            return Ok(gone);
        };
        let next = self.pass_on(&found, |held| !held.is_void() && held.grant.ticket != leaving.ticket)?;
        Ok(Left { was, next })
    }

    /// Passes the lock on if a holder is void, and tells who holds it.
    pub(super) fn settle(&mut self, asked: &Settle) -> Result<Settled> {
        let Some(found) = self.judge().by_id(asked.lock)? else {
            return Ok(Settled { holders: Vec::new(), next: Vec::new(), first: None });
        };
        let next = self.pass_on(&found, |held| !held.is_void())?;
        let first = if found.waiting > 0 { self.judge().first_living(found.id)? } else { None };
        Ok(Settled {
            holders: found.living().map(|held| held.grant).chain(next.iter().copied()).collect(),
            next,
            first: first.map(|first| first.ticket),
        })
    }

    /// Whether our ticket holds the lock.
    pub(super) fn renew(&self, asked: &Renew) -> Result<Renewed> {
        let found = self.judge().by_id(asked.lock)?;
        Ok(Renewed { held: found.is_some_and(|found| self.holds(&found, asked.ticket)) })
    }

    /// The tickets that this process has.
    pub(super) fn recall(&self, asked: &Recall) -> Result<Recalled> {
        let Some(found) = self.judge().find(&asked.lock)? else {
            return Ok(Recalled { tickets: Vec::new() });
        };
        let holding = found.living().filter(|held| held.grant.process == self.own.id);
        let mut tickets: Vec<u64> = holding.map(|held| held.grant.ticket).collect();
        tickets.extend(self.own_in_line(found.id)?);
        Ok(Recalled { tickets: tickets.into_iter().map(|ticket| Leave { lock: found.id, ticket }).collect() })
    }

    /// Takes the lock away from its holders and passes it on.
    pub(super) fn break_lock(&mut self, asked: &Break) -> Result<Broken> {
        let Some(found) = self.judge().find(&asked.lock)? else {
            return Ok(Broken { taken: Vec::new(), next: Vec::new() });
        };
        let next = self.pass_on(&found, |_| false)?;
        Ok(Broken { taken: found.living().map(|held| held.grant).collect(), next })
    }

    /// Whether the token is the current one of a live lease.
    pub(super) fn fence_holds(&self, fence: &Fence) -> Result<bool> {
        let found = self.judge().by_id(fence.lock)?;
        Ok(found.is_some_and(|found| found.living().any(|held| held.grant.token == fence.token)))
    }

    fn holds(&self, found: &Found, ticket: u64) -> bool {
        found.living().any(|held| held.grant.ticket == ticket && held.grant.process == self.own.id)
    }

    const MAKE: &str = "INSERT INTO lock (name, capacity, holder, token, process, granted_at, ttl, waiting)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)";

    /// A lock's first use: its row, held by the first ticket.
    fn make(&mut self, wanted: &Acquire) -> Result<Grant> {
        let own = self.own_ticket(wanted)?;
        let Ticket { ticket, process, ttl, .. } = own;
        let holder = if wanted.capacity == 1 { ticket } else { 0 };
        let mut statement = self.connection.prepare_cached(Self::MAKE).map_err(database)?;
        let (name, now) = (wanted.lock.name.as_str(), self.now.boot_ms);
        let values = params![name, wanted.capacity, holder, ticket, process, now, ttl];
        let lock = statement.insert(values).map_err(database)?.unsigned_abs();
        let grant = Grant { lock, ticket, token: ticket, process };
        if holder == 0 {
            self.put_share(&grant, &own)?;
        }
        Ok(grant)
    }

    fn own_ticket(&mut self, wanted: &Acquire) -> Result<Ticket> {
        let ticket = self.take_ticket()?;
        self.own.asked(wanted.ttl_ms);
        Ok(Ticket { ticket, process: self.own.id, ttl: wanted.ttl_ms, weight: wanted.weight })
    }

    /// A ticket is the next number of the store's counter, so it needs no row of its own to be counted in.
    pub(super) fn take_ticket(&mut self) -> Result<u64> {
        self.counters.token = next(self.counters.token, "the tickets")?;
        Ok(self.counters.token)
    }
}

//! Locks that are shared: semaphores, and locks for readers and writers.
//!
//! Their holders stand in `ticket` beside those who wait, with a token; `lock.holder` stays 0. As everywhere: what is
//! refused has written nothing, and whatever frees room passes it on.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::lock::{Acquire, Acquired, Broken, Grant, Holder, Leave, Left, Was};
use rusqlite::params;

use super::error::database;
use super::lease::{Judge, Lease, Ticket, identity};
use super::lock::Found;
use super::session::SqliteSession;

/// A ticket that holds a part of a lock.
struct Share {
    grant: Grant,
    weight: u32,
    live: bool,
}

const SHARES: &str = "SELECT t.ticket, t.token, t.process, t.granted_at, t.ttl, t.weight, p.pid, p.host, p.program, p.boot
    FROM ticket t LEFT JOIN process p ON p.id = t.process WHERE t.lock = ?1 AND t.token <> 0 ORDER BY t.ticket";

/// The holders of a shared lock, in the order of their tickets.
pub(super) fn holders(judge: &Judge<'_>, lock: u64) -> Result<Vec<Holder>> {
    let mut statement = judge.connection.prepare_cached(SHARES).map_err(database)?;
    let mut rows = statement.query([lock]).map_err(database)?;
    let mut holders = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        let read = || {
            let process = row.get(2)?;
            let grant = Grant { lock, ticket: row.get(0)?, token: row.get(1)?, process };
            let lease = Lease { process, granted_at: row.get(3)?, ttl: row.get(4)? };
            Ok((grant, row.get(5)?, lease, identity(row, 6)?))
        };
        let (grant, weight, lease, identity) = read().map_err(database)?;
        holders.push(judge.holder(grant, weight, &lease, identity)?);
    }
    Ok(holders)
}

fn used(shares: &[Share]) -> u64 {
    shares.iter().filter(|share| share.live).map(|share| u64::from(share.weight)).sum()
}

impl SqliteSession {
    fn shares(&self, lock: u64) -> Result<Vec<Share>> {
        let share = |holder: Holder| Share { grant: holder.grant, weight: holder.weight, live: !holder.void };
        Ok(holders(&self.judge(), lock)?.into_iter().map(share).collect())
    }

    /// What the living holders of a shared lock were given.
    pub(super) fn grants_of(&self, lock: u64) -> Result<Vec<Grant>> {
        let shares = self.shares(lock)?;
        Ok(shares.into_iter().filter(|share| share.live).map(|share| share.grant).collect())
    }

    /// Takes a ticket, or a part of the lock itself if nobody living is before us and it is to be had.
    pub(super) fn acquire_shared(&mut self, wanted: &Acquire) -> Result<Acquired> {
        let Some(found) = self.find_lock(&wanted.lock)? else {
            let lock = self.make_shared(wanted.lock.name.as_str(), wanted.capacity)?;
            return self.take_share(lock, wanted).map(Acquired::Granted);
        };
        if found.capacity != wanted.capacity {
            return Ok(Acquired::Mismatch { capacity: found.capacity });
        }
        let shares = self.shares(found.id)?;
        let fits = used(&shares) + u64::from(wanted.weight) <= u64::from(found.capacity);
        if fits && self.first_living(found.id)?.is_none() {
            self.drop_void(&shares)?;
            if found.waiting > 0 {
                self.clear_line(found.id)?;
            }
            return self.take_share(found.id, wanted).map(Acquired::Granted);
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

    /// Leaves the line or a holder's place; whoever fits then has the lock.
    pub(super) fn leave_shared(&mut self, leaving: &Leave, found: &Found) -> Result<Left> {
        let own = |share: &Share| {
            share.live && share.grant.ticket == leaving.ticket && share.grant.process == self.own.id
        };
        let was = if self.shares(leaving.lock)?.iter().any(own) {
            self.drop_share(leaving.lock, leaving.ticket)?;
            Was::Holding
        } else if self.drop_ticket(leaving)? {
            Was::Waiting
        } else {
            return Ok(Left { was: Was::Gone, next: Vec::new() });
        };
        Ok(Left { was, next: self.pass_on_shared(found)? })
    }

    /// Takes a shared lock away from all who hold it.
    pub(super) fn break_shared(&mut self, found: &Found) -> Result<Broken> {
        let taken = self.grants_of(found.id)?;
        for grant in &taken {
            self.drop_share(grant.lock, grant.ticket)?;
        }
        Ok(Broken { taken, next: self.pass_on_shared(found)? })
    }

    /// Gives the lock to the first tickets of living processes, as many as fit. Void holders, and the dead before
    /// those tickets, are cleared away. Who got it.
    pub(super) fn pass_on_shared(&mut self, found: &Found) -> Result<Vec<Grant>> {
        let shares = self.shares(found.id)?;
        self.drop_void(&shares)?;
        let (mut used, capacity) = (used(&shares), u64::from(found.capacity));
        let mut granted = Vec::new();
        while used < capacity {
            let Some((first, dead)) = self.first_living(found.id)? else {
                self.clear_line(found.id)?;
                break;
            };
            if dead > 0 {
                self.drop_before(found.id, first.ticket, dead)?;
            }
            if used + u64::from(first.weight) > capacity {
                break;
            }
            used += u64::from(first.weight);
            granted.push(self.grant_share(found.id, first)?);
        }
        Ok(granted)
    }

    const MAKE_SHARED: &str =
        "INSERT INTO lock (name, holder, token, process, granted_at, ttl, waiting, capacity)
        VALUES (?1, 0, 0, 0, 0, 0, 0, ?2)";

    fn make_shared(&self, name: &str, capacity: u32) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(Self::MAKE_SHARED).map_err(database)?;
        Ok(statement.insert(params![name, capacity]).map_err(database)?.unsigned_abs())
    }

    const TAKE_SHARE: &str = "INSERT INTO ticket (lock, ticket, process, ttl, weight, token, granted_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?2, ?6)";

    fn take_share(&mut self, lock: u64, wanted: &Acquire) -> Result<Grant> {
        let (ticket, process) = (self.take_ticket()?, self.own.id);
        let mut statement = self.connection.prepare_cached(Self::TAKE_SHARE).map_err(database)?;
        let values = [lock, ticket, process, wanted.ttl_ms, u64::from(wanted.weight), self.now.boot_ms];
        statement.execute(values).map_err(database)?;
        drop(statement);
        self.own.asked(wanted.ttl_ms);
        Ok(Grant { lock, ticket, token: ticket, process })
    }

    const GRANT_SHARE: &str = "UPDATE ticket SET token = ?3, granted_at = ?4 WHERE lock = ?1 AND ticket = ?2";
    const SHORTER_BY: &str = "UPDATE lock SET waiting = waiting - ?2 WHERE id = ?1";

    fn grant_share(&mut self, lock: u64, to: Ticket) -> Result<Grant> {
        let Ticket { ticket, process, .. } = to;
        // A ticket that is the newest number of all serves as the token too.
        let token = if ticket == self.counters.token { ticket } else { self.take_ticket()? };
        let mut statement = self.connection.prepare_cached(Self::GRANT_SHARE).map_err(database)?;
        statement.execute([lock, ticket, token, self.now.boot_ms]).map_err(database)?;
        drop(statement);
        self.shorten(lock, 1)?;
        Ok(Grant { lock, ticket, token, process })
    }

    fn shorten(&self, lock: u64, by: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::SHORTER_BY).map_err(database)?;
        statement.execute([lock, by]).map_err(database)?;
        Ok(())
    }

    const DROP_BEFORE: &str = "DELETE FROM ticket WHERE lock = ?1 AND ticket < ?2 AND token = 0";

    /// Clears away the dead before a ticket; there are so many of them.
    fn drop_before(&self, lock: u64, ticket: u64, dead: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::DROP_BEFORE).map_err(database)?;
        statement.execute([lock, ticket]).map_err(database)?;
        self.shorten(lock, dead)
    }

    fn drop_void(&self, shares: &[Share]) -> Result<()> {
        let void = shares.iter().filter(|share| !share.live);
        void.into_iter().try_for_each(|share| self.drop_share(share.grant.lock, share.grant.ticket))
    }

    const DROP_SHARE: &str = "DELETE FROM ticket WHERE lock = ?1 AND ticket = ?2 AND token <> 0";

    fn drop_share(&self, lock: u64, ticket: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::DROP_SHARE).map_err(database)?;
        statement.execute([lock, ticket]).map_err(database)?;
        Ok(())
    }
}

//! The rows of a line: who holds a lock, who waits for it, and what is written when that changes.
//!
//! The one holder of a lock that excludes stands in the lock's own row, so that an uncontended acquire and release are
//! one `UPDATE` each. The holders of a shared lock stand in `share`. Only here that makes a difference.

use millpond_actors::error::Result;
use millpond_actors::storage::Target;
use millpond_actors::storage::lock::Grant;
use rusqlite::{OptionalExtension, Row, params};

use super::error::database;
use super::lease::{Judge, Lease};
use super::look_up::look_up;
use super::session::SqliteSession;

/// A lock with those who hold it, as one moment shows it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) capacity: u32,
    pub(super) waiting: u64,
    /// In the order of their tickets.
    pub(super) holders: Vec<Held>,
}

impl Found {
    pub(super) fn living(&self) -> impl Iterator<Item = &Held> {
        self.holders.iter().filter(|held| !held.is_void())
    }
}

/// A ticket that holds a lock, or a part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) grant: Grant,
    pub(super) weight: u32,
    pub(super) lease: Lease,
    /// When its lease ends; `None` if it is void already.
    pub(super) end: Option<u64>,
}

impl Held {
    pub(super) fn is_void(&self) -> bool {
        self.end.is_none()
    }
}

/// A ticket that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) ticket: u64,
    pub(super) process: u64,
    pub(super) ttl: u64,
    pub(super) weight: u32,
}

/// Who leaves the front of a line: the dead, and those whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) granted: Vec<Ticket>,
    /// Everybody up to this ticket.
    pub(super) last: u64,
    /// So many.
    pub(super) count: u64,
}

const BY_ID: &str = "SELECT id, capacity, waiting, holder, token, process, granted_at, ttl
    FROM lock WHERE id = ?1";
const BY_NAME: &str = "SELECT l.id, l.capacity, l.waiting, l.holder, l.token, l.process, l.granted_at, l.ttl,
    l.name = ?1 FROM lock i LEFT JOIN lock l ON l.id = i.id WHERE i.name = ?1";
const SHARES: &str = "SELECT ticket, token, process, granted_at, ttl, weight
    FROM share WHERE lock = ?1 ORDER BY ticket";
const LINE_BY_PROCESS: &str = "SELECT process, count(*) FROM ticket WHERE lock = ?1 GROUP BY process";
const WAITING: &str = "SELECT ticket, process, ttl, weight FROM ticket WHERE lock = ?1 ORDER BY ticket";

/// What is read.
impl Judge<'_> {
    /// A lock, by its row if that is known.
    pub(super) fn find(&self, target: &Target) -> Result<Option<Found>> {
        match target.id {
            Some(id) => self.by_id(id),
            None => self.by_name(target.name.as_str()),
        }
    }

    pub(super) fn by_id(&self, id: u64) -> Result<Option<Found>> {
        let mut statement = self.connection.prepare_cached(BY_ID).map_err(database)?;
        let found = statement.query_row([id], |row| self.read(row)).optional().map_err(database)?;
        found.map(|found| self.with_holders(found)).transpose()
    }

    pub(super) fn by_name(&self, name: &str) -> Result<Option<Found>> {
        let found = look_up(self.connection, BY_NAME, ("lock", &name), [name], |row| self.read(row))?;
        found.map(|found| self.with_holders(found)).transpose()
    }

    /// A lock from the columns of `BY_ID` and `BY_NAME`, with what its row says about a holder.
    fn read(&self, row: &Row<'_>) -> rusqlite::Result<Found> {
        let (id, capacity, waiting) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (ticket, process) = (row.get(3)?, row.get(5)?);
        let held = Held {
            grant: Grant { lock: id, ticket, token: row.get(4)?, process },
            weight: 1,
            lease: Lease { process, granted_at: row.get(6)?, ttl: row.get(7)? },
            end: None,
        };
        Ok(Found { id, capacity, waiting, holders: if ticket == 0 { Vec::new() } else { vec![held] } })
    }

    fn with_holders(&self, mut found: Found) -> Result<Found> {
        if found.capacity > 1 {
            found.holders = self.shares(found.id)?;
        }
        // Many of them often belong to one process: asking once is enough.
        let mut known = None;
        for held in &mut found.holders {
            let process = held.lease.process;
            let beat = match known {
                Some((one, beat)) if one == process => beat,
                _ => self.beat(process)?,
            };
            known = Some((process, beat));
            held.end = beat.and_then(|beat| self.end(&held.lease, beat));
        }
        Ok(found)
    }

    fn shares(&self, lock: u64) -> Result<Vec<Held>> {
        let mut statement = self.connection.prepare_cached(SHARES).map_err(database)?;
        let share = |row: &Row<'_>| {
            let (ticket, token, process) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Held {
                grant: Grant { lock, ticket, token, process },
                weight: row.get(5)?,
                lease: Lease { process, granted_at: row.get(3)?, ttl: row.get(4)? },
                end: None,
            })
        };
        let rows = statement.query_map([lock], share).map_err(database)?;
        rows.collect::<rusqlite::Result<_>>().map_err(database)
    }

    /// The first waiting ticket of a living process.
    pub(super) fn first_living(&self, lock: u64) -> Result<Option<Ticket>> {
        let mut first = None;
        self.walk(lock, |ticket, lives| {
            first = lives.then_some(ticket);
            !lives
        })?;
        Ok(first)
    }

    /// Tickets of the living. The whole line is read for it, so it is asked only where the line is long enough to be
    /// full with the dead in it.
    pub(super) fn living_in_line(&self, lock: u64) -> Result<u64> {
        let mut statement = self.connection.prepare_cached(LINE_BY_PROCESS).map_err(database)?;
        let mut rows = statement.query([lock]).map_err(database)?;
        let mut living = 0;
        while let Some(row) = rows.next().map_err(database)? {
            if self.beat(row.get(0).map_err(database)?)?.is_some() {
                living += row.get::<_, u64>(1).map_err(database)?;
            }
        }
        Ok(living)
    }

    /// Whose turn it is if there is so much room. Whoever does not fit holds up those behind.
    fn turn(&self, lock: u64, mut room: u64) -> Result<Turn> {
        let mut turn = Turn::default();
        self.walk(lock, |ticket, lives| {
            let weight = u64::from(ticket.weight);
            if lives && weight > room {
                return false;
            }
            (turn.last, turn.count) = (ticket.ticket, turn.count + 1);
            if lives {
                room -= weight;
                turn.granted.push(ticket);
            }
            room > 0
        })?;
        Ok(turn)
    }

    /// Goes along a line as long as it is wanted, with whether each ticket's process lives.
    fn walk(&self, lock: u64, mut go_on: impl FnMut(Ticket, bool) -> bool) -> Result<()> {
        let mut statement = self.connection.prepare_cached(WAITING).map_err(database)?;
        let read = |row: &Row<'_>| {
            Ok(Ticket { ticket: row.get(0)?, process: row.get(1)?, ttl: row.get(2)?, weight: row.get(3)? })
        };
        // The dead often have many tickets in a row.
        let mut known = None;
        for ticket in statement.query_map([lock], read).map_err(database)? {
            let ticket = ticket.map_err(database)?;
            let lives = match known {
                Some((process, lives)) if process == ticket.process => lives,
                _ => self.beat(ticket.process)?.is_some(),
            };
            known = Some((ticket.process, lives));
            if !go_on(ticket, lives) {
                break;
            }
        }
        Ok(())
    }
}

/// What is written.
impl SqliteSession {
    /// Passes a lock on: who is not kept holds it no more, and the first tickets of living processes do, as many as
    /// fit; the dead before them are cleared away. Who got it.
    pub(super) fn pass_on(&mut self, found: &Found, keep: impl Fn(&Held) -> bool) -> Result<Vec<Grant>> {
        let (kept, gone): (Vec<Held>, Vec<Held>) = found.holders.iter().partition(|held| keep(held));
        let used = kept.iter().map(|held| u64::from(held.weight)).sum();
        let room = u64::from(found.capacity).saturating_sub(used);
        let waited_for = found.waiting > 0 && room > 0;
        let turn = if waited_for { self.judge().turn(found.id, room)? } else { Turn::default() };
        self.hand_over(found, &gone, &turn)
    }

    /// Writes that some holders are gone, and that a turn has been taken.
    pub(super) fn hand_over(&mut self, found: &Found, gone: &[Held], turn: &Turn) -> Result<Vec<Grant>> {
        if turn.count > 0 && found.waiting > 0 {
            self.clear_until(found.id, turn.last)?;
        }
        let mut granted = Vec::new();
        for to in &turn.granted {
            // A ticket that is the newest number of all serves as the token too.
            let token = if to.ticket == self.counters.token { to.ticket } else { self.take_ticket()? };
            granted.push(Grant { lock: found.id, ticket: to.ticket, token, process: to.process });
        }
        let given = || granted.iter().zip(&turn.granted);
        if found.capacity > 1 {
            gone.iter().try_for_each(|held| self.drop_share(&held.grant))?;
            given().try_for_each(|(grant, to)| self.put_share(grant, to))?;
            if turn.count > 0 {
                self.shorten(found.id, turn.count)?;
            }
        } else if let Some((grant, to)) = given().next() {
            self.give(grant, to.ttl, turn.count)?;
        } else if !gone.is_empty() {
            self.free(found.id, turn.count)?;
        }
        Ok(granted)
    }

    const GIVE: &str = "UPDATE lock SET holder = ?2, token = ?3, process = ?4, granted_at = ?5, ttl = ?6,
        waiting = waiting - ?7 WHERE id = ?1";

    fn give(&self, grant: &Grant, ttl: u64, cleared: u64) -> Result<()> {
        let Grant { lock, ticket, token, process } = *grant;
        let mut statement = self.connection.prepare_cached(Self::GIVE).map_err(database)?;
        let values = [lock, ticket, token, process, self.now.boot_ms, ttl, cleared];
        statement.execute(values).map(drop).map_err(database)
    }

    const FREE: &str = "UPDATE lock SET holder = 0, waiting = waiting - ?2 WHERE id = ?1";

    fn free(&self, lock: u64, cleared: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::FREE).map_err(database)?;
        statement.execute([lock, cleared]).map(drop).map_err(database)
    }

    const PUT_SHARE: &str = "INSERT INTO share (lock, ticket, token, process, granted_at, ttl, weight)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

    pub(super) fn put_share(&self, grant: &Grant, to: &Ticket) -> Result<()> {
        let Grant { lock, ticket, token, process } = *grant;
        let mut statement = self.connection.prepare_cached(Self::PUT_SHARE).map_err(database)?;
        let values = [lock, ticket, token, process, self.now.boot_ms, to.ttl, u64::from(to.weight)];
        statement.execute(values).map(drop).map_err(database)
    }

    const DROP_SHARE: &str = "DELETE FROM share WHERE lock = ?1 AND ticket = ?2";

    fn drop_share(&self, grant: &Grant) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::DROP_SHARE).map_err(database)?;
        statement.execute([grant.lock, grant.ticket]).map(drop).map_err(database)
    }

    const QUEUE: &str = "INSERT INTO ticket (lock, ticket, process, ttl, weight) VALUES (?1, ?2, ?3, ?4, ?5)";
    const LONGER: &str = "UPDATE lock SET waiting = waiting + 1 WHERE id = ?1";

    pub(super) fn queue(&self, lock: u64, waiter: &Ticket) -> Result<()> {
        let Ticket { ticket, process, ttl, weight } = *waiter;
        let mut statement = self.connection.prepare_cached(Self::QUEUE).map_err(database)?;
        statement.execute(params![lock, ticket, process, ttl, weight]).map_err(database)?;
        let mut statement = self.connection.prepare_cached(Self::LONGER).map_err(database)?;
        statement.execute([lock]).map(drop).map_err(database)
    }

    const OWN_IN_LINE: &str = "SELECT ticket FROM ticket WHERE lock = ?1 AND process = ?2 ORDER BY ticket";

    /// The tickets of this process that wait.
    pub(super) fn own_in_line(&self, lock: u64) -> Result<Vec<u64>> {
        let mut statement = self.connection.prepare_cached(Self::OWN_IN_LINE).map_err(database)?;
        let rows = statement.query_map([lock, self.own.id], |row| row.get(0)).map_err(database)?;
        rows.collect::<rusqlite::Result<_>>().map_err(database)
    }

    const DROP_TICKET: &str = "DELETE FROM ticket WHERE lock = ?1 AND ticket = ?2 AND process = ?3";

    /// Takes one of our tickets out of the line; `false` if it does not wait.
    pub(super) fn drop_ticket(&self, lock: u64, ticket: u64) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::DROP_TICKET).map_err(database)?;
        let dropped = statement.execute([lock, ticket, self.own.id]).map_err(database)? == 1;
        if dropped {
            self.shorten(lock, 1)?;
        }
        Ok(dropped)
    }

    const SHORTER: &str = "UPDATE lock SET waiting = waiting - ?2 WHERE id = ?1";

    fn shorten(&self, lock: u64, by: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::SHORTER).map_err(database)?;
        statement.execute([lock, by]).map(drop).map_err(database)
    }

    const CLEAR_UNTIL: &str = "DELETE FROM ticket WHERE lock = ?1 AND ticket <= ?2";

    fn clear_until(&self, lock: u64, ticket: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::CLEAR_UNTIL).map_err(database)?;
        statement.execute([lock, ticket]).map(drop).map_err(database)
    }
}

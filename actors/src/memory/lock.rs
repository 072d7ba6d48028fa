//! Locks in memory: a row a lock, a row a waiting ticket, and one rule for passing a lock on.

use super::process::Census;
use super::store::{Caller, Store};
use crate::limits;
use crate::name::Name;
use crate::storage::lock::{
    Acquire, Acquired, Break, Broken, Fence, Grant, Holder, Leave, Left, Line, Renew, Renewed, Settle,
    Settled, Was, lease_end,
};
use crate::storage::{Moment, Target};

/// A lock that was used at least once.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    name: Name,
    holder: Option<Held>,
    /// Tickets in the line.
    pub(super) waiting: u64,
}

impl Lock {
    /// Whether somebody has the lock, void or not.
    pub(super) fn is_held(&self) -> bool {
        self.holder.is_some()
    }
}

/// What the holder of a lock was given.
#[derive(Clone, Copy, Debug)]
struct Held {
    grant: Grant,
    granted: u64,
    ttl_ms: u64,
}

impl Held {
    /// Milliseconds until the lease ends; 0 means void, by time or by the process's end. Who asks in a transaction of its
    /// own takes up by it what is its own.
    fn remaining(&self, census: Census<'_>, now: Moment, own: Option<u64>) -> u64 {
        census.living(self.grant.process).map_or(0, |process| {
            let beat =
                if own == Some(self.grant.process) { self.granted.max(process.beat) } else { process.beat };
            lease_end(self.granted, beat, self.ttl_ms).saturating_sub(now.boot_ms)
        })
    }
}

/// A place in a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    process: u64,
    ttl_ms: u64,
}

/// What is written.
impl Store {
    /// Takes a ticket: behind whoever is before, or else, by settling the line, in the holder's place.
    pub(super) fn lock_acquire(&mut self, me: &Caller, operation: &Acquire) -> Acquired {
        let known = self.lock_id(&operation.lock);
        if let Some(lock) = known
            && self.somebody_is_before(me, lock)
        {
            // What is refused must have written nothing, so the refusals come first.
            if !operation.wait {
                return Acquired::Held;
            }
            if self.locks.get(&lock).is_some_and(|row| row.waiting >= limits::WAITERS) {
                return Acquired::Full;
            }
            // If the holder is void, the first in line has the lock as soon as somebody settles.
            return Acquired::Waiting { lock, ticket: self.take_ticket(me, lock, operation.ttl_ms) };
        }
        let lock = known.unwrap_or_else(|| self.new_lock(&operation.lock.name));
        let ticket = self.take_ticket(me, lock, operation.ttl_ms);
        match self.settle(me, lock) {
            Some(grant) if grant.ticket == ticket => Acquired::Granted(grant),
            _ => Acquired::Waiting { lock, ticket },
        }
    }

    /// Takes a ticket out of the line or out of the holder's place.
    pub(super) fn lock_leave(&mut self, me: &Caller, operation: &Leave) -> Left {
        let Leave { lock, ticket } = *operation;
        let holder = self.live_holder(me, lock).filter(|held| held.grant.ticket == ticket);
        if holder.is_some_and(|held| held.grant.process == me.process) {
            self.set_holder(lock, None);
            return Left { was: Was::Holding, next: self.settle(me, lock) };
        }
        if self.tickets.get(&(lock, ticket)).is_some_and(|waiting| waiting.process == me.process) {
            self.drop_ticket(lock, ticket);
            return Left { was: Was::Waiting, next: None };
        }
        Left { was: Was::Gone, next: None }
    }

    /// Passes the lock on if it is to be passed on.
    pub(super) fn lock_settle(&mut self, me: &Caller, operation: &Settle) -> Settled {
        Settled { holder: self.settle(me, operation.lock) }
    }

    /// Whether the caller's ticket holds the lock.
    pub(super) fn lock_renew(&mut self, me: &Caller, operation: &Renew) -> Renewed {
        let Renew { lock, ticket } = *operation;
        let holder = self.live_holder(me, lock).map(|held| held.grant);
        Renewed { held: holder.is_some_and(|held| held.ticket == ticket && held.process == me.process) }
    }

    /// Takes the lock away from its holder and passes it on.
    pub(super) fn lock_break(&mut self, me: &Caller, operation: &Break) -> Broken {
        let Some(lock) = self.lock_id(&operation.lock) else { return Broken { taken: None, next: None } };
        let taken = self.live_holder(me, lock).map(|held| held.grant);
        if taken.is_some() {
            self.set_holder(lock, None);
        }
        Broken { taken, next: self.settle(me, lock) }
    }

    /// Whether `fence` still stands: its token is the current one of a lease that has not ended.
    pub(super) fn fence_stands(&self, me: &Caller, fence: &Fence) -> bool {
        self.live_holder(me, fence.lock).is_some_and(|held| held.grant.token == fence.token)
    }

    /// Frees the caller's own leases that ended before it began. Whether there were any.
    pub(super) fn free_expired(&mut self, me: &Caller) -> bool {
        let mine = self.locks_held_by(me.process);
        let expired: Vec<u64> =
            mine.into_iter().filter(|lock| self.live_holder(me, *lock).is_none()).collect();
        for lock in &expired {
            self.settle(me, *lock);
        }
        !expired.is_empty()
    }

    /// The one rule of passing on: while the holder's lease lasts, nothing changes; else the first ticket of a
    /// living process holds the lock, and the tickets of the dead before it are gone. Who holds it then.
    pub(super) fn settle(&mut self, me: &Caller, lock: u64) -> Option<Grant> {
        if let Some(held) = self.live_holder(me, lock) {
            return Some(held.grant);
        }
        self.clear_void_holder(me, lock);
        while let Some((ticket, Ticket { process, ttl_ms })) = self.first_ticket(lock) {
            self.drop_ticket(lock, ticket);
            if self.census(me).living(process).is_some() {
                let newest = self.numbers.get(&()) == Some(&ticket);
                let token = if newest { ticket } else { self.next_number() };
                let grant = Grant { lock, ticket, token, process };
                self.set_holder(lock, Some(Held { grant, granted: me.now.boot_ms, ttl_ms }));
                return Some(grant);
            }
        }
        None
    }

    /// Locks that a process holds, void or not, by their ids.
    pub(super) fn locks_held_by(&self, process: u64) -> Vec<u64> {
        let held = |lock: &Lock| lock.holder.is_some_and(|held| held.grant.process == process);
        self.locks.working().iter().filter(|(_, lock)| held(lock)).map(|(id, _)| *id).collect()
    }

    /// Whether a ticket is in the line, be it of the dead.
    pub(super) fn is_waited_for(&self, lock: u64) -> bool {
        self.locks.get(&lock).is_some_and(|row| row.waiting > 0)
    }

    /// Takes a process's tickets out of all lines.
    pub(super) fn drop_tickets_of(&mut self, process: u64) {
        let rows = self.tickets.working().iter();
        let own: Vec<(u64, u64)> =
            rows.filter(|(_, ticket)| ticket.process == process).map(|(key, _)| *key).collect();
        for (lock, ticket) in own {
            self.drop_ticket(lock, ticket);
        }
    }

    fn lock_id(&self, target: &Target) -> Option<u64> {
        target.id.or_else(|| self.lock_names.get(&target.name).copied())
    }

    fn new_lock(&mut self, name: &Name) -> u64 {
        // Rows of locks are never removed, so their number is the last id.
        let lock = self.locks.working().len() as u64 + 1;
        self.lock_names.put(name.clone(), lock);
        self.locks.put(lock, Lock { name: name.clone(), holder: None, waiting: 0 });
        lock
    }

    /// Whether a newcomer would have to wait: for a live holder, or for a living ticket in the line.
    fn somebody_is_before(&self, me: &Caller, lock: u64) -> bool {
        let mut line = self.tickets.range((lock, 0)..=(lock, u64::MAX));
        self.live_holder(me, lock).is_some()
            || line.any(|(_, ticket)| self.census(me).living(ticket.process).is_some())
    }

    fn live_holder(&self, me: &Caller, lock: u64) -> Option<Held> {
        let held = self.locks.get(&lock)?.holder?;
        (held.remaining(self.census(me), me.now, Some(me.process)) > 0).then_some(held)
    }

    fn clear_void_holder(&mut self, me: &Caller, lock: u64) {
        let Some(void) = self.locks.get(&lock).and_then(|row| row.holder) else { return };
        self.set_holder(lock, None);
        // If it lives, it was only silent, and does not know yet.
        if void.grant.process != me.process {
            self.mark_robbed(void.grant.process, true);
        }
    }

    fn set_holder(&mut self, lock: u64, holder: Option<Held>) {
        if let Some(row) = self.locks.get(&lock) {
            let row = Lock { holder, ..row.clone() };
            self.locks.put(lock, row);
        }
    }

    fn first_ticket(&self, lock: u64) -> Option<(u64, Ticket)> {
        self.tickets.range((lock, 0)..=(lock, u64::MAX)).next().map(|((_, ticket), row)| (*ticket, *row))
    }

    fn take_ticket(&mut self, me: &Caller, lock: u64, ttl_ms: u64) -> u64 {
        let Some(mut row) = self.locks.get(&lock).cloned() else { return 0 };
        row.waiting += 1;
        self.locks.put(lock, row);
        let ticket = self.next_number();
        self.tickets.put((lock, ticket), Ticket { process: me.process, ttl_ms });
        ticket
    }

    fn drop_ticket(&mut self, lock: u64, ticket: u64) {
        self.tickets.remove(&(lock, ticket));
        if let Some(mut row) = self.locks.get(&lock).cloned() {
            row.waiting -= 1;
            self.locks.put(lock, row);
        }
    }

    /// The next number, for a ticket or a token.
    fn next_number(&mut self) -> u64 {
        let number = self.numbers.get(&()).copied().unwrap_or_default() + 1;
        self.numbers.put((), number);
        number
    }
}

/// What is read.
impl Store {
    /// How one lock stands.
    pub(super) fn line(&self, name: &Name, now: Moment) -> Option<Line> {
        let id = self.lock_names.committed().get(name)?;
        self.locks.committed().get(id).map(|lock| self.shown(*id, lock, now))
    }

    /// How the locks stand that are held or waited for, by name.
    pub(super) fn lines(&self, after: Option<&str>, limit: u32, now: Moment) -> Vec<Line> {
        let names = self.lock_names.committed().iter();
        let later = names.filter(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        let locks = later.filter_map(|(_, id)| Some((*id, self.locks.committed().get(id)?)));
        let used = locks.filter(|(_, lock)| lock.is_held() || lock.waiting > 0);
        used.take(limit as usize).map(|(id, lock)| self.shown(id, lock, now)).collect()
    }

    fn shown(&self, id: u64, lock: &Lock, now: Moment) -> Line {
        let census = self.committed_census();
        let holder = lock.holder.map(|held| {
            let remaining_ms = held.remaining(census, now, None);
            Holder {
                grant: held.grant,
                held_ms: now.boot_ms.saturating_sub(held.granted),
                ttl_ms: held.ttl_ms,
                remaining_ms,
                void: remaining_ms == 0,
                identity: census.identity(held.grant.process),
            }
        });
        Line { lock: id, name: lock.name.to_string(), holder, waiting: lock.waiting }
    }
}

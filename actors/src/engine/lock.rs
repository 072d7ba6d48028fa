//! Locks in tables: a row a lock, a row a waiting ticket, and one rule for passing a lock on.

use std::collections::BTreeSet;

use super::counter::Counter;
use super::process::Census;
use super::store::{Caller, Store};
use crate::limits;
use crate::name::{self, Name};
use crate::storage::lock::{
    Acquire, Acquired, Break, Broken, Fence, First, Grant, Holder, Leave, Left, Line, Recall, Recalled,
    Renew, Renewed, Settle, Settled, Was, lease_end,
};
use crate::storage::{Moment, Target};

/// A lock that was used at least once.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Its name.
    pub name: Name,
    /// How much there is of it.
    pub capacity: u32,
    /// In the order of their tickets.
    pub holders: Vec<Held>,
    /// Tickets in the line.
    pub waiting: u64,
}

impl Lock {
    /// Whether somebody has the lock, void or not.
    pub fn is_held(&self) -> bool {
        !self.holders.is_empty()
    }
}

/// What a holder of a lock was given.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The grant.
    pub grant: Grant,
    /// How much of the capacity.
    pub weight: u32,
    /// When, by the boot clock.
    pub granted: u64,
    /// For how long.
    pub ttl_ms: u64,
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
pub struct Ticket {
    /// Whose it is.
    pub process: u64,
    /// For how long the lock is wanted.
    pub ttl_ms: u64,
    /// And how much of it.
    pub weight: u32,
}

fn used(holders: &[Held]) -> u64 {
    holders.iter().map(|held| u64::from(held.weight)).sum()
}

/// What is written.
impl Store {
    /// Takes a ticket: behind whoever is before, or else, by settling the line, in a holder's place.
    pub fn lock_acquire(&mut self, me: &Caller, operation: &Acquire) -> Acquired {
        let Acquire { capacity, weight, ttl_ms, wait, .. } = *operation;
        let ticket = Ticket { process: me.process, ttl_ms, weight };
        let known = self.lock_id(&operation.lock);
        if let Some(lock) = known
            && let Some(row) = self.locks.get(&lock)
        {
            // What is refused must have written nothing, so the refusals come first.
            if row.capacity != capacity {
                return Acquired::Mismatch { capacity: row.capacity };
            }
            if !self.has_room(me, lock, weight) {
                if !wait {
                    return Acquired::Held;
                }
                if self.is_full(me, lock) {
                    return Acquired::Full;
                }
                // If a holder is void, the first in line has the lock as soon as somebody settles.
                return Acquired::Waiting { lock, ticket: self.take_ticket(lock, ticket) };
            }
        }
        let lock = known.unwrap_or_else(|| self.new_lock(&operation.lock.name, capacity));
        let ticket = self.take_ticket(lock, ticket);
        match self.settle(me, lock).into_iter().find(|grant| grant.ticket == ticket) {
            Some(grant) => Acquired::Granted(grant),
            None => Acquired::Waiting { lock, ticket },
        }
    }

    /// Takes a ticket out of the line or out of a holder's place.
    pub fn lock_leave(&mut self, me: &Caller, operation: &Leave) -> Left {
        let Leave { lock, ticket } = *operation;
        let own = |held: &Held| held.grant.ticket == ticket && held.grant.process == me.process;
        if self.live_holders(me, lock).iter().any(own) {
            self.change_holders(lock, |holders| holders.retain(|held| !own(held)));
            return Left { was: Was::Holding, next: self.settle(me, lock) };
        }
        if self.tickets.get(&(lock, ticket)).is_some_and(|waiting| waiting.process == me.process) {
            self.drop_ticket(lock, ticket);
            // Those behind it may fit where it did not.
            return Left { was: Was::Waiting, next: self.settle(me, lock) };
        }
        Left { was: Was::Gone, next: Vec::new() }
    }

    /// Passes the lock on if it is to be passed on.
    pub fn lock_settle(&mut self, me: &Caller, operation: &Settle) -> Settled {
        let lock = operation.lock;
        let next = self.settle(me, lock);
        let mut line = self.tickets.range((lock, 0)..=(lock, u64::MAX));
        let first = line.find(|(_, ticket)| self.census(me).living(ticket.process).is_some());
        let first = first.map(|((_, ticket), _)| *ticket);
        Settled { holders: self.live_grants(me, lock), next, first }
    }

    /// Whether the caller's ticket holds the lock.
    pub fn lock_renew(&mut self, me: &Caller, operation: &Renew) -> Renewed {
        let Renew { lock, ticket } = *operation;
        let holders = self.live_grants(me, lock);
        Renewed { held: holders.iter().any(|held| held.ticket == ticket && held.process == me.process) }
    }

    /// The caller's tickets.
    pub fn lock_recall(&mut self, me: &Caller, operation: &Recall) -> Recalled {
        let Some(lock) = self.lock_id(&operation.lock) else { return Recalled { tickets: Vec::new() } };
        let holding = self.live_grants(me, lock).into_iter().filter(|held| held.process == me.process);
        let line = self.tickets.range((lock, 0)..=(lock, u64::MAX));
        let waiting = line.filter(|(_, waiting)| waiting.process == me.process);
        let tickets = holding.map(|held| held.ticket).chain(waiting.map(|((_, ticket), _)| *ticket));
        Recalled { tickets: tickets.map(|ticket| Leave { lock, ticket }).collect() }
    }

    /// Takes the lock away from its holders and passes it on.
    pub fn lock_break(&mut self, me: &Caller, operation: &Break) -> Broken {
        let Some(lock) = self.lock_id(&operation.lock) else {
            return Broken { taken: Vec::new(), next: Vec::new() };
        };
        let taken = self.live_grants(me, lock);
        self.change_holders(lock, |holders| holders.retain(|held| !taken.contains(&held.grant)));
        Broken { taken, next: self.settle(me, lock) }
    }

    /// Whether `fence` still stands: its token is the current one of a lease that has not ended.
    pub fn fence_stands(&self, me: &Caller, fence: &Fence) -> bool {
        self.live_grants(me, fence.lock).iter().any(|held| held.token == fence.token)
    }

    /// Frees the caller's own leases that ended before it began. Whether there were any.
    pub fn free_expired(&mut self, me: &Caller) -> bool {
        let mine = self.locks_held_by(me.process);
        let void = |lock: &u64| {
            let rows = self.locks.get(lock).map_or(&[][..], |row| &row.holders);
            rows.iter().any(|held| {
                held.grant.process == me.process
                    && held.remaining(self.census(me), me.now, Some(me.process)) == 0
            })
        };
        let expired: Vec<u64> = mine.into_iter().filter(void).collect();
        for lock in &expired {
            self.settle(me, *lock);
        }
        !expired.is_empty()
    }

    /// The one rule of passing on: while the holders' leases last and leave no room, nothing changes; else the first
    /// tickets of living processes hold the lock, as many as fit, and the tickets of the dead before them are gone.
    /// Who got it.
    pub fn settle(&mut self, me: &Caller, lock: u64) -> Vec<Grant> {
        self.clear_void_holders(me, lock);
        let Some(row) = self.locks.get(&lock) else { return Vec::new() };
        let (mut used, capacity) = (used(&row.holders), u64::from(row.capacity));
        let mut granted = Vec::new();
        while used < capacity
            && let Some((ticket, waiting)) = self.first_ticket(lock)
        {
            let lives = self.census(me).living(waiting.process).is_some();
            if lives && used + u64::from(waiting.weight) > capacity {
                break;
            }
            self.drop_ticket(lock, ticket);
            if lives {
                used += u64::from(waiting.weight);
                granted.push(self.give(me, lock, ticket, waiting));
            }
        }
        granted
    }

    fn give(&mut self, me: &Caller, lock: u64, ticket: u64, to: Ticket) -> Grant {
        let Ticket { process, ttl_ms, weight } = to;
        let newest = self.counter(Counter::Number) == ticket;
        let token = if newest { ticket } else { self.next_number() };
        let grant = Grant { lock, ticket, token, process };
        let held = Held { grant, weight, granted: me.now.boot_ms, ttl_ms };
        self.change_holders(lock, |holders| holders.push(held));
        self.uses.put((process, lock, ticket), ());
        grant
    }

    /// Locks that a process holds, void or not, by their ids.
    pub fn locks_held_by(&self, process: u64) -> Vec<u64> {
        let held = |lock: &u64| {
            let row = self.locks.get(lock);
            row.is_some_and(|row| row.holders.iter().any(|held| held.grant.process == process))
        };
        self.locks_used_by(process).into_iter().filter(held).collect()
    }

    /// Locks that a process holds or waits for, by their ids. When it is gone, others may fit.
    pub fn locks_used_by(&self, process: u64) -> BTreeSet<u64> {
        self.uses_of(process).map(|(lock, _)| lock).collect()
    }

    /// Lock and ticket of what a process holds or waits for.
    fn uses_of(&self, process: u64) -> impl Iterator<Item = (u64, u64)> {
        let uses = self.uses.range((process, 0, 0)..=(process, u64::MAX, u64::MAX));
        uses.map(|((_, lock, ticket), ())| (*lock, *ticket))
    }

    /// Whether a ticket is in the line, be it of the dead.
    pub fn is_waited_for(&self, lock: u64) -> bool {
        self.locks.get(&lock).is_some_and(|row| row.waiting > 0)
    }

    /// Takes a process's tickets out of all lines.
    pub fn drop_tickets_of(&mut self, process: u64) {
        let own: Vec<(u64, u64)> =
            self.uses_of(process).filter(|key| self.tickets.get(key).is_some()).collect();
        for (lock, ticket) in own {
            self.drop_ticket(lock, ticket);
        }
    }

    fn lock_id(&self, target: &Target) -> Option<u64> {
        target.id.or_else(|| self.lock_names.get(&target.name).copied())
    }

    fn new_lock(&mut self, name: &Name, capacity: u32) -> u64 {
        let lock = self.next(Counter::Lock);
        self.lock_names.put(name.clone(), lock);
        self.locks.put(lock, Lock { name: name.clone(), capacity, holders: Vec::new(), waiting: 0 });
        lock
    }

    /// Whether a newcomer need not wait: nobody living is in the line, and the living holders leave room.
    fn has_room(&self, me: &Caller, lock: u64, weight: u32) -> bool {
        let mut line = self.tickets.range((lock, 0)..=(lock, u64::MAX));
        let capacity = self.locks.get(&lock).map_or(0, |row| u64::from(row.capacity));
        used(&self.live_holders(me, lock)) + u64::from(weight) <= capacity
            && !line.any(|(_, ticket)| self.census(me).living(ticket.process).is_some())
    }

    /// Whether as many of the living wait as may. The dead take nobody's place.
    fn is_full(&self, me: &Caller, lock: u64) -> bool {
        let line = || self.tickets.range((lock, 0)..=(lock, u64::MAX));
        let living = || line().filter(|(_, ticket)| self.census(me).living(ticket.process).is_some());
        let waiting = self.locks.get(&lock).map_or(0, |row| row.waiting);
        waiting >= limits::WAITERS && living().count() as u64 >= limits::WAITERS
    }

    fn live_holders(&self, me: &Caller, lock: u64) -> Vec<Held> {
        let holders = self.locks.get(&lock).map_or(&[][..], |row| &row.holders);
        holders
            .iter()
            .filter(|held| held.remaining(self.census(me), me.now, Some(me.process)) > 0)
            .copied()
            .collect()
    }

    fn live_grants(&self, me: &Caller, lock: u64) -> Vec<Grant> {
        self.live_holders(me, lock).into_iter().map(|held| held.grant).collect()
    }

    fn clear_void_holders(&mut self, me: &Caller, lock: u64) {
        let live = self.live_grants(me, lock);
        let Some(row) = self.locks.get(&lock) else { return };
        let void: Vec<Grant> =
            row.holders.iter().map(|held| held.grant).filter(|grant| !live.contains(grant)).collect();
        if void.is_empty() {
            return;
        }
        self.change_holders(lock, |holders| holders.retain(|held| live.contains(&held.grant)));
        // If one lives, it was only silent, and does not know yet.
        for grant in void.iter().filter(|grant| grant.process != me.process) {
            self.mark_robbed(grant.process, true);
        }
    }

    fn change_holders(&mut self, lock: u64, change: impl FnOnce(&mut Vec<Held>)) {
        let Some(mut row) = self.locks.get(&lock).cloned() else { return };
        let before = row.holders.clone();
        change(&mut row.holders);
        let has_gone = |was: &&Held| row.holders.iter().all(|held| held.grant.ticket != was.grant.ticket);
        for Held { grant, .. } in before.iter().filter(has_gone) {
            self.uses.remove(&(grant.process, lock, grant.ticket));
        }
        self.locks.put(lock, row);
    }

    fn first_ticket(&self, lock: u64) -> Option<(u64, Ticket)> {
        self.tickets.range((lock, 0)..=(lock, u64::MAX)).next().map(|((_, ticket), row)| (*ticket, *row))
    }

    fn take_ticket(&mut self, lock: u64, taken: Ticket) -> u64 {
        let Some(mut row) = self.locks.get(&lock).cloned() else { return 0 };
        row.waiting += 1;
        self.locks.put(lock, row);
        let ticket = self.next_number();
        self.tickets.put((lock, ticket), taken);
        self.uses.put((taken.process, lock, ticket), ());
        ticket
    }

    fn drop_ticket(&mut self, lock: u64, ticket: u64) {
        let Some(Ticket { process, .. }) = self.tickets.get(&(lock, ticket)).copied() else { return };
        self.tickets.remove(&(lock, ticket));
        self.uses.remove(&(process, lock, ticket));
        if let Some(mut row) = self.locks.get(&lock).cloned() {
            row.waiting = row.waiting.saturating_sub(1);
            self.locks.put(lock, row);
        }
    }
}

/// What is read.
impl Store {
    /// How one lock stands.
    pub fn line(&self, name: &Name, now: Moment) -> Option<Line> {
        let id = self.lock_names.get(name)?;
        self.locks.get(id).map(|lock| self.shown(*id, lock, now))
    }

    /// How the locks stand that are held or waited for, by name.
    pub fn lines(&self, after: Option<&str>, limit: u32, now: Moment) -> Vec<Line> {
        let later = self.lock_names.range(name::behind(after));
        let locks = later.filter_map(|(_, id)| Some((*id, self.locks.get(id)?)));
        let used = locks.filter(|(_, lock)| lock.is_held() || lock.waiting > 0);
        used.take(limit as usize).map(|(id, lock)| self.shown(id, lock, now)).collect()
    }

    /// Leases of a process that have not ended.
    pub fn leases_of(&self, process: u64, now: Moment) -> u64 {
        let census = self.reader_census();
        let held = self.locks_used_by(process).into_iter().filter_map(|lock| self.locks.get(&lock));
        let held = held.flat_map(|lock| &lock.holders);
        held.filter(|held| held.grant.process == process && held.remaining(census, now, None) > 0).count()
            as u64
    }

    /// Locks that somebody holds whose lease has not ended.
    pub fn held(&self, now: Moment) -> u64 {
        let census = self.reader_census();
        let is_held = |lock: &&Lock| lock.holders.iter().any(|held| held.remaining(census, now, None) > 0);
        let used: BTreeSet<u64> = self.uses.iter().map(|((_, lock, _), ())| *lock).collect();
        used.iter().filter_map(|lock| self.locks.get(lock)).filter(is_held).count() as u64
    }

    /// Tickets of a process, in whatever line.
    pub fn tickets_of(&self, process: u64) -> u64 {
        self.uses_of(process).filter(|key| self.tickets.get(key).is_some()).count() as u64
    }

    fn shown(&self, id: u64, lock: &Lock, now: Moment) -> Line {
        let census = self.reader_census();
        let shown = |held: &Held| {
            let remaining_ms = held.remaining(census, now, None);
            Holder {
                grant: held.grant,
                weight: held.weight,
                held_ms: now.boot_ms.saturating_sub(held.granted),
                ttl_ms: held.ttl_ms,
                remaining_ms,
                void: remaining_ms == 0,
                identity: census.identity(held.grant.process),
            }
        };
        let holders = lock.holders.iter().map(shown).collect();
        let mut line = self.tickets.range((id, 0)..=(id, u64::MAX));
        let first = line.find(|(_, ticket)| census.living(ticket.process).is_some());
        let first = first.map(|((_, ticket), row)| First { ticket: *ticket, weight: row.weight });
        let (name, capacity) = (lock.name.to_string(), lock.capacity);
        // There is no disk behind which it could be.
        let synced = true;
        Line { lock: id, name, capacity, holders, waiting: lock.waiting, first, synced }
    }
}

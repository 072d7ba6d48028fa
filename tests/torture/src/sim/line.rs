//! The rules of locks as a model: who holds what and who waits, judged at each commit by what the operations say and by
//! when leases end. It knows nothing of how the store does it.

use std::collections::BTreeMap;

use millpond_actors::storage::lock::{Acquire, Acquired, Fence, Grant, Left, Line, Was};

use super::judge::{Broken, Violation};

/// So long at most a lock stays with a process that has given no sign of life since the lock was passed on to it.
const TAKE_UP_MS: u64 = 5_000;

/// A process, as the store knows it.
#[derive(Debug)]
struct Member {
    life: u64,
    beat_ms: u64,
    /// Since when it is dead, or has left.
    gone_ms: Option<u64>,
}

/// A lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) ticket: u64,
    pub(super) process: u64,
    granted_ms: u64,
    ttl_ms: u64,
    /// When it was over, if it is.
    pub(super) ended_ms: Option<u64>,
    /// A caller was told of it.
    pub(super) told: bool,
    /// A caller has it.
    pub(super) kept: bool,
}

#[derive(Debug, Default)]
struct Lock {
    /// The holder's token.
    holder: Option<u64>,
    /// Process and time to live of those who wait, by ticket.
    line: BTreeMap<u64, (u64, u64)>,
}

/// All locks of the store.
#[derive(Debug, Default)]
pub(super) struct Locks {
    members: BTreeMap<u64, Member>,
    locks: BTreeMap<u64, Lock>,
    leases: BTreeMap<u64, Lease>,
    most: u64,
    /// The same before the group that is judged: what was passed on in silence came before what its operations say.
    most_before: u64,
    /// Grants so far, and those of them that ended a lease by time or death.
    pub(super) grants: (u64, u64),
}

impl Locks {
    /// A process has registered.
    pub(super) fn joined(&mut self, process: u64, life: u64, now_ms: u64) {
        self.members.insert(process, Member { life, beat_ms: now_ms, gone_ms: None });
    }

    /// A process was killed, or has left.
    pub(super) fn gone(&mut self, process: u64, now_ms: u64) {
        if let Some(member) = self.members.get_mut(&process) {
            member.gone_ms.get_or_insert(now_ms);
        }
    }

    /// The life that a process id belongs to, if it lives.
    pub(super) fn life_of(&self, process: u64) -> Option<u64> {
        self.members.get(&process).filter(|member| member.gone_ms.is_none()).map(|member| member.life)
    }

    /// A group of this process that began then is committed.
    pub(super) fn beat(&mut self, process: u64, now_ms: u64) {
        if let Some(member) = self.members.get_mut(&process) {
            member.beat_ms = now_ms;
        }
        self.most_before = self.most;
    }

    /// The lease of a token.
    pub(super) fn lease(&mut self, token: u64) -> Option<&mut Lease> {
        self.leases.get_mut(&token)
    }

    /// When a lease ends unless its process beats again. `own`: asked in a commit of this process, which takes it up.
    fn end_ms(&self, lease: &Lease, own: Option<u64>) -> u64 {
        let Some(member) = self.members.get(&lease.process) else { return 0 };
        if let Some(gone_ms) = member.gone_ms {
            return gone_ms;
        }
        if own == Some(lease.process) || member.beat_ms >= lease.granted_ms {
            member.beat_ms.max(lease.granted_ms) + lease.ttl_ms
        } else {
            lease.granted_ms + lease.ttl_ms.min(TAKE_UP_MS)
        }
    }

    /// Whether the token is the current one of a lease that lasts.
    pub(super) fn stands(&self, fence: &Fence, now_ms: u64, own: u64) -> bool {
        let holder = self.locks.get(&fence.lock).and_then(|lock| lock.holder);
        holder == Some(fence.token)
            && self.leases.get(&fence.token).is_some_and(|lease| self.end_ms(lease, Some(own)) > now_ms)
    }

    /// Whether a ticket holds the lock by a lease that lasts.
    pub(super) fn holds(&self, lock: u64, ticket: u64, now_ms: u64, own: u64) -> bool {
        let token = self.locks.get(&lock).and_then(|lock| lock.holder);
        let lease = token.and_then(|token| self.leases.get(&token));
        lease.is_some_and(|lease| lease.ticket == ticket && self.end_ms(lease, Some(own)) > now_ms)
    }

    /// What an acquire has led to.
    pub(super) fn acquired(
        &mut self,
        process: u64,
        operation: &Acquire,
        outcome: &Acquired,
        now_ms: u64,
    ) -> Option<Violation> {
        match outcome {
            Acquired::Granted(grant) => self.granted(grant, Some(operation.ttl_ms), now_ms),
            Acquired::Waiting { lock, ticket } => {
                let line = &mut self.locks.entry(*lock).or_default().line;
                line.insert(*ticket, (process, operation.ttl_ms));
                None
            }
            _ => None,
        }
    }

    /// What a leave has led to, but for the next grants.
    pub(super) fn left(&mut self, lock: u64, ticket: u64, left: &Left, now_ms: u64) -> Option<Violation> {
        match left.was {
            Was::Holding => {
                let token = self.locks.get(&lock).and_then(|lock| lock.holder)?;
                let holder = self.leases.get(&token).map(|lease| lease.ticket);
                if holder != Some(ticket) && self.waits(lock, ticket) {
                    // It was granted in silence when this group began, and given back at once: nobody knows its token.
                    let said = self.may_have(lock, ticket, now_ms);
                    self.take_away(lock, now_ms);
                    self.leave_line(lock, ticket);
                    return said;
                }
                self.take_away(lock, now_ms);
            }
            Was::Waiting => self.leave_line(lock, ticket),
            Was::Gone => {}
        }
        None
    }

    fn waits(&self, lock: u64, ticket: u64) -> bool {
        self.locks.get(&lock).is_some_and(|lock| lock.line.contains_key(&ticket))
    }

    fn leave_line(&mut self, lock: u64, ticket: u64) {
        if let Some(lock) = self.locks.get_mut(&lock) {
            lock.line.remove(&ticket);
        }
    }

    /// The lock is taken from whoever holds it.
    pub(super) fn take_away(&mut self, lock: u64, now_ms: u64) {
        let token = self.locks.get_mut(&lock).and_then(|lock| lock.holder.take());
        let Some(lease) = token.and_then(|token| self.leases.get(&token)).copied() else { return };
        let ended_ms = self.end_ms(&lease, None).min(now_ms);
        if let Some(lease) = token.and_then(|token| self.leases.get_mut(&token)) {
            lease.ended_ms = Some(ended_ms);
        }
    }

    /// What is wrong with a ticket that is given the lock.
    fn may_have(&self, lock: u64, ticket: u64, now_ms: u64) -> Option<Violation> {
        let row = self.locks.get(&lock)?;
        if let Some(lease) = row.holder.and_then(|token| self.leases.get(&token)) {
            let left_ms = self.end_ms(lease, None).saturating_sub(now_ms);
            if left_ms > 0 {
                let words = format!("lock {lock}: ticket {ticket} while {lease:?} lasts {left_ms} ms more");
                return Some((Broken::Overlap, words));
            }
        }
        let lives = |(_, (process, _)): &(&u64, &(u64, u64))| self.life_of(*process).is_some();
        let first = row.line.iter().find(lives).map(|(first, _)| *first);
        first.filter(|first| *first < ticket).map(|first| {
            (Broken::Inversion, format!("lock {lock}: ticket {ticket} before ticket {first}, which lives"))
        })
    }

    /// A lock was given to a ticket; `ttl_ms` if that came straight out of an acquire.
    pub(super) fn granted(&mut self, grant: &Grant, ttl_ms: Option<u64>, now_ms: u64) -> Option<Violation> {
        self.given(grant, ttl_ms, now_ms, false)
    }

    fn given(
        &mut self,
        grant: &Grant,
        ttl_ms: Option<u64>,
        now_ms: u64,
        in_silence: bool,
    ) -> Option<Violation> {
        let Grant { lock, ticket, token, process } = *grant;
        if self.locks.get(&lock).is_some_and(|row| row.holder == Some(token)) {
            return None;
        }
        let mut said = self.may_have(lock, ticket, now_ms);
        let before = if in_silence { self.most_before } else { self.most };
        if token <= before {
            said = said.or_else(|| Some((Broken::Token, format!("token {token} after {before}"))));
        }
        self.most = self.most.max(token);
        let taken_over = self.locks.get(&lock).is_some_and(|row| row.holder.is_some());
        self.take_away(lock, now_ms);
        let row = self.locks.entry(lock).or_default();
        let ttl_ms = row.line.get(&ticket).map(|(_, ttl_ms)| *ttl_ms).or(ttl_ms).unwrap_or_default();
        // Whoever of the dead stands before it is cleared away.
        row.line = row.line.split_off(&(ticket + 1));
        row.holder = Some(token);
        let (ended_ms, told, kept) = (None, false, false);
        self.leases
            .insert(token, Lease { ticket, process, granted_ms: now_ms, ttl_ms, ended_ms, told, kept });
        self.grants.0 += 1;
        self.grants.1 += u64::from(taken_over);
        said
    }

    /// Somebody holds a lock, and may have been given it in silence when this group began.
    pub(super) fn found(&mut self, grant: &Grant, now_ms: u64) -> Option<Violation> {
        self.given(grant, None, now_ms, true)
    }

    /// A lock as readers see it behind a commit that began at `now_ms`: what was passed on in silence.
    pub(super) fn shown(&mut self, line: &Line, now_ms: u64) -> Option<Violation> {
        let holder = self.locks.entry(line.lock).or_default().holder;
        match line.holders.first() {
            Some(holder) => self.found(&holder.grant, now_ms),
            None => {
                let lease = holder.and_then(|token| self.leases.get(&token)).copied();
                self.take_away(line.lock, now_ms);
                let lease = lease.filter(|lease| self.end_ms(lease, None) > now_ms)?;
                Some((Broken::Refused, format!("{lease:?} is gone, and nobody has given it back")))
            }
        }
    }

    /// Whether a process waits for nothing, and holds something that others wait for.
    pub(super) fn only_holds(&self, process: u64, now_ms: u64) -> bool {
        let mut rows = self.locks.values();
        let waits = self.locks.values().any(|row| row.line.values().any(|(whose, _)| *whose == process));
        let holds = |row: &Lock| {
            let lease = row.holder.and_then(|token| self.leases.get(&token));
            lease.is_some_and(|lease| lease.process == process && self.end_ms(lease, None) > now_ms + 100)
        };
        !waits && rows.any(|row| holds(row) && !row.line.is_empty())
    }

    /// A ticket of this process that waits, with others behind it.
    pub(super) fn waits_before_others(&self, process: u64) -> Option<(u64, u64)> {
        self.locks.iter().find_map(|(id, lock)| {
            let last = *lock.line.keys().next_back()?;
            let own = |(ticket, (whose, _)): (&u64, &(u64, u64))| (*whose == process).then_some(*ticket);
            lock.line.iter().find_map(own).filter(|ticket| *ticket < last).map(|ticket| (*id, ticket))
        })
    }

    /// For each lock what is odd about it at this moment, with the life that it is odd for, and what it is about.
    pub(super) fn odd(&self, now_ms: u64) -> Vec<(u64, u64, Broken, u64)> {
        let mut odd = Vec::new();
        for (id, lock) in &self.locks {
            let lease = lock.holder.and_then(|token| self.leases.get(&token));
            match lease.filter(|lease| self.end_ms(lease, None) > now_ms) {
                Some(lease) if !lease.kept => {
                    odd.extend(
                        self.life_of(lease.process).map(|life| (*id, life, Broken::Leaked, lease.ticket)),
                    );
                }
                Some(_) => {}
                None => {
                    let living = |(ticket, (process, _)): (&u64, &(u64, u64))| {
                        self.life_of(*process).map(|life| (*ticket, life))
                    };
                    let first = lock.line.iter().find_map(living);
                    odd.extend(first.map(|(ticket, life)| (*id, life, Broken::Stalled, ticket)));
                }
            }
        }
        odd
    }
}

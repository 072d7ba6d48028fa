//! Locks in the database: one line of tickets a lock, strict first come, first served over all processes.
//!
//! A lease hangs on its process's beat: it ends as [`lease_end`] says, and at once when the process is known to be
//! dead, has left, or belongs to another boot of the machine. A holder whose lease has ended is *void*: it holds
//! nothing, even if nobody has taken the lock yet.
//!
//! Tickets and fencing tokens are numbers of one counter, the store's. A ticket that is still the newest number when
//! the lock is given to it serves as the token; otherwise the token is a new number. So tokens grow from grant to
//! grant over all locks, and a lock that nobody fights for costs one number and one row.
//!
//! A lock has a capacity and every ticket a weight. With a capacity of 1 it excludes; with more it is a semaphore, and
//! a lock for readers and writers is a semaphore of which a writer wants all. The order stays strict: whoever does not
//! fit holds up those behind, so that many small ones cannot starve a large one. So every ticket that holds a part of a
//! lock is older than every living ticket that waits for it.
//!
//! Invariant: while its holders live, the first living ticket of a line does not fit. Whatever frees room passes it on.

use super::Target;
use crate::clock::millis;
use crate::error::Error;
use crate::limits;

/// When a lease ends if its process does not beat again; all in milliseconds of the boot clock.
///
/// A time to live after the process's last beat. But a lock that another process has passed on has first to be taken
/// up: until its new holder's process beats, which any commit of it does, the lease lasts no longer than
/// [`limits::TAKE_UP`]. A grant in a commit of the holder's own is taken up by that commit. After the limit others may
/// pass the lock on; as long as nobody has, it can still be taken up.
#[must_use]
pub fn lease_end(granted_at: u64, last_beat: u64, ttl_ms: u64) -> u64 {
    if last_beat >= granted_at {
        last_beat.saturating_add(ttl_ms)
    } else {
        granted_at.saturating_add(ttl_ms.min(millis(limits::TAKE_UP)))
    }
}

/// The right to write under a lock, as a condition inside a transaction.
///
/// Why a token and not the lock alone: see Kleppmann, "How to do distributed locking" (2016). A holder that
/// was stopped past its lease cannot know it; the token's comparison inside the commit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lock's row.
    pub lock: u64,
    /// The lock's name, for the error.
    pub name: crate::name::Name,
    /// The token that must be the current one of a live lease.
    pub token: u64,
}

impl Fence {
    /// What the storage's refusal says to whoever wrote under it.
    #[must_use]
    pub fn refused(fence: Option<&Fence>) -> Error {
        let lock = fence.map_or_else(String::new, |fence| fence.name.to_string());
        Error::Fenced { lock, token: fence.map_or(0, |fence| fence.token) }
    }
}

/// A lock that has been given to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The lock's row.
    pub lock: u64,
    /// The ticket it was given to.
    pub ticket: u64,
    /// The fencing token: larger than every token given before by this store, for whatever lock.
    pub token: u64,
    /// The process the ticket belongs to.
    pub process: u64,
}

/// Take a ticket. If nobody living waits before it and it fits (after void holders and tickets of the dead have been
/// cleared away), it holds the lock at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    /// The lock; its row is made on first use.
    pub lock: Target,
    /// How much of it there is: 1 for a lock that excludes, more for one that is shared. Its first use fixes it.
    pub capacity: u32,
    /// How much of it is wanted: at least 1, at most all.
    pub weight: u32,
    /// The lease's time to live, counted from the grant, in milliseconds.
    pub ttl_ms: u64,
    /// Whether to wait in line. Without, no ticket is left behind.
    pub wait: bool,
}

/// What became of [`Acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It holds the lock.
    Granted(Grant),
    /// It waits in line.
    Waiting {
        /// The lock's row.
        lock: u64,
        /// The ticket, larger than every earlier one of this store.
        ticket: u64,
    },
    /// It does not fit or others wait before it, and the caller did not want to wait.
    Held,
    /// It has had another capacity since its first use.
    Mismatch {
        /// That one.
        capacity: u32,
    },
    /// As many wait already as [`limits::WAITERS`] allows.
    Full,
}

/// Leave the line: release the lock if `ticket` holds it, stop waiting if it waits. Whoever fits then gets it. Only the
/// process that took the ticket asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// The lock's row.
    pub lock: u64,
    /// The ticket.
    pub ticket: u64,
}

/// What became of [`Leave`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What the ticket had been. `Gone` changes nothing.
    pub was: Was,
    /// To whom the lock was passed on by this, in the order of the tickets.
    pub next: Vec<Grant>,
}

/// What a ticket had been when it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    /// It held the lock.
    Holding,
    /// It waited.
    Waiting,
    /// Neither: its lease had ended, or it had left already.
    Gone,
}

/// Clear void holders away, and pass the lock on to the first living tickets, as many as fit. Changes nothing if the
/// holders live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The lock's row.
    pub lock: u64,
}

/// What became of [`Settle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Who holds it now, in the order of the tickets.
    pub holders: Vec<Grant>,
    /// To whom of them it was passed on by this.
    pub next: Vec<Grant>,
    /// The first living ticket that waits. An older one that does not hold the lock is in no line any more.
    pub first: Option<u64>,
}

/// Ask whether a ticket still holds its lock. Only the process that took the ticket asks; the commit itself is the
/// beat that prolongs the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renew {
    /// The lock's row.
    pub lock: u64,
    /// The ticket.
    pub ticket: u64,
}

/// What became of [`Renew`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Whether the ticket holds the lock. If not, nothing was changed.
    pub held: bool,
}

/// Ask which tickets of a lock this process has, waiting or holding. After a commit of unknown fate there may be some that
/// nobody here knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The lock.
    pub lock: Target,
}

/// What became of [`Recall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The tickets in their order, each as it would leave.
    pub tickets: Vec<Leave>,
}

/// Take a lock away from all who hold it, and pass it on. What its former holders still write under their tokens is
/// refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The lock. One that was never used has no holder.
    pub lock: Target,
}

/// What became of [`Break`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// From whom it was taken; not from holders whose lease had ended.
    pub taken: Vec<Grant>,
    /// To whom it was passed on.
    pub next: Vec<Grant>,
}

/// How a lock stands, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The lock's row.
    pub lock: u64,
    /// Its name.
    pub name: String,
    /// How much of it there is: 1 for a lock that excludes.
    pub capacity: u32,
    /// Who holds it, in the order of the tickets; void holders are shown as void.
    pub holders: Vec<Holder>,
    /// Tickets waiting behind, those of the dead included until they are cleared away.
    pub waiting: u64,
    /// The first living ticket of those.
    pub first: Option<First>,
    /// Whether all that is seen here survives a power cut: no process has written it that does not sync its commits.
    pub synced: bool,
}

/// Who is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The ticket.
    pub ticket: u64,
    /// How much of the lock it wants.
    pub weight: u32,
}

impl Line {
    /// What sort of lock it is, in words: "a lock", "a semaphore of 3 permits", "a lock for readers and writers".
    #[must_use]
    pub fn kind(&self) -> String {
        kind(self.capacity)
    }

    /// Whether it is one for readers, who weigh 1, and writers, who weigh all.
    #[must_use]
    pub fn has_readers_and_writers(&self) -> bool {
        self.capacity == limits::READERS_AND_WRITERS
    }

    /// Who holds it, of a lock that excludes.
    #[must_use]
    pub fn holder(&self) -> Option<&Holder> {
        self.holders.first().filter(|_| self.capacity == 1)
    }

    /// Those whose leases last.
    pub fn living(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter().filter(|holder| !holder.void)
    }

    /// How much of it is held by them.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.living().map(|holder| u64::from(holder.weight)).sum()
    }

    /// Whether the first in line would have it if somebody settled.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.first.is_some_and(|first| self.used() + u64::from(first.weight) <= u64::from(self.capacity))
    }
}

/// A capacity in words.
pub(crate) fn kind(capacity: u32) -> String {
    match capacity {
        1 => "a lock".to_owned(),
        limits::READERS_AND_WRITERS => "a lock for readers and writers".to_owned(),
        permits => format!("a semaphore of {permits} permits"),
    }
}

/// Who holds a lock, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What it was given.
    pub grant: Grant,
    /// How much of the lock it has.
    pub weight: u32,
    /// Milliseconds since the grant.
    pub held_ms: u64,
    /// The lease's time to live, in milliseconds.
    pub ttl_ms: u64,
    /// Milliseconds until the lease ends unless its process beats again; 0 if it is void.
    pub remaining_ms: u64,
    /// Whether the lease has ended, by time or by its process's end.
    pub void: bool,
    /// Its process, if that is still registered.
    pub identity: Option<super::Identity>,
}

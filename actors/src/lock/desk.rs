//! What happens to a lock's outcomes where they are known first: on the thread that committed. And the place in the
//! line, which gives itself up.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;

use super::{Changed, LeaveAgain, LockActor, PassedOn};
use crate::error::{Error, Result};
use crate::gate::Passage;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::lock::{Fence, Grant, Leave, Left, Renew, Renewed, Was};
use crate::supervisor::Stay;
use crate::writer::Writer;

/// What is needed to deal with an outcome without the actor. A lock that nobody fights for never comes back to it.
///
/// One for all operations of an actor: cloning an actix address allocates twice.
pub(super) struct Desk {
    pub(super) name: Name,
    pub(super) writer: Writer,
    /// Weak, or the actor would keep itself.
    pub(super) line: WeakAddr<LockActor>,
    held: HeldHere,
    /// Somebody here follows the lock: what happens at this desk is news to the actor.
    followed: AtomicBool,
}

impl Desk {
    pub(super) fn new(name: Name, writer: Writer, line: WeakAddr<LockActor>) -> Desk {
        Desk { name, writer, line, held: HeldHere::default(), followed: AtomicBool::new(false) }
    }

    /// Whether a grant belongs to this process and to no holder in it. If nobody waits with its ticket either, it was
    /// taken by a commit of unknown fate, and nobody was told.
    pub(super) fn is_orphan(&self, grant: &Grant) -> bool {
        grant.process == self.writer.process() && !self.holds(grant.ticket)
    }

    /// Whether somebody here holds the lock under this ticket.
    pub(super) fn holds(&self, ticket: u64) -> bool {
        self.held.contains(ticket)
    }

    pub(super) fn follow(&self, followed: bool) {
        self.followed.store(followed, Ordering::SeqCst);
    }

    /// Says that the lock has another holder, or none, if anybody wants to know.
    pub(super) fn tell_followers(&self) {
        if self.followed.load(Ordering::SeqCst) {
            self.tell(Changed);
        }
    }

    /// Tells the actor. One that is not there any more has nobody waiting.
    pub(super) fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        LockActor: Handler<M>,
    {
        if let Some(line) = self.line.upgrade() {
            // Bounded by the gate, as every message is.
            line.do_send(message);
        }
    }

    /// Leaves the line, whatever the ticket is in it.
    ///
    /// Where that cannot be written now it is tried again: this process goes on to beat, so the lease would last
    /// as long as it does. Leaving twice is harmless. `held`: a lease of this process ends by it.
    pub(super) fn leave(
        self: &Arc<Self>,
        leave: Leave,
        held: bool,
        stay: Stay,
        passage: Option<Passage>,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let desk = Arc::clone(self);
        self.writer.apply(leave, passage, move |outcome| {
            if held {
                desk.writer.let_go();
            }
            then(match outcome {
                Ok(left) => desk.left(leave.ticket, left, stay),
                Err(error) => {
                    if may_pass(&error) {
                        desk.tell(LeaveAgain(leave, stay));
                    }
                    Err(error)
                }
            });
        });
    }

    fn left(&self, ticket: u64, left: Left, stay: Stay) -> Result<()> {
        for next in left.next {
            self.tell(PassedOn(next, stay.clone()));
        }
        self.tell_followers();
        match left.was {
            Was::Holding | Was::Waiting => Ok(()),
            Was::Gone => Err(Error::Lost { lock: self.name.to_string(), ticket }),
        }
    }
}

/// Whether it is worth to try again. A store that is not written to any more loses its leases by its silence.
pub(super) fn may_pass(error: &Error) -> bool {
    !matches!(error, Error::Closed | Error::Poisoned { .. } | Error::FileReplaced { .. })
}

/// The tickets under which somebody here holds the lock. For one that excludes this is one number, and no mutex.
#[derive(Default)]
struct HeldHere {
    /// One of them, or 0.
    one: AtomicU64,
    others: Mutex<BTreeSet<u64>>,
}

impl HeldHere {
    fn contains(&self, ticket: u64) -> bool {
        self.one.load(Ordering::SeqCst) == ticket || self.others().contains(&ticket)
    }

    fn insert(&self, ticket: u64) {
        if self.one.compare_exchange(0, ticket, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            self.others().insert(ticket);
        }
    }

    fn remove(&self, ticket: u64) {
        if self.one.compare_exchange(ticket, 0, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            self.others().remove(&ticket);
        }
    }

    fn others(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line of a lock: one that waits, or one that holds it.
///
/// Whoever drops it leaves the line, wherever that happens: in a guard, in a reply that nobody took, in an actor that
/// failed. Should the lock be given to it in that very moment, leaving gives it back. While it exists, the lock's
/// actor stays.
pub struct Place {
    desk: Arc<Desk>,
    stay: Stay,
    lock: u64,
    ticket: u64,
    /// Once it holds the lock.
    lease: Option<Lease>,
    left: bool,
}

/// What a place that holds the lock was given.
#[derive(Clone, Copy)]
struct Lease {
    token: u64,
    ttl_ms: u64,
}

impl Place {
    pub(super) fn new(desk: Arc<Desk>, stay: Stay, lock: u64, ticket: u64) -> Place {
        Place { desk, stay, lock, ticket, lease: None, left: false }
    }

    /// From now on it holds the lock, and this process sees to its lease.
    pub(super) fn granted(mut self, token: u64, ttl_ms: u64) -> Place {
        self.desk.writer.hold(ttl_ms);
        self.desk.held.insert(self.ticket);
        self.lease = Some(Lease { token, ttl_ms });
        self
    }

    pub(super) fn lock(&self) -> u64 {
        self.lock
    }

    pub(super) fn stay(&self) -> Stay {
        self.stay.clone()
    }

    /// The ticket: its number in the line.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The token as a condition of writes; 0 while it only waits, which no lock ever has.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence {
            lock: self.lock,
            name: self.desk.name.clone(),
            token: self.lease.map_or(0, |lease| lease.token),
        }
    }

    /// By this process's own clock: how long the lease lasts if it wrote no beat from now on.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let writer = &self.desk.writer;
        let end_ms = self.lease.map_or(0, |lease| writer.beat_ms().saturating_add(lease.ttl_ms));
        Duration::from_millis(end_ms.saturating_sub(writer.now_ms()))
    }

    /// Prolongs the lease by a commit; [`Error::Lost`] if the lock is not held any more.
    pub fn renew(&self, reply: Reply<()>, passage: Passage) {
        let (ticket, desk) = (self.ticket, Arc::clone(&self.desk));
        let renew = Renew { lock: self.lock, ticket };
        self.desk.writer.apply(renew, Some(passage), move |renewed| {
            let lost = || Error::Lost { lock: desk.name.to_string(), ticket };
            reply.answer(renewed.and_then(|Renewed { held }| if held { Ok(()) } else { Err(lost()) }));
        });
    }

    /// Leaves the line and tells what came of it: [`Error::Lost`] if the lock was not held any more.
    pub fn leave(mut self, reply: Reply<()>, passage: Passage) {
        self.give_up(Some(passage), |left| reply.answer(left));
    }

    fn give_up(&mut self, passage: Option<Passage>, then: impl FnOnce(Result<()>) + Send + 'static) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let leave = Leave { lock: self.lock, ticket: self.ticket };
        self.desk.leave(leave, self.lease.is_some(), self.stay.clone(), passage, then);
        // Not before its leaving is in the line: whoever takes it for an orphan then leaves behind it, which changes
        // nothing.
        if self.lease.is_some() {
            self.desk.held.remove(self.ticket);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody wants to know what came of it.
        self.give_up(None, drop);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("lock", &self.desk.name)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

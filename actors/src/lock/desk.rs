//! What happens to a lock's outcomes where they are known first: on the thread that committed. And the place in the
//! line, which gives itself up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::WeakAddr;
use actix::prelude::*;

use super::{LeaveAgain, LockActor, PassedOn};
use crate::error::{Error, Result};
use crate::gate::Passage;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::lock::{Fence, Grant, Leave, Left, Was};
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
    /// The ticket under which somebody here holds the lock, or 0.
    held: AtomicU64,
}

impl Desk {
    pub(super) fn new(name: Name, writer: Writer, line: WeakAddr<LockActor>) -> Desk {
        Desk { name, writer, line, held: AtomicU64::new(0) }
    }

    /// Whether a grant belongs to this process and to no holder in it. If nobody waits with its ticket either, it was
    /// taken by a commit of unknown fate, and nobody was told.
    pub(super) fn is_orphan(&self, grant: &Grant) -> bool {
        grant.process == self.writer.process() && self.held.load(Ordering::SeqCst) != grant.ticket
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
    /// as long as it does. Leaving twice is harmless.
    pub(super) fn leave(
        self: &Arc<Self>,
        leave: Leave,
        stay: Stay,
        passage: Option<Passage>,
        then: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let desk = Arc::clone(self);
        self.writer.apply(leave, passage, move |outcome| {
            then(match outcome {
                Ok(left) => desk.left(leave.ticket, left, stay),
                Err(error) => {
                    // A store that is not written to any more loses its leases by its silence.
                    if !matches!(error, Error::Closed | Error::Poisoned { .. } | Error::FileReplaced { .. }) {
                        desk.tell(LeaveAgain(leave, stay));
                    }
                    Err(error)
                }
            });
        });
    }

    fn left(&self, ticket: u64, left: Left, stay: Stay) -> Result<()> {
        if let Some(next) = left.next {
            self.tell(PassedOn(next, stay));
        }
        match left.was {
            Was::Holding | Was::Waiting => Ok(()),
            Was::Gone => Err(Error::Lost { lock: self.name.to_string(), ticket }),
        }
    }
}

/// A place in the line of a lock: one that waits, or the one that holds it.
///
/// Whoever drops it leaves the line, wherever that happens: in a guard, in a reply that nobody took, in an actor that
/// failed. Should the lock be given to it in that very moment, leaving gives it back. While it exists, the lock's
/// actor stays.
pub struct Place {
    desk: Arc<Desk>,
    stay: Stay,
    lock: u64,
    ticket: u64,
    /// The fencing token, once it holds the lock.
    token: Option<u64>,
    left: bool,
}

impl Place {
    pub(super) fn new(desk: Arc<Desk>, stay: Stay, lock: u64, ticket: u64) -> Place {
        Place { desk, stay, lock, ticket, token: None, left: false }
    }

    /// From now on it holds the lock, and this process sees to its lease.
    pub(super) fn granted(mut self, token: u64, ttl_ms: u64) -> Place {
        self.desk.writer.hold(ttl_ms);
        self.desk.held.store(self.ticket, Ordering::SeqCst);
        self.token = Some(token);
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
        Fence { lock: self.lock, name: self.desk.name.clone(), token: self.token.unwrap_or(0) }
    }

    /// Leaves the line and tells what came of it: [`Error::Lost`] if the lock was not held any more.
    pub fn leave(mut self, reply: Reply<()>, passage: Passage) {
        self.give_up(Some(passage), |left| reply.answer(left));
    }

    fn give_up(&mut self, passage: Option<Passage>, then: impl FnOnce(Result<()>) + Send + 'static) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let (desk, held) = (Arc::clone(&self.desk), self.token.is_some());
        let leave = Leave { lock: self.lock, ticket: self.ticket };
        self.desk.leave(leave, self.stay.clone(), passage, move |left| {
            if held {
                desk.writer.let_go();
            }
            then(left);
        });
        // Not before its leaving is in the line: whoever takes it for an orphan then leaves behind it, which changes
        // nothing. And not if another one holds the lock by now.
        let _ = self.desk.held.compare_exchange(self.ticket, 0, Ordering::SeqCst, Ordering::SeqCst);
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

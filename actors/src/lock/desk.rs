//! What happens to a lock's outcomes where they are known first: on the thread that committed.

use std::sync::Arc;

use actix::WeakAddr;
use actix::prelude::*;

use super::{Held, LeaveAgain, LockActor, PassedOn};
use crate::error::{Error, Result};
use crate::gate::Passage;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::lock::{Fence, Grant, Leave, Left, Was};
use crate::supervisor::Stay;
use crate::writer::Writer;

/// What is needed to deal with an outcome where it is known first, on the thread that committed. A lock that
/// nobody fights for never comes back to its actor.
///
/// One for all operations of an actor: cloning an actix address allocates twice.
pub(super) struct Desk {
    pub(super) name: Name,
    pub(super) writer: Writer,
    /// Weak, or the actor would keep itself.
    pub(super) line: WeakAddr<LockActor>,
}

impl Desk {
    /// Hands a grant to its caller, or gives it back if the caller has gone away.
    pub(super) fn hand_over(
        self: Arc<Self>,
        grant: Grant,
        reply: Reply<Option<Held>>,
        ttl_ms: u64,
        stay: Stay,
    ) {
        let Grant { lock, ticket, token, .. } = grant;
        let fence = Fence { lock, name: self.name.clone(), token };
        // Before the answer: the caller may come back with a release at once.
        self.writer.hold(ttl_ms);
        if reply.send(Ok(Some(Held { ticket, fence, stay: stay.clone() }))).is_err() {
            self.give_back(Leave { lock, ticket }, stay, Reply::nobody(), None);
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

    /// Releases what is held, and tells the line who holds it next.
    pub(super) fn give_back(
        self: Arc<Self>,
        leave: Leave,
        stay: Stay,
        reply: Reply<()>,
        passage: Option<Passage>,
    ) {
        let desk = Arc::clone(&self);
        self.leave(leave, stay, passage, move |left| {
            desk.writer.let_go();
            reply.answer(left);
        });
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
                    if error != Error::Closed {
                        desk.tell(LeaveAgain(leave, stay));
                    }
                    Err(error)
                }
            });
        });
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

    /// Releases what is held, and tells the line who holds it next.
    pub(super) fn give_back(
        self: Arc<Self>,
        leave: Leave,
        stay: Stay,
        reply: Reply<()>,
        passage: Option<Passage>,
    ) {
        let desk = Arc::clone(&self);
        self.writer.apply(leave, passage, move |outcome| {
            desk.writer.let_go();
            reply.answer(outcome.and_then(|left| desk.left(leave.ticket, left, stay)));
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

/// A place in the line. Whoever drops it, for whatever reason, leaves the line; should the lock be given to it in
/// this very moment, that gives it back.
pub(super) struct Place {
    pub(super) desk: Arc<Desk>,
    pub(super) lock: u64,
    pub(super) ticket: u64,
    pub(super) stay: Stay,
    pub(super) granted: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.granted {
            return;
        }
        let leave = Leave { lock: self.lock, ticket: self.ticket };
        // Whatever it was, nobody wants to know it any more; only the next holder does.
        self.desk.leave(leave, self.stay.clone(), None, drop);
    }
}

//! What happens to a lock's outcomes where they are known first: on the thread that committed. And the place in the
//! line, which gives itself up.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;

use super::{Changed, Doubt, LeaveAgain, LockActor, PassedOn, Queued, Shape, Want};
use crate::error::{Error, Result, WriteOutcome};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::observe::target;
use crate::reply::Reply;
use crate::storage::Target;
use crate::storage::lock::{Acquire as Take, Acquired, Fence, Grant, Leave, Left, Renew, Renewed, Was, kind};
use crate::supervisor::{House, Stay};
use crate::watcher::Watcher;
use crate::writer::{Need, Writer};

/// What is needed to deal with an outcome without the actor. A lock that nobody fights for never comes back to it.
///
/// One for all operations of an actor: cloning an actix address allocates twice. Callers count it and the commit thread reads it, so
/// what is counted and what is read do not share a line of memory, which each of them would take from the other.
#[repr(align(64))]
pub(super) struct Desk {
    pub(super) name: Name,
    /// The lock's row, or 0.
    id: AtomicU64,
    /// The actor has ended: whoever would wait could not.
    ended: AtomicBool,
    /// Whoever came last had to wait.
    fought_for: AtomicBool,
    pub(super) writer: Writer,
    watcher: Watcher,
    /// Weak, or the actor would keep itself.
    pub(super) line: WeakAddr<LockActor>,
    /// Somebody here follows the lock: what happens at this desk is news to the actor.
    followed: AtomicBool,
    /// How often the actor had news from other processes.
    news: AtomicU64,
}

impl Desk {
    pub(super) fn new(name: Name, house: &House, line: WeakAddr<LockActor>) -> Desk {
        let (writer, watcher) = (house.writer.clone(), house.watcher.clone());
        let [id, news] = [const { AtomicU64::new(0) }; 2];
        let [ended, fought_for, followed] = [const { AtomicBool::new(false) }; 3];
        Desk { name, id, ended, fought_for, writer, watcher, line, followed, news }
    }

    /// The lock, by its row if that is known.
    pub(super) fn target(&self) -> Target {
        let id = Some(self.id.load(Ordering::Relaxed)).filter(|id| *id > 0);
        Target { name: self.name.clone(), id }
    }

    /// Which row it is. That never changes, so it is written once: what is only read can be in the memory of several processors.
    pub(super) fn learn(&self, id: u64) {
        if self.id.load(Ordering::Relaxed) != id {
            self.id.store(id, Ordering::Relaxed);
        }
    }

    /// The actor ends.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    /// Whether it may be come to past the actor. Not where a lock goes from hand to hand: over the
    /// actor, between two waiters, a hand-off was measured to take about a tenth less.
    pub(super) fn is_open(&self) -> bool {
        !self.ended.load(Ordering::SeqCst) && !self.fought_for.load(Ordering::Relaxed)
    }

    /// The actor has news.
    pub(super) fn heard(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
    }

    /// How often it had.
    pub(super) fn news(&self) -> u64 {
        self.news.load(Ordering::SeqCst)
    }

    /// Takes a ticket, and deals with what comes of it. By the caller's `writer`, because the desk goes with the request and comes
    /// back with the answer: only callers count it.
    pub(super) fn take(
        self: Arc<Self>,
        writer: &Writer,
        want: Want,
        wait: bool,
        stay: Stay,
        passage: Option<Passage>,
    ) {
        let Shape { capacity, weight } = want.shape;
        let take = Take { lock: self.target(), capacity, weight, ttl_ms: want.ttl_ms, wait };
        // As of now, not of the answer: by then this process may have been taken for dead and be another one, and a
        // void ticket would pass for a good one. The other way round costs no more than a new ticket.
        let (process, news) = (writer.process(), self.news());
        let taking = Taking { desk: self, stay, want, process, news };
        writer.apply_with(take, passage, taking, Taking::taken);
    }

    /// Whether a grant belongs to this process and to no holder in it. If nobody waits with its ticket either, it was
    /// taken by a commit of unknown fate, and nobody was told.
    pub(super) fn is_orphan(&self, grant: &Grant) -> bool {
        grant.process == self.writer.process() && !self.writer.holds(grant.ticket)
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

    /// Tells the actor. One that has failed has nobody waiting, but its successor may have: that one looks by itself.
    pub(super) fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        LockActor: Handler<M>,
    {
        match self.line.upgrade().filter(Addr::connected) {
            // Bounded by the gate, as every message is.
            Some(line) => line.do_send(message),
            None => self.watcher.call_all(),
        }
    }

    /// Leaves the line, whatever the ticket is in it.
    ///
    /// Where that cannot be written now it is tried again: this process goes on to beat, so the lease would last
    /// as long as it does. Leaving twice is harmless. `held`: a lease of this process ends by it.
    pub(super) fn leave(
        self: Arc<Self>,
        writer: &Writer,
        leave: Leave,
        held: bool,
        stay: Stay,
        passage: Option<Passage>,
        reply: Reply<Gone>,
    ) {
        writer.apply_with(leave, passage, Leaving { desk: self, stay, leave, held, reply }, Leaving::left);
    }

    /// Every holder leaves, so each loss is told here, once.
    fn was_lost(&self, ticket: u64) {
        self.writer.meter().lock_lost();
        tracing::warn!(target: target::LOCK, lock = %self.name, ticket, "a lock was lost before it was released");
    }

    fn left(&self, ticket: u64, left: Left, stay: &Stay) -> Result<()> {
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

/// What is needed when a ticket was taken, or not.
struct Taking {
    desk: Arc<Desk>,
    stay: Stay,
    want: Want,
    process: u64,
    news: u64,
}

impl Need for Taking {
    fn look(&self) {
        black_box((self.desk.fought_for.load(Ordering::Relaxed), self.want.reply.is_abandoned()));
    }
}

impl Taking {
    fn taken(self, outcome: Result<Acquired>) {
        let Taking { desk, stay, want, process, news } = self;
        match outcome {
            Ok(Acquired::Granted(Grant { lock, ticket, token, .. })) => {
                desk.learn(lock);
                if desk.fought_for.load(Ordering::Relaxed) {
                    desk.fought_for.store(false, Ordering::Relaxed);
                }
                desk.tell_followers();
                let place = Place::new(desk, stay, lock, ticket).granted(token, want.ttl_ms);
                want.reply.answer(Ok(Some(place)));
            }
            Ok(Acquired::Waiting { lock, ticket }) => {
                desk.learn(lock);
                desk.fought_for.store(true, Ordering::Relaxed);
                let place = Place::new(Arc::clone(&desk), stay, lock, ticket);
                desk.tell(Queued { place, process, news, want });
            }
            Ok(Acquired::Held) => want.reply.answer(Ok(None)),
            Ok(Acquired::Mismatch { capacity }) => {
                let (wanted, found) = (kind(want.shape.capacity), kind(capacity));
                want.reply.answer(Err(Error::UsedOtherwise { name: desk.name.to_string(), wanted, found }));
            }
            Ok(Acquired::Full) => {
                let (what, limit) = ("the line of the lock", limits::WAITERS);
                want.reply.answer(Err(Error::Overloaded { what, limit }));
            }
            Err(error) => {
                if error.outcome() == WriteOutcome::Unknown {
                    // If it was applied, its ticket is in the line and nobody knows it.
                    desk.tell(Doubt(stay));
                }
                want.reply.answer(Err(error));
            }
        }
    }
}

/// What is needed when a line was left, or not.
struct Leaving {
    desk: Arc<Desk>,
    stay: Stay,
    leave: Leave,
    /// A lease of this process ends by it.
    held: bool,
    reply: Reply<Gone>,
}

impl Need for Leaving {
    fn look(&self) {
        black_box((self.desk.followed.load(Ordering::Relaxed), self.reply.is_abandoned()));
    }
}

impl Leaving {
    fn left(self, outcome: Result<Left>) {
        let Leaving { desk, stay, leave, held, reply } = self;
        if held {
            desk.writer.let_go(leave.ticket);
        }
        reply.answer(match outcome {
            Ok(left) => {
                if held && left.was == Was::Gone {
                    desk.was_lost(leave.ticket);
                }
                desk.left(leave.ticket, left, &stay).map(|()| Gone { _at: At { desk, stay } })
            }
            Err(error) => {
                if error.may_pass() {
                    desk.tell(LeaveAgain(leave, stay));
                }
                Err(error)
            }
        });
    }
}

/// A place in the line of a lock: one that waits, or one that holds it.
///
/// Whoever drops it leaves the line, wherever that happens: in a guard, in a reply that nobody took, in an actor that
/// failed. Should the lock be given to it in that very moment, leaving gives it back. While it exists, the lock's
/// actor stays.
pub struct Place {
    /// Until it leaves.
    at: Option<At>,
    lock: u64,
    ticket: u64,
    /// Once it holds the lock.
    lease: Option<Lease>,
}

/// Where a place is.
struct At {
    desk: Arc<Desk>,
    stay: Stay,
}

/// A place that was left. It goes back to whoever had it, to be dropped there.
pub struct Gone {
    _at: At,
}

/// What a place that holds the lock was given.
#[derive(Clone, Copy)]
struct Lease {
    token: u64,
    ttl_ms: u64,
}

impl Place {
    pub(super) fn new(desk: Arc<Desk>, stay: Stay, lock: u64, ticket: u64) -> Place {
        Place { at: Some(At { desk, stay }), lock, ticket, lease: None }
    }

    /// From now on it holds the lock, and this process sees to its lease.
    pub(super) fn granted(mut self, token: u64, ttl_ms: u64) -> Place {
        self.desk().writer.hold(self.ticket, ttl_ms);
        self.lease = Some(Lease { token, ttl_ms });
        self
    }

    fn at(&self) -> &At {
        self.at.as_ref().unwrap_or_else(|| unreachable!("only leaving empties it, and it is gone after that"))
    }

    pub(super) fn stay(&self) -> &Stay {
        &self.at().stay
    }

    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.at().desk
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.desk().name
    }

    /// The ticket: its number in the line.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// The token as a condition of writes; 0 while it only waits, which no lock ever has.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence { lock: self.lock, name: self.name().clone(), token: self.lease.map_or(0, |lease| lease.token) }
    }

    /// By this process's own clock: how long the lease lasts if it wrote no beat from now on.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let writer = &self.desk().writer;
        let end_ms = self.lease.map_or(0, |lease| writer.beat_ms().saturating_add(lease.ttl_ms));
        Duration::from_millis(end_ms.saturating_sub(writer.now_ms()))
    }

    /// Prolongs the lease by a commit; [`Error::Lost`] if the lock is not held any more.
    pub fn renew(&self, reply: Reply<()>, passage: Passage) {
        let (ticket, desk) = (self.ticket, Arc::clone(self.desk()));
        let renew = Renew { lock: self.lock, ticket };
        self.desk().writer.apply(renew, Some(passage), move |renewed| {
            let lost = || Error::Lost { lock: desk.name.to_string(), ticket };
            reply.answer(renewed.and_then(|Renewed { held }| if held { Ok(()) } else { Err(lost()) }));
        });
    }

    /// Leaves the line by the caller's writer, and tells what came of it: [`Error::Lost`] if the lock was not held any more.
    pub fn leave(mut self, writer: &Writer, reply: Reply<Gone>, passage: Passage) {
        if let Some(at) = self.at.take() {
            self.give_up(at, writer, Some(passage), reply);
        }
    }

    fn give_up(&self, At { desk, stay }: At, writer: &Writer, passage: Option<Passage>, reply: Reply<Gone>) {
        let leave = Leave { lock: self.lock, ticket: self.ticket };
        desk.leave(writer, leave, self.lease.is_some(), stay, passage, reply);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(at) = self.at.take() {
            let writer = at.desk.writer.clone();
            // Nobody wants to know what came of it.
            self.give_up(at, &writer, None, Reply::nobody());
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("lock", self.name())
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

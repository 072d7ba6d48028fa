//! The actor of one lock: who waits for it in this process, and who of them holds it.
//!
//! The line itself is in the database, where every process sees it. This actor keeps the callers' replies
//! beside their tickets, answers the one whose turn has come, and gives back what nobody takes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;

use crate::clock::millis;
use crate::error::{Error, Result};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::Target;
use crate::storage::lock::{
    Acquire as Take, Acquired, Fence, Grant, Leave, Left, Line, Settle, Settled, Was,
};
use crate::supervisor::{House, Primitive, Stay, Visit};
use crate::watcher::{Changed, Interest, Watch};

/// Take the lock, or a place in the line for it.
#[derive(Debug)]
pub struct Acquire {
    /// The lease's time to live.
    pub ttl: Duration,
    /// How long to wait: not at all, so long, or without limit.
    pub wait: Wait,
    /// Answered with `None` if it was not granted in time.
    pub reply: Reply<Option<Held>>,
    /// Given back as soon as the ticket is in the database.
    pub passage: Passage,
}

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    For(Duration),
    /// Until it is granted.
    Forever,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The ticket, to release it by.
    pub ticket: u64,
    /// The token, as a condition of writes.
    pub fence: Fence,
}

/// Give the lock back.
#[derive(Debug)]
pub struct Release {
    /// What is held.
    pub held: Held,
    /// Answered after the commit; [`Error::Lost`] if it was not held any more.
    pub reply: Reply<()>,
    /// `None` when a guard is dropped: that must not wait, and is bounded by the guards there are.
    pub passage: Option<Passage>,
}

/// Be told when the lock is lost.
#[derive(Debug)]
pub struct Loss {
    /// Under which ticket it is held.
    pub ticket: u64,
    /// Answered when it is lost or has been released; at once if it already is.
    pub reply: Reply<()>,
}

/// A caller has gone away while it waited.
#[derive(Debug)]
pub struct Abandoned;

/// A caller that waits in line, by its ticket.
struct Waiter {
    reply: Reply<Option<Held>>,
    ttl_ms: u64,
    deadline: Option<SpawnHandle>,
    stay: Stay,
}

/// The grant that a caller of this process has.
struct Holding {
    ticket: u64,
    losses: Vec<Reply<()>>,
    stay: Stay,
}

/// The actor.
pub struct LockActor {
    name: Name,
    house: House,
    id: Option<u64>,
    key: usize,
    waiting: BTreeMap<u64, Waiter>,
    holding: Option<Holding>,
    told_waiting: bool,
    told_holding: bool,
    sweeping: bool,
    looking: bool,
}

impl Primitive for LockActor {
    fn open(name: Name, house: House) -> LockActor {
        static KEYS: AtomicUsize = AtomicUsize::new(0);
        LockActor {
            name,
            house,
            id: None,
            key: KEYS.fetch_add(1, Ordering::Relaxed),
            waiting: BTreeMap::new(),
            holding: None,
            told_waiting: false,
            told_holding: false,
            sweeping: false,
            looking: false,
        }
    }
}

impl Actor for LockActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl Drop for LockActor {
    /// Also when a handler panicked. The next actor of this name finds what this one leaves behind in the
    /// database, and gives it back: a grant to this process that nobody here knows of.
    fn drop(&mut self) {
        self.watch(Interest::Waiting, None);
        self.watch(Interest::Holding, None);
        self.end_holding();
    }
}

impl std::fmt::Debug for LockActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockActor").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Handler<Visit<Acquire>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Acquire>, context: &mut Self::Context) {
        let Acquire { ttl, wait, reply, passage } = message;
        if reply.is_abandoned() {
            return;
        }
        let deadline_ms = match wait {
            Wait::For(time) => Some(self.house.seams.clock.now().boot_ms.saturating_add(millis(time))),
            Wait::No | Wait::Forever => None,
        };
        let ttl_ms = millis(ttl);
        let lock = Target { name: self.name.clone(), id: self.id };
        let take = Take { lock, ttl_ms, wait: wait != Wait::No };
        let address = context.address();
        self.house.writer.apply(take, Some(passage), move |outcome| {
            address.do_send(Taken { outcome, reply, ttl_ms, deadline_ms, stay });
        });
    }
}

/// The database has given a ticket, or the lock, or neither.
#[derive(Message)]
#[rtype(result = "()")]
struct Taken {
    outcome: Result<Acquired>,
    reply: Reply<Option<Held>>,
    ttl_ms: u64,
    deadline_ms: Option<u64>,
    stay: Stay,
}

impl Handler<Taken> for LockActor {
    type Result = ();

    fn handle(&mut self, taken: Taken, context: &mut Self::Context) {
        let Taken { outcome, reply, ttl_ms, deadline_ms, stay } = taken;
        match outcome {
            Ok(Acquired::Granted(grant)) => self.grant(grant, reply, ttl_ms, stay, context),
            Ok(Acquired::Waiting { lock, ticket }) => {
                self.id = Some(lock);
                let deadline = deadline_ms.map(|at_ms| self.arm_deadline(ticket, at_ms, context));
                self.waiting.insert(ticket, Waiter { reply, ttl_ms, deadline, stay });
                self.tell_watcher(context);
            }
            Ok(Acquired::Held) => reply.answer(Ok(None)),
            Ok(Acquired::Full) => {
                reply.answer(Err(Error::Overloaded { what: "the line of the lock", limit: limits::WAITERS }));
            }
            Err(error) => reply.answer(Err(error)),
        }
    }
}

impl LockActor {
    /// Hands a grant to its caller, or gives it back if the caller has gone away.
    fn grant(
        &mut self,
        grant: Grant,
        reply: Reply<Option<Held>>,
        ttl_ms: u64,
        stay: Stay,
        context: &mut Context<Self>,
    ) {
        self.id = Some(grant.lock);
        let fence = Fence { lock: grant.lock, name: self.name.clone(), token: grant.token };
        let held = Held { ticket: grant.ticket, fence };
        // Before the answer: the caller may come back with a release at once.
        self.end_holding();
        self.house.writer.hold(ttl_ms);
        self.holding = Some(Holding { ticket: grant.ticket, losses: Vec::new(), stay: stay.clone() });
        if reply.send(Ok(Some(held))).is_err() {
            self.end_holding();
            self.leave(grant.ticket, stay, Reply::nobody(), None, context);
        }
        self.tell_watcher(context);
    }

    /// Whatever was held here is held no more.
    fn end_holding(&mut self) {
        if let Some(holding) = self.holding.take() {
            self.house.writer.let_go();
            holding.losses.into_iter().for_each(|reply| reply.answer(Ok(())));
        }
    }

    fn arm_deadline(&self, ticket: u64, at_ms: u64, context: &mut Context<Self>) -> SpawnHandle {
        let left = at_ms.saturating_sub(self.house.seams.clock.now().boot_ms);
        context.run_later(Duration::from_millis(left), move |actor, context| {
            if let Some(waiter) = actor.waiting.remove(&ticket) {
                // Not in time. Should it be granted in this very moment, leaving gives it back.
                waiter.reply.answer(Ok(None));
                actor.leave(ticket, waiter.stay, Reply::nobody(), None, context);
                actor.tell_watcher(context);
            }
        })
    }

    /// Leaves the line with a ticket, whether it holds or waits.
    fn leave(
        &mut self,
        ticket: u64,
        stay: Stay,
        reply: Reply<()>,
        passage: Option<Passage>,
        context: &mut Context<Self>,
    ) {
        let Some(lock) = self.id else { return };
        let address = context.address();
        self.house.writer.apply(Leave { lock, ticket }, passage, move |outcome| {
            address.do_send(Gone { ticket, outcome, reply, stay });
        });
    }

    /// A grant that another operation has brought about: for a caller here, for another process, or for a ticket
    /// of this process that nobody waits with any more.
    fn passed_on(&mut self, grant: Grant, stay: Stay, context: &mut Context<Self>) {
        if let Some(waiter) = self.waiting.remove(&grant.ticket) {
            if let Some(deadline) = waiter.deadline {
                context.cancel_future(deadline);
            }
            self.grant(grant, waiter.reply, waiter.ttl_ms, waiter.stay, context);
        } else if self.is_orphan(&grant) {
            self.id = Some(grant.lock);
            self.leave(grant.ticket, stay, Reply::nobody(), None, context);
        }
    }

    /// Whether a grant belongs to this process and to nobody in it.
    fn is_orphan(&self, grant: &Grant) -> bool {
        let held = self.holding.as_ref().is_some_and(|holding| holding.ticket == grant.ticket);
        grant.process == self.house.process && !held && !self.waiting.contains_key(&grant.ticket)
    }

    /// Any reason to stay that this actor has.
    fn any_stay(&self) -> Option<Stay> {
        let waits = self.waiting.values().next().map(|waiter| waiter.stay.clone());
        waits.or_else(|| self.holding.as_ref().map(|holding| holding.stay.clone()))
    }

    /// Tells the watcher what this actor wants to be told, where that has changed.
    fn tell_watcher(&mut self, context: &mut Context<Self>) {
        let waits = !self.waiting.is_empty();
        if waits != self.told_waiting {
            self.told_waiting = waits;
            self.watch(Interest::Waiting, waits.then(|| context.address().recipient()));
        }
        // A holder is told of a lapse, which is rare: once it has asked, it stays on the list while it lives.
        if self.holding.is_some() && !self.told_holding {
            self.told_holding = true;
            self.watch(Interest::Holding, Some(context.address().recipient()));
        }
    }

    fn watch(&self, interest: Interest, tell: Option<Recipient<Changed>>) {
        self.house.watcher.do_send(Watch { interest, key: self.key, tell });
    }
}

impl Handler<Visit<Release>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Release>, context: &mut Self::Context) {
        let Release { held, reply, passage } = message;
        self.id = Some(held.fence.lock);
        self.leave(held.ticket, stay, reply, passage, context);
    }
}

/// A ticket has left the line.
#[derive(Message)]
#[rtype(result = "()")]
struct Gone {
    ticket: u64,
    outcome: Result<Left>,
    reply: Reply<()>,
    stay: Stay,
}

impl Handler<Gone> for LockActor {
    type Result = ();

    fn handle(&mut self, Gone { ticket, outcome, reply, stay }: Gone, context: &mut Self::Context) {
        let left = match outcome {
            Ok(left) => left,
            Err(error) => return reply.answer(Err(error)),
        };
        if self.holding.as_ref().is_some_and(|holding| holding.ticket == ticket) {
            self.end_holding();
        }
        if let Some(next) = left.next {
            self.passed_on(next, stay, context);
        }
        reply.answer(match left.was {
            Was::Holding | Was::Waiting => Ok(()),
            Was::Gone => Err(Error::Lost { lock: self.name.to_string(), ticket }),
        });
    }
}

impl Handler<Visit<Loss>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, .. }: Visit<Loss>, _: &mut Self::Context) {
        match &mut self.holding {
            Some(holding) if holding.ticket == message.ticket => {
                holding.losses.retain(|reply| !reply.is_abandoned());
                holding.losses.push(message.reply);
            }
            _ => message.reply.answer(Ok(())),
        }
    }
}

impl Handler<Visit<Abandoned>> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Visit<Abandoned>, context: &mut Self::Context) {
        // Many may go at once: one look through the line serves them all.
        if !std::mem::replace(&mut self.sweeping, true) {
            context.notify(Sweep);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Sweep;

impl Handler<Sweep> for LockActor {
    type Result = ();

    fn handle(&mut self, _: Sweep, context: &mut Self::Context) {
        self.sweeping = false;
        let abandoned = |(ticket, waiter): (&u64, &Waiter)| waiter.reply.is_abandoned().then_some(*ticket);
        let gone: Vec<u64> = self.waiting.iter().filter_map(abandoned).collect();
        for ticket in gone {
            if let Some(waiter) = self.waiting.remove(&ticket) {
                self.leave(ticket, waiter.stay, Reply::nobody(), None, context);
            }
        }
        self.tell_watcher(context);
    }
}

impl Handler<Changed> for LockActor {
    type Result = ();

    /// Looks how the lock stands; only if that concerns somebody here, the transaction is asked.
    fn handle(&mut self, _: Changed, context: &mut Self::Context) {
        if (self.waiting.is_empty() && self.holding.is_none()) || std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (name, clock, address) = (self.name.clone(), self.house.seams.clock.clone(), context.address());
        let look = move |view: &mut dyn crate::storage::View| view.lock(&name, clock.now());
        self.house.readers.read(look, move |line| address.do_send(Seen(line)));
    }
}

/// How the lock stands, as a reader saw it.
#[derive(Message)]
#[rtype(result = "()")]
struct Seen(Result<Option<Line>>);

impl Handler<Seen> for LockActor {
    type Result = ();

    fn handle(&mut self, Seen(line): Seen, context: &mut Self::Context) {
        self.looking = false;
        let (Ok(Some(line)), Some(lock)) = (line, self.id) else { return };
        let Some(stay) = self.any_stay() else { return };
        let grant = line.holder.filter(|holder| !holder.void).map(|holder| holder.grant);
        let holder = grant.map(|grant| grant.ticket);
        let waits_in_vain = holder.is_none() && !self.waiting.is_empty();
        let granted = holder.is_some_and(|ticket| self.waiting.contains_key(&ticket));
        let lost = self.holding.as_ref().is_some_and(|holding| Some(holding.ticket) != holder);
        let orphan = grant.is_some_and(|grant| self.is_orphan(&grant));
        if waits_in_vain || granted || lost || orphan {
            // A reader's snapshot may be older than what this actor knows; the transaction decides.
            let address = context.address();
            self.house.writer.apply(Settle { lock }, None, move |settled| {
                if let Ok(settled) = settled {
                    address.do_send(Now(settled, stay));
                }
            });
        }
    }
}

/// Who holds the lock, as the transaction has it.
#[derive(Message)]
#[rtype(result = "()")]
struct Now(Settled, Stay);

impl Handler<Now> for LockActor {
    type Result = ();

    fn handle(&mut self, Now(settled, stay): Now, context: &mut Self::Context) {
        let holder = settled.holder.map(|grant| grant.ticket);
        if self.holding.as_ref().is_some_and(|holding| Some(holding.ticket) != holder) {
            self.end_holding();
        }
        if let Some(grant) = settled.holder {
            self.passed_on(grant, stay, context);
        }
        self.tell_watcher(context);
    }
}

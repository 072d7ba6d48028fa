//! The actor of one lock: who waits for it in this process, and who of them holds it.
//!
//! The line itself is in the database, where every process sees it. This actor keeps the callers' replies
//! beside their tickets, answers the one whose turn has come, and gives back what nobody takes. What needs no line,
//! an uncontended acquire and release, is dealt with at its `desk` and never comes back here; whoever has been there
//! knows a `shortcut` to it. What the actor learns from other processes is in `looking`.

mod desk;
mod looking;
mod shortcut;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use self::desk::Desk;
pub use self::desk::{Gone, Place};
use self::looking::{Changed, Follower, Keeper, Outlook};
pub use self::looking::{Follow, Loss};
pub use self::shortcut::Shortcut;
use crate::clock::millis;
use crate::failpoint::{Point, pass, reach};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
pub use crate::reply::Wait;
use crate::storage::lock::{Break, Broken, Grant, Leave, Recall, Recalled};
use crate::supervisor::{House, Primitive, Stay, Visit};
use crate::watcher::Watcher;

/// How much of a lock there is, and how much of it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 1 for a lock that excludes. The first use fixes it.
    pub capacity: u32,
    /// At least 1, at most all.
    pub weight: u32,
}

impl Shape {
    /// Of a lock that excludes.
    pub const EXCLUSIVE: Shape = Shape { capacity: 1, weight: 1 };
}

/// Take the lock, or a place in the line for it.
#[derive(Debug)]
pub struct Acquire {
    /// How much of it.
    pub shape: Shape,
    /// The lease's time to live.
    pub ttl: Duration,
    /// How long to wait: not at all, so long, or without limit.
    pub wait: Wait,
    /// Answered with `None` if it was not granted in time.
    pub reply: Reply<Option<Place>>,
    /// Given back as soon as the ticket is in the database.
    pub passage: Passage,
}

impl Acquire {
    /// What is wanted, whether to wait for it, and how it came in.
    fn split(self, now_ms: impl FnOnce() -> u64) -> (Want, bool, Passage) {
        let Acquire { shape, ttl, wait, reply, passage } = self;
        let deadline_ms = wait.deadline_ms(now_ms);
        (Want { reply, shape, ttl_ms: millis(ttl), deadline_ms }, wait != Wait::No, passage)
    }
}

/// Take the lock away from all who hold it. Answered with whether somebody did.
#[derive(Debug)]
pub struct BreakLock {
    /// Answered after the commit.
    pub reply: Reply<bool>,
    /// The request's passage.
    pub passage: Passage,
}

/// A caller has gone away while it waited.
#[derive(Debug)]
pub struct Abandoned;

/// What a caller wants.
struct Want {
    reply: Reply<Option<Place>>,
    shape: Shape,
    ttl_ms: u64,
    deadline_ms: Option<u64>,
}

/// A caller that waits in line, by its ticket.
struct Waiter {
    want: Want,
    deadline: Option<SpawnHandle>,
    place: Place,
    /// As which process the ticket was taken.
    process: u64,
}

/// The actor.
pub struct LockActor {
    name: Name,
    house: House,
    key: usize,
    desk: Option<Arc<Desk>>,
    waiting: BTreeMap<u64, Waiter>,
    /// Holders who want to be told when they lose the lock, by their tickets.
    losses: Vec<Keeper>,
    /// Who wants to know who holds the lock.
    followers: Vec<Follower>,
    outlook: Arc<Outlook>,
    /// The watcher was told that somebody here wants to know what happens to the lock.
    told_watched: bool,
    /// It is about to be told again.
    telling: bool,
    sweeping: bool,
    looking: bool,
    /// There was news while a look was under way, which may have been too early for it.
    look_again: bool,
    /// When the holder's lease ends unless its process beats again: then it is time to look.
    expiry: Option<SpawnHandle>,
}

impl Primitive for LockActor {
    fn open(name: Name, house: House) -> LockActor {
        LockActor {
            outlook: Arc::new(Outlook::new(name.clone(), Arc::clone(&house.seams.clock))),
            name,
            house,
            key: Watcher::new_key(),
            desk: None,
            waiting: BTreeMap::new(),
            losses: Vec::new(),
            followers: Vec::new(),
            told_watched: false,
            telling: false,
            sweeping: false,
            looking: false,
            look_again: false,
            expiry: None,
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
    /// Also when a handler panicked. Who waited here is told so by the reply and gives up the place in the line;
    /// what is held is its holder's, not this actor's.
    fn drop(&mut self) {
        self.house.watcher.leave(self.key);
        if let Some(desk) = &self.desk {
            desk.end();
        }
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
        if message.reply.is_abandoned() {
            return;
        }
        if let Err(error) = reach(Point::LockActor) {
            return message.reply.answer(Err(error));
        }
        let (want, wait, passage) = message.split(|| self.house.writer.now_ms());
        self.take(want, wait, stay, Some(passage), context);
    }
}

impl LockActor {
    /// Takes a ticket at the desk.
    fn take(
        &mut self,
        want: Want,
        wait: bool,
        stay: Stay,
        passage: Option<Passage>,
        context: &mut Context<Self>,
    ) {
        self.desk(context).take(&self.house.writer, want, wait, stay, passage);
    }

    /// Tickets that were taken by a process that this one is not any more (it was taken for dead) are void. Who
    /// waits with them gets new ones, in the same order.
    fn take_anew(&mut self, context: &mut Context<Self>) {
        let process = self.house.writer.process();
        self.take_anew_where(|waiter| waiter.process != process, context);
    }

    /// Gets new tickets for those whose ones are void, in the same order.
    fn take_anew_where(&mut self, is_void: impl Fn(&Waiter) -> bool, context: &mut Context<Self>) {
        if !self.waiting.values().any(&is_void) {
            return;
        }
        let (void, kept) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, waiter)| is_void(waiter));
        self.waiting = kept;
        for Waiter { want, deadline, place, .. } in void.into_values() {
            if let Some(deadline) = deadline {
                context.cancel_future(deadline);
            }
            self.take(want, true, place.stay().clone(), None, context);
        }
    }
}

impl Handler<Visit<BreakLock>> for LockActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<BreakLock>, context: &mut Self::Context) {
        let BreakLock { reply, passage } = message;
        let desk = self.desk(context);
        let lock = desk.target();
        self.house.writer.apply(Break { lock }, Some(passage), move |broken| {
            if let Ok(Broken { taken, next }) = &broken {
                for next in next {
                    desk.tell(PassedOn(*next, stay.clone()));
                }
                if !taken.is_empty() {
                    // A holder may be in this process, and want to know.
                    desk.tell(Changed);
                }
            }
            reply.answer(broken.map(|broken| !broken.taken.is_empty()));
        });
    }
}

/// A ticket may have been taken that nobody has a place for.
#[derive(Message)]
#[rtype(result = "()")]
struct Doubt(Stay);

impl Handler<Doubt> for LockActor {
    type Result = ();

    fn handle(&mut self, Doubt(stay): Doubt, context: &mut Self::Context) {
        context.run_later(limits::TRY_AGAIN, move |actor, context| actor.recall(stay, context));
    }
}

/// The tickets that this process has. Each that came before was told of before.
#[derive(Message)]
#[rtype(result = "()")]
struct Mine(Vec<Leave>, Stay);

impl Handler<Mine> for LockActor {
    type Result = ();

    fn handle(&mut self, Mine(tickets, stay): Mine, context: &mut Self::Context) {
        let desk = self.desk(context);
        let unknown =
            |leave: &Leave| !self.waiting.contains_key(&leave.ticket) && !desk.writer.holds(leave.ticket);
        for leave in tickets.into_iter().filter(unknown) {
            // It may be leaving already; to leave twice changes nothing.
            Arc::clone(&desk).leave(&self.house.writer, leave, false, stay.clone(), None, Reply::nobody());
        }
    }
}

/// A caller waits in this place.
#[derive(Message)]
#[rtype(result = "()")]
struct Queued {
    place: Place,
    process: u64,
    /// How much news the actor had had when the ticket was asked for.
    news: u64,
    want: Want,
}

impl Handler<Queued> for LockActor {
    type Result = ();

    fn handle(&mut self, queued: Queued, context: &mut Self::Context) {
        let Queued { place, process, news, want } = queued;
        if let Err(error) = reach(Point::LockQueued) {
            return want.reply.answer(Err(error));
        }
        if want.reply.is_abandoned() {
            // Its caller went away before it had a place that a sweep could find. The place goes with it.
            return;
        }
        let ticket = place.ticket();
        let deadline = want.deadline_ms.map(|at_ms| self.arm_deadline(ticket, at_ms, context));
        self.waiting.insert(ticket, Waiter { want, deadline, place, process });
        self.tell_watcher(context);
        if news != self.desk(context).news() {
            // It may have been news of this ticket, which nobody here knew then.
            self.look(None, context);
        }
    }
}

/// Another operation has given the lock to this ticket: of a caller here, or of another process.
#[derive(Message)]
#[rtype(result = "()")]
struct PassedOn(Grant, Stay);

impl Handler<PassedOn> for LockActor {
    type Result = ();

    fn handle(&mut self, PassedOn(grant, stay): PassedOn, context: &mut Self::Context) {
        pass(Point::LockPassedOn);
        self.passed_on(grant, stay, context);
    }
}

/// A ticket could not leave the line.
#[derive(Message)]
#[rtype(result = "()")]
struct LeaveAgain(Leave, Stay);

impl Handler<LeaveAgain> for LockActor {
    type Result = ();

    fn handle(&mut self, LeaveAgain(leave, stay): LeaveAgain, context: &mut Self::Context) {
        context.run_later(limits::TRY_AGAIN, move |actor, context| {
            actor.desk(context).leave(&actor.house.writer, leave, false, stay, None, Reply::nobody());
        });
    }
}

impl LockActor {
    fn desk(&mut self, context: &mut Context<Self>) -> Arc<Desk> {
        let line = || context.address().downgrade();
        let make = || Desk::new(self.name.clone(), &self.house, line());
        Arc::clone(self.desk.get_or_insert_with(|| Arc::new(make())))
    }

    /// If nobody here waits under that ticket any more, its place was dropped, which gives the grant back. Another process
    /// may never take up its own: whoever waits here has to know when that ends.
    fn passed_on(&mut self, grant: Grant, stay: Stay, context: &mut Context<Self>) {
        if let Some(Waiter { want, deadline, place, .. }) = self.waiting.remove(&grant.ticket) {
            if let Some(deadline) = deadline {
                context.cancel_future(deadline);
            }
            // If nobody takes it, it is dropped here, and so given back.
            want.reply.answer(Ok(Some(place.granted(grant.token, want.ttl_ms))));
            self.tell_watcher(context);
            self.desk(context).tell_followers();
        } else if self.desk(context).is_orphan(&grant) {
            let leave = Leave { lock: grant.lock, ticket: grant.ticket };
            self.desk(context).leave(&self.house.writer, leave, false, stay, None, Reply::nobody());
        } else if grant.process != self.house.writer.process() {
            self.look(None, context);
        }
    }

    /// Gives back what a commit of unknown fate may have left here, once it can be asked for.
    fn recall(&mut self, stay: Stay, context: &mut Context<Self>) {
        let lock = self.desk(context).target();
        let address = context.address();
        self.house.writer.apply(Recall { lock }, None, move |recalled| match recalled {
            Ok(Recalled { tickets }) => address.do_send(Mine(tickets, stay)),
            Err(error) if error.may_pass() => address.do_send(Doubt(stay)),
            Err(_) => {}
        });
    }

    fn arm_deadline(&self, ticket: u64, at_ms: u64, context: &mut Context<Self>) -> SpawnHandle {
        let left = at_ms.saturating_sub(self.house.seams.clock.now().boot_ms);
        context.run_later(Duration::from_millis(left), move |actor, context| {
            if let Some(waiter) = actor.waiting.remove(&ticket) {
                drop(waiter.place);
                waiter.want.reply.answer(Ok(None));
                actor.tell_watcher(context);
            }
        })
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
        self.waiting.retain(|_, waiter| !waiter.want.reply.is_abandoned());
        self.drop_abandoned();
        self.tell_watcher(context);
    }
}

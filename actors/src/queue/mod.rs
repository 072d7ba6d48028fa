//! The actor of one queue: who waits for a job of it in this process, in the order in which they came.
//!
//! Jobs are in the database, where every process claims them. This actor claims for those who wait, for as many at once
//! as there are; they stand in the `line` of the `desk` meanwhile, where the first of them are answered once that is
//! committed, and whoever got nothing comes back to the front of those who wait. It claims again when something has been
//! pushed, or given back, or when `looking` has found that another process has done so, has died, or that a job's time has
//! come. What schedules push is seen to by `keeping`.

mod desk;
mod keeping;
mod line;
mod looking;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use self::desk::Desk;
pub use self::desk::{Held, Write};
pub use self::keeping::Keep;
use self::keeping::Keeper;
use self::looking::Eye;
use crate::clock::millis;
use crate::error::Error;
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
pub use crate::reply::Wait;
use crate::storage::queue::Receipt;
use crate::supervisor::{House, Primitive, Stay, Visit};
use crate::watcher::Watcher;

/// Claim jobs: as many as there are, and not more than are wanted. If there is none, the first that comes is waited for.
#[derive(Debug)]
pub struct Pop {
    /// How many are wanted; [`limits::JOBS_PER_CLAIM`] are given at most.
    pub most: u32,
    /// The lease's time to live.
    pub ttl: Duration,
    /// How long to wait.
    pub wait: Wait,
    /// Answered with none if there was none in time.
    pub reply: Reply<Vec<Held>>,
    /// Given back after the first look.
    pub passage: Passage,
}

/// A caller has gone away while it waited.
#[derive(Debug)]
pub struct Abandoned;

/// Jobs have been pushed past the actor, in a batch: there may be one that can be claimed, or whose time will come.
#[derive(Debug)]
pub struct Arrived {
    /// One can be claimed now.
    pub ready: bool,
}

/// A caller who waits.
struct Waiter {
    number: u64,
    most: u32,
    ttl_ms: u64,
    /// By the boot clock; `None` is without limit.
    deadline_ms: Option<u64>,
    timer: Option<SpawnHandle>,
    waits: bool,
    reply: Reply<Vec<Held>>,
    stay: Stay,
    passage: Option<Passage>,
}

/// The actor.
pub struct QueueActor {
    name: Name,
    house: House,
    key: usize,
    desk: Option<Arc<Desk>>,
    /// In the order in which they came.
    waiting: VecDeque<Waiter>,
    /// For whom the time of schedules is kept.
    keepers: Vec<Keeper>,
    came: u64,
    /// So many claims are under way, for leases of this length.
    claiming: usize,
    ttl_ms: u64,
    /// There was news meanwhile: it claims for all when they are back.
    claim_again: bool,
    /// One has found too little: no other is made until all are back, so that whoever does not wait is told.
    short: bool,
    /// It is about to claim for those who have come.
    gathering: bool,
    /// It is made because of a look.
    after_a_look: bool,
    eye: Arc<Eye>,
    told_watched: bool,
    looking: bool,
    look_again: bool,
    /// It is time to look.
    timer: Option<SpawnHandle>,
    sweeping: bool,
}

impl Primitive for QueueActor {
    fn open(name: Name, house: House) -> QueueActor {
        QueueActor {
            eye: Arc::new(Eye::new(name.clone(), Arc::clone(&house.seams.clock))),
            name,
            house,
            key: Watcher::new_key(),
            desk: None,
            waiting: VecDeque::new(),
            keepers: Vec::new(),
            came: 0,
            claiming: 0,
            ttl_ms: 0,
            claim_again: false,
            short: false,
            gathering: false,
            after_a_look: false,
            told_watched: false,
            looking: false,
            look_again: false,
            timer: None,
            sweeping: false,
        }
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl Drop for QueueActor {
    /// Also when a handler panicked. Who waited here is told so by the reply; what is claimed is its holder's.
    fn drop(&mut self) {
        self.house.watcher.leave(self.key);
        if let Some(desk) = &self.desk {
            desk.line.leave();
        }
    }
}

impl std::fmt::Debug for QueueActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QueueActor").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Handler<Visit<Pop>> for QueueActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Pop>, context: &mut Self::Context) {
        let Pop { most, ttl, wait, reply, mut passage } = message;
        passage.arrive();
        if reply.is_abandoned() {
            return;
        }
        if self.waiting.len() as u64 >= limits::WAITERS {
            let (what, limit) = ("the line of those who wait for a job", limits::WAITERS);
            return reply.answer(Err(Error::Overloaded { what, limit }));
        }
        let deadline_ms = wait.deadline_ms(|| self.house.writer.now_ms());
        self.came += 1;
        let (number, waits) = (self.came, wait != Wait::No);
        let timer = match wait {
            Wait::For(time) => {
                Some(context.run_later(time, move |actor, context| actor.give_up(number, context)))
            }
            Wait::No | Wait::Forever => None,
        };
        let passage = Some(passage);
        let ttl_ms = millis(ttl);
        let waiter = Waiter { number, most, ttl_ms, deadline_ms, timer, waits, reply, stay, passage };
        self.waiting.push_back(waiter);
        // Many may come at once: one claim serves them all.
        if !std::mem::replace(&mut self.gathering, true) {
            context.notify(Gathered);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Gathered;

impl Handler<Gathered> for QueueActor {
    type Result = ();

    /// Whoever comes while a claim is under way need not wait until it is back: another one may be in the same commit.
    fn handle(&mut self, _: Gathered, context: &mut Self::Context) {
        self.gathering = false;
        let is_alike = self.waiting.front().is_some_and(|first| first.ttl_ms == self.ttl_ms);
        if self.claiming > 0 && is_alike && !self.short && !self.claim_again {
            self.claim_for_the_first(context);
        } else {
            self.claim(context);
        }
    }
}

impl QueueActor {
    fn desk(&mut self, context: &mut Context<Self>) -> Arc<Desk> {
        let make = || Arc::new(Desk::new(self.name.clone(), &self.house, context.address().downgrade()));
        Arc::clone(self.desk.get_or_insert_with(make))
    }

    /// Claims for those who wait, at once or when all claims that are under way are back.
    fn claim(&mut self, context: &mut Context<Self>) {
        self.claim_again = self.claiming > 0;
        if !self.claim_again {
            self.claim_for_the_first(context);
        }
    }

    /// Claims for the first, as many as want the same lease.
    fn claim_for_the_first(&mut self, context: &mut Context<Self>) {
        let Some(ttl_ms) = self.waiting.front().map(|first| first.ttl_ms) else { return };
        let mut most = 0_u32;
        let alike = self.waiting.iter().take_while(|waiter| {
            let fits = waiter.ttl_ms == ttl_ms && most < limits::JOBS_PER_CLAIM;
            most = if fits { most.saturating_add(waiter.most) } else { most };
            fits
        });
        let count = alike.count();
        let (most, batch) = (most.min(limits::JOBS_PER_CLAIM), self.waiting.drain(..count).collect());
        self.claiming += 1;
        self.ttl_ms = ttl_ms;
        let desk = self.desk(context);
        // Also while they are in its line: what is pushed meanwhile may be behind the claim.
        desk.waited_for(true);
        desk.claim(batch, most, ttl_ms);
    }

    /// The time of one who waits is over. If a claim is under way for it, that is seen to when it comes back.
    fn give_up(&mut self, number: u64, context: &mut Context<Self>) {
        if let Ok(at) = self.waiting.binary_search_by_key(&number, |waiter| waiter.number)
            && let Some(waiter) = self.waiting.remove(at)
        {
            waiter.reply.answer(Ok(Vec::new()));
            self.tell_watcher(context);
        }
    }

    /// Those who got nothing and wait on.
    fn keep(&mut self, back: VecDeque<Waiter>, context: &mut Context<Self>) {
        let now_ms = self.house.writer.now_ms();
        for mut waiter in back.into_iter().rev() {
            waiter.passage = None;
            let over = waiter.deadline_ms.is_some_and(|deadline| deadline <= now_ms);
            if waiter.reply.is_abandoned() {
                cancel(waiter.timer, context);
            } else if over || !waiter.waits {
                cancel(waiter.timer, context);
                waiter.reply.answer(Ok(Vec::new()));
            } else {
                self.waiting.push_front(waiter);
            }
        }
    }

    /// What is there cannot be claimed before its time: a look says when that is, and costs no commit.
    fn changed(&mut self, ready: bool, context: &mut Context<Self>) {
        if ready { self.claim(context) } else { self.look(context) }
    }

    /// Nobody will be given a job any more.
    fn refuse_all(&mut self, error: &Error, context: &mut Context<Self>) {
        for waiter in std::mem::take(&mut self.waiting) {
            cancel(waiter.timer, context);
            waiter.reply.answer(Err(error.clone()));
        }
        self.keepers.drain(..).for_each(|keeper| keeper.reply.answer(Err(error.clone())));
    }

    /// Whether nobody here wants to know anything.
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.keepers.is_empty()
    }
}

fn cancel(timer: Option<SpawnHandle>, context: &mut Context<QueueActor>) {
    if let Some(timer) = timer {
        context.cancel_future(timer);
    }
}

/// A claim has come to its end.
#[derive(Message)]
#[rtype(result = "()")]
struct Claimed {
    /// The timers of those who were answered.
    timers: Vec<SpawnHandle>,
    /// It has brought less than was wanted.
    short: bool,
}

impl Handler<Claimed> for QueueActor {
    type Result = ();

    fn handle(&mut self, Claimed { timers, short }: Claimed, context: &mut Self::Context) {
        timers.into_iter().for_each(|timer| cancel(Some(timer), context));
        self.short |= short;
        self.claiming -= 1;
        if self.claiming > 0 {
            return;
        }
        self.short = false;
        let after_a_look = std::mem::take(&mut self.after_a_look);
        let left = self.desk(context).line.leave();
        let all_were_served = left.is_empty();
        self.keep(left, context);
        if self.claim_again || (all_were_served && !self.waiting.is_empty()) {
            return self.claim(context);
        }
        self.tell_watcher(context);
        if after_a_look {
            // Another process was faster. Should a look mislead, it does not do so all the time.
            self.look_in(limits::SLOW_POLL, context);
        } else {
            self.look(context);
        }
    }
}

/// Something happened in this process: there may be a job, or one whose time will come.
#[derive(Message)]
#[rtype(result = "()")]
struct Changed {
    /// One can be claimed now.
    ready: bool,
}

impl Handler<Changed> for QueueActor {
    type Result = ();

    fn handle(&mut self, Changed { ready }: Changed, context: &mut Self::Context) {
        self.changed(ready, context);
    }
}

/// A claim may have been made that nobody has.
#[derive(Message)]
#[rtype(result = "()")]
struct Doubt(Stay);

impl Handler<Doubt> for QueueActor {
    type Result = ();

    fn handle(&mut self, Doubt(stay): Doubt, context: &mut Self::Context) {
        context.run_later(limits::TRY_AGAIN, move |actor, context| actor.desk(context).recall(stay));
    }
}

/// The end of a claim could not be written. Its holder has been told, so what he wanted does not count any more: the job
/// is to be tried again.
#[derive(Message)]
#[rtype(result = "()")]
struct FinishAgain {
    receipt: Receipt,
    taken: bool,
    stay: Stay,
}

impl Handler<FinishAgain> for QueueActor {
    type Result = ();

    fn handle(&mut self, again: FinishAgain, context: &mut Self::Context) {
        let FinishAgain { receipt, taken, stay } = again;
        context.run_later(limits::TRY_AGAIN, move |actor, context| {
            actor.desk(context).drop_claim(receipt, taken, stay)
        });
    }
}

impl Handler<Visit<Write>> for QueueActor {
    type Result = ();

    /// What is pushed for somebody who waits is claimed for him in the same commit: two in the place of one would be twice
    /// the time until he has it.
    fn handle(&mut self, Visit { message, stay }: Visit<Write>, context: &mut Self::Context) {
        let is_ready = matches!(&message, Write::Push(jobs, ..) if desk::is_ready(jobs));
        let claims = is_ready && self.claiming == 0 && !self.waiting.is_empty();
        self.desk(context).write(message, claims, stay);
        if claims {
            self.claim(context);
        }
    }
}

impl Handler<Visit<Arrived>> for QueueActor {
    type Result = ();

    fn handle(&mut self, Visit { message, .. }: Visit<Arrived>, context: &mut Self::Context) {
        self.changed(message.ready, context);
    }
}

impl Handler<Visit<Abandoned>> for QueueActor {
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

impl Handler<Sweep> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Sweep, context: &mut Self::Context) {
        self.sweeping = false;
        let (gone, kept) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiter| waiter.reply.is_abandoned());
        self.waiting = kept;
        let gone: VecDeque<Waiter> = gone;
        gone.into_iter().for_each(|waiter| cancel(waiter.timer, context));
        self.keepers.retain(|keeper| !keeper.reply.is_abandoned());
        self.tell_watcher(context);
    }
}

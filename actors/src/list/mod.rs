//! The actor of one list: who waits for an item of it in this process, in the order in which they came.
//!
//! Items are in the database, where every process takes them. This actor takes for those who wait, for as many at once as there are;
//! they are answered where it was committed (`desk`), and whoever got nothing comes back to the front of those who wait. It takes
//! again when something was put here, and when `looking` has found that another process has put something.

mod desk;
mod looking;

use std::collections::VecDeque;
use std::sync::Arc;

use actix::prelude::*;

use self::desk::Desk;
pub use self::desk::{Popped, Write};
use self::looking::Eye;
use crate::error::Error;
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
pub use crate::reply::Wait;
use crate::storage::list::End;
use crate::supervisor::{House, Primitive, Stay, Visit};
use crate::watcher::Watcher;

/// Take an item from an end. If there is none, the first that comes is waited for.
#[derive(Debug)]
pub struct Pop {
    /// From where.
    pub end: End,
    /// How long to wait.
    pub wait: Wait,
    /// Answered with none if there was none in time.
    pub reply: Reply<Option<Popped>>,
    /// Given back after the first look.
    pub passage: Passage,
}

/// A caller has gone away while it waited.
#[derive(Debug)]
pub struct Abandoned;

/// Something was put into the list past the actor.
#[derive(Debug)]
pub struct Arrived;

/// A caller who waits.
struct Waiter {
    number: u64,
    end: End,
    /// By the boot clock; `None` is without limit.
    deadline_ms: Option<u64>,
    timer: Option<SpawnHandle>,
    waits: bool,
    reply: Reply<Option<Popped>>,
    stay: Stay,
    passage: Option<Passage>,
}

/// The actor.
pub struct ListActor {
    name: Name,
    house: House,
    key: usize,
    desk: Option<Arc<Desk>>,
    /// In the order in which they came.
    waiting: VecDeque<Waiter>,
    came: u64,
    /// Items are being taken, and there was news meanwhile.
    taking: bool,
    take_again: bool,
    /// It is about to take for those who have come, or to look who has gone.
    gathering: bool,
    sweeping: bool,
    eye: Arc<Eye>,
    told_watched: bool,
    looking: bool,
    look_again: bool,
}

impl Primitive for ListActor {
    fn open(name: Name, house: House) -> ListActor {
        ListActor {
            eye: Arc::new(Eye::new(name.clone())),
            name,
            house,
            key: Watcher::new_key(),
            desk: None,
            waiting: VecDeque::new(),
            came: 0,
            taking: false,
            take_again: false,
            gathering: false,
            sweeping: false,
            told_watched: false,
            looking: false,
            look_again: false,
        }
    }
}

impl Actor for ListActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl Drop for ListActor {
    /// Also when a handler panicked. Who waited here is told so by the reply.
    fn drop(&mut self) {
        self.house.watcher.leave(self.key);
    }
}

impl std::fmt::Debug for ListActor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListActor").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Handler<Visit<Pop>> for ListActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Pop>, context: &mut Self::Context) {
        let Pop { end, wait, reply, mut passage } = message;
        passage.arrive();
        if reply.is_abandoned() {
            return;
        }
        if self.waiting.len() as u64 >= limits::WAITERS {
            let (what, limit) = ("the line of those who wait for an item", limits::WAITERS);
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
        self.waiting.push_back(Waiter { number, end, deadline_ms, timer, waits, reply, stay, passage });
        // Many may come at once: one operation serves them all.
        if !std::mem::replace(&mut self.gathering, true) {
            context.notify(Gathered);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Gathered;

impl Handler<Gathered> for ListActor {
    type Result = ();

    fn handle(&mut self, _: Gathered, context: &mut Self::Context) {
        self.gathering = false;
        self.take(context);
    }
}

impl ListActor {
    fn desk(&mut self, context: &mut Context<Self>) -> Arc<Desk> {
        let make = || Arc::new(Desk::new(self.name.clone(), &self.house, context.address().downgrade()));
        Arc::clone(self.desk.get_or_insert_with(make))
    }

    /// Takes for the first who wait, as many as want the same end: at once, or when what is being taken has come.
    fn take(&mut self, context: &mut Context<Self>) {
        self.take_again = self.taking;
        let Some(end) = self.waiting.front().map(|first| first.end) else { return };
        if self.taking {
            return;
        }
        let alike = self.waiting.iter().take_while(|waiter| waiter.end == end);
        let count = alike.take(limits::ITEMS_PER_TAKE as usize).count();
        let batch = self.waiting.drain(..count).collect();
        self.taking = true;
        let desk = self.desk(context);
        // Also meanwhile: what is put may be behind it.
        desk.waited_for(true);
        desk.take(batch, end);
    }

    /// The time of one who waits is over. If something is being taken for it, that is seen to when it comes back.
    fn give_up(&mut self, number: u64, context: &mut Context<Self>) {
        if let Ok(at) = self.waiting.binary_search_by_key(&number, |waiter| waiter.number)
            && let Some(waiter) = self.waiting.remove(at)
        {
            waiter.reply.answer(Ok(None));
            self.tell_watcher(context);
        }
    }

    /// Those who got nothing and wait on.
    fn keep(&mut self, back: VecDeque<Waiter>, context: &mut Context<Self>) {
        let now_ms = self.house.writer.now_ms();
        for mut waiter in back.into_iter().rev() {
            waiter.passage = None;
            let over = waiter.deadline_ms.is_some_and(|deadline| deadline <= now_ms);
            if waiter.waits && !over && !waiter.reply.is_abandoned() {
                self.waiting.push_front(waiter);
                continue;
            }
            cancel(waiter.timer, context);
            waiter.reply.answer(Ok(None));
        }
    }

    /// Nobody will be given an item any more.
    fn refuse_all(&mut self, error: &Error, context: &mut Context<Self>) {
        for waiter in std::mem::take(&mut self.waiting) {
            cancel(waiter.timer, context);
            waiter.reply.answer(Err(error.clone()));
        }
    }
}

fn cancel(timer: Option<SpawnHandle>, context: &mut Context<ListActor>) {
    if let Some(timer) = timer {
        context.cancel_future(timer);
    }
}

/// What was taken has been handed out.
#[derive(Message)]
#[rtype(result = "()")]
struct HandedOut {
    /// Those for whom there was nothing.
    left: VecDeque<Waiter>,
    /// The timers of the others.
    timers: Vec<SpawnHandle>,
}

impl Handler<HandedOut> for ListActor {
    type Result = ();

    fn handle(&mut self, HandedOut { left, timers }: HandedOut, context: &mut Self::Context) {
        timers.into_iter().for_each(|timer| cancel(Some(timer), context));
        self.taking = false;
        let all_were_served = left.is_empty();
        self.keep(left, context);
        if self.take_again || (all_were_served && !self.waiting.is_empty()) {
            return self.take(context);
        }
        self.tell_watcher(context);
        self.look(context);
    }
}

/// Something was put here by this process.
#[derive(Message)]
#[rtype(result = "()")]
struct Changed;

impl Handler<Changed> for ListActor {
    type Result = ();

    fn handle(&mut self, _: Changed, context: &mut Self::Context) {
        self.take(context);
    }
}

impl Handler<Visit<Arrived>> for ListActor {
    type Result = ();

    fn handle(&mut self, _: Visit<Arrived>, context: &mut Self::Context) {
        self.take(context);
    }
}

/// An item that nobody took could not be given back.
#[derive(Message)]
#[rtype(result = "()")]
struct GiveBackAgain(desk::Back);

impl Handler<GiveBackAgain> for ListActor {
    type Result = ();

    fn handle(&mut self, GiveBackAgain(back): GiveBackAgain, context: &mut Self::Context) {
        context.run_later(limits::TRY_AGAIN, move |actor, context| actor.desk(context).give_back(back));
    }
}

impl Handler<Visit<Write>> for ListActor {
    type Result = ();

    /// For whoever waits it is taken in the same commit: two in the place of one would be twice the time until he has it.
    fn handle(&mut self, Visit { message, stay }: Visit<Write>, context: &mut Self::Context) {
        let takes = !self.taking && !self.waiting.is_empty();
        self.desk(context).write(message, takes, stay);
        if takes {
            self.take(context);
        }
    }
}

impl Handler<Visit<Abandoned>> for ListActor {
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

impl Handler<Sweep> for ListActor {
    type Result = ();

    fn handle(&mut self, _: Sweep, context: &mut Self::Context) {
        self.sweeping = false;
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (gone, kept): (VecDeque<Waiter>, _) = all.partition(|waiter| waiter.reply.is_abandoned());
        self.waiting = kept;
        gone.into_iter().for_each(|waiter| cancel(waiter.timer, context));
        self.tell_watcher(context);
    }
}

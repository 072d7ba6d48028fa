//! The actor of one event-sourced aggregate: it decides commands one after the other on a state that it keeps,
//! and merges what gathers while a commit is in flight into one append.
//!
//! - `model` is what the actor needs of an aggregate;
//! - `loading` is how it comes out of its snapshot and its events;
//! - `knowing` tells whether a command with an id was carried out before;
//! - `waiting` is what waits, `deciding` turns it into one flight, `coming` is what comes back;
//! - this file is the actor: what it waits for, and what it does when that comes.
//!
//! The actor's state is a cache. Every append names the version that it rests on, and an answer without an append
//! (a rejection, a decision without events, a look at the state) is given only after the version was compared
//! with the store's. So another process can write to the same stream at any time; then this actor loads anew and
//! decides again, in order.

mod coming;
mod deciding;
mod knowing;
mod loading;
mod model;
mod waiting;

use std::collections::VecDeque;
use std::time::Duration;

use actix::prelude::*;

use uuid::Uuid;

use self::coming::{Came, Compared, Go, Landed, Recalled, appended};
use self::deciding::{Flight, decide};
pub use self::knowing::About;
use self::knowing::recall;
use self::loading::{Loaded, freeze, load};
pub use self::loading::{Until, replay};
use self::model::guard;
pub use self::model::{Effect, Inspect, Model, Plan, Policy, What};
use self::waiting::{Entry, Item, Order, answer};
use crate::batch::{self, Part};
use crate::error::{Error, Expected, Result};
use crate::failpoint::{Point, reach};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::observe::{kind, target};
use crate::reply::Reply;
use crate::storage::stream::{Append, Appended, Check};
use crate::storage::{Target, View, snapshot};
use crate::stream::Placed;
use crate::supervisor::{House, Post, Primitive, Stay, Visit};
use crate::thread::Theirs;
use crate::writer::Terms;

/// Decide a command and append what it leads to.
pub struct Execute<M: Model> {
    /// The command.
    pub command: Theirs<M::Command>,
    /// What is said of it.
    pub about: About,
    /// The way to the actors that its effects concern.
    pub post: Post,
    /// Answered after the commit.
    pub reply: Reply<Verdict<M>>,
    /// The request's passage.
    pub passage: Passage,
}

/// Look at the state.
pub struct Look<M: Model> {
    /// What looks, and is answered when what it saw is known to be committed.
    pub inspect: Box<dyn Inspect<M>>,
    /// Whether what is known here will do, without asking the store for news.
    pub as_known: bool,
    /// The request's passage.
    pub passage: Passage,
}

/// What became of a command.
pub enum Verdict<M: Model> {
    /// Its events are in the stream.
    Committed {
        /// The stream's version with them.
        version: u64,
        /// Position of the last of them in the store; `None` if it decided on no events.
        position: Option<u64>,
        /// The events.
        events: Vec<M::Event>,
        /// A command with this id had been carried out before: nothing was written now.
        repeated: bool,
    },
    /// The aggregate refused it.
    Rejected(M::Rejection),
}

/// What the actor is doing.
enum Phase<M: Model> {
    /// It knows nothing of the aggregate.
    Absent,
    /// A reader is loading it.
    Loading,
    /// It has the state and nothing is in flight.
    Ready(Loaded<M>),
    /// A reader looks for what commands with an id have led to before.
    Recalling(Loaded<M>),
    /// An append, or a comparison with the store's version, is in flight.
    Flying(Loaded<M>, Flight<M>),
}

/// The actor.
pub struct AggregateActor<M: Model> {
    name: Name,
    house: House,
    phase: Phase<M>,
    line: VecDeque<Item<M>>,
    /// So many flights more keep a copy of the state that they rest on: others write to the stream as well, and with it only
    /// what they have written has to be read.
    careful: u32,
    scheduled: bool,
    /// Commands that may be expected for the next flight: callers who were answered a moment ago, and who had come
    /// meanwhile.
    likely: usize,
    /// The last flight had no room for all.
    full: bool,
    /// It waits for them.
    lingering: Option<Lingering>,
}

/// Waiting for callers to come back, in microseconds of a clock that only goes forward.
#[derive(Clone, Copy)]
struct Lingering {
    /// For any of them.
    began: u64,
    /// For the next of them.
    since: u64,
    /// How many have come.
    count: usize,
}

impl<M: Model> Primitive for AggregateActor<M> {
    fn open(name: Name, house: House) -> AggregateActor<M> {
        let line = VecDeque::new();
        AggregateActor {
            name,
            house,
            phase: Phase::Absent,
            line,
            careful: 0,
            scheduled: false,
            likely: 0,
            full: false,
            lingering: None,
        }
    }
}

impl<M: Model> Unpin for AggregateActor<M> {}

impl<M: Model> Actor for AggregateActor<M> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl<M: Model> Handler<Visit<Execute<M>>> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Execute<M>>, context: &mut Self::Context) {
        let Execute { command, about, post, reply, mut passage } = message;
        if let Err(error) = reach(Point::AggregateActor) {
            return reply.answer(Err(error));
        }
        // It waits here for the flight before it; the writer must not linger for it.
        passage.arrive();
        let entry = self.entry(passage, stay);
        let is_new = about.id.is_none();
        self.enqueue(Item::Execute(Order { command, about, is_new, post, reply, entry }), context);
    }
}

impl<M: Model> Handler<Visit<Look<M>>> for AggregateActor<M> {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Look<M>>, context: &mut Self::Context) {
        let Look { inspect, as_known, mut passage } = message;
        passage.arrive();
        let entry = self.entry(passage, stay);
        self.enqueue(Item::Look { inspect, as_known, entry }, context);
    }
}

impl<M: Model> AggregateActor<M> {
    fn entry(&self, passage: Passage, stay: Stay) -> Entry {
        Entry { _passage: passage, stay, deadline_ms: self.house.writer.deadline_ms(), overtaken: 0 }
    }

    fn enqueue(&mut self, item: Item<M>, context: &mut Context<Self>) {
        self.line.push_back(item);
        let at_rest = matches!(self.phase, Phase::Absent | Phase::Ready(_));
        if at_rest && !std::mem::replace(&mut self.scheduled, true) {
            // After all that is in the mailbox has been taken.
            context.notify(Go);
        }
    }

    /// Starts what can be started.
    fn go(&mut self, context: &mut Context<Self>) {
        self.scheduled = false;
        let Some(first) = self.line.front() else { return };
        let stay = first.entry().stay.clone();
        match std::mem::replace(&mut self.phase, Phase::Absent) {
            Phase::Absent => {
                self.load(None, stay, context);
            }
            Phase::Ready(loaded) if self.lingers() => {
                self.phase = Phase::Ready(loaded);
                self.scheduled = true;
                // A real yield: the others on this arbiter run first, those who bring the commands among them.
                let others = actix::fut::wrap_future::<_, Self>(tokio::task::yield_now());
                context
                    .spawn(others.map(|(), actor: &mut Self, context: &mut Context<Self>| actor.go(context)));
            }
            Phase::Ready(loaded) if self.line.iter().any(|item| item.unknown().is_some()) => {
                self.phase = Phase::Recalling(loaded);
                self.recall(stay, context);
            }
            Phase::Ready(loaded) => self.take_off(loaded, context),
            busy @ (Phase::Loading | Phase::Recalling(_) | Phase::Flying(..)) => self.phase = busy,
        }
    }

    /// Has the state loaded, or what has been added to it since.
    fn load(&mut self, known: Option<Loaded<M>>, stay: Stay, context: &mut Context<Self>) {
        self.phase = Phase::Loading;
        let (name, address) = (self.name.clone(), context.address());
        let then = move |loaded| address.do_send(Came(loaded, stay));
        let stats = self.house.stats.clone();
        let load = move |view: &mut dyn View| {
            reach(Point::BeforeLoad)?;
            load::<M>(view, &name, known, limits::LAST_SEQUENCE, &stats)
        };
        self.house.readers.read(load, then);
    }

    /// Has those commands looked for that carry an id. What comes meanwhile waits.
    fn recall(&mut self, stay: Stay, context: &mut Context<Self>) {
        let ids: Vec<Uuid> =
            self.line.iter().filter_map(Item::unknown).take(limits::MERGED_COMMANDS).collect();
        let (name, address, asked) = (self.name.clone(), context.address(), ids.len());
        let then = move |found| address.do_send(Recalled(found, asked, stay));
        self.house.readers.read(move |view| Ok(recall::<M>(view, &name, &ids)), then);
    }

    /// Whether it pays to wait a moment for callers who are likely to come back: without that, callers of a hot
    /// aggregate fall apart into a few in one flight and all others in the next.
    fn lingers(&mut self) -> bool {
        if self.line.len() >= self.likely {
            self.lingering = None;
            return false;
        }
        let (now, count) = (self.house.seams.clock.monotonic_us(), self.line.len());
        let was = self.lingering.unwrap_or(Lingering { began: now, since: now, count });
        // Each one who comes is waited behind anew, for many take longer to come back than one: but not for ever.
        let since = if was.count == count { was.since } else { now };
        let lasts =
            |since: u64, at_most: Duration| u128::from(now.saturating_sub(since)) < at_most.as_micros();
        let lingers = lasts(since, limits::RETURN) && lasts(was.began, limits::RETURN_OF_ALL);
        self.lingering = lingers.then_some(Lingering { since, count, ..was });
        lingers
    }

    /// Decides what waits and sends it off.
    fn take_off(&mut self, loaded: Loaded<M>, context: &mut Context<Self>) {
        let before = if self.careful > 0 { self.copy(&loaded) } else { None };
        let (loaded, mut flight) = decide(&self.name, loaded, before, &mut self.line, &self.house);
        self.full = !self.line.is_empty();
        let Some(loaded) = loaded else {
            // The user's code panicked half way through a state: whoever was decided on it is decided anew.
            self.requeue(flight);
            return self.restart(context);
        };
        let (name, address) = (self.name.clone(), context.address());
        let (events, effects) = (std::mem::take(&mut flight.events), std::mem::take(&mut flight.effects));
        if flight.is_of_old_looks() {
            return self.land(loaded, flight, None, context);
        }
        if events.is_empty() && effects.is_empty() {
            let look = move |view: &mut dyn View| view.stream(&name);
            self.house.readers.read(look, move |head| address.do_send(Compared(head)));
        } else {
            let stream = Target { name, id: loaded.id };
            let entries = || flight.decided.iter().map(|(item, _)| item.entry());
            let deadline_ms = entries().map(|entry| entry.deadline_ms).min().unwrap_or_default();
            let overtaken = entries().map(|entry| entry.overtaken).max().unwrap_or_default();
            let append = Append {
                stream,
                expected: Expected::Version(flight.base),
                events,
                known_ids: false,
                fence: None,
            };
            self.send(append, effects, Terms::until(deadline_ms).after(overtaken), address);
        }
        self.phase = Phase::Flying(loaded, flight);
    }

    /// A copy of the state, if it lets itself be copied.
    fn copy(&self, loaded: &Loaded<M>) -> Option<Theirs<M>> {
        guard("fork", &self.name, || loaded.state.fork()).ok().flatten().map(Theirs::new)
    }

    /// Sends a flight's events off, and in the same commit what follows from them. Where nothing has happened to the
    /// aggregate, that it still stands as it did is the condition.
    fn send(&self, append: Append, effects: Vec<Part>, terms: Terms, address: Addr<Self>) {
        let writer = &self.house.writer;
        if effects.is_empty() {
            let landed = move |outcome: Result<Appended>| address.do_send(Landed(outcome.map(Some)));
            return writer.apply_on(terms, append, None, landed);
        }
        let first = if append.events.is_empty() {
            Part::plain(Check { stream: append.stream, expected: append.expected })
        } else {
            Part::plain(append)
        };
        let parts = std::iter::once(first).chain(effects).collect();
        batch::write(writer, terms, parts, None, move |applied| {
            address.do_send(Landed(applied.and_then(appended)));
        });
    }

    /// Puts what was decided back in front of the line, in its order.
    fn requeue(&mut self, flight: Flight<M>) {
        for (item, _) in flight.decided.into_iter().rev() {
            self.line.push_front(item);
        }
    }

    /// The flight came to nothing. If it was not begun in time, that is so for those whose time is over; the others are
    /// decided again.
    fn come_to_nothing(&mut self, flight: Flight<M>, error: &Error, context: &mut Context<Self>) {
        let now_ms = self.house.writer.now_ms();
        let has_time = |item: &Item<M>| item.entry().deadline_ms > now_ms;
        let busy = matches!(error, Error::Busy { .. });
        let (again, late): (Vec<_>, Vec<_>) =
            flight.decided.into_iter().partition(|(item, _)| busy && has_time(item));
        late.into_iter().for_each(|(item, _)| item.fail(error.clone()));
        again.into_iter().rev().for_each(|(item, _)| self.line.push_front(item));
        self.restart(context);
    }

    /// Forgets the state; what waits is decided on a new one. Whether a command was carried out has to be looked up again.
    fn restart(&mut self, context: &mut Context<Self>) {
        self.forget_what_is_new();
        self.phase = Phase::Absent;
        self.go(context);
    }

    fn forget_what_is_new(&mut self) {
        for item in &mut self.line {
            if let Item::Execute(order) = item {
                order.is_new = order.about.id.is_none();
            }
        }
    }

    /// Somebody else has written to the stream since: those for whom that was once too often are told so, the others are
    /// decided again.
    fn conflict(&mut self, mut flight: Flight<M>, id: Option<u64>, actual: u64, context: &mut Context<Self>) {
        self.careful = limits::CAREFUL_FLIGHTS;
        let (base, before) = (flight.base, flight.before.take());
        let expected = Expected::Version(base);
        let error = Error::Conflict { stream: self.name.to_string(), expected, actual };
        let has_tries = |item: &Item<M>| item.entry().overtaken <= limits::CONFLICT_RETRIES;
        let decided = flight.decided.into_iter().map(|(item, _)| item.overtaken());
        let (again, outrun): (Vec<_>, Vec<_>) = decided.partition(has_tries);
        outrun.into_iter().for_each(|item| item.fail(error.clone()));
        again.into_iter().rev().for_each(|item| self.line.push_front(item));
        match (before, self.line.front().map(|item| item.entry().stay.clone())) {
            (Some(state), Some(stay)) => {
                self.forget_what_is_new();
                self.load(Some(Loaded { state, version: base, id }), stay, context);
            }
            _ => self.restart(context),
        }
    }

    /// The flight is committed, or rests on what is: everyone is answered.
    fn land(
        &mut self,
        loaded: Loaded<M>,
        flight: Flight<M>,
        last: Option<Placed>,
        context: &mut Context<Self>,
    ) {
        self.careful = self.careful.saturating_sub(1);
        // A full one leaves behind whoever has no room in it, and is worth its commit.
        self.likely = if self.full { 0 } else { self.line.len() + flight.decided.len() };
        for (item, decided) in flight.decided {
            answer(item, decided, last);
        }
        if last.is_some() {
            self.keep_snapshot(&loaded, flight.base);
        }
        self.phase = Phase::Ready(loaded);
        self.go(context);
    }

    /// Keeps a snapshot where the version has passed a multiple of the policy's interval. Nobody waits for it.
    fn keep_snapshot(&self, loaded: &Loaded<M>, base: u64) {
        let (Some(policy), Some(stream)) = (M::snapshots(), loaded.id) else { return };
        if loaded.version / policy.every == base / policy.every {
            return;
        }
        match freeze::<M>(&self.name, &loaded.state) {
            Ok(data) => {
                let save = snapshot::Save { stream, version: loaded.version, schema: policy.schema, data };
                self.house.writer.apply(save, None, |saved| {
                    if let Err(error) = saved {
                        tracing::warn!(target: target::ACTOR, %error, "a snapshot was not kept");
                    }
                });
            }
            // By its kind: the words of a serializer may tell of the state.
            Err(error) => {
                tracing::warn!(target: target::ACTOR, stream = %self.name, kind = kind(&error), "a snapshot was not made");
            }
        }
    }
}

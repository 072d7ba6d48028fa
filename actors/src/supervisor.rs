//! The supervisor: finds the actor of a name, starts it on first use, starts it anew when it failed, and lets
//! it go when nobody has used it for a while.
//!
//! actix does not restart an actor whose handler panicked, not even under its own `Supervisor`: the mailbox is
//! closed for good. So every message comes through here, and a closed mailbox is replaced.
//!
//! It names no primitive: an actor is found by its type and its name.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::prelude::*;

use crate::clock::Seams;
use crate::failpoint::{Point, reach};
use crate::feed::Feeds;
use crate::limits;
use crate::name::Name;
use crate::observe::target;
use crate::reader::Readers;
use crate::thread;
use crate::watcher::Watcher;
use crate::writer::{Stats, Writer};

/// What every actor is given: the ways to write, to read and to be woken.
#[derive(Clone, Debug)]
pub struct House {
    /// Writes.
    pub writer: Writer,
    /// Reads.
    pub readers: Readers,
    /// Feeds: their appends, and their ends.
    pub feeds: Feeds,
    /// Has it looked when another process wrote or died.
    pub watcher: Watcher,
    /// What is counted.
    pub stats: Arc<Stats>,
    /// Time, ids, threads.
    pub seams: Seams,
}

/// A reason for an actor to stay. Whoever waits for something of it, or holds something through it, keeps one;
/// the supervisor lets an actor go only when there is none.
#[derive(Clone, Debug)]
pub struct Stay(Arc<()>);

impl Stay {
    /// What keeps nobody, and becomes a reason again as long as the actor lives.
    #[must_use]
    pub fn downgrade(&self) -> WeakStay {
        WeakStay(Arc::downgrade(&self.0))
    }
}

/// No reason for an actor to stay, but one may be made of it while it has not been let go.
#[derive(Clone, Debug)]
pub struct WeakStay(Weak<()>);

impl WeakStay {
    /// A reason to stay, or `None`: it is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Stay> {
        self.0.upgrade().map(Stay)
    }
}

/// An actor of a name.
pub trait Primitive: Actor<Context = Context<Self>> {
    /// Makes the actor of `name`. No I/O: it learns what it needs with its first message.
    fn open(name: Name, house: House) -> Self;
}

/// A message on its way to the actor of type `A` with this name.
pub struct To<A, M> {
    name: Name,
    message: M,
    actor: PhantomData<fn() -> A>,
}

impl<A, M> To<A, M> {
    /// Addresses `message`.
    pub fn new(name: Name, message: M) -> To<A, M> {
        To { name, message, actor: PhantomData }
    }
}

impl<A: 'static, M: Send> Message for To<A, M> {
    type Result = ();
}

/// How a message gets to the actor of a name. Cheap to clone; it keeps no store open.
#[derive(Clone, Debug)]
pub struct Post(Arc<[Addr<Supervisor>]>);

impl Post {
    pub(crate) fn new(supervisors: Vec<Addr<Supervisor>>) -> Post {
        Post(supervisors.into())
    }

    /// The same name is always served by the same arbiter.
    pub(crate) fn supervisor_of(&self, name: &Name) -> Option<&Addr<Supervisor>> {
        let hash = crc32c::crc32c(name.as_str().as_bytes()) as usize;
        self.0.get(hash % self.0.len().max(1))
    }

    pub(crate) fn supervisors(&self) -> impl Iterator<Item = &Addr<Supervisor>> {
        self.0.iter()
    }

    /// Sends a message to the actor of a name, bounded by whatever the caller has.
    pub fn tell<A, M>(&self, name: &Name, message: M)
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        if let Some(supervisor) = self.supervisor_of(name) {
            // Bounded by the gate: who sends has a passage, or a guard that is going away.
            supervisor.do_send(To::<A, M>::new(name.clone(), message));
        }
    }
}

/// A message that has found its actor, with a reason for the actor to stay until it is dealt with.
pub struct Visit<M> {
    /// The message.
    pub message: M,
    /// To be kept as long as the message has consequences in the actor.
    pub stay: Stay,
}

impl<M: Send> Message for Visit<M> {
    type Result = ();
}

struct Child<A: Actor> {
    address: Addr<A>,
    stay: Arc<()>,
    used: u64,
}

impl<A: Actor> Child<A> {
    /// Nobody has sent it anything for a whole tick, and it has nothing to do or to hold.
    fn is_idle(&self, now: u64) -> bool {
        self.used + 1 < now && Arc::strong_count(&self.stay) == 1
    }
}

/// The children of one type, by name.
struct Children<A: Actor> {
    by_name: HashMap<Name, Child<A>>,
}

/// What the supervisor does with children of a type that it does not name.
trait Brood: Any {
    /// Lets idle ones go, looking at no more than `most`; how many are left.
    fn sweep(&mut self, now: u64, most: usize) -> usize;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<A: Primitive> Brood for Children<A> {
    fn sweep(&mut self, now: u64, most: usize) -> usize {
        let idle: Vec<Name> = (self.by_name.iter())
            .filter(|(_, child)| child.is_idle(now))
            .take(most)
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            let Some(Child { address, stay, used }) = self.by_name.remove(&name) else { continue };
            // Dropping the last address ends the actor; it has nothing in its mailbox, or it would stay. But somebody
            // may have come past the supervisor since it was looked at.
            if let Err(stay) = Arc::try_unwrap(stay) {
                self.by_name.insert(name, Child { address, stay, used });
            }
        }
        if self.by_name.capacity() > 4 * self.by_name.len() + 1_024 {
            self.by_name.shrink_to_fit();
        }
        self.by_name.len()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The supervisor of one arbiter.
pub struct Supervisor {
    house: House,
    broods: HashMap<TypeId, Box<dyn Brood>>,
    tick: u64,
    idle: Duration,
    sweeping: bool,
}

impl Supervisor {
    /// A supervisor that lets actors go that were idle for `idle`, or a little longer.
    pub(crate) fn new(house: House, idle: Duration) -> Supervisor {
        Supervisor { house, broods: HashMap::new(), tick: 0, idle, sweeping: false }
    }

    fn child<A: Primitive>(&mut self, name: Name) -> Option<&mut Child<A>> {
        let brood = (self.broods.entry(TypeId::of::<A>()))
            .or_insert_with(|| Box::new(Children::<A> { by_name: HashMap::new() }));
        let children = brood.as_any().downcast_mut::<Children<A>>()?;
        let house = &self.house;
        let start = |name: &Name| Child {
            address: A::open(name.clone(), house.clone()).start(),
            stay: Arc::new(()),
            used: 0,
        };
        let child = match children.by_name.entry(name) {
            std::collections::hash_map::Entry::Occupied(found) if found.get().address.connected() => {
                found.into_mut()
            }
            std::collections::hash_map::Entry::Occupied(mut failed) => {
                tracing::warn!(target: target::ACTOR, name = %failed.key(), "an actor failed and is started anew");
                let anew = start(failed.key());
                house.stats.meter.actor_started(true);
                failed.insert(anew);
                failed.into_mut()
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                let first = start(free.key());
                house.stats.meter.actor_started(false);
                free.insert(first)
            }
        };
        child.used = self.tick;
        Some(child)
    }

    /// Half an idle time is a tick; an actor unused for two of them may go. No children, no ticks.
    fn arm(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.sweeping, true) {
            return;
        }
        context.run_later(self.idle / 2, |supervisor, context| {
            supervisor.tick += 1;
            supervisor.sweep(context);
        });
    }

    fn sweep(&mut self, context: &mut Context<Self>) {
        let now = self.tick;
        let mut left = 0;
        let before: usize = self.broods.values_mut().map(|brood| brood.sweep(now, 0)).sum();
        for brood in self.broods.values_mut() {
            left += brood.sweep(now, limits::SWEEP_SLICE);
        }
        self.house.stats.meter.actors_left(before.saturating_sub(left));
        tracing::trace!(target: target::ACTOR, left, gone = before.saturating_sub(left), "idle actors were let go");
        self.sweeping = false;
        if left > 0 {
            self.arm(context);
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("types", &self.broods.len()).finish_non_exhaustive()
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl<A, M> Handler<To<A, M>> for Supervisor
where
    A: Primitive + Handler<Visit<M>>,
    M: Send + 'static,
{
    type Result = ();

    fn handle(&mut self, to: To<A, M>, context: &mut Self::Context) {
        let pass_on = || {
            reach(Point::Supervisor)?;
            if let Some(child) = self.child::<A>(to.name) {
                let stay = Stay(Arc::clone(&child.stay));
                // Bounded by the gate, as every message is.
                child.address.do_send(Visit { message: to.message, stay });
            }
            Ok(())
        };
        // Nobody starts a supervisor anew, and without one there are no actors: what fails here costs one request.
        if let Err(error) = thread::contain(|| "the supervisor".into(), pass_on).flatten() {
            tracing::error!(target: target::ACTOR, %error, "a request was dropped");
        }
        self.arm(context);
    }
}

/// How many actors live on this arbiter, for tests and `health`.
#[derive(Message)]
#[rtype(result = "usize")]
pub struct Census;

impl Handler<Census> for Supervisor {
    type Result = usize;

    fn handle(&mut self, _: Census, _: &mut Self::Context) -> usize {
        let now = self.tick;
        self.broods.values_mut().map(|brood| brood.sweep(now, 0)).sum()
    }
}

//! What a command leads to.

use millpond_actors::aggregate::{Effect, What};
use millpond_actors::batch::Part;
use millpond_actors::error::Result;
use millpond_actors::feed::Feeds;
use millpond_actors::name::Name;
use millpond_actors::storage::feed::Kind;
use millpond_actors::supervisor::Post;
use serde::Serialize;

use super::Aggregate;
use crate::feed::{self, Stamp};
use crate::job::Push;
use crate::queue;

/// What a command leads to: events of the aggregate, and what is written to other primitives in the same commit. All of it or
/// none: so what follows from an event is never forgotten, and never done for an event that is not there.
///
/// # Examples
/// ```
/// # use millpond::{Aggregate, Decision};
/// # #[derive(Default)]
/// # struct Order;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # enum Happened { Placed }
/// # impl Aggregate for Order {
/// #     const KIND: &'static str = "order";
/// #     type Command = ();
/// #     type Event = Happened;
/// #     type Rejection = std::convert::Infallible;
/// #     fn evolve(&mut self, _: &Happened) {}
/// fn decide(&self, _: &()) -> Result<Decision<Order>, std::convert::Infallible> {
///     let placed = Decision::from([Happened::Placed]);
///     Ok(placed.push("picking", &"two lamps").publish("orders", &"an order was placed"))
/// }
/// # }
/// # futures_executor::block_on(async {
/// # let store = millpond::Store::memory().await?;
/// # store.aggregate::<Order>("17").execute(()).await.unwrap();
/// # assert_eq!(*store.queue::<String>("picking").pop().await?, "two lamps");
/// # store.close().await
/// # }).unwrap();
/// ```
#[must_use]
pub struct Decision<A: Aggregate> {
    pub(crate) events: Vec<A::Event>,
    pub(crate) effects: Result<Vec<Effect>>,
}

impl<A: Aggregate> std::fmt::Debug for Decision<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let events = self.events.len();
        f.debug_struct("Decision").field("events", &events).field("effects", &self.effects).finish()
    }
}

impl<A: Aggregate> Decision<A> {
    /// Nothing is to be done; the command is accepted.
    pub fn nothing() -> Decision<A> {
        Decision::from(Vec::new())
    }

    /// Also pushes a job to the queue of this name.
    ///
    /// At most 1,000 effects a command. A bad name, a value that cannot be encoded or is too large make the command
    /// [`CommandError::Failed`](crate::CommandError::Failed), with nothing written. The job comes from the last event of the
    /// decision, or else from what the command comes from: see [`Origin`](crate::Origin).
    pub fn push<T: Serialize>(self, queue: &str, job: &T) -> Decision<A> {
        self.push_with(queue, job, Push::new())
    }

    /// Also pushes a job with a priority, a delay, a key, a number of attempts or an origin of its own. A job whose key is
    /// taken is not pushed again.
    pub fn push_with<T: Serialize>(self, queue: &str, job: &T, push: Push) -> Decision<A> {
        self.and(|| {
            let name = Name::new(queue)?;
            let job = queue::encode(&name, job, push)?;
            Ok(Effect { name, what: What::Job(job), part })
        })
    }

    /// Also publishes a message on the channel of this name.
    pub fn publish<T: Serialize>(self, channel: &str, value: &T) -> Decision<A> {
        self.and(|| message(Kind::Channel, channel, value))
    }

    /// Also appends a record to the log of this name.
    pub fn log<T: Serialize>(self, log: &str, value: &T) -> Decision<A> {
        self.and(|| message(Kind::Log, log, value))
    }

    fn and(mut self, effect: impl FnOnce() -> Result<Effect>) -> Decision<A> {
        // The first that cannot be is the one that is told of.
        if let Ok(effects) = &mut self.effects {
            match effect() {
                Ok(effect) => effects.push(effect),
                Err(error) => self.effects = Err(error),
            }
        }
        self
    }
}

fn message(kind: Kind, name: &str, value: &impl Serialize) -> Result<Effect> {
    let name = Name::new(name)?;
    let message = feed::encode(kind, &name, value, Stamp::new())?;
    Ok(Effect { name, what: What::Message(kind, message), part })
}

fn part(name: &Name, what: What, post: &Post, feeds: &Feeds) -> Part {
    match what {
        What::Job(job) => queue::push_part(post, name, job),
        What::Message(kind, message) => feeds.part(kind, name, vec![message]),
    }
}

impl<A: Aggregate> From<Vec<A::Event>> for Decision<A> {
    fn from(events: Vec<A::Event>) -> Decision<A> {
        Decision { events, effects: Ok(Vec::new()) }
    }
}

impl<A: Aggregate, const N: usize> From<[A::Event; N]> for Decision<A> {
    fn from(events: [A::Event; N]) -> Decision<A> {
        Decision::from(Vec::from(events))
    }
}

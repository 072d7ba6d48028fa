//! Event-sourced aggregates: commands decided one after the other, events on disk before the answer.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::aggregate::{
    AggregateActor, Effect, Execute, Inspect, Look, Model, Plan, Policy, Verdict,
};
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::reply::Reply;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::Data;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::stream::{Recorded as Record, Scope};
use millpond_actors::thread::Theirs;

use crate::codec;
use crate::feed::{self, Stamp};
use crate::job::Push;
use crate::queue;
use crate::reading::{EventStream, decode_event};

/// An event-sourced aggregate: a state that changes only by events, and decides which events a command leads to.
///
/// `decide` and `evolve` must not wait for anything and must not call the store; they run on a thread that other
/// actors need. A panic in either is an error for that caller, and nothing is written for its command.
///
/// # Examples
/// See [`Account`](Entity#examples).
pub trait Aggregate: Default + Send + 'static {
    /// The category of its streams: the aggregate `alice` of kind `account` is the stream `account-alice`. It
    /// must not contain a `-`.
    const KIND: &'static str;
    /// What it can be asked to do.
    type Command: Send + 'static;
    /// What can happen to it: an enum, whose variants' names are the events' types in the store.
    type Event: Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Why it refuses a command.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// Decides a command on this state: which events it leads to, possibly none.
    ///
    /// May be called more than once for one command: when another process wrote to the stream meanwhile, the
    /// command is decided again on the newer state.
    ///
    /// # Errors
    /// The rejection, which is handed to the caller as it is; nothing is written.
    fn decide(&self, command: &Self::Command) -> Result<Decision<Self>, Self::Rejection>;

    /// Changes the state by what happened. Must give the same state for the same events, always.
    fn evolve(&mut self, event: &Self::Event);

    /// Whether and when snapshots of the state are kept; [`Snapshots::never`] unless overridden.
    #[must_use]
    fn snapshots() -> Snapshots<Self> {
        Snapshots::never()
    }
}

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
    events: Vec<A::Event>,
    effects: Result<Vec<Effect>>,
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
    /// [`CommandError::Failed`], with nothing written.
    pub fn push<T: Serialize>(self, queue: &str, job: &T) -> Decision<A> {
        self.push_with(queue, job, Push::new())
    }

    /// Also pushes a job with a priority, a delay, a key or a number of attempts. A job whose key is taken is not pushed again.
    pub fn push_with<T: Serialize>(self, queue: &str, job: &T, push: Push) -> Decision<A> {
        self.and(|| {
            let name = Name::new(queue)?;
            let job = queue::encode(&name, job, push)?;
            let bytes = job.data.bytes().len();
            Ok(Effect { bytes, part: Box::new(move |post, _| queue::push_part(post, &name, job)) })
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
    let bytes = message.data.bytes().len();
    Ok(Effect { bytes, part: Box::new(move |_, feeds| feeds.part(kind, &name, vec![message])) })
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

/// Whether and when snapshots of an aggregate's state are kept. They are a cache: whatever is wrong with one
/// costs a replay of the events, and the state comes out the same.
pub struct Snapshots<A> {
    policy: Option<Policy>,
    freeze: fn(&A) -> Result<Data>,
    thaw: fn(&Data) -> Result<A>,
}

impl<A> Snapshots<A> {
    /// None: loading replays all events.
    #[must_use]
    pub fn never() -> Snapshots<A> {
        Snapshots { policy: None, freeze: |_| Err(no_snapshots()), thaw: |_| Err(no_snapshots()) }
    }
}

fn no_snapshots() -> Error {
    Error::Unsupported { what: "a snapshot".into(), reason: "this aggregate keeps none".into() }
}

impl<A: Serialize + DeserializeOwned> Snapshots<A> {
    /// Whenever the version passes a multiple of `events` (0 counts as 1), as bincode.
    #[must_use]
    pub fn every(events: u64) -> Snapshots<A> {
        Snapshots {
            policy: Some(Policy { every: events.max(1), schema: 1 }),
            freeze: |state| codec::to_bincode("a snapshot", state),
            thaw: |data| codec::from_data("a snapshot", data),
        }
    }

    /// The version of the state's shape; raise it whenever the state's fields change. A snapshot with another
    /// one is not used.
    #[must_use]
    pub fn schema(mut self, schema: u32) -> Snapshots<A> {
        self.policy = self.policy.map(|policy| Policy { schema, ..policy });
        self
    }
}

impl<A> std::fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshots").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// One aggregate by its id. A handle: cheap to clone, no I/O to make one.
///
/// In a process one actor serves it, on a state that it keeps in memory. While a commit is in flight, commands
/// gather; they are then decided one after the other and appended together, so many callers of one aggregate
/// share a commit. Several processes may use the same aggregate: every append rests on a version, and a command
/// that was overtaken is decided again, up to eight times.
///
/// # Examples
/// ```
/// use millpond::{Aggregate, Decision, Store};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Debug, Default, PartialEq)]
/// struct Account { cents: u64 }
///
/// #[derive(Serialize, Deserialize)]
/// enum Happened { Deposited { cents: u64 }, Withdrawn { cents: u64 } }
///
/// enum Do { Deposit(u64), Withdraw(u64) }
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("only {0} cents are left")]
/// struct TooLittle(u64);
///
/// impl Aggregate for Account {
///     const KIND: &'static str = "account";
///     type Command = Do;
///     type Event = Happened;
///     type Rejection = TooLittle;
///
///     fn decide(&self, command: &Do) -> Result<Decision<Account>, TooLittle> {
///         match *command {
///             Do::Deposit(cents) => Ok([Happened::Deposited { cents }].into()),
///             Do::Withdraw(cents) if cents > self.cents => Err(TooLittle(self.cents)),
///             Do::Withdraw(cents) => Ok([Happened::Withdrawn { cents }].into()),
///         }
///     }
///
///     fn evolve(&mut self, event: &Happened) {
///         match event {
///             Happened::Deposited { cents } => self.cents += cents,
///             Happened::Withdrawn { cents } => self.cents -= cents,
///         }
///     }
/// }
///
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let alice = store.aggregate::<Account>("alice");
/// let done = alice.execute(Do::Deposit(500)).await.expect("a deposit is never refused");
/// assert_eq!(done.version, 1);
/// assert!(alice.execute(Do::Withdraw(501)).await.is_err());
/// assert_eq!(alice.state().await?, Account { cents: 500 });
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct Entity<A: Aggregate> {
    pub(crate) runtime: Arc<Runtime>,
    name: Result<Name>,
    kind: PhantomData<fn() -> A>,
}

impl<A: Aggregate> Clone for Entity<A> {
    fn clone(&self) -> Entity<A> {
        Entity { runtime: Arc::clone(&self.runtime), name: self.name.clone(), kind: PhantomData }
    }
}

impl<A: Aggregate> std::fmt::Debug for Entity<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entity").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<A: Aggregate> Entity<A> {
    pub(crate) fn new(runtime: Arc<Runtime>, id: &str) -> Entity<A> {
        Entity { runtime, name: stream_name::<A>(id), kind: PhantomData }
    }

    /// Decides a command and appends what it leads to. `Ok` means: on disk.
    ///
    /// If the future is dropped, the command may still be executed.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] by the aggregate; [`CommandError::Failed`] with a bad id,
    /// [`Error::Panicked`], [`Error::Conflict`] if it was overtaken too often, [`Error::Decode`] or
    /// [`Error::Corrupt`] if the stream cannot be read, or what the database said.
    pub async fn execute(&self, command: A::Command) -> Result<Committed<A>, CommandError<A::Rejection>> {
        let name = self.name.clone()?;
        let command = Theirs::new(command);
        let post = self.runtime.post().clone();
        let build = |reply, passage| Execute::<Hosted<A>> { command, post, reply, passage };
        outcome(self.runtime.ask::<AggregateActor<Hosted<A>>, _, _>(&name, build).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn execute_blocking(
        &self,
        command: A::Command,
    ) -> Result<Committed<A>, CommandError<A::Rejection>> {
        let name = self.name.clone()?;
        let command = Theirs::new(command);
        let post = self.runtime.post().clone();
        let build = |reply, passage| Execute::<Hosted<A>> { command, post, reply, passage };
        outcome(self.runtime.call::<AggregateActor<Hosted<A>>, _, _>(&name, build)?)
    }

    /// All events of it, oldest first, undecided by type; [`Recorded::decode_event`](crate::Recorded::decode_event)
    /// makes them `A::Event`.
    pub fn history(&self) -> EventStream {
        EventStream::new(&self.runtime, self.name.clone().map(Scope::Stream))
    }
}

impl<A: Aggregate + Clone> Entity<A> {
    /// The state with everything that was committed before this call, by whatever process.
    ///
    /// # Errors
    /// As [`execute`](Entity::execute), without the rejection.
    pub async fn state(&self) -> Result<A> {
        let name = self.name.clone()?;
        let build = |reply, passage| look(reply, passage);
        self.runtime.ask::<AggregateActor<Hosted<A>>, _, _>(&name, build).await
    }

    /// The same for a thread that waits.
    pub(crate) fn state_blocking(&self) -> Result<A> {
        let name = self.name.clone()?;
        let build = |reply, passage| look(reply, passage);
        self.runtime.call::<AggregateActor<Hosted<A>>, _, _>(&name, build)
    }
}

fn look<A: Aggregate + Clone>(reply: Reply<A>, passage: millpond_actors::gate::Passage) -> Look<Hosted<A>> {
    Look { inspect: Box::new(Copying { seen: None, reply }), passage }
}

/// The stream of an aggregate.
fn stream_name<A: Aggregate>(id: &str) -> Result<Name> {
    millpond_actors::name::check("aggregate's kind", A::KIND, millpond_actors::limits::EVENT_TYPE_BYTES)?;
    if A::KIND.contains('-') {
        let reason = "a kind must not contain '-', which ends the category of a stream".to_owned();
        return Err(Error::InvalidName { what: "aggregate's kind", name: A::KIND.to_owned(), reason });
    }
    millpond_actors::name::check("aggregate's id", id, millpond_actors::limits::NAME_BYTES)?;
    Name::new(format!("{}-{id}", A::KIND))
}

fn outcome<A: Aggregate>(verdict: Verdict<Hosted<A>>) -> Result<Committed<A>, CommandError<A::Rejection>> {
    match verdict {
        Verdict::Committed { version, position, events } => Ok(Committed { version, position, events }),
        Verdict::Rejected(rejection) => Err(CommandError::Rejected(rejection)),
    }
}

/// What a command has led to, on disk.
#[derive(Debug)]
#[non_exhaustive]
pub struct Committed<A: Aggregate> {
    /// The aggregate's version with its events.
    pub version: u64,
    /// Position of the last of its events in the whole store; `None` if it led to no events.
    pub position: Option<u64>,
    /// Its events.
    pub events: Vec<A::Event>,
}

/// Why a command came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<R> {
    /// The aggregate refused it, and says why.
    #[error(transparent)]
    Rejected(R),
    /// It could not be carried out.
    #[error(transparent)]
    Failed(Error),
}

impl<R> From<Error> for CommandError<R> {
    fn from(error: Error) -> CommandError<R> {
        CommandError::Failed(error)
    }
}

/// An aggregate as its actor sees it.
pub(crate) struct Hosted<A>(A);

impl<A: Aggregate> Model for Hosted<A> {
    type Command = A::Command;
    type Event = A::Event;
    type Rejection = A::Rejection;

    fn fresh() -> Hosted<A> {
        Hosted(A::default())
    }

    fn decide(&self, command: &A::Command) -> Result<Plan<Self>, A::Rejection> {
        self.0.decide(command).map(|Decision { events, effects }| Plan { events, effects })
    }

    fn evolve(&mut self, event: &A::Event) {
        self.0.evolve(event);
    }

    fn encode(event: &A::Event) -> Result<(Cow<'static, str>, Data)> {
        codec::split_event(event)
    }

    fn decode(recorded: &Record) -> Result<A::Event> {
        decode_event(recorded)
    }

    fn snapshots() -> Option<Policy> {
        A::snapshots().policy
    }

    fn freeze(&self) -> Result<Data> {
        (A::snapshots().freeze)(&self.0)
    }

    fn thaw(data: &Data) -> Result<Hosted<A>> {
        (A::snapshots().thaw)(data).map(Hosted)
    }
}

/// A look that copies the state.
struct Copying<A> {
    seen: Option<Theirs<A>>,
    reply: Reply<A>,
}

impl<A: Aggregate + Clone> Inspect<Hosted<A>> for Copying<A> {
    fn look(&mut self, state: &Hosted<A>, _: u64) {
        self.seen = Some(Theirs::new(state.0.clone()));
    }

    fn answer(self: Box<Self>, answer: Result<()>) {
        let Copying { seen, reply } = *self;
        let unseen = || Error::ActorFailed { what: "the aggregate".into() };
        reply.answer(answer.and_then(|()| seen.map(Theirs::into_inner).ok_or_else(unseen)));
    }
}

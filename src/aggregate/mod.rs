//! Event-sourced aggregates: commands decided one after the other, events on disk before the answer.
//!
//! - this file is what an aggregate is, and the handle of one;
//! - `decision` is what a command leads to, `execute` what is said about one, `draft` what a repository changes;
//! - `snapshots` and `upcasts` are how its past is kept short, and readable;
//! - `hosted` is an aggregate as its actor sees it.

mod decision;
mod draft;
mod execute;
mod hosted;
mod snapshots;
mod upcasts;

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::aggregate::{self, AggregateActor, Look, Until, Verdict, replay};
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::reply::Reply;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::stream::Scope;
use millpond_actors::thread::Theirs;

pub use self::decision::Decision;
pub use self::draft::Draft;
pub use self::execute::Execute;
use self::hosted::Copying;
pub(crate) use self::hosted::Hosted;
pub use self::snapshots::Snapshots;
use self::upcasts::shapes;
pub use self::upcasts::{Upcast, Upcasts};
use crate::events::Event;
use crate::reading::{EventStream, Recorded};

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

    /// How events are read that were recorded in an older shape; as they are unless overridden. Asked once.
    fn upcasts() -> Upcasts {
        Upcasts::new()
    }

    /// A copy of the state: `Some(self.clone())`, where that costs less than reading. While other processes write to the
    /// same aggregate, each flight of commands keeps one, and when it was overtaken, only what was written meanwhile is
    /// read. Without copies, which is how it is unless overridden, the aggregate is loaded anew then.
    fn fork(&self) -> Option<Self> {
        None
    }
}

/// One aggregate by its id. A handle: cheap to clone, no I/O to make one.
///
/// In a process one actor serves it, on a state that it keeps in memory. While a commit is in flight, commands
/// gather; they are then decided one after the other and appended together, so many callers of one aggregate
/// share a commit. Several processes may use the same aggregate: every append rests on a version, and a command
/// that was overtaken is decided again, up to eight times. From the fifth on its process keeps the writers' turn meanwhile, 25
/// ms at most, so that a command gives up only on a machine that is slower than that.
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
    /// If the future is dropped, the command may still be executed. A command that may be sent again needs an
    /// [id](Execute::id).
    ///
    /// # Errors
    /// [`CommandError::Rejected`] by the aggregate; [`CommandError::Failed`] with a bad id,
    /// [`Error::Panicked`], [`Error::Conflict`] if it was overtaken too often, [`Error::Decode`] or
    /// [`Error::Corrupt`] if the stream cannot be read, or what the database said.
    pub async fn execute(&self, command: A::Command) -> Result<Committed<A>, CommandError<A::Rejection>> {
        self.execute_with(command, Execute::new()).await
    }

    /// The same for a command with an id or an origin.
    ///
    /// # Errors
    /// As [`execute`](Entity::execute); [`Error::InvalidName`] for an actor or a tenant that is not usable;
    /// [`Error::InvalidArgument`] if the command has an id and leads to effects without an event.
    pub async fn execute_with(
        &self,
        command: A::Command,
        how: Execute,
    ) -> Result<Committed<A>, CommandError<A::Rejection>> {
        let (name, about) = (self.name.clone()?, how.about()?);
        let (command, post) = (Theirs::new(command), self.runtime.post().clone());
        let build = |reply, passage| aggregate::Execute::<Hosted<A>> { command, about, post, reply, passage };
        outcome(self.runtime.ask::<AggregateActor<Hosted<A>>, _, _>(&name, build).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn execute_blocking(
        &self,
        command: A::Command,
        how: Execute,
    ) -> Result<Committed<A>, CommandError<A::Rejection>> {
        let (name, about) = (self.name.clone()?, how.about()?);
        let (command, post) = (Theirs::new(command), self.runtime.post().clone());
        let build = |reply, passage| aggregate::Execute::<Hosted<A>> { command, about, post, reply, passage };
        outcome(self.runtime.call::<AggregateActor<Hosted<A>>, _, _>(&name, build)?)
    }

    /// The state as it was at a version; version 0 is the state before any event.
    ///
    /// It is made anew from the events (and a snapshot, if one is kept that is not younger), and kept nowhere.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a version that does not exist; otherwise as [`execute`](Entity::execute), without the
    /// rejection.
    pub async fn at_version(&self, version: u64) -> Result<A> {
        self.past(Until::Version(version)).await
    }

    /// The state as it was at a time, in milliseconds since 1970: with all events that had been
    /// [recorded](Recorded::recorded_at_ms) by then.
    ///
    /// # Errors
    /// As [`execute`](Entity::execute), without the rejection.
    pub async fn at_time(&self, ms: i64) -> Result<A> {
        self.past(Until::Time(ms)).await
    }

    async fn past(&self, until: Until) -> Result<A> {
        let (name, stats) = (self.name.clone()?, Arc::clone(self.runtime.stats()));
        let state = self.runtime.read(move |view| replay::<Hosted<A>>(view, &name, until, &stats)).await?;
        Ok(state.into_inner().into_state())
    }

    /// The same for a thread that waits.
    pub(crate) fn past_blocking(&self, until: Until) -> Result<A> {
        let (name, stats) = (self.name.clone()?, Arc::clone(self.runtime.stats()));
        let state =
            self.runtime.read_blocking(move |view| replay::<Hosted<A>>(view, &name, until, &stats))?;
        Ok(state.into_inner().into_state())
    }

    /// One of its events as it is understood today: through the [upcasts](Aggregate::upcasts).
    ///
    /// # Errors
    /// [`Error::Decode`], naming the event and its type; [`Error::Panicked`] in a step; [`Error::InvalidArgument`] if the
    /// upcasts do not fit together.
    pub fn decode(&self, event: &Recorded) -> Result<A::Event> {
        shapes::<A>().check()?;
        decode::<A>(event)
    }

    /// The other way: an event of the aggregate as one to be appended, with its type and the schema of today. For whoever
    /// appends it himself, in a [`Batch`](crate::Batch) say, without a command.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn encode(&self, event: &A::Event) -> Result<Event> {
        encode::<A>(event)
    }

    /// All events of it, oldest first, as they were recorded; [`decode`](Entity::decode) makes them `A::Event`.
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
        self.look(false).await
    }

    /// The latest state that this process knows. It is taken from memory, where it was committed, and the store is not
    /// asked; so it has all that was answered here, and what other processes have written it may not have yet. An aggregate
    /// that is not in memory is loaded.
    ///
    /// # Errors
    /// As [`execute`](Entity::execute), without the rejection.
    pub async fn latest(&self) -> Result<A> {
        self.look(true).await
    }

    async fn look(&self, as_known: bool) -> Result<A> {
        let name = self.name.clone()?;
        let build = |reply, passage| look(as_known, reply, passage);
        self.runtime.ask::<AggregateActor<Hosted<A>>, _, _>(&name, build).await
    }

    /// The same for a thread that waits.
    pub(crate) fn look_blocking(&self, as_known: bool) -> Result<A> {
        let name = self.name.clone()?;
        let build = |reply, passage| look(as_known, reply, passage);
        self.runtime.call::<AggregateActor<Hosted<A>>, _, _>(&name, build)
    }
}

fn look<A: Aggregate + Clone>(
    as_known: bool,
    reply: Reply<A>,
    passage: millpond_actors::gate::Passage,
) -> Look<Hosted<A>> {
    Look { inspect: Box::new(Copying { seen: None, reply }), as_known, passage }
}

/// An event as it is understood today.
pub(crate) fn decode<A: Aggregate>(event: &Recorded) -> Result<A::Event> {
    shapes::<A>().decode(event.record())
}

/// An event as it would be recorded today.
pub(crate) fn encode<A: Aggregate>(event: &A::Event) -> Result<Event> {
    let (event_type, content, schema) = shapes::<A>().encode(event)?;
    Ok(Event::of(event_type, content).schema(schema))
}

/// The stream of an aggregate.
pub(crate) fn stream_name<A: Aggregate>(id: &str) -> Result<Name> {
    shapes::<A>().check()?;
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
        Verdict::Committed { version, position, events, repeated } => {
            Ok(Committed { version, position, events, repeated })
        }
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
    /// It had been carried out before, by its [id](Execute::id); nothing was written now.
    pub repeated: bool,
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

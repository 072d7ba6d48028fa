//! The repository way: load, change, save with the version that was loaded. It asks nothing of a store but four methods, so
//! that the same aggregates run on a store of your own.

use std::future::Future;
use std::marker::PhantomData;

use uuid::Uuid;

use millpond_actors::error::{Expected, Result};
use millpond_actors::limits;

use crate::aggregate::{Aggregate, Draft, stream_name};
use crate::events::{Appended, Event, Events};
use crate::reading::Recorded;

/// Streams of events, as far as a [`Repository`] needs them. [`Events`] is one; whoever has another place for events
/// implements it, and runs `millpond::testing::contract` against it (feature `testing`), which is what
/// these promises mean.
///
/// - A stream is a dense sequence of events, whose versions start at 1. It comes into being with its first event.
/// - An append is all or none. Of many that expect the same version one succeeds.
/// - An `Ok` of an append is kept, and is seen by every read that begins after it.
pub trait EventStore: Send + Sync {
    /// Appends events to one stream, all or none.
    ///
    /// First the ids of the events are looked at: if all of them are in this stream already, in this order and one behind
    /// the other, this is a repetition, and what came of the first time is the answer, whatever is expected; if only some
    /// of them are stored, or in another stream, or one is named twice, it is refused. Then the version is compared.
    /// Events without an id get one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if there are no events; [`Error::DuplicateEvent`](crate::Error::DuplicateEvent); [`Error::Conflict`](crate::Error::Conflict) with the actual
    /// version. Nothing is written then.
    fn append(
        &self,
        stream: &str,
        expected: Expected,
        events: Vec<Event>,
    ) -> impl Future<Output = Result<Appended>> + Send;

    /// The events of a stream in their order, from a version on, at most `limit` of them. Fewer mean that there are no more;
    /// an absent stream has none. [Deleted](Recorded::is_deleted) ones are among them, where there is such a thing.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(&self, stream: &str, from: u64, limit: u32)
    -> impl Future<Output = Result<Vec<Recorded>>> + Send;

    /// The version of a stream; 0 if it is absent.
    ///
    /// # Errors
    /// If it cannot be read.
    fn version(&self, stream: &str) -> impl Future<Output = Result<u64>> + Send;

    /// The event with this id, wherever it is; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    fn find(&self, id: Uuid) -> impl Future<Output = Result<Option<Recorded>>> + Send;
}

impl EventStore for Events {
    async fn append(&self, stream: &str, expected: Expected, events: Vec<Event>) -> Result<Appended> {
        Events::append(self, stream, expected, events).await
    }

    async fn read(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<Recorded>> {
        let mut events = self.read_stream(stream).with_deleted().from(from).limit(limit.into());
        let mut read = Vec::new();
        while let Some(event) = events.next().await {
            read.push(event?);
        }
        Ok(read)
    }

    async fn version(&self, stream: &str) -> Result<u64> {
        Events::version(self, stream).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Recorded>> {
        Events::find(self, id).await
    }
}

/// Aggregates of one kind, loaded and saved one by one. Cheap to make.
///
/// An [`Entity`](crate::Entity) is what one mostly wants: its actor keeps the state, merges the commands of many callers into
/// one commit, retries what was overtaken and writes effects. A repository does none of that: it replays the stream at every
/// load, and a save that was overtaken is a conflict for its caller to deal with. It is for stores of your own, for tests,
/// and for changes that one wants to look at before they are saved.
///
/// # Examples
/// ```
/// # use millpond::{Aggregate, Decision, Error, Repository, Store};
/// # #[derive(Default)]
/// # struct Account { cents: u64 }
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # enum Happened { Deposited(u64) }
/// # impl Aggregate for Account {
/// #     const KIND: &'static str = "account";
/// #     type Command = u64;
/// #     type Event = Happened;
/// #     type Rejection = std::convert::Infallible;
/// #     fn decide(&self, cents: &u64) -> Result<Decision<Account>, std::convert::Infallible> {
/// #         Ok([Happened::Deposited(*cents)].into())
/// #     }
/// #     fn evolve(&mut self, Happened::Deposited(cents): &Happened) { self.cents += cents; }
/// # }
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let accounts = Repository::<Account>::new(store.events());
/// let (mut one, mut other) = (accounts.load("alice").await?, accounts.load("alice").await?);
/// one.execute(&5).unwrap();
/// accounts.save(&mut one).await?;
/// assert_eq!((one.version(), one.state().cents), (1, 5));
/// // The other one was loaded before that.
/// other.execute(&7).unwrap();
/// assert!(matches!(accounts.save(&mut other).await, Err(Error::Conflict { actual: 1, .. })));
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Repository<A, S = Events> {
    store: S,
    kind: PhantomData<fn() -> A>,
}

impl<A: Aggregate, S: EventStore> Repository<A, S> {
    /// The aggregates of this kind in a store.
    pub fn new(store: S) -> Repository<A, S> {
        Repository { store, kind: PhantomData }
    }

    /// The store that they are in.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Loads an aggregate from its events. One that has none is a fresh one, of version 0.
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName); [`Error::Decode`](crate::Error::Decode) for an event that is not understood; [`Error::Corrupt`](crate::Error::Corrupt) for versions that
    /// do not follow one another; what the store said.
    ///
    /// # Panics
    /// If `evolve` does.
    pub async fn load(&self, id: impl AsRef<str>) -> Result<Draft<A>> {
        let mut draft = Draft::new(stream_name::<A>(id.as_ref())?);
        loop {
            let page = self.store.read(draft.stream(), draft.version() + 1, limits::PAGE_ROWS).await?;
            page.iter().try_for_each(|event| draft.replay(event))?;
            if page.len() < limits::PAGE_ROWS as usize {
                return Ok(draft);
            }
        }
    }

    /// Appends what was changed since it was loaded or saved last, if the stream is still at that version. Without changes
    /// nothing is done, and the answer is `None`.
    ///
    /// The events keep their ids, so a save of unknown fate can simply be tried again: it takes effect once.
    ///
    /// # Errors
    /// [`Error::Conflict`](crate::Error::Conflict) if it was overtaken: load it anew and decide again. What the store said. The changes stay in the
    /// draft then.
    pub async fn save(&self, draft: &mut Draft<A>) -> Result<Option<Appended>> {
        let Some((expected, events)) = draft.unsaved()? else { return Ok(None) };
        let appended = self.store.append(draft.stream(), expected, events).await?;
        draft.saved();
        Ok(Some(appended))
    }
}

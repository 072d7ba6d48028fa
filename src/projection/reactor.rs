//! Who reacts to events: in the world outside, at least once.

use std::fmt;
use std::ops::{AddAssign, Deref};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::stream::Query;

use super::calling::Calls;
use super::handing::Exchange;
use super::session::{self, Failures, Session, Settings, Turns, partition_lock};
use super::{Projection, partitions, reacting};
use crate::lock::Lock;
use crate::reading::{EventStream, Recorded};
use crate::stopper::{Stage, Stopper};
use crate::worker::Verdict;

/// Has a handler called for each event of a projection, which does something in the world outside: sends a letter, calls a
/// service. Made by [`Projection::reactor`].
///
/// - **At least once.** The checkpoint follows what has been done: whoever goes on after a crash begins behind the last event up
///   to which *all* were done. So an event may come again that had been dealt with; the [key](Attempt::key) is the same then.
///   What only writes to this store is better off with a [`Projector`](crate::Projector): exactly once.
/// - **In order, a stream.** Of one stream the next event comes when the one before is done; so many
///   [streams](Reactor::streams) at a time.
/// - **Nothing is skipped**: what the handler returns decides, as a worker's does. `Err` is tried again, later and later, and is
///   then [parked](crate::Progress::is_parked), or a [dead letter](Projection::dead_letters); its stream waits meanwhile, and
///   others go on, as far as 1,000 events ahead. A panic is an `Err`, and so is what takes longer than it
///   [may](Reactor::timeout).
/// - **One at a time**, over all processes, as with a projector; or several that share the work, each with some of the
///   [partitions](Reactor::partitions). [`Attempt::token`] fences off whoever was stopped.
///
/// # Examples
/// ```
/// use millpond::{Attempt, Event, Expected, Store};
/// # async fn send(_key: uuid::Uuid, _to: String) -> std::io::Result<()> { Ok(()) }
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// store.events().append("order-1", Expected::NoStream, [Event::new("Paid", &"Ada")?]).await?;
/// let receipts = store.projection("receipts");
/// // Without `drain` it goes on with what comes, until it is stopped.
/// let reactor = receipts.reactor(store.events().read_category("order").event_type("Paid")).streams(8).drain();
/// let reacted = reactor
///     .run(async |event: Attempt| {
///         let to = event.decode().map_err(|error| error.to_string())?;
///         send(event.key(), to).await.map_err(|error| error.to_string())
///     })
///     .await?;
/// assert_eq!(reacted.done, 1);
/// # store.close().await
/// # }).unwrap();
/// ```
#[must_use = "it does nothing unless it is run"]
pub struct Reactor {
    projection: Projection,
    events: EventStream,
    settings: Settings,
    manner: Manner,
    partitions: u32,
    stopper: Stopper,
}

/// How handlers are called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// So many at a time.
    pub(super) streams: usize,
    /// So long each may take.
    pub(super) timeout: Duration,
    /// After so many failures in a row none is called for a while.
    pub(super) breaker: Option<(u32, Duration)>,
}

/// What a reactor has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reacted {
    /// Events that are done.
    pub done: u64,
    /// Attempts that came to nothing and are to be made again.
    pub retried: u64,
    /// Events that became dead letters.
    pub dead: u64,
}

/// An event in the hands of a reactor's handler. It is the event, by [`Deref`].
#[derive(Clone, Debug)]
pub struct Attempt {
    pub(super) event: Recorded,
    pub(super) attempt: u32,
    pub(super) key: Uuid,
    pub(super) token: u64,
}

impl Attempt {
    /// Which attempt this is in this process, from 1 on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// An idempotency key: the same whenever this projection reacts to this event, and another one for every other. For services
    /// that do once what they are asked for twice under one key.
    #[must_use]
    pub fn key(&self) -> Uuid {
        self.key
    }

    /// The fencing token of whoever reacts: larger than that of everybody before, in this [partition](Reactor::partitions) if there
    /// are several. For a place outside that remembers the largest it has seen, of this stream, and refuses smaller ones.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }
}

impl Deref for Attempt {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.event
    }
}

impl Projection {
    /// A reactor to these events, which are chosen as those of a [projector](Projection::projector).
    pub fn reactor(&self, events: EventStream) -> Reactor {
        let settings = Settings::default();
        let manner = Manner { streams: 1, timeout: limits::CALL_TIMEOUT, breaker: None };
        let (projection, partitions, stopper) = (self.clone(), 1, Stopper::new(&self.runtime));
        Reactor { projection, events, settings, manner, partitions, stopper }
    }
}

impl Reactor {
    /// Events of so many streams at a time: 1 to 10,000; 1 unless set, which is strict order over all streams, but for those
    /// that have failed, and for other [partitions](Reactor::partitions).
    pub fn streams(mut self, streams: u32) -> Reactor {
        self.manner.streams = streams as usize;
        self
    }

    /// Divides the events into so many partitions, by their streams, and shares them with the other reactors of this projection, in
    /// whatever processes: 1 to 64; 1 unless set, where one reacts and others stand by. How many there are is settled for a
    /// projection when it begins, and it is in one piece or in partitions until it is [removed](Projection::remove).
    ///
    /// - **Each reactor has as many as the others, or one more**, and anew whenever one comes or goes. A partition that goes to
    ///   another one goes when the handlers that run in it have ended; nothing new is begun in it meanwhile. Whoever dies is
    ///   followed at once.
    /// - **Order a stream stays**: a stream is in one partition, and a partition is one reactor's, by a lock with a fencing token.
    /// - **Each has a checkpoint** of its own. What is wanted of the projection (pause, resume, reset, remove) is wanted of all; a
    ///   rebuild is a reset. It [has come](Projection::wait_for) as far as the one that is furthest back, and is
    ///   [parked](crate::Progress::is_parked) if one of them is, while the others go on.
    /// - **[`breaker`](Reactor::breaker) and [batches](crate::Projector::batch) are a partition's; [`streams`](Reactor::streams) is
    ///   this reactor's**, over all the partitions that it has.
    /// - **Each partition reads the events by itself**: some more than there are processes is enough.
    ///
    /// The reactors are the holders of a semaphore named `projection/NAME/members`, and each partition is a lock,
    /// `projection/NAME/00` and so on.
    pub fn partitions(mut self, partitions: u32) -> Reactor {
        self.partitions = partitions;
        self
    }

    /// A handler that takes longer is dropped, and the attempt has come to nothing: 1 ms to 365 days; 30 s unless set.
    pub fn timeout(mut self, timeout: Duration) -> Reactor {
        self.manner.timeout = timeout;
        self
    }

    /// A circuit breaker: after so many failures in a row (1 to 1,000,000), of whatever streams, no handler is called for this
    /// time (1 ms to 365 days); then one is, and if that succeeds all go on. What waits for that is not lost. There is none unless
    /// set.
    pub fn breaker(mut self, failures: u32, rest: Duration) -> Reactor {
        self.manner.breaker = Some((failures, rest));
        self
    }

    /// See [`Projector::attempts`](crate::Projector::attempts).
    pub fn attempts(mut self, attempts: u32) -> Reactor {
        self.settings.attempts = attempts;
        self
    }

    /// See [`Projector::dead_letters`](crate::Projector::dead_letters).
    pub fn dead_letters(mut self) -> Reactor {
        self.settings.dead_letters = true;
        self
    }

    /// It ends as soon as it has dealt with everything that was there when it began.
    pub fn drain(mut self) -> Reactor {
        self.settings.drains = true;
        self
    }

    /// How it is stopped, from wherever that is known. The handlers that run have their grace; those that have not ended by then
    /// are dropped, and their events come again.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Calls `handler` for each event until it is [stopped](Stopper::stop), or has [dealt with everything](Reactor::drain), or
    /// the projection is [removed](Projection::remove). What it returns decides as with a [worker](crate::Worker): `Ok` is done,
    /// `Err` is tried again, and a [`Verdict`] says more; [`Bury`](Verdict::Bury) makes a dead letter of it, and
    /// [`Release`](Verdict::Release) has it tried again after a quarter of a second as if it had not been.
    ///
    /// All handlers are polled by this one future: one that computes or blocks for long holds up the others.
    ///
    /// # Errors
    /// As [`Projector::run`](crate::Projector::run).
    pub async fn run<H, V>(self, handler: H) -> Result<Reacted>
    where
        H: AsyncFn(Attempt) -> V,
        V: Into<Verdict>,
    {
        let (name, query) = self.checked()?;
        let Reactor { projection, settings, manner, partitions, stopper, .. } = self;
        let permits = Semaphore::new(manner.streams);
        let (projection, name, query, handler) = (&projection, &name, &query, &handler);
        let exchange = Exchange::default();
        let reaction = Reaction { projection, name, query, settings, manner, permits, exchange, handler };
        match partitions {
            1 => reaction.run(Partition::WHOLE, &stopper).await,
            of => partitions::share(&reaction, of, &stopper).await,
        }
    }

    /// The runtime, and how many handlers there may be at a time, if everything is usable.
    pub(crate) fn threads(&self) -> Result<(Arc<Runtime>, usize)> {
        self.checked()?;
        Ok((Arc::clone(&self.projection.runtime), self.manner.streams))
    }

    /// The name, and what is read, if everything is usable.
    fn checked(&self) -> Result<(Name, Query)> {
        let Manner { streams, timeout, breaker } = self.manner;
        if !(1..=limits::WORKER_JOBS as usize).contains(&streams) {
            let reason = format!("it must lie between 1 and {}", limits::WORKER_JOBS);
            return Err(Error::InvalidArgument { what: format!("{streams} streams at a time"), reason });
        }
        if !(1..=limits::PARTITIONS).contains(&self.partitions) {
            let reason = format!("it must lie between 1 and {}", limits::PARTITIONS);
            return Err(Error::InvalidArgument { what: format!("{} partitions", self.partitions), reason });
        }
        let (min, max) = (Duration::from_millis(1), limits::DURATION_MAX);
        let times =
            [("timeout of a reactor", Some(timeout)), ("rest of a breaker", breaker.map(|(_, rest)| rest))];
        for (what, given) in times {
            if let Some(given) = given.filter(|given| !(min..=max).contains(given)) {
                return Err(Error::InvalidDuration { what, given, min, max });
            }
        }
        breaker.map_or(Ok(()), |(failures, _)| crate::job::check_attempts(failures))?;
        self.settings.check()?;
        self.projection.start.check()?;
        Ok((self.projection.name.clone()?, self.events.endless(&self.projection.runtime)?))
    }
}

/// What is done with the events of a partition, or of all.
pub(super) struct Reaction<'a, H> {
    projection: &'a Projection,
    pub(super) name: &'a Name,
    query: &'a Query,
    settings: Settings,
    manner: Manner,
    /// Of handlers that run, over all partitions.
    permits: Semaphore,
    /// Over all partitions too.
    exchange: Exchange,
    handler: &'a H,
}

impl<H> Reaction<'_, H> {
    /// Reacts to the events of a partition, as often as it is one's turn.
    pub(super) async fn run<V>(&self, partition: Partition, stopper: &Stopper) -> Result<Reacted>
    where
        H: AsyncFn(Attempt) -> V,
        V: Into<Verdict>,
    {
        let mut query = self.query.clone();
        query.filter.partition = partition;
        let mut reacted = Reacted::default();
        let mut turns = Turns::new(self.lock(&partition_lock(self.name, partition)), stopper);
        while let Some(guard) = turns.next().await? {
            let session =
                Session::new(self.projection, (self.name, partition, &query), &guard, self.settings);
            let (permits, exchange) = (&self.permits, &self.exchange);
            let calls = Calls { manner: self.manner, permits, exchange, handler: self.handler, stopper };
            let ended = reacting::live(&session, calls, &mut reacted).await;
            if !turns.goes_on(guard, ended).await? {
                break;
            }
        }
        Ok(reacted)
    }

    /// Makes the projection in so many partitions, if the store does not know it. Whether that came about before it was told to
    /// stop.
    pub(super) async fn begin(&self, of: u32, stopper: &Stopper) -> Result<bool> {
        let (projections, name) = (self.projection.runtime.projections(), self.name);
        let mut failures = Failures::new(&self.projection.runtime, stopper);
        loop {
            let (told, own) = (projections.clone(), name.clone());
            let began = session::begin(self.projection, name, of, move || told.tell(&own));
            match stopper.unless(Stage::Ending, began).await {
                None => return Ok(false),
                Some(Ok(_)) => return Ok(true),
                Some(Err(error)) => failures.passes(error).await?,
            }
        }
    }

    pub(super) fn lock(&self, name: &str) -> Lock {
        self.projection.lock(name)
    }

    /// For one of the partitions.
    pub(super) fn stopper(&self) -> Stopper {
        Stopper::new(&self.projection.runtime)
    }

    /// How long a handler may take.
    pub(super) fn timeout(&self) -> Duration {
        self.manner.timeout
    }

    /// Whether it ends when there is nothing more.
    pub(super) fn drains(&self) -> bool {
        self.settings.drains
    }
}

impl AddAssign for Reacted {
    fn add_assign(&mut self, Reacted { done, retried, dead }: Reacted) {
        self.done += done;
        self.retried += retried;
        self.dead += dead;
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("projection", &self.projection)
            .field("settings", &self.settings)
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}

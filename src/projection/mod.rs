//! Projections: the events of the store, read a second way.
//!
//! - `mod` a projection as whoever looks after it has it: how far it is, and what is wanted of it;
//! - `project` what the user makes of an event;
//! - `letters` what it has gone past without having projected it, and `due` what becomes of one that is revived, and of timeouts;
//! - `projector` who projects: one at a time, under a lock;
//! - `session` one who has the lock, and what he can do by that;
//! - `projecting` his life while he has it: brings the generations on, waits, obeys;
//! - `track` one generation on its way: its events, its commits, its failures;
//! - `handler` whoever makes something of events, as a projector's life has to do with him;
//! - `process` what reacts to events with commands and waits, and `managing` how that is a projection;
//! - `reactor` who reacts to events in the world outside, `reacting` his life, `calling` how his handler is called, `window`
//!   the events that he has before him, `breaker` what has him wait after failures in a row, `partitions` several of them
//!   who share the work, and `handing` how a letter that is revived comes to the right one;
//! - `bus` handlers that are called for what comes, of which nothing is remembered;
//! - `inspect` all projections of a store, and who runs which.
//!
//! A projector is a future that the user's executor drives, as a worker is, and no thread or actor of its own: his code runs
//! there, and what it takes is his affair.

mod breaker;
mod bus;
mod calling;
mod due;
mod handing;
mod handler;
mod inspect;
mod letters;
mod managing;
mod partitions;
mod process;
mod project;
mod projecting;
mod projector;
mod reacting;
mod reactor;
mod session;
mod track;
mod window;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::projection::{Standing, Want, Wanted};

pub use self::bus::{BusFigures, EventBus, Subscriber};
pub(crate) use self::inspect::projections;
pub use self::letters::DeadLetter;
pub use self::process::{ProcessManager, Steps, Timeout};
pub use self::project::{Failure, Project, Rows};
pub use self::projector::{Projected, Projector};
pub use self::reactor::{Attempt, Reacted, Reactor};
pub(crate) use self::session::{lock_name, members_name};
use crate::batch::{Batch, Slot};
use crate::lock::Lock;

/// A projection: a named way through the events of the store, whose checkpoint the store keeps. A handle: cheap to clone, no
/// I/O to make one.
///
/// - **Who projects** is a [`Projector`], one at a time over all processes; others wait in line to take over.
/// - **Exactly once**: what comes of the events and the checkpoint are one commit, in which the checkpoint is compared with
///   what was read, and the lock of whoever projects with the one that is held.
/// - **Nothing is skipped.** An event that cannot be projected is tried again, later and later; then it is
///   [parked](Progress::is_parked): the projection waits there for somebody to [resume](Projection::resume) it, and holds up
///   nobody else: a type that only one projection cannot read is that one's failure. Or the event is a
///   [dead letter](Projection::dead_letters), where that is wanted.
/// - **What is wanted** (pause, resume, reset, rebuild) may be said in any process. It holds from the moment on that the call
///   has returned: nothing is committed any more by a projector that has not read it.
/// - **A rebuild** makes a new generation beside the one that is read, and takes its place when it has come as far
///   ([`Project::beside`]).
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Failure, Recorded, Rows, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let events = store.events();
/// events.append("order-1", Expected::NoStream, [Event::new("Placed", &3)?, Event::new("Paid", &3)?]).await?;
/// let (bills, paid) = (store.queue::<u32>("bills"), store.projection("bills"));
/// let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
///     rows.push(&bills, &event.decode()?)?;
///     Ok(())
/// };
/// // Without `drain` it goes on with what comes, until it is stopped.
/// let projector = paid.projector(events.read_category("order").event_type("Paid")).drain();
/// assert_eq!(projector.run(project).await?.handled, 1);
/// assert_eq!(paid.progress().await?.expect("it has begun").lag(), 0);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Projection {
    runtime: Arc<Runtime>,
    name: Result<Name>,
    start: From,
    ttl: Duration,
}

/// How a projection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// Which generation is read.
    pub generation: u64,
    /// All events up to this position have been dealt with.
    pub position: u64,
    /// So many of them were of interest to it.
    pub handled: u64,
    /// The position of the last event in the store, whatever that is.
    pub head: u64,
    /// It was told to stop where it is.
    pub paused: bool,
    /// Why it does not get on, if it does not.
    pub failure: Option<String>,
    /// How often that was tried.
    pub attempts: u32,
    /// Into how many [partitions](Reactor::partitions) it is divided; 1 if it is not. Its position is that of the one that is
    /// furthest back, and its failure that of one of them.
    pub partitions: u32,
    parked: bool,
    /// The generation that is being made beside it.
    pub rebuilding: Option<Rebuild>,
}

/// A generation of a projection that is being made beside the one that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuild {
    /// Which generation it is.
    pub generation: u64,
    /// All events up to this position have been dealt with in it.
    pub position: u64,
    /// Why it does not get on, if it does not.
    pub failure: Option<String>,
    /// It waits at an event that it could not project.
    pub parked: bool,
}

impl Progress {
    /// So many events there are behind its checkpoint, whether they are of interest to it or not: it has not looked yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.head.saturating_sub(self.position)
    }

    /// Whether it waits at an event that it could not project, until somebody [resumes](Projection::resume) it. One that is being
    /// rebuilt may wait so in [one of its generations](Rebuild::parked) and go on in the other.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.parked
    }

    /// Out of the generations of one projection, the one that is read first.
    pub(crate) fn of(generations: &[Standing], head: u64) -> Option<Progress> {
        let Standing { name, generation, partition, paused, .. } = generations.first()?.clone();
        let (live, newer) =
            generations.split_at(generations.partition_point(|it| it.generation == generation));
        let failed =
            live.iter().find(|it| it.is_parked()).or_else(|| live.iter().find(|it| it.failure.is_some()));
        let failure = failed.and_then(|it| it.failure.clone());
        let (reason, attempts) = failure.map(|failure| (failure.reason.into(), failure.attempts)).unzip();
        Some(Progress {
            name,
            generation,
            position: live.iter().map(|it| it.position).min().unwrap_or(0),
            handled: live.iter().map(|it| it.handled).sum(),
            head,
            paused,
            failure: reason,
            attempts: attempts.unwrap_or(0),
            partitions: partition.of,
            parked: live.iter().any(Standing::is_parked),
            rebuilding: newer.first().map(Rebuild::of),
        })
    }
}

impl Rebuild {
    fn of(newer: &Standing) -> Rebuild {
        let Standing { generation, position, failure, .. } = newer;
        let failure = failure.as_ref().map(|failure| failure.reason.to_string());
        Rebuild { generation: *generation, position: *position, failure, parked: newer.is_parked() }
    }
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Projection {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> Projection {
        Projection { runtime, name: checked(name), start: From::Start, ttl: limits::LOCK_TTL }
    }

    /// Where it begins if the store does not know it yet: with the first event unless set.
    #[must_use]
    pub fn starting(self, start: From) -> Projection {
        Projection { start, ..self }
    }

    /// Sets the time to live of the lease of whoever projects or reacts through this handle: 10 ms to 365 days, 60 s unless set. It
    /// matters only for a process that is stopped; a dead one is followed at once.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Projection {
        Projection { ttl, ..self }
    }

    /// How it stands; `None` if the store does not know it.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn progress(&self) -> Result<Option<Progress>> {
        self.runtime.read(self.look()?).await
    }

    /// It stops where it is, in whatever process, until it is [resumed](Projection::resume). Whether there is such a
    /// projection.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said.
    pub async fn pause(&self) -> Result<bool> {
        self.want(Wanted::Pause).await
    }

    /// It goes on, after a [pause](Projection::pause), and at an event that it was [parked](Progress::is_parked) at. Whether
    /// there is such a projection.
    ///
    /// # Errors
    /// As [`pause`](Projection::pause).
    pub async fn resume(&self) -> Result<bool> {
        self.want(Wanted::Resume).await
    }

    /// Begins again at this place, in a new generation that takes the place of what there is at once. What was projected before
    /// is emptied by [`Project::begin`]. Whether there is such a projection.
    ///
    /// # Errors
    /// As [`pause`](Projection::pause), and a place that cannot be.
    pub async fn reset(&self, start: From) -> Result<bool> {
        let position = self.place(start).await?;
        self.want(Wanted::Reset(position)).await
    }

    /// Makes a new generation from this place on, beside the one that is read, which goes on meanwhile; when it has come as
    /// far, it takes its place. For a projection whose generations cannot be [beside](Project::beside) each other it is a
    /// [reset](Projection::reset). One that is being made already is given up. Whether there is such a projection.
    ///
    /// # Errors
    /// As [`reset`](Projection::reset).
    pub async fn rebuild(&self, start: From) -> Result<bool> {
        let position = self.place(start).await?;
        self.want(Wanted::Rebuild(position)).await
    }

    /// Has the store forget it, its checkpoint that is: what it has written stays. A projector that runs ends, and so do reactors who
    /// share it; one who stands by for it begins it anew. Whether there was such a projection.
    ///
    /// # Errors
    /// As [`pause`](Projection::pause).
    pub async fn remove(&self) -> Result<bool> {
        self.want(Wanted::Remove).await
    }

    /// Waits until all events up to this position have been dealt with, in whatever process, also if the projection has not
    /// begun yet: so whoever has [appended](crate::Appended::position) something reads what came of it. Without limit, if
    /// nobody projects.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// [`Error::Parked`] if it has been parked before that; a bad name; [`Error::Closed`]; what the database said.
    pub async fn wait_for(&self, position: u64) -> Result<()> {
        let ear = self.runtime.projections().hear(self.name.as_ref().map_err(Error::clone)?, None);
        while !self.has_come_to(position, self.progress().await?)? {
            ear.news().await?;
        }
        Ok(())
    }

    /// Waits until everything has been dealt with that is in the store now; see [`wait_for`](Projection::wait_for).
    ///
    /// # Errors
    /// As there.
    pub async fn caught_up(&self) -> Result<()> {
        let head = self.runtime.read(|view| view.head()).await?;
        self.wait_for(head).await
    }

    /// One of the locks of whoever projects.
    fn lock(&self, name: &str) -> Lock {
        Lock::new(Arc::clone(&self.runtime), name).ttl(self.ttl)
    }

    fn look(&self) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<Progress>> + Send + 'static> {
        let name = self.name.clone()?;
        Ok(move |view: &mut dyn View| {
            // The head is read behind the checkpoint, which is never ahead of it.
            let generations = view.projection(&name)?;
            Ok(Progress::of(&generations, view.head()?))
        })
    }

    /// Behind which event that is, which there must be.
    async fn place(&self, start: From) -> Result<u64> {
        start.check()?;
        let (position, head) =
            self.runtime.read(move |view| Ok((start.position(view)?, view.head()?))).await?;
        if position > head {
            let what = format!("a projection from behind position {position} on");
            return Err(Error::InvalidArgument { what, reason: format!("the last event is at {head}") });
        }
        Ok(position)
    }

    async fn want(&self, wanted: Wanted) -> Result<bool> {
        let (batch, known) = self.wish(wanted)?;
        Ok(batch.commit().await?.get(known).copied().unwrap_or(false))
    }

    fn wish(&self, wanted: Wanted) -> Result<(Batch, Slot<bool>)> {
        let (name, projections) = (self.name.clone()?, self.runtime.projections().clone());
        let told = name.clone();
        let part = Part::new(Want { name, wanted }, move |_| projections.tell(&told));
        let mut batch = Batch::new(Arc::clone(&self.runtime));
        let known = batch.add::<Want, bool>(&self.runtime, (part, 0), Ok)?;
        Ok((batch, known))
    }

    /// Whether it has come as far as this.
    fn has_come_to(&self, position: u64, progress: Option<Progress>) -> Result<bool> {
        match progress {
            Some(progress) if progress.position >= position => Ok(true),
            Some(Progress { name, failure: Some(reason), parked: true, .. }) => {
                Err(Error::Parked { projection: name, reason })
            }
            _ => Ok(false),
        }
    }
}

/// A name of a projection, which must leave room for the names of what belongs to it.
fn checked(name: &str) -> Result<Name> {
    let name = Name::new(name)?;
    match Name::new(members_name(&name)) {
        Ok(_) => Ok(name),
        Err(_) => {
            let reason = "it is too long for the names of its locks and its dead letters".to_owned();
            Err(Error::InvalidName { what: "projection", name: name.to_string(), reason })
        }
    }
}

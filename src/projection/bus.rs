//! An event bus: handlers of this process, called for what is appended while it runs.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::observe::target;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::stream::{Filter, Query, Scope};
use millpond_actors::thread::{Theirs, contain};

use super::project::Failure;
use super::window::{State, Window};
use crate::reading::{EventStream, Recorded};
use crate::stopper::{Stage, Stopper};

type Handled = Pin<Box<dyn Future<Output = std::result::Result<(), Failure>> + Send>>;
type Handler = Arc<dyn Fn(Recorded) -> Handled + Send + Sync>;

/// Calls handlers of this process for the events that are appended, by whatever process, while it [runs](EventBus::run).
/// Cheap to clone; all clones are the same bus.
///
/// - **By type**, or for all; each handler once an event, however many of its types it has, and all handlers of an event at once.
/// - **In order, a stream**: the next event of a stream comes when all handlers of the one before have ended. Events of up to 64
///   streams are handled at once, and of one that takes its time the others get 1,000 events ahead at most.
/// - **At most once**, and only what is appended while it runs: nothing is remembered. What must not be missed belongs into a
///   [`Reactor`](crate::Reactor), and what is written to the store into a [`Projector`](crate::Projector).
/// - **A handler that fails** or panics disturbs nobody: it is counted, and said in the log, without its words.
/// - **In the background**, with [`run`](EventBus::run) in a task of its own, or **inline**: whoever has appended waits until the
///   handlers have [settled](EventBus::settled) that.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Recorded, Store};
/// # futures_executor::block_on(async {
/// let store = Store::memory().await?;
/// let bus = store.event_bus();
/// let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
/// let to = seen.clone();
/// bus.subscribe(["Paid"], move |event: Recorded| {
///     to.lock().unwrap().push(event.position());
///     async { Ok(()) }
/// });
/// let appending = async {
///     bus.started().await?;
///     let (placed, paid) = (Event::new("Placed", &3)?, Event::new("Paid", &3)?);
///     let appended = store.events().append("order-1", Expected::NoStream, [placed, paid]).await?;
///     bus.settled(appended.position).await?;
///     bus.stopper().stop(std::time::Duration::ZERO);
///     Ok::<_, millpond::Error>(())
/// };
/// let (ran, appended) = futures_util::future::join(bus.run(), appending).await;
/// ran.and(appended)?;
/// assert_eq!(*seen.lock().unwrap(), [2]);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct EventBus(Arc<Bus>);

struct Bus {
    runtime: Arc<Runtime>,
    subscribers: Mutex<Subscribers>,
    /// All up to this position has been handled; `None` before it runs.
    settled: watch::Sender<Option<u64>>,
    stopper: Stopper,
    events: AtomicU64,
    calls: AtomicU64,
    failures: AtomicU64,
}

#[derive(Default)]
struct Subscribers {
    last: u64,
    /// In the order in which they have come. No types are all types.
    all: Vec<(u64, Option<HashSet<String>>, Handler)>,
}

/// A handler of an [`EventBus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subscriber(u64);

/// What an event bus has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusFigures {
    /// Events that were appended while it ran, whether anybody wanted them or not.
    pub events: u64,
    /// Calls of handlers.
    pub calls: u64,
    /// Of them, those that have failed.
    pub failures: u64,
}

impl EventBus {
    pub(crate) fn new(runtime: &Arc<Runtime>) -> EventBus {
        EventBus(Arc::new(Bus {
            runtime: Arc::clone(runtime),
            subscribers: Mutex::default(),
            settled: watch::Sender::new(None),
            stopper: Stopper::new(runtime),
            events: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// Has a handler called for events of these types, from the next one on that is handled.
    pub fn subscribe<H, F>(
        &self,
        types: impl IntoIterator<Item = impl Into<String>>,
        handler: H,
    ) -> Subscriber
    where
        H: Fn(Recorded) -> F + Send + Sync + 'static,
        F: Future<Output = std::result::Result<(), Failure>> + Send + 'static,
    {
        self.add(Some(types.into_iter().map(Into::into).collect()), handler)
    }

    /// Has a handler called for all events, from the next one on that is handled.
    pub fn subscribe_all<H, F>(&self, handler: H) -> Subscriber
    where
        H: Fn(Recorded) -> F + Send + Sync + 'static,
        F: Future<Output = std::result::Result<(), Failure>> + Send + 'static,
    {
        self.add(None, handler)
    }

    fn add<H, F>(&self, types: Option<HashSet<String>>, handler: H) -> Subscriber
    where
        H: Fn(Recorded) -> F + Send + Sync + 'static,
        F: Future<Output = std::result::Result<(), Failure>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |event| Box::pin(handler(event)));
        let mut subscribers = self.subscribers();
        subscribers.last += 1;
        let number = subscribers.last;
        subscribers.all.push((number, types, handler));
        Subscriber(number)
    }

    /// It is not called any more, but for events that are being handled. Whether it was there.
    pub fn unsubscribe(&self, subscriber: Subscriber) -> bool {
        let mut subscribers = self.subscribers();
        let found = subscribers.all.iter().position(|(number, ..)| *number == subscriber.0);
        let gone = found.map(|index| subscribers.all.remove(index));
        drop(subscribers);
        gone.is_some()
    }

    /// How many handlers there are.
    #[must_use]
    pub fn subscribers_count(&self) -> usize {
        self.subscribers().all.len()
    }

    /// What it has done.
    #[must_use]
    pub fn figures(&self) -> BusFigures {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let Bus { events, calls, failures, .. } = &*self.0;
        BusFigures { events: read(events), calls: read(calls), failures: read(failures) }
    }

    /// How it is stopped: handlers that run have their grace, and nothing more is begun. It is over then for good.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.0.stopper.clone()
    }

    /// Waits until it runs: what is appended from now on is handled.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store is closed.
    pub async fn started(&self) -> Result<()> {
        self.until(|settled| settled.is_some()).await
    }

    /// Waits until all handlers of all events up to this position have ended. What was there when it began to run has been.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store is closed, or it was stopped.
    pub async fn settled(&self, position: u64) -> Result<()> {
        self.until(|settled| settled.is_some_and(|settled| settled >= position)).await
    }

    async fn until(&self, so: impl Fn(Option<u64>) -> bool) -> Result<()> {
        let mut settled = self.0.settled.subscribe();
        let so = pin!(settled.wait_for(|settled| so(*settled)));
        match self.0.stopper.unless(Stage::Over, so).await {
            Some(_) => Ok(()),
            None => Err(Error::Closed),
        }
    }

    /// Calls handlers until it is [stopped](EventBus::stopper). A bus runs once at a time.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store is closed; [`Error::Overloaded`] if too many follow the events; a damaged event; what the
    /// database said.
    pub async fn run(&self) -> Result<()> {
        let ended = self.handle_all().await;
        self.0.stopper.reach(Stage::Over);
        ended
    }

    async fn handle_all(&self) -> Result<()> {
        let bus = &*self.0;
        let mut read = bus.runtime.read(|view| view.head()).await?;
        let (scope, filter, limit, to) =
            (Scope::All, Filter::default(), limits::PAGE_ROWS, limits::LAST_SEQUENCE);
        let query = Query { scope, backward: false, from: read.saturating_add(1), to, filter, limit };
        let mut following = EventStream::of(&bus.runtime, query).follow()?;
        bus.settled.send_replace(Some(read));
        let (mut stopped, mut over) =
            (pin!(bus.stopper.reached(Stage::Ending)), pin!(bus.stopper.reached(Stage::Over)));
        let (mut window, mut coming, mut running) =
            (Window::default(), VecDeque::new(), FuturesUnordered::new());
        let mut is_stopping = false;
        loop {
            while running.len() < limits::BUS_STREAMS
                && !bus.stopper.is_stopping()
                && let Some((event, _)) = window.begin()
            {
                running.push(self.call_all(event));
            }
            let ended = poll_fn(|context| {
                if let Poll::Ready(Some(position)) = running.poll_next_unpin(context) {
                    window.set(position, State::Done);
                    return Poll::Ready(Ok(false));
                }
                is_stopping = is_stopping || stopped.as_mut().poll(context).is_ready();
                if is_stopping {
                    let is_over = running.is_empty() || over.as_mut().poll(context).is_ready();
                    return if is_over { Poll::Ready(Ok(true)) } else { Poll::Pending };
                }
                let room = (limits::PAGE_ROWS as usize).saturating_sub(window.len());
                if room == 0 {
                    return Poll::Pending;
                }
                following.poll_stretch((read, room), &mut coming, context).map_ok(|to| {
                    read = to;
                    bus.events.fetch_add(coming.len() as u64, Ordering::Relaxed);
                    coming.drain(..).for_each(|event| window.push(event));
                    false
                })
            });
            if ended.await? {
                return Ok(());
            }
            let (to, done) = window.done(read);
            window.forget(done);
            bus.settled.send_if_modified(|settled| settled.replace(to) != Some(to));
        }
    }

    /// Calls all who want an event, at once. Its position.
    async fn call_all(&self, event: Recorded) -> u64 {
        let wants =
            |types: &Option<HashSet<String>>| types.as_ref().is_none_or(|it| it.contains(event.event_type()));
        let handlers: Vec<Handler> = {
            let subscribers = self.subscribers();
            let wanting = subscribers.all.iter().filter(|(_, types, _)| wants(types));
            wanting.map(|(.., handler)| Arc::clone(handler)).collect()
        };
        join_all(handlers.iter().map(|handler| self.call(handler, event.clone()))).await;
        event.position()
    }

    async fn call(&self, handler: &Handler, event: Recorded) {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let position = event.position();
        let whose = || "a handler of an event bus".to_owned();
        let handled = match contain(whose, || handler(event)) {
            Ok(handled) => {
                let mut handled = Theirs::new(handled);
                let polled = poll_fn(|context| {
                    let polled = contain(whose, || handled.as_mut().poll(context));
                    polled.unwrap_or_else(|panic| Poll::Ready(Err(panic.into())))
                });
                polled.await
            }
            Err(panic) => Err(panic.into()),
        };
        if handled.is_err() {
            self.0.failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(target: target::WORKER, position, "a handler of an event bus has failed");
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers> {
        self.0.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus")
            .field("subscribers", &self.subscribers_count())
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}

//! What the tests live in: a store in memory, a clock moved by hand, and runtimes that are its processes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use millpond_actors::clock::{
    Clock, ManualClock, Moment, Rng, Seams, Spawner, SystemClock, SystemRng, SystemSpawner,
};
use millpond_actors::error::{Error, Expected, Occupant, Result, WriteOutcome};
use millpond_actors::memory::Memory;
use millpond_actors::name::Name;
use millpond_actors::runtime::{Runtime, Settings};
use millpond_actors::storage::Data;
use millpond_actors::storage::stream::{self, Filter, NewEvent, Query, Scope};
use millpond_actors::storage::{Apply, Backend, Identity, Session, Target};
use millpond_actors::stream::{Append, Placed, placed};
use millpond_actors::worker::{Call, Worker};
use uuid::Uuid;

/// The thread on which actors run.
const ARBITER: &str = "millpond-actors";

/// A clock that stands still until it is moved, and that can be told to panic: the one way to make an actor of
/// the house itself fail.
#[derive(Debug)]
pub(crate) struct HandClock {
    hand: Arc<ManualClock>,
    panic_on_arbiter: AtomicBool,
}

impl HandClock {
    fn new() -> Arc<HandClock> {
        Arc::new(HandClock { hand: ManualClock::new(), panic_on_arbiter: false.into() })
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.hand.advance(by);
    }

    /// The wall clock alone jumps.
    pub(crate) fn set_wall(&self, wall_ms: i64) {
        self.hand.set_wall(wall_ms);
    }

    /// Whoever next asks for the time on the actors' thread panics.
    pub(crate) fn panic_on_the_arbiter(&self) {
        self.panic_on_arbiter.store(true, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Moment {
        let on_arbiter = std::thread::current().name() == Some(ARBITER);
        if on_arbiter && self.panic_on_arbiter.swap(false, Ordering::SeqCst) {
            panic!("the clock was told to");
        }
        self.hand.now()
    }

    /// The writer's linger is real time: it must end though the hand stands still.
    fn monotonic_us(&self) -> u64 {
        SystemClock.monotonic_us()
    }
}

/// Threads for all but the lookout: nobody polls and nobody hears a bell.
#[derive(Debug)]
struct Unwatched;

impl Spawner for Unwatched {
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>> {
        SystemSpawner.spawn(name, body)
    }

    fn employ(&self, name: &str, worker: Box<dyn Worker>, call: Call) -> Result<Option<JoinHandle<()>>> {
        if name == "millpond-watch" { Ok(None) } else { SystemSpawner.employ(name, worker, call) }
    }
}

/// One process of a store in memory.
pub(crate) struct World {
    pub(crate) memory: Memory,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) runtime: Arc<Runtime>,
    set: fn(&mut Settings),
}

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| ())
    }

    /// A store of its own, with other settings than the usual.
    pub(crate) fn with(set: fn(&mut Settings)) -> World {
        World::start(Memory::new(), HandClock::new(), set)
    }

    /// One in which nobody looks round: whatever happens here is brought about by what is committed here.
    pub(crate) fn without_lookout() -> World {
        World::with(|settings| settings.seams.spawner = Arc::new(Unwatched))
    }

    /// Another process of the same store.
    pub(crate) fn another(&self) -> World {
        World::start(self.memory.clone(), Arc::clone(&self.clock), self.set)
    }

    fn start(memory: Memory, clock: Arc<HandClock>, set: fn(&mut Settings)) -> World {
        let seams = Seams { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..Seams::default() };
        let mut settings = Settings { seams, ..Settings::default() };
        set(&mut settings);
        let runtime = Runtime::start(Arc::new(memory.clone()), identity(), settings).unwrap();
        World { memory, clock, runtime: Arc::new(runtime), set }
    }

    /// A bare session, as a foreign process whose every step the test decides.
    pub(crate) fn foreigner(&self) -> Foreigner {
        let session = self.memory.join(&identity(), &|| self.clock.now()).unwrap();
        Foreigner { session, clock: Arc::clone(&self.clock), groups: 0 }
    }

    /// Appends one event of type `Happened`.
    pub(crate) fn append(&self, stream: &str) -> impl Future<Output = Result<Placed>> + Send + use<> {
        self.append_event(stream, event(SystemRng.uuid()))
    }

    /// Appends this very event, as if its id were new.
    pub(crate) fn append_event(
        &self,
        stream: &str,
        event: NewEvent,
    ) -> impl Future<Output = Result<Placed>> + Send + use<> {
        let (runtime, name) = (Arc::clone(&self.runtime), name(stream));
        async move {
            let build = |reply, passage| Append {
                expected: Expected::Any,
                events: vec![event],
                known_ids: false,
                fence: None,
                reply,
                passage,
            };
            let append = |reply, passage| runtime.streams().append(&name, build(reply, passage));
            let outcome = runtime.enter_and(append).await?;
            placed(&name, Expected::Any, None, &outcome)
        }
    }

    /// The same on a thread that waits.
    pub(crate) fn append_blocking(&self, stream: &'static str) -> tokio::task::JoinHandle<Result<Placed>> {
        let runtime = Arc::clone(&self.runtime);
        tokio::task::spawn_blocking(move || append_blocking(&runtime, stream))
    }

    /// The version of a stream as a reader sees it; 0 if there is none.
    pub(crate) fn version(&self, stream: &str) -> u64 {
        let head = self.memory.view().unwrap().stream(&name(stream)).unwrap();
        head.map_or(0, |head| head.version)
    }

    /// The position of the last committed event.
    pub(crate) fn head(&self) -> u64 {
        self.memory.view().unwrap().head().unwrap()
    }

    /// What was recorded in a stream.
    pub(crate) fn contents(&self, stream: &str) -> Vec<String> {
        let scope = Scope::Stream(name(stream));
        let query = Query {
            scope,
            backward: false,
            from: 1,
            to: u64::MAX >> 1,
            filter: Filter::default(),
            limit: 10_000,
        };
        let page = self.memory.view().unwrap().events(&query).unwrap();
        let text = |event: Result<stream::Recorded>| {
            String::from_utf8(event.unwrap().data.bytes().to_vec()).unwrap()
        };
        page.events.into_iter().map(text).collect()
    }

    /// Groups and operations committed so far.
    pub(crate) fn committed(&self) -> (u64, u64) {
        let [groups, operations, ..] = self.runtime.figures();
        (groups, operations)
    }

    /// Until whatever was sent has gone as far as it can: no request takes more than a few hops through the
    /// arbiter. Each of these calls is a new task there, which runs only after all that were ready before it; a
    /// message alone would not do, for an actor takes one after the other without letting others run. The arbiter may
    /// commit itself what is alone: if it stands before a gate, this is as far as they can go.
    pub(crate) async fn arrived(&self) {
        for _ in 0..8 {
            let (runtime, (back, hop)) = (Arc::clone(&self.runtime), mpsc::channel());
            // A store that has just been closed has nobody under way either.
            tokio::task::spawn_blocking(move || back.send(runtime.actors_blocking()));
            while let Err(RecvTimeoutError::Timeout) = hop.recv_timeout(Duration::from_millis(1))
                && !self.memory.faults().holds(ARBITER)
            {}
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass until `future` ends.
    pub(crate) async fn as_time_passes<F: Future + Unpin>(&self, mut future: F) -> F::Output {
        soon(std::future::poll_fn(|context| {
            self.clock.advance(Duration::from_secs(1));
            context.waker().wake_by_ref();
            Pin::new(&mut future).poll(context)
        }))
        .await
    }
}

/// Appends on a thread that waits, wherever that is.
pub(crate) fn append_blocking(runtime: &Runtime, stream: &str) -> Result<Placed> {
    let build = |reply, passage| Append {
        expected: Expected::Any,
        events: vec![event(SystemRng.uuid())],
        known_ids: false,
        fence: None,
        reply,
        passage,
    };
    let append = |reply, passage| runtime.streams().append(&name(stream), build(reply, passage));
    let outcome = runtime.enter_and_wait(append)?;
    placed(&name(stream), Expected::Any, None, &outcome)
}

/// Another process of the store, of which only the session is there.
pub(crate) struct Foreigner {
    pub(crate) session: Box<dyn Session>,
    clock: Arc<HandClock>,
    groups: u64,
}

impl Foreigner {
    /// One operation in a group of its own.
    pub(crate) fn write<O: Apply>(&mut self, operation: O) -> O::Outcome {
        self.begin();
        let outcome = self.apply(operation);
        self.commit();
        outcome
    }

    /// As those know it who wait for its turn.
    pub(crate) fn name(&self) -> Occupant {
        Occupant::Process(identity().named(self.session.process()))
    }

    pub(crate) fn begin(&mut self) {
        assert!(self.session.take_turn(true).unwrap());
        self.session.begin(self.clock.now()).unwrap();
    }

    pub(crate) fn apply<O: Apply>(&mut self, operation: O) -> O::Outcome {
        O::from_outcome(self.session.apply(&operation.into_operation()).unwrap()).unwrap()
    }

    pub(crate) fn commit(&mut self) {
        self.commit_quietly();
        self.session.ring();
    }

    /// Commits and does not ring.
    pub(crate) fn commit_quietly(&mut self) {
        // Every group has a number of its own: by it the others see that something was written.
        self.groups += 1;
        self.session.commit(self.groups).unwrap();
        self.session.leave_turn();
    }
}

/// A foreign append of these contents.
pub(crate) fn foreign_append(stream: &str, contents: &str) -> stream::Append {
    let event = NewEvent { data: Data::Json(contents.to_owned()), ..event(SystemRng.uuid()) };
    let stream = Target { name: name(stream), id: None };
    stream::Append { stream, expected: Expected::Any, events: vec![event], known_ids: false, fence: None }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn event(id: Uuid) -> NewEvent {
    let (event_type, data) = ("Happened".into(), Data::Json("{}".to_owned()));
    NewEvent { id, event_type, data, schema: 1, at: None, metadata: None, origin: None }
}

/// What a disk may say.
pub(crate) fn broken() -> Error {
    Error::Storage { detail: "asked for".to_owned() }
}

/// Asserts that an answer says: no trace of it, now or later.
#[track_caller]
pub(crate) fn assert_not_applied<T: std::fmt::Debug>(answer: &Result<T>) {
    let error = answer.as_ref().expect_err("an error");
    assert_eq!(error.outcome(), WriteOutcome::NotApplied, "{error}");
}

/// Asserts that it was done.
#[track_caller]
pub(crate) fn done<T, E: std::fmt::Debug>(answer: std::result::Result<T, E>) {
    answer.map(drop).unwrap();
}

/// Awaits what must come; a test that would hang fails instead.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an answer within 20 s")
}

/// Asks again and again until it is so, letting others run in between.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    soon(async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Awaits all of them, in order.
pub(crate) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut outputs = Vec::new();
    for future in futures {
        outputs.push(soon(future).await);
    }
    outputs
}

/// A request that has been sent, and its answer if it has been seen.
pub(crate) struct Begun<F: Future> {
    future: Pin<Box<F>>,
    answer: Option<F::Output>,
}

/// Starts a request: polls it once, which sends it, and leaves the rest for later.
pub(crate) fn begun<F: Future>(future: F) -> Begun<F> {
    let mut begun = Begun { future: Box::pin(future), answer: None };
    begun.is_answered();
    begun
}

impl<F: Future> Begun<F> {
    /// Whether the answer is there. Nobody is woken for it.
    pub(crate) fn is_answered(&mut self) -> bool {
        if self.answer.is_none() {
            match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => self.answer = Some(answer),
                Poll::Pending => return false,
            }
        }
        true
    }
}

impl<F: Future> Future for Begun<F>
where
    F::Output: Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => self.future.as_mut().poll(context),
        }
    }
}

fn identity() -> Identity {
    Identity { pid: 1, host: "h".into(), program: "p".into(), boot: "b".into() }
}

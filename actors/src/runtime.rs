//! The runtime of one store in this process: its threads, the way in, and the orderly way out.
//!
//! Threads, however many names are used: one a arbiter, one that commits, the readers, and the bell's.

use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use crate::clock::Seams;
use crate::error::{Error, Result};
use crate::gate::{Gate, Passage};
use crate::limits;
use crate::name::Name;
use crate::reader::Readers;
use crate::reply::{Answer, Reply};
use crate::storage::{Apply, Backend, Identity, View};
use crate::supervisor::{Census, House, Primitive, Supervisor, To, Visit};
use crate::thread;
use crate::watcher::{Lapsed, WatcherActor};
use crate::writer::{Stats, Writer, WriterActor};

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that actors live on. One is best unless commands take long to decide.
    pub arbiters: usize,
    /// Read-only connections.
    pub readers: usize,
    /// How long a call that waits for nobody may take.
    pub call_timeout: Duration,
    /// How long an unused actor stays.
    pub idle: Duration,
    /// Requests that may be inside at once.
    pub requests: usize,
    /// Time, ids, threads.
    pub seams: Seams,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            arbiters: 1,
            readers: limits::READERS,
            call_timeout: limits::CALL_TIMEOUT,
            idle: limits::IDLE,
            requests: limits::REQUESTS,
            seams: Seams::default(),
        }
    }
}

/// A running store. Dropping the last handle ends it as safely as a SIGKILL would, without waiting;
/// [`close`](Runtime::close) ends it in order.
pub struct Runtime {
    doors: Doors,
    gate: Arc<Gate>,
    stats: Arc<Stats>,
    settings: Settings,
    stop: Mutex<Option<oneshot::Sender<Reply<()>>>>,
}

/// The addresses that requests go to.
#[derive(Clone)]
struct Doors {
    supervisors: Vec<Addr<Supervisor>>,
    writer: Writer,
    readers: Readers,
    arbiter: ArbiterHandle,
    /// The arbiters beside the first.
    others: Vec<ArbiterHandle>,
}

impl Runtime {
    /// Starts the threads and joins the store. Blocks while the store is opened.
    ///
    /// # Errors
    /// What the database said.
    pub fn start(backend: Arc<dyn Backend>, identity: Identity, settings: Settings) -> Result<Runtime> {
        let gate = Gate::new(settings.requests);
        let stats = Arc::new(Stats::default());
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = crossbeam_channel::bounded(1);
        let house = Building {
            backend,
            identity,
            settings: settings.clone(),
            gate: Arc::clone(&gate),
            stats: Arc::clone(&stats),
        };
        let body = move || house.live(&ready, stopped);
        settings.seams.spawner.spawn("millpond-actors", Box::new(body))?;
        let doors =
            started.recv().unwrap_or_else(|_| Err(storage("the thread of the actors ended at once")))?;
        Ok(Runtime { doors, gate, stats, settings, stop: Mutex::new(Some(stop)) })
    }

    /// Sends a request to the actor of a name and awaits the answer, on any executor.
    ///
    /// # Errors
    /// The request's, or why it was not let in.
    pub async fn ask<A, M, T>(&self, name: &Name, build: impl FnOnce(Reply<T>, Passage) -> M) -> Result<T>
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        self.enter_and(|reply, passage| self.tell::<A, M>(name, build(reply, passage))).await
    }

    /// Sends a request and lets this thread wait for the answer.
    ///
    /// # Errors
    /// As [`ask`](Runtime::ask), and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn call<A, M, T>(&self, name: &Name, build: impl FnOnce(Reply<T>, Passage) -> M) -> Result<T>
    where
        A: Primitive + Handler<Visit<M>>,
        M: Send + 'static,
    {
        self.enter_and_wait(|reply, passage| self.tell::<A, M>(name, build(reply, passage)))
    }

    /// Enters, does what answers, and awaits the answer, on any executor.
    ///
    /// # Errors
    /// The answer's, or why it was not let in.
    pub async fn enter_and<T>(&self, start: impl FnOnce(Reply<T>, Passage)) -> Result<T> {
        let passage = self.enter().await?;
        let (reply, answer) = Reply::future();
        start(reply, passage);
        self.honest(answer.await)
    }

    /// Enters, does what answers, and lets this thread wait for the answer.
    ///
    /// # Errors
    /// The answer's, or why it was not let in; [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn enter_and_wait<T>(&self, start: impl FnOnce(Reply<T>, Passage)) -> Result<T> {
        let passage = self.enter_blocking()?;
        let (reply, waiting) = Reply::blocking();
        start(reply, passage);
        self.honest(waiting.wait())
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

    /// Writes what belongs to no single name, on any executor.
    ///
    /// # Errors
    /// The write's, or why it was not let in.
    pub async fn write<O: Apply>(&self, operation: O) -> Result<O::Outcome> {
        let writer = &self.doors.writer;
        self.enter_and(|reply, passage| {
            writer.apply(operation, Some(passage), |outcome| reply.answer(outcome))
        })
        .await
    }

    /// Writes what belongs to no single name, on a thread that waits.
    ///
    /// # Errors
    /// As [`write`](Runtime::write), and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn write_blocking<O: Apply>(&self, operation: O) -> Result<O::Outcome> {
        let writer = &self.doors.writer;
        self.enter_and_wait(|reply, passage| {
            writer.apply(operation, Some(passage), |outcome| reply.answer(outcome))
        })
    }

    /// Reads, on any executor.
    ///
    /// # Errors
    /// The read's, or why it was not let in.
    pub async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.enter_and(|reply, passage| self.start_read(passage, look, reply)).await
    }

    /// Reads, on a thread that waits.
    ///
    /// # Errors
    /// As [`read`](Runtime::read), and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn read_blocking<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.enter_and_wait(|reply, passage| self.start_read(passage, look, reply))
    }

    /// Starts a read that is awaited later: the next page of a stream, while this one is being looked at.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Overloaded`] if there is no room at this moment.
    pub fn read_ahead<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<Answer<T>> {
        let passage = self.gate.try_enter()?.ok_or_else(|| self.overloaded())?;
        let (reply, answer) = Reply::future();
        self.start_read(passage, look, reply);
        Ok(answer)
    }

    fn start_read<T: Send + 'static>(
        &self,
        mut passage: Passage,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
        reply: Reply<T>,
    ) {
        passage.arrive();
        self.doors.readers.read(look, move |found| {
            reply.answer(found);
            drop(passage);
        });
    }

    async fn enter(&self) -> Result<Passage> {
        if let Some(passage) = self.gate.try_enter()? {
            return Ok(passage);
        }
        // The caller's executor may have no timer; ours has one.
        let (late, deadline) = oneshot::channel();
        let timeout = self.settings.call_timeout;
        self.doors.arbiter.spawn(async move {
            tokio::time::sleep(timeout).await;
            let _ = late.send(());
        });
        let entering = std::pin::pin!(self.gate.enter());
        match Race(entering, deadline).await {
            Some(entered) => entered,
            None => Err(self.overloaded()),
        }
    }

    fn enter_blocking(&self) -> Result<Passage> {
        if thread::is_ours() {
            return Err(Error::WouldDeadlock);
        }
        if let Some(passage) = self.gate.try_enter()? {
            return Ok(passage);
        }
        let (reply, waiting) = Reply::blocking();
        let (gate, timeout, error) = (Arc::clone(&self.gate), self.settings.call_timeout, self.overloaded());
        let admitted = self.doors.arbiter.spawn(async move {
            let entered = tokio::time::timeout(timeout, gate.enter()).await;
            reply.answer(entered.unwrap_or(Err(error)));
        });
        if admitted { waiting.wait() } else { Err(Error::Closed) }
    }

    fn overloaded(&self) -> Error {
        Error::Overloaded { what: "the store", limit: self.gate.limit() as u64 }
    }

    /// A request that was dropped because the store is closing says so.
    fn honest<T>(&self, answer: Result<T>) -> Result<T> {
        match answer {
            Err(Error::ActorFailed { .. }) if self.gate.is_closed() => Err(Error::Closed),
            answer => answer,
        }
    }

    /// The same name is always served by the same arbiter.
    fn supervisor_of(&self, name: &Name) -> Option<&Addr<Supervisor>> {
        let hash = crc32c::crc32c(name.as_str().as_bytes()) as usize;
        self.doors.supervisors.get(hash % self.doors.supervisors.len().max(1))
    }

    /// Whether it was closed, or is being closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// This process, as the store knows it.
    #[must_use]
    pub fn process(&self) -> u64 {
        self.doors.writer.process()
    }

    /// Time, ids, threads.
    #[must_use]
    pub fn seams(&self) -> &Seams {
        &self.settings.seams
    }

    /// The writer's figures: groups and operations committed, groups redone, commits and checkpoints failed.
    #[must_use]
    pub fn figures(&self) -> [u64; 5] {
        let Stats { groups, operations, redone, failed_commits, failed_checkpoints } = &*self.stats;
        [groups, operations, redone, failed_commits, failed_checkpoints]
            .map(|figure| figure.load(Ordering::Relaxed))
    }

    /// How many actors live.
    pub async fn actors(&self) -> usize {
        count(&self.doors.supervisors).await
    }

    /// How many actors live, for a thread that waits.
    ///
    /// # Errors
    /// [`Error::WouldDeadlock`] on a thread of the store's own; [`Error::Closed`].
    pub fn actors_blocking(&self) -> Result<usize> {
        if thread::is_ours() {
            return Err(Error::WouldDeadlock);
        }
        let (reply, waiting) = Reply::blocking();
        let supervisors = self.doors.supervisors.clone();
        let asked = self.doors.arbiter.spawn(async move { reply.answer(Ok(count(&supervisors).await)) });
        if asked { self.honest(waiting.wait()) } else { Err(Error::Closed) }
    }

    /// Answers every request that was accepted, leaves the store and ends the threads. Waiters for a lock get
    /// [`Error::Closed`]. A second call ends at once.
    ///
    /// # Errors
    /// None today; a storage that is stuck is given up on after [`limits::CLOSE_WAIT`].
    pub async fn close(&self) -> Result<()> {
        let (reply, answer) = Reply::future();
        if self.ask_to_stop(reply) { answer.await } else { Ok(()) }
    }

    /// [`close`](Runtime::close) for a thread that waits.
    ///
    /// # Errors
    /// [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn close_blocking(&self) -> Result<()> {
        if thread::is_ours() {
            return Err(Error::WouldDeadlock);
        }
        let (reply, waiting) = Reply::blocking();
        if self.ask_to_stop(reply) { waiting.wait() } else { Ok(()) }
    }

    fn ask_to_stop(&self, reply: Reply<()>) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        stop.is_some_and(|stop| stop.send(reply).is_ok())
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("process", &self.process()).finish_non_exhaustive()
    }
}

async fn count(supervisors: &[Addr<Supervisor>]) -> usize {
    let mut actors = 0;
    for supervisor in supervisors {
        actors += supervisor.send(Census).await.unwrap_or(0);
    }
    actors
}

/// The first of two futures; `None` if the second one ended first.
struct Race<F>(F, oneshot::Receiver<()>);

impl<F: Future + Unpin> Future for Race<F> {
    type Output = Option<F::Output>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<F::Output>> {
        use std::task::Poll;
        if let Poll::Ready(output) = std::pin::Pin::new(&mut self.0).poll(context) {
            return Poll::Ready(Some(output));
        }
        std::pin::Pin::new(&mut self.1).poll(context).map(|_| None)
    }
}

/// What the first arbiter's thread builds and lives in.
struct Building {
    backend: Arc<dyn Backend>,
    identity: Identity,
    settings: Settings,
    gate: Arc<Gate>,
    stats: Arc<Stats>,
}

impl Building {
    fn live(self, ready: &crossbeam_channel::Sender<Result<Doors>>, stopped: oneshot::Receiver<Reply<()>>) {
        thread::mark_as_ours();
        let system = actix_rt::System::new();
        let gate = Arc::clone(&self.gate);
        let answer = system.block_on(async move {
            let (doors, house) = match self.open().await {
                Ok(opened) => opened,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return None;
                }
            };
            let others = doors.others.clone();
            let _ = ready.send(Ok(doors));
            let answer = stopped.await.ok();
            gate.close();
            if answer.is_some() {
                let _ = tokio::time::timeout(limits::CLOSE_WAIT, gate.emptied()).await;
                house.writer.close().await;
            }
            // By hand: the system's own way to stop them is a message to a task of this thread, which runs no more.
            for arbiter in others {
                arbiter.stop();
            }
            System::current().stop();
            answer
        });
        // With the arbiter its actors end, and with them whatever waited in them.
        drop(system);
        if let Some(answer) = answer {
            answer.answer(Ok(()));
        }
    }

    async fn open(&self) -> Result<(Doors, House)> {
        let seams = self.settings.seams.clone();
        let session = self.backend.join(&self.identity, seams.clock.now())?;
        let process = session.process();
        let readers = Readers::open(Arc::clone(&self.backend), self.settings.readers.max(1));
        let watcher = WatcherActor::open(self.backend.bell(), readers.clone(), process);
        let on_lapse = {
            let watcher = watcher.clone();
            Box::new(move || watcher.do_send(Lapsed))
        };
        let (gate, stats) = (Arc::clone(&self.gate), Arc::clone(&self.stats));
        let writer =
            WriterActor::open(session, gate, seams.clone(), stats, self.settings.call_timeout, on_lapse)?;
        let house = House { writer, readers: readers.clone(), watcher, seams };
        let (supervisors, others) = self.supervisors(&house).await?;
        let doors =
            Doors { supervisors, writer: house.writer.clone(), readers, arbiter: Arbiter::current(), others };
        Ok((doors, house))
    }

    /// One supervisor an arbiter; the first lives here, beside the writer.
    async fn supervisors(&self, house: &House) -> Result<(Vec<Addr<Supervisor>>, Vec<ArbiterHandle>)> {
        let (idle, mut others) = (self.settings.idle, Vec::new());
        let mut supervisors = vec![Supervisor::new(house.clone(), idle).start()];
        for _ in 1..self.settings.arbiters {
            let arbiter = Arbiter::new();
            let (marked, mark) = oneshot::channel();
            arbiter.spawn_fn(move || {
                thread::mark_as_ours();
                let _ = marked.send(());
            });
            mark.await.map_err(|_| storage("an arbiter ended at once"))?;
            let house = house.clone();
            supervisors
                .push(Supervisor::start_in_arbiter(&arbiter.handle(), move |_| Supervisor::new(house, idle)));
            others.push(arbiter.handle());
        }
        Ok((supervisors, others))
    }
}

fn storage(detail: &str) -> Error {
    Error::Storage { detail: detail.to_owned() }
}

//! The runtime of one store in this process: its threads, the way in, and the orderly way out.
//!
//! - `asking` has the doors: how a request comes in, and how long its caller waits;
//! - `aside` has the doors for what takes long and has a session, or a thread, of its own;
//! - `building` is what the first arbiter's thread builds and lives in.
//!
//! Threads, however many names are used: one an arbiter, one that commits, the readers, the lookout, and the bell's.

mod aside;
mod asking;
mod building;

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
#[cfg(feature = "testing")]
use std::task::{Context as Waking, Poll, Waker};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use self::building::Building;
use crate::change::Changes;
use crate::clock::Seams;
use crate::error::{Error, Result};
use crate::feed::Feeds;
use crate::follow::Follow;
use crate::gate::Gate;
use crate::limits;
use crate::observe::Meter;
use crate::projection::Projections;
use crate::reader::Readers;
use crate::reply::Reply;
use crate::storage::{Backend, Identity, Presence};
use crate::stream::Streams;
use crate::supervisor::{Census, Post};
use crate::thread;
use crate::writer::{Stats, Writer, WriterState};

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
    /// Pages in the log at which it is moved into the main file.
    pub checkpoint_pages: u32,
    /// Time, ids, threads.
    pub seams: Seams,
    /// Who tells what happens to the recorder of metrics.
    pub meter: Meter,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            arbiters: 1,
            readers: limits::READERS,
            call_timeout: limits::CALL_TIMEOUT,
            idle: limits::IDLE,
            requests: limits::REQUESTS,
            checkpoint_pages: limits::CHECKPOINT_PAGES,
            seams: Seams::default(),
            meter: Meter::here(),
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
    backend: Arc<dyn Backend>,
    identity: Identity,
    /// The process in which the threads are.
    process_id: u32,
    stop: Mutex<Option<oneshot::Sender<Reply<()>>>>,
}

/// The addresses that requests go to.
#[derive(Clone)]
struct Doors {
    post: Post,
    streams: Streams,
    changes: Changes,
    feeds: Feeds,
    follow: Follow,
    projections: Projections,
    writer: Writer,
    readers: Readers,
    presence: Option<Weak<dyn Presence>>,
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
        let house = Building::new(backend, identity, settings);
        let (plan, (stop, stopped)) = (house.clone(), oneshot::channel());
        let (ready, started) = crossbeam_channel::bounded(1);
        let body = move || house.live(&ready, stopped);
        plan.settings.seams.spawner.spawn("millpond-actors", Box::new(body))?;
        let doors =
            started.recv().unwrap_or_else(|_| Err(storage("the thread of the actors ended at once")))?;
        Ok(Runtime::of(plan, doors, stop))
    }

    /// The same within an arbiter that is there already, on its thread: for simulations, which have no other.
    ///
    /// # Errors
    /// What the database said.
    #[cfg(feature = "testing")]
    pub fn start_here(backend: Arc<dyn Backend>, identity: Identity, settings: Settings) -> Result<Runtime> {
        let house = Building::new(backend, identity, settings);
        let (plan, (stop, stopped)) = (house.clone(), oneshot::channel());
        let mut context = Waking::from_waker(Waker::noop());
        match std::pin::pin!(house.live_here(stopped)).poll(&mut context) {
            Poll::Ready(doors) => Ok(Runtime::of(plan, doors?, stop)),
            Poll::Pending => Err(storage("where there are no threads, there is one arbiter")),
        }
    }

    fn of(plan: Building, doors: Doors, stop: oneshot::Sender<Reply<()>>) -> Runtime {
        let Building { backend, identity, settings, gate, stats } = plan;
        let process_id = settings.seams.spawner.process_id();
        let stop = Mutex::new(Some(stop));
        Runtime { doors, gate, stats, settings, backend, identity, process_id, stop }
    }

    /// The way to the actors, for whoever has entered, or does what belongs to somebody who has.
    #[must_use]
    pub fn post(&self) -> &Post {
        &self.doors.post
    }

    /// The way to the streams, for whoever has entered.
    #[must_use]
    pub fn streams(&self) -> &Streams {
        &self.doors.streams
    }

    /// The way to watch for changes.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.doors.changes
    }

    /// The way to the feeds, for whoever has entered, and to their ends.
    #[must_use]
    pub fn feeds(&self) -> &Feeds {
        &self.doors.feeds
    }

    /// The way to follow the events.
    #[must_use]
    pub fn follow(&self) -> &Follow {
        &self.doors.follow
    }

    /// News of the projections.
    #[must_use]
    pub fn projections(&self) -> &Projections {
        &self.doors.projections
    }

    /// Whether it was closed, or is being closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }

    /// What the writer is doing, as far as can be told without waiting for it or for the storage.
    #[must_use]
    pub fn writer_state(&self) -> WriterState {
        match self.stats.poisoned.get() {
            Some(error) => WriterState::Poisoned { error: error.clone() },
            None => self.doors.writer.doing(),
        }
    }

    /// The way to the writer, for what goes there past the actors.
    #[must_use]
    pub fn writer(&self) -> &Writer {
        &self.doors.writer
    }

    /// What is counted.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// How many requests may be inside at once.
    #[must_use]
    pub fn request_limit(&self) -> usize {
        self.gate.limit()
    }

    /// How many requests are inside, wherever they are.
    #[must_use]
    pub fn inside(&self) -> usize {
        self.gate.inside()
    }

    /// This process, as the store knows it.
    #[must_use]
    pub fn process(&self) -> u64 {
        self.doors.writer.process()
    }

    /// This process's presence, for a program that it starts; see [`Presence`]. `None` in memory.
    ///
    /// # Errors
    /// [`Error::Closed`]; what the system said.
    pub fn lend_presence(&self) -> Result<Option<OwnedFd>> {
        if self.is_closed() {
            return Err(Error::Closed);
        }
        let Some(presence) = &self.doors.presence else { return Ok(None) };
        // It is gone with the session, so with a writer that has ended.
        presence.upgrade().ok_or(Error::Closed)?.lend().map(Some)
    }

    /// Time, ids, threads.
    #[must_use]
    pub fn seams(&self) -> &Seams {
        &self.settings.seams
    }

    /// The writer's figures: groups and operations committed, groups redone, commits and checkpoints failed.
    #[must_use]
    pub fn figures(&self) -> [u64; 5] {
        let Stats { groups, operations, redone, failed_commits, failed_checkpoints, .. } = &*self.stats;
        [groups, operations, redone, failed_commits, failed_checkpoints]
            .map(|figure| figure.load(Ordering::Relaxed))
    }

    /// How many actors live.
    pub async fn actors(&self) -> usize {
        count(&self.doors.post).await
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
        let post = self.doors.post.clone();
        let asked = self.doors.arbiter.spawn(async move { reply.answer(Ok(count(&post).await)) });
        if asked { self.honest(waiting.wait()) } else { Err(Error::Closed) }
    }

    /// Answers every request that was accepted, leaves the store and ends the threads. Waiters for a lock get
    /// [`Error::Closed`]. A second call ends at once.
    ///
    /// # Errors
    /// None today; a storage that is stuck is given up on after [`limits::CLOSE_WAIT`].
    pub async fn close(&self) -> Result<()> {
        self.check_not_forked()?;
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
        self.check_not_forked()?;
        let (reply, waiting) = Reply::blocking();
        if self.ask_to_stop(reply) { waiting.wait() } else { Ok(()) }
    }

    /// After a fork nothing of the store is here: every call would wait for ever.
    fn check_not_forked(&self) -> Result<()> {
        let here = self.settings.seams.spawner.process_id();
        if here == self.process_id { Ok(()) } else { Err(Error::Forked) }
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

async fn count(post: &Post) -> usize {
    let mut actors = 0;
    for supervisor in post.supervisors() {
        actors += supervisor.send(Census).await.unwrap_or(0);
    }
    actors
}

fn storage(detail: &str) -> Error {
    Error::Storage { detail: detail.to_owned() }
}

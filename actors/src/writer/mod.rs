//! The writer: every write of the process goes through here, many callers sharing one commit.
//!
//! - `committer` executes a group on the database and knows what to do when that fails;
//! - `intake` is the line of writes between the actor and its commit thread;
//! - `commit_thread` takes groups from the line;
//! - `outbox` holds the answers until the arbiter gives them out;
//! - this file is the actor in front. It commits by itself while it is alone with one caller at a time, which
//!   saves two thread hops (about 20 us each), and hands over to its thread as soon as there is company, so
//!   that the next group gathers while one commits.

mod commit_thread;
mod committer;
mod intake;
mod outbox;

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;

use self::committer::Committer;
pub use self::intake::Stats;
use self::intake::{Intake, Write};
use self::outbox::Outbox;
use crate::clock::{Seams, millis};
use crate::error::{Error, Result};
use crate::gate::{Gate, Passage};
use crate::limits;
use crate::storage::{Apply, Session};

/// A write of one caller at a time may have this many operations and still be committed on the arbiter.
const ALONE: usize = 1;

/// So many groups in a row must have been alone before the arbiter commits by itself.
const ALONE_BEFORE_INLINE: u32 = 3;

/// So often the actor lets the others run first when it knows that requests are on their way.
const YIELDS: u8 = 3;

/// How often writes that wait are looked at for their deadline.
const EXPIRY_TICK: Duration = Duration::from_millis(250);

/// What the beat hangs on: how many leases this process holds, and the shortest of them.
#[derive(Debug)]
struct Leases {
    held: AtomicUsize,
    least_ttl_ms: AtomicU64,
    /// The interval of the beat that is armed; `u64::MAX` if none is.
    armed_ms: AtomicU64,
}

impl Leases {
    /// How long this process may be silent at most: a third of the shortest lease. `None` if it holds nothing.
    fn beat_every_ms(&self) -> Option<u64> {
        let held = self.held.load(Ordering::Relaxed) > 0;
        held.then(|| (self.least_ttl_ms.load(Ordering::Relaxed) / 3).max(1))
    }
}

/// The way to the writer, for actors. Cheap to clone.
#[derive(Clone)]
pub struct Writer(Arc<Way>);

struct Way {
    address: Addr<WriterActor>,
    gathered: Arc<Gathered>,
    leases: Arc<Leases>,
    process: Arc<AtomicU64>,
}

impl Writer {
    /// Sends one operation. `then` is called with its outcome after the commit, from the arbiter or from the
    /// commit thread, in the order of the commits; it must be quick and must not wait.
    ///
    /// The passage is given back after `then` has run. A write that has not been begun when the store's call
    /// timeout ends is answered with [`Error::Busy`] and leaves no trace.
    pub fn apply<O, F>(&self, operation: O, passage: Option<Passage>, then: F)
    where
        O: Apply,
        F: FnOnce(Result<O::Outcome>) + Send + 'static,
    {
        let then = Box::new(move |outcome: Result<_>| {
            then(outcome.and_then(|outcome| {
                O::from_outcome(outcome)
                    .ok_or_else(|| Error::Storage { detail: "an answer to another operation".into() })
            }));
        });
        let mut write = Write { operation: operation.into_operation(), passage, then };
        if let Some(passage) = &mut write.passage {
            passage.arrive();
        }
        // Bounded by the gate: every write belongs to a request that was let in, or to one that is being undone.
        // One message tells the actor of all that gathers until it comes to look.
        if self.0.gathered.push(write) {
            self.0.address.do_send(Flush);
        }
    }

    /// This process, as the store knows it. Changes if it was taken for dead and had to register anew.
    #[must_use]
    pub fn process(&self) -> u64 {
        self.0.process.load(Ordering::Relaxed)
    }

    /// This process holds one lease more, with this time to live: from now on its row is written often enough.
    pub fn hold(&self, ttl_ms: u64) {
        if self.0.leases.held.fetch_add(1, Ordering::Relaxed) == 0 {
            self.0.leases.least_ttl_ms.store(ttl_ms, Ordering::Relaxed);
        } else {
            self.0.leases.least_ttl_ms.fetch_min(ttl_ms, Ordering::Relaxed);
        }
        if ttl_ms / 3 < self.0.leases.armed_ms.load(Ordering::Relaxed) {
            self.0.address.do_send(ArmBeat);
        }
    }

    /// It holds one less.
    pub fn let_go(&self) {
        self.0.leases.held.fetch_sub(1, Ordering::Relaxed);
    }

    /// Commits what has been accepted, leaves the store and ends the thread; gives up on a thread that is stuck
    /// in the storage.
    pub(crate) async fn close(&self) {
        let Ok(Some(thread)) = self.0.address.send(Close).await else { return };
        // What it committed last it answers itself, if the message comes too late.
        if tokio::time::timeout(limits::CLOSE_WAIT, thread.ended).await.is_ok() {
            // It has just said that it ends; this waits for nothing.
            let _ = thread.handle.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// Writes on their way to the actor.
#[derive(Default)]
struct Gathered(Mutex<Vec<Write>>);

impl Gathered {
    fn writes(&self) -> MutexGuard<'_, Vec<Write>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the first: then the actor has to be told.
    fn push(&self, write: Write) -> bool {
        let mut writes = self.writes();
        writes.push(write);
        writes.len() == 1
    }

    fn len(&self) -> usize {
        self.writes().len()
    }

    fn take(&self) -> Vec<Write> {
        std::mem::take(&mut *self.writes())
    }
}

/// The actor in front of the commit thread.
pub struct WriterActor {
    committer: Arc<Mutex<Committer>>,
    intake: Arc<Intake>,
    outbox: Arc<Outbox>,
    gate: Arc<Gate>,
    leases: Arc<Leases>,
    seams: Seams,
    call_timeout: Duration,
    thread: Option<CommitThread>,
    gathered: Arc<Gathered>,
    yields: u8,
    alone: u32,
    expiry_armed: bool,
    beat: Option<SpawnHandle>,
}

struct CommitThread {
    handle: JoinHandle<()>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

/// Called when leases of this process have lapsed, so that every actor that holds something looks again.
pub(crate) type OnLapse = Box<dyn Fn() + Send>;

impl WriterActor {
    /// Starts the writer on the current arbiter.
    pub(crate) fn open(
        session: Box<dyn Session>,
        gate: Arc<Gate>,
        seams: Seams,
        stats: Arc<Stats>,
        call_timeout: Duration,
        on_lapse: OnLapse,
    ) -> Result<Writer> {
        let (intake, outbox) = (Arc::new(Intake::default()), Arc::new(Outbox::default()));
        let front = Arc::new(OnceLock::<WeakAddr<WriterActor>>::new());
        let process = Arc::new(AtomicU64::new(session.process()));
        let committer =
            Committer::new(session, Arc::clone(&seams.clock), stats, on_lapse, Arc::clone(&process));
        let committer = Arc::new(Mutex::new(committer));
        let (ending, ended) = tokio::sync::oneshot::channel();
        let handle = {
            let (committer, intake, gate) = (Arc::clone(&committer), Arc::clone(&intake), Arc::clone(&gate));
            let (outbox, front, clock) = (Arc::clone(&outbox), Arc::clone(&front), Arc::clone(&seams.clock));
            let tell = move || {
                // One message a group. If the actor is gone, the thread answers when it ends.
                if let Some(front) = front.get().and_then(WeakAddr::upgrade) {
                    front.do_send(Committed);
                }
            };
            let body = move || {
                commit_thread::run(&committer, &intake, &outbox, &gate, &*clock, tell);
                let _ = ending.send(());
            };
            seams.spawner.spawn("millpond-commit", Box::new(body))?
        };
        let leases = Leases { held: 0.into(), least_ttl_ms: u64::MAX.into(), armed_ms: u64::MAX.into() };
        let (leases, gathered) = (Arc::new(leases), Arc::new(Gathered::default()));
        let actor = WriterActor {
            committer,
            intake,
            outbox,
            gate,
            leases: Arc::clone(&leases),
            seams,
            call_timeout,
            thread: Some(CommitThread { handle, ended }),
            gathered: Arc::clone(&gathered),
            yields: 0,
            alone: 0,
            expiry_armed: false,
            beat: None,
        };
        let address = actor.start();
        let _ = front.set(address.downgrade());
        Ok(Writer(Arc::new(Way { address, gathered, leases, process })))
    }

    /// Decides who commits what has gathered: this arbiter, the thread, or nobody yet.
    fn flush(&mut self, context: &mut Context<Self>) {
        if self.gathered.len() == 0 {
            return;
        }
        let thread_rests = self.intake.is_resting();
        let underway = self.gate.underway();
        let few = self.gathered.len() <= ALONE;
        if thread_rests && underway > 0 && self.yields < YIELDS && few {
            self.yields += 1;
            // A real yield: `notify` would poll this same task again before the others.
            let others = actix::fut::wrap_future::<_, Self>(tokio::task::yield_now());
            context
                .spawn(others.map(|(), actor: &mut Self, context: &mut Context<Self>| actor.flush(context)));
            return;
        }
        self.yields = 0;
        let alone = thread_rests && underway == 0 && few;
        self.alone = if alone { self.alone.saturating_add(1) } else { 0 };
        if self.alone <= ALONE_BEFORE_INLINE || !self.commit_here() {
            let deadline_ms = self.seams.clock.now().boot_ms.saturating_add(millis(self.call_timeout));
            self.intake.push(self.gathered.take(), deadline_ms);
            self.arm_expiry(context);
        }
    }

    /// Commits what is pending on this arbiter, if nothing has to be waited for. `false`: it has to be.
    fn commit_here(&mut self) -> bool {
        let mut committer = match self.committer.try_lock() {
            Ok(committer) => committer,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return false,
        };
        if !committer.begin(false) {
            return false;
        }
        for write in self.gathered.take() {
            committer.take(write);
        }
        self.outbox.put(committer.finish());
        self.outbox.deliver();
        committer.pass_on();
        let due = committer.checkpoint_due();
        drop(committer);
        if due {
            self.intake.ask_checkpoint();
        }
        true
    }

    /// Writes that wait for a turn or for a stuck disk are answered at their deadline.
    fn arm_expiry(&mut self, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.expiry_armed, true) {
            return;
        }
        context.run_later(EXPIRY_TICK, |actor, context| {
            actor.expiry_armed = false;
            actor.intake.expire(actor.seams.clock.now().boot_ms);
            if !actor.intake.is_resting() {
                actor.arm_expiry(context);
            }
        });
    }

    /// While leases are held, the process's row is written often enough.
    fn arm_beat(&mut self, context: &mut Context<Self>) {
        if let Some(armed) = self.beat.take() {
            context.cancel_future(armed);
        }
        let Some(every_ms) = self.leases.beat_every_ms() else {
            return self.leases.armed_ms.store(u64::MAX, Ordering::Relaxed);
        };
        self.leases.armed_ms.store(every_ms, Ordering::Relaxed);
        self.beat = Some(context.run_later(Duration::from_millis(every_ms), |actor, context| {
            if actor.leases.beat_every_ms().is_some() {
                actor.intake.ask_beat();
            }
            actor.arm_beat(context);
        }));
    }
}

impl Actor for WriterActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl Drop for WriterActor {
    /// However this actor ends, its thread does too, after what is in the line.
    fn drop(&mut self) {
        self.intake.close();
    }
}

/// Writes have gathered; see what to do with them.
#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Handler<Flush> for WriterActor {
    type Result = ();

    fn handle(&mut self, _: Flush, context: &mut Self::Context) {
        self.flush(context);
    }
}

/// A group has been committed; its callers want to know.
#[derive(Message)]
#[rtype(result = "()")]
struct Committed;

impl Handler<Committed> for WriterActor {
    type Result = ();

    fn handle(&mut self, _: Committed, _: &mut Self::Context) {
        self.outbox.deliver();
    }
}

/// The first lease is held, or a shorter one than before.
#[derive(Message)]
#[rtype(result = "()")]
struct ArmBeat;

impl Handler<ArmBeat> for WriterActor {
    type Result = ();

    fn handle(&mut self, _: ArmBeat, context: &mut Self::Context) {
        self.arm_beat(context);
    }
}

/// Hands over what is pending and ends.
#[derive(Message)]
#[rtype(result = "Option<CommitThread>")]
struct Close;

impl Handler<Close> for WriterActor {
    type Result = MessageResult<Close>;

    fn handle(&mut self, _: Close, _: &mut Self::Context) -> Self::Result {
        self.intake.push(self.gathered.take(), u64::MAX);
        self.intake.close();
        MessageResult(self.thread.take())
    }
}

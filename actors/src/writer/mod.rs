//! The writer: every write of the process goes through here, many callers sharing one commit.
//!
//! - `intake` is the line of writes, into which everybody puts his own;
//! - `commit_thread` takes groups from the line, commits them and answers;
//! - `then` is who is told an outcome;
//! - `leases` is what this process holds, and how often it has to say that it lives;
//! - `committer` executes a group on the database and knows what to do when that fails;
//! - `making_way` lets whoever was answered run first;
//! - this file is the way in, and the actor beside the thread. It commits by itself while it is alone with one caller
//!   at a time, which saves a thread hop (about 20 us); it keeps the deadlines of those who wait, has this process's
//!   row written often enough, and ends the thread in order.
//!
//! Whichever of the two has the storage, the other one keeps the deadlines: a disk that hangs keeps nobody waiting for
//! longer than a call may take.

mod commit_thread;
mod committer;
mod intake;
mod leases;
mod making_way;
mod then;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::prelude::*;

use self::commit_thread::{CommitThread, Work};
use self::committer::Committer;
use self::intake::{Intake, WATCH_EVERY, Write};
pub use self::intake::{Stats, WriterState};
use self::leases::Leases;
use self::making_way::MakingWay;
pub use self::then::Need;
use self::then::Telling;
use crate::clock::{Clock, Seams, millis};
use crate::error::{Error, Result};
use crate::gate::{Gate, Passage};
use crate::horizon::Horizon;
use crate::limits;
use crate::observe::Meter;
use crate::storage::{Apply, Session, Turn};

/// What one caller does may be this many operations and still be committed on the arbiter: a push, and the claim for who
/// waits for it.
const ALONE: usize = 2;

/// So many groups in a row must have been alone before the arbiter commits by itself.
const ALONE_BEFORE_INLINE: u32 = 3;

/// So often the actor lets the others run first when it knows that requests are on their way.
const YIELDS: u8 = 3;

/// On what terms a write is made.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// When it must have been begun, by the boot clock.
    pub deadline_ms: u64,
    /// If it is refused, this process keeps the turn for a moment ([`limits::INSIST`]): whoever has sent it comes back with
    /// another one that rests on what is committed now, and no other process can be faster again.
    pub insists: bool,
}

impl Terms {
    /// Begun by then, or never.
    #[must_use]
    pub fn until(deadline_ms: u64) -> Terms {
        Terms { deadline_ms, insists: false }
    }

    /// It was refused so often already because others were faster.
    #[must_use]
    pub fn after(self, overtaken: u32) -> Terms {
        Terms { insists: overtaken >= limits::INSIST_AFTER, ..self }
    }
}

/// The way to the writer, for actors. Cheap to clone.
#[derive(Clone)]
pub struct Writer(Arc<Way>);

struct Way {
    address: Addr<WriterActor>,
    intake: Arc<Intake>,
    clock: Arc<dyn Clock>,
    call_timeout_ms: u64,
    /// Somebody looks after the deadlines.
    watched: Arc<AtomicBool>,
    leases: Arc<Leases>,
    process: Arc<AtomicU64>,
    beat_ms: Arc<AtomicU64>,
    stats: Arc<Stats>,
}

impl Writer {
    /// Sends one operation. `then` is called with its outcome after the commit, mostly from the commit thread and
    /// in the order of the commits; it must be quick and must not wait.
    ///
    /// The passage is given back after `then` has run. A write that has not been begun when the store's call
    /// timeout ends is answered with [`Error::Busy`] and leaves no trace.
    pub fn apply<O, F>(&self, operation: O, passage: Option<Passage>, then: F)
    where
        O: Apply,
        F: FnOnce(Result<O::Outcome>) + Send + 'static,
    {
        self.apply_on(self.terms(), operation, passage, then);
    }

    /// When a write that is asked for now must have been begun.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        self.0.clock.boot_ms().saturating_add(self.0.call_timeout_ms)
    }

    /// Those of a write that is asked for now.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms::until(self.deadline_ms())
    }

    /// As [`apply`](Writer::apply), for what was asked for earlier, or was refused before.
    pub fn apply_on<O, F>(&self, terms: Terms, operation: O, passage: Option<Passage>, then: F)
    where
        O: Apply,
        F: FnOnce(Result<O::Outcome>) + Send + 'static,
    {
        let then = Telling::<O, (), _>::new((), |(), outcome| then(outcome));
        self.send(Write::new(operation.into_operation(), passage, then, terms));
    }

    /// As [`apply`](Writer::apply), for what is asked for very often: what `then` will need is looked at before.
    pub fn apply_with<O, N, F>(&self, operation: O, passage: Option<Passage>, need: N, then: F)
    where
        O: Apply,
        N: Need,
        F: FnOnce(N, Result<O::Outcome>) + Send + 'static,
    {
        let then = Telling::<O, N, F>::new(need, then);
        self.send(Write::new(operation.into_operation(), passage, then, self.terms()));
    }

    fn send(&self, mut write: Write) {
        write.asked(|| self.now_ms());
        if let Some(passage) = &mut write.passage {
            passage.arrive();
        }
        // Bounded by the gate: every write belongs to a request that was let in, or to one that is being undone.
        if self.0.intake.push(write) {
            self.0.address.do_send(Flush);
        }
        if !self.0.watched.load(Ordering::SeqCst) && !self.0.watched.swap(true, Ordering::SeqCst) {
            self.0.address.do_send(Watch);
        }
    }

    /// This process, as the store knows it. Changes if it was taken for dead and had to register anew.
    #[must_use]
    pub fn process(&self) -> u64 {
        self.0.process.load(Ordering::Relaxed)
    }

    /// When the last group on disk began, by the boot clock. While this process holds a lease, that group wrote its row:
    /// it is the beat on which the lease hangs.
    #[must_use]
    pub fn beat_ms(&self) -> u64 {
        self.0.beat_ms.load(Ordering::Relaxed)
    }

    /// Why nothing is written any more, if that is so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&Error> {
        self.0.stats.poisoned.get()
    }

    /// Who tells what happens here.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.0.stats.meter
    }

    /// What the writer is doing, as far as can be told without waiting for it.
    #[must_use]
    pub fn doing(&self) -> WriterState {
        self.0.intake.doing(self.now_ms())
    }

    /// The boot clock, now.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.clock.boot_ms()
    }

    /// Somebody here holds a lease more, under this ticket and with this time to live: from now on this process's row is
    /// written often enough.
    pub fn hold(&self, ticket: u64, ttl_ms: u64) {
        if self.0.leases.add(ticket, ttl_ms) {
            self.0.address.do_send(ArmBeat);
        }
    }

    /// Whether somebody here holds a lease under this ticket. Whoever knows of it: an actor may have failed since.
    #[must_use]
    pub fn holds(&self, ticket: u64) -> bool {
        self.0.leases.has(ticket)
    }

    /// Nobody here holds it any more, and that was written, or could not be. Not before: in the database it is held until
    /// then, and whoever looks would take it for one that nobody knows of.
    pub fn let_go(&self, ticket: u64) {
        self.0.leases.remove(ticket);
    }

    /// Commits what has been accepted, leaves the store and ends the thread; gives up on a thread that is stuck
    /// in the storage.
    pub(crate) async fn close(&self) {
        let Ok(Some(thread)) = self.0.address.send(Close).await else { return };
        if tokio::time::timeout(limits::CLOSE_WAIT, thread.ended).await.is_ok()
            && let Some(handle) = thread.handle
        {
            // It has just said that it ends; this waits for nothing.
            let _ = handle.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// The actor beside the commit thread.
pub struct WriterActor {
    work: Arc<Work>,
    leases: Arc<Leases>,
    thread: Option<Started>,
    watched: Arc<AtomicBool>,
    process: Arc<AtomicU64>,
    stats: Arc<Stats>,
    /// Nothing is committed here: the arbiter would wait for a network.
    far: bool,
    ask_turn: AskTurn,
    /// A reader has been asked and has not answered: one question at a time, however long the storage takes.
    asked_turn: Arc<AtomicBool>,
    yields: u8,
    alone: u32,
    making_way: MakingWay,
    beat: Option<SpawnHandle>,
}

/// What there is to know of the commit thread's end.
struct Started {
    handle: Option<JoinHandle<()>>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

/// Called when leases of this process have lapsed, and when it writes no more, so that every actor that waits or holds
/// something looks again.
pub(crate) type CallAll = Box<dyn Fn() + Send>;

/// Who is told of what was committed, beside those who wait for it.
pub(crate) struct Told {
    pub(crate) call_all: CallAll,
    /// Of how far the events have come.
    pub(crate) horizon: Arc<Horizon>,
}

/// Asks a reader whose turn it is, for [`Error::Busy`]; the thread that waits for the turn cannot look.
pub(crate) type AskTurn = Box<dyn Fn(Box<dyn FnOnce(Option<Turn>) + Send>)>;

/// How a writer is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// How long a write may wait.
    pub(crate) call_timeout: Duration,
    /// Pages in the log at which it is moved into the main file.
    pub(crate) checkpoint_pages: u32,
    /// The storage is [far](crate::storage::Backend::is_far).
    pub(crate) far: bool,
}

impl WriterActor {
    /// Starts the writer on the current arbiter.
    pub(crate) fn open(
        session: Box<dyn Session>,
        gate: Arc<Gate>,
        seams: Seams,
        stats: Arc<Stats>,
        tuning: Tuning,
        told: Told,
        ask_turn: AskTurn,
    ) -> Result<Writer> {
        let Tuning { call_timeout, far, .. } = tuning;
        let intake = Arc::new(Intake::default());
        let process = Arc::new(AtomicU64::new(session.process()));
        let clock = Arc::clone(&seams.clock);
        let beat_ms = Arc::new(AtomicU64::new(clock.boot_ms()));
        let committer = {
            let (clock, process, beat_ms) = (Arc::clone(&clock), Arc::clone(&process), Arc::clone(&beat_ms));
            let stats = Arc::clone(&stats);
            Committer::new(session, clock, stats, tuning, told, process, beat_ms)
        };
        let work = Arc::new(Work {
            committer: Mutex::new(committer),
            intake: Arc::clone(&intake),
            gate,
            clock: Arc::clone(&clock),
            call_timeout,
        });
        let (ending, ended) = tokio::sync::oneshot::channel();
        let commits = CommitThread::new(Arc::clone(&work), ending);
        let handle = seams.spawner.employ("millpond-commit", Box::new(commits), intake.call())?;
        let (leases, watched) = (Arc::new(Leases::default()), Arc::new(AtomicBool::new(false)));
        let actor = WriterActor {
            work,
            leases: Arc::clone(&leases),
            thread: Some(Started { handle, ended }),
            watched: Arc::clone(&watched),
            process: Arc::clone(&process),
            stats: Arc::clone(&stats),
            far,
            ask_turn,
            asked_turn: Arc::default(),
            yields: 0,
            alone: 0,
            making_way: MakingWay::default(),
            beat: None,
        };
        let address = actor.start();
        let call_timeout_ms = millis(call_timeout);
        Ok(Writer(Arc::new(Way {
            address,
            intake,
            clock,
            call_timeout_ms,
            watched,
            leases,
            process,
            beat_ms,
            stats,
        })))
    }

    /// The thread sleeps: decides who commits what is in the line, this arbiter, the thread, or nobody yet.
    fn flush(&mut self, context: &mut Context<Self>) {
        let few = self.work.intake.len() <= ALONE;
        let underway = self.work.gate.underway();
        if underway > 0 && self.yields < YIELDS && few {
            self.yields += 1;
            // A real yield: `notify` would poll this same task again before the others.
            let others = actix::fut::wrap_future::<_, Self>(tokio::task::yield_now());
            context
                .spawn(others.map(|(), actor: &mut Self, context: &mut Context<Self>| actor.flush(context)));
            return;
        }
        self.yields = 0;
        let gathered = self.work.intake.look();
        if gathered == 0 {
            return;
        }
        let alone = underway == 0 && gathered <= ALONE && !self.work.intake.has_insisting();
        self.alone = if alone { self.alone.saturating_add(1) } else { 0 };
        let inline = !self.far && self.alone > ALONE_BEFORE_INLINE && self.work.commit_here();
        if inline {
            self.making_way.make_way(&*self.work.clock);
        } else {
            self.work.intake.call_thread();
        }
    }

    /// Looks after those who wait, as long as there are any.
    fn watch(&mut self, context: &mut Context<Self>) {
        context.run_later(WATCH_EVERY, |actor, context| {
            // Before the look, so that a write that comes after it asks for the next one.
            actor.watched.store(false, Ordering::SeqCst);
            actor.work.watch();
            actor.stats.meter.requests(actor.work.gate.inside());
            if actor.work.intake.is_stuck() {
                actor.look_at_the_turn();
            }
            if !actor.work.intake.is_resting() && !actor.watched.swap(true, Ordering::SeqCst) {
                actor.watch(context);
            }
        });
    }

    /// Others may have passed the turn on among themselves since the thread began to wait for it.
    fn look_at_the_turn(&self) {
        if self.asked_turn.swap(true, Ordering::SeqCst) {
            return;
        }
        let (asked, work, process) =
            (Arc::clone(&self.asked_turn), Arc::clone(&self.work), Arc::clone(&self.process));
        (self.ask_turn)(Box::new(move |turn| {
            // Our own may be met too, just before it is given back because another program has locked the database.
            let own = |turn: &Turn| {
                turn.occupant.process().is_some_and(|found| found.id == process.load(Ordering::Relaxed))
            };
            if let Some(turn) = turn.filter(|turn| !own(turn)) {
                work.intake.still_stuck(turn, work.clock.boot_ms());
            }
            asked.store(false, Ordering::SeqCst);
        }));
    }

    /// While leases are held, the process's row is written often enough.
    fn arm_beat(&mut self, context: &mut Context<Self>) {
        if let Some(armed) = self.beat.take() {
            context.cancel_future(armed);
        }
        let Some(every_ms) = self.leases.arm() else { return };
        self.beat = Some(context.run_later(Duration::from_millis(every_ms), |actor, context| {
            if actor.leases.are_held() {
                actor.work.intake.ask_beat();
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
        self.work.intake.close();
    }
}

/// There is something in the line, and the thread sleeps.
#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Handler<Flush> for WriterActor {
    type Result = ();

    fn handle(&mut self, _: Flush, context: &mut Self::Context) {
        self.flush(context);
    }
}

/// Somebody waits, and nobody looks after the deadlines.
#[derive(Message)]
#[rtype(result = "()")]
struct Watch;

impl Handler<Watch> for WriterActor {
    type Result = ();

    fn handle(&mut self, _: Watch, context: &mut Self::Context) {
        self.watch(context);
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

/// Takes nothing more; what is in the line is still committed.
#[derive(Message)]
#[rtype(result = "Option<Started>")]
struct Close;

impl Handler<Close> for WriterActor {
    type Result = MessageResult<Close>;

    fn handle(&mut self, _: Close, _: &mut Self::Context) -> Self::Result {
        self.work.intake.close();
        MessageResult(self.thread.take())
    }
}

//! The storage of a simulated process: a session of the store in memory, which fails when the ground says so and tells the
//! ground what has become true.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millpond::{Error, Result};
use millpond_actors::memory::Memory;
use millpond_actors::storage::change;
use millpond_actors::storage::lock::{
    Acquire, Acquired, Break, Broken as Taken, Leave, Left, Recall, Recalled, Renew, Renewed, Settle, Settled,
};
use millpond_actors::storage::snapshot::{Save, Saved};
use millpond_actors::storage::stream::{Append, Appended, Import, Imported};
use millpond_actors::storage::{
    Backend, Bell, Identity, Moment, Operation, Outcome, Presence, Session, Standing, Tables, Turn, View,
    batch, dict, erase, feed, projection, queue, schedule, sql, stream, subject, subscription,
};

use super::ground::{Ground, State};
use super::mutant::Mutant;
use super::rope::Rope;
use super::truth::Group;
use super::window::Window;

/// A session that can be taken away at any moment, as a SIGKILL does.
#[derive(Clone, Default)]
pub(super) struct Kin(Arc<Mutex<Option<Box<dyn Session>>>>);

impl Kin {
    fn session(&self) -> MutexGuard<'_, Option<Box<dyn Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process is dead.
    pub(super) fn kill(&self) {
        let taken = self.session().take();
        drop(taken);
    }

    /// Its id in the store.
    pub(super) fn process(&self) -> Option<u64> {
        self.session().as_ref().map(|session| session.process())
    }
}

impl std::fmt::Debug for Kin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kin").finish_non_exhaustive()
    }
}

/// The store, as one life sees it.
#[derive(Clone, Debug)]
pub(super) struct Shore {
    pub(super) memory: Memory,
    pub(super) ground: Ground,
    pub(super) life: u64,
    pub(super) kin: Kin,
}

pub(super) fn broken() -> Error {
    Error::Storage { detail: "the simulated disk".to_owned() }
}

fn full() -> Error {
    Error::StorageFull { detail: "the simulated disk".to_owned() }
}

impl Backend for Shore {
    fn join(&self, identity: &Identity, now: &dyn Fn() -> Moment) -> Result<Box<dyn Session>> {
        let session = self.memory.join(identity, now)?;
        self.ground.state().truth.line.joined(session.process(), self.life, now().boot_ms);
        *self.kin.session() = Some(session);
        Ok(Box::new(Moored {
            shore: self.clone(),
            began: None,
            pending: Vec::new(),
            mark: 0,
            owed: Vec::new(),
            failing: 0,
            failing_silently: 0,
            hides: false,
        }))
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(Window { view: self.memory.view()?, shore: self.clone() }))
    }
}

/// The session of a process.
pub(super) struct Moored {
    pub(super) shore: Shore,
    /// When the open group began.
    began: Option<Moment>,
    pub(super) pending: Vec<(Operation, Outcome)>,
    mark: usize,
    /// A mutant's: what was said to be committed.
    pub(super) owed: Vec<Operation>,
    /// So many operations fail from now on.
    failing: u64,
    /// A mutant's: so many operations fail, and nobody knows why.
    pub(super) failing_silently: u64,
    /// What was committed last has taken effect, and seems to have failed.
    pub(super) hides: bool,
}

/// What becomes of a commit.
enum Fate {
    Fine,
    /// It fails, and has taken effect or not; the storage can be asked again at once or not.
    Fails {
        error: Error,
        applied: bool,
        deaf: bool,
    },
    /// The process dies in it.
    Dies {
        applied: bool,
    },
}

fn fate(state: &mut State) -> Fate {
    if state.chance(1_500) {
        return Fate::Dies { applied: state.random.below(2) == 0 };
    }
    let seldom = if state.mutant == Some(Mutant::Liar) { 40 } else { 600 };
    if !state.chance(seldom) {
        return Fate::Fine;
    }
    if state.random.below(3) == 0 {
        return Fate::Fails { error: full(), applied: false, deaf: state.random.below(2) == 0 };
    }
    Fate::Fails { error: broken(), applied: state.random.below(2) == 0, deaf: state.random.below(3) == 0 }
}

impl Moored {
    /// Does something with the session; without one the process is dead, and nobody hears of it.
    pub(super) fn with<T>(&self, run: impl FnOnce(&mut dyn Session) -> Result<T>) -> Result<T> {
        match &mut *self.shore.kin.session() {
            Some(session) => run(&mut **session),
            None => Err(Error::Closed),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shore.ground.state()
    }

    /// The group is in the store.
    fn tell(&mut self, leaves: bool) {
        let (Some(began), Some(process)) = (self.began.take(), self.shore.kin.process()) else { return };
        let operations = std::mem::take(&mut self.pending);
        self.state().commit(&Group { process, began, operations: &operations, leaves });
    }

    fn die(&mut self) {
        let process = self.shore.kin.process();
        let mut state = self.state();
        state.figures.kills += 1;
        let life = self.shore.life;
        state.note(format_args!("life {life} dies in a commit"));
        state.ended(life);
        state.gone(process);
        drop(state);
        self.shore.kin.kill();
    }
}

impl Session for Moored {
    fn process(&self) -> u64 {
        self.shore.kin.process().unwrap_or_default()
    }

    fn presence(&self) -> Option<Weak<dyn Presence>> {
        None
    }

    fn take_turn(&mut self, _: bool) -> Result<bool> {
        // Nobody can wait here: whoever has the turn goes on only when this is over. It is tried again in a moment.
        self.with(|session| session.take_turn(false))
    }

    fn leave_turn(&mut self) {
        let _ = self.with(|session| {
            session.leave_turn();
            Ok(())
        });
    }

    fn turn_holder(&self) -> Option<Turn> {
        self.with(|session| Ok(session.turn_holder())).ok().flatten()
    }

    fn position(&self) -> u64 {
        self.with(|session| Ok(session.position())).unwrap_or_default()
    }

    fn is_watched(&mut self) -> Result<bool> {
        self.with(|session| session.is_watched())
    }

    fn begin(&mut self, now: Moment) -> Result<Standing> {
        self.pending.clear();
        self.mark = 0;
        let mut state = self.state();
        if state.chance(1_000) {
            state.failed(self.shore.life);
            self.shore.memory.faults().fail_begin(broken());
        }
        drop(state);
        let before = self.process();
        let standing = self.with(|session| session.begin(now))?;
        let after = self.process();
        if before != after {
            self.state().truth.line.joined(after, self.shore.life, now.boot_ms);
        }
        self.began = Some(now);
        for operation in std::mem::take(&mut self.owed) {
            self.apply(&operation)?;
        }
        Ok(standing)
    }

    fn savepoint(&mut self) -> Result<()> {
        self.mark = self.pending.len();
        self.with(|session| session.savepoint())
    }

    fn end_savepoint(&mut self, keep: bool) -> Result<()> {
        if !keep {
            self.pending.truncate(self.mark);
        }
        self.with(|session| session.end_savepoint(keep))
    }

    fn commit(&mut self, group: u64) -> Result<()> {
        if self.owes() {
            return Ok(());
        }
        let mut state = self.state();
        let fate = fate(&mut state);
        if !matches!(fate, Fate::Fine) {
            state.failed_commit(self.shore.life);
        }
        drop(state);
        let faults = self.shore.memory.faults();
        match fate {
            Fate::Fine => {
                self.with(|session| session.commit(group))?;
                self.tell(false);
                Ok(())
            }
            Fate::Fails { error, applied, deaf } => {
                if deaf {
                    faults.fail_reopen(1, broken());
                }
                self.hides = applied;
                faults.fail_commit(error, applied);
                let failed = self.with(|session| session.commit(group));
                if applied {
                    self.tell(false);
                }
                failed
            }
            Fate::Dies { applied } => {
                if applied {
                    self.with(|session| session.commit(group))?;
                    self.tell(false);
                }
                self.die();
                Err(Error::Closed)
            }
        }
    }

    fn rollback(&mut self) {
        self.pending.clear();
        self.began = None;
        let _ = self.with(|session| {
            session.rollback();
            Ok(())
        });
    }

    fn in_transaction(&self) -> bool {
        self.with(|session| Ok(session.in_transaction())).unwrap_or_default()
    }

    fn reopen(&mut self) -> Result<()> {
        self.with(|session| session.reopen())
    }

    fn last_group(&mut self) -> Result<u64> {
        if self.lies() {
            return Ok(0);
        }
        self.with(|session| session.last_group())
    }

    fn ring(&self) {
        let _ = self.with(|session| {
            session.ring();
            Ok(())
        });
    }

    fn bell(&self) -> Box<dyn Bell> {
        let bell = self.with(|session| Ok(session.bell())).ok();
        Box::new(Rope { bell, ground: self.shore.ground.clone() })
    }

    fn log_pages(&self) -> u32 {
        0
    }

    fn log_length(&self) -> u32 {
        0
    }

    fn clear_log(&mut self) -> Result<()> {
        Ok(())
    }

    fn checkpoint(&mut self, whole: bool) -> Result<()> {
        self.with(|session| session.checkpoint(whole))
    }

    fn leave(&mut self, now: Moment) -> Result<()> {
        self.began = Some(now);
        self.with(|session| session.leave(now))?;
        self.tell(true);
        Ok(())
    }
}

/// One method an operation, which has nothing to add.
macro_rules! pass_on {
    ($($method:ident($operation:ty) -> $outcome:ty;)+) => {
        $(fn $method(&mut self, operation: &$operation) -> Result<$outcome> {
            self.with(|session| session.$method(operation))
        })+
    };
}

impl Tables for Moored {
    pass_on! {
        lock_acquire(Acquire) -> Acquired;
        lock_leave(Leave) -> Left;
        lock_settle(Settle) -> Settled;
        lock_renew(Renew) -> Renewed;
        lock_recall(Recall) -> Recalled;
        lock_break(Break) -> Taken;
        stream_append(Append) -> Appended;
        stream_check(stream::Check) -> stream::Checked;
        stream_erase(erase::Erase) -> erase::Erased;
        stream_import(Import) -> Imported;
        snapshot_save(Save) -> Saved;
        dict_set(dict::Set) -> dict::Written;
        dict_remove(dict::Remove) -> dict::Removed;
        dict_increment(dict::Increment) -> dict::Incremented;
        dict_clear(dict::Clear) -> dict::Cleared;
        dict_seal(dict::Seal) -> Option<dict::Kept>;
        dict_index(dict::MakeIndex) -> dict::Indexed;
        dict_unindex(dict::DropIndex) -> dict::Unindexed;
        subject_key(subject::Make) -> subject::KeyState;
        subject_shred(subject::Shred) -> bool;
        change_record(change::Record) -> change::Written;
        feed_append(feed::Append) -> feed::Appended;
        feed_retain(feed::Retain) -> feed::Trimmed;
        feed_trim(feed::Trim) -> feed::Trimmed;
        subscription_begin(subscription::Subscribe) -> u64;
        subscription_move(subscription::Move) -> subscription::Moved;
        subscription_acknowledge(subscription::Acknowledge) -> subscription::Moved;
        subscription_pass_over(subscription::PassOver) -> u64;
        subscription_end(subscription::Unsubscribe) -> bool;
        projection_begin(projection::Begin) -> Vec<projection::Standing>;
        projection_advance(projection::Advance) -> projection::Advanced;
        projection_promote(projection::Promote) -> projection::Advanced;
        projection_want(projection::Want) -> bool;
        schedule_set(schedule::Set) -> schedule::Placed;
        schedule_remove(schedule::Remove) -> bool;
        schedule_fire(schedule::Fire) -> schedule::Fired;
        queue_push(queue::Push) -> queue::Pushed;
        queue_claim(queue::Claim) -> queue::Claimed;
        queue_finish(queue::Finish) -> queue::Finished;
        queue_recall(queue::Recall) -> queue::Recalled;
        queue_revive(queue::Revive) -> queue::Revived;
        queue_purge(queue::Purge) -> queue::Purged;
        queue_configure(queue::Configure) -> queue::Configured;
        sql_run(sql::Run) -> sql::Ran;
        lock_check(batch::Check) -> bool;
        batch_apply(batch::Batch) -> batch::Applied;
    }

    fn apply(&mut self, operation: &Operation) -> Result<Outcome> {
        let ground = self.shore.ground.clone();
        let mut state = ground.state();
        if self.failing == 0 && state.chance(1_000) {
            self.failing = 1 + state.random.below(2);
        }
        if self.failing > 0 {
            self.failing -= 1;
            state.failed(self.shore.life);
            state.figures.failed_operations += 1;
            let faults = self.shore.memory.faults();
            match state.random.below(3) {
                0 => faults.fail_apply(1, broken()),
                1 => faults.fail_apply_and_roll_back(1, full()),
                _ => faults.panic_in_apply(1),
            }
        }
        drop(state);
        if let Some(spoilt) = self.spoilt(operation) {
            return spoilt;
        }
        let outcome = self.with(|session| session.apply(operation))?;
        self.pending.push((operation.clone(), outcome.clone()));
        Ok(outcome)
    }
}

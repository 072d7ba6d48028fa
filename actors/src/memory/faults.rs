//! Faults on request: what a disk, a database or a scheduler may do to a writer, done when a test says so.
//!
//! Each knob is turned from outside and acts once (or as often as it says), on whichever session comes first.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// The knobs of one store; all clones are the same knobs.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

/// What has been asked for and has not happened yet.
#[derive(Debug, Default)]
struct Plan {
    apply: Option<(u32, OnApply)>,
    begin: Option<(u32, Error)>,
    commit: Option<(Error, bool)>,
    reopen: Option<(u32, Error)>,
    find: Option<OnFind>,
    gate: Option<Gate>,
}

/// What happens to an operation.
#[derive(Clone, Debug)]
pub(super) enum OnApply {
    /// It fails after its writes; they are there until somebody rolls back.
    Fail(Error),
    /// It fails and takes the transaction with it.
    FailAndRollBack(Error),
    /// It panics before its writes.
    Panic,
}

/// What happens to a look for an event by its id.
#[derive(Clone, Debug)]
enum OnFind {
    Fail(Error),
    Panic,
}

impl Faults {
    /// The `nth` operation from now (1 is the next) fails, its writes done: the transaction must be undone.
    pub fn fail_apply(&self, nth: u32, error: Error) {
        self.plan().apply = Some((nth, OnApply::Fail(error)));
    }

    /// As [`fail_apply`](Faults::fail_apply), and the transaction is rolled back by the database itself, as
    /// SQLite does on a full disk: `in_transaction` is `false` afterwards.
    pub fn fail_apply_and_roll_back(&self, nth: u32, error: Error) {
        self.plan().apply = Some((nth, OnApply::FailAndRollBack(error)));
    }

    /// The `nth` operation from now panics.
    pub fn panic_in_apply(&self, nth: u32) {
        self.plan().apply = Some((nth, OnApply::Panic));
    }

    /// The next `begin` fails; no transaction is open then.
    pub fn fail_begin(&self, error: Error) {
        self.fail_begins(1, error);
    }

    /// The next so many times `begin` fails.
    pub fn fail_begins(&self, times: u32, error: Error) {
        self.plan().begin = Some((times, error));
    }

    /// The next commit fails, having been `applied` or not. The session refuses everything until `reopen`.
    pub fn fail_commit(&self, error: Error, applied: bool) {
        self.plan().commit = Some((error, applied));
    }

    /// The next `times` calls of `reopen` fail.
    pub fn fail_reopen(&self, times: u32, error: Error) {
        self.plan().reopen = Some((times, error));
    }

    /// The next look for an event by its id fails.
    pub fn fail_find(&self, error: Error) {
        self.plan().find = Some(OnFind::Fail(error));
    }

    /// The next look for an event by its id panics.
    pub fn panic_in_find(&self) {
        self.plan().find = Some(OnFind::Panic);
    }

    /// Commits from now on stop before they take effect, until the gate is opened or dropped.
    #[must_use]
    pub fn hold_commits(&self) -> CommitGate {
        let gate = Gate::default();
        self.plan().gate = Some(gate.clone());
        CommitGate(gate)
    }

    /// Whether a thread of this name stands before the gate.
    #[must_use]
    pub fn holds(&self, thread: &str) -> bool {
        self.plan().gate.as_ref().is_some_and(|gate| gate.state().held.iter().any(|held| held == thread))
    }

    /// What is to happen to the operation that comes now.
    pub(super) fn on_apply(&self) -> Option<OnApply> {
        let mut plan = self.plan();
        let (left, _) = plan.apply.as_mut()?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        plan.apply.take().map(|(_, what)| what)
    }

    pub(super) fn on_begin(&self) -> Result<()> {
        let mut plan = self.plan();
        let Some((times, error)) = plan.begin.take() else { return Ok(()) };
        if times > 1 {
            plan.begin = Some((times - 1, error.clone()));
        }
        Err(error)
    }

    /// Waits at the gate, if there is one, and then tells whether and how the commit fails.
    pub(super) fn on_commit(&self) -> Option<(Error, bool)> {
        let gate = self.plan().gate.clone();
        if let Some(gate) = gate {
            gate.pass();
        }
        self.plan().commit.take()
    }

    pub(super) fn on_reopen(&self) -> Result<()> {
        let mut plan = self.plan();
        match &mut plan.reopen {
            Some((times, error)) if *times > 0 => {
                *times -= 1;
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }

    #[allow(clippy::panic, reason = "asked for by a test")]
    pub(super) fn on_find(&self) -> Result<()> {
        // Taken out first: a panic must not hold the knobs.
        let fault = self.plan().find.take();
        match fault {
            Some(OnFind::Fail(error)) => Err(error),
            Some(OnFind::Panic) => panic!("the reader was told to"),
            None => Ok(()),
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gate that holds commits back, in the hands of a test.
#[derive(Debug)]
pub struct CommitGate(Gate);

impl CommitGate {
    /// Waits until a commit stands before the gate.
    pub fn wait_until_held(&self) {
        let state = self.0.state();
        drop(self.0.0.changed.wait_while(state, |state| state.held.is_empty()));
    }

    /// Lets the commits through, those that wait and all later ones.
    pub fn open(&self) {
        self.0.state().open = true;
        self.0.0.changed.notify_all();
    }
}

impl Drop for CommitGate {
    fn drop(&mut self) {
        self.open();
    }
}

#[derive(Clone, Debug, Default)]
struct Gate(Arc<GateInner>);

#[derive(Debug, Default)]
struct GateInner {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    /// The names of the threads that stand before it.
    held: Vec<String>,
}

impl Gate {
    fn pass(&self) {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let mut state = self.state();
        state.held.push(thread.clone());
        self.0.changed.notify_all();
        drop(self.0.changed.wait_while(state, |state| !state.open));
        let held = &mut self.state().held;
        if let Some(at) = held.iter().position(|held| *held == thread) {
            held.swap_remove(at);
        }
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

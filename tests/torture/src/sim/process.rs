//! A simulated process: its actors, its workers, its callers, and how it is stopped and killed.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use millpond::Store;
use millpond_actors::memory::Memory;
use millpond_actors::storage::Identity;
use tokio::task::LocalSet;

use super::ground::Ground;
use super::seams::{Staff, Time, seams};
use super::storage::{Kin, Shore};
use crate::Result;

/// How long a call may take that waits for nobody.
pub(super) const CALL_TIMEOUT_MS: u64 = 5_000;

/// Wakes the simulation.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    rung: AtomicBool,
    sleeper: Mutex<Option<Waker>>,
}

impl Alarm {
    /// Whether anybody has been woken since the last time; if not, `waker` is told when somebody is.
    pub(super) fn has_rung(&self, waker: &Waker) -> bool {
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        self.rung.swap(false, SeqCst)
    }
}

/// Something that wants to go on.
#[derive(Debug)]
pub(super) struct Flag {
    up: AtomicBool,
    alarm: Arc<Alarm>,
}

impl Wake for Flag {
    fn wake(self: Arc<Flag>) {
        self.up.store(true, SeqCst);
        self.alarm.rung.store(true, SeqCst);
        let sleeper = self.alarm.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

/// A future, and whether it wants to be asked how far it is.
struct Task<F> {
    future: F,
    flag: Arc<Flag>,
    not_before_ms: u64,
}

impl<F: Future + Unpin> Task<F> {
    fn new(future: F, alarm: &Arc<Alarm>) -> Task<F> {
        let flag = Arc::new(Flag { up: AtomicBool::new(true), alarm: Arc::clone(alarm) });
        Task { future, flag, not_before_ms: 0 }
    }

    fn wants_at(&self) -> Option<u64> {
        self.flag.up.load(SeqCst).then_some(self.not_before_ms)
    }

    fn poll(&mut self) -> Poll<F::Output> {
        self.flag.up.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.flag));
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }
}

/// What a caller does, from the start of its process to its own end.
pub(super) type Caller = Pin<Box<dyn Future<Output = ()>>>;

/// What in a process may go on next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Its actors.
    Actors,
    /// A worker.
    Worker(usize),
    /// A caller.
    Caller(usize),
}

/// A process from its start to its end. Dropped, it is killed.
pub(super) struct Process {
    pub(super) life: u64,
    pub(super) store: Store,
    pub(super) kin: Kin,
    pub(super) stopped_until_ms: Option<u64>,
    actors: Task<LocalSet>,
    staff: Staff,
    callers: Vec<Option<Task<Caller>>>,
}

impl Drop for Process {
    /// Its presence goes first, and what was its memory last.
    fn drop(&mut self) {
        self.kin.kill();
        self.callers.clear();
        self.staff.dismiss();
    }
}

impl Process {
    /// Starts one.
    pub(super) fn start(
        life: u64,
        seed: u64,
        memory: &Memory,
        ground: &Ground,
        time: &Arc<Time>,
        alarm: &Arc<Alarm>,
    ) -> Result<Process> {
        let (staff, kin, actors) = (Staff::default(), Kin::default(), LocalSet::new());
        let shore = Shore { memory: memory.clone(), ground: ground.clone(), life, kin: kin.clone() };
        let (pid, host, program) = (life as u32, "sea".to_owned(), "sim".to_owned());
        let identity = Identity { pid, host, program, boot: "boot".to_owned() };
        let entered = actors.enter();
        let store = Store::builder()
            .call_timeout(std::time::Duration::from_millis(CALL_TIMEOUT_MS))
            .idle(std::time::Duration::from_secs(5))
            .seams(seams(time, &staff, seed))
            .open_here(Arc::new(shore), identity)?;
        drop(entered);
        let actors = Task::new(actors, alarm);
        Ok(Process { life, store, kin, stopped_until_ms: None, actors, staff, callers: Vec::new() })
    }

    /// One caller more.
    pub(super) fn add(&mut self, caller: Caller, alarm: &Arc<Alarm>) {
        self.callers.push(Some(Task::new(caller, alarm)));
    }

    /// What wants to go on, and when.
    pub(super) fn parts(&mut self, into: &mut Vec<(u64, Part)>) {
        into.extend(self.actors.wants_at().map(|at| (at, Part::Actors)));
        let mut employees = self.staff.employees();
        let workers = employees.iter_mut().enumerate();
        into.extend(workers.filter_map(|(at, worker)| Some((worker.wants_at()?, Part::Worker(at)))));
        let callers = self.callers.iter().enumerate();
        let wants = |(at, caller): (usize, &Option<Task<Caller>>)| {
            Some((caller.as_ref()?.wants_at()?, Part::Caller(at)))
        };
        into.extend(callers.filter_map(wants));
    }

    /// A part does not go on before.
    pub(super) fn put_off(&mut self, part: Part, until_ms: u64) {
        match part {
            Part::Actors => self.actors.not_before_ms = until_ms,
            Part::Worker(at) => {
                if let Some(employee) = self.staff.employees().get_mut(at) {
                    employee.not_before_ms = until_ms;
                }
            }
            Part::Caller(at) => {
                if let Some(Some(caller)) = self.callers.get_mut(at) {
                    caller.not_before_ms = until_ms;
                }
            }
        }
    }

    /// A part goes on.
    pub(super) fn go_on(&mut self, part: Part, now_ms: u64) {
        match part {
            Part::Actors => {
                let _ = self.actors.poll();
            }
            Part::Worker(at) => self.staff.work(at, now_ms),
            Part::Caller(at) => {
                if let Some(slot) = self.callers.get_mut(at)
                    && slot.as_mut().is_some_and(|caller| caller.poll().is_ready())
                {
                    *slot = None;
                }
            }
        }
    }

    /// Its store is closed, and its actors end.
    pub(super) fn end_actors(&mut self, alarm: &Arc<Alarm>) {
        self.actors = Task::new(LocalSet::new(), alarm);
    }

    /// Whether all of its callers have come to their end.
    pub(super) fn is_done(&self) -> bool {
        self.callers.iter().all(Option::is_none)
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("life", &self.life).finish_non_exhaustive()
    }
}

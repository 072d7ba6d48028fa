//! Time, ids and threads of a simulation: a clock that the simulation sets, ids from the seed, and no threads at all.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use millpond::{Error, Result};
use millpond_actors::clock::{Clock, Moment, Rng, Seams, Spawner};
use millpond_actors::worker::{Call, Rest, Worker};
use uuid::Uuid;

use crate::random::Random;

/// When the machine was started and what the clock on the wall says then.
pub(super) const BOOT_MS: u64 = 1_000_000;
const WALL_MS: i64 = 1_700_000_000_000;

/// A look at the clock takes so long, so that whoever waits by looking at it does not wait for ever.
const LOOK_US: u64 = 20;

/// The machine's clocks.
#[derive(Debug, Default)]
pub(super) struct Time {
    elapsed_ms: AtomicU64,
    looks_us: AtomicU64,
    wall_offset_ms: AtomicI64,
}

impl Time {
    /// So much has passed since the beginning.
    pub(super) fn set(&self, elapsed_ms: u64) {
        self.elapsed_ms.store(elapsed_ms, SeqCst);
        self.looks_us.fetch_max(elapsed_ms * 1_000, SeqCst);
    }

    /// Somebody sets the clock on the wall.
    pub(super) fn set_wall(&self, offset_ms: i64) {
        self.wall_offset_ms.store(offset_ms, SeqCst);
    }
}

impl Clock for Time {
    fn now(&self) -> Moment {
        let elapsed_ms = self.elapsed_ms.load(SeqCst);
        let wall_ms = WALL_MS + elapsed_ms.cast_signed() + self.wall_offset_ms.load(SeqCst);
        Moment { boot_ms: BOOT_MS + elapsed_ms, wall_ms }
    }

    fn monotonic_us(&self) -> u64 {
        self.looks_us.fetch_add(LOOK_US, SeqCst) + LOOK_US
    }
}

/// Ids from the seed.
#[derive(Debug)]
struct Ids(Mutex<Random>);

impl Rng for Ids {
    fn uuid(&self) -> Uuid {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::from_u64_pair(random.below(u64::MAX), random.below(u64::MAX))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.fill_with(|| random.below(256) as u8);
        Ok(())
    }
}

/// The workers of one process, whom the simulation lets work one piece after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Staff(Arc<Mutex<Vec<Employee>>>);

/// One of them.
pub(super) struct Employee {
    call: Call,
    called: bool,
    /// Away while it works.
    worker: Option<Box<dyn Worker>>,
    rest: Rest,
    since_ms: u64,
    /// It does not come to work before.
    pub(super) not_before_ms: u64,
}

impl std::fmt::Debug for Employee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Employee").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Employee {
    /// When it wants to work; `None`: not before it is called.
    pub(super) fn wants_at(&mut self) -> Option<u64> {
        self.called |= self.call.take();
        let at = match self.rest {
            Rest::End => return None,
            Rest::No => 0,
            _ if self.called => 0,
            Rest::UntilCalled => return None,
            Rest::For(time) => self.since_ms + whole_ms(time),
        };
        Some(at.max(self.not_before_ms))
    }
}

/// The clock of a simulation has nothing smaller.
fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl Staff {
    /// The workers.
    pub(super) fn employees(&self) -> MutexGuard<'_, Vec<Employee>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one of them do a piece of work. The list is free meanwhile.
    pub(super) fn work(&self, which: usize, now_ms: u64) {
        let taken = self.employees().get_mut(which).and_then(|employee| {
            let called = std::mem::take(&mut employee.called) || employee.call.take();
            Some((employee.worker.take()?, matches!(employee.rest, Rest::For(_)) && !called))
        });
        let Some((mut worker, rested)) = taken else { return };
        let rest = worker.work(rested);
        if let Some(employee) = self.employees().get_mut(which) {
            (employee.rest, employee.since_ms) = (rest, now_ms);
            // Whoever waits for a worker's end hears of it when the worker is gone.
            employee.worker = (rest != Rest::End).then_some(worker);
        }
    }

    /// They all stop in the middle of whatever they do.
    pub(super) fn dismiss(&self) {
        let all = std::mem::take(&mut *self.employees());
        drop(all);
    }
}

impl Spawner for Staff {
    fn spawn(&self, name: &str, _: Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>> {
        Err(Error::Storage { detail: format!("there is no thread for {name} in a simulation") })
    }

    fn employ(&self, _: &str, worker: Box<dyn Worker>, call: Call) -> Result<Option<JoinHandle<()>>> {
        let worker = Some(worker);
        let rest = Rest::No;
        let employee = Employee { call, called: false, worker, rest, since_ms: 0, not_before_ms: 0 };
        self.employees().push(employee);
        Ok(None)
    }

    fn has_threads(&self) -> bool {
        false
    }
}

/// The seams of one process.
pub(super) fn seams(time: &Arc<Time>, staff: &Staff, seed: u64) -> Seams {
    let clock = Arc::clone(time) as Arc<dyn Clock>;
    let rng = Arc::new(Ids(Mutex::new(Random::new(seed))));
    Seams { clock, rng, spawner: Arc::new(staff.clone()) }
}

//! The seams: time, randomness and threads come through here and nowhere else, so that tests can own them.

use std::fmt::Debug;
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use forkguard::atfork::Guard;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::worker::{self, Call, Worker};

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the machine started, counting sleep; leases use this one and no other.
    pub boot_ms: u64,
    /// Milliseconds since 1970 by the wall clock; information, never a decision.
    pub wall_ms: i64,
}

/// The source of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Both clocks, now.
    fn now(&self) -> Moment;

    /// The boot clock alone, where the other one is not wanted.
    fn boot_ms(&self) -> u64 {
        self.now().boot_ms
    }

    /// Microseconds of a clock that only goes forward, for measuring short waits. It goes forward by itself, also where the
    /// other clocks are moved by hand: whoever waits for a moment to be over looks again and again.
    fn monotonic_us(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Moment {
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Moment { boot_ms: self.boot_ms(), wall_ms: timespec_millis(wall) }
    }

    fn boot_ms(&self) -> u64 {
        static OFFSET_MS: OnceLock<i64> = OnceLock::new();
        let shown = timespec_millis(rustix::time::clock_gettime(rustix::time::ClockId::Boottime));
        shown.saturating_sub(*OFFSET_MS.get_or_init(boot_offset_ms)).max(0).unsigned_abs()
    }

    fn monotonic_us(&self) -> u64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        time.tv_sec
            .unsigned_abs()
            .saturating_mul(1_000_000)
            .saturating_add(time.tv_nsec.unsigned_abs() / 1_000)
    }
}

/// How far the boot clock of this process is ahead of the machine's: containers may have a time namespace of their own,
/// and leases are compared between them. 0 where there are no such namespaces.
fn boot_offset_ms() -> i64 {
    // The offsets that are shown are those of the children's namespace, which is mostly one's own.
    let namespace = |name| std::fs::read_link(format!("/proc/self/ns/{name}")).ok();
    if namespace("time") != namespace("time_for_children") {
        return 0;
    }
    std::fs::read_to_string("/proc/self/timens_offsets").map_or(0, |offsets| offset_in(&offsets))
}

/// The boot clock's line of `/proc/self/timens_offsets`: its name, seconds, nanoseconds.
fn offset_in(offsets: &str) -> i64 {
    let mut words = offsets.split_whitespace().skip_while(|word| *word != "boottime").skip(1);
    let mut number = || words.next().and_then(|word| word.parse::<i64>().ok()).unwrap_or(0);
    let (seconds, nanos) = (number(), number());
    seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

/// A duration in whole milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A `timespec` in milliseconds; before 1970 it is negative.
fn timespec_millis(time: rustix::time::Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

/// A clock that moves only when a test moves it.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub struct ManualClock {
    boot_ms: std::sync::atomic::AtomicU64,
    wall_ms: std::sync::atomic::AtomicI64,
    /// How often it was asked how long something takes.
    looks: std::sync::atomic::AtomicU64,
}

#[cfg(any(test, feature = "testing"))]
impl ManualClock {
    /// A clock that starts at some ordinary moment.
    #[must_use]
    pub fn new() -> Arc<ManualClock> {
        Arc::new(ManualClock {
            boot_ms: 1_000_000.into(),
            wall_ms: 1_700_000_000_000.into(),
            looks: 0.into(),
        })
    }

    /// Both clocks go on by `by`.
    pub fn advance(&self, by: Duration) {
        use std::sync::atomic::Ordering::SeqCst;
        let ms = millis(by);
        self.boot_ms.fetch_add(ms, SeqCst);
        self.wall_ms.fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), SeqCst);
    }

    /// The wall clock alone jumps, as when somebody sets it.
    pub fn set_wall(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(any(test, feature = "testing"))]
impl Clock for ManualClock {
    fn now(&self) -> Moment {
        use std::sync::atomic::Ordering::SeqCst;
        Moment { boot_ms: self.boot_ms.load(SeqCst), wall_ms: self.wall_ms.load(SeqCst) }
    }

    /// A look takes a microsecond: the writer looks until a moment is over, which it would never be.
    fn monotonic_us(&self) -> u64 {
        let looks = self.looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.now().boot_ms.saturating_mul(1_000).saturating_add(looks)
    }
}

/// The source of ids and of keys.
pub trait Rng: Debug + Send + Sync + 'static {
    /// A new id, unique for ever; ids made later sort later (UUID version 7).
    fn uuid(&self) -> Uuid;

    /// Bytes that nobody can guess, for keys.
    ///
    /// # Errors
    /// [`Error::Storage`] if the machine has none to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// Random ids and keys of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        let failed = |error| Error::Storage { detail: format!("no random bytes for a key: {error}") };
        getrandom::fill(bytes).map_err(failed)
    }
}

/// The source of threads.
pub trait Spawner: Debug + Send + Sync + 'static {
    /// Starts a named thread.
    ///
    /// # Errors
    /// [`Error::Storage`] if the machine has no thread left to give.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>>;

    /// Has a worker work until it has come to its end; `call` ends its rest. The thread that it was given, if any.
    ///
    /// # Errors
    /// As [`spawn`](Spawner::spawn).
    fn employ(&self, name: &str, mut worker: Box<dyn Worker>, call: Call) -> Result<Option<JoinHandle<()>>> {
        self.spawn(name, Box::new(move || worker::run(&mut *worker, &call))).map(Some)
    }

    /// Whether there are threads. Where there are none, whoever employs does the work himself.
    fn has_threads(&self) -> bool {
        true
    }

    /// The process that threads are started in. A fork has another one, and none of the threads.
    fn process_id(&self) -> u32 {
        std::process::id()
    }
}

/// Threads of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSpawner;

impl Spawner for SystemSpawner {
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|error| Error::Storage { detail: format!("cannot start thread {name}: {error}") })
    }

    /// Asked with every request, so libc tells of a fork, and the kernel is not asked each time who we are. A child that was made
    /// past libc, by the bare system call, is not told of.
    fn process_id(&self) -> u32 {
        static BEFORE: LazyLock<Option<(Guard, u32)>> =
            LazyLock::new(|| Guard::try_new().ok().map(|guard| (guard, std::process::id())));
        match &*BEFORE {
            Some((guard, id)) if !guard.clone().detected_fork() => *id,
            _ => std::process::id(),
        }
    }
}

/// All seams together, handed down from the builder.
#[derive(Clone, Debug)]
pub struct Seams {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub rng: Arc<dyn Rng>,
    /// Threads.
    pub spawner: Arc<dyn Spawner>,
}

impl Default for Seams {
    fn default() -> Seams {
        Seams { clock: Arc::new(SystemClock), rng: Arc::new(SystemRng), spawner: Arc::new(SystemSpawner) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_over_though_nobody_moves_the_clock() {
        let clock = ManualClock::new();
        let (now, began) = (clock.now(), clock.monotonic_us());
        let looks = std::iter::repeat_with(|| clock.monotonic_us()).take_while(|us| us - began < 100).count();
        assert!(looks < 100);
        assert_eq!(clock.now(), now);
    }

    #[test]
    fn g12_a_time_namespace_is_seen_through() {
        assert_eq!(offset_in("monotonic           0         0\nboottime      86400 500000000\n"), 86_400_500);
        assert_eq!(offset_in("monotonic 7 0\nboottime -3600 0\n"), -3_600_000);
        assert_eq!(offset_in(""), 0);
        assert_eq!(offset_in("boottime what is this"), 0);
    }
}

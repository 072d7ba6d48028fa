//! Benches of what happens between processes, and between those who wait. There is no floor to compare with, so each
//! has a bar of its own, in absolute figures.

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Event, Expected};

use super::crew::Worker;
use super::drive::failed;
use super::figures::{Figures, Kind, latency};
use super::worker::{LOCK, processor_time};
use crate::args::{BenchRole, BenchWorker};
use crate::failure::{Done, Failure};
use crate::time::{Stopwatch, pause, stamp_us};

/// How often it is looked whether somebody waits.
const TICK: Duration = Duration::from_millis(2);

/// How long a process may take to ask for the lock.
const PATIENCE: Duration = Duration::from_secs(20);

fn worker(role: BenchRole) -> BenchWorker {
    BenchWorker { role, seconds: 0.0, waiters: 0 }
}

/// Waits until somebody waits for the lock.
fn until_waited_for(store: &Store) -> Done<()> {
    let began = Stopwatch::start();
    while store.inspect().locks(None, 1)?.first().is_none_or(|line| line.waiting == 0) {
        if began.elapsed() > PATIENCE {
            return Err(Failure::Failed("nobody asks for the lock".into()));
        }
        pause(TICK);
    }
    Ok(())
}

/// A holder with a time to live of ten minutes is killed: until the next has the lock.
pub(super) fn takeover(file: &Path, rounds: usize) -> Done<Figures> {
    let store = Store::open(file)?;
    let mut micros = Vec::new();
    for round in 0..rounds as u64 {
        let mut holder = Worker::start(file, &worker(BenchRole::Hold))?;
        let [] = holder.hear("held")?;
        let took = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = store.lock(LOCK).acquire()?;
                let got = stamp_us();
                guard.release().map(|()| got)
            });
            let killed = until_waited_for(&store).and_then(|()| {
                // Anywhere between two of the looks that are taken every 150 ms.
                pause(Duration::from_millis(round * 37 % 150));
                let since = stamp_us();
                holder.kill().map(|()| since)
            });
            // A holder that lives on would let the waiter wait for ever.
            drop(holder);
            let got = waiter.join().map_err(|_| failed(&"a waiter panicked"))?;
            Ok::<_, Failure>(got?.saturating_sub(killed?))
        });
        micros.push(took?);
    }
    store.close()?;
    Ok(latency("takeover", micros, None, 250_000, 250_000))
}

/// So many processes write as fast as they can.
pub(super) fn greedy(file: &Path, processes: usize, seconds: f64) -> Done<Figures> {
    let work = BenchWorker { seconds, ..worker(BenchRole::Greedy) };
    let mut workers = Vec::new();
    for _ in 0..processes {
        let mut worker = Worker::start(file, &work)?;
        let [] = worker.hear("ready")?;
        workers.push(worker);
    }
    for worker in &mut workers {
        worker.tell("go")?;
    }
    let (mut counts, mut longest_wait_us) = (Vec::new(), 0);
    for worker in &mut workers {
        let [count, longest] = worker.hear("did")?;
        counts.push(count);
        longest_wait_us = longest_wait_us.max(longest);
    }
    workers.into_iter().try_for_each(Worker::finish)?;
    let (sum, least) = (counts.iter().sum::<u64>() as f64, counts.iter().min().copied().unwrap_or(0) as f64);
    let smallest_share = (least * counts.len() as f64 / sum * 1_000.0).round() / 1_000.0;
    let per_second = (sum / seconds).round() as u64;
    let reached = smallest_share >= 0.5 && longest_wait_us <= 1_000_000;
    let figures = Kind::Shares { per_second, smallest_share, longest_wait_us };
    Ok(Figures { workload: "greedy", size: processes as u64, figures, reached })
}

/// From the release in this process to the guard in another one.
pub(super) fn wake(file: &Path, rounds: usize) -> Done<Figures> {
    let store = Store::open(file)?;
    let mut waiter = Worker::start(file, &worker(BenchRole::Wait))?;
    let [] = waiter.hear("ready")?;
    let (mut micros, mut commits) = (Vec::new(), Vec::new());
    for round in 0..rounds as u64 {
        let commit = Stopwatch::start();
        store.events().append(
            "wake-1",
            Expected::Any,
            [Event::new("Placed", &super::sides::placed(round))?],
        )?;
        commits.push(commit.elapsed());
        let guard = store.lock(LOCK).acquire()?;
        waiter.tell("")?;
        until_waited_for(&store)?;
        // It must have gone to sleep.
        pause(Duration::from_millis(5 + round % 10));
        let since = stamp_us();
        guard.release()?;
        let [got] = waiter.hear("got")?;
        micros.push(got.saturating_sub(since));
    }
    waiter.finish()?;
    store.close()?;
    commits.sort_unstable();
    let commit_p50_us = commits.get(commits.len() / 2).map_or(0, |middle| middle.as_micros() as u64);
    Ok(latency("wake", micros, Some(commit_p50_us), 1_000, 10_000))
}

/// What a process costs that waits for a lock that another one keeps.
pub(super) fn idle(file: &Path, seconds: f64) -> Done<Figures> {
    let store = Store::open(file)?;
    let mut waiter = Worker::start(file, &worker(BenchRole::Wait))?;
    let [] = waiter.hear("ready")?;
    let guard = store.lock(LOCK).acquire()?;
    waiter.tell("")?;
    until_waited_for(&store)?;
    pause(Duration::from_secs(1));
    let (began, before) = (Stopwatch::start(), processor_time(waiter.pid())?);
    pause(Duration::from_secs_f64(seconds));
    let busy = processor_time(waiter.pid())?.saturating_sub(before) as f64;
    let cpu_percent = (busy / began.elapsed().as_nanos() as f64 * 100_000.0).round() / 1_000.0;
    guard.release()?;
    let [_] = waiter.hear("got")?;
    waiter.finish()?;
    store.close()?;
    let figures = Kind::Idle { seconds, cpu_percent };
    Ok(Figures { workload: "wake_idle", size: 1, figures, reached: cpu_percent <= 0.1 })
}

/// So many wait in one process for one lock, in a process of its own: memory that others left behind would be used
/// again. `flat` is the p50 at 100 waiters, which that at more must not be far from.
pub(super) fn handoff(file: &Path, waiters: usize, seconds: f64, flat: &mut Option<f64>) -> Done<Figures> {
    let work = BenchWorker { seconds, waiters: waiters as u64, ..worker(BenchRole::Handoff) };
    let mut worker = Worker::start(file, &work)?;
    let [p50, p99, handoffs, bytes] = worker.hear("handed")?;
    worker.finish()?;
    if waiters == 100 {
        *flat = Some(p50 as f64);
    }
    let bytes_a_waiter = bytes / (waiters as u64).max(1);
    let level = waiters < 100 || flat.is_none_or(|flat| p50 as f64 <= flat * 1.5);
    // With fewer of them what else the process needs is larger than they.
    let small = waiters < 10_000 || bytes_a_waiter <= 2_048;
    let figures = Kind::Handoff { p50_us: p50 / 1_000, p99_us: p99 / 1_000, handoffs, bytes_a_waiter };
    Ok(Figures { workload: "handoff", size: waiters as u64, figures, reached: level && small })
}

//! What a run comes to: how many a second, and how long one took.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::clock::{Stopwatch, pause};

/// Figures of one run; what a workload has none of is absent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Measured {
    /// How many were done a second.
    pub per_second: Option<f64>,
    /// How long half of them took at most, in microseconds.
    pub p50_us: Option<f64>,
    /// How long all but a hundredth of them took at most.
    pub p99_us: Option<f64>,
    /// How often each had to be tried again, on the average; that is part of how long it took.
    pub retries: Option<f64>,
}

impl Measured {
    /// Of how long each took.
    #[must_use]
    pub fn times(mut each: Vec<Duration>) -> Measured {
        each.sort_unstable();
        let at = |part: f64| {
            let index = (each.len().saturating_sub(1) as f64 * part) as usize;
            each.get(index).map(|time| (time.as_secs_f64() * 1e7).round() / 10.0)
        };
        Measured { p50_us: at(0.5), p99_us: at(0.99), ..Measured::default() }
    }

    /// Of how long all took together.
    #[must_use]
    pub fn rate(count: u64, elapsed: Duration) -> Measured {
        let per_second = (count as f64 / elapsed.as_secs_f64() * 10.0).round() / 10.0;
        Measured { per_second: Some(per_second), ..Measured::default() }
    }

    /// Of both.
    #[must_use]
    pub fn calls(each: Vec<Duration>, elapsed: Duration) -> Measured {
        let rate = Measured::rate(each.len() as u64, elapsed);
        Measured { per_second: rate.per_second, ..Measured::times(each) }
    }
}

/// What became of commands, the first of each caller too: how many were executed, and how often one was tried again.
#[derive(Debug, Default)]
pub struct Tally {
    done: AtomicU64,
    again: AtomicU64,
}

impl Tally {
    /// One was executed.
    pub fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// One was told of a conflict.
    pub fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds the retries to what was measured.
    ///
    /// # Errors
    /// If the aggregates have not exactly one event for each command that was executed.
    pub fn check(&self, measured: Measured, events: u64) -> Outcome<Measured> {
        let (done, again) = (self.done.load(Ordering::Relaxed), self.again.load(Ordering::Relaxed));
        if events != done {
            return Err(format!("{done} commands were executed, and there are {events} events").into());
        }
        Ok(Measured { retries: Some((again as f64 / done as f64 * 100.0).round() / 100.0), ..measured })
    }
}

/// A runtime as a user's program has it.
pub fn runtime() -> Outcome<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Has tasks call for a while, one call at a time each. The first call of each is not counted: what is only made once is
/// made with it.
pub fn drive_tasks<C, F>(runtime: &Runtime, callers: Vec<C>, seconds: f64) -> Outcome<Measured>
where
    C: FnMut() -> F + Send + 'static,
    F: Future<Output = Outcome<()>> + Send,
{
    let begin = Arc::new(tokio::sync::Barrier::new(callers.len() + 1));
    let over = Arc::new(AtomicBool::new(false));
    let call = |mut caller: C| {
        let (begin, over) = (Arc::clone(&begin), Arc::clone(&over));
        runtime.spawn(async move {
            let first = caller().await;
            begin.wait().await;
            first?;
            let mut each = Vec::with_capacity(1 << 12);
            while !over.load(Ordering::Relaxed) {
                let began = Stopwatch::start();
                caller().await?;
                each.push(began.elapsed());
            }
            Outcome::Ok(each)
        })
    };
    let tasks: Vec<_> = callers.into_iter().map(call).collect();
    runtime.block_on(begin.wait());
    let began = Stopwatch::start();
    pause(Duration::from_secs_f64(seconds));
    over.store(true, Ordering::Relaxed);
    let mut all = Vec::new();
    for task in tasks {
        all.extend(runtime.block_on(task)??);
    }
    // The last call of each ends a little after that, and was counted.
    Ok(Measured::calls(all, began.elapsed()))
}

/// The same with threads, for a crate whose calls block.
pub fn drive_threads<C>(callers: Vec<C>, seconds: f64) -> Outcome<Measured>
where
    C: FnMut() -> Outcome<()> + Send,
{
    let (begin, over) = (Barrier::new(callers.len() + 1), AtomicBool::new(false));
    let call = |mut caller: C| {
        let first = caller();
        begin.wait();
        first?;
        let mut each = Vec::with_capacity(1 << 12);
        while !over.load(Ordering::Relaxed) {
            let began = Stopwatch::start();
            caller()?;
            each.push(began.elapsed());
        }
        Outcome::Ok(each)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = callers.into_iter().map(|caller| scope.spawn(|| call(caller))).collect();
        begin.wait();
        let began = Stopwatch::start();
        pause(Duration::from_secs_f64(seconds));
        over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a caller panicked")??);
        }
        Ok(Measured::calls(all, began.elapsed()))
    })
}

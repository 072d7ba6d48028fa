//! Has callers call for a while, one call at a time each, and measures.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::time::{Stopwatch, pause};

/// What one run came to.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

impl Measured {
    fn of(mut nanos: Vec<u64>, elapsed: Duration) -> Measured {
        nanos.sort_unstable();
        let at = |part: f64| {
            let index = (nanos.len().saturating_sub(1) as f64 * part) as usize;
            nanos.get(index).map_or(f64::NAN, |nanos| *nanos as f64 / 1_000.0)
        };
        Measured { per_second: nanos.len() as f64 / elapsed.as_secs_f64(), p50_us: at(0.5), p99_us: at(0.99) }
    }
}

/// Runs a future on this thread, where all callers of the run live, for the floor and for ours alike.
pub(super) fn block_on<T>(future: impl Future<Output = millpond::Result<T>>) -> millpond::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(future))
}

/// Callers as tasks. The first call of each is not counted: names are made with it.
pub(super) async fn drive<C>(callers: Vec<C>, seconds: f64) -> millpond::Result<Measured>
where
    C: AsyncFnMut() -> millpond::Result<()> + 'static,
{
    let started = Rc::new(tokio::sync::Barrier::new(callers.len() + 1));
    let stop = Rc::new(Cell::new(false));
    let nanos = Rc::new(RefCell::new(Vec::with_capacity(1 << 20)));
    let tasks: Vec<tokio::task::JoinHandle<millpond::Result<()>>> = callers
        .into_iter()
        .map(|mut caller| {
            let (started, stop, nanos) = (Rc::clone(&started), Rc::clone(&stop), Rc::clone(&nanos));
            tokio::task::spawn_local(async move {
                let first = caller().await;
                started.wait().await;
                first?;
                loop {
                    let began = Stopwatch::start();
                    caller().await?;
                    if stop.get() {
                        return Ok(());
                    }
                    nanos.borrow_mut().push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
            })
        })
        .collect();
    started.wait().await;
    let began = Stopwatch::start();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    stop.set(true);
    let elapsed = began.elapsed();
    let nanos = std::mem::take(&mut *nanos.borrow_mut());
    for task in tasks {
        task.await.map_err(|error| failed(&error))??;
    }
    Ok(Measured::of(nanos, elapsed))
}

/// Callers as threads.
pub(super) fn drive_threads<C>(callers: Vec<C>, seconds: f64) -> millpond::Result<Measured>
where
    C: FnMut() -> millpond::Result<()> + Send,
{
    let started = Arc::new(std::sync::Barrier::new(callers.len() + 1));
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let threads: Vec<_> = callers
            .into_iter()
            .map(|mut caller| {
                let (started, stop) = (Arc::clone(&started), Arc::clone(&stop));
                scope.spawn(move || {
                    let first = caller();
                    started.wait();
                    first?;
                    let mut nanos = Vec::with_capacity(1 << 14);
                    loop {
                        let began = Stopwatch::start();
                        caller()?;
                        if stop.load(Ordering::Relaxed) {
                            return Ok(nanos);
                        }
                        nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    }
                })
            })
            .collect();
        started.wait();
        let began = Stopwatch::start();
        pause(Duration::from_secs_f64(seconds));
        stop.store(true, Ordering::Relaxed);
        let elapsed = began.elapsed();
        let mut all = Vec::new();
        for thread in threads {
            let nanos: millpond::Result<Vec<u64>> =
                thread.join().map_err(|_| failed(&"a caller panicked"))?;
            all.extend(nanos?);
        }
        Ok(Measured::of(all, elapsed))
    })
}

pub(super) fn failed(error: &dyn std::fmt::Display) -> millpond::Error {
    millpond::Error::Storage { detail: format!("bench: {error}") }
}

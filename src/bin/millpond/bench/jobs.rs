//! Benches of queues: pushing and working beside the floor; what a claim costs before a long backlog, how fast empty jobs
//! are drained, and how soon what was pushed is in the hands of who waits.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use millpond::blocking::Store as BlockingStore;
use millpond::{Push, Queue, Store, Task};

use super::drive::{Measured, block_on, drive, drive_threads, failed};
use super::figures::{Figures, Kind, beside_commits};
use super::floor::Floor;
use super::sides::{Placed, placed};
use crate::failure::Done;
use crate::time::Stopwatch;

/// The queue that all use.
const QUEUE: &str = "jobs";

/// Jobs that are pushed in one commit, where they are only there to be in the way.
const CHUNK: u64 = 1_000;

/// Between two pushes: whoever works has gone to sleep by then.
const PAUSE: Duration = Duration::from_millis(3);

pub(super) fn push(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let callers = (0..callers).map(|_| {
            let (queue, mut number) = (store.queue::<Placed>(QUEUE), 0);
            async move || {
                number += 1;
                queue.push(&placed(number)).await.map(drop)
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

pub(super) fn floor_push(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|_| {
            let (mut queue, mut number) = (floor.queue(QUEUE.into()), 0);
            async move || {
                number += 1;
                queue.push(&placed(number)).await.map(drop)
            }
        });
        drive(callers.collect(), seconds).await
    })
}

pub(super) fn push_blocking(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let store = BlockingStore::open(file)?;
    let callers = (0..callers).map(|_| {
        let (queue, mut number) = (store.queue::<Placed>(QUEUE), 0);
        move || {
            number += 1;
            queue.push(&placed(number)).map(drop)
        }
    });
    let measured = drive_threads(callers.collect(), seconds)?;
    store.close()?;
    Ok(measured)
}

pub(super) fn floor_push_blocking(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let floor = Floor::open(file)?;
    let callers = (0..callers).map(|_| {
        let (mut queue, mut number) = (floor.queue(QUEUE.into()), 0);
        move || {
            number += 1;
            queue.push_blocking(&placed(number))
        }
    });
    drive_threads(callers.collect(), seconds)
}

/// Each caller pushes a job to a queue of his own, claims it, and has done it.
pub(super) fn work(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let callers = (0..callers).map(|caller| {
            let (queue, mut number) = (store.queue::<Placed>(format!("jobs-{caller}")), 0);
            async move || {
                number += 1;
                queue.push(&placed(number)).await?;
                queue.pop().await?.done().await
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

/// A cycle of the floor is three of its commits.
pub(super) fn floor_work(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|caller| {
            let (mut queue, mut number) = (floor.queue(format!("jobs-{caller}")), 0);
            async move || {
                number += 1;
                queue.push(&placed(number)).await?;
                queue.work().await
            }
        });
        drive(callers.collect(), seconds).await
    })
}

async fn fill(queue: &Queue<Placed>, jobs: u64) -> millpond::Result<()> {
    for first in (0..jobs).step_by(CHUNK as usize) {
        queue.push_all((first..jobs.min(first + CHUNK)).map(|number| (placed(number), Push::new()))).await?;
    }
    Ok(())
}

/// What a lone caller takes to claim a job and have it done, half of the time, before so many others.
async fn claim(file: &Path, backlog: u64, rounds: usize) -> millpond::Result<u64> {
    let store = Store::open(file).await?;
    let queue = store.queue::<Placed>(QUEUE);
    fill(&queue, backlog + rounds as u64).await?;
    let mut nanos = Vec::new();
    for _ in 0..rounds {
        let began = Stopwatch::start();
        queue.pop().await?.done().await?;
        nanos.push(began.elapsed().as_nanos() as u64);
    }
    store.close().await?;
    nanos.sort_unstable();
    Ok(nanos.get(nanos.len() / 2).copied().unwrap_or(0))
}

/// A claim and its end before so many jobs, against the same before 100.
pub(super) fn backlog(folder: &Path, jobs: u64, rounds: usize) -> Done<Figures> {
    let file = |jobs: u64| folder.join(format!("backlog-{jobs}.db"));
    let (few, many) = block_on(async {
        Ok((claim(&file(100), 100, rounds).await?, claim(&file(jobs), jobs, rounds).await?))
    })?;
    let ratio = (many as f64 / few as f64 * 1_000.0).round() / 1_000.0;
    let figures = Kind::Backlog { few_us: few / 1_000, many_us: many / 1_000, ratio };
    Ok(Figures { workload: "backlog", size: jobs, figures, reached: ratio <= 1.2 })
}

/// So many workers take empty jobs until there are none; each waits for his `done`.
pub(super) fn drain(file: &Path, workers: usize, jobs: u64) -> Done<Figures> {
    let seconds = block_on(async {
        let store = Store::open(file).await?;
        let queue = store.queue::<Placed>(QUEUE);
        fill(&queue, jobs).await?;
        let began = Stopwatch::start();
        let workers = u32::try_from(workers).unwrap_or(u32::MAX);
        queue.worker().concurrency(workers).drain().run(async |_: Task<Placed>| ()).await?;
        let seconds = began.elapsed().as_secs_f64();
        store.close().await?;
        Ok(seconds)
    })?;
    let figures = Kind::Drain { per_second: (jobs as f64 / seconds) as u64 };
    Ok(Figures { workload: "drain", size: workers as u64, figures, reached: true })
}

/// From a push to the job in the hands of who waits for one, beside what a commit of the same rows takes: the job, and
/// whose it is.
pub(super) fn wake(folder: &Path, rounds: usize) -> Done<Figures> {
    let (micros, commits) = block_on(async {
        let floor = Floor::open(&folder.join("pop-floor.db"))?;
        let mut bare = floor.queue(QUEUE.into());
        let store = Store::open(folder.join("pop.db")).await?;
        let queue = store.queue::<Placed>(QUEUE);
        let since: Rc<Cell<Option<Stopwatch>>> = Rc::default();
        let micros = Rc::new(RefCell::new(Vec::new()));
        let worker = {
            let (queue, since, micros) = (queue.clone(), Rc::clone(&since), Rc::clone(&micros));
            tokio::task::spawn_local(async move {
                for _ in 0..rounds {
                    let job = queue.pop().await?;
                    let took = since.take().map_or(0, |since| since.elapsed().as_micros() as u64);
                    micros.borrow_mut().push(took);
                    job.done().await?;
                }
                Ok::<_, millpond::Error>(())
            })
        };
        let mut commits = Vec::new();
        for round in 0..rounds as u64 {
            // Both begin when everything sleeps: right behind the other's commit either would be slower.
            tokio::time::sleep(PAUSE).await;
            let commit = Stopwatch::start();
            bare.push_and_claim(&placed(round)).await?;
            commits.push(commit.elapsed().as_micros() as u64);
            tokio::time::sleep(PAUSE).await;
            since.set(Some(Stopwatch::start()));
            queue.push(&placed(round)).await?;
        }
        worker.await.map_err(|error| failed(&error))??;
        store.close().await?;
        Ok((micros.take(), commits))
    })?;
    Ok(beside_commits("push_to_pop", micros, commits, 80))
}

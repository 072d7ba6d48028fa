//! effectum's side: its queue and its worker on a runtime of two threads. It has no channels, and its durability cannot be
//! chosen.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use effectum::{Job, JobRunner, Queue, RunningJob, Worker};
use peers::clock::{BETWEEN, pause};
use peers::measure::{drive_tasks, runtime};
use peers::{Asked, CHUNK, Jobs, Measured, Outcome, QUEUE, Side, Stopwatch, payload};
use tokio::runtime::Runtime;

/// How often it is looked whether the workers have come to the end: a hundredth of what a short drain takes.
const LOOK: Duration = Duration::from_millis(1);

struct Effectum;

/// Where a job that has begun says so.
type Began = Arc<Mutex<Option<Sender<Stopwatch>>>>;

/// An empty job.
async fn empty(_: RunningJob, began: Began) -> Result<(), String> {
    let now = Stopwatch::start();
    if let Ok(began) = began.lock()
        && let Some(sender) = &*began
    {
        sender.send(now).map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn open(asked: &Asked) -> Outcome<Arc<Queue>> {
    Ok(Arc::new(Queue::new(&asked.file()).await?))
}

async fn add(queue: &Queue) -> Outcome<()> {
    Job::builder(QUEUE).payload(payload().into_bytes()).add_to(queue).await?;
    Ok(())
}

async fn fill(queue: &Queue, jobs: u64) -> Outcome<()> {
    for first in (0..jobs).step_by(CHUNK as usize) {
        let chunk = (first..jobs.min(first + CHUNK))
            .map(|_| Job::builder(QUEUE).payload(payload().into_bytes()).build());
        queue.add_jobs(chunk.collect()).await?;
    }
    Ok(())
}

/// Takes jobs, so many at a time, from now on.
fn work(runtime: &Runtime, queue: &Queue, at_once: u16, began: &Began) -> Outcome<Worker> {
    let runner = JobRunner::builder(QUEUE, empty).build();
    // It claims again when half of them have ended, and so several at once.
    let builder = Worker::builder(queue, Arc::clone(began)).jobs([runner]);
    let built = builder.max_concurrency(at_once).min_concurrency(at_once.div_ceil(2)).build();
    Ok(runtime.block_on(built)?)
}

fn close(runtime: &Runtime, queue: &Queue, worker: Option<Worker>) -> Outcome<()> {
    let patience = Duration::from_secs(30);
    if let Some(worker) = worker {
        runtime.block_on(worker.unregister(Some(patience)))?;
    }
    Ok(runtime.block_on(queue.close(patience))?)
}

/// Times between one and the next.
fn intervals(arrived: &Receiver<Stopwatch>, rounds: usize) -> Outcome<Vec<Duration>> {
    let mut each = Vec::new();
    let mut last = arrived.recv()?;
    for _ in 0..rounds {
        let next = arrived.recv()?;
        each.push(next.since(last));
        last = next;
    }
    Ok(each)
}

fn journal(file: &Path) -> Outcome<String> {
    let plain = rusqlite::Connection::open(file)?;
    Ok(plain.query_row("PRAGMA journal_mode", [], |row| row.get(0))?)
}

impl Side for Effectum {
    fn settings(&self, asked: &Asked) -> Outcome<String> {
        let runtime = runtime()?;
        // What it lets go of, it lets go of there.
        let _inside = runtime.enter();
        let queue = runtime.block_on(open(asked))?;
        runtime.block_on(add(&queue))?;
        let journal = journal(&asked.file())?.to_uppercase();
        close(&runtime, &queue, None)?;
        // It sets NORMAL itself. With a journal that is deleted, that still syncs each commit.
        Ok(format!("effectum 0.7.0, SQLite {}, {journal}, synchronous=NORMAL", rusqlite::version()))
    }

    fn jobs(&self) -> Option<&dyn Jobs> {
        Some(self)
    }
}

impl Jobs for Effectum {
    fn push(&self, asked: &Asked, callers: usize, seconds: f64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let queue = runtime.block_on(open(asked))?;
        let caller = |_| {
            let queue = Arc::clone(&queue);
            move || {
                let queue = Arc::clone(&queue);
                async move { add(&queue).await }
            }
        };
        let measured = drive_tasks(&runtime, (0..callers).map(caller).collect(), seconds)?;
        close(&runtime, &queue, None)?;
        Ok(measured)
    }

    fn drain(&self, asked: &Asked, workers: usize, jobs: u64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let queue = runtime.block_on(open(asked))?;
        runtime.block_on(fill(&queue, jobs))?;
        let began = Stopwatch::start();
        let worker = work(&runtime, &queue, u16::try_from(workers)?, &Began::default())?;
        while worker.counts().finished < jobs {
            pause(LOOK);
        }
        let measured = Measured::rate(jobs, began.elapsed());
        close(&runtime, &queue, Some(worker))?;
        Ok(measured)
    }

    /// A claim cannot be asked for: it is the time from the beginning of one job to that of the next, with one at a time.
    fn backlog(&self, asked: &Asked, jobs: u64, rounds: usize) -> Outcome<Measured> {
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let queue = runtime.block_on(open(asked))?;
        runtime.block_on(fill(&queue, jobs + rounds as u64))?;
        let (sender, arrived) = channel();
        let began: Began = Arc::new(Mutex::new(Some(sender)));
        let worker = work(&runtime, &queue, 1, &began)?;
        let each = intervals(&arrived, rounds)?;
        if let Ok(mut began) = began.lock() {
            *began = None;
        }
        close(&runtime, &queue, Some(worker))?;
        Ok(Measured::times(each))
    }

    fn push_to_pop(&self, asked: &Asked, rounds: usize) -> Outcome<Measured> {
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let queue = runtime.block_on(open(asked))?;
        let (sender, arrived) = channel();
        let worker = work(&runtime, &queue, 1, &Arc::new(Mutex::new(Some(sender))))?;
        let mut each = Vec::new();
        for _ in 0..rounds {
            pause(BETWEEN);
            let began = Stopwatch::start();
            runtime.block_on(add(&queue))?;
            each.push(arrived.recv()?.since(began));
        }
        close(&runtime, &queue, Some(worker))?;
        Ok(Measured::times(each))
    }

    fn publish_to_receive(&self, _: &Asked, _: usize) -> Outcome<Option<Measured>> {
        Ok(None)
    }
}

fn main() -> ExitCode {
    peers::run(&Effectum)
}

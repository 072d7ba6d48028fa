//! Workers, for threads that wait: the handlers have threads of their own.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::reply::{Reply, wait_until};
use millpond_actors::thread::{contain, is_ours};

use super::Queue;
use crate::stopper::Stopper;
use crate::worker::{Tally, Task, Verdict, came_to_nothing};

/// Runs a handler for each job of a queue, so many at a time, each on a thread of its own; see [`crate::Worker`].
///
/// # Examples
/// ```
/// use millpond::Task;
/// use millpond::blocking::Store;
///
/// let store = Store::memory()?;
/// let mail = store.queue::<String>("mail");
/// mail.push(&"Dear Ada".to_owned())?;
/// let worker = mail.worker().concurrency(2).drain();
/// // For a thread that hears signals: stopper.stop(Duration::from_secs(10))
/// let stopper = worker.stopper();
/// let tally = worker.run(|letter: Task<String>| if letter.is_empty() { Err("nothing to send") } else { Ok(()) })?;
/// assert_eq!(tally.done, 1);
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it does nothing unless it is run"]
pub struct Worker<T> {
    worker: crate::Worker<T>,
}

impl<T> Queue<T> {
    /// See [`crate::Queue::worker`].
    pub fn worker(&self) -> Worker<T> {
        Worker { worker: self.queue.worker() }
    }
}

impl<T> Worker<T> {
    /// See [`crate::Worker::concurrency`]. There are as many threads.
    pub fn concurrency(self, jobs: u32) -> Worker<T> {
        Worker { worker: self.worker.concurrency(jobs) }
    }

    /// See [`crate::Worker::rate`].
    pub fn rate(self, jobs: u32, period: Duration) -> Worker<T> {
        Worker { worker: self.worker.rate(jobs, period) }
    }

    /// See [`crate::Worker::drain`].
    pub fn drain(self) -> Worker<T> {
        Worker { worker: self.worker.drain() }
    }

    /// See [`crate::Worker::stopper`].
    pub fn stopper(&self) -> Stopper {
        self.worker.stopper()
    }
}

impl<T: DeserializeOwned + Send + 'static> Worker<T> {
    /// See [`crate::Worker::run`]. This thread claims and finishes; the handlers run on others.
    ///
    /// A thread cannot be broken off. When a worker is stopped and the grace is over, the jobs of those handlers that still
    /// run are given back and this returns; what they do after that, they do beside whoever has their jobs then, and what
    /// they return does not count. [`Task::is_stopping`] tells them in time.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`]; if there is no thread left to be had.
    pub fn run<H, V>(self, handler: H) -> Result<Tally>
    where
        H: Fn(Task<T>) -> V + Send + Sync + 'static,
        V: Into<Verdict>,
    {
        if is_ours() {
            return Err(Error::WouldDeadlock);
        }
        let (runtime, threads) = self.worker.checked()?;
        let runtime = Arc::clone(runtime);
        let handler = Arc::new(handler);
        let (hand_over, tasks) = crossbeam_channel::bounded::<(Task<T>, Reply<Verdict>)>(threads as usize);
        for _ in 0..threads {
            let (handler, tasks) = (Arc::clone(&handler), tasks.clone());
            let body = move || {
                for (task, reply) in tasks {
                    reply.answer(contain(|| "the handler of a job".into(), || handler(task).into()));
                }
            };
            runtime.seams().spawner.spawn("millpond-work", Box::new(body))?;
        }
        let hand_over = &hand_over;
        let mut run = std::pin::pin!(self.worker.run(async |task| {
            let (reply, answer) = Reply::future();
            // It never waits: there are no more of them than threads. Those end when nobody hands over any more.
            let _ = hand_over.send((task, reply));
            answer.await.unwrap_or_else(|error| came_to_nothing(&error, &runtime))
        }));
        wait_until(|context| run.as_mut().poll(context))
    }
}

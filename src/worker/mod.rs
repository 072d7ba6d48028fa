//! Workers: a handler that is run for each job of a queue, so many at a time.
//!
//! - `mod` how a worker is set up, run and stopped;
//! - `task` what a handler sees of a job, and what it may say about it;
//! - `crew` those who claim and work, and how they come to an end.
//!
//! A worker is a future that the user's executor drives, and no thread of its own. The blocking face drives the same
//! future on the calling thread and has threads for the handlers alone.

mod crew;
mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::runtime::Runtime;
use serde::de::DeserializeOwned;

use self::crew::Crew;
pub(crate) use self::crew::contained;
pub(crate) use self::task::came_to_nothing;
pub use self::task::{Task, Verdict};
use crate::queue::Queue;
use crate::stopper::Stopper;

/// Runs a handler for each job of a queue, so many at a time, in this process. Made by [`Queue::worker`].
///
/// - **What the handler returns decides**: `()` and `Ok` mean that the job is done, `Err` that it is tried again after a
///   while, with the error as the reason. A [`Verdict`] says more: when it is tried again, or that it is not.
/// - **A handler that panics** is an attempt that came to nothing, with the panic's words as the reason. The worker goes on,
///   and a job that always panics is among the dead letters after its last attempt. (Where the program is built with
///   `panic = "abort"` it is the process that dies, which comes to the same.)
/// - **A job that is no `T`** is a dead letter at once, with the reason: here nobody will ever be able to read it.
/// - **The lease needs no heartbeat.** It hangs on this process, which says by itself that it lives: a handler may take as
///   long as it takes, also one that keeps its thread busy. When the process dies, others get its jobs at once.
/// - **Several workers** of a queue, in one process or in many, share its jobs.
///
/// It runs as long as the future of [`run`](Worker::run) is polled, on any executor. All its handlers are polled by that one
/// future: one that computes or blocks for long holds up the others, and belongs into [`blocking::Worker`](crate::blocking::Worker) or a task
/// of its own.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// use millpond::{Push, Task, Verdict};
/// let store = millpond::Store::memory().await?;
/// let mail = store.queue::<String>("mail");
/// for letter in ["Dear Ada", "rubbish", "Dear Grace"] {
///     mail.push(&letter.to_owned()).await?;
/// }
/// let worker = mail.worker().concurrency(4).drain();
/// let tally = worker
///     .run(async |letter: Task<String>| match letter.strip_prefix("Dear ") {
///         Some(_) => Verdict::Done,
///         None => Verdict::Bury("it is no letter".into()),
///     })
///     .await?;
/// assert_eq!((tally.done, tally.dead), (2, 1));
/// # store.close().await
/// # }).unwrap();
/// ```
#[must_use = "it does nothing unless it is run"]
pub struct Worker<T> {
    queue: Queue<T>,
    concurrency: u32,
    rate: Option<(u32, Duration)>,
    drain: bool,
    stopper: Stopper,
}

impl<T> Queue<T> {
    /// A worker for the jobs of this queue, which claims with this handle's [lease](Queue::lease).
    pub fn worker(&self) -> Worker<T> {
        let stopper = Stopper::new(&self.runtime);
        Worker { queue: self.clone(), concurrency: 1, rate: None, drain: false, stopper }
    }
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Jobs that are done.
    pub done: u64,
    /// Attempts that came to nothing and are to be made again.
    pub retried: u64,
    /// Jobs that went to the dead letters: buried, after their last attempt, or because they could not be read.
    pub dead: u64,
    /// Jobs that were given back as if they had never been taken.
    pub released: u64,
    /// Jobs of which nothing could be said any more: somebody else has them, or the store could not be written to. These
    /// run again.
    pub lost: u64,
}

impl<T> Worker<T> {
    /// So many jobs at a time: 1 to 10,000; 1 unless set.
    pub fn concurrency(self, jobs: u32) -> Worker<T> {
        Worker { concurrency: jobs, ..self }
    }

    /// No more than so many jobs (1 to 10,000) begin within any period (1 ms to 365 days). Without limit unless set. It
    /// counts for this worker alone; what comes too early is left in the queue for others.
    pub fn rate(self, jobs: u32, period: Duration) -> Worker<T> {
        Worker { rate: Some((jobs, period)), ..self }
    }

    /// It ends as soon as nothing can be claimed and nothing is worked on. Jobs that wait for their time, or for another
    /// attempt, are left.
    pub fn drain(self) -> Worker<T> {
        Worker { drain: true, ..self }
    }

    /// How this worker is stopped, from wherever that is known.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// The runtime, and how many handlers there may be at a time, if everything is usable.
    pub(crate) fn checked(&self) -> Result<(&Arc<Runtime>, u32)> {
        check_jobs("jobs at a time", self.concurrency)?;
        if let Some((jobs, period)) = self.rate {
            check_jobs("jobs a period", jobs)?;
            let (min, max) = (Duration::from_millis(1), limits::DURATION_MAX);
            if period < min || period > max {
                return Err(Error::InvalidDuration {
                    what: "period of a worker's rate",
                    given: period,
                    min,
                    max,
                });
            }
        }
        Ok((&self.queue.runtime, self.concurrency))
    }
}

impl<T: DeserializeOwned> Worker<T> {
    /// Works until it is [stopped](Stopper::stop), or the queue is [drained](Worker::drain). Jobs are begun in the order of
    /// the queue; one whose handler ends first is finished first.
    ///
    /// If the future is dropped, nothing more is claimed, the handlers that run are dropped, and their jobs are given back,
    /// visible at once; these attempts do not count.
    ///
    /// What may pass - the store is busy or overloaded, the disk is full - is waited for: it tries again, at first after a
    /// quarter of a second and later every eight. Any other error ends it: nothing more is begun, what runs is let to its
    /// end, and then that error is returned.
    ///
    /// # Errors
    /// A bad name, lease, number or period; [`Error::Closed`] when the store is closed; [`Error::Poisoned`]; what the
    /// database said.
    pub async fn run<H, V>(self, handler: H) -> Result<Tally>
    where
        H: AsyncFn(Task<T>) -> V,
        V: Into<Verdict>,
    {
        self.checked()?;
        Crew::new(self).work(handler).await
    }
}

fn check_jobs(what: &str, jobs: u32) -> Result<()> {
    if (1..=limits::WORKER_JOBS).contains(&jobs) {
        return Ok(());
    }
    let reason = format!("it must lie between 1 and {}", limits::WORKER_JOBS);
    Err(Error::InvalidArgument { what: format!("{jobs} {what}"), reason })
}

impl<T> fmt::Debug for Worker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("queue", &self.queue)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

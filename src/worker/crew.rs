//! Those who claim and work: jobs are claimed for all hands that are free, handled, and said what came of them.
//!
//! All of it goes on at once, driven by one future. A hand is free as soon as its handler has ended, so what it is given
//! next is mostly claimed in the commit that writes what came of the job before.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::poll_fn;
use futures_util::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::observe::target;
use millpond_actors::queue::{Held, Wait};
use millpond_actors::reply::Answer;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::queue::{Finished, How};
use millpond_actors::thread::{Theirs, contain};

use super::{Tally, Task, Verdict, Worker, came_to_nothing};
use crate::job::how;
use crate::patience::{passes, pause};
use crate::queue::Queue;
use crate::stopper::{Stage, Stopper};

pub(super) struct Crew<T> {
    queue: Queue<T>,
    /// So many handlers at a time.
    size: usize,
    pace: Option<Pace>,
    stopper: Stopper,
    drains: bool,
}

/// How far it has come.
#[derive(Default)]
struct Standing {
    tally: Tally,
    /// So many jobs are being claimed.
    asked: usize,
    /// So many have come to their end here.
    ended: u64,
    /// A claim that was made when so many had ended has found nothing, where the queue is drained.
    nothing_at: Option<u64>,
    /// Claims that have failed in a row. The next one is made when this time is over.
    failures: u32,
    rest: Option<Answer<()>>,
    /// Why it ends.
    error: Option<Error>,
}

/// A claim that is back.
struct Claimed {
    asked: usize,
    /// How many jobs had ended when it was made.
    ended: u64,
    held: Result<Vec<Held>>,
}

/// What is to be counted.
type Tick = fn(&mut Tally);

impl<T> Crew<T> {
    pub(super) fn new(worker: Worker<T>) -> Crew<T> {
        let Worker { queue, concurrency, rate, drain: drains, stopper } = worker;
        let pace =
            rate.map(|(jobs, period)| Pace { starts: Arc::new(Semaphore::new(jobs as usize)), period });
        Crew { queue, size: concurrency as usize, pace, stopper, drains }
    }
}

impl<T: DeserializeOwned> Crew<T> {
    pub(super) async fn work<H, V>(&self, handler: H) -> Result<Tally>
    where
        H: AsyncFn(Task<T>) -> V,
        V: Into<Verdict>,
    {
        tracing::info!(target: target::WORKER, hands = self.size, "a worker begins");
        let mut now = Standing::default();
        let (mut claims, mut handlers, mut ends) =
            (FuturesUnordered::new(), FuturesUnordered::new(), FuturesUnordered::new());
        let mut keeping = pin!(self.keep_time());
        let mut stopped = pin!(self.stopper.reached(Stage::Ending));
        let mut is_stopped = false;
        let life = poll_fn(|context| {
            loop {
                is_stopped = is_stopped || stopped.as_mut().poll(context).is_ready();
                if is_stopped {
                    // Nothing new is begun: what has been claimed meanwhile is given back.
                    claims.clear();
                }
                while let Poll::Ready(Some(handled)) = handlers.poll_next_unpin(context) {
                    let (held, how): (Held, How) = handled;
                    ends.push(self.finish(held, how));
                }
                while let Poll::Ready(Some(ended)) = ends.poll_next_unpin(context) {
                    self.has_ended(&mut now, ended);
                }
                let mut begun = false;
                while let Poll::Ready(Some(claimed)) = claims.poll_next_unpin(context) {
                    for held in self.has_claimed(&mut now, claimed) {
                        begun = true;
                        handlers.push(self.handle(held, &handler));
                    }
                }
                if !is_stopped && let Some(most) = self.wanted(&mut now, handlers.len(), context) {
                    begun = true;
                    claims.push(self.claim(most, now.ended));
                }
                if !begun && is_stopped == self.stopper.is_stopping() {
                    break;
                }
            }
            let Poll::Pending = keeping.as_mut().poll(context);
            let is_over = claims.is_empty() && handlers.is_empty() && ends.is_empty();
            let has_nothing_to_do = is_stopped || now.nothing_at == Some(now.ended);
            if is_over && has_nothing_to_do { Poll::Ready(()) } else { Poll::Pending }
        });
        life.await;
        let (failed, Tally { done, retried, dead, released, lost, .. }) = (now.error.is_some(), now.tally);
        tracing::info!(target: target::WORKER, done, retried, dead, released, lost, failed, "a worker has ended");
        now.error.map_or(Ok(now.tally), Err)
    }

    /// For how many hands a job is to be claimed now; they count as asked for from now on.
    fn wanted(&self, now: &mut Standing, busy: usize, context: &mut Context<'_>) -> Option<usize> {
        if let Some(rest) = &mut now.rest {
            if Pin::new(rest).poll(context).is_pending() {
                return None;
            }
            now.rest = None;
        }
        let free = self.size.saturating_sub(busy + now.asked);
        if free == 0 || now.nothing_at == Some(now.ended) {
            return None;
        }
        now.asked += free;
        Some(free)
    }

    /// Claims, as soon as that many, or fewer, may begin.
    async fn claim(&self, asked: usize, ended: u64) -> Claimed {
        Claimed { asked, ended, held: self.claim_in_time(asked).await }
    }

    async fn claim_in_time(&self, asked: usize) -> Result<Vec<Held>> {
        // Where the queue is drained nobody waits for a job to come.
        let wait = if self.drains { Wait::No } else { Wait::Forever };
        let claim = |most: usize| self.queue.claim(wait, u32::try_from(most).unwrap_or(u32::MAX));
        let Some(pace) = &self.pace else { return claim(asked).await };
        let closed = |_| Error::Closed;
        let mut starts = pace.starts.acquire().await.map_err(closed)?;
        while starts.num_permits() < asked
            && let Ok(more) = pace.starts.try_acquire()
        {
            starts.merge(more);
        }
        let held = claim(starts.num_permits()).await?;
        // The others may begin something else.
        if let Some(used) = starts.split(held.len()).filter(|used| used.num_permits() > 0) {
            let (starts, count) = (Arc::clone(&pace.starts), used.num_permits());
            used.forget();
            self.queue.runtime.later(pace.period, move || starts.add_permits(count));
        }
        Ok(held)
    }

    /// Takes in what a claim has brought: the jobs that begin.
    fn has_claimed(&self, now: &mut Standing, claimed: Claimed) -> Vec<Held> {
        let Claimed { asked, ended, held } = claimed;
        now.asked -= asked;
        match held {
            Ok(held) => {
                now.failures = 0;
                if held.is_empty() {
                    now.nothing_at = Some(ended);
                }
                return held;
            }
            Err(error) if passes(&error) => {
                now.failures = now.failures.saturating_add(1);
                now.rest = Some(self.queue.runtime.timer(pause(now.failures)));
            }
            Err(error) => self.fail(now, error),
        }
        Vec::new()
    }

    /// What became of a job was written.
    fn has_ended(&self, now: &mut Standing, ended: Result<Tick>) {
        now.ended += 1;
        match ended {
            Ok(tick) => tick(&mut now.tally),
            Err(error) => self.fail(now, error),
        }
    }

    /// Nothing more is begun.
    fn fail(&self, now: &mut Standing, error: Error) {
        self.stopper.reach(Stage::Ending);
        now.error.get_or_insert(error);
    }

    /// Keeps the time of the queue's schedules, also while all of them work.
    async fn keep_time(&self) -> Infallible {
        loop {
            match self.queue.keep_schedules().await {
                Err(error) if passes(&error) => {
                    let _ = self.queue.runtime.timer(limits::TRY_AGAIN).await;
                }
                // The others are told so too.
                _ => pending().await,
            }
        }
    }

    /// Has a job handled. It is not [`taken`](Held::taken) yet: if this is dropped, it is given back.
    async fn handle<H, V>(&self, held: Held, handler: &H) -> (Held, How)
    where
        H: AsyncFn(Task<T>) -> V,
        V: Into<Verdict>,
    {
        let how = match self.queue.decode(held.job()) {
            Ok(value) => {
                let task = Task::new(value, &held, self.stopper.clone());
                let runtime = &self.queue.runtime;
                let (meter, clock) = (&runtime.stats().meter, &*runtime.seams().clock);
                let began_us = meter.now_us(clock);
                let handled = contained(async { handler(task).await.into() }, runtime);
                let verdict = self.stopper.unless(Stage::Over, handled).await.unwrap_or(Verdict::Release);
                meter.handled(meter.now_us(clock).saturating_sub(began_us));
                verdict.how(runtime, held.job().attempts)
            }
            Err(error) => how::bury(&error.to_string()),
        };
        (held, how)
    }

    /// Says what came of a job.
    async fn finish(&self, held: Held, how: How) -> Result<Tick> {
        let (held, given_back) = (held.taken(), how == How::GiveBack);
        let runtime = &self.queue.runtime;
        let finished = runtime.enter_and(|reply, passage| held.finish(how, reply, passage)).await;
        let tick: Tick = match finished {
            Ok(Finished::Done) => |tally| tally.done += 1,
            Ok(Finished::Dead) => |tally| tally.dead += 1,
            Ok(Finished::Again) if given_back => |tally| tally.released += 1,
            Ok(Finished::Again) => |tally| tally.retried += 1,
            Ok(Finished::Stale) | Err(Error::StaleClaim { .. }) => |tally| tally.lost += 1,
            // The store makes it visible again as soon as it can.
            Err(error) if passes(&error) => |tally| tally.lost += 1,
            Err(error) => return Err(error),
        };
        Ok(tick)
    }
}

/// How fast jobs may begin: a start that was used comes back a period later.
struct Pace {
    starts: Arc<Semaphore>,
    period: Duration,
}

/// A handler, whatever it does: that is the user's code, which may panic, also when what is left of it is dropped.
pub(crate) async fn contained(handled: impl Future<Output = Verdict>, runtime: &Runtime) -> Verdict {
    let mut handled = Theirs::new(Box::pin(handled));
    let verdict = poll_fn(|context| {
        let polled = contain(|| "the handler of a job".into(), || handled.as_mut().poll(context));
        polled.unwrap_or_else(|error| Poll::Ready(came_to_nothing(&error, runtime)))
    });
    verdict.await
}

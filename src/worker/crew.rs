//! Those who claim and work: each takes a job, has it handled, says what came of it, and takes the next one.
//!
//! They share what has to be known of one another: how fast they may begin, when they are to stop, and, where the queue is
//! to be drained, whether any of them still has something to do.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, poll_fn, select};
use futures_util::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::queue::{Held, Wait};
use millpond_actors::storage::queue::{Finished, How};
use millpond_actors::thread::{Theirs, contain};

use super::{Stage, Stopper, Tally, Task, Verdict, Worker, came_to_nothing};
use crate::job::how;
use crate::queue::Queue;

pub(super) struct Crew<T> {
    queue: Queue<T>,
    size: u32,
    pace: Option<Pace>,
    stopper: Stopper,
    /// Where the queue is drained.
    bustle: Option<watch::Sender<Bustle>>,
    tally: Mutex<Tally>,
}

impl<T> Crew<T> {
    pub(super) fn new(worker: Worker<T>) -> Crew<T> {
        let Worker { queue, concurrency: size, rate, drain, stopper } = worker;
        let pace =
            rate.map(|(jobs, period)| Pace { starts: Arc::new(Semaphore::new(jobs as usize)), period });
        let bustle = drain.then(|| watch::Sender::new(Bustle { busy: size, ended: 0 }));
        Crew { queue, size, pace, stopper, bustle, tally: Mutex::default() }
    }

    fn count(&self, tick: impl FnOnce(&mut Tally)) {
        tick(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What comes of it, unless the worker is told to stop before.
    async fn unless_stopped<F: Future>(&self, future: F) -> Option<F::Output> {
        // That it is told counts more than what there is: then nothing new is begun.
        match select(pin!(self.stopper.reached(Stage::Ending)), pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }
}

impl<T: DeserializeOwned> Crew<T> {
    pub(super) async fn work<H, V>(&self, handler: H) -> Result<Tally>
    where
        H: AsyncFn(Task<T>) -> V,
        V: Into<Verdict>,
    {
        let mut crew: FuturesUnordered<_> = (0..self.size).map(|_| self.one(&handler)).collect();
        let mut error = None;
        let mut keeping = pin!(self.keep_time());
        while let Either::Left((Some(ended), _)) = select(crew.next(), &mut keeping).await {
            if let Err(failure) = ended {
                // The others begin nothing more either.
                self.stopper.reach(Stage::Ending);
                error.get_or_insert(failure);
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(*self.tally.lock().unwrap_or_else(PoisonError::into_inner)),
        }
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

    /// The life of one of them.
    async fn one<H, V>(&self, handler: &H) -> Result<()>
    where
        H: AsyncFn(Task<T>) -> V,
        V: Into<Verdict>,
    {
        let (mut failures, mut ahead) = (0, None);
        loop {
            let found = match ahead.take().filter(|_| !self.stopper.is_stopping()) {
                Some(held) => Some(Ok(Some(held))),
                None => self.unless_stopped(self.next()).await,
            };
            match found {
                // It is told to stop, or there is nothing more.
                None | Some(Ok(None)) => return Ok(()),
                Some(Ok(Some(held))) => {
                    failures = 0;
                    let how = self.handle(&held, handler).await;
                    ahead = self.finish_and_claim(held.taken(), how).await?;
                }
                Some(Err(error)) if passes(&error) => {
                    failures += 1;
                    let pause = self.queue.runtime.timer(pause(failures));
                    let _ = self.unless_stopped(pause).await;
                }
                Some(Err(error)) => return Err(error),
            }
        }
    }

    /// A job, as soon as one may begin; `None` if the queue is drained.
    async fn next(&self) -> Result<Option<Held>> {
        loop {
            let ended = self.bustle.as_ref().map(|bustle| bustle.borrow().ended);
            let held = self.claim().await?;
            if held.is_some() || !self.others_bring_more(ended).await {
                return Ok(held);
            }
        }
    }

    /// A job, as soon as one may begin. Where the queue is drained it does not wait for one to come.
    async fn claim(&self) -> Result<Option<Held>> {
        let start = match &self.pace {
            Some(pace) => Some((pace, pace.starts.acquire().await.map_err(|_| Error::Closed)?)),
            None => None,
        };
        let wait = if self.bustle.is_some() { Wait::No } else { Wait::Forever };
        let held = self.queue.claim(wait).await?;
        if let (Some(_), Some((pace, start))) = (&held, start) {
            start.forget();
            let starts = Arc::clone(&pace.starts);
            self.queue.runtime.later(pace.period, move || starts.add_permits(1));
        }
        Ok(held)
    }

    /// One has found nothing, when so many jobs had ended. Whether it is worth to look again, because another one has ended
    /// since, which may have pushed something; if not, nobody has anything to do any more, and that stays so.
    async fn others_bring_more(&self, ended: Option<u64>) -> bool {
        let (Some(bustle), Some(ended)) = (&self.bustle, ended) else { return false };
        bustle.send_modify(|now| now.busy -= 1);
        let mut watching = bustle.subscribe();
        // It cannot fail: the sender is here. Whoever comes here last has looked after all that the others did.
        let _ = watching.wait_for(|now| now.busy == 0 || now.ended != ended).await;
        bustle.send_if_modified(|now| {
            let others = now.busy > 0;
            now.busy += u32::from(others);
            others
        })
    }

    /// Has a job handled. It is not [`taken`](Held::taken) yet: if this is dropped, it is given back.
    async fn handle<H, V>(&self, held: &Held, handler: &H) -> How
    where
        H: AsyncFn(Task<T>) -> V,
        V: Into<Verdict>,
    {
        match self.queue.decode(held.job()) {
            Ok(value) => {
                let task = Task::new(value, held, self.stopper.clone());
                let handled = contained(async { handler(task).await.into() });
                let over = self.stopper.reached(Stage::Over);
                let verdict = first(handled, over).await.unwrap_or(Verdict::Release);
                verdict.how(&self.queue.runtime, held.job().attempts)
            }
            Err(error) => how::bury(&error.to_string()),
        }
    }

    /// Says what came of a job, and claims the next one meanwhile: both may be in one commit. What has been claimed is
    /// begun with only after the end of the one before has been written.
    async fn finish_and_claim(&self, held: Held, how: How) -> Result<Option<Held>> {
        let (finish, claim) = (pin!(self.finish(held, how)), pin!(self.unless_stopped(self.claim())));
        let claimed = match select(finish, claim).await {
            Either::Left((finished, claim)) => {
                finished?;
                claim.await
            }
            Either::Right((claimed, finish)) => {
                finish.await?;
                claimed
            }
        };
        // An error comes again when the next one is asked for.
        Ok(claimed.and_then(Result::ok).flatten())
    }

    async fn finish(&self, held: Held, how: How) -> Result<()> {
        let given_back = how == How::GiveBack;
        let runtime = &self.queue.runtime;
        match runtime.enter_and(|reply, passage| held.finish(how, reply, passage)).await {
            Ok(Finished::Done) => self.count(|tally| tally.done += 1),
            Ok(Finished::Dead) => self.count(|tally| tally.dead += 1),
            Ok(Finished::Again) if given_back => self.count(|tally| tally.released += 1),
            Ok(Finished::Again) => self.count(|tally| tally.retried += 1),
            Ok(Finished::Stale) | Err(Error::StaleClaim { .. }) => self.count(|tally| tally.lost += 1),
            // The store makes it visible again as soon as it can.
            Err(error) if passes(&error) => self.count(|tally| tally.lost += 1),
            Err(error) => return Err(error),
        }
        if let Some(bustle) = &self.bustle {
            bustle.send_modify(|now| now.ended += 1);
        }
        Ok(())
    }
}

/// What the others are about.
#[derive(Debug)]
struct Bustle {
    /// How many of them work, or look whether there is work.
    busy: u32,
    /// How many jobs have come to their end here.
    ended: u64,
}

/// How fast jobs may begin: a start that was used comes back a period later.
struct Pace {
    starts: Arc<Semaphore>,
    period: Duration,
}

/// What comes of the first, unless the second comes before it.
async fn first<F: Future>(one: F, other: impl Future) -> Option<F::Output> {
    match select(pin!(one), pin!(other)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// A handler, whatever it does: that is the user's code, which may panic, also when what is left of it is dropped.
async fn contained(handled: impl Future<Output = Verdict>) -> Verdict {
    let mut handled = Theirs::new(Box::pin(handled));
    let verdict = poll_fn(|context| {
        let polled = contain(|| "the handler of a job".into(), || handled.as_mut().poll(context));
        polled.unwrap_or_else(|error| Poll::Ready(came_to_nothing(&error)))
    });
    verdict.await
}

/// Whether it is worth to try again what failed so. A claim of unknown fate is given back by the store.
fn passes(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::CommitUnknown { .. })
}

/// How long to wait after so many failures.
fn pause(failures: u32) -> Duration {
    limits::TRY_AGAIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limits::WORKER_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_what_may_pass_is_tried_again_more_and_more_seldom() {
        let pauses = [1, 2, 3, 6, 7, u32::MAX].map(|failures| pause(failures).as_millis());
        assert_eq!(pauses, [250, 500, 1_000, 8_000, 8_000, 8_000]);
        assert!(passes(&Error::CommitUnknown { detail: "x".into() }));
        assert!(!passes(&Error::Closed));
    }
}

//! What a worker's handler sees of a job, and what it may say about it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::Error;
use millpond_actors::observe::target;
use millpond_actors::queue::Held;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::queue::{How, Job as Record};

use crate::job::how;
use crate::stopper::{Stage, Stopper};

/// A job in the hands of a worker's handler. It is what was pushed, by [`Deref`]. What becomes of it, the handler says by
/// what it returns.
pub struct Task<T> {
    value: T,
    record: Arc<Record>,
    queue: Box<str>,
    token: u64,
    stopper: Stopper,
}

impl<T> Task<T> {
    pub(super) fn new(value: T, held: &Held, stopper: Stopper) -> Task<T> {
        let (record, queue) = (Arc::clone(held.job()), held.queue().as_str().into());
        Task { value, record, queue, token: held.token(), stopper }
    }

    /// What was pushed.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Its number in the queue.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.record.sequence
    }

    /// Which attempt this is, from 1 on.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.record.attempts
    }

    /// How many there are at most.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.record.max_attempts
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.record.key.as_deref()
    }

    /// Why the attempt before came to nothing.
    #[must_use]
    pub fn last_reason(&self) -> Option<&str> {
        self.record.reason.as_deref()
    }

    /// Everything that is known of it.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The queue's name.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// The token of this claim; see [`Job::token`](crate::Job::token).
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Whether the worker was told to stop: a handler that takes long may end early, and return [`Verdict::Release`].
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopper.is_stopping()
    }

    /// Comes when the worker is told to stop.
    pub async fn stopping(&self) {
        self.stopper.reached(Stage::Ending).await;
    }
}

impl<T> Deref for Task<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Task<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("queue", &self.queue)
            .field("sequence", &self.sequence())
            .field("attempt", &self.attempt())
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// What becomes of a job, as its handler says. Of a reason 4,096 bytes are kept.
///
/// `()` and `Ok(())` are [`Done`](Verdict::Done); any `Err` is [`Retry`](Verdict::Retry) with the error's words. A
/// handler that uses `?` and has more to say returns `Result<Verdict, E>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done, and never run again.
    Done,
    /// The attempt came to nothing, for this reason. It is tried again after a while, as [`Job::retry`](crate::Job::retry)
    /// says, or is a dead letter if this was its last attempt.
    Retry(String),
    /// The same, but it is tried again after this time, at most 365 days.
    RetryIn(Duration, String),
    /// It goes to the dead letters, whatever attempts it has left.
    Bury(String),
    /// It is given back as if it had never been taken: visible at once, and the attempt does not count.
    Release,
}

impl Verdict {
    /// The same in the words of the store.
    pub(super) fn how(self, runtime: &Runtime, attempts: u32) -> How {
        match self {
            Verdict::Done => How::Done,
            Verdict::Retry(reason) => how::retry(runtime, attempts, &reason),
            Verdict::RetryIn(delay, reason) => how::retry_in(delay, &reason),
            Verdict::Bury(reason) => how::bury(&reason),
            Verdict::Release => How::GiveBack,
        }
    }
}

impl From<()> for Verdict {
    fn from((): ()) -> Verdict {
        Verdict::Done
    }
}

impl<E: fmt::Display> From<Result<(), E>> for Verdict {
    fn from(result: Result<(), E>) -> Verdict {
        result.map(|()| Verdict::Done).into()
    }
}

impl<E: fmt::Display> From<Result<Verdict, E>> for Verdict {
    fn from(result: Result<Verdict, E>) -> Verdict {
        result.unwrap_or_else(|error| Verdict::Retry(error.to_string()))
    }
}

/// What a handler that was broken off by this says about its job.
pub(crate) fn came_to_nothing(error: &Error, runtime: &Runtime) -> Verdict {
    Verdict::Retry(match error {
        Error::Panicked { message, .. } => {
            runtime.stats().meter.handler_panicked();
            // What it has said may tell of the job: that is written beside the job, and nowhere else.
            tracing::warn!(target: target::WORKER, "the handler of a job panicked");
            format!("its handler panicked: {message}")
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_returns_is_a_verdict() {
        let verdict = |from: Result<Verdict, &str>| Verdict::from(from);
        assert_eq!(Verdict::from(()), Verdict::Done);
        assert_eq!(Verdict::from(Ok::<(), &str>(())), Verdict::Done);
        assert_eq!(Verdict::from(Err::<(), _>("no luck")), Verdict::Retry("no luck".into()));
        assert_eq!(verdict(Ok(Verdict::Release)), Verdict::Release);
        assert_eq!(verdict(Err("no luck")), Verdict::Retry("no luck".into()));
    }
}

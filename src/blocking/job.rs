//! Jobs, for threads that wait.

use std::ops::Deref;
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::storage::queue::{How, Job as Record};

use uuid::Uuid;

use super::Batch;
use crate::Origin;
use crate::job::how;

/// A job that is being worked on; see [`crate::Job`].
#[derive(Debug)]
#[must_use = "dropped without a word it is an attempt that came to nothing"]
pub struct Job<T> {
    pub(super) job: crate::Job<T>,
}

impl<T> Job<T> {
    /// See [`crate::Job::sequence`].
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.job.sequence()
    }

    /// See [`crate::Job::attempt`].
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.attempt()
    }

    /// See [`crate::Job::max_attempts`].
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.job.max_attempts()
    }

    /// See [`crate::Job::priority`].
    #[must_use]
    pub fn priority(&self) -> i64 {
        self.job.priority()
    }

    /// See [`crate::Job::key`].
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.job.key()
    }

    /// See [`crate::Job::last_reason`].
    #[must_use]
    pub fn last_reason(&self) -> Option<&str> {
        self.job.last_reason()
    }

    /// See [`crate::Job::correlation`].
    #[must_use]
    pub fn correlation(&self) -> Option<Uuid> {
        self.job.correlation()
    }

    /// See [`crate::Job::causation`].
    #[must_use]
    pub fn causation(&self) -> Option<Uuid> {
        self.job.causation()
    }

    /// See [`crate::Job::actor`].
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.job.actor()
    }

    /// See [`crate::Job::tenant`].
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.job.tenant()
    }

    /// See [`crate::Job::record`].
    #[must_use]
    pub fn record(&self) -> &Record {
        self.job.record()
    }

    /// See [`crate::Job::queue`].
    #[must_use]
    pub fn queue(&self) -> &str {
        self.job.queue()
    }

    /// See [`crate::Job::token`].
    #[must_use]
    pub fn token(&self) -> u64 {
        self.job.token()
    }

    /// See [`crate::Job::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.job.remaining()
    }

    /// See [`crate::Job::done`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn done(self) -> Result<()> {
        self.job.finish_blocking(How::Done)
    }

    /// See [`crate::Job::done_in`].
    ///
    /// # Errors
    /// As there.
    pub fn done_in(self, batch: &mut Batch) -> Result<()> {
        self.job.done_in(&mut batch.batch)
    }

    /// See [`crate::Job::retry`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn retry(self, reason: impl AsRef<str>) -> Result<()> {
        self.job.retry_blocking(reason.as_ref())
    }

    /// See [`crate::Job::retry_in`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn retry_in(self, delay: Duration) -> Result<()> {
        self.job.finish_blocking(how::retry_in(delay, how::AGAIN))
    }

    /// See [`crate::Job::bury`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn bury(self, reason: impl AsRef<str>) -> Result<()> {
        self.job.finish_blocking(how::bury(reason.as_ref()))
    }

    /// See [`crate::Job::release`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn release(self) -> Result<()> {
        self.job.finish_blocking(How::GiveBack)
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.job
    }
}

impl<T> From<&Job<T>> for Origin {
    fn from(job: &Job<T>) -> Origin {
        Origin::from(&job.job)
    }
}

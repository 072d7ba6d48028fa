//! Queues of jobs, for threads that wait.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::queue::{Wait, Write};
use millpond_actors::storage::queue::{Job as Record, Numbers, Page, State, What, Which};

use super::Job;
use crate::job::{Push, check_attempts};
use crate::queue::{Change, Pushed};

/// A queue of jobs; see [`crate::Queue`].
pub struct Queue<T> {
    pub(super) queue: crate::Queue<T>,
}

impl<T> Queue<T> {
    /// See [`crate::Queue::lease`].
    #[must_use]
    pub fn lease(self, lease: Duration) -> Queue<T> {
        Queue { queue: self.queue.lease(lease) }
    }

    /// See [`crate::Queue::numbers`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn numbers(&self) -> Result<Option<Numbers>> {
        self.queue.numbers_blocking()
    }

    /// See [`crate::Queue::page`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn page(&self, state: Option<State>, from: u64, limit: u32) -> Result<Page> {
        self.queue.page_blocking(state, from, limit)
    }

    /// See [`crate::Queue::revive`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn revive(&self, sequence: u64) -> Result<bool> {
        let revive = |reply, passage| Write::Revive(Which::One(sequence), reply, passage);
        Ok(self.queue.write_blocking(revive)?.revived == 1)
    }

    /// See [`crate::Queue::revive_all`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn revive_all(&self) -> Result<(u64, u64)> {
        self.queue.revive_all_blocking()
    }

    /// See [`crate::Queue::remove`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn remove(&self, sequence: u64) -> Result<bool> {
        let purge = |reply, passage| Write::Purge(What::One(sequence), reply, passage);
        Ok(self.queue.write_blocking(purge)?.removed == 1)
    }

    /// See [`crate::Queue::purge`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn purge(&self, state: State) -> Result<u64> {
        self.queue.purge_blocking(state)
    }

    /// See [`crate::Queue::pause`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn pause(&self) -> Result<()> {
        self.queue.configure_blocking(Change { paused: Some(true), ..Change::default() })
    }

    /// See [`crate::Queue::resume`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn resume(&self) -> Result<()> {
        self.queue.configure_blocking(Change { paused: Some(false), ..Change::default() })
    }

    /// See [`crate::Queue::set_max_attempts`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn set_max_attempts(&self, attempts: u32) -> Result<()> {
        check_attempts(attempts)?;
        self.queue.configure_blocking(Change { max_attempts: Some(attempts), ..Change::default() })
    }

    /// See [`crate::Queue::keep_done`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn keep_done(&self, time: Duration) -> Result<()> {
        self.queue.configure_blocking(Change::keeping_done(time)?)
    }
}

impl<T: Serialize> Queue<T> {
    /// See [`crate::Queue::push`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn push(&self, job: &T) -> Result<Pushed> {
        self.queue.push_blocking(job, Push::new())
    }

    /// See [`crate::Queue::push_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn push_with(&self, job: &T, push: Push) -> Result<Pushed> {
        self.queue.push_blocking(job, push)
    }

    /// See [`crate::Queue::push_all`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn push_all(&self, jobs: impl IntoIterator<Item = (T, Push)>) -> Result<Vec<Pushed>> {
        self.queue.push_all_blocking(jobs)
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// See [`crate::Queue::pop`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn pop(&self) -> Result<Job<T>> {
        let job = self.request(Wait::Forever)?;
        job.ok_or_else(|| Error::ActorFailed { what: format!("{:?}", self.queue) })
    }

    /// See [`crate::Queue::try_pop`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn try_pop(&self) -> Result<Option<Job<T>>> {
        self.request(Wait::No)
    }

    /// See [`crate::Queue::pop_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn pop_within(&self, time: Duration) -> Result<Option<Job<T>>> {
        self.request(Wait::For(time))
    }

    /// See [`crate::Queue::decode`].
    ///
    /// # Errors
    /// As there.
    pub fn decode(&self, record: &Record) -> Result<T> {
        self.queue.decode(record)
    }

    fn request(&self, wait: Wait) -> Result<Option<Job<T>>> {
        Ok(self.queue.request_blocking(wait)?.map(|job| Job { job }))
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue { queue: self.queue.clone() }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.queue.fmt(f)
    }
}

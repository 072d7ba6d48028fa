//! Batches, for threads that wait.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Expected, Result};
use millpond_actors::storage::list::End as ListEnd;

use super::{Blobs, Channel, Dict, List, LockGuard, Log, Queue, Timers};
use crate::batch::{Slot, Written};
use crate::dict::Put;
use crate::events::{Appended, Event};
use crate::feed::Stamp;
use crate::job::Push;
use crate::list::Item;
use crate::queue::Pushed;
use crate::sql::Sql;

/// Writes that take effect together or not at all; see [`crate::Batch`].
///
/// # Examples
/// ```
/// let store = millpond::blocking::Store::memory()?;
/// let (orders, bills) = (store.queue::<u32>("orders"), store.log::<String>("bills"));
/// orders.push(&17)?;
/// let order = orders.pop()?;
/// let mut batch = store.batch();
/// let bill = batch.log(&bills, &format!("a bill for order {}", *order))?;
/// order.done_in(&mut batch)?;
/// assert_eq!(batch.commit()?[bill], 1);
/// # store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is written before it is committed"]
pub struct Batch {
    pub(super) batch: crate::Batch,
}

impl Batch {
    /// See [`crate::Batch::append`].
    ///
    /// # Errors
    /// As there.
    pub fn append(
        &mut self,
        stream: impl AsRef<str>,
        expected: Expected,
        events: impl Into<Vec<Event>>,
    ) -> Result<Slot<Appended>> {
        self.batch.append(stream, expected, events)
    }

    /// See [`crate::Batch::push`].
    ///
    /// # Errors
    /// As there.
    pub fn push<T: Serialize>(&mut self, queue: &Queue<T>, job: &T) -> Result<Slot<Pushed>> {
        self.batch.push(&queue.queue, job)
    }

    /// See [`crate::Batch::push_with`].
    ///
    /// # Errors
    /// As there.
    pub fn push_with<T: Serialize>(&mut self, queue: &Queue<T>, job: &T, push: Push) -> Result<Slot<Pushed>> {
        self.batch.push_with(&queue.queue, job, push)
    }

    /// See [`crate::Batch::set`].
    ///
    /// # Errors
    /// As there.
    pub fn set<T: Serialize>(
        &mut self,
        dict: &Dict<T>,
        key: impl AsRef<str>,
        value: &T,
    ) -> Result<Slot<u64>> {
        self.batch.set(&dict.dict, key, value)
    }

    /// See [`crate::Batch::set_with`].
    ///
    /// # Errors
    /// As there.
    pub fn set_with<T: Serialize>(
        &mut self,
        dict: &Dict<T>,
        key: impl AsRef<str>,
        value: &T,
        put: Put,
    ) -> Result<Slot<u64>> {
        self.batch.set_with(&dict.dict, key, value, put)
    }

    /// See [`crate::Batch::delete`].
    ///
    /// # Errors
    /// As there.
    pub fn delete<T>(&mut self, dict: &Dict<T>, key: impl AsRef<str>) -> Result<Slot<bool>> {
        self.batch.delete(&dict.dict, key)
    }

    /// See [`crate::Batch::delete_blob`].
    ///
    /// # Errors
    /// As there.
    pub fn delete_blob(&mut self, blobs: &Blobs, key: impl AsRef<str>) -> Result<Slot<bool>> {
        self.batch.delete_blob(&blobs.blobs, key)
    }

    /// See [`crate::Batch::increment`].
    ///
    /// # Errors
    /// As there.
    pub fn increment<T>(&mut self, dict: &Dict<T>, key: impl AsRef<str>, by: i64) -> Result<Slot<i64>> {
        self.batch.increment(&dict.dict, key, by)
    }

    /// See [`crate::Batch::push_back`].
    ///
    /// # Errors
    /// As there.
    pub fn push_back<T: Serialize>(&mut self, list: &List<T>, value: &T) -> Result<Slot<u64>> {
        self.batch.push_back(&list.list, value)
    }

    /// See [`crate::Batch::push_front`].
    ///
    /// # Errors
    /// As there.
    pub fn push_front<T: Serialize>(&mut self, list: &List<T>, value: &T) -> Result<Slot<u64>> {
        self.batch.push_front(&list.list, value)
    }

    /// See [`crate::Batch::insert_item`].
    ///
    /// # Errors
    /// As there.
    pub fn insert_item<T: Serialize>(&mut self, list: &List<T>, index: i64, value: &T) -> Result<Slot<u64>> {
        self.batch.insert_item(&list.list, index, value)
    }

    /// See [`crate::Batch::set_item`].
    ///
    /// # Errors
    /// As there.
    pub fn set_item<T: Serialize>(
        &mut self,
        list: &List<T>,
        index: i64,
        value: &T,
        version: Option<u64>,
    ) -> Result<Slot<u64>> {
        self.batch.set_item(&list.list, index, value, version)
    }

    /// See [`crate::Batch::remove_item`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_item<T: DeserializeOwned + Send + 'static>(
        &mut self,
        list: &List<T>,
        index: i64,
        version: Option<u64>,
    ) -> Result<Slot<Item<T>>> {
        self.batch.remove_item(&list.list, index, version)
    }

    /// See [`crate::Batch::move_item`].
    ///
    /// # Errors
    /// As there.
    pub fn move_item<T>(
        &mut self,
        list: &List<T>,
        index: i64,
        to: &List<T>,
        end: ListEnd,
    ) -> Result<Slot<()>> {
        self.batch.move_item(&list.list, index, &to.list, end)
    }

    /// See [`crate::Batch::set_timer`].
    ///
    /// # Errors
    /// As there.
    pub fn set_timer<T: Serialize>(
        &mut self,
        timers: &Timers<T>,
        key: impl AsRef<str>,
        delay: Duration,
        value: &T,
    ) -> Result<Slot<bool>> {
        self.batch.set_timer(&timers.timers, key, delay, value)
    }

    /// See [`crate::Batch::set_timer_at`].
    ///
    /// # Errors
    /// As there.
    pub fn set_timer_at<T: Serialize>(
        &mut self,
        timers: &Timers<T>,
        key: impl AsRef<str>,
        ms_since_1970: i64,
        value: &T,
    ) -> Result<Slot<bool>> {
        self.batch.set_timer_at(&timers.timers, key, ms_since_1970, value)
    }

    /// See [`crate::Batch::cancel_timer`].
    ///
    /// # Errors
    /// As there.
    pub fn cancel_timer<T>(&mut self, timers: &Timers<T>, key: impl AsRef<str>) -> Result<Slot<bool>> {
        self.batch.cancel_timer(&timers.timers, key)
    }

    /// See [`crate::Batch::publish`].
    ///
    /// # Errors
    /// As there.
    pub fn publish<T: Serialize>(&mut self, channel: &Channel<T>, value: &T) -> Result<Slot<u64>> {
        self.batch.publish(&channel.channel, value)
    }

    /// See [`crate::Batch::publish_with`].
    ///
    /// # Errors
    /// As there.
    pub fn publish_with<T: Serialize>(
        &mut self,
        channel: &Channel<T>,
        value: &T,
        stamp: Stamp,
    ) -> Result<Slot<u64>> {
        self.batch.publish_with(&channel.channel, value, stamp)
    }

    /// See [`crate::Batch::log`].
    ///
    /// # Errors
    /// As there.
    pub fn log<T: Serialize>(&mut self, log: &Log<T>, value: &T) -> Result<Slot<u64>> {
        self.batch.log(&log.log, value)
    }

    /// See [`crate::Batch::log_with`].
    ///
    /// # Errors
    /// As there.
    pub fn log_with<T: Serialize>(&mut self, log: &Log<T>, value: &T, stamp: Stamp) -> Result<Slot<u64>> {
        self.batch.log_with(&log.log, value, stamp)
    }

    /// See [`crate::Batch::sql`].
    ///
    /// # Errors
    /// As there.
    pub fn sql(&mut self, statements: impl Into<Vec<Sql>>) -> Result<Slot<Vec<u64>>> {
        self.batch.sql(statements)
    }

    /// See [`crate::Batch::guarded_by`].
    ///
    /// # Errors
    /// As there.
    pub fn guarded_by(&mut self, guard: &LockGuard) -> Result<()> {
        self.batch.guarded_by(&guard.guard)
    }

    /// See [`crate::Batch::commit`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn commit(self) -> Result<Written> {
        self.batch.commit_blocking()
    }
}

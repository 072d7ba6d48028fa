//! Timers, for threads that wait.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::storage::queue::Job as Record;

use super::{Job, Queue};
use crate::job::Push;

/// Timers, one a key; see [`crate::Timers`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// let store = millpond::blocking::Store::memory()?;
/// let offers = store.timers::<u32>("offers");
/// offers.set("lamp", Duration::from_millis(5), &17)?;
/// let over = offers.due()?;
/// assert_eq!((over.key(), *over), (Some("lamp"), 17));
/// over.done()?;
/// # store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
pub struct Timers<T> {
    pub(super) timers: crate::Timers<T>,
}

impl<T> Timers<T> {
    /// See [`crate::Timers::queue`].
    #[must_use]
    pub fn queue(&self) -> Queue<T> {
        Queue { queue: self.timers.queue().clone() }
    }

    /// See [`crate::Timers::lease`].
    #[must_use]
    pub fn lease(self, lease: Duration) -> Timers<T> {
        Timers { timers: self.timers.lease(lease) }
    }

    /// See [`crate::Timers::cancel`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn cancel(&self, key: impl AsRef<str>) -> Result<bool> {
        self.timers.cancel_blocking(key.as_ref())
    }

    /// See [`crate::Timers::get`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn get(&self, key: impl AsRef<str>) -> Result<Option<Record>> {
        self.timers.get_blocking(key.as_ref())
    }
}

impl<T: Serialize> Timers<T> {
    /// See [`crate::Timers::set`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set(&self, key: impl AsRef<str>, delay: Duration, value: &T) -> Result<bool> {
        self.timers.place_blocking(key.as_ref(), Push::new().delay(delay), value)
    }

    /// See [`crate::Timers::set_at`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set_at(&self, key: impl AsRef<str>, ms_since_1970: i64, value: &T) -> Result<bool> {
        self.timers.place_blocking(key.as_ref(), Push::new().at(ms_since_1970), value)
    }
}

impl<T: DeserializeOwned> Timers<T> {
    /// See [`crate::Timers::due`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn due(&self) -> Result<Job<T>> {
        self.queue().pop()
    }

    /// See [`crate::Timers::try_due`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_due(&self) -> Result<Option<Job<T>>> {
        self.queue().try_pop()
    }

    /// See [`crate::Timers::due_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn due_within(&self, time: Duration) -> Result<Option<Job<T>>> {
        self.queue().pop_within(time)
    }
}

impl<T> Clone for Timers<T> {
    fn clone(&self) -> Timers<T> {
        Timers { timers: self.timers.clone() }
    }
}

impl<T> fmt::Debug for Timers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timers.fmt(f)
    }
}

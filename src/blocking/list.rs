//! Lists, for threads that wait.

use std::borrow::Borrow;
use std::ops::RangeBounds;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::reply::Wait;
use millpond_actors::storage::list::{End, Head};

use super::Inspector;
use crate::list::Item;

/// A list of items in an order of their own; see [`crate::List`].
///
/// # Examples
/// ```
/// use millpond::blocking::Store;
/// let store = Store::memory()?;
/// let steps = store.list::<String>("steps");
/// steps.push_back(&"saw".to_owned())?;
/// steps.push_front(&"measure".to_owned())?;
/// let all: Vec<String> = steps.items(..).map(|step| step.map(|step| step.into_value())).collect::<Result<_, _>>()?;
/// assert_eq!(all, ["measure", "saw"]);
/// assert_eq!(steps.pop_front()?, "measure");
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug)]
pub struct List<T> {
    pub(super) list: crate::List<T>,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> List<T> {
        List { list: self.list.clone() }
    }
}

impl<T> List<T> {
    /// See [`crate::List::count`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn count(&self) -> Result<u64> {
        self.list.count_blocking()
    }

    /// See [`crate::List::move_item`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn move_item(&self, index: i64, to: i64) -> Result<()> {
        self.list.move_item_blocking(index, to)
    }

    /// See [`crate::List::move_to`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn move_to(&self, index: i64, list: &List<T>, end: End) -> Result<()> {
        self.list.move_to_blocking(index, &list.list, end)
    }

    /// See [`crate::List::trim`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn trim(&self, range: impl RangeBounds<i64>) -> Result<u64> {
        self.list.trim_blocking(range)
    }

    /// See [`crate::List::clear`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn clear(&self) -> Result<u64> {
        self.trim(0..0)
    }
}

impl<T: Serialize> List<T> {
    /// See [`crate::List::push_back`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn push_back(&self, value: &T) -> Result<u64> {
        self.push_all(End::Back, [value])
    }

    /// See [`crate::List::push_front`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn push_front(&self, value: &T) -> Result<u64> {
        self.push_all(End::Front, [value])
    }

    /// See [`crate::List::push_all`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn push_all<V: Borrow<T>>(&self, end: End, values: impl IntoIterator<Item = V>) -> Result<u64> {
        self.list.push_all_blocking(end, values)
    }

    /// See [`crate::List::insert`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn insert(&self, index: i64, value: &T) -> Result<u64> {
        self.list.insert_blocking(index, value)
    }

    /// See [`crate::List::set`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set(&self, index: i64, value: &T) -> Result<u64> {
        self.list.set_blocking(index, value, None)
    }

    /// See [`crate::List::set_if`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set_if(&self, index: i64, value: &T, version: u64) -> Result<u64> {
        self.list.set_blocking(index, value, Some(version))
    }
}

impl<T: DeserializeOwned> List<T> {
    /// See [`crate::List::get`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn get(&self, index: i64) -> Result<Option<Item<T>>> {
        self.list.get_blocking(index)
    }

    /// See [`crate::List::items`].
    pub fn items(&self, range: impl RangeBounds<i64>) -> Items<T> {
        Items { items: self.list.items(range) }
    }

    /// See [`crate::List::remove`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn remove(&self, index: i64) -> Result<Item<T>> {
        self.list.remove_blocking(index, None)
    }

    /// See [`crate::List::remove_if`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn remove_if(&self, index: i64, version: u64) -> Result<Item<T>> {
        self.list.remove_blocking(index, Some(version))
    }

    /// See [`crate::List::pop_front`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn pop_front(&self) -> Result<T> {
        self.pop_waiting(End::Front)
    }

    /// See [`crate::List::pop_back`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn pop_back(&self) -> Result<T> {
        self.pop_waiting(End::Back)
    }

    /// See [`crate::List::try_pop_front`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_pop_front(&self) -> Result<Option<T>> {
        self.list.pop_blocking(End::Front, Wait::No)
    }

    /// See [`crate::List::try_pop_back`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn try_pop_back(&self) -> Result<Option<T>> {
        self.list.pop_blocking(End::Back, Wait::No)
    }

    /// See [`crate::List::pop_front_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn pop_front_within(&self, time: Duration) -> Result<Option<T>> {
        self.list.pop_blocking(End::Front, Wait::For(time))
    }

    /// See [`crate::List::pop_back_within`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn pop_back_within(&self, time: Duration) -> Result<Option<T>> {
        self.list.pop_blocking(End::Back, Wait::For(time))
    }

    fn pop_waiting(&self, end: End) -> Result<T> {
        self.list.pop_blocking(end, Wait::Forever)?.ok_or_else(|| self.list.unanswered())
    }
}

/// The items of a list, as an iterator; see [`crate::Items`].
#[derive(Debug)]
#[must_use = "nothing is read until items are asked for"]
pub struct Items<T> {
    items: crate::Items<T>,
}

impl<T> Items<T> {
    /// See [`crate::Items::limit`].
    pub fn limit(self, limit: u64) -> Items<T> {
        Items { items: self.items.limit(limit) }
    }
}

impl<T: DeserializeOwned> Iterator for Items<T> {
    type Item = Result<Item<T>>;

    fn next(&mut self) -> Option<Result<Item<T>>> {
        self.items.next_blocking()
    }
}

impl Inspector {
    /// See [`crate::Inspector::lists`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn lists(&self, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
        let after = after.map(str::to_owned);
        self.inspector.runtime.read_blocking(move |view| view.lists(after.as_deref(), limit))
    }
}

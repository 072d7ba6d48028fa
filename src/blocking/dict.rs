//! Dicts, for threads that wait.

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::storage::dict::Head;

use super::Inspector;
use crate::dict::{CacheFigures, DictChange, DictIndex, Entry, Explained, Put, heads};
use crate::filter::Where;

/// A dict of values by key; see [`crate::Dict`].
///
/// # Examples
/// ```
/// use millpond::blocking::Store;
/// let store = Store::memory()?;
/// let visits = store.dict::<u64>("visits");
/// assert_eq!(visits.increment("ada", 1)?, 1);
/// visits.set("bob", &7)?;
/// let all: Vec<u64> = visits.entries("").map(|entry| entry.map(|entry| *entry)).collect::<Result<_, _>>()?;
/// assert_eq!(all, [1, 7]);
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug)]
pub struct Dict<T> {
    pub(super) dict: crate::Dict<T>,
}

impl<T> Clone for Dict<T> {
    fn clone(&self) -> Dict<T> {
        Dict { dict: self.dict.clone() }
    }
}

impl<T> Dict<T> {
    /// See [`crate::Dict::cached`].
    #[must_use]
    pub fn cached(self) -> Dict<T> {
        Dict { dict: self.dict.cached() }
    }

    /// See [`crate::Dict::cache_figures`].
    #[must_use]
    pub fn cache_figures(&self) -> Option<CacheFigures> {
        self.dict.cache_figures()
    }

    /// See [`crate::Dict::contains`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        self.dict.contains_blocking(key.as_ref())
    }

    /// See [`crate::Dict::count`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn count(&self) -> Result<u64> {
        self.dict.count_blocking()
    }

    /// See [`crate::Dict::delete`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn delete(&self, key: impl AsRef<str>) -> Result<bool> {
        self.dict.delete_blocking(key.as_ref())
    }

    /// See [`crate::Dict::increment`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn increment(&self, key: impl AsRef<str>, by: i64) -> Result<i64> {
        self.dict.increment_blocking(key.as_ref(), by)
    }

    /// See [`crate::Dict::clear`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn clear(&self, prefix: impl AsRef<str>) -> Result<u64> {
        self.dict.clear_blocking(prefix.as_ref())
    }
}

impl<T> Dict<T> {
    /// See [`crate::Dict::index`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn index(&self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        self.dict.index_blocking(fields)
    }

    /// See [`crate::Dict::unindex`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn unindex(&self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<u64> {
        self.dict.unindex_blocking(fields)
    }

    /// See [`crate::Dict::indexes`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn indexes(&self) -> Result<Vec<DictIndex>> {
        self.dict.indexes_blocking()
    }

    /// See [`crate::Dict::count_where`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn count_where(&self, prefix: impl AsRef<str>, filter: Where) -> Result<u64> {
        self.dict.count_where_blocking(prefix.as_ref(), filter)
    }

    /// See [`crate::Dict::explain`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn explain(&self, filter: Where) -> Result<Explained> {
        self.dict.explain_blocking(filter)
    }
}

impl<T> Dict<T> {
    /// See [`crate::Dict::watch`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn watch(&self, prefix: impl AsRef<str>) -> Result<DictChanges<T>> {
        Ok(DictChanges { changes: self.dict.watch_blocking(prefix.as_ref())? })
    }
}

impl<T: Serialize> Dict<T> {
    /// See [`crate::Dict::set`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set(&self, key: impl AsRef<str>, value: &T) -> Result<u64> {
        self.set_with(key, value, Put::new())
    }

    /// See [`crate::Dict::set_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set_with(&self, key: impl AsRef<str>, value: &T, put: Put) -> Result<u64> {
        self.dict.set_blocking(key.as_ref(), value, put)
    }
}

impl<T: DeserializeOwned> Dict<T> {
    /// See [`crate::Dict::get`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn get(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        self.dict.get_blocking(key.as_ref())
    }

    /// See [`crate::Dict::pop`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn pop(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        self.dict.pop_blocking(key.as_ref())
    }

    /// See [`crate::Dict::entries`].
    pub fn entries(&self, prefix: impl AsRef<str>) -> Entries<T> {
        Entries { entries: self.dict.entries(prefix) }
    }
}

impl<T: Serialize + DeserializeOwned> Dict<T> {
    /// See [`crate::Dict::update`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn update(
        &self,
        key: impl AsRef<str>,
        change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<u64>> {
        self.dict.update_blocking(key.as_ref(), change)
    }
}

/// The entries of a dict, as an iterator; see [`crate::Entries`].
#[derive(Debug)]
#[must_use = "nothing is read until entries are asked for"]
pub struct Entries<T> {
    pub(super) entries: crate::Entries<T>,
}

impl<T> Entries<T> {
    /// See [`crate::Entries::after`].
    pub fn after(self, key: impl AsRef<str>) -> Entries<T> {
        Entries { entries: self.entries.after(key) }
    }

    /// See [`crate::Entries::last_first`].
    pub fn last_first(self) -> Entries<T> {
        Entries { entries: self.entries.last_first() }
    }

    /// See [`crate::Entries::matching`].
    pub fn matching(self, filter: Where) -> Entries<T> {
        Entries { entries: self.entries.matching(filter) }
    }

    /// See [`crate::Entries::limit`].
    pub fn limit(self, limit: u64) -> Entries<T> {
        Entries { entries: self.entries.limit(limit) }
    }
}

impl<T: DeserializeOwned> Iterator for Entries<T> {
    type Item = Result<Entry<T>>;

    fn next(&mut self) -> Option<Result<Entry<T>>> {
        self.entries.next_blocking()
    }
}

/// What changes in a dict, as an iterator that waits; see [`crate::DictChanges`].
#[derive(Debug)]
#[must_use = "nothing is read until changes are asked for"]
pub struct DictChanges<T> {
    pub(super) changes: crate::DictChanges<T>,
}

impl<T: DeserializeOwned> Iterator for DictChanges<T> {
    type Item = Result<DictChange<T>>;

    fn next(&mut self) -> Option<Result<DictChange<T>>> {
        self.changes.next_blocking()
    }
}

impl Inspector {
    /// See [`crate::Inspector::dicts`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn dicts(&self, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
        self.inspector.runtime.read_blocking(heads(&self.inspector.runtime, after, limit))
    }
}

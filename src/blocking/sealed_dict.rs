//! Sealed dicts, for threads that wait.

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;

use super::dict::{DictChanges, Entries};
use crate::dict::{Entry, Put};

/// A dict whose values only whoever has its key can read; see [`crate::SealedDict`].
///
/// # Examples
/// ```
/// use millpond::SealKey;
/// use millpond::blocking::Store;
/// let store = Store::memory()?;
/// let secrets = store.sealed_dict::<String>("secrets", SealKey::bytes([7; 32]));
/// secrets.set("mail", &"hunter2".to_owned())?;
/// assert_eq!(secrets.get("mail")?.as_deref().map(String::as_str), Some("hunter2"));
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug)]
pub struct SealedDict<T> {
    pub(super) dict: crate::SealedDict<T>,
}

impl<T> Clone for SealedDict<T> {
    fn clone(&self) -> SealedDict<T> {
        SealedDict { dict: self.dict.clone() }
    }
}

impl<T> SealedDict<T> {
    /// See [`crate::SealedDict::contains`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn contains(&self, key: impl AsRef<str>) -> Result<bool> {
        self.dict.contains_blocking(key.as_ref())
    }

    /// See [`crate::SealedDict::count`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn count(&self) -> Result<u64> {
        self.dict.count_blocking()
    }

    /// See [`crate::SealedDict::delete`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn delete(&self, key: impl AsRef<str>) -> Result<bool> {
        self.dict.delete_blocking(key.as_ref())
    }

    /// See [`crate::SealedDict::clear`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn clear(&self, prefix: impl AsRef<str>) -> Result<u64> {
        self.dict.clear_blocking(prefix.as_ref())
    }

    /// See [`crate::SealedDict::watch`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn watch(&self, prefix: impl AsRef<str>) -> Result<DictChanges<T>> {
        Ok(DictChanges { changes: self.dict.watch_blocking(prefix.as_ref())? })
    }
}

impl<T: Serialize> SealedDict<T> {
    /// See [`crate::SealedDict::set`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set(&self, key: impl AsRef<str>, value: &T) -> Result<u64> {
        self.set_with(key, value, Put::new())
    }

    /// See [`crate::SealedDict::set_with`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn set_with(&self, key: impl AsRef<str>, value: &T, put: Put) -> Result<u64> {
        self.dict.set_blocking(key.as_ref(), value, put)
    }
}

impl<T: DeserializeOwned> SealedDict<T> {
    /// See [`crate::SealedDict::get`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn get(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        self.dict.get_blocking(key.as_ref())
    }

    /// See [`crate::SealedDict::pop`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn pop(&self, key: impl AsRef<str>) -> Result<Option<Entry<T>>> {
        self.dict.pop_blocking(key.as_ref())
    }

    /// See [`crate::SealedDict::entries`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn entries(&self, prefix: impl AsRef<str>) -> Result<Entries<T>> {
        Ok(Entries { entries: self.dict.entries_blocking(prefix.as_ref())? })
    }
}

impl<T: Serialize + DeserializeOwned> SealedDict<T> {
    /// See [`crate::SealedDict::update`].
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

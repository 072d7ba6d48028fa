//! What a batch does with dicts.

use serde::Serialize;

use millpond_actors::batch::Part;
use millpond_actors::error::Result;
use millpond_actors::storage::dict::{Expected, Increment, Remove, Set};

use super::{Dict, Put, removed};
use crate::batch::{Batch, Slot};

impl Batch {
    /// Adds that a value is put under a key of a dict, as [`Dict::set`] does it. Its version.
    ///
    /// # Errors
    /// As [`Dict::set`]; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a dict of another store. Nothing is
    /// added then.
    pub fn set<T: Serialize>(
        &mut self,
        dict: &Dict<T>,
        key: impl AsRef<str>,
        value: &T,
    ) -> Result<Slot<u64>> {
        self.set_with(dict, key, value, Put::new())
    }

    /// Adds that a value is put under a key of a dict, as [`Dict::set_with`] does it: if what is there is not as expected,
    /// nothing of the batch is written.
    ///
    /// # Errors
    /// As [`set`](Batch::set); a bad time to live.
    pub fn set_with<T: Serialize>(
        &mut self,
        dict: &Dict<T>,
        key: impl AsRef<str>,
        value: &T,
        put: Put,
    ) -> Result<Slot<u64>> {
        let (set, means) = dict.setting(key.as_ref(), value, put)?;
        let bytes = set.data.bytes().len();
        self.add::<Set, _>(&dict.runtime, (Part::plain(set), bytes), means)
    }

    /// Adds that what is under a key of a dict is removed. Whether there was something.
    ///
    /// # Errors
    /// A bad name or key; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a dict of another store. Nothing is
    /// added then.
    pub fn delete<T>(&mut self, dict: &Dict<T>, key: impl AsRef<str>) -> Result<Slot<bool>> {
        let remove = dict.removal(key.as_ref(), Expected::Any)?;
        let (name, sealed) = (remove.dict.clone(), remove.sealed);
        let means = move |done| Ok(removed(&name, sealed, done)?.is_some());
        self.add::<Remove, _>(&dict.runtime, (Part::plain(remove), 0), means)
    }

    /// Adds that a number of a dict is added to, as [`Dict::increment`] does it: if there is no number, nothing of the batch is
    /// written. The sum.
    ///
    /// # Errors
    /// As [`delete`](Batch::delete).
    pub fn increment<T>(&mut self, dict: &Dict<T>, key: impl AsRef<str>, by: i64) -> Result<Slot<i64>> {
        let (increment, means) = dict.addition(key.as_ref(), by)?;
        self.add::<Increment, _>(&dict.runtime, (Part::plain(increment), 0), means)
    }
}

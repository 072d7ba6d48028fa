//! What is kept in a list.

use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::name::Name;
pub(super) use millpond_actors::storage::list::Item as Record;

use crate::codec;

/// An item of a [`List`](crate::List), with the index that it had when it was read. It is the value, by [`Deref`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<T> {
    index: u64,
    version: u64,
    value: T,
}

impl<T: DeserializeOwned> Item<T> {
    pub(super) fn of(list: &Name, index: u64, record: Record) -> Result<Item<T>> {
        let Record { version, data, .. } = record;
        let value = codec::from_data(&format_args!("item {index} of list \"{list}\""), &data)?;
        Ok(Item { index, version, value })
    }
}

impl<T> Item<T> {
    /// Its index, counted from the front.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Its version: larger than that of all items that were put into the list before.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The value.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Item<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Item<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

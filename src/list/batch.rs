//! What a batch does with lists.

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::batch::Part;
use millpond_actors::error::Result;
use millpond_actors::list::{Arrived, ListActor};
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::Apply;
use millpond_actors::storage::list::{At, End, Insert, Move, Remove, Replace};

use super::{Item, List};
use crate::batch::{Batch, Slot};

impl Batch {
    /// Adds that an item is put behind all others of a list. How many there are then.
    ///
    /// # Errors
    /// As [`List::push_back`]; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a list of another store. Nothing is added
    /// then.
    pub fn push_back<T: Serialize>(&mut self, list: &List<T>, value: &T) -> Result<Slot<u64>> {
        self.put_item(list, At::End(End::Back), value, |(_, count)| count)
    }

    /// Adds that an item is put in front of all others of a list. How many there are then.
    ///
    /// # Errors
    /// As [`push_back`](Batch::push_back).
    pub fn push_front<T: Serialize>(&mut self, list: &List<T>, value: &T) -> Result<Slot<u64>> {
        self.put_item(list, At::End(End::Front), value, |(_, count)| count)
    }

    /// Adds that an item is put in front of the one with an index, as [`List::insert`] does it: if there is no such place, nothing of
    /// the batch is written. The index that it has.
    ///
    /// # Errors
    /// As [`push_back`](Batch::push_back).
    pub fn insert_item<T: Serialize>(&mut self, list: &List<T>, index: i64, value: &T) -> Result<Slot<u64>> {
        self.put_item(list, At::Index(index), value, |(index, _)| index)
    }

    /// Adds that a value is put in the place of an item, if it has this version or none is named: if not, nothing of the batch is
    /// written. The version that it has.
    ///
    /// # Errors
    /// As [`push_back`](Batch::push_back).
    pub fn set_item<T: Serialize>(
        &mut self,
        list: &List<T>,
        index: i64,
        value: &T,
        version: Option<u64>,
    ) -> Result<Slot<u64>> {
        let (replace, means) = list.replacing(index, value, version)?;
        let bytes = replace.item.data.bytes().len();
        self.add::<Replace, _>(&list.runtime, (Part::plain(replace), bytes), means)
    }

    /// Adds that the item with an index is removed, if it has this version or none is named: if not, nothing of the batch is written.
    /// So whoever has read it, and does what it says in this batch, does it once, whatever others do.
    ///
    /// # Errors
    /// As [`push_back`](Batch::push_back).
    pub fn remove_item<T: DeserializeOwned + Send + 'static>(
        &mut self,
        list: &List<T>,
        index: i64,
        version: Option<u64>,
    ) -> Result<Slot<Item<T>>> {
        let (remove, means) = list.removing(index, version)?;
        self.add::<Remove, _>(&list.runtime, (Part::plain(remove), 0), means)
    }

    /// Adds that an item is moved to an end of a list, as [`List::move_to`] does it: if there is none, nothing of the batch is written.
    ///
    /// # Errors
    /// As [`push_back`](Batch::push_back).
    pub fn move_item<T>(&mut self, list: &List<T>, index: i64, to: &List<T>, end: End) -> Result<Slot<()>> {
        let (step, means) = list.moving(index, to, At::End(end))?;
        let name = step.to.clone();
        self.add::<Move, _>(&list.runtime, (arriving(&list.runtime, name, step), 0), means)
    }

    fn put_item<T: Serialize>(
        &mut self,
        list: &List<T>,
        at: At,
        value: &T,
        tells: impl FnOnce((u64, u64)) -> u64 + Send + 'static,
    ) -> Result<Slot<u64>> {
        let (insert, means) = list.inserting(at, [value])?;
        let bytes = insert.items.iter().map(|item| item.data.bytes().len()).sum();
        let name = insert.list.clone();
        let part = arriving(&list.runtime, name, insert);
        self.add::<Insert, _>(&list.runtime, (part, bytes), |inserted| means(inserted).map(tells))
    }
}

/// A write that brings an item to a list, where somebody may wait for it.
fn arriving(runtime: &Runtime, list: Name, operation: impl Apply) -> Part {
    let post = runtime.post().clone();
    // Also after an error: it may be there all the same.
    Part::new(operation, move |_| post.tell::<ListActor, _>(&list, Arrived))
}

//! Lists: items in an order of their own, put and taken at both ends and anywhere between.
//!
//! - `mod` a list as its users have it;
//! - `ends` what is put and taken at its ends, and waited for there;
//! - `item` what is kept in it;
//! - `items` a part of it, read page by page;
//! - `batch` what a batch does with lists.

mod batch;
mod ends;
mod item;
mod items;

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::gate::Passage;
use millpond_actors::limits;
use millpond_actors::list::{ListActor, Write};
use millpond_actors::name::Name;
use millpond_actors::reply::Reply;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::list::{
    At, End, Head, Insert, Inserted, Move, Moved, NewItem, Page, Query, Remove, Removed, Replace, Replaced,
    Trim,
};
use millpond_actors::storage::{Data, View};

pub use self::item::Item;
pub use self::items::Items;
use crate::codec;
use crate::inspect::Inspector;

/// A list of items of one type, in an order of their own. A handle: cheap to clone, no I/O to make one.
///
/// - **Anywhere in it** an item is read, put, replaced, moved or removed by its index, which counts from the back if it is negative;
///   in a list of a million items that costs little more than in one of a thousand.
/// - **One change after the other**, whatever processes make them, and each of them whole. An index is that of the moment at which
///   the change is made: whoever means an item that he has read says [which version](Item::version) it has.
/// - **Taking waits if that is wanted** ([`pop_front`](List::pop_front)), first come, first served in one process; between processes
///   whoever takes first has it.
/// - **An item that was taken is gone from the store.** A caller who goes away before he has it leaves it in the list, but a process
///   that dies with it in its hands takes it along. What must not get lost belongs in a [`Queue`](crate::Queue).
///
/// Items are kept as JSON, which `sqlite3` can read too.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// let store = millpond::Store::memory().await?;
/// let tracks = store.list::<String>("playlist");
/// tracks.push_back(&"Aria".to_owned()).await?;
/// tracks.push_back(&"Canon".to_owned()).await?;
/// tracks.insert(1, &"Bourrée".to_owned()).await?;
/// assert_eq!(tracks.get(-1).await?.as_deref().map(String::as_str), Some("Canon"));
///
/// tracks.move_item(2, 0).await?;
/// let mut first_two = tracks.items(..2);
/// while let Some(track) = first_two.next().await {
///     let track = track?;
///     println!("{}: {}", track.index(), *track);
/// }
/// assert_eq!(tracks.pop_front().await?, "Canon");
/// assert_eq!(tracks.count().await?, 2);
/// # store.close().await
/// # }).unwrap();
/// ```
pub struct List<T> {
    runtime: Arc<Runtime>,
    name: Result<Name>,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Clone for List<T> {
    fn clone(&self) -> List<T> {
        List { runtime: Arc::clone(&self.runtime), name: self.name.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T> List<T> {
    pub(crate) fn new(runtime: Arc<Runtime>, name: &str) -> List<T> {
        List { runtime, name: Name::new(name), values: PhantomData }
    }

    fn name(&self) -> Result<Name> {
        self.name.clone()
    }

    /// Writes what those who wait for items have to hear of.
    async fn put<O>(&self, name: &Name, write: impl FnOnce(Reply<O>, Passage) -> Write) -> Result<O> {
        self.runtime.ask::<ListActor, _, _>(name, write).await
    }

    /// The same for a thread that waits.
    fn put_blocking<O>(&self, name: &Name, write: impl FnOnce(Reply<O>, Passage) -> Write) -> Result<O> {
        self.runtime.call::<ListActor, _, _>(name, write)
    }

    /// How many items there are.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn count(&self) -> Result<u64> {
        Ok(self.runtime.read(self.head()?).await?.map_or(0, |head| head.count))
    }

    /// The same for a thread that waits.
    pub(crate) fn count_blocking(&self) -> Result<u64> {
        Ok(self.runtime.read_blocking(self.head()?)?.map_or(0, |head| head.count))
    }

    fn head(&self) -> Result<impl FnOnce(&mut dyn View) -> Result<Option<Head>> + Send + 'static> {
        let name = self.name()?;
        Ok(move |view: &mut dyn View| view.list(&name))
    }

    /// Moves an item to another place, which is counted without it: `move_item(0, -1)` makes the first the last but one,
    /// `move_item(0, count - 1)` the last. Its version stays.
    ///
    /// # Errors
    /// [`Error::NoItem`]; a bad name; [`Error::Busy`]; what the database said. Nothing is changed then.
    pub async fn move_item(&self, index: i64, to: i64) -> Result<()> {
        let (step, means) = self.moving(index, self, At::Index(to))?;
        means(self.put(&step.to.clone(), |reply, passage| Write::Move(step, reply, passage)).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn move_item_blocking(&self, index: i64, to: i64) -> Result<()> {
        let (step, means) = self.moving(index, self, At::Index(to))?;
        means(self.put_blocking(&step.to.clone(), |reply, passage| Write::Move(step, reply, passage))?)
    }

    /// Moves an item to an end of a list, be it this one: so whoever takes a step with it never has it in his hands alone. In another
    /// list it has a version of that one.
    ///
    /// # Errors
    /// As [`move_item`](List::move_item); [`Error::InvalidArgument`] for a list of another store.
    pub async fn move_to(&self, index: i64, list: &List<T>, end: End) -> Result<()> {
        let (step, means) = self.moving(index, list, At::End(end))?;
        means(self.put(&step.to.clone(), |reply, passage| Write::Move(step, reply, passage)).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn move_to_blocking(&self, index: i64, list: &List<T>, end: End) -> Result<()> {
        let (step, means) = self.moving(index, list, At::End(end))?;
        means(self.put_blocking(&step.to.clone(), |reply, passage| Write::Move(step, reply, passage))?)
    }

    fn moving(
        &self,
        index: i64,
        to: &List<T>,
        at: At,
    ) -> Result<(Move, impl FnOnce(Moved) -> Result<()> + Send + 'static + use<T>)> {
        if !Arc::ptr_eq(&self.runtime, &to.runtime) {
            let reason = "it is of another store".to_owned();
            return Err(Error::InvalidArgument { what: "list to move an item to".to_owned(), reason });
        }
        let name = self.name()?;
        let step = Move { list: name.clone(), index, to: to.name()?, at, expected: None };
        let means = move |moved| match moved {
            Moved::Done { .. } => Ok(()),
            Moved::Missing { list, index, count } => {
                Err(Error::NoItem { list: list.to_string(), index, count })
            }
            Moved::Conflict { actual } => Err(conflict(&name, index, 0, actual)),
        };
        Ok((step, means))
    }

    /// Removes all items but those between two indexes, `trim(-100..)` all but the last 100. How many there were to remove. It goes by
    /// 1,000 a commit, those at the back first, so others may see a part of it, and what they put meanwhile counts as if it had been
    /// there.
    ///
    /// # Errors
    /// A bad name; [`Error::Busy`]; what the database said. Some may have been removed then.
    pub async fn trim(&self, range: impl RangeBounds<i64>) -> Result<u64> {
        let (mut step, mut all) = (Some(self.trimming(&range)?), 0);
        while let Some(trim) = step {
            let trimmed = self.runtime.write(trim.clone()).await?;
            all += trimmed.removed;
            step = trim.next(&trimmed);
        }
        Ok(all)
    }

    /// The same for a thread that waits.
    pub(crate) fn trim_blocking(&self, range: impl RangeBounds<i64>) -> Result<u64> {
        let (mut step, mut all) = (Some(self.trimming(&range)?), 0);
        while let Some(trim) = step {
            let trimmed = self.runtime.write_blocking(trim.clone())?;
            all += trimmed.removed;
            step = trim.next(&trimmed);
        }
        Ok(all)
    }

    /// Removes all items, as [`trim`](List::trim) does. How many there were.
    ///
    /// # Errors
    /// As [`trim`](List::trim).
    pub async fn clear(&self) -> Result<u64> {
        self.trim(0..0).await
    }

    fn trimming(&self, range: &impl RangeBounds<i64>) -> Result<Trim> {
        let (from, to) = items::bounds(range);
        Ok(Trim { list: self.name()?, from, to, limit: limits::REMOVED_AT_ONCE as u32 })
    }
}

/// The error of an item that is another one.
fn conflict(list: &Name, index: i64, expected: u64, actual: u64) -> Error {
    Error::ItemConflict { list: list.to_string(), index, expected, actual }
}

impl<T: Serialize> List<T> {
    /// Puts an item in front of the one with an index, `insert(count, ..)` behind all. The index that it has.
    ///
    /// # Errors
    /// [`Error::NoItem`] if there is no such place; as [`push_back`](List::push_back).
    pub async fn insert(&self, index: i64, value: &T) -> Result<u64> {
        let (insert, means) = self.inserting(At::Index(index), [value])?;
        let (index, _) = means(self.put(&insert.list.clone(), |r, p| Write::Insert(insert, r, p)).await?)?;
        Ok(index)
    }

    /// The same for a thread that waits.
    pub(crate) fn insert_blocking(&self, index: i64, value: &T) -> Result<u64> {
        let (insert, means) = self.inserting(At::Index(index), [value])?;
        let (index, _) = means(self.put_blocking(&insert.list.clone(), |r, p| Write::Insert(insert, r, p))?)?;
        Ok(index)
    }

    /// Puts a value in the place of an item. The version that it has.
    ///
    /// # Errors
    /// [`Error::NoItem`] if there is no item; as [`push_back`](List::push_back).
    pub async fn set(&self, index: i64, value: &T) -> Result<u64> {
        let (replace, means) = self.replacing(index, value, None)?;
        means(self.runtime.write(replace).await?)
    }

    /// Puts a value in the place of the item of this [version](Item::version), if that is still the one with this index. The version
    /// that it has.
    ///
    /// # Errors
    /// [`Error::ItemConflict`] if there is another one; as [`set`](List::set).
    pub async fn set_if(&self, index: i64, value: &T, version: u64) -> Result<u64> {
        let (replace, means) = self.replacing(index, value, Some(version))?;
        means(self.runtime.write(replace).await?)
    }

    /// The same for a thread that waits, whatever version is expected.
    pub(crate) fn set_blocking(&self, index: i64, value: &T, expected: Option<u64>) -> Result<u64> {
        let (replace, means) = self.replacing(index, value, expected)?;
        means(self.runtime.write_blocking(replace)?)
    }

    fn replacing(
        &self,
        index: i64,
        value: &T,
        expected: Option<u64>,
    ) -> Result<(Replace, impl FnOnce(Replaced) -> Result<u64> + Send + 'static + use<T>)> {
        let name = self.name()?;
        let item = encoded(&name, value)?;
        let replace = Replace { list: name.clone(), index, item, expected };
        let means = move |replaced| match replaced {
            Replaced::Done { version, .. } => Ok(version),
            Replaced::Missing { count } => Err(Error::NoItem { list: name.to_string(), index, count }),
            Replaced::Conflict { actual } => Err(conflict(&name, index, expected.unwrap_or(0), actual)),
        };
        Ok((replace, means))
    }

    /// Items to put somewhere; the index of the first, and how many there are then.
    #[expect(clippy::type_complexity, reason = "an operation and what its outcome means")]
    fn inserting<V: Borrow<T>, I: IntoIterator<Item = V>>(
        &self,
        at: At,
        values: I,
    ) -> Result<(Insert, impl FnOnce(Inserted) -> Result<(u64, u64)> + Send + 'static + use<T, V, I>)> {
        let name = self.name()?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        for value in values {
            let item = encoded(&name, value.borrow())?;
            bytes += item.data.bytes().len();
            items.push(item);
            limits::check_size("an insert, in items,", items.len(), limits::ITEMS_PER_INSERT)?;
            limits::check_size("an insert, in bytes,", bytes, limits::INSERT_BYTES)?;
        }
        let insert = Insert { list: name.clone(), at, items };
        let index = match at {
            At::Index(index) => index,
            At::End(_) => 0,
        };
        let means = move |inserted| match inserted {
            Inserted::Done { index, count, .. } => Ok((index, count)),
            Inserted::Missing { count } => Err(Error::NoItem { list: name.to_string(), index, count }),
        };
        Ok((insert, means))
    }
}

/// An item as it is stored, with every limit checked.
fn encoded(name: &Name, value: &impl Serialize) -> Result<NewItem> {
    let json = codec::to_json(&format_args!("an item of list \"{name}\""), value)?;
    limits::check_size("the item of a list, in bytes,", json.len(), limits::ITEM_BYTES)?;
    Ok(NewItem { data: Data::Json(json), schema: 1 })
}

impl<T: DeserializeOwned> List<T> {
    /// The item with an index, counted from the back if it is negative; `None` if there is none.
    ///
    /// # Errors
    /// A bad name; [`Error::Decode`] if it is no `T`; [`Error::Corrupt`] if it, or the order that leads to it, is damaged; what the
    /// database said.
    pub async fn get(&self, index: i64) -> Result<Option<Item<T>>> {
        self.found(index, self.runtime.read(self.look(index)?).await?)
    }

    /// The same for a thread that waits.
    pub(crate) fn get_blocking(&self, index: i64) -> Result<Option<Item<T>>> {
        self.found(index, self.runtime.read_blocking(self.look(index)?)?)
    }

    fn look(
        &self,
        index: i64,
    ) -> Result<impl FnOnce(&mut dyn View) -> Result<Page> + Send + 'static + use<T>> {
        let query = Query { list: self.name()?, from: index, limit: 1 };
        Ok(move |view: &mut dyn View| view.list_page(&query))
    }

    fn found(&self, index: i64, page: Page) -> Result<Option<Item<T>>> {
        // Of a list that is shorter the page begins at an end.
        match (millpond_actors::storage::list::within(index, page.count), page.items.into_iter().next()) {
            (Some(index), Some(item)) => Item::of(&self.name()?, index, item?).map(Some),
            _ => Ok(None),
        }
    }

    /// The items between two indexes, in their order: `items(..)` all of them, `items(-10..)` the last ten. Nothing is read before the
    /// first is asked for.
    pub fn items(&self, range: impl RangeBounds<i64>) -> Items<T> {
        Items::new(&self.runtime, self.name(), &range)
    }

    /// Removes the item with an index, and gives it.
    ///
    /// # Errors
    /// [`Error::NoItem`] if there is none; [`Error::Corrupt`] if it is damaged (whoever wants to be rid of it [replaces](List::set) it
    /// first); [`Error::Busy`]; what the database said. Nothing is removed then. [`Error::Decode`] if it is no `T`: it is removed all
    /// the same.
    pub async fn remove(&self, index: i64) -> Result<Item<T>> {
        let (remove, means) = self.removing(index, None)?;
        means(self.runtime.write(remove).await?)
    }

    /// Removes the item of this [version](Item::version), if it is still the one with this index.
    ///
    /// # Errors
    /// [`Error::ItemConflict`] if there is another one; as [`remove`](List::remove).
    pub async fn remove_if(&self, index: i64, version: u64) -> Result<Item<T>> {
        let (remove, means) = self.removing(index, Some(version))?;
        means(self.runtime.write(remove).await?)
    }

    /// The same for a thread that waits, whatever version is expected.
    pub(crate) fn remove_blocking(&self, index: i64, expected: Option<u64>) -> Result<Item<T>> {
        let (remove, means) = self.removing(index, expected)?;
        means(self.runtime.write_blocking(remove)?)
    }

    fn removing(
        &self,
        index: i64,
        expected: Option<u64>,
    ) -> Result<(Remove, impl FnOnce(Removed) -> Result<Item<T>> + Send + 'static + use<T>)> {
        let name = self.name()?;
        let remove = Remove { list: name.clone(), index, expected };
        let means = move |removed| match removed {
            Removed::Done { item, index, .. } => Item::of(&name, index, item),
            Removed::Missing { count } => Err(Error::NoItem { list: name.to_string(), index, count }),
            Removed::Conflict { actual } => Err(conflict(&name, index, expected.unwrap_or(0), actual)),
        };
        Ok((remove, means))
    }
}

impl Inspector {
    /// Up to `limit` lists that were ever used, by name, those behind `after`.
    ///
    /// # Errors
    /// What the database said.
    pub async fn lists(&self, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
        let after = after.map(str::to_owned);
        self.runtime.read(move |view| view.lists(after.as_deref(), limit)).await
    }
}

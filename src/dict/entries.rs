//! The entries of a dict, by key, read page by page while they are looked at.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::clock::Clock;
use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::dict::{Entry as Record, Query};

use super::entry::Entry;
use super::seal::{self, Vault};
use crate::filter::Where;
use crate::paging::{Leaf, Paged, Pages};

/// A query, and the clock that says what is still there.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    query: Query,
    clock: Arc<dyn Clock>,
    /// Whether the dict is taken for a sealed one.
    sealed: bool,
}

impl Paged for Walk {
    type Record = Record;
    type Place = String;

    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Record, String>> {
        if self.query.after.is_none() {
            seal::check(view, &self.query.dict, self.sealed)?;
        }
        let page = view.dict_page(&Query { limit: most, ..self.query.clone() }, self.clock.now())?;
        Ok(Leaf { records: page.entries, last: page.last, more: page.more })
    }

    fn page_rows(&self) -> u32 {
        self.query.limit
    }

    fn move_behind(&mut self, last: String) -> bool {
        self.query.after = Some(last.into());
        false
    }
}

/// Entries of a [`Dict`](crate::Dict) in the order of their keys, read from the store page by page while they are looked at. A
/// consumer that stops reading stops the reading; one that is slow holds two pages at most.
///
/// Each page is a snapshot of its moment: what is put behind what was read is seen, what is put before it is not. An entry that is
/// damaged or cannot be decoded is an error in its place, and the stream goes on behind it; after any other error it has ended.
///
/// The methods that choose what to read have to be called before the first entry is asked for.
#[must_use = "nothing is read until entries are asked for"]
pub struct Entries<T> {
    name: Result<Name>,
    pages: Pages<Walk>,
    vault: Option<Arc<Vault>>,
    values: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl<T> Entries<T> {
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        name: Result<Name>,
        vault: Option<Arc<Vault>>,
        prefix: &str,
    ) -> Entries<T> {
        let (clock, sealed) = (Arc::clone(&runtime.seams().clock), vault.is_some());
        let query = name.clone().map(|dict| {
            let (prefix, limit) = (prefix.into(), limits::PAGE_ROWS);
            let query = Query { dict, prefix, after: None, backward: false, filter: None, limit };
            Walk { query, clock, sealed }
        });
        Entries { name, pages: Pages::new(runtime, query), vault, values: PhantomData }
    }

    fn change(self, change: impl FnOnce(&mut Query)) -> Entries<T> {
        Entries { pages: self.pages.change(|walk| change(&mut walk.query)), ..self }
    }

    /// Only those behind this key, in the order in which they come.
    pub fn after(self, key: impl AsRef<str>) -> Entries<T> {
        self.change(|query| query.after = Some(key.as_ref().into()))
    }

    /// The last key first.
    pub fn last_first(self) -> Entries<T> {
        self.change(|query| query.backward = true)
    }

    /// Only those whose values are so. It is looked at where the entries are read, before they are decoded; an
    /// [index](crate::Dict::index) leads to them, if there is one that can, and what is found is the same with one as without. One
    /// page looks at 16,384 entries at most that are left out.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Store, field};
    /// # futures_executor::block_on(async {
    /// let prices = Store::memory().await?.dict::<f64>("prices");
    /// for (key, price) in [("lamp", 7.0), ("chair", 70.0), ("desk", 700.0)] {
    ///     prices.set(key, &price).await?;
    /// }
    /// let mut dear = prices.entries("").matching(field(".").at_least(70));
    /// assert_eq!(dear.next().await.expect("two of them")?.key(), "chair");
    /// # Ok::<(), millpond::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn matching(self, filter: Where) -> Entries<T> {
        let (filter, checked) = filter.split();
        let entries = Entries { pages: self.pages.check(checked), ..self };
        entries.change(|query| query.filter = filter)
    }

    /// At most so many entries.
    pub fn limit(self, limit: u64) -> Entries<T> {
        Entries { pages: self.pages.limit(limit), ..self }
    }
}

impl<T: DeserializeOwned> Entries<T> {
    /// The next entry; `None` at the end.
    ///
    /// Cancel-safe: a dropped future loses no entry.
    pub async fn next(&mut self) -> Option<Result<Entry<T>>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next entry for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Entry<T>>> {
        let found = self.pages.next_blocking()?;
        Some(self.decode(found))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Entry<T>>>> {
        self.pages.poll_next(context).map(|found| found.map(|found| self.decode(found)))
    }

    fn decode(&self, found: Result<Record>) -> Result<Entry<T>> {
        match &self.name {
            Ok(name) => Entry::of(name, self.vault.as_deref(), found?),
            Err(error) => Err(error.clone()),
        }
    }
}

impl<T: DeserializeOwned> Stream for Entries<T> {
    type Item = Result<Entry<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

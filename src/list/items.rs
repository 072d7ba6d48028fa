//! The items of a list, read page by page while they are looked at.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::View;
use millpond_actors::storage::list::{Query, clamped};

use super::item::{Item, Record};
use crate::paging::{Leaf, Paged, Pages};

/// A range of a list. Where it ends is told by the first page, which knows how many items there are.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    query: Query,
    to: Option<i64>,
}

/// An item's index, and what is there.
type Placed = (u64, Result<Record>);

impl Paged for Walk {
    type Record = Placed;
    /// Where to go on, and where the range ends.
    type Place = (i64, Option<i64>);

    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Placed, (i64, Option<i64>)>> {
        let page = view.list_page(&Query { limit: most, ..self.query.clone() })?;
        let end = self.to.map_or(page.count, |to| clamped(to, page.count));
        let wanted = end.saturating_sub(page.first).min(u64::from(most)) as usize;
        let read = page.items.len();
        let placed = (page.first..).zip(page.items).take(wanted).map(Ok);
        let records: Vec<_> = placed.collect();
        let next = page.first + read as u64;
        let to = self.to.map(|_| end.cast_signed());
        Ok(Leaf { records, last: Some((next.cast_signed(), to)), more: read > 0 && next < end })
    }

    fn page_rows(&self) -> u32 {
        self.query.limit
    }

    fn move_behind(&mut self, (next, to): (i64, Option<i64>)) -> bool {
        (self.query.from, self.to) = (next, to);
        false
    }
}

/// The bounds of a range, the second of which is behind its end; `None` if that is the end of the list.
pub(super) fn bounds(range: &impl RangeBounds<i64>) -> (i64, Option<i64>) {
    // The place behind the last item is that of the whole list.
    let behind = |index: &i64| if *index == -1 { None } else { Some(index.saturating_add(1)) };
    let from = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => behind(index).unwrap_or(i64::MAX),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(index) => behind(index),
        Bound::Excluded(index) => Some(*index),
        Bound::Unbounded => None,
    };
    (from, to)
}

/// Items of a [`List`](crate::List), in their order, read from the store page by page while they are looked at. A consumer that stops
/// reading stops the reading; one that is slow holds two pages at most.
///
/// Each page of up to 1,000 items is a snapshot of its moment, and the next one goes on at the index behind it: if somebody puts or
/// removes items in front of that meanwhile, some come twice or not at all. An item that is damaged or cannot be decoded is an error
/// in its place, and the stream goes on behind it; after any other error it has ended.
#[must_use = "nothing is read until items are asked for"]
pub struct Items<T> {
    name: Result<Name>,
    pages: Pages<Walk>,
    values: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl<T> Items<T> {
    pub(super) fn new(runtime: &Arc<Runtime>, name: Result<Name>, range: &impl RangeBounds<i64>) -> Items<T> {
        let (from, to) = bounds(range);
        let query =
            name.clone().map(|list| Walk { query: Query { list, from, limit: limits::PAGE_ROWS }, to });
        Items { name, pages: Pages::new(runtime, query), values: PhantomData }
    }

    /// At most so many items.
    pub fn limit(self, limit: u64) -> Items<T> {
        Items { pages: self.pages.limit(limit), ..self }
    }
}

impl<T: DeserializeOwned> Items<T> {
    /// The next item; `None` at the end.
    ///
    /// Cancel-safe: a dropped future loses no item.
    pub async fn next(&mut self) -> Option<Result<Item<T>>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// The next item for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Item<T>>> {
        let found = self.pages.next_blocking()?;
        Some(self.decode(found))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Item<T>>>> {
        self.pages.poll_next(context).map(|found| found.map(|found| self.decode(found)))
    }

    fn decode(&self, found: Result<Placed>) -> Result<Item<T>> {
        let (index, record) = found?;
        match &self.name {
            Ok(name) => Item::of(name, index, record?),
            Err(error) => Err(error.clone()),
        }
    }
}

impl<T: DeserializeOwned> Stream for Items<T> {
    type Item = Result<Item<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_told_by_where_it_begins_and_what_is_behind_it() {
        assert_eq!(bounds(&(..)), (0, None));
        assert_eq!(bounds(&(2..5)), (2, Some(5)));
        assert_eq!(bounds(&(-10..)), (-10, None));
        assert_eq!(bounds(&(-10..=-1)), (-10, None));
        assert_eq!(bounds(&(..=-2)), (0, Some(-1)));
        assert_eq!(bounds(&(..=i64::MAX)), (0, Some(i64::MAX)));
    }
}

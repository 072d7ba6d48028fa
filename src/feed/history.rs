//! What is kept of a log or a channel: a stream that reads page by page and one page ahead.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::View;
use millpond_actors::storage::feed::{Kind, Message as Record, Query};

use super::{Feed, Message};
use crate::filter::Where;
use crate::paging::{Leaf, Paged, Pages};

impl Paged for Query {
    type Record = Record;
    type Place = u64;

    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Record>> {
        let page = view.feed_page(&Query { limit: most, ..self.clone() })?;
        let records = page.messages.into_iter().map(|(_, message)| message).collect();
        Ok(Leaf { records, last: page.last, more: page.more })
    }

    fn page_rows(&self) -> u32 {
        self.limit
    }

    fn move_behind(&mut self, last: u64) -> bool {
        if self.backward {
            self.to = last.saturating_sub(1);
            return last <= self.from.max(1);
        }
        self.from = last.saturating_add(1);
        false
    }
}

/// Messages that are kept, in order, read from the store page by page while they are looked at. A consumer that stops
/// reading stops the reading; one that is slow holds two pages at most.
///
/// Each page is a snapshot: what is appended while one reads is seen at the end, what is removed meanwhile is not seen any
/// more. A message that is damaged or cannot be decoded is an error in its place, and the stream goes on behind it; after
/// any other error it has ended.
///
/// The methods that choose what to read have to be called before the first message is asked for.
#[must_use = "nothing is read until messages are asked for"]
pub struct History<T> {
    kind: Kind,
    name: Result<Name>,
    pages: Pages<Query>,
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for History<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl<T> History<T> {
    pub(super) fn new(feed: &Feed) -> History<T> {
        let (kind, limit) = (feed.kind, limits::PAGE_ROWS);
        let query = feed.name.clone().map(|name| Query {
            kind,
            name,
            backward: false,
            from: 1,
            to: limits::LAST_SEQUENCE,
            since: None,
            until: None,
            content: None,
            limit,
        });
        History { kind, name: feed.name.clone(), pages: Pages::new(&feed.runtime, query), value: PhantomData }
    }

    fn change(self, change: impl FnOnce(&mut Query)) -> History<T> {
        History { pages: self.pages.change(change), ..self }
    }

    /// Only messages of these sequences.
    pub fn range(self, range: impl RangeBounds<u64>) -> History<T> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 1,
        };
        let to = match range.end_bound() {
            Bound::Included(to) => *to,
            Bound::Excluded(behind) => behind.saturating_sub(1),
            Bound::Unbounded => limits::LAST_SEQUENCE,
        };
        self.change(|query| {
            (query.from, query.to) = (from.min(limits::LAST_SEQUENCE), to.min(limits::LAST_SEQUENCE))
        })
    }

    /// Only what was recorded at this time or later: milliseconds since 1970, as in
    /// [`Message::recorded_at_ms`].
    pub fn recorded_since(self, ms: i64) -> History<T> {
        self.change(|query| query.since = Some(ms))
    }

    /// Only what was recorded before this time, in milliseconds since 1970.
    pub fn recorded_before(self, ms: i64) -> History<T> {
        self.change(|query| query.until = Some(ms))
    }

    /// Newest first.
    pub fn newest_first(self) -> History<T> {
        self.change(|query| query.backward = true)
    }

    /// Only those whose values are so. It is looked at where they are read, before they are decoded; one page looks at 16,384 at
    /// most that are left out.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Json, Store, field};
    /// # futures_executor::block_on(async {
    /// let tokens = Store::memory().await?.log::<Json>("tokens");
    /// for (user, count) in [("ada", 20), ("bob", 7), ("ada", 22)] {
    ///     tokens.append(&[("user", Json::from(user)), ("count", count.into())].into_iter().collect()).await?;
    /// }
    /// let mut of_ada = tokens.range(..).matching(field("user").equal("ada"));
    /// let mut sum = 0;
    /// while let Some(record) = of_ada.next().await {
    ///     sum += record?["count"].as_u64().unwrap_or(0);
    /// }
    /// assert_eq!(sum, 42);
    /// # Ok::<(), millpond::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn matching(self, filter: Where) -> History<T> {
        let (content, checked) = filter.split();
        let history = History { pages: self.pages.check(checked), ..self };
        history.change(|query| query.content = content)
    }

    /// At most so many messages.
    pub fn limit(self, limit: u64) -> History<T> {
        History { pages: self.pages.limit(limit), ..self }
    }
}

impl<T: DeserializeOwned> History<T> {
    /// The next message; `None` at the end.
    ///
    /// Cancel-safe: a dropped future loses no message.
    pub async fn next(&mut self) -> Option<Result<Message<T>>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next message for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Message<T>>> {
        let found = self.pages.next_blocking()?;
        Some(self.decode(found))
    }

    fn decode(&self, found: Result<Record>) -> Result<Message<T>> {
        found
            .and_then(|record| Message::decode(self.kind, self.name.as_ref().map_err(Error::clone)?, &record))
    }
}

impl<T: DeserializeOwned> Stream for History<T> {
    type Item = Result<Message<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Message<T>>>> {
        let found = self.pages.poll_next(context);
        found.map(|found| found.map(|found| self.decode(found)))
    }
}

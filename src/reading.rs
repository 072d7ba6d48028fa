//! Events as they come back: a stream that reads page by page and one page ahead.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::stream::{Filter, Query, Recorded as Record, Scope};
use millpond_actors::storage::{Data, Origin as Kept, View};

use crate::codec;
use crate::filter::Where;
use crate::origin::Origin;
use crate::paging::{Leaf, Paged, Pages};

/// An event as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded(Record);

impl Recorded {
    pub(crate) fn of(record: Record) -> Recorded {
        Recorded(record)
    }

    /// Its place in the whole store.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.0.position
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        self.0.stream.as_str()
    }

    /// Its place in its stream.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.0.event_type
    }

    /// The version of its content's shape.
    #[must_use]
    pub fn schema(&self) -> u32 {
        self.0.schema
    }

    /// When it was recorded, milliseconds since 1970. It never decreases from one position to the next.
    #[must_use]
    pub fn recorded_at_ms(&self) -> i64 {
        self.0.recorded_at
    }

    /// When it happened according to its source, as it was given.
    #[must_use]
    pub fn at(&self) -> Option<&str> {
        self.0.at.as_deref()
    }

    /// What else is known about it, as JSON text.
    #[must_use]
    pub fn metadata(&self) -> Option<&str> {
        self.0.metadata.as_deref()
    }

    /// What it belongs to; see [`Origin`].
    #[must_use]
    pub fn correlation(&self) -> Option<Uuid> {
        self.origin()?.correlation
    }

    /// What has led to it directly: an event or a command.
    #[must_use]
    pub fn causation(&self) -> Option<Uuid> {
        self.origin()?.causation
    }

    /// On whose behalf it was recorded.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.origin()?.actor.as_deref()
    }

    /// For which tenant.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.origin()?.tenant.as_deref()
    }

    pub(crate) fn record(&self) -> &Record {
        &self.0
    }

    pub(crate) fn origin(&self) -> Option<&Kept> {
        self.0.origin.as_deref()
    }

    /// Its content as JSON text, byte for byte as it was appended; `None` if its format is another.
    #[must_use]
    pub fn json(&self) -> Option<&str> {
        match &self.0.data {
            Data::Json(text) => Some(text),
            Data::Bincode(_) | Data::Sealed(_) => None,
        }
    }

    /// Its content as a value.
    ///
    /// # Errors
    /// [`Error::Decode`](crate::Error::Decode), naming the event.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        codec::from_data(&Described(&self.0), &self.0.data)
    }

    /// Type and content together as an enum with a variant for each type.
    ///
    /// # Errors
    /// [`Error::Decode`](crate::Error::Decode), naming the event and its type.
    pub fn decode_event<E: DeserializeOwned>(&self) -> Result<E> {
        decode_event(&self.0)
    }
}

impl From<&Recorded> for Origin {
    fn from(event: &Recorded) -> Origin {
        Origin::of(Kept::following(event.id(), event.origin()))
    }
}

pub(crate) fn decode_event<E: DeserializeOwned>(record: &Record) -> Result<E> {
    codec::join_event(&Described(record), &record.event_type, &record.data)
}

/// An event in the words of an error.
pub(crate) struct Described<'a>(pub(crate) &'a Record);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { version, event_type, stream, .. } = self.0;
        write!(f, "event {version} ({event_type}) of stream \"{stream}\"")
    }
}

impl Paged for Query {
    type Record = Record;
    type Place = u64;

    fn read(&self, most: u32, view: &mut dyn View) -> Result<Leaf<Record>> {
        let page = view.events(&Query { limit: most, ..self.clone() })?;
        Ok(Leaf { records: page.events, last: page.last, more: page.more })
    }

    fn page_rows(&self) -> u32 {
        self.limit
    }

    fn move_behind(&mut self, last: u64) -> bool {
        if self.backward {
            self.to = last.saturating_sub(1);
            return last <= self.from;
        }
        self.from = last.saturating_add(1);
        false
    }
}

/// Events in order, read from the store page by page while they are looked at. A consumer that stops reading
/// stops the reading; one that is slow holds two pages at most.
///
/// Each page is a snapshot: what is appended while one reads is seen at the end. A damaged record is an error in
/// its place, and the stream goes on behind it; after any other error it has ended.
///
/// The methods that choose what to read have to be called before the first event is asked for.
#[derive(Debug)]
#[must_use = "nothing is read until events are asked for"]
pub struct EventStream {
    pages: Pages<Query>,
}

impl EventStream {
    pub(crate) fn new(runtime: &Arc<Runtime>, scope: Result<Scope>) -> EventStream {
        let limit = limits::PAGE_ROWS;
        let query = scope.map(|scope| Query {
            scope,
            backward: false,
            from: 1,
            to: limits::LAST_SEQUENCE,
            filter: Filter::default(),
            limit,
        });
        EventStream { pages: Pages::new(runtime, query) }
    }

    pub(crate) fn change(self, change: impl FnOnce(&mut Query)) -> EventStream {
        EventStream { pages: self.pages.change(change) }
    }

    /// From this version (of a stream) or position (else) on, inclusive.
    pub fn from(self, first: u64) -> EventStream {
        self.change(|query| query.from = first.min(limits::LAST_SEQUENCE))
    }

    /// From behind this version or position on.
    pub fn after(self, seen: u64) -> EventStream {
        self.from(seen.saturating_add(1))
    }

    /// Up to this version or position, inclusive.
    pub fn to(self, last: u64) -> EventStream {
        self.change(|query| query.to = last.min(limits::LAST_SEQUENCE))
    }

    /// Newest first.
    pub fn backward(self) -> EventStream {
        self.change(|query| query.backward = true)
    }

    /// Only events of this type.
    pub fn event_type(self, event_type: impl Into<String>) -> EventStream {
        self.event_types([event_type])
    }

    /// Only events of these types, at most 100 of them; none of them is all types. A type that no event has is no error.
    pub fn event_types(self, types: impl IntoIterator<Item = impl Into<String>>) -> EventStream {
        let types: Vec<String> = types.into_iter().map(Into::into).collect();
        let checked = limits::check_size("the types to read", types.len(), limits::TYPES_PER_READ);
        EventStream { pages: self.pages.check(checked) }.change(|query| query.filter.types = types)
    }

    /// Only events of this [tenant](Origin::tenant). An index leads to them.
    pub fn tenant(self, tenant: impl Into<String>) -> EventStream {
        let tenant = tenant.into();
        self.change(|query| query.filter.tenant = Some(tenant))
    }

    /// Only what was recorded at this time or later, in milliseconds since 1970, as in [`Recorded::recorded_at_ms`]. The
    /// first such event is found in as many looks as the number of events has binary digits.
    pub fn recorded_since(self, ms: i64) -> EventStream {
        self.change(|query| query.filter.since = Some(ms))
    }

    /// Only what was recorded before this time, in milliseconds since 1970.
    pub fn recorded_before(self, ms: i64) -> EventStream {
        self.change(|query| query.filter.until = Some(ms))
    }

    /// Only events whose content is so, as JSON: that of a variant with one value is that value, of one with fields an object. It is
    /// looked at where they are read, before they are decoded; one page looks at 16,384 at most that are left out. Whoever
    /// [follows](EventStream::follow) them, or [projects](crate::Projection) them, gets no others either.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Event, Expected, Json, Store, field};
    /// # futures_executor::block_on(async {
    /// let events = Store::memory().await?.events();
    /// for (stream, cents) in [("account-1", 500), ("account-2", 7)] {
    ///     let content = [("cents", cents)].into_iter().map(|(key, cents)| (key, Json::from(cents))).collect::<Json>();
    ///     events.append(stream, Expected::Any, [Event::new("Deposited", &content)?]).await?;
    /// }
    /// let mut large = events.read_category("account").matching(field("cents").at_least(100));
    /// assert_eq!(large.next().await.expect("one")?.stream(), "account-1");
    /// assert!(large.next().await.is_none());
    /// # Ok::<(), millpond::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn matching(self, filter: Where) -> EventStream {
        let (content, checked) = filter.split();
        EventStream { pages: self.pages.check(checked) }.change(|query| query.filter.content = content)
    }

    /// At most so many events, counted after filtering.
    pub fn limit(self, limit: u64) -> EventStream {
        EventStream { pages: self.pages.limit(limit) }
    }

    pub(crate) fn of(runtime: &Arc<Runtime>, query: Query) -> EventStream {
        EventStream { pages: Pages::new(runtime, Ok(query)) }
    }

    /// What is asked for, for somebody of this store who begins where he wants to and goes on without end.
    pub(crate) fn endless(&self, runtime: &Arc<Runtime>) -> Result<Query> {
        let refused = |reason: &str| {
            Err(Error::InvalidArgument { what: "the events of a projector".into(), reason: reason.into() })
        };
        let query = self.pages.query()?;
        match query.scope {
            _ if !Arc::ptr_eq(self.pages.runtime(), runtime) => refused("they are of another store"),
            _ if query.backward => refused("they are read newest first, and have no end to go on at"),
            _ if query.from != 1 || query.to != limits::LAST_SEQUENCE || self.pages.is_limited() => {
                refused("where they begin is told by the checkpoint, and they have no end")
            }
            Scope::Stream(_) => {
                refused("they are of one stream; read its category, and leave out the others")
            }
            Scope::Category(_) | Scope::All => Ok(query.clone()),
        }
    }

    pub(crate) fn pages(&mut self) -> &mut Pages<Query> {
        &mut self.pages
    }

    /// The next event; `None` at the end.
    ///
    /// Cancel-safe: a dropped future loses no event.
    pub async fn next(&mut self) -> Option<Result<Recorded>> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next event for a thread that waits.
    pub(crate) fn next_blocking(&mut self) -> Option<Result<Recorded>> {
        self.pages.next_blocking().map(|found| found.map(Recorded))
    }
}

impl Stream for EventStream {
    type Item = Result<Recorded>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Recorded>>> {
        self.pages.poll_next(context).map(|found| found.map(|found| found.map(Recorded)))
    }
}

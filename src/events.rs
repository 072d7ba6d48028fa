//! Streams of events: append with an expected version, read page by page.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use millpond_actors::clock::SystemRng;
use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::Data;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::stream::{
    self, Import, Imported as Outcome, NewEvent, Recorded as Record, Scope,
};
use millpond_actors::stream::{Append, placed};

use crate::batch::{Batch, Slot};
use crate::codec;
use crate::lock::LockGuard;
use crate::origin::Origin;
use crate::reading::{EventStream, Recorded};

/// All streams of a store. A handle: cheap to clone, no I/O to make one.
///
/// A stream is named `category-id`: what stands before the first `-` is its category, and a name without one is
/// its own. Within a stream events have a **version**, dense from 1; in the whole store a **position**, dense
/// from 1, in the order of the commits. A reader never sees position *n + 1* before *n* exists.
///
/// # Examples
/// ```
/// use millpond::{Event, Expected, Store};
/// # futures_executor::block_on(async {
/// let events = Store::memory().await?.events();
/// let opened = Event::new("Opened", &serde_json::json!({"by": "Ada"}))?;
/// let appended = events.append("permit-7", Expected::NoStream, [opened]).await?;
/// assert_eq!((appended.version, appended.position), (1, 1));
/// let mut stream = events.read_stream("permit-7");
/// let first = stream.next().await.expect("one event")?;
/// assert_eq!(first.event_type(), "Opened");
/// # Ok::<(), millpond::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Events {
    pub(crate) runtime: Arc<Runtime>,
    fence: Option<Fence>,
}

/// Where appended events have their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Version of the last of them, which is the stream's version.
    pub version: u64,
    /// Position of the last of them in the whole store.
    pub position: u64,
    /// They had all been appended before, by their ids; nothing was written now.
    pub repeated: bool,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Events added.
    pub added: u64,
    /// Events that were there already, by their ids.
    pub known: u64,
}

impl Events {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Events {
        Events { runtime, fence: None }
    }

    /// The same streams, but every append through this handle is applied only while `guard`'s lock is held: its
    /// token is compared inside the same transaction, and a stale one is [`Error::Fenced`].
    #[must_use]
    pub fn guarded_by(&self, guard: &LockGuard) -> Events {
        Events { runtime: Arc::clone(&self.runtime), fence: Some(guard.fence()) }
    }

    /// Appends events to one stream, all or none. `Ok` means: on disk.
    ///
    /// The ids are looked at first: if all of `events` carry ids of their own ([`Event::id`]) and are all in this
    /// stream already, in this order and without others in between, this is a repetition, and the numbers of the
    /// first time come back. So an append of unknown fate can simply be sent again. Then `expected` is compared
    /// with the stream; [`Expected::Any`] never conflicts.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the actual version; [`Error::DuplicateEvent`] if only some of the ids are known;
    /// [`Error::Fenced`]; a bad name or no events; [`Error::TooLarge`]; [`Error::Busy`]; what the database said.
    pub async fn append(
        &self,
        stream: impl AsRef<str>,
        expected: Expected,
        events: impl Into<Vec<Event>>,
    ) -> Result<Appended> {
        let (name, events, known_ids) = self.prepare(stream.as_ref(), events.into())?;
        let fence = self.fence.clone();
        let streams = self.runtime.streams();
        let append = |reply, passage| {
            streams.append(&name, Append { expected, events, known_ids, fence, reply, passage });
        };
        let outcome = self.runtime.enter_and(append).await?;
        placed(&name, expected, self.fence.as_ref(), &outcome).map(Appended::from)
    }

    /// The same for a thread that waits.
    pub(crate) fn append_blocking(
        &self,
        stream: &str,
        expected: Expected,
        events: Vec<Event>,
    ) -> Result<Appended> {
        let (name, events, known_ids) = self.prepare(stream, events)?;
        let fence = self.fence.clone();
        let streams = self.runtime.streams();
        let append = |reply, passage| {
            streams.append(&name, Append { expected, events, known_ids, fence, reply, passage });
        };
        let outcome = self.runtime.enter_and_wait(append)?;
        placed(&name, expected, self.fence.as_ref(), &outcome).map(Appended::from)
    }

    /// Checks everything about an append before it is sent; the ids are given here to events without one.
    fn prepare(&self, stream: &str, events: Vec<Event>) -> Result<(Name, Vec<NewEvent>, bool)> {
        let name = Name::new(stream)?;
        if events.is_empty() {
            let what = format!("an append to stream \"{name}\"");
            return Err(Error::InvalidArgument {
                what,
                reason: "it is empty: there are no events in it".into(),
            });
        }
        let known_ids = events.iter().any(|event| event.id.is_some());
        Ok((name, self.records(events)?, known_ids))
    }

    fn records(&self, events: Vec<Event>) -> Result<Vec<NewEvent>> {
        limits::check_size("the append in events", events.len(), limits::EVENTS_PER_APPEND)?;
        let bytes = events.iter().map(|event| event.data.bytes().len()).sum();
        limits::check_size("the append in bytes", bytes, limits::APPEND_BYTES)?;
        events.into_iter().map(|event| event.record(&*self.runtime.seams().rng)).collect()
    }

    /// Adds events of any streams in their order, all or none; those whose id is in their stream already are
    /// left out. Every event needs an id of its own. This is what `millpond events import` does a chunk.
    ///
    /// # Errors
    /// [`Error::DuplicateEvent`] if an id is taken by an event of another stream; [`Error::InvalidArgument`] if
    /// an event has no id; otherwise as [`append`](Events::append).
    pub async fn import(&self, events: impl Into<Vec<(String, Event)>>) -> Result<Imported> {
        let (import, streams) = self.prepare_import(events.into())?;
        imported(self.runtime.write(import).await?, &streams)
    }

    /// The same for a thread that waits.
    pub(crate) fn import_blocking(&self, events: Vec<(String, Event)>) -> Result<Imported> {
        let (import, streams) = self.prepare_import(events)?;
        imported(self.runtime.write_blocking(import)?, &streams)
    }

    fn prepare_import(&self, events: Vec<(String, Event)>) -> Result<(Import, Vec<Name>)> {
        let (streams, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
        if events.iter().any(|event| event.id.is_none()) {
            let reason = "every event of an import needs an id, so that it can be repeated".to_owned();
            return Err(Error::InvalidArgument { what: "an import".into(), reason });
        }
        let streams: Vec<Name> = streams.iter().map(Name::new).collect::<Result<_>>()?;
        let events = streams.iter().cloned().zip(self.records(events)?).collect();
        Ok((Import { events }, streams))
    }

    /// The events of one stream, by version, oldest first. Nothing is read before the first is asked for.
    pub fn read_stream(&self, stream: impl AsRef<str>) -> EventStream {
        EventStream::new(&self.runtime, Name::new(stream).map(Scope::Stream))
    }

    /// The events of all streams of a category, by position.
    pub fn read_category(&self, category: impl AsRef<str>) -> EventStream {
        EventStream::new(&self.runtime, Ok(Scope::Category(category.as_ref().to_owned())))
    }

    /// All events of the store, by position.
    pub fn read_all(&self) -> EventStream {
        EventStream::new(&self.runtime, Ok(Scope::All))
    }

    /// Position of the last event of the store; 0 if there is none.
    ///
    /// # Errors
    /// What the database said.
    pub async fn head(&self) -> Result<u64> {
        self.runtime.read(|view| view.head()).await
    }

    /// The event with this id; `None` if there is none. An index leads to it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged; what the database said.
    pub async fn find(&self, id: Uuid) -> Result<Option<Recorded>> {
        let found = self.runtime.read(move |view| view.event(&id)).await?;
        Ok(found.filter(|found| !found.is_erased()).map(Recorded::of))
    }

    /// Version of a stream; 0 if it does not exist.
    ///
    /// # Errors
    /// A bad name; what the database said.
    pub async fn version(&self, stream: impl AsRef<str>) -> Result<u64> {
        let name = Name::new(stream)?;
        Ok(self.runtime.read(move |view| view.stream(&name)).await?.map_or(0, |head| head.version))
    }
}

impl Batch {
    /// Adds an append of events to one stream, as [`Events::append`] makes it.
    ///
    /// # Errors
    /// A bad name or no events; [`Error::TooLarge`]. Nothing is added then.
    pub fn append(
        &mut self,
        stream: impl AsRef<str>,
        expected: Expected,
        events: impl Into<Vec<Event>>,
    ) -> Result<Slot<Appended>> {
        let store = Events::new(Arc::clone(self.runtime()));
        let (name, events, known_ids) = store.prepare(stream.as_ref(), events.into())?;
        let bytes = events.iter().map(|event| event.data.bytes().len()).sum();
        let part = store.runtime.streams().part(&name, expected, events, known_ids);
        let means = move |outcome| placed(&name, expected, None, &outcome).map(Appended::from);
        self.add::<stream::Append, _>(&store.runtime, (part, bytes), means)
    }
}

fn imported(outcome: Outcome, streams: &[Name]) -> Result<Imported> {
    let named = |index: usize| streams.get(index).map(Name::to_string).unwrap_or_default();
    match outcome {
        Outcome::Done { added, known, .. } => Ok(Imported { added, known }),
        Outcome::Duplicate { index, id } => Err(Error::DuplicateEvent { stream: named(index), id }),
        Outcome::Closed { index } => Err(Error::StreamClosed { stream: named(index) }),
    }
}

impl From<millpond_actors::stream::Placed> for Appended {
    fn from(placed: millpond_actors::stream::Placed) -> Appended {
        Appended { version: placed.version, position: placed.position, repeated: placed.repeated }
    }
}

/// An event to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    id: Option<Uuid>,
    event_type: Cow<'static, str>,
    data: Data,
    schema: u32,
    at: Option<String>,
    metadata: Option<Cow<'static, str>>,
    origin: Origin,
}

impl Event {
    /// An event of this type with this content, as JSON.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn new(event_type: impl Into<Cow<'static, str>>, data: &impl Serialize) -> Result<Event> {
        let event_type = event_type.into();
        let data = codec::to_json(&format_args!("event \"{event_type}\""), data)?;
        Ok(Event::of(event_type, data))
    }

    /// An event whose content is JSON text already; it is kept as it is, byte for byte.
    ///
    /// # Errors
    /// [`Error::Encode`] if it is not JSON.
    pub fn from_json(event_type: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Result<Event> {
        let (event_type, text) = (event_type.into(), text.into());
        codec::check_json(&format_args!("event \"{event_type}\""), &text)?;
        Ok(Event::of(event_type, text))
    }

    /// Of a content that is known to be JSON.
    pub(crate) fn of(event_type: Cow<'static, str>, json: String) -> Event {
        let (data, origin) = (Data::Json(json), Origin::new());
        Event { id: None, event_type, data, schema: 1, at: None, metadata: None, origin }
    }

    /// Gives it an id of the caller's, which makes an append of it repeatable. Without, it gets a new one.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Event {
        self.id = Some(id);
        self
    }

    /// When it happened according to its source, kept verbatim; order is always the version, never this.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Event {
        self.at = Some(at.into());
        self
    }

    /// What else is known about it, as JSON text, kept verbatim.
    #[must_use]
    pub fn metadata(mut self, json: impl Into<Cow<'static, str>>) -> Event {
        self.metadata = Some(json.into());
        self
    }

    /// Where it comes from: what caused it, on whose behalf, for which tenant. Nothing unless set.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<Origin>) -> Event {
        self.origin = origin.into();
        self
    }

    /// The version of its content's shape; 1 unless set.
    #[must_use]
    pub fn schema(mut self, schema: u32) -> Event {
        self.schema = schema;
        self
    }

    /// This event as one that stands in a stream, for an [`EventStore`](crate::EventStore) of your own. One without an id gets
    /// a new one.
    ///
    /// # Errors
    /// As [`check`](Event::check).
    pub fn recorded(self, stream: &str, version: u64, position: u64, recorded_at: i64) -> Result<Recorded> {
        let (stream, event) = (Name::new(stream)?, self.record(&SystemRng)?);
        let NewEvent { id, event_type, data, schema, at, metadata, origin } = event;
        let (event_type, metadata) = (event_type.into_owned(), metadata.map(Cow::into_owned));
        let record = Record {
            position,
            stream,
            version,
            id,
            event_type,
            data,
            schema,
            recorded_at,
            at,
            metadata,
            origin,
        };
        Ok(Recorded::of(record))
    }

    /// Whether it could be appended to a stream of this name: names, sizes and metadata are as they must be. An
    /// append looks at the same; this is for who wants to know which of many events would be refused.
    ///
    /// # Errors
    /// [`Error::InvalidName`]; [`Error::TooLarge`]; [`Error::Encode`] for metadata that is not JSON.
    pub fn check(&self, stream: impl AsRef<str>) -> Result<()> {
        Name::new(stream)?;
        self.check_limits()
    }

    fn check_limits(&self) -> Result<()> {
        name::check("event type", &self.event_type, limits::EVENT_TYPE_BYTES)?;
        let metadata = self.metadata.as_deref();
        let sizes = [
            ("the event's data in bytes", self.data.bytes().len(), limits::EVENT_BYTES),
            ("the event's metadata in bytes", metadata.map_or(0, str::len), limits::METADATA_BYTES),
            ("the event's time in bytes", self.at.as_ref().map_or(0, String::len), limits::NAME_BYTES),
        ];
        for (what, size, limit) in sizes {
            limits::check_size(what, size, limit)?;
        }
        self.origin.check()?;
        metadata.map_or(Ok(()), |metadata| codec::check_json("the event's metadata", metadata))
    }

    /// As the storage takes it, with every limit checked.
    fn record(self, rng: &dyn millpond_actors::clock::Rng) -> Result<NewEvent> {
        self.check_limits()?;
        let Event { id, event_type, data, schema, at, metadata, origin } = self;
        let (id, origin) = (id.unwrap_or_else(|| rng.uuid()), origin.kept()?);
        Ok(NewEvent { id, event_type, data, schema, at, metadata, origin })
    }
}

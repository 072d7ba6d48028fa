//! What a log and a channel have in common: a message, what is kept, and the untyped handle that both are made of.

mod cursor;
mod history;
mod live;
mod subscription;

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millpond_actors::clock::millis;
use millpond_actors::error::{Error, Result};
use millpond_actors::feed::Append;
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::feed::{
    self as storage, Appended, Head, Kind, Message as Record, NewMessage, Retain, Retention as Bounds, Trim,
    Trimmed,
};
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::{Data, Target};

pub(crate) use self::cursor::Cursor;
pub use self::history::History;
pub use self::live::Live;
pub use self::subscription::Subscription;
use crate::batch::{Batch, Slot};
use crate::codec;
use crate::lock::LockGuard;

/// A message of a channel, or a record of a log, with what is known about it. It can be used as the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<T> {
    name: Name,
    value: T,
    sequence: u64,
    recorded_at: i64,
    schema: u32,
    key: Option<String>,
    at: Option<String>,
}

impl<T> Message<T> {
    /// The value that was appended or published.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The name of its channel, or of its log.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its place: sequences start at 1, are dense, and follow the order of the commits.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was recorded, milliseconds since 1970. It never decreases from one sequence to the next; order is always
    /// the sequence.
    #[must_use]
    pub fn recorded_at_ms(&self) -> i64 {
        self.recorded_at
    }

    /// What it is about, as it was given.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// When it happened according to its source, as it was given.
    #[must_use]
    pub fn at(&self) -> Option<&str> {
        self.at.as_deref()
    }

    /// The version of its content's shape; 1 unless set.
    #[must_use]
    pub fn schema(&self) -> u32 {
        self.schema
    }
}

impl<T> Deref for Message<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: DeserializeOwned> Message<T> {
    pub(crate) fn decode(kind: Kind, name: &Name, record: &Record) -> Result<Message<T>> {
        let what = match kind {
            Kind::Log => "record",
            Kind::Channel => "message",
        };
        let Record { sequence, recorded_at, data, schema, key, at } = record;
        let value = codec::from_data(&format_args!("{what} {sequence} of {} \"{name}\"", kind.word()), data)?;
        let (name, sequence, recorded_at, schema) = (name.clone(), *sequence, *recorded_at, *schema);
        Ok(Message { name, value, sequence, recorded_at, schema, key: key.clone(), at: at.clone() })
    }
}

/// What is said about a message beside its value.
///
/// # Examples
/// ```
/// use millpond::Stamp;
/// let stamp = Stamp::new().key("order-17").at("2011-10-11T13:45:40.276+02:00");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    key: Option<String>,
    at: Option<String>,
    schema: Option<u32>,
}

impl Stamp {
    /// Nothing.
    #[must_use]
    pub fn new() -> Stamp {
        Stamp::default()
    }

    /// What it is about: 1 to 512 bytes, as a name.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Stamp {
        self.key = Some(key.into());
        self
    }

    /// When it happened according to its source, at most 512 bytes, kept verbatim. Order is always the sequence, never
    /// this.
    #[must_use]
    pub fn at(mut self, at: impl Into<String>) -> Stamp {
        self.at = Some(at.into());
        self
    }

    /// The version of its content's shape; 1 unless set.
    #[must_use]
    pub fn schema(mut self, schema: u32) -> Stamp {
        self.schema = Some(schema);
        self
    }
}

/// How much is kept. What any of the bounds excludes is removed, from the oldest on; without a bound everything is kept.
/// The newest message is always kept.
///
/// Messages are removed in the commit of an append, so nothing is removed while nothing is appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    bounds: Bounds,
}

impl Retention {
    /// Everything is kept.
    #[must_use]
    pub fn everything() -> Retention {
        Retention::default()
    }

    /// At most so many messages; at least 1.
    #[must_use]
    pub fn count(mut self, count: u64) -> Retention {
        self.bounds.count = Some(count);
        self
    }

    /// At most so many bytes of data; at least 1.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Retention {
        self.bounds.bytes = Some(bytes);
        self
    }

    /// Only what was recorded at most so long before the newest; 1 ms to 365 days.
    #[must_use]
    pub fn age(mut self, age: Duration) -> Retention {
        self.bounds.age_ms = Some(millis(age));
        self
    }

    /// So many messages are kept at most, if that is bounded.
    #[must_use]
    pub fn max_count(&self) -> Option<u64> {
        self.bounds.count
    }

    /// So many bytes of data are kept at most, if that is bounded.
    #[must_use]
    pub fn max_bytes(&self) -> Option<u64> {
        self.bounds.bytes
    }

    /// Messages of this age are kept at most, if that is bounded.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.bounds.age_ms.map(Duration::from_millis)
    }

    fn check(&self) -> Result<Bounds> {
        let Bounds { count, bytes, age_ms } = self.bounds;
        let in_file = |bound: u64| bound > 0 && i64::try_from(bound).is_ok();
        if !count.into_iter().chain(bytes).all(in_file) {
            let reason = "a bound is a number from 1 to 2^63-1; the newest message is always kept".to_owned();
            return Err(Error::InvalidArgument { what: "a retention".into(), reason });
        }
        if let Some(age_ms) = age_ms {
            check_duration("age of a retention", Duration::from_millis(age_ms))?;
        }
        Ok(self.bounds)
    }
}

/// A duration that is worth something, and not beyond all reason.
fn check_duration(what: &'static str, given: Duration) -> Result<Duration> {
    let (min, max) = (Duration::from_millis(1), limits::DURATION_MAX);
    if given < min || given > max { Err(Error::InvalidDuration { what, given, min, max }) } else { Ok(given) }
}

/// How a log or a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Sequence of the first message kept; one more than the last if none is.
    pub first: u64,
    /// Sequence of the last message; 0 if there never was one.
    pub last: u64,
    /// Bytes of data kept.
    pub bytes: u64,
    /// When the last message was recorded, milliseconds since 1970; 0 if there never was one.
    pub recorded_at_ms: i64,
    /// How much is kept.
    pub retention: Retention,
}

impl Extent {
    /// How many messages are kept.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

impl From<Option<Head>> for Extent {
    fn from(head: Option<Head>) -> Extent {
        let Some(Head { first, last, bytes, recorded_at, retention, .. }) = head else {
            let retention = Retention::default();
            return Extent { first: 1, last: 0, bytes: 0, recorded_at_ms: 0, retention };
        };
        Extent { first, last, bytes, recorded_at_ms: recorded_at, retention: Retention { bounds: retention } }
    }
}

/// A value as it is stored, with every limit checked.
pub(crate) fn encode(kind: Kind, name: &Name, value: &impl Serialize, stamp: Stamp) -> Result<NewMessage> {
    let Stamp { key, at, schema } = stamp;
    let data = codec::to_json(&format_args!("a value for {} \"{name}\"", kind.word()), value)?;
    if let Some(key) = &key {
        name::check("key", key, limits::NAME_BYTES)?;
    }
    let sizes = [
        ("the message in bytes", data.len(), limits::MESSAGE_BYTES),
        ("the message's time in bytes", at.as_ref().map_or(0, String::len), limits::NAME_BYTES),
    ];
    for (what, size, limit) in sizes {
        limits::check_size(what, size, limit)?;
    }
    Ok(NewMessage { data: Data::Json(data), schema: schema.unwrap_or(1), key, at })
}

/// A log or a channel, whatever its values are.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) kind: Kind,
    pub(crate) name: Result<Name>,
    fence: Option<Fence>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Feed {
    pub(crate) fn new(runtime: Arc<Runtime>, kind: Kind, name: &str) -> Feed {
        Feed { runtime, kind, name: Name::new(name), fence: None }
    }

    pub(crate) fn guarded_by(&self, guard: &LockGuard) -> Feed {
        Feed { fence: Some(guard.fence()), ..self.clone() }
    }

    /// A value as it is stored, with every limit checked.
    pub(crate) fn message(&self, value: &impl Serialize, stamp: Stamp) -> Result<NewMessage> {
        encode(self.kind, self.name.as_ref().map_err(Error::clone)?, value, stamp)
    }

    /// Values as they are stored, in one append.
    pub(crate) fn messages<'a, T: Serialize + 'a>(
        &self,
        values: impl IntoIterator<Item = &'a T>,
    ) -> Result<Vec<NewMessage>> {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for value in values {
            let message = self.message(value, Stamp::new())?;
            bytes += message.data.bytes().len();
            limits::check_size("the append in bytes", bytes, limits::APPEND_BYTES)?;
            messages.push(message);
            limits::check_size("the append in messages", messages.len(), limits::MESSAGES_PER_APPEND)?;
        }
        Ok(messages)
    }

    /// Appends messages, all or none. Their sequences.
    pub(crate) async fn append(&self, messages: Vec<NewMessage>) -> Result<Range<u64>> {
        let (name, fence, count) = (self.name.clone()?, self.fence.clone(), messages.len());
        if count == 0 {
            return Ok(0..0);
        }
        let append = |reply, passage| {
            self.runtime.feeds().append(self.kind, &name, Append { messages, fence, reply, passage });
        };
        self.appended(self.runtime.enter_and(append).await?, count)
    }

    /// The same for a thread that waits.
    pub(crate) fn append_blocking(&self, messages: Vec<NewMessage>) -> Result<Range<u64>> {
        let (name, fence, count) = (self.name.clone()?, self.fence.clone(), messages.len());
        if count == 0 {
            return Ok(0..0);
        }
        let append = |reply, passage| {
            self.runtime.feeds().append(self.kind, &name, Append { messages, fence, reply, passage });
        };
        self.appended(self.runtime.enter_and_wait(append)?, count)
    }

    /// Adds a message to a batch; under the lock that guards this handle, if one does. Its sequence.
    pub(crate) fn add_to(&self, batch: &mut Batch, message: NewMessage) -> Result<Slot<u64>> {
        if let Some(fence) = &self.fence {
            batch.guarded(&self.runtime, fence.clone())?;
        }
        let (bytes, feed) = (message.data.bytes().len(), self.clone());
        let part = self.runtime.feeds().part(self.kind, &self.name.clone()?, vec![message]);
        let means = move |outcome| feed.appended(outcome, 1).map(|sequences| sequences.start);
        batch.add::<storage::Append, _>(&self.runtime, (part, bytes), means)
    }

    fn appended(&self, outcome: Appended, count: usize) -> Result<Range<u64>> {
        match outcome {
            Appended::Done { last, .. } => Ok(last + 1 - count as u64..last + 1),
            Appended::Fenced => Err(Fence::refused(self.fence.as_ref())),
        }
    }

    /// All that is kept.
    pub(crate) fn history<T>(&self) -> History<T> {
        History::new(self)
    }

    pub(crate) async fn extent(&self) -> Result<Extent> {
        let (kind, name) = (self.kind, self.name.clone()?);
        self.runtime.read(move |view| view.feed(kind, &name)).await.map(Extent::from)
    }

    pub(crate) fn extent_blocking(&self) -> Result<Extent> {
        let (kind, name) = (self.kind, self.name.clone()?);
        self.runtime.read_blocking(move |view| view.feed(kind, &name)).map(Extent::from)
    }

    fn retain_operation(&self, retention: Retention) -> Result<Retain> {
        let feed = Target { name: self.name.clone()?, id: None };
        Ok(Retain { kind: self.kind, feed, retention: retention.check()? })
    }

    /// Says how much is kept from now on, and removes the rest, step by step.
    pub(crate) async fn retain(&self, retention: Retention) -> Result<()> {
        let operation = self.retain_operation(retention)?;
        while self.runtime.write(operation.clone()).await?.more {}
        Ok(())
    }

    pub(crate) fn retain_blocking(&self, retention: Retention) -> Result<()> {
        let operation = self.retain_operation(retention)?;
        while self.runtime.write_blocking(operation.clone())?.more {}
        Ok(())
    }

    fn trim_operation(&self, before: u64) -> Result<Trim> {
        let feed = Target { name: self.name.clone()?, id: None };
        Ok(Trim { kind: self.kind, feed, before: before.min(limits::LAST_SEQUENCE) })
    }

    /// Removes what is before a message, step by step. The first that is kept.
    pub(crate) async fn trim(&self, before: u64) -> Result<u64> {
        let operation = self.trim_operation(before)?;
        loop {
            let Trimmed { first, more } = self.runtime.write(operation.clone()).await?;
            if !more {
                return Ok(first);
            }
        }
    }

    pub(crate) fn trim_blocking(&self, before: u64) -> Result<u64> {
        let operation = self.trim_operation(before)?;
        loop {
            let Trimmed { first, more } = self.runtime.write_blocking(operation.clone())?;
            if !more {
                return Ok(first);
            }
        }
    }
}

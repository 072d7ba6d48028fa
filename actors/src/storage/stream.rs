//! Streams of events in the database: appended whole or not at all, read page by page.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::filter::Filter as Content;
use super::lock::Fence;
use super::partition::Partition;
use super::{Data, Origin, Target};
use crate::error::{Expected, Result};
use crate::name::Name;

/// An event to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Names this event for ever; a second event with it is refused, a repeated append with it is recognised.
    pub id: Uuid,
    /// What happened: `Deposited`.
    pub event_type: Cow<'static, str>,
    /// The event's content.
    pub data: Data,
    /// The version of the content's shape, for upcasting; 1 unless told otherwise.
    pub schema: u32,
    /// When it happened according to its source, kept verbatim.
    pub at: Option<String>,
    /// What else is known about it: JSON text, kept verbatim.
    pub metadata: Option<Cow<'static, str>>,
    /// Where it comes from.
    pub origin: Option<Box<Origin>>,
}

/// Append events to one stream, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The stream; it comes into being with its first event.
    pub stream: Target,
    /// What it must look like. Checked after the ids.
    pub expected: Expected,
    /// The events, at least one, in order.
    pub events: Vec<NewEvent>,
    /// Whether the ids may have been used before: they came from the caller. Ids made here are not looked up; where they
    /// follow from a command, which another process may have carried out, the expected version keeps them apart.
    pub known_ids: bool,
    /// A lock that must be held for it. Checked before anything else.
    pub fence: Option<Fence>,
}

/// What became of [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The events are in the stream.
    Done {
        /// The stream's row.
        stream: u64,
        /// Version of the last of these events; versions are dense and start at 1.
        version: u64,
        /// Position of the last of these events in the whole store; positions are dense, in commit order, and
        /// start at 1.
        position: u64,
        /// All of them were there already, in this stream, in this order, without others in between: nothing
        /// was written, and these are the numbers of the first time.
        repeated: bool,
    },
    /// The stream is not as expected.
    Conflict {
        /// Its version.
        actual: u64,
    },
    /// Some of the ids are taken and the append is not a repetition; also if the append names one id twice.
    Duplicate {
        /// The first such id.
        id: Uuid,
    },
    /// The lock is not held by that token any more.
    Fenced,
    /// The stream was closed for ever.
    Closed,
}

/// Find out whether a stream is as expected: a condition of a batch, which writes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The stream.
    pub stream: Target,
    /// What it must look like.
    pub expected: Expected,
}

/// What became of [`Check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is as expected.
    Stands,
    /// It is not.
    Conflict {
        /// Its version.
        actual: u64,
    },
}

/// Add events of any streams in their order, all or none, leaving out those whose id is in their stream already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The events with their streams, in order.
    pub events: Vec<(Name, NewEvent)>,
}

/// What became of [`Import`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// Every event is in the store.
    Done {
        /// So many were added now.
        added: u64,
        /// So many were there already.
        known: u64,
        /// The streams that were added to, each with its version since then.
        streams: Vec<(u64, u64)>,
    },
    /// An id is taken by an event of another stream, or occurs twice with different streams. Nothing was written.
    Duplicate {
        /// The index of the first such event.
        index: usize,
        /// Its id.
        id: Uuid,
    },
    /// This one's stream was closed for ever. Nothing was written.
    Closed {
        /// The index of the first such event.
        index: usize,
    },
}

/// An event as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the whole store.
    pub position: u64,
    /// Its stream.
    pub stream: Name,
    /// Its place in the stream.
    pub version: u64,
    /// Its id.
    pub id: Uuid,
    /// What happened.
    pub event_type: String,
    /// The content.
    pub data: Data,
    /// The version of the content's shape.
    pub schema: u32,
    /// When it was recorded, milliseconds since 1970; never smaller than that of an earlier event of the store.
    pub recorded_at: i64,
    /// When it happened according to its source.
    pub at: Option<String>,
    /// What else is known about it: JSON text.
    pub metadata: Option<String>,
    /// Where it comes from.
    pub origin: Option<Box<Origin>>,
}

/// Which events to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// From where.
    pub scope: Scope,
    /// Whether newest first.
    pub backward: bool,
    /// The smallest version (of a stream) or position (else), inclusive.
    pub from: u64,
    /// The largest, inclusive.
    pub to: u64,
    /// Which of them; counted and paged after filtering.
    pub filter: Filter,
    /// At most so many; a page may end earlier for its size.
    pub limit: u32,
}

/// Which events are wanted: those that meet all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of one of these types; of any if there are none.
    pub types: Vec<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// Recorded at this time or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Recorded before this time.
    pub until: Option<i64>,
    /// Also those that are erased, of which there is nothing left but their places.
    pub erased: bool,
    /// Of the streams of this partition.
    pub partition: Partition,
    /// With such data.
    pub content: Option<Arc<Content>>,
}

impl Filter {
    /// Whether a database may leave some out that lie between others, without a look at them. Of a partition, and of
    /// those with such data, it looks at each.
    #[must_use]
    pub fn picks(&self) -> bool {
        !self.types.is_empty() || self.tenant.is_some()
    }

    /// Whether an event is wanted, as far as it is not its data that decides.
    #[must_use]
    pub fn wants(&self, event: &Recorded) -> bool {
        let Filter { types, tenant, since, until, erased, partition, content: _ } = self;
        (*erased || !event.is_erased())
            && (types.is_empty() || types.contains(&event.event_type))
            && (tenant.is_none() || *tenant == event.origin.as_ref().and_then(|origin| origin.tenant.clone()))
            && since.is_none_or(|since| event.recorded_at >= since)
            && until.is_none_or(|until| event.recorded_at < until)
            && partition.holds(event.stream.as_str())
    }
}

/// From where events are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the store, by position.
    All,
    /// The streams of one category, by position.
    Category(String),
    /// One stream, by version.
    Stream(Name),
}

/// One page of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events in order; a damaged one is an [`Error::Corrupt`](crate::error::Error::Corrupt) in its place.
    pub events: Vec<Result<Recorded>>,
    /// Version (of a stream) or position (else) of the last row looked at, if any.
    pub last: Option<u64>,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its row.
    pub id: u64,
    /// Version of its last event.
    pub version: u64,
    /// Events up to this version are erased, or about to be.
    pub erased: u64,
}

//! Feeds in the database: what a log and a channel are below their names, a dense sequence of messages of which the
//! oldest may be removed.
//!
//! Sequences start at 1, are dense, follow the order of the commits, and are never used again. Messages are removed from
//! the head only, and only by the feed's retention, in the commit of an append, or by request; never so many at once that
//! the others in the group would notice ([`limits::REMOVED_AT_ONCE`](crate::limits::REMOVED_AT_ONCE)). The newest message
//! is never removed by retention.

use std::sync::Arc;

use super::filter::Filter as Content;
use super::lock::Fence;
use super::{Data, Target};
use crate::error::Result;
use crate::name::Name;

/// What a feed is to its users. A log and a channel of the same name have nothing to do with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A log.
    Log = 1,
    /// A channel.
    Channel = 2,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Channel => "channel",
        }
    }
}

/// A message to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Its content.
    pub data: Data,
    /// The version of the content's shape.
    pub schema: u32,
    /// What it is about, for who picks out or orders by it.
    pub key: Option<String>,
    /// When it happened according to its source, kept verbatim.
    pub at: Option<String>,
}

impl NewMessage {
    /// The message that it becomes.
    #[must_use]
    pub fn recorded(self, sequence: u64, recorded_at: i64) -> Message {
        let NewMessage { data, schema, key, at } = self;
        Message { sequence, recorded_at, data, schema, key, at }
    }
}

/// Append messages to one feed, all or none, one behind the other. Then as much is removed as its retention says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Of which kind.
    pub kind: Kind,
    /// The feed; it comes into being with its first message.
    pub feed: Target,
    /// The messages, at least one, in order.
    pub messages: Vec<NewMessage>,
    /// A lock that must be held for it. Checked before anything else.
    pub fence: Option<Fence>,
}

/// What became of [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The messages are in the feed.
    Done {
        /// The feed's row.
        feed: u64,
        /// Sequence of the last of them.
        last: u64,
        /// The first message that is kept.
        first: u64,
        /// When they were recorded, milliseconds since 1970.
        recorded_at: i64,
    },
    /// The lock is not held by that token any more.
    Fenced,
}

/// How much of a feed is kept. Whatever one of the bounds excludes is removed; no bound, no removal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// So many messages.
    pub count: Option<u64>,
    /// So many bytes of data.
    pub bytes: Option<u64>,
    /// Messages recorded within so many milliseconds of the newest one.
    pub age_ms: Option<u64>,
}

/// Fix how much of a feed is kept from now on, and begin to remove what is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Of which kind.
    pub kind: Kind,
    /// The feed; it may not have a message yet.
    pub feed: Target,
    /// In place of what was said before.
    pub retention: Retention,
}

/// Remove the messages before one, by request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Of which kind.
    pub kind: Kind,
    /// The feed.
    pub feed: Target,
    /// The first that stays. More than there are, and none stays.
    pub before: u64,
}

/// What became of [`Retain`] or [`Trim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trimmed {
    /// The first message that is kept; one more than the last if none is.
    pub first: u64,
    /// There was more to remove than is removed at once: ask again.
    pub more: bool,
}

/// A message as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place in the feed.
    pub sequence: u64,
    /// When it was recorded, milliseconds since 1970; never smaller than that of an earlier message of the feed.
    pub recorded_at: i64,
    /// The content.
    pub data: Data,
    /// The version of the content's shape.
    pub schema: u32,
    /// What it is about.
    pub key: Option<String>,
    /// When it happened according to its source.
    pub at: Option<String>,
}

/// Which messages to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of which kind.
    pub kind: Kind,
    /// The feed.
    pub name: Name,
    /// Whether newest first.
    pub backward: bool,
    /// The smallest sequence, inclusive.
    pub from: u64,
    /// The largest, inclusive.
    pub to: u64,
    /// Only what was recorded at this time or later.
    pub since: Option<i64>,
    /// Only what was recorded before this time.
    pub until: Option<i64>,
    /// Only those whose data is so; one that is damaged is an error whatever is asked for.
    pub content: Option<Arc<Content>>,
    /// At most so many; a page may end earlier for its size, or for what the filter has left out.
    pub limit: u32,
}

/// One page of a feed, with how the feed stood at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The messages in order, each with its sequence; a damaged one is an
    /// [`Error::Corrupt`](crate::error::Error::Corrupt) in its place.
    pub messages: Vec<(u64, Result<Message>)>,
    /// Sequence of the last row looked at, if any.
    pub last: Option<u64>,
    /// Whether there may be more behind it.
    pub more: bool,
    /// The first message kept; one more than the head if none is.
    pub first: u64,
    /// Sequence of the feed's last message, 0 if it never had one.
    pub head: u64,
}

impl Page {
    /// What was just appended, the last of it under this sequence, as far as it is kept.
    #[must_use]
    pub fn appended(messages: Vec<NewMessage>, last: u64, first: u64, recorded_at: i64) -> Page {
        let from = (last + 1).saturating_sub(messages.len() as u64);
        let placed = (from..).zip(messages);
        let messages = placed.map(|(sequence, new)| (sequence, Ok(new.recorded(sequence, recorded_at))));
        let messages = messages.skip_while(|(sequence, _)| *sequence < first).collect();
        Page { messages, last: Some(last), more: false, first, head: last }
    }

    /// Of a feed that was never used.
    #[must_use]
    pub fn nothing() -> Page {
        Page { messages: Vec::new(), last: None, more: false, first: 1, head: 0 }
    }
}

/// How a feed stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its row.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The first message kept; one more than the last if none is.
    pub first: u64,
    /// Sequence of the last message, 0 if it never had one.
    pub last: u64,
    /// Bytes of data kept.
    pub bytes: u64,
    /// When the last message was recorded, milliseconds since 1970; 0 if it never had one.
    pub recorded_at: i64,
    /// How much is kept.
    pub retention: Retention,
}

impl Head {
    /// How many messages are kept.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// The feed's numbers while its oldest messages go, one after the other: the rule by which every database removes.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The first message kept so far.
    pub first: u64,
    /// The last message.
    pub last: u64,
    /// Bytes kept so far.
    pub bytes: u64,
    /// The newest time there is: of the last message, or now if that is later.
    pub newest: i64,
    /// What goes by policy.
    pub retention: Retention,
    /// What goes by request: everything before this sequence.
    pub before: u64,
}

impl Cut {
    /// Whether anything may have to go, as far as can be told without looking at a message.
    #[must_use]
    pub fn may_remove(&self) -> bool {
        self.first <= self.last
            && (self.first < self.before
                || self.retention.age_ms.is_some()
                || self.is_over(self.first, self.newest))
    }

    /// Whether a message goes: the first of those that are left.
    #[must_use]
    pub fn removes(&self, sequence: u64, recorded_at: i64) -> bool {
        sequence < self.before || self.is_over(sequence, recorded_at)
    }

    /// It has gone.
    pub fn removed(&mut self, sequence: u64, size: u64) {
        self.first = sequence + 1;
        self.bytes = self.bytes.saturating_sub(size);
    }

    fn is_over(&self, sequence: u64, recorded_at: i64) -> bool {
        let Retention { count, bytes, age_ms } = self.retention;
        let kept = (self.last + 1).saturating_sub(sequence);
        let age = u64::try_from(self.newest.saturating_sub(recorded_at)).unwrap_or(0);
        sequence < self.last
            && (count.is_some_and(|count| kept > count)
                || bytes.is_some_and(|bytes| self.bytes > bytes)
                || age_ms.is_some_and(|age_ms| age > age_ms))
    }
}

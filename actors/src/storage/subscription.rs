//! Durable subscriptions in the database: a cursor a name, and of one that a group shares what has been acknowledged beyond
//! it.
//!
//! The cursor of a group is what all below has been acknowledged of. Its messages may be acknowledged in any order: those
//! beyond the cursor are kept as [`Span`]s, which grow together and into the cursor, so that there is one for each gap and
//! not one for each message.
//!
//! Who may move it is told by a lock, so that there is one line, one lease and one token for whatever there may be only one
//! of; here the token is only compared, in the transaction that moves the cursor.

use super::Target;
use super::feed::Kind;
use super::lock::Fence;
use crate::name::Name;

/// Begin a durable subscription, or find out where it stands. Comes back as its cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Of which kind of feed.
    pub kind: Kind,
    /// The feed; it may not have a message yet.
    pub feed: Target,
    /// The subscription.
    pub subscription: Name,
    /// Where it stands if it is new: behind this message.
    pub cursor: u64,
}

/// Move the cursor of a durable subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Of which kind of feed.
    pub kind: Kind,
    /// The feed.
    pub feed: Target,
    /// The subscription.
    pub subscription: Name,
    /// Behind this message.
    pub cursor: u64,
    /// Whether it may move back. Otherwise it stays where it is, if it is there already.
    pub back: bool,
    /// The lock of its consumer. Checked before anything else.
    pub fence: Fence,
}

/// What became of [`Move`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It was moved, or is there already.
    Done {
        /// Where it stands.
        cursor: u64,
    },
    /// The lock is not held by that token any more, or there is no such subscription.
    Fenced,
}

/// Say that one message of a durable subscription has been dealt with, whether those before it have or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// Of which kind of feed.
    pub kind: Kind,
    /// The feed.
    pub feed: Target,
    /// The subscription.
    pub subscription: Name,
    /// The message.
    pub sequence: u64,
    /// The lock of whoever may say so of this message. Checked before anything else. What became of it is [`Moved`].
    pub fence: Fence,
}

/// Have the cursor of a durable subscription pass over what retention has removed. Comes back as how many of these messages
/// nobody had acknowledged; asked again, none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassOver {
    /// Of which kind of feed.
    pub kind: Kind,
    /// The feed.
    pub feed: Target,
    /// The subscription.
    pub subscription: Name,
}

/// Messages that follow one another, first and last inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Span {
    /// Whether a message is one of them.
    #[must_use]
    pub fn contains(&self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }

    /// How many of them are between two messages, inclusive.
    #[must_use]
    pub fn count_within(&self, first: u64, last: u64) -> u64 {
        (self.last.min(last) + 1).saturating_sub(self.first.max(first))
    }
}

/// What was acknowledged beyond the cursor, from one message on, within one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// All up to this one have been.
    pub cursor: u64,
    /// And these beyond it, in order, each as far as it was asked for.
    pub beyond: Vec<Span>,
}

impl Acknowledged {
    /// Whether a message has been acknowledged.
    #[must_use]
    pub fn contains(&self, sequence: u64) -> bool {
        let at = self.beyond.partition_point(|span| span.last < sequence);
        sequence <= self.cursor || self.beyond.get(at).is_some_and(|span| span.contains(sequence))
    }
}

/// Forget a durable subscription. Comes back as whether there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Of which kind of feed.
    pub kind: Kind,
    /// The feed.
    pub feed: Target,
    /// The subscription.
    pub subscription: Name,
}

/// How a durable subscription stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The last message that was acknowledged.
    pub cursor: u64,
}

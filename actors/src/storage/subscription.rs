//! Durable subscriptions in the database: a cursor a name.
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

//! Where somebody begins to follow a feed.

use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::storage::View;
use crate::storage::feed::{Kind, Query};
use crate::storage::stream::{self, Filter, Scope};

/// A place in a feed, and how the feed stood when it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The message that comes first.
    pub next: u64,
    /// The first message that is kept.
    pub first: u64,
    /// The last that there is.
    pub last: u64,
}

/// From where a subscription begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum From {
    /// With what is committed from now on: after the call that subscribes has returned, or a moment before.
    #[default]
    Now,
    /// With the oldest message that is kept.
    Start,
    /// Behind this sequence: 0 for the very first. What was removed since is told as
    /// [`Error::Lagged`]. One that there is not yet is waited for.
    After(u64),
    /// With the first message that was recorded at this time or later, in milliseconds since 1970.
    Recorded(i64),
}

impl From {
    /// Whether there can ever be such a place.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub fn check(self) -> Result<()> {
        match self {
            From::After(sequence) if sequence >= limits::LAST_SEQUENCE => {
                let what = format!("a subscription after sequence {sequence}");
                Err(Error::InvalidArgument { what, reason: "sequences end at 2^63-1".into() })
            }
            _ => Ok(()),
        }
    }

    /// Which message comes first.
    ///
    /// # Errors
    /// What the database said.
    pub fn find(self, kind: Kind, name: &Name, view: &mut dyn View) -> Result<Place> {
        let head = view.feed(kind, name)?;
        self.find_in(kind, name, head.map_or((1, 0), |head| (head.first, head.last)), view)
    }

    /// Behind which event of the store it is, where it is the events that are followed.
    ///
    /// # Errors
    /// What the database said.
    pub fn position(self, view: &mut dyn View) -> Result<u64> {
        match self {
            From::Now => view.head(),
            From::Start => Ok(0),
            From::After(position) => Ok(position),
            From::Recorded(since) => {
                let filter = Filter { since: Some(since), ..Filter::default() };
                let (scope, to) = (Scope::All, limits::LAST_SEQUENCE);
                let query = stream::Query { scope, backward: false, from: 1, to, filter, limit: 1 };
                match view.events(&query)?.last {
                    Some(first) => Ok(first.saturating_sub(1)),
                    None => view.head(),
                }
            }
        }
    }

    /// Which message comes first in a feed of which the first and the last message are known.
    ///
    /// # Errors
    /// What the database said.
    pub fn find_in(
        self,
        kind: Kind,
        name: &Name,
        (first, last): (u64, u64),
        view: &mut dyn View,
    ) -> Result<Place> {
        let next = match self {
            From::Now => last + 1,
            From::Start => first,
            From::After(sequence) => sequence + 1,
            From::Recorded(since) => {
                let (name, since, to) = (name.clone(), Some(since), u64::MAX);
                let query = Query {
                    kind,
                    name,
                    backward: false,
                    from: 1,
                    to,
                    since,
                    until: None,
                    content: None,
                    limit: 1,
                };
                let page = view.feed_page(&query)?;
                page.messages.first().map_or(last + 1, |(sequence, _)| *sequence)
            }
        };
        Ok(Place { next, first, last })
    }
}

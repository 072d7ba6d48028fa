//! Erasing what a stream holds. Its events keep their places, because versions and positions are dense and ids are never used
//! again; what they said is gone, and nobody is shown them any more.
//!
//! To erase is to append: an event that says nothing takes the next version, so whoever decided on what the stream held is
//! refused, and finds out. The rest is done in portions, so that the others in a group do not notice: whatever is not done yet
//! when a process dies is done by whoever asks again.

use uuid::Uuid;

use super::stream::{NewEvent, Recorded};
use super::{Data, Target};
use crate::error::Expected;

/// Erase all that a stream holds, and maybe close it for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erase {
    /// The stream.
    pub stream: Target,
    /// What to do.
    pub step: Step,
}

/// Which portion it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first: what the stream holds counts as erased from here on.
    Begin {
        /// What it must look like.
        expected: Expected,
        /// Of the event that says so.
        id: Uuid,
        /// Whether nothing can be appended any more.
        close: bool,
    },
    /// What is left, from this version on.
    GoOn {
        /// Behind the last of the portion before.
        from: u64,
    },
}

/// What became of [`Erase`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erased {
    /// What was to be erased is, or some of it.
    Done {
        /// The stream's row; `None` if there is no such stream.
        stream: Option<u64>,
        /// Its version.
        version: u64,
        /// So many events were erased by this.
        erased: u64,
        /// Go on from there; `None` if nothing is left.
        next: Option<u64>,
    },
    /// The stream is not as expected.
    Conflict {
        /// Its version.
        actual: u64,
    },
}

/// Of an event that says nothing.
const NOTHING: &str = "";

/// The event that takes the next version when a stream is erased; an erased one looks like it.
#[must_use]
pub fn blank(id: Uuid) -> NewEvent {
    let (event_type, data) = (NOTHING.into(), Data::Json(String::new()));
    NewEvent { id, event_type, data, schema: 0, at: None, metadata: None, origin: None }
}

impl Recorded {
    /// Whether what it said is gone. No event can be given an empty type.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.event_type == NOTHING
    }
}

//! Appending to streams, for those who append events themselves.
//!
//! It needs no actor: the writer puts appends in their order, the transaction decides on them, and all that is worth
//! remembering of a stream is its row. Whoever has a state that events are made from has an aggregate, which is one.

use std::sync::Arc;

use crate::batch::Part;
use crate::error::{Error, Expected, Result};
use crate::gate::Passage;
use crate::name::Name;
use crate::reply::Reply;
use crate::rows::Rows;
use crate::storage::Target;
use crate::storage::lock::Fence;
use crate::storage::stream::{self, Appended, NewEvent};
use crate::writer::Writer;

/// Append events.
#[derive(Debug)]
pub struct Append {
    /// What the stream must look like.
    pub expected: Expected,
    /// The events, checked by the handle.
    pub events: Vec<NewEvent>,
    /// Whether the caller gave the ids.
    pub known_ids: bool,
    /// A lock that must be held.
    pub fence: Option<Fence>,
    /// Answered after the commit, with the outcome itself; [`placed`] is what it means.
    pub reply: Reply<Appended>,
    /// The request's passage.
    pub passage: Passage,
}

/// Where appended events have their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Version of the last of them.
    pub version: u64,
    /// Position of the last of them in the store.
    pub position: u64,
    /// Whether they had been there already.
    pub repeated: bool,
}

/// What an outcome of the database means to whoever appended.
///
/// # Errors
/// What the database refused, in the words of whoever appended.
pub fn placed(name: &Name, expected: Expected, fence: Option<&Fence>, appended: &Appended) -> Result<Placed> {
    let stream = || name.to_string();
    match *appended {
        Appended::Done { version, position, repeated, .. } => Ok(Placed { version, position, repeated }),
        Appended::Conflict { actual } => Err(Error::Conflict { stream: stream(), expected, actual }),
        Appended::Duplicate { id } => Err(Error::DuplicateEvent { stream: stream(), id }),
        Appended::Fenced => Err(Fence::refused(fence)),
        Appended::Closed => Err(Error::StreamClosed { stream: stream() }),
    }
}

/// The way to the streams. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Streams {
    writer: Writer,
    rows: Arc<Rows<Name>>,
}

impl Streams {
    pub(crate) fn new(writer: Writer) -> Streams {
        Streams { writer, rows: Arc::default() }
    }

    /// Sends an append on its way.
    pub fn append(&self, name: &Name, append: Append) {
        let Append { expected, events, known_ids, fence, reply, passage } = append;
        let id = self.rows.get(name);
        let stream = Target { name: name.clone(), id };
        let append = stream::Append { stream, expected, events, known_ids, fence };
        // The outcome itself is the answer, so the reply travels with the operation. It is of interest here only as long
        // as the row is not known.
        let learner = id.is_none().then(|| (Arc::clone(&self.rows), name.clone()));
        self.writer.apply(append, Some(passage), move |outcome| {
            if let (Some((rows, name)), Ok(Appended::Done { stream, .. })) = (learner, &outcome) {
                rows.put(name, *stream);
            }
            reply.answer(outcome);
        });
    }

    /// The same as a part of a batch, which has the fence.
    #[must_use]
    pub fn part(&self, name: &Name, expected: Expected, events: Vec<NewEvent>, known_ids: bool) -> Part {
        let stream = Target { name: name.clone(), id: self.rows.get(name) };
        let (rows, name) = (Arc::clone(&self.rows), name.clone());
        let append = stream::Append { stream, expected, events, known_ids, fence: None };
        Part::new(append, move |appended| {
            if let Some(Appended::Done { stream, .. }) = appended {
                rows.put(name, stream);
            }
        })
    }
}

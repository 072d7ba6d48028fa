//! Appending to streams, for those who append events themselves.
//!
//! It needs no actor: the writer puts appends in their order, the transaction decides on them, and all that is worth
//! remembering of a stream is its row. Whoever has a state that events are made from has an aggregate, which is one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, MutexGuard};

use crate::error::{Error, Expected, Result};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
use crate::shards::{SHARDS, Shards};
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
        Appended::Fenced => {
            let lock = fence.map_or_else(String::new, |fence| fence.name.to_string());
            Err(Error::Fenced { lock, token: fence.map_or(0, |fence| fence.token) })
        }
    }
}

/// The way to the streams. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Streams {
    writer: Writer,
    rows: Arc<Rows>,
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
}

/// The rows of streams that were written to lately. A row stays a stream's for ever, so what is remembered stays right.
#[derive(Debug, Default)]
struct Rows {
    rows: Shards<HashMap<Name, u64>>,
    hasher: RandomState,
}

impl Rows {
    fn shard(&self, name: &Name) -> MutexGuard<'_, HashMap<Name, u64>> {
        self.rows.of(self.hasher.hash_one(name))
    }

    fn get(&self, name: &Name) -> Option<u64> {
        self.shard(name).get(name).copied()
    }

    fn put(&self, name: Name, row: u64) {
        let mut shard = self.shard(&name);
        if shard.len() >= limits::STREAM_ROWS / SHARDS {
            // Which of them were used last is not worth knowing: each is found again by one look at an index.
            shard.clear();
        }
        shard.insert(name, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_rows_are_remembered_of_a_bounded_number_of_streams() {
        let rows = Rows::default();
        let name = |number: u64| Name::new(format!("s-{number}")).unwrap();
        for number in 0..4 * limits::STREAM_ROWS as u64 {
            rows.put(name(number), number);
            assert_eq!(rows.get(&name(number)), Some(number));
        }
        let kept = (0..SHARDS as u64).map(|shard| rows.rows.of(shard).len()).sum::<usize>();
        assert!(kept <= limits::STREAM_ROWS && kept > limits::STREAM_ROWS / 4, "{kept}");
    }
}

//! The actor of one stream, for those who append events themselves.

use actix::prelude::*;

use crate::error::{Error, Expected, Result};
use crate::failpoint::{Point, reach};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::Target;
use crate::storage::lock::Fence;
use crate::storage::stream::{self, Appended, NewEvent};
use crate::supervisor::{House, Primitive, Visit};

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

/// The actor. All that it remembers is the stream's row.
#[derive(Debug)]
pub struct StreamActor {
    name: Name,
    house: House,
    id: Option<u64>,
}

impl Primitive for StreamActor {
    fn open(name: Name, house: House) -> StreamActor {
        StreamActor { name, house, id: None }
    }
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl Handler<Visit<Append>> for StreamActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Append>, context: &mut Self::Context) {
        let Append { expected, events, known_ids, fence, reply, passage } = message;
        if let Err(error) = reach(Point::StreamActor) {
            return reply.answer(Err(error));
        }
        let stream = Target { name: self.name.clone(), id: self.id };
        let append = stream::Append { stream, expected, events, known_ids, fence };
        // The outcome itself is the answer, so the reply travels with the operation. The actor wants to hear of
        // the outcome only until it knows the row.
        let learner = self.id.is_none().then(|| context.address());
        self.house.writer.apply(append, Some(passage), move |outcome| {
            if let (Some(learner), Ok(Appended::Done { stream, .. })) = (learner, &outcome) {
                learner.do_send(Learnt(*stream));
            }
            reply.answer(outcome);
            drop(stay);
        });
    }
}

/// The stream's row.
#[derive(Message)]
#[rtype(result = "()")]
struct Learnt(u64);

impl Handler<Learnt> for StreamActor {
    type Result = ();

    fn handle(&mut self, Learnt(id): Learnt, _: &mut Self::Context) {
        self.id = Some(id);
    }
}

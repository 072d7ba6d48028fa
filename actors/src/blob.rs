//! The actor of all blobs of a store: what is begun and not finished is given up, and what is nobody's is swept, one portion after
//! the other.
//!
//! What is written of a blob goes past it, straight to the writer. There is one in a process, whatever the blobs are called, so that
//! no more is swept at a time than one portion.

use std::fmt;

use actix::prelude::*;

use crate::error::Result;
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::blob::{Begin as Operation, Begun, Sweep, Swept};
use crate::supervisor::{House, Post, Primitive, Stay, Visit};

/// Under which the one is found.
const NAME: &str = "blobs";

/// Begin a content. The reply is the version of what is there if that is not as expected.
pub struct Begin {
    /// What is to be begun.
    pub operation: Operation,
    /// The way back here, for whoever gives it up.
    pub post: Post,
    /// Where the answer goes.
    pub reply: Reply<std::result::Result<Content, Option<u64>>>,
    /// The request's passage.
    pub passage: Passage,
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begin").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// There is something to be swept.
#[derive(Clone, Copy, Debug)]
pub struct Waste;

/// Whoever wrote this content does not write on.
#[derive(Clone, Copy, Debug)]
struct GivenUp(u64);

/// What came of a portion.
struct Done(Result<Swept>);

impl Message for Done {
    type Result = ();
}

/// The name under which the one actor is found.
///
/// # Errors
/// None: it is a good name.
pub fn name() -> Result<Name> {
    Name::new(NAME)
}

/// A content that is being written: it is given up when this is dropped, wherever that happens.
#[derive(Debug)]
pub struct Content {
    number: u64,
    /// The way to give it up, unless it was finished.
    post: Option<Post>,
}

impl Content {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A blob has it.
    pub fn finished(mut self) {
        self.post = None;
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let (Some(post), Ok(name)) = (self.post.take(), name()) {
            post.tell::<BlobActor, GivenUp>(&name, GivenUp(self.number));
        }
    }
}

/// The actor.
pub struct BlobActor {
    house: House,
    /// Contents to be given up with the next portion.
    given_up: Vec<u64>,
    /// Those that are given up with the portion that is under way.
    under_way: Vec<u64>,
    /// There may be more to be swept.
    waste: bool,
    /// Kept while a portion is under way, or is to be.
    stay: Option<Stay>,
}

impl fmt::Debug for BlobActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobActor").field("sweeps", &self.stay.is_some()).finish_non_exhaustive()
    }
}

impl Primitive for BlobActor {
    fn open(_: Name, house: House) -> BlobActor {
        BlobActor { house, given_up: Vec::new(), under_way: Vec::new(), waste: false, stay: None }
    }
}

impl Actor for BlobActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl BlobActor {
    /// There is something to do: it is begun, unless a portion is under way, behind which it comes.
    fn hear(&mut self, stay: Stay, context: &Context<Self>) {
        if self.stay.is_none() {
            self.stay = Some(stay);
            self.sweep(context);
        }
    }

    /// Begins a portion, if there is anything to do.
    fn sweep(&mut self, context: &Context<Self>) {
        if self.given_up.is_empty() && !self.waste {
            self.stay = None;
            return;
        }
        self.waste = false;
        self.under_way.append(&mut self.given_up);
        let (given_up, chunks) = (self.under_way.clone(), limits::CHUNKS_SWEPT_AT_ONCE);
        let address = context.address();
        self.house.writer.apply(Sweep { given_up, chunks }, None, move |swept| address.do_send(Done(swept)));
    }
}

impl Handler<Visit<Begin>> for BlobActor {
    type Result = ();

    fn handle(&mut self, Visit { message, .. }: Visit<Begin>, _: &mut Self::Context) {
        let Begin { operation, post, reply, passage } = message;
        if reply.is_abandoned() {
            return;
        }
        self.house.writer.apply(operation, Some(passage), move |begun| {
            reply.answer(begun.map(|begun| match begun {
                // In an answer that nobody takes it is given up.
                Begun::Done { content } => Ok(Content { number: content, post: Some(post) }),
                Begun::Conflict { actual } => Err(actual),
            }));
        });
    }
}

impl Handler<Visit<GivenUp>> for BlobActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<GivenUp>, context: &mut Self::Context) {
        self.given_up.push(message.0);
        self.hear(stay, context);
    }
}

impl Handler<Visit<Waste>> for BlobActor {
    type Result = ();

    fn handle(&mut self, Visit { stay, .. }: Visit<Waste>, context: &mut Self::Context) {
        self.waste = true;
        self.hear(stay, context);
    }
}

impl Handler<Done> for BlobActor {
    type Result = ();

    fn handle(&mut self, Done(swept): Done, context: &mut Self::Context) {
        match swept {
            Ok(Swept { more, .. }) => {
                self.under_way.clear();
                self.waste |= more;
                self.sweep(context);
            }
            // Nobody waits for it, so it is tried again a little later.
            Err(error) if error.may_pass() => {
                self.waste = true;
                context.run_later(limits::TRY_AGAIN, |actor, context| actor.sweep(context));
            }
            // Whoever opens the store next finds that this process is gone.
            Err(_) => self.stay = None,
        }
    }
}

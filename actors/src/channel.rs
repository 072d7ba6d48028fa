//! The actor of one channel: how somebody in this process begins to follow it.
//!
//! Publishing goes past it, straight to the writer, and what is published goes past it too, from the channel's end to
//! those who follow: both need nothing that an actor would have to put in order.

use actix::prelude::*;

use crate::error::Result;
use crate::feed::{Follower, From, Place, Seen};
use crate::gate::Passage;
use crate::limits;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::feed::Kind;
use crate::supervisor::{House, Primitive, Stay, Visit};

/// Follow the channel from some place on.
#[derive(Debug)]
pub struct Subscribe {
    /// From where.
    pub from: From,
    /// Answered when it is active: whatever is committed after that comes.
    pub reply: Reply<Seat>,
    /// The request's passage.
    pub passage: Passage,
}

/// The place of one who follows. The channel's actor stays for it.
#[derive(Debug)]
pub struct Seat {
    follower: Follower,
    _stay: Stay,
}

impl Seat {
    /// See [`Follower::poll_next`].
    pub fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Seen>>> {
        self.follower.poll_next(context)
    }

    /// See [`Follower::next`].
    #[must_use]
    pub fn next(&self) -> u64 {
        self.follower.next()
    }
}

/// The actor.
#[derive(Debug)]
pub struct ChannelActor {
    name: Name,
    house: House,
}

impl Primitive for ChannelActor {
    fn open(name: Name, house: House) -> ChannelActor {
        ChannelActor { name, house }
    }
}

impl Actor for ChannelActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(limits::MAILBOX);
    }
}

impl Handler<Visit<Subscribe>> for ChannelActor {
    type Result = ();

    fn handle(&mut self, Visit { message, stay }: Visit<Subscribe>, _: &mut Self::Context) {
        let Subscribe { from, reply, mut passage } = message;
        if reply.is_abandoned() {
            return;
        }
        passage.arrive();
        // Before the look, so that what is committed after it is not missed.
        let tail = self.house.feeds.tail(Kind::Channel, &self.name);
        let name = self.name.clone();
        self.house.readers.read(
            move |view| from.find(Kind::Channel, &name, view),
            move |found| {
                let seat = found.and_then(|Place { next, first, last }| {
                    tail.stands(first, last);
                    Ok(Seat { follower: Follower::new(tail, next)?, _stay: stay })
                });
                reply.answer(seat);
                drop(passage);
            },
        );
    }
}

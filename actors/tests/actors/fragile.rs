//! An actor that fails when told, to see what the supervisor makes of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::prelude::*;
use millpond_actors::error::Result;
use millpond_actors::gate::Passage;
use millpond_actors::name::Name;
use millpond_actors::reply::Reply;
use millpond_actors::supervisor::{House, Primitive, Visit};

use crate::world::{World, name};

/// Each one that is opened has another number.
pub(crate) struct Fragile {
    number: u64,
}

impl Primitive for Fragile {
    fn open(_: Name, _: House) -> Fragile {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        Fragile { number: OPENED.fetch_add(1, Ordering::SeqCst) }
    }
}

impl Actor for Fragile {
    type Context = Context<Self>;
}

/// Tell your number, or fail.
pub(crate) struct Tell {
    fail: bool,
    reply: Reply<u64>,
    _passage: Passage,
}

impl Handler<Visit<Tell>> for Fragile {
    type Result = ();

    fn handle(&mut self, Visit { message, .. }: Visit<Tell>, _: &mut Self::Context) {
        assert!(!message.fail, "it was told to");
        message.reply.answer(Ok(self.number));
    }
}

impl World {
    /// The number of the actor that has this name now.
    pub(crate) fn number_of(&self, actor: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        self.tell(actor, false)
    }

    /// The actor of this name panics.
    pub(crate) fn fail(&self, actor: &str) -> impl Future<Output = Result<u64>> + Send + use<> {
        self.tell(actor, true)
    }

    fn tell(&self, actor: &str, fail: bool) -> impl Future<Output = Result<u64>> + Send + use<> {
        let (runtime, name) = (Arc::clone(&self.runtime), name(actor));
        async move {
            let build = |reply, _passage| Tell { fail, reply, _passage };
            runtime.ask::<Fragile, _, _>(&name, build).await
        }
    }
}

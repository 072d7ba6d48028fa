//! An aggregate as its actor sees it: the user's code, with its encoding hidden.

use std::borrow::Cow;

use millpond_actors::aggregate::{Inspect, Model, Plan, Policy};
use millpond_actors::error::{Error, Result};
use millpond_actors::reply::Reply;
use millpond_actors::storage::Data;
use millpond_actors::storage::stream::Recorded as Record;
use millpond_actors::thread::Theirs;

use super::upcasts::{Shapes, shapes};
use super::{Aggregate, Decision};

/// An aggregate as its actor sees it.
pub(crate) struct Hosted<A>(pub(super) A);

impl<A> Hosted<A> {
    pub(super) fn into_state(self) -> A {
        self.0
    }
}

impl<A: Aggregate> Model for Hosted<A> {
    type Command = A::Command;
    type Event = A::Event;
    type Rejection = A::Rejection;

    fn fresh() -> Hosted<A> {
        Hosted(A::default())
    }

    fn decide(&self, command: &A::Command) -> Result<Plan<Self>, A::Rejection> {
        self.0.decide(command).map(|Decision { events, effects }| Plan { events, effects })
    }

    fn evolve(&mut self, event: &A::Event) {
        self.0.evolve(event);
    }

    fn fork(&self) -> Option<Hosted<A>> {
        self.0.fork().map(Hosted)
    }

    fn encode(event: &A::Event) -> Result<(Cow<'static, str>, Data, u32)> {
        let (event_type, content, schema) = shapes::<A>().encode(event)?;
        Ok((event_type, Data::Json(content), schema))
    }

    type Reader = &'static Shapes;

    fn reader() -> &'static Shapes {
        shapes::<A>()
    }

    fn decode(reader: &'static Shapes, recorded: &Record) -> Result<A::Event> {
        reader.decode(recorded)
    }

    fn snapshots() -> Option<Policy> {
        A::snapshots().policy
    }

    fn freeze(&self) -> Result<Data> {
        (A::snapshots().freeze)(&self.0)
    }

    fn thaw(data: &Data) -> Result<Hosted<A>> {
        (A::snapshots().thaw)(data).map(Hosted)
    }
}

/// A look that copies the state.
pub(super) struct Copying<A> {
    pub(super) seen: Option<Theirs<A>>,
    pub(super) reply: Reply<A>,
}

impl<A: Aggregate + Clone> Inspect<Hosted<A>> for Copying<A> {
    fn look(&mut self, state: &Hosted<A>, _: u64) {
        self.seen = Some(Theirs::new(state.0.clone()));
    }

    fn answer(self: Box<Self>, answer: Result<()>) {
        let Copying { seen, reply } = *self;
        let unseen = || Error::ActorFailed { what: "the aggregate".into() };
        reply.answer(answer.and_then(|()| seen.map(Theirs::into_inner).ok_or_else(unseen)));
    }
}

//! What waits to be decided, and how it is answered.

use uuid::Uuid;

use super::Verdict;
use super::deciding::Decided;
use super::knowing::About;
use super::model::{Inspect, Model};
use crate::error::Error;
use crate::gate::Passage;
use crate::reply::Reply;
use crate::stream::Placed;
use crate::supervisor::{Post, Stay};
use crate::thread::Theirs;

/// What waits to be decided.
pub(super) enum Item<M: Model> {
    Execute(Order<M>),
    Look { inspect: Box<dyn Inspect<M>>, as_known: bool, entry: Entry },
}

/// A command that waits.
pub(super) struct Order<M: Model> {
    pub(super) command: Theirs<M::Command>,
    pub(super) about: About,
    /// Whether it is known not to have been carried out before. Without an id it never was. Of those in the line that have
    /// the same id this is so of one at most.
    pub(super) is_new: bool,
    pub(super) post: Post,
    pub(super) reply: Reply<Verdict<M>>,
    pub(super) entry: Entry,
}

/// How an item came in.
pub(super) struct Entry {
    pub(super) _passage: Passage,
    pub(super) stay: Stay,
    /// When what it leads to must have been begun, however often it is decided.
    pub(super) deadline_ms: u64,
    /// How often another process was faster.
    pub(super) overtaken: u32,
}

impl<M: Model> Item<M> {
    pub(super) fn fail(self, error: Error) {
        match self {
            Item::Execute(order) => order.reply.answer(Err(error)),
            Item::Look { inspect, .. } => inspect.answer(Err(error)),
        }
    }

    pub(super) fn entry(&self) -> &Entry {
        match self {
            Item::Execute(Order { entry, .. }) | Item::Look { entry, .. } => entry,
        }
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        match self {
            Item::Execute(order) => order.about.id,
            Item::Look { .. } => None,
        }
    }

    /// The id of a command of which it is not known whether it was carried out before.
    pub(super) fn unknown(&self) -> Option<Uuid> {
        self.id().filter(|_| !matches!(self, Item::Execute(Order { is_new: true, .. })))
    }

    pub(super) fn overtaken(mut self) -> Item<M> {
        match &mut self {
            Item::Execute(Order { entry, .. }) | Item::Look { entry, .. } => entry.overtaken += 1,
        }
        self
    }
}

/// Answers one item of a flight that has landed; `last` is the place of the flight's last event.
pub(super) fn answer<M: Model>(item: Item<M>, decided: Decided<M>, last: Option<Placed>) {
    match (item, decided) {
        (Item::Execute(Order { reply, .. }), Decided::Events { events, version }) => {
            let behind = last.map_or(0, |last| last.version.saturating_sub(version));
            let position =
                last.filter(|_| !events.is_empty()).map(|last| last.position.saturating_sub(behind));
            let events = events.into_inner();
            reply.answer(Ok(Verdict::Committed { version, position, events, repeated: false }));
        }
        (Item::Execute(Order { reply, .. }), Decided::Rejected(rejection)) => {
            reply.answer(Ok(Verdict::Rejected(rejection.into_inner())));
        }
        (Item::Look { inspect, .. }, _) => inspect.answer(Ok(())),
        (item @ Item::Execute(_), Decided::Looked) => {
            item.fail(Error::ActorFailed { what: "this request".into() })
        }
    }
}

//! Commands that carry an id: whether one has been carried out before, and what it led to.
//!
//! Nothing is kept about commands. The events of a command with an id have ids that follow from it, and event ids are looked
//! up anyway; so what was done is recognised for ever, at no cost to commands without an id. A look that found nothing holds
//! until somebody else writes to the stream, and then the append that rests on it is refused for its version.

use uuid::Uuid;

use super::Verdict;
use super::loading::each_event;
use super::model::{Model, guard};
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::storage::{Origin, View};
use crate::thread::Theirs;

/// What is said of a command beside itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its id: what carries the same one is the same command, and takes effect once in an aggregate.
    pub id: Option<Uuid>,
    /// Where it comes from.
    pub origin: Option<Box<Origin>>,
}

impl About {
    /// Where its events come from: from the command, if that has an id, or else from whatever it comes from.
    pub(super) fn origin_of_events(&self) -> Option<Box<Origin>> {
        let Some(id) = self.id else { return self.origin.clone() };
        Origin::following(id, self.origin.as_deref()).kept()
    }
}

/// The id of an event of a command with an id.
pub(super) fn event_id(command: Uuid, stream: &Name, index: usize) -> Uuid {
    // No name holds a zero byte.
    Uuid::new_v5(&command, format!("{stream}\0{index}").as_bytes())
}

/// What a command has led to before.
pub(super) struct Known<M: Model> {
    pub(super) events: Theirs<Vec<M::Event>>,
    /// Of the last of them.
    pub(super) version: u64,
    pub(super) position: u64,
}

/// What is known of a command: nothing, if it was not carried out.
pub(super) type Found<M> = Result<Option<Known<M>>>;

impl<M: Model> Known<M> {
    /// The answer of the first time.
    pub(super) fn verdict(self) -> Verdict<M> {
        let Known { events, version, position } = self;
        Verdict::Committed { version, position: Some(position), events: events.into_inner(), repeated: true }
    }
}

/// What became of each of these commands, if it was carried out, in their order.
pub(super) fn recall<M: Model>(view: &mut dyn View, name: &Name, commands: &[Uuid]) -> Vec<Found<M>> {
    commands.iter().map(|id| look::<M>(view, name, *id)).collect()
}

fn look<M: Model>(view: &mut dyn View, name: &Name, command: Uuid) -> Found<M> {
    let Some(first) = view.event(&event_id(command, name, 0))? else { return Ok(None) };
    if first.stream != *name {
        // Somebody gave an event elsewhere the id that this one's would have.
        return Err(Error::DuplicateEvent { stream: name.to_string(), id: first.id });
    }
    if first.is_erased() {
        // It was carried out; what it led to is not told any more.
        let (events, version, position) = (Theirs::new(Vec::new()), first.version, first.position);
        return Ok(Some(Known { events, version, position }));
    }
    let (mut events, mut last) = (Theirs::new(Vec::new()), (first.version, first.position));
    let reader = guard("the upcasts", name, M::reader)?;
    // They stand one behind the other, and were appended at once.
    each_event(view, name, (first.version, limits::LAST_SEQUENCE), |recorded| {
        let is_its = recorded.id == event_id(command, name, events.len());
        if is_its {
            last = (recorded.version, recorded.position);
            events.push(guard("decoding an event", name, || M::decode(reader, &recorded))??);
        }
        Ok(is_its)
    })?;
    Ok(Some(Known { events, version: last.0, position: last.1 }))
}

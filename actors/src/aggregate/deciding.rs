//! Turns the commands that wait into one flight: decided one after the other, appended as one.

use std::collections::VecDeque;

use uuid::Uuid;

use super::Item;
use super::model::{Effect, Loaded, Model, Plan, guard};
use crate::batch::Part;
use crate::clock::Rng;
use crate::error::Result;
use crate::limits;
use crate::name::Name;
use crate::storage::Data;
use crate::storage::stream::NewEvent;
use crate::supervisor::House;
use crate::thread::Theirs;

/// Commands that have been decided together, with all their events.
pub(super) struct Flight<M: Model> {
    /// The version that they rest on.
    pub(super) base: u64,
    pub(super) decided: Vec<(Item<M>, Decided<M>)>,
    pub(super) events: Vec<NewEvent>,
    /// What else is written with them.
    pub(super) effects: Vec<Part>,
}

/// What was decided for one item.
pub(super) enum Decided<M: Model> {
    /// These events; the stream's version behind the last of them.
    Events { events: Theirs<Vec<M::Event>>, version: u64 },
    /// The aggregate refused.
    Rejected(Theirs<M::Rejection>),
    /// It looked at the state.
    Looked,
}

/// Decides what waits, up to the limits of a merged append. Without a state in return, `evolve` panicked: that
/// command has been answered, and those in the flight must be decided anew on a fresh state.
pub(super) fn decide<M: Model>(
    name: &Name,
    mut loaded: Loaded<M>,
    line: &mut VecDeque<Item<M>>,
    house: &House,
) -> (Option<Loaded<M>>, Flight<M>) {
    let mut flight =
        Flight { base: loaded.version, decided: Vec::new(), events: Vec::new(), effects: Vec::new() };
    let mut bytes = 0;
    while flight.decided.len() < limits::MERGED_COMMANDS && bytes < limits::MERGED_BYTES {
        let Some(item) = line.pop_front() else { break };
        let (command, post, reply, entry) = match item {
            Item::Look { mut inspect, entry } => {
                match guard("looking at the state", name, || inspect.look(&loaded.state, loaded.version)) {
                    Ok(()) => flight.decided.push((Item::Look { inspect, entry }, Decided::Looked)),
                    Err(error) => inspect.answer(Err(error)),
                }
                continue;
            }
            Item::Execute { command, post, reply, entry } => (command, post, reply, entry),
        };
        let decided = guard("decide", name, || loaded.state.decide(&command));
        let owned = |Plan { events, effects }: Plan<M>| (Theirs::new(events), effects);
        match decided.map(|decided| decided.map(owned).map_err(Theirs::new)) {
            Ok(Ok((events, effects))) => match encode::<M>(name, &events, effects, &*house.seams.rng) {
                Ok((encoded, effects)) => {
                    let evolve = || events.iter().for_each(|event| loaded.state.evolve(event));
                    if let Err(error) = guard("evolve", name, evolve) {
                        reply.answer(Err(error));
                        return (None, flight);
                    }
                    loaded.version += encoded.len() as u64;
                    bytes += encoded.iter().map(|event| event.data.bytes().len()).sum::<usize>();
                    bytes += effects.iter().map(|effect| effect.bytes).sum::<usize>();
                    flight.events.extend(encoded);
                    let part = |effect: Effect| (effect.part)(&post, &house.feeds);
                    flight.effects.extend(effects.into_iter().map(part));
                    let item = Item::Execute { command, post, reply, entry };
                    flight.decided.push((item, Decided::Events { events, version: loaded.version }));
                }
                Err(error) => reply.answer(Err(error)),
            },
            Ok(Err(rejection)) => {
                let item = Item::Execute { command, post, reply, entry };
                flight.decided.push((item, Decided::Rejected(rejection)));
            }
            Err(error) => reply.answer(Err(error)),
        }
    }
    (Some(loaded), flight)
}

/// The events of one command as records, within the limits of one append, and its effects, if there can be such.
fn encode<M: Model>(
    name: &Name,
    events: &[M::Event],
    effects: Result<Vec<Effect>>,
    rng: &dyn Rng,
) -> Result<(Vec<NewEvent>, Vec<Effect>)> {
    let effects = effects?;
    limits::check_size("the decision in events", events.len(), limits::EVENTS_PER_APPEND)?;
    limits::check_size("the decision in effects", effects.len(), limits::EFFECTS)?;
    let events = events.iter().map(|event| record::<M>(name, event, rng.uuid()));
    Ok((events.collect::<Result<_>>()?, effects))
}

fn record<M: Model>(name: &Name, event: &M::Event, id: Uuid) -> Result<NewEvent> {
    let (event_type, data) = guard("encoding an event", name, || M::encode(event))??;
    crate::name::check("event type", &event_type, limits::EVENT_TYPE_BYTES)?;
    check_size(&data)?;
    Ok(NewEvent { id, event_type, data, schema: 1, at: None, metadata: None, origin: None })
}

fn check_size(data: &Data) -> Result<()> {
    limits::check_size("the event's data in bytes", data.bytes().len(), limits::EVENT_BYTES)
}

//! Turns the commands that wait into one flight: decided one after the other, appended as one.

use std::collections::VecDeque;

use uuid::Uuid;

use super::knowing::{About, event_id};
use super::loading::Loaded;
use super::model::{Effect, Model, Plan, guard};
use super::waiting::Item;
use crate::batch::Part;
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::storage::stream::NewEvent;
use crate::storage::{Data, Origin};
use crate::supervisor::House;
use crate::thread::Theirs;

/// Commands that have been decided together, with all their events.
pub(super) struct Flight<M: Model> {
    /// The version that they rest on.
    pub(super) base: u64,
    /// The state at that version, where a copy of it was made.
    pub(super) before: Option<Theirs<M>>,
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

impl<M: Model> Flight<M> {
    /// Whether what was decided rests on nothing that has to be compared with the store: nobody asked for more than what is
    /// known here.
    pub(super) fn is_of_old_looks(&self) -> bool {
        self.decided.iter().all(|(item, _)| matches!(item, Item::Look { as_known: true, .. }))
    }
}

/// Decides what waits, up to the limits of a merged append. Without a state in return, `evolve` panicked: that
/// command has been answered, and those in the flight must be decided anew on a fresh state.
pub(super) fn decide<M: Model>(
    name: &Name,
    mut loaded: Loaded<M>,
    before: Option<Theirs<M>>,
    line: &mut VecDeque<Item<M>>,
    house: &House,
) -> (Option<Loaded<M>>, Flight<M>) {
    let (decided, events, effects) = (Vec::new(), Vec::new(), Vec::new());
    let mut flight = Flight { base: loaded.version, before, decided, events, effects };
    let mut bytes = 0;
    while flight.decided.len() < limits::MERGED_COMMANDS && bytes < limits::MERGED_BYTES {
        let Some(item) = line.pop_front() else { break };
        let order = match item {
            Item::Look { mut inspect, as_known, entry } => {
                match guard("looking at the state", name, || inspect.look(&loaded.state, loaded.version)) {
                    Ok(()) => {
                        flight.decided.push((Item::Look { inspect, as_known, entry }, Decided::Looked));
                    }
                    Err(error) => inspect.answer(Err(error)),
                }
                continue;
            }
            Item::Execute(order) => order,
        };
        // Whether it was carried out before is not known yet: perhaps in this very flight.
        if !order.is_new {
            line.push_front(Item::Execute(order));
            break;
        }
        let decided = guard("decide", name, || loaded.state.decide(&order.command));
        let owned = |Plan { events, effects }: Plan<M>| (Theirs::new(events), effects);
        match decided.map(|decided| decided.map(owned).map_err(Theirs::new)) {
            Ok(Ok((events, effects))) => match encode::<M>(name, &order.about, &events, effects, house) {
                Ok((encoded, effects)) => {
                    let evolve = || events.iter().for_each(|event| loaded.state.evolve(event));
                    if let Err(error) = guard("evolve", name, evolve) {
                        order.reply.answer(Err(error));
                        return (None, flight);
                    }
                    loaded.version += encoded.len() as u64;
                    bytes += encoded.iter().map(|event| event.data.bytes().len()).sum::<usize>();
                    bytes += effects.iter().map(Effect::bytes).sum::<usize>();
                    // What follows is caused by what has happened last.
                    let origin = match encoded.last() {
                        Some(last) => Origin::following(last.id, last.origin.as_deref()).kept(),
                        None => order.about.origin_of_events(),
                    };
                    flight.events.extend(encoded);
                    let part = |effect: Effect| effect.into_part(&order.post, &house.feeds, origin.clone());
                    flight.effects.extend(effects.into_iter().map(part));
                    let decided = Decided::Events { events, version: loaded.version };
                    flight.decided.push((Item::Execute(order), decided));
                }
                Err(error) => order.reply.answer(Err(error)),
            },
            Ok(Err(rejection)) => {
                flight.decided.push((Item::Execute(order), Decided::Rejected(rejection)));
            }
            Err(error) => order.reply.answer(Err(error)),
        }
    }
    (Some(loaded), flight)
}

/// The events of one command as records, within the limits of one append, and its effects, if there can be such.
fn encode<M: Model>(
    name: &Name,
    about: &About,
    events: &[M::Event],
    effects: Result<Vec<Effect>>,
    house: &House,
) -> Result<(Vec<NewEvent>, Vec<Effect>)> {
    let effects = effects?;
    limits::check_size("the decision in events", events.len(), limits::EVENTS_PER_APPEND)?;
    limits::check_size("the decision in effects", effects.len(), limits::EFFECTS)?;
    if about.id.is_some() && events.is_empty() && !effects.is_empty() {
        let reason =
            "it leads to jobs or messages and to no event, by which it would be recognised".to_owned();
        return Err(Error::InvalidArgument { what: format!("a command with an id for \"{name}\""), reason });
    }
    let origin = about.origin_of_events();
    let id = |index| about.id.map_or_else(|| house.seams.rng.uuid(), |id| event_id(id, name, index));
    let events = events.iter().enumerate();
    let events = events.map(|(index, event)| record::<M>(name, event, id(index), origin.clone()));
    Ok((events.collect::<Result<_>>()?, effects))
}

fn record<M: Model>(
    name: &Name,
    event: &M::Event,
    id: Uuid,
    origin: Option<Box<Origin>>,
) -> Result<NewEvent> {
    let (event_type, data, schema) = guard("encoding an event", name, || M::encode(event))??;
    crate::name::check("event type", &event_type, limits::EVENT_TYPE_BYTES)?;
    check_size(&data)?;
    Ok(NewEvent { id, event_type, data, schema, at: None, metadata: None, origin })
}

fn check_size(data: &Data) -> Result<()> {
    limits::check_size("the event's data in bytes", data.bytes().len(), limits::EVENT_BYTES)
}

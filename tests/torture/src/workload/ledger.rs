//! What is written under a lock, to be told from it whether there were ever more inside than may be.
//!
//! Whoever comes in says so under its guard, and so does whoever goes. A write under a guard lands only while the lock is
//! held, so whoever has an event before and one after another's event was inside with it. One that was killed inside has
//! only come, and proves nothing about later.

use std::collections::BTreeMap;

use millpond::{Error, Event, Expected, LockGuard, Store};
use uuid::Uuid;

use super::events::{forget_places, id, renumber};
use super::told::{Fact, Told, Word};
use super::{Deed, Primitive};
use crate::look::{Found, Seen};
use crate::report::{Broken, Violation};

const ENTER: &str = "Entered";
const LEAVE: &str = "Left";

/// The id of an event of a ledger. Tokens are unique in all of the store.
fn ledger_id(token: u64, part: u64) -> Uuid {
    id(1_000_000, token, part)
}

/// One who got in with so many permits comes, goes and gives back; told is also what went wrong.
pub(super) async fn turn(
    of: &'static dyn Primitive,
    deed: Deed,
    weight: u32,
    guard: Result<LockGuard, Error>,
    store: &Store,
    told: &Told,
) {
    let turned = async {
        let (guard, Deed { who, number, .. }) = (guard?, deed);
        let stream = of.streams().first().copied().unwrap_or_default();
        let token = guard.token();
        told.say([Word::Granted(token)]);
        let events = store.events().guarded_by(&guard);
        for (part, kind) in [(0, ENTER), (1, LEAVE)] {
            let content = format!(r#"{{"who":{who},"number":{number},"token":{token},"weight":{weight}}}"#);
            let id = ledger_id(token, part);
            let event = Event::from_json(kind, content.clone())?.id(id);
            let done = events.append(stream, Expected::Any, [event]).await;
            let done = done.map(|done| Some((done.version, done.position)));
            told.answer(vec![Fact::new(of, id, stream, content)], &done);
            if done.is_err() {
                break;
            }
        }
        guard.release().await
    };
    if let Err(error) = turned.await {
        told.say([Word::Failed(error)]);
    }
}

/// Gives back what could be had, if it could.
pub(super) async fn give_back(guard: Option<LockGuard>) -> millpond::Result<bool> {
    match guard {
        Some(guard) => guard.release().await.map(|()| true),
        None => Ok(false),
    }
}

/// One who was inside: between which events, and with how many permits.
struct Stay {
    first: usize,
    last: usize,
    weight: u64,
}

fn stays(events: &[&Found]) -> Option<BTreeMap<u64, Stay>> {
    let mut stays: BTreeMap<u64, Stay> = BTreeMap::new();
    for (at, found) in events.iter().enumerate() {
        let value: serde_json::Value = serde_json::from_str(&found.content).ok()?;
        let (token, weight) = (value.get("token")?.as_u64()?, value.get("weight")?.as_u64()?);
        let part = u64::from(found.event_type == LEAVE);
        let stay = stays.entry(token).or_insert(Stay { first: at, last: at, weight });
        // It comes once, and goes once, after it has come.
        if found.id != ledger_id(token, part) || (part == 0) != (stay.first == at) {
            return None;
        }
        stay.last = at;
    }
    Some(stays)
}

/// More were inside at once than have room.
pub(super) fn crowds(of: &'static dyn Primitive, seen: &Seen, room: u64) -> Vec<Violation> {
    let events: Vec<&Found> = seen.events_of(of).collect();
    let Some(stays) = stays(&events) else {
        return vec![(Broken::Overlap, format!("{}: somebody goes who never came", of.name()))];
    };
    // Who comes with an event, and who has gone before the next.
    let mut come = vec![0; events.len()];
    let mut gone = vec![0; events.len()];
    for stay in stays.values() {
        come.get_mut(stay.first).into_iter().for_each(|come| *come += stay.weight);
        gone.get_mut(stay.last).into_iter().for_each(|gone| *gone += stay.weight);
    }
    let mut inside = 0;
    for (found, (come, gone)) in events.iter().zip(come.iter().zip(gone)) {
        inside += come;
        if inside > room {
            return vec![(Broken::Overlap, format!("{}: {inside} of {room} with {found:?}", of.name()))];
        }
        inside -= gone;
    }
    Vec::new()
}

/// Whoever comes has a larger token than all before: there is room for one.
pub(super) fn disorder(of: &'static dyn Primitive, seen: &Seen) -> Option<Violation> {
    let events: Vec<&Found> = seen.events_of(of).collect();
    let mut by_token: Vec<usize> = stays(&events)?.values().map(|stay| stay.first).collect();
    let is_sorted = by_token.is_sorted();
    by_token.truncate(5);
    (!is_sorted).then(|| (Broken::Overlap, format!("{}: tokens go back: {by_token:?}", of.name())))
}

/// All of them come before the first goes. Not if that would be no crowd.
pub(super) fn crowd(of: &'static dyn Primitive, room: u64, words: &mut [Word], seen: &mut Seen) -> bool {
    let (places, mut events): (Vec<usize>, Vec<Found>) = (0..)
        .zip(&seen.found)
        .filter(|(_, found)| of.streams().iter().any(|stream| found.stream.starts_with(stream)))
        .map(|(at, found)| (at, found.clone()))
        .unzip();
    let whole: u64 = stays(&events.iter().collect::<Vec<_>>()).map_or(0, |stays| {
        stays.values().filter(|stay| stay.last > stay.first).map(|stay| stay.weight).sum()
    });
    events.sort_by_key(|found| found.event_type != ENTER);
    for (at, found) in places.into_iter().zip(events) {
        if let Some(place) = seen.found.get_mut(at) {
            *place = found;
        }
    }
    forget_places(words);
    renumber(&mut seen.found);
    whole > room
}

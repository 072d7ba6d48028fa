//! An aggregate whose state can be checked against its events: it counts them, and has snapshots.
//!
//! Most commands have an id. They are sent again, at once and by whoever begins anew after a kill, and count once.

use std::collections::BTreeSet;
use std::pin::Pin;

use millpond::{Aggregate, CommandError, Decision, Error, Execute, Snapshots, Store, WriteOutcome};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::events::{forget_places, id, renumber};
use super::told::{Fact, Told, Word};
use super::{Deed, Mutant, Primitive, Reading};
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// What their streams begin with.
pub const TALLIES: &str = "tally-";

/// How many there are.
const COUNT: u64 = 2;

/// Some tallies that callers count with.
#[derive(Clone, Copy, Debug)]
pub struct Tallies;

impl Primitive for Tallies {
    fn name(&self) -> &'static str {
        "aggregate"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[TALLIES]
    }

    fn share(&self) -> u64 {
        2
    }

    /// If the command has an id.
    fn is_idempotent(&self, number: u64) -> bool {
        has_id(number)
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let (tally, again, Deed { who, number, .. }) = (random.below(COUNT), random.below(2) == 0, deed);
        Box::pin(async move {
            // The events of an aggregate get their ids from the store.
            let fact = || Fact::new(&Tallies, Uuid::nil(), format!("{TALLIES}{tally}"), content(who, number));
            let tally = store.aggregate::<Tally>(tally.to_string());
            let done = count(&tally, who, number).await;
            let is_over = matches!(&done, Err(error) if error.outcome() == WriteOutcome::NotApplied);
            told.answer(vec![fact()], &done);
            if is_over || !again || !has_id(number) {
                return;
            }
            match count(&tally, who, number).await {
                Ok(done) => told.answer(vec![fact()], &Ok(done)),
                // It says nothing about the first time.
                Err(error) => told.say([Word::Failed(error)]),
            }
        })
    }

    fn read<'s>(
        &self,
        store: &'s Store,
        found: &'s [Found],
    ) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        let streams: BTreeSet<&str> = found.iter().map(|found| found.stream.as_str()).collect();
        Box::pin(async move {
            let mut states = Vec::new();
            for stream in streams.into_iter().filter(|stream| stream.starts_with(TALLIES)) {
                // From a snapshot, if there is one.
                let id = stream.strip_prefix(TALLIES).unwrap_or_default();
                let state = store.aggregate::<Tally>(id).state().await;
                let found = |state: Tally| (state != Tally::default()).then(|| state.found(stream));
                states.push((format!("state of {stream}"), state.map(found)));
            }
            states
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        let states = seen.rest.get(self.name()).into_iter().flatten();
        let wrong = states.filter_map(|state| {
            let events = seen.found.iter().filter(|found| found.stream == state.stream);
            let replayed = Tally::of(events.map(|found| found.content.clone())).found(&state.stream);
            (*state != replayed)
                .then(|| (Broken::Corrupt, format!("{state:?} is by replay {:?}", replayed.content)))
        });
        wrong.collect()
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant { name: "stale", breaks: Broken::Corrupt, spoil: fall_behind },
            Mutant { name: "command-twice", breaks: Broken::Twice, spoil: count_again },
        ]
    }
}

/// Whether the command of this number has an id.
fn has_id(number: u64) -> bool {
    number % 7 < 4
}

/// What its event holds.
fn content(who: u64, number: u64) -> String {
    format!(r#"{{"who":{who},"number":{number}}}"#)
}

/// Counts once. Another process may have been faster, again and again: nothing was written then.
async fn count(
    tally: &millpond::Entity<Tally>,
    who: u64,
    number: u64,
) -> std::result::Result<Option<(u64, u64)>, Error> {
    let how = if has_id(number) { Execute::new().id(id(who, number, 0)) } else { Execute::new() };
    loop {
        return match tally.execute_with(Happened::Counted { who, number }, how.clone()).await {
            Ok(done) => Ok(done.position.map(|position| (done.version, position))),
            Err(CommandError::Failed(Error::Conflict { .. })) => continue,
            Err(CommandError::Failed(error)) => Err(error),
            // It rejects nothing.
            Err(other) => Err(Error::InvalidArgument { what: "a tally".into(), reason: other.to_string() }),
        };
    }
}

/// A state does not know the last event.
fn fall_behind(_: &mut [Word], seen: &mut Seen) -> bool {
    let found = &seen.found;
    let states = seen.rest.get_mut(Tallies.name());
    let Some(state) = states.and_then(|states| states.last_mut()) else { return false };
    let events = found.iter().filter(|found| found.stream == state.stream);
    let mut contents: Vec<String> = events.map(|found| found.content.clone()).collect();
    contents.pop();
    *state = Tally::of(contents).found(&state.stream);
    true
}

/// A command with an id has counted a second time, and the state knows of it.
fn count_again(words: &mut [Word], seen: &mut Seen) -> bool {
    let is_counted = |found: &&Found| {
        let value: Option<serde_json::Value> = serde_json::from_str(&found.content).ok();
        let number = value.and_then(|value| value.get("number")?.as_u64());
        found.stream.starts_with(TALLIES) && number.is_some_and(has_id)
    };
    let Some(again) = seen.found.iter().rfind(is_counted).cloned() else { return false };
    let stream = again.stream.clone();
    seen.found.push(Found { id: Uuid::from_u128(7), ..again });
    renumber(&mut seen.found);
    forget_places(words);
    let events = seen.found.iter().filter(|found| found.stream == stream);
    let counted = Tally::of(events.map(|found| found.content.clone())).found(&stream);
    let mut states = seen.rest.get_mut(Tallies.name()).into_iter().flatten();
    states.find(|state| state.stream == stream).map(|state| *state = counted).is_some()
}

/// How often it was counted, and a sum that depends on what was counted and on its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events.
    pub count: u64,
    /// Of their numbers.
    pub sum: u64,
}

/// That somebody has counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Happened {
    /// Who, and their number.
    Counted {
        /// Who.
        who: u64,
        /// Their number.
        number: u64,
    },
}

/// It refuses nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("never")]
pub enum Never {}

impl Tally {
    /// The same state by another way: from the contents of all its events.
    #[must_use]
    pub fn of(contents: impl IntoIterator<Item = String>) -> Tally {
        let mut tally = Tally::default();
        for content in contents {
            let value: Option<serde_json::Value> = serde_json::from_str(&content).ok();
            tally.add(value.and_then(|value| value.get("number")?.as_u64()).unwrap_or(0));
        }
        tally
    }

    fn add(&mut self, number: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_mul(31).wrapping_add(number);
    }

    fn found(&self, stream: &str) -> Found {
        let (stream, content) = (stream.to_owned(), format!("{self:?}"));
        Found { stream, version: self.count, event_type: "state".into(), content, ..Found::default() }
    }
}

impl Aggregate for Tally {
    const KIND: &'static str = "tally";
    type Command = Happened;
    type Event = Happened;
    type Rejection = Never;

    fn decide(&self, command: &Happened) -> Result<Decision<Tally>, Never> {
        Ok(Decision::from([command.clone()]))
    }

    fn evolve(&mut self, Happened::Counted { number, .. }: &Happened) {
        self.add(*number);
    }

    fn snapshots() -> Snapshots<Tally> {
        Snapshots::every(3)
    }
}

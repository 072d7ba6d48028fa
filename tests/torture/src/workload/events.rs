//! Streams: appends to one, imports over several, and readers of the last events.

use std::collections::{HashMap, HashSet};

use millpond::{Error, Event, Expected, Store, blocking};
use uuid::Uuid;

use super::told::{Fact, Told, Word, unsay};
use super::{Deed, Mutant, Primitive};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Events that a reader looks at.
const TAIL: u64 = 12;

/// Events that are appended and imported.
#[derive(Clone, Copy, Debug)]
pub struct Events;

impl Primitive for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["own-", "shared-"]
    }

    fn share(&self) -> u64 {
        5
    }

    fn ask<'s>(&self, deed: Deed, _: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let call = Call { who: deed.who, number: deed.number };
        Box::pin(async move {
            let done = call.make(deed.pad, store).await;
            told.answer(call.facts(), &done);
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        let mut violations = Vec::new();
        check_dense(&seen.found, &mut violations);
        check_once(&seen.found, &mut violations);
        check_whole(seen, &mut violations);
        violations
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        let event = Event::from_json("After", r#"{"after":true}"#)?;
        let done = store.events().append("after", Expected::Any, [event])?;
        if done.position != seen.found.len() as u64 + 1 {
            seen.violations.push((Broken::Hole, format!("the next position is {}", done.position)));
        }
        Ok(())
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant { name: "lost", breaks: Broken::Lost, spoil: lose },
            Mutant { name: "hole", breaks: Broken::Hole, spoil: leave_out },
            Mutant { name: "twice", breaks: Broken::Twice, spoil: repeat },
            Mutant { name: "torn", breaks: Broken::Torn, spoil: tear },
        ]
    }
}

/// A reader of the last events.
pub(super) async fn read(store: &Store, told: &Told) {
    let mut events = store.events().read_all().backward().limit(TAIL);
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => seen.push(Found::from(&event)),
            Err(error) => return told.say([Word::Failed(error)]),
        }
    }
    told.say([Word::Saw(seen)]);
}

/// A call with one or more events, determined by who does it and the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who.
    pub who: u64,
    /// Which call of theirs.
    pub number: u64,
}

impl Call {
    /// One that is an append to one stream, whatever its number among those: every fourth call would be an import.
    #[must_use]
    pub fn appending(who: u64, number: u64) -> Call {
        Call { who, number: number * 4 + 1 }
    }

    /// Whether it is an import over several streams, or an append to one.
    #[must_use]
    pub fn imports(&self) -> bool {
        self.number.is_multiple_of(4)
    }

    /// How many events it has.
    #[must_use]
    pub fn events(&self) -> u64 {
        1 + (self.number + self.who) % 3 + u64::from(self.imports())
    }

    /// The id of one of its events.
    #[must_use]
    pub fn id(&self, part: u64) -> Uuid {
        id(self.who, self.number, part)
    }

    /// The stream of one of its events: its own, or one that all share.
    #[must_use]
    pub fn stream(&self, part: u64) -> String {
        let step = if self.imports() { part } else { 0 };
        match (self.number + step) % 3 {
            0 => format!("own-{}", self.who),
            shared => format!("shared-{shared}"),
        }
    }

    /// The content of one of its events, which tells what else belongs to the call.
    #[must_use]
    pub fn content(&self, part: u64) -> String {
        format!(r#"{{"who":{},"number":{},"part":{part},"of":{}}}"#, self.who, self.number, self.events())
    }

    /// One of its events.
    ///
    /// # Errors
    /// None: its content is JSON.
    pub fn event(&self, part: u64) -> millpond::Result<Event> {
        Ok(Event::from_json("Called", self.content(part))?.id(self.id(part)))
    }

    /// All of them, as somebody is told about them.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        let fact = |part| Fact::new(&Events, self.id(part), self.stream(part), self.content(part));
        (0..self.events()).map(fact).collect()
    }

    /// Makes it, each event with so many bytes besides its content; where its last event is, if that was said.
    ///
    /// # Errors
    /// What the store said.
    pub async fn make(&self, pad: usize, store: &Store) -> std::result::Result<Option<(u64, u64)>, Error> {
        let padded = |event: Event| match pad {
            0 => event,
            bytes => event.metadata(format!("{:?}", "x".repeat(bytes))),
        };
        let parts = 0..self.events();
        if self.imports() {
            let events = parts.map(|part| Ok((self.stream(part), padded(self.event(part)?))));
            store.events().import(events.collect::<millpond::Result<Vec<_>>>()?).await.map(|_| None)
        } else {
            let events =
                parts.map(|part| self.event(part).map(padded)).collect::<millpond::Result<Vec<_>>>()?;
            let done = store.events().append(self.stream(0), Expected::Any, events).await?;
            Ok(Some((done.version, done.position)))
        }
    }
}

/// The id of a part of a deed; no two have the same.
pub(super) fn id(who: u64, number: u64, part: u64) -> Uuid {
    Uuid::from_u128(u128::from(who + 1) << 96 | u128::from(number) << 16 | u128::from(part))
}

fn check_dense(found: &[Found], violations: &mut Vec<Violation>) {
    let mut versions: HashMap<&str, u64> = HashMap::new();
    for (before, found) in (0..).zip(found) {
        let version = versions.entry(&found.stream).or_insert(0);
        *version += 1;
        if found.position != before + 1 || found.version != *version {
            violations.push((Broken::Hole, format!("{found:?} is number {} and {version}", before + 1)));
        }
    }
}

/// No id twice; and no content twice, which is unique as well, unless it was erased: the same event under another id.
fn check_once(found: &[Found], violations: &mut Vec<Violation>) {
    let (mut ids, mut contents) = (HashSet::new(), HashSet::new());
    for found in found {
        let new_id = ids.insert(found.id);
        let new_content = contents.insert((&found.stream, &found.content, &found.event_type));
        if !new_id || !(new_content || found.is_erased()) {
            violations.push((Broken::Twice, format!("{found:?}")));
        }
    }
}

/// Every call is there with all its events, side by side, or not at all.
fn check_whole(seen: &Seen, violations: &mut Vec<Violation>) {
    for first in seen.events_of(&Events) {
        let Some(call) = call_of(&first.content) else {
            violations.push((Broken::Lost, format!("nobody's: {first:?}")));
            continue;
        };
        let facts = call.facts();
        let parts: Vec<_> = facts.iter().map(|fact| seen.find(fact)).collect();
        let start = parts.first().copied().flatten().map_or(0, |found| found.position);
        let together = (start..).zip(facts.iter().zip(&parts)).all(|(position, (fact, found))| {
            found.is_some_and(|found| {
                found.position == position && found.stream == fact.stream && found.content == fact.content
            })
        });
        if !together {
            violations.push((Broken::Torn, format!("{call:?}: {parts:?}")));
        }
    }
}

fn call_of(content: &str) -> Option<Call> {
    let value: serde_json::Value = serde_json::from_str(content).ok()?;
    Some(Call { who: value.get("who")?.as_u64()?, number: value.get("number")?.as_u64()? })
}

/// An acknowledged event is gone, and all numbers close ranks.
fn lose(words: &mut [Word], seen: &mut Seen) -> bool {
    let acked: Vec<&Fact> = words.iter().filter(|word| word.is_acked()).filter_map(Word::fact).collect();
    let Some(lost) = acked.get(acked.len() / 2) else { return false };
    let found = seen.place(lost).map_or(0, |found| found.position);
    seen.found.retain(|event| event.position != found);
    renumber(&mut seen.found);
    true
}

/// A position is left out.
fn leave_out(words: &mut [Word], seen: &mut Seen) -> bool {
    let middle = seen.found.len() / 2;
    seen.found.iter_mut().skip(middle).for_each(|found| found.position += 1);
    forget_places(words);
    middle > 0
}

/// An event stands a second time at the end.
fn repeat(_: &mut [Word], seen: &mut Seen) -> bool {
    let Some(again) = seen.found.get(seen.found.len() / 2).cloned() else { return false };
    seen.found.push(again);
    renumber(&mut seen.found);
    true
}

/// The last event of a call is gone that was not acknowledged.
fn tear(words: &mut [Word], seen: &mut Seen) -> bool {
    let is_last_of_many = |found: &Found| {
        (2..=4).any(|of| found.content.ends_with(&format!(r#""part":{},"of":{of}}}"#, of - 1)))
    };
    let Some(at) = seen.found.iter().rposition(is_last_of_many) else { return false };
    let torn = seen.found.remove(at);
    unsay(words, &torn);
    forget_places(words);
    renumber(&mut seen.found);
    true
}

/// Nobody was told where anything is.
pub(super) fn forget_places(words: &mut [Word]) {
    for word in words {
        if let Word::Acked(fact) = word {
            fact.place = None;
        }
    }
}

/// Dense numbers again, so that nothing but the thing itself gives it away.
pub(super) fn renumber(found: &mut [Found]) {
    let mut versions = HashMap::new();
    for (before, found) in (0..).zip(found) {
        let version = versions.entry(found.stream.clone()).or_insert(0);
        *version += 1;
        (found.position, found.version) = (before + 1, *version);
    }
}

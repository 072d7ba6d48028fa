//! Logs and channels: records and messages that are appended some at once, none of them twice by its own doing.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;

use millpond::{History, Store};
use uuid::Uuid;

use super::told::{Fact, Told, Word};
use super::{Deed, Mutant, Primitive, Reading};
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Feeds of a kind.
const COUNT: u64 = 2;

/// Some logs.
#[derive(Clone, Copy, Debug)]
pub struct Logs;

/// Some channels.
#[derive(Clone, Copy, Debug)]
pub struct Channels;

/// What is appended, with so many bytes besides.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Part {
    who: u64,
    number: u64,
    part: u64,
    of: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pad: String,
}

impl Part {
    /// What it is known by.
    fn content(&self) -> String {
        let Part { who, number, part, of, .. } = self;
        format!(r#"{{"who":{who},"number":{number},"part":{part},"of":{of}}}"#)
    }
}

fn parts(deed: Deed) -> Vec<Part> {
    let Deed { who, number, pad } = deed;
    let of = 1 + (number + who) % 3;
    (0..of).map(|part| Part { who, number, part, of, pad: "x".repeat(pad) }).collect()
}

fn facts(of: &dyn Primitive, feed: &str, parts: &[Part]) -> Vec<Fact> {
    let stream = format!("{}:{feed}", of.name());
    parts.iter().map(|part| Fact::new(of, Uuid::nil(), stream.clone(), part.content())).collect()
}

fn feed_of(random: &mut Random) -> String {
    format!("feed {}", random.below(COUNT))
}

/// All that there is of a feed, oldest first: each a reading of its own.
async fn read(of: &str, feed: &str, mut history: History<Part>) -> Vec<Reading> {
    let (stream, mut readings) = (format!("{of}:{feed}"), Vec::new());
    while let Some(message) = history.next().await {
        let what = format!("message {} of {stream}", readings.len() + 1);
        let found = message.map(|message| {
            let (version, content) = (message.sequence(), message.content());
            let (stream, event_type) = (stream.clone(), of.to_owned());
            Some(Found { stream, version, content, event_type, ..Found::default() })
        });
        readings.push((what, found));
    }
    readings
}

impl Primitive for Logs {
    fn name(&self) -> &'static str {
        "log"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    fn is_idempotent(&self) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let feed = feed_of(random);
        Box::pin(async move {
            let parts = parts(deed);
            let done = store.log::<Part>(&feed).append_all(&parts).await.map(|_| None);
            told.answer(facts(&Logs, &feed, &parts), &done);
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for feed in 0..COUNT {
                let feed = format!("feed {feed}");
                readings.extend(read("log", &feed, store.log(&feed).range(..)).await);
            }
            readings
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        check(self, seen)
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant { name: "log-lost", breaks: Broken::Lost, spoil: |_, seen| lose(&Logs, seen) },
            Mutant { name: "log-hole", breaks: Broken::Hole, spoil: |_, seen| leave_out(&Logs, seen) },
            Mutant { name: "log-torn", breaks: Broken::Torn, spoil: |words, seen| tear(&Logs, words, seen) },
        ]
    }
}

impl Primitive for Channels {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    fn is_idempotent(&self) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let feed = feed_of(random);
        Box::pin(async move {
            let parts = parts(deed);
            let done = store.channel::<Part>(&feed).publish_all(&parts).await.map(|_| None);
            told.answer(facts(&Channels, &feed, &parts), &done);
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for feed in 0..COUNT {
                let feed = format!("feed {feed}");
                readings.extend(read("channel", &feed, store.channel(&feed).history()).await);
            }
            readings
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        check(self, seen)
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant { name: "channel-lost", breaks: Broken::Lost, spoil: |_, seen| lose(&Channels, seen) },
            Mutant { name: "channel-twice", breaks: Broken::Twice, spoil: |_, seen| repeat(&Channels, seen) },
        ]
    }
}

fn by_feed<'s>(of: &dyn Primitive, seen: &'s Seen) -> BTreeMap<&'s str, Vec<&'s Found>> {
    let mut feeds: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for found in seen.rest.get(of.name()).into_iter().flatten() {
        feeds.entry(&found.stream).or_default().push(found);
    }
    feeds
}

/// Sequences are dense, nothing is there twice, and what was appended at once stands side by side.
fn check(of: &dyn Primitive, seen: &Seen) -> Vec<Violation> {
    let mut violations = Vec::new();
    for messages in by_feed(of, seen).into_values() {
        let mut contents = HashSet::new();
        for (sequence, found) in (1..).zip(&messages) {
            if found.version != sequence {
                violations.push((Broken::Hole, format!("{found:?} is number {sequence}")));
            }
            if !contents.insert(&found.content) {
                violations.push((Broken::Twice, format!("{found:?}")));
            }
        }
        let mut left = messages.as_slice();
        while let Some((first, _)) = left.split_first() {
            let part: Option<Part> = serde_json::from_str(&first.content).ok();
            let Some(Part { who, number, part: 0, of: count, .. }) = part else {
                violations.push((Broken::Torn, format!("its beginning is not before it: {first:?}")));
                break;
            };
            let content = |part| Part { who, number, part, of: count, pad: String::new() }.content();
            let whole = left.iter().map(|found| found.content.clone()).take(count as usize);
            if !whole.eq((0..count).map(content)) {
                violations.push((Broken::Torn, format!("not all of it is behind it: {first:?}")));
                break;
            }
            left = left.get(count as usize..).unwrap_or_default();
        }
    }
    violations
}

/// The messages of a feed that has the most of them.
fn some<'s>(of: &dyn Primitive, seen: &'s mut Seen) -> Option<&'s mut Vec<Found>> {
    seen.rest.get_mut(of.name()).filter(|found| !found.is_empty())
}

/// All parts of the last append to the last feed are gone, and its numbers close ranks.
fn lose(of: &dyn Primitive, seen: &mut Seen) -> bool {
    let Some(found) = some(of, seen) else { return false };
    let part: Option<Part> = found.last().and_then(|last| serde_json::from_str(&last.content).ok());
    let Some(part) = part else { return false };
    found.truncate(found.len() - part.of as usize);
    true
}

/// A sequence is left out.
fn leave_out(of: &dyn Primitive, seen: &mut Seen) -> bool {
    let Some(last) = some(of, seen).and_then(|found| found.last_mut()) else { return false };
    last.version += 1;
    true
}

/// A message stands a second time at the end.
fn repeat(of: &dyn Primitive, seen: &mut Seen) -> bool {
    let Some(found) = some(of, seen) else { return false };
    let Some(last) = found.last().cloned() else { return false };
    found.push(Found { version: last.version + 1, ..last });
    true
}

/// The last part of an append is gone, of which nobody was told.
fn tear(of: &dyn Primitive, words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = some(of, seen) else { return false };
    let is_last_of_many = |found: &Found| {
        serde_json::from_str::<Part>(&found.content).is_ok_and(|part| part.of > 1 && part.part + 1 == part.of)
    };
    let Some(at) = found.iter().rposition(is_last_of_many) else { return false };
    let torn = found.remove(at);
    let is_it = |fact: &Fact| fact.stream == torn.stream && fact.content == torn.content;
    for word in words.iter_mut().filter(|word| word.fact().is_some_and(is_it)) {
        *word = Word::Saw(Vec::new());
    }
    found.iter_mut().skip(at).filter(|found| found.stream == torn.stream).for_each(|found| found.version -= 1);
    true
}

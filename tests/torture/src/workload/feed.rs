//! What a log, a channel, a dict and blobs have in common: what is read of them, what must be true of that, what spoils it.

use std::collections::BTreeMap;

use millpond::{Extent, History};

use super::part::{self, PART, Part, last_of_many, together};
use super::told::{Fact, Word};
use super::{Primitive, Reading};
use crate::Result;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// How many there are of each kind.
const COUNT: u64 = 2;

/// What is found of how a feed stands says so.
const EXTENT: &str = "extent";

/// The names of the feeds of a kind.
pub(super) fn names() -> impl Iterator<Item = String> {
    (0..COUNT).map(|number| format!("feed {number}"))
}

/// One of them.
pub(super) fn draw(random: &mut Random) -> String {
    format!("feed {}", random.below(COUNT))
}

/// What a feed is called in facts and in what is found.
pub(super) fn stream(of: &dyn Primitive, name: &str) -> String {
    format!("{}:{name}", of.name())
}

/// The facts of an append.
pub(super) fn facts(of: &dyn Primitive, name: &str, parts: &[Part]) -> Vec<Fact> {
    let stream = stream(of, name);
    parts.iter().map(|part| part.fact(of, &stream)).collect()
}

/// Where the last of an append stands, in a feed and in what is told.
pub(super) fn last(sequences: &std::ops::Range<u64>) -> Option<(u64, u64)> {
    let last = sequences.end.checked_sub(1)?;
    Some((last, last))
}

/// All that there is of a feed, and how it stands; of what is missing without a word the places of the others tell.
pub(super) async fn read(
    of: &dyn Primitive,
    name: &str,
    mut history: History<Part>,
    extent: millpond::Result<Extent>,
) -> Vec<Reading> {
    let (stream, mut readings, mut place) = (stream(of, name), Vec::new(), 1);
    while let Some(message) = history.next().await {
        if let Ok(message) = &message {
            place = message.sequence();
        }
        let found = message.map(|message| Some(message.found(&stream, message.sequence())));
        readings.push((format!("message {place} of {stream}"), found));
        place += 1;
    }
    let stands = extent.map(|it| Some(self::extent(&stream, it.first, it.last)));
    readings.push((format!("extent of {stream}"), stands));
    readings
}

/// How it stands, as it is found.
pub(super) fn extent(stream: &str, first: u64, last: u64) -> Found {
    let (stream, state) = (stream.to_owned(), format!("{first} to {last}"));
    Found { stream, event_type: EXTENT.into(), state, ..Found::default() }
}

/// What was found of each feed: its messages, and how it stands.
fn by_feed<'s>(of: &dyn Primitive, seen: &'s Seen) -> BTreeMap<&'s str, (Vec<&'s Found>, &'s str)> {
    let mut feeds: BTreeMap<&str, (Vec<&Found>, &str)> = BTreeMap::new();
    for found in seen.rest.get(of.name()).into_iter().flatten() {
        match found.event_type.as_str() {
            PART => feeds.entry(&found.stream).or_default().0.push(found),
            EXTENT => feeds.entry(&found.stream).or_default().1 = &found.state,
            _ => {}
        }
    }
    feeds
}

/// All appends are whole and in a row, and a feed stands as its messages do.
pub(super) fn check(of: &dyn Primitive, seen: &Seen) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (stream, (messages, extent)) in by_feed(of, seen) {
        violations.extend(part::check(&messages));
        let last = messages.last().map_or(0, |last| last.version);
        if extent != format!("1 to {last}") {
            violations.push((Broken::Hole, format!("{stream} is said to be {extent}, and is 1 to {last}")));
        }
    }
    violations
}

/// Where it begins and ends is covered by no checksum; what lies between is in a row.
pub(super) fn check_harmed(of: &dyn Primitive, seen: &Seen) -> Vec<Violation> {
    by_feed(of, seen).into_values().flat_map(|(messages, _)| part::dense(&messages)).collect()
}

/// What is appended to a store that has been looked at stands behind what was there.
pub(super) fn use_again(
    of: &'static dyn Primitive,
    seen: &mut Seen,
    append: impl FnOnce(&str, &Part) -> millpond::Result<u64>,
) -> Result<()> {
    let name = "feed 0";
    let parts = Part::some(super::Deed { who: 0, number: 0, pad: 0 }, 1);
    let part = parts.first().ok_or("no part")?;
    let sequence = append(name, part)?;
    let before = by_feed(of, seen).get(stream(of, name).as_str()).map_or(0, |(messages, _)| messages.len());
    if sequence != before as u64 + 1 {
        seen.violations.push((Broken::Hole, format!("{}: the next is {sequence}", stream(of, name))));
    }
    Ok(())
}

/// The messages are in a row again, and the feeds stand as they do, so that nothing but the thing itself gives it away.
fn renumber(found: &mut [Found]) {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for found in found {
        let last = last.entry(found.stream.clone()).or_default();
        match found.event_type.as_str() {
            PART => {
                *last += 1;
                (found.version, found.position) = (*last, *last);
            }
            EXTENT => found.state = format!("1 to {last}"),
            _ => {}
        }
    }
}

/// What was found of a kind, if that is anything.
fn of_kind<'s>(of: &dyn Primitive, seen: &'s mut Seen) -> Option<&'s mut Vec<Found>> {
    seen.rest.get_mut(of.name()).filter(|found| found.iter().any(|found| found.event_type == PART))
}

/// All of an acknowledged append is gone.
pub(super) fn lose(of: &dyn Primitive, words: &[Word], seen: &mut Seen) -> bool {
    let acked = words.iter().filter(|word| word.is_acked()).filter_map(Word::fact);
    let acked: Vec<&Fact> = acked.filter(|fact| fact.of == of.name()).collect();
    let Some(found) = of_kind(of, seen) else { return false };
    let is_acked = |found: &&Found| found.event_type == PART && acked.iter().any(|fact| fact.id == found.id);
    let Some(lost) = found.iter().rfind(is_acked).cloned() else { return false };
    for at in together(found, &lost).into_iter().rev() {
        found.remove(at);
    }
    renumber(found);
    true
}

/// A sequence is left out.
pub(super) fn leave_out(of: &dyn Primitive, words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = of_kind(of, seen) else { return false };
    let Some(last) = found.iter_mut().rfind(|found| found.event_type == PART) else { return false };
    (last.version, last.position) = (last.version + 1, last.position + 1);
    super::events::forget_places(words);
    true
}

/// A message stands a second time at the end.
pub(super) fn repeat(of: &dyn Primitive, seen: &mut Seen) -> bool {
    let Some(found) = of_kind(of, seen) else { return false };
    let Some(at) = found.iter().rposition(|found| found.event_type == PART) else { return false };
    let Some(again) = found.get(at).cloned() else { return false };
    found.insert(at + 1, again);
    renumber(found);
    true
}

/// The last of an append is gone, of which nobody was told.
pub(super) fn tear(of: &dyn Primitive, words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = of_kind(of, seen) else { return false };
    let Some(at) = last_of_many(found) else { return false };
    let torn = found.remove(at);
    renumber(found);
    super::told::unsay(words, &torn);
    true
}

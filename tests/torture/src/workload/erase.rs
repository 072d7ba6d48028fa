//! Streams that are written to and erased, again and again; and some that are erased once, and closed for ever.
//!
//! An erased event keeps its place and its id and says nothing. Whatever stands before a deletion went with it, and only
//! that; so a deletion that somebody was told of stands behind nothing that is shown.

use std::collections::BTreeMap;

use millpond::{Error, Event, Events, Expected, Store};
use uuid::Uuid;

use super::events::{forget_places, renumber};
use super::part::Part;
use super::told::{Fact, Told, Word};
use super::{Deed, Mutant, Primitive};
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// What the streams begin with that are written to and erased.
const SLATES: &str = "slate-";

/// And those that are closed.
const TOMBS: &str = "tomb-";

/// Slates.
const COUNT: u64 = 2;

/// Some streams whose events do not stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slates;

/// Whether the events of a stream may be erased.
#[must_use]
pub fn is_erasable(stream: &str) -> bool {
    Slates.streams().iter().any(|beginning| stream.starts_with(beginning))
}

impl Primitive for Slates {
    fn name(&self) -> &'static str {
        "erase"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[SLATES, TOMBS]
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let (what, slate) = (random.below(6), format!("{SLATES}{}", random.below(COUNT)));
        let tomb = format!("{TOMBS}{}-{}", deed.who, deed.number);
        Box::pin(async move {
            let events = store.events();
            let asked = match what {
                0 => bury(deed, &tomb, &events, told).await,
                1 => wipe(&slate, Expected::Any, &events, told).await,
                2 => match events.version(&slate).await {
                    Ok(version) => wipe(&slate, Expected::Version(version), &events, told).await,
                    Err(error) => Err(error),
                },
                _ => {
                    write(Part::all(deed), &slate, &events, told).await;
                    Ok(())
                }
            };
            match asked {
                // Somebody has written meanwhile, and nothing was erased.
                Ok(()) | Err(Error::Conflict { .. }) => {}
                Err(error) => told.say([Word::Failed(error)]),
            }
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        let others = seen.found.iter().filter(|found| found.is_erased() && !is_erasable(&found.stream));
        let mut violations: Vec<Violation> =
            others.map(|found| (Broken::Lost, format!("nobody erases this: {found:?}"))).collect();
        let mut streams: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
        for found in seen.events_of(&Slates) {
            streams.entry(&found.stream).or_default().push(found);
        }
        for events in streams.into_values() {
            let Some(last) = events.iter().rposition(|found| found.is_erased()) else { continue };
            let (before, behind) = events.split_at(last + 1);
            let shown = before.iter().find(|found| !found.is_erased());
            violations.extend(shown.map(|found| (Broken::Shown, format!("it was erased: {found:?}"))));
            let alone = before.last().filter(|found| is_written(found));
            violations.extend(alone.map(|found| (Broken::Lost, format!("no deletion behind {found:?}"))));
            let late = behind.first().filter(|found| found.stream.starts_with(TOMBS));
            violations.extend(late.map(|found| (Broken::Lie, format!("in a closed stream: {found:?}"))));
        }
        violations
    }

    /// What was cut off with the end of the log may be the deletion.
    fn check_harmed(&self, _: &Seen) -> Vec<Violation> {
        Vec::new()
    }

    /// Also that deletions which were acknowledged have happened.
    fn judge(&self, seen: &Seen, words: &[Word]) -> Vec<Violation> {
        let own = words.iter().filter(|word| word.fact().is_some_and(|fact| fact.of == self.name()));
        let wrong = own.filter_map(|word| match word {
            Word::Acked(fact) if fact.id.is_nil() => undeleted(seen, fact),
            word => seen.belie(word),
        });
        wrong.collect()
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant { name: "erased-shown", breaks: Broken::Shown, spoil: show },
            Mutant { name: "undeleted", breaks: Broken::Shown, spoil: undelete },
            Mutant { name: "erased-alone", breaks: Broken::Lost, spoil: blank_out },
            Mutant { name: "erased-gone", breaks: Broken::Lost, spoil: forget },
            Mutant { name: "closed-written", breaks: Broken::Lie, spoil: write_behind },
        ]
    }
}

/// Whether it was written by a deed, and is not the deletion itself, whose id comes from the store.
fn is_written(found: &Found) -> bool {
    found.id.get_version_num() == 0
}

/// Appends; whether it is there.
async fn write(parts: Vec<Part>, stream: &str, events: &Events, told: &Told) -> bool {
    let facts = parts.iter().map(|part| part.fact(&Slates, stream)).collect();
    let written = async {
        let event = |part: &Part| Ok(Event::from_json("Written", part.content())?.id(part.id()));
        let all = parts.iter().map(event).collect::<millpond::Result<Vec<_>>>()?;
        let done = events.append(stream, Expected::Any, all).await?;
        Ok(Some((done.version, done.position)))
    };
    let written = written.await;
    told.answer(facts, &written);
    written.is_ok()
}

/// Erases all that a stream holds, and looks at once what is shown of it.
async fn wipe(
    stream: &str,
    expected: Expected,
    events: &Events,
    told: &Told,
) -> std::result::Result<(), Error> {
    let version = events.delete(stream, expected).await?.version;
    if version > 0 {
        tell(stream, version, events, told).await?;
    }
    Ok(())
}

/// Writes to a new stream, erases and closes it, and tries to write once more.
async fn bury(deed: Deed, tomb: &str, events: &Events, told: &Told) -> std::result::Result<(), Error> {
    if !write(Part::some(deed, 1), tomb, events, told).await {
        return Ok(());
    }
    let version = events.tombstone(tomb, Expected::Any).await?.version;
    tell(tomb, version, events, told).await?;
    match events.append(tomb, Expected::Any, [Event::from_json("Written", "{}")?]).await {
        // What was written is found.
        Ok(_) | Err(Error::StreamClosed { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Tells where a deletion stands, and where what is shown of its stream begins.
async fn tell(stream: &str, version: u64, events: &Events, told: &Told) -> std::result::Result<(), Error> {
    let erased = |first: u64| {
        Word::Acked(Fact::new(&Slates, Uuid::nil(), stream, format!("{version} before {first}")))
    };
    told.say([erased(version + 1)]);
    if let Some(first) = events.read_stream(stream).next().await {
        told.say([erased(first?.version())]);
    }
    Ok(())
}

/// A deletion that somebody was told of is not there, or does not stand before what was shown.
fn undeleted(seen: &Seen, fact: &Fact) -> Option<Violation> {
    let (version, first) = fact.content.split_once(" before ")?;
    let (version, first): (u64, u64) = (version.parse().ok()?, first.parse().ok()?);
    let mut events = seen.events_of(&Slates);
    let found = events.find(|found| found.stream == fact.stream && found.version == version);
    match found {
        Some(found) if found.is_erased() && first > version => None,
        Some(found) => Some((Broken::Shown, format!("{found:?} after {fact:?}"))),
        None => Some((Broken::Lost, format!("gone: {fact:?}"))),
    }
}

/// Where the last erased event stands that was written by a deed.
fn last_erased(seen: &Seen) -> Option<usize> {
    seen.found.iter().rposition(|found| found.is_erased() && is_written(found))
}

/// It says this.
fn say(found: &mut Found, event_type: &str, content: &str) {
    (found.event_type, found.content) = (event_type.into(), content.into());
}

/// An event that was erased says something again.
fn show(_: &mut [Word], seen: &mut Seen) -> bool {
    let found = last_erased(seen).and_then(|at| seen.found.get_mut(at));
    found.map(|found| say(found, "Written", "{}")).is_some()
}

/// A stream stands as if it had never been erased, which somebody was told.
fn undelete(words: &mut [Word], seen: &mut Seen) -> bool {
    let told = words.iter().rev().filter(|word| word.is_acked()).filter_map(Word::fact);
    let mut told = told.filter(|fact| fact.of == Slates.name() && fact.id.is_nil());
    let Some(stream) = told.next().map(|fact| fact.stream.clone()) else { return false };
    let erased = seen.found.iter_mut().filter(|found| found.stream == stream && found.is_erased());
    erased.for_each(|found| say(found, "Written", "{}"));
    true
}

/// An event is erased that stands behind all deletions.
fn blank_out(_: &mut [Word], seen: &mut Seen) -> bool {
    let is_shown = |found: &Found| is_erasable(&found.stream) && !found.is_erased();
    let Some(at) = seen.found.iter().rposition(is_shown) else { return false };
    seen.found.get_mut(at).map(|found| say(found, "", "")).is_some()
}

/// An erased event is not even there, and its place is another's.
fn forget(words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(at) = last_erased(seen) else { return false };
    seen.found.remove(at);
    forget_places(words);
    renumber(&mut seen.found);
    true
}

/// A closed stream was written to.
fn write_behind(words: &mut [Word], seen: &mut Seen) -> bool {
    let closed = seen.found.iter().rfind(|found| found.stream.starts_with(TOMBS) && found.is_erased());
    let Some(closed) = closed.cloned() else { return false };
    let found =
        Found { id: Uuid::from_u128(7), content: "{}".into(), event_type: "Written".into(), ..closed };
    seen.found.push(found);
    forget_places(words);
    renumber(&mut seen.found);
    true
}

//! Batches over several primitives: an event, a record and a message, of which all are there or none.

use std::collections::BTreeMap;
use std::pin::Pin;

use millpond::{Event, Expected, Result, Store};

use super::part::{self, PART, Part};
use super::told::{Fact, Told, Word, unsay};
use super::{Deed, Mutant, Primitive, Reading, feed};
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// The log and the channel, whose names differ so that what is found of them does.
const LOG: &str = "records of batches";
const CHANNEL: &str = "messages of batches";

/// Writes in a batch.
const WRITES: usize = 3;

/// Some streams, a log and a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches;

impl Primitive for Batches {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["batch-"]
    }

    /// A record has no id.
    fn is_idempotent(&self) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let stream = format!("batch-{}", random.below(2));
        Box::pin(async move {
            let parts = Part::some(deed, WRITES as u64);
            let names = [stream.clone(), feed::stream(&Batches, LOG), feed::stream(&Batches, CHANNEL)];
            let facts: Vec<Fact> =
                parts.iter().zip(&names).map(|(part, name)| part.fact(&Batches, name)).collect();
            let done = write(store, &stream, &parts, &facts).await;
            told.answer(facts, &done.map(|()| None));
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let (log, channel) = (store.log::<Part>(LOG), store.channel::<Part>(CHANNEL));
            let mut readings = feed::read(&Batches, LOG, log.range(..), log.extent().await).await;
            let messages = feed::read(&Batches, CHANNEL, channel.history(), channel.extent().await);
            readings.extend(messages.await);
            readings
        })
    }

    fn stays(&self) -> bool {
        true
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        let mut violations = self.check_harmed(seen);
        let mut batches: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
        for found in seen.events_of(&Batches).chain(of_feeds(seen)) {
            match serde_json::from_str::<Part>(&found.content) {
                Ok(part) => batches.entry((part.who, part.number)).or_default().push(part.part),
                // One that nobody can read has come from nobody.
                Err(_) => violations.push((Broken::Torn, format!("{found:?}"))),
            }
        }
        for (batch, parts) in &mut batches {
            parts.sort_unstable();
            if *parts != [0, 1, 2] {
                let what = if parts.len() > WRITES { Broken::Twice } else { Broken::Torn };
                violations.push((what, format!("of batch {batch:?} there are the writes {parts:?}")));
            }
        }
        violations
    }

    /// What stands beside damage is read on; what is missing there is told by the reading.
    fn check_harmed(&self, seen: &Seen) -> Vec<Violation> {
        let names = [LOG, CHANNEL].map(|name| feed::stream(&Batches, name));
        let of =
            |name: &String| -> Vec<&Found> { of_feeds(seen).filter(|found| found.stream == *name).collect() };
        names.iter().flat_map(|name| part::dense(&of(name))).collect()
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &Fact) -> Option<&'s Found> {
        seen.find(fact).or_else(|| seen.find_rest(fact))
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[Mutant { name: "batch-torn", breaks: Broken::Torn, spoil: tear }]
    }
}

/// All of it in one commit.
async fn write(store: &Store, stream: &str, parts: &[Part], facts: &[Fact]) -> Result<()> {
    let mut batch = store.batch();
    if let ([event, record, message], Some(fact)) = (parts, facts.first()) {
        let event = Event::from_json("Batched", fact.content.clone())?.id(event.id());
        batch.append(stream, Expected::Any, [event])?;
        batch.log(&store.log(LOG), record)?;
        batch.publish(&store.channel(CHANNEL), message)?;
    }
    batch.commit().await.map(drop)
}

/// What was found of the log and of the channel.
fn of_feeds(seen: &Seen) -> impl Iterator<Item = &Found> {
    let found = seen.rest.get(Batches.name()).into_iter().flatten();
    found.filter(|found| found.event_type == PART)
}

/// A record is gone, of which nobody was told.
fn tear(words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = seen.rest.get_mut(Batches.name()) else { return false };
    let Some(at) = found.iter().rposition(|found| found.event_type == PART) else { return false };
    let torn = found.remove(at);
    unsay(words, &torn);
    true
}

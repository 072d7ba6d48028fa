//! Channels to which messages are published, and a durable subscription of each, whose consumer says what he has done.

use std::pin::Pin;

use millpond::{Error, Store, blocking};
use uuid::Uuid;

use super::part::Part;
use super::told::{Fact, Told, Word};
use super::{Deed, Mutant, Primitive, Reading, feed};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// The subscription.
const READER: &str = "reader";

/// What is found of a cursor says so.
const CURSOR: &str = "cursor";

/// Messages that a consumer takes before he lets the next one have a turn.
const TURN: u64 = 3;

/// Some channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels;

impl Primitive for Channels {
    fn name(&self) -> &'static str {
        "channel"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    /// A message has no id.
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let (name, consumes) = (feed::draw(random), random.below(3) == 0);
        Box::pin(async move {
            if consumes {
                if let Err(error) = consume(&name, store, told).await {
                    told.say([Word::Failed(error)]);
                }
                return;
            }
            let parts = Part::all(deed);
            let done = store.channel::<Part>(&name).publish_all(&parts).await;
            told.answer(feed::facts(&Channels, &name, &parts), &done.map(|done| feed::last(&done)));
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for name in feed::names() {
                let channel = store.channel::<Part>(&name);
                let messages = feed::read(&Channels, &name, channel.history(), channel.extent().await).await;
                readings.extend(messages);
                let cursor = channel.durable(READER).cursor().await;
                let found = |cursor: Option<u64>| Found {
                    stream: feed::stream(&Channels, &name),
                    event_type: CURSOR.into(),
                    state: cursor.unwrap_or(0).to_string(),
                    ..Found::default()
                };
                readings.push((format!("cursor of {name}"), cursor.map(|cursor| Some(found(cursor)))));
            }
            readings
        })
    }

    fn stays(&self) -> bool {
        true
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        feed::check(self, seen)
    }

    fn check_harmed(&self, seen: &Seen) -> Vec<Violation> {
        feed::check_harmed(self, seen)
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &Fact) -> Option<&'s Found> {
        seen.find_rest(fact)
    }

    /// A cursor that was acknowledged is there or further.
    fn judge(&self, seen: &Seen, words: &[Word]) -> Vec<Violation> {
        let own = words.iter().filter(|word| word.fact().is_some_and(|fact| fact.of == self.name()));
        let wrong = own.filter_map(|word| match word {
            Word::Acked(fact) if fact.id.is_nil() => {
                let cursor = cursor_of(seen, &fact.stream);
                let is_there = fact.content.parse().is_ok_and(|told: u64| told <= cursor);
                (!is_there).then(|| (Broken::Lost, format!("the cursor is at {cursor}, not at {fact:?}")))
            }
            word => seen.belie(word),
        });
        wrong.collect()
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        feed::use_again(&Channels, seen, |name, part| store.channel(name).publish(part))
    }

    fn take_all<'s>(&self, store: &'s Store) -> Pin<Box<dyn Future<Output = millpond::Result<bool>> + 's>> {
        Box::pin(async move {
            for name in feed::names() {
                match store.channel::<Part>(name).durable(READER).try_consume().await? {
                    Some(consumer) => consumer.stop().await?,
                    None => return Ok(false),
                }
            }
            Ok(true)
        })
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant {
                name: "channel-lost",
                breaks: Broken::Lost,
                spoil: |words, seen| feed::lose(&Channels, words, seen),
            },
            Mutant {
                name: "channel-twice",
                breaks: Broken::Twice,
                spoil: |_, seen| feed::repeat(&Channels, seen),
            },
            Mutant { name: "cursor-back", breaks: Broken::Lost, spoil: move_back },
        ]
    }
}

/// Consumes some messages, unless somebody else does. What was given to a consumer is on disk, and stands behind his
/// cursor.
async fn consume(name: &str, store: &Store, told: &Told) -> std::result::Result<(), Error> {
    let channel = store.channel::<Part>(name);
    let stream = feed::stream(&Channels, name);
    let Some(mut consumer) = channel.durable(READER).try_consume().await? else { return Ok(()) };
    let last = channel.extent().await?.last.min(consumer.cursor() + TURN);
    while consumer.cursor() < last {
        let next = consumer.cursor() + 1;
        let message = consumer.next().await.ok_or(Error::Closed)??;
        let place = Some((next, next));
        told.say([Word::Acked(Fact { place, ..message.fact(&Channels, &stream) })]);
        consumer.ack(next).await?;
        told.say([Word::Acked(Fact::new(&Channels, Uuid::nil(), stream.as_str(), next.to_string()))]);
    }
    consumer.stop().await
}

/// Where the cursor of a channel stands.
fn cursor_of(seen: &Seen, stream: &str) -> u64 {
    let mut found = seen.rest.get(Channels.name()).into_iter().flatten();
    let cursor = found.find(|found| found.stream == stream && found.event_type == CURSOR);
    cursor.and_then(|cursor| cursor.state.parse().ok()).unwrap_or(0)
}

/// A cursor is where it began.
fn move_back(_: &mut [Word], seen: &mut Seen) -> bool {
    let mut found = seen.rest.get_mut(Channels.name()).into_iter().flatten();
    let is_moved = |found: &&mut Found| found.event_type == CURSOR && found.state != "0";
    let Some(cursor) = found.find(is_moved) else { return false };
    cursor.state = "0".into();
    true
}

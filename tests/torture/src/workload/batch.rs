//! Batches over several primitives: an event, a record, a message and a row in a table of the caller's own, of which all are
//! there or none.
//!
//! Some callers try a batch first whose SQL finds another number of rows than it has to: of that nothing is there.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;

use millpond::{Error, Event, Expected, Result, Sql, Store};

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

/// What rows are called in what is found.
const ROWS: &str = "rows of batches";

/// Their table, made by whoever is the first.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS torture_batch (content TEXT NOT NULL) STRICT";
const INSERT: &str = "INSERT INTO torture_batch VALUES (?1)";
const READ: &str = "SELECT content FROM torture_batch ORDER BY rowid";

/// Writes in a batch.
const WRITES: u64 = 4;

/// Some streams, a log, a channel and a table.
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
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let (stream, doomed) = (format!("batch-{}", random.below(2)), random.below(3) == 0);
        Box::pin(async move {
            let parts = Part::some(deed, WRITES);
            if doomed {
                let other = |part: &Part| Part { part: part.part + WRITES, ..part.clone() };
                let others: Vec<Part> = parts.iter().map(other).collect();
                match write(store, &stream, &others, 2).await {
                    // What was applied is found, and was nobody's wish.
                    Ok(()) | Err(Error::WrongRows { .. }) => {}
                    Err(error) => told.say([Word::Failed(error)]),
                }
            }
            let done = write(store, &stream, &parts, 1).await;
            // A row is seen by whoever looks into the file: it is there if the others are.
            let names = [stream, feed::stream(&Batches, LOG), feed::stream(&Batches, CHANNEL)];
            let facts = parts.iter().zip(&names).map(|(part, name)| part.fact(&Batches, name)).collect();
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

    fn rows(&self, file: &Path) -> crate::Result<Vec<Found>> {
        let connection = rusqlite::Connection::open(file)?;
        if !connection.table_exists(None, "torture_batch")? {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare(READ)?;
        let contents = statement.query_map([], |row| row.get::<_, String>(0))?;
        let found = |(place, content): (u64, rusqlite::Result<String>)| {
            Ok(serde_json::from_str::<Part>(&content?)?.found(&feed::stream(&Batches, ROWS), place))
        };
        (1..).zip(contents).map(found).collect()
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
            let what = match parts.last() {
                Some(last) if *last >= WRITES => Broken::Lie,
                _ if parts.len() as u64 > WRITES => Broken::Twice,
                _ => Broken::Torn,
            };
            if !parts.iter().copied().eq(0..WRITES) {
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
        &[
            Mutant { name: "batch-torn", breaks: Broken::Torn, spoil: tear },
            Mutant { name: "row-gone", breaks: Broken::Torn, spoil: lose_row },
            Mutant { name: "row-of-refused", breaks: Broken::Lie, spoil: keep_row },
        ]
    }
}

/// All of it in one commit, whose SQL has to be about so many rows: it is about one.
async fn write(store: &Store, stream: &str, parts: &[Part], rows: u64) -> Result<()> {
    let mut batch = store.batch();
    if let [event, record, message, row] = parts {
        let event = Event::from_json("Batched", event.content())?.id(event.id());
        batch.append(stream, Expected::Any, [event])?;
        batch.log(&store.log(LOG), record)?;
        batch.publish(&store.channel(CHANNEL), message)?;
        let row = serde_json::to_string(row).unwrap_or_default();
        batch.sql([Sql::new(TABLE), Sql::new(INSERT).bind(row).rows(rows)])?;
    }
    batch.commit().await.map(drop)
}

/// What was found of the log, of the channel and of the table.
fn of_feeds(seen: &Seen) -> impl Iterator<Item = &Found> {
    let found = seen.rest.get(Batches.name()).into_iter().flatten();
    found.filter(|found| found.event_type == PART)
}

/// A record is gone, of which nobody was told.
fn tear(words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = seen.rest.get_mut(Batches.name()) else { return false };
    let of = feed::stream(&Batches, LOG);
    let Some(at) = found.iter().rposition(|found| found.stream == of && found.event_type == PART) else {
        return false;
    };
    let torn = found.remove(at);
    unsay(words, &torn);
    true
}

/// The last row.
fn last_row(seen: &mut Seen) -> Option<(usize, &mut Vec<Found>)> {
    let (found, of) = (seen.rest.get_mut(Batches.name())?, feed::stream(&Batches, ROWS));
    found.iter().rposition(|found| found.stream == of).map(|at| (at, found))
}

/// A row is gone, and its event is there.
fn lose_row(_: &mut [Word], seen: &mut Seen) -> bool {
    last_row(seen).map(|(at, found)| found.remove(at)).is_some()
}

/// There is a row of a batch that was refused.
fn keep_row(_: &mut [Word], seen: &mut Seen) -> bool {
    let Some((at, found)) = last_row(seen) else { return false };
    let Some(kept) = found.get(at).cloned() else { return false };
    let Ok(part) = serde_json::from_str::<Part>(&kept.content) else { return false };
    found.insert(at + 1, Part { part: part.part + WRITES, ..part }.found(&kept.stream, kept.position + 1));
    true
}

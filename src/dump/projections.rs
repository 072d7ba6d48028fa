//! Projections in a dump: how far each has come in the events.

use std::borrow::Cow;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::projection::{Failure, Standing};
use millpond_actors::storage::record::Record;
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, words};
use crate::codec::{from_line, to_json};

pub(super) struct Projections;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    generations: Vec<Row>,
}

/// A generation, or a partition of one.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Row {
    generation: u64,
    partition: u32,
    partitions: u32,
    position: u64,
    handled: u64,
    begun: bool,
    paused: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parked: Option<bool>,
}

impl Section for Projections {
    fn word(&self) -> &'static str {
        "projection"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            // Each comes with all its generations.
            let page = source.view.projections(after.as_deref(), limits::PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on("projection", &mut after, &last.name)?;
            for rows in page.chunk_by(|one, next| one.name == next.name) {
                let Some(first) = rows.first() else { continue };
                if source.wanted.wants(self.word(), &first.name) {
                    sink(
                        Name::new(&first.name).map(|name| Record::Projection { name, rows: rows.to_vec() }),
                    )?;
                }
            }
        }
    }

    fn parse(&self, _: &str, line: &str) -> Result<Record, String> {
        let Line { name, generations, .. } = from_line(line)?;
        let name = Name::new(name).map_err(words)?;
        if generations.is_empty() {
            return Err("it has no generation".into());
        }
        let rows: Vec<_> =
            generations.into_iter().map(|row| standing(&name, row)).collect::<Result<_, _>>()?;
        let key = |row: &Standing| (row.generation, row.partition.index);
        if !rows.is_sorted_by(|one, next| key(one) < key(next)) {
            return Err("its generations are not in order".into());
        }
        Ok(Record::Projection { name, rows })
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(ByName::default())
    }
}

fn standing(name: &Name, row: Row) -> Result<Standing, String> {
    let Row { generation, partition, partitions, position, handled, begun, paused, reason, .. } = row;
    if partitions == 0 || partitions > limits::PARTITIONS || partition >= partitions {
        return Err(format!("there is no partition {partition} of {partitions}"));
    }
    let numbers = [generation, handled, position];
    if generation == 0 || numbers.iter().any(|number| *number >= limits::LAST_SEQUENCE) {
        return Err(format!("there is no generation {generation}"));
    }
    check_size("a reason in bytes", reason.as_deref().map_or(0, str::len), limits::REASON_BYTES)?;
    let (attempts, parked) = (row.attempts.unwrap_or(0), row.parked.unwrap_or(false));
    let failure = reason.map(|reason| Failure { reason: reason.into(), attempts, parked });
    let (name, partition) = (name.to_string(), Partition { index: partition, of: partitions });
    let revision = 0;
    Ok(Standing { name, generation, partition, revision, position, handled, begun, paused, failure })
}

/// The line of a projection.
pub(super) fn line(record: &Record) -> Result<String> {
    let Record::Projection { name, rows } = record else { return Ok(String::new()) };
    let row = |standing: &Standing| {
        let Standing { generation, partition, position, handled, begun, paused, ref failure, .. } = *standing;
        let failure = failure.as_ref();
        Row {
            generation,
            partition: partition.index,
            partitions: partition.of,
            position,
            handled,
            begun,
            paused,
            reason: failure.map(|failure| failure.reason.to_string()),
            attempts: failure.map(|failure| failure.attempts),
            parked: failure.map(|failure| failure.parked),
        }
    };
    let generations = rows.iter().map(row).collect();
    to_json("a projection", &Line { kind: "projection".into(), name: name.as_str().into(), generations })
}

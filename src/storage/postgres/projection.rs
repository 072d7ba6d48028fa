//! Projections.

use millpond_actors::engine::projection::{Key, Row as Generation};
use millpond_actors::name::Name;
use millpond_actors::storage::projection::Failure;

use super::param::{Param, Reading};
use super::shape::{Plan, Shape};

pub(super) static PROJECTIONS: Shape<Key, Generation> = Shape {
    select: "SELECT p.name, p.generation, p.partition, p.partitions, p.revision, p.position, p.handled, p.begun, p.paused,
        p.reason, p.attempts, p.parked FROM @projection p WHERE true",
    keys: &["p.name", "p.generation", "p.partition"],
    table: |store| &mut store.projections,
    parts: parts_of,
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (Name::unchecked(row.next()?), row.number()?, row.small()?);
        let (partitions, revision) = (row.small()?, row.number()?);
        let (position, handled, begun, paused) = (row.number()?, row.number()?, row.flag()?, row.flag()?);
        let (reason, attempts, parked): (Option<&str>, _, _) = (row.next()?, row.small()?, row.flag()?);
        let failure = reason.map(|reason| Failure { reason: reason.into(), attempts, parked });
        let generation = Generation { partitions, revision, position, handled, begun, paused, failure };
        store.projections.fetched(key.clone(), generation);
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static PROJECTION_PLAN: Plan<Key, Generation> = Plan {
    name: "projection",
    columns: &[
        "name",
        "generation",
        "partition",
        "partitions",
        "revision",
        "position",
        "handled",
        "begun",
        "paused",
        "reason",
        "attempts",
        "parked",
    ],
    keys: 3,
    table: |store| &store.projections,
    parts: parts_of,
    write: |_, (name, generation, partition), row, columns| {
        columns.text(name.as_str()).number(*generation).int((*partition).into()).int(row.partitions.into());
        columns
            .number(row.revision)
            .number(row.position)
            .number(row.handled)
            .flag(row.begun)
            .flag(row.paused);
        let failure = row.failure.as_ref();
        columns.maybe_text(failure.map(|failure| &*failure.reason));
        columns.int(failure.map_or(0, |failure| failure.attempts.into()));
        columns.flag(failure.is_some_and(|failure| failure.parked));
    },
    appended: false,
};

fn parts_of((name, generation, partition): &Key) -> Vec<Param<'static>> {
    vec![Param::text(name.as_str()), Param::number(*generation), Param::Int((*partition).into())]
}

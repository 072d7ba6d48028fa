//! What may happen to projections.

use millpond_actors::storage::Operation;
use millpond_actors::storage::projection::{Advance, Begin, Failure, Promote, Seen, Want, Wanted};
use proptest::prelude::*;

use super::super::stage::*;
use super::Pair;

const PROJECTIONS: [&str; 2] = ["p", "q"];

/// One operation on a projection. Whoever projects shows a token from among the last, and has mostly read how it stands.
#[derive(Clone, Debug)]
pub(super) enum ProjectionStep {
    Begin { projection: usize, position: u64, partitions: u32 },
    Advance { eye: Eye, by: u64, failure: Option<bool> },
    Promote { eye: Eye },
    Want { projection: usize, wanted: Wanted },
}

/// What somebody has seen of a projection.
#[derive(Clone, Debug)]
pub(super) struct Eye {
    projection: usize,
    /// Which of its generations and partitions.
    which: prop::sample::Index,
    guarded: usize,
    /// So much of what he has seen is not so any more.
    off: [u64; 2],
}

fn eyes() -> impl Strategy<Value = Eye> {
    let off = prop_oneof![6 => Just([0, 0]), 1 => Just([1, 0]), 1 => Just([0, 1])];
    (0..PROJECTIONS.len(), any::<prop::sample::Index>(), 0..3_usize, off)
        .prop_map(|(projection, which, guarded, off)| Eye { projection, which, guarded, off })
}

pub(super) fn projection_steps() -> impl Strategy<Value = ProjectionStep> {
    let projection = || 0..PROJECTIONS.len();
    let wanted = prop_oneof![
        2 => Just(Wanted::Pause),
        2 => Just(Wanted::Resume),
        2 => (0..5_u64).prop_map(Wanted::Reset),
        4 => (0..5_u64).prop_map(Wanted::Rebuild),
        1 => Just(Wanted::Remove),
    ];
    let failure = prop::option::weighted(0.3, any::<bool>());
    prop_oneof![
        3 => (projection(), 0..5_u64, 1..4_u32).prop_map(|(projection, position, partitions)| {
            ProjectionStep::Begin { projection, position, partitions }
        }),
        8 => (eyes(), 0..4_u64, failure).prop_map(|(eye, by, failure)| ProjectionStep::Advance { eye, by, failure }),
        3 => eyes().prop_map(|eye| ProjectionStep::Promote { eye }),
        3 => (projection(), wanted).prop_map(|(projection, wanted)| ProjectionStep::Want { projection, wanted }),
    ]
}

/// A step as an operation; `None` if there is nothing yet that it could be about.
pub(super) fn operation(pair: &Pair, step: &ProjectionStep) -> Option<Operation> {
    Some(match step {
        ProjectionStep::Begin { projection, position, partitions } => {
            let (name, position, partitions) = (name(PROJECTIONS[*projection]), *position, *partitions);
            Operation::ProjectionBegin(Begin { name, position, partitions })
        }
        ProjectionStep::Advance { eye, by, failure } => {
            let seen = seen(pair, eye)?;
            let failure = failure.map(|parked| Failure { reason: "no luck".into(), attempts: 3, parked });
            let (to, begun) = ((seen.position + by).saturating_sub(1), failure.is_none());
            Operation::ProjectionAdvance(Advance { seen, to, handled: *by, begun, failure })
        }
        ProjectionStep::Promote { eye } => Operation::ProjectionPromote(Promote { seen: seen(pair, eye)? }),
        ProjectionStep::Want { projection, wanted } => {
            Operation::ProjectionWant(Want { name: name(PROJECTIONS[*projection]), wanted: *wanted })
        }
    })
}

fn seen(pair: &Pair, eye: &Eye) -> Option<Seen> {
    let name = name(PROJECTIONS[eye.projection]);
    let fence = fence("guard", *pair.known.grants.iter().rev().nth(eye.guarded)?);
    let all: Vec<_> = pair.known.projections.iter().filter(|it| it.name == name.as_str()).collect();
    let standing = (!all.is_empty()).then(|| eye.which.get(&all))?;
    let [revision, position] = eye.off;
    Some(Seen {
        name,
        generation: standing.generation,
        partition: standing.partition.index,
        revision: standing.revision + revision,
        position: standing.position + position,
        fence,
    })
}

/// How all of them stand, on both sides.
pub(super) fn compare(pair: &mut Pair) {
    pair.known.projections = pair.compare(|view| view.projections(None, 9));
    pair.compare(|view| view.projections(Some("p"), 1));
    for projection in PROJECTIONS {
        pair.compare(|view| view.projection(&name(projection)));
    }
}

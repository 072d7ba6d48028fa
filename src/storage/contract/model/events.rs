//! What may happen, drawn at random: groups of a few operations, time, death, and reads in between.

use std::borrow::Cow;

use millpond_actors::error::Expected;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::stream::{Filter, NewEvent, Query, Scope};
use millpond_actors::storage::{Data, feed};
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use uuid::Uuid;

use super::super::stage::{name, odd_origin};
use super::blobs::{BlobStep, blob_steps};
use super::dicts::{DictStep, dict_steps};
use super::feeds::{FeedStep, feed_queries, feed_steps};
use super::jobs::{JobStep, job_steps};
use super::lists::{ListStep, list_steps};
use super::projections::{ProjectionStep, projection_steps};
use crate::Where;

pub(super) const STREAMS: [&str; 5] = ["a-1", "a-2", "b-1", "b-'\"😀", "c"];
/// What content is asked for, where it is.
const CONTENTS: [&str; 4] = ["n = 4", "n exists", "not n > 4", "n < 3 or n = 8"];
pub(super) const CATEGORIES: [&str; 4] = ["a", "b", "c", "never"];
pub(super) const TYPES: [&str; 3] = ["Opened", "Moved", "Closed"];
/// With how much of each there is.
pub(super) const LOCKS: [(&str, u32); 4] = [("l", 1), ("m", 1), ("n", 3), ("o", 5)];
/// Each as a log and as a channel.
pub(super) const PLAYERS: usize = 3;

/// What may happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Group { player: usize, steps: Vec<Step>, savepoint: Option<(usize, bool)>, end: End },
    Pass { ms: u64 },
    WallJumps { by: i64 },
    Dies { player: usize },
    Leaves { player: usize },
    Reads { query: Query, limit: u32 },
    ReadsFeed { query: feed::Query },
}

/// One operation of a group. What it refers to ("the third ticket back") is looked up when it is its turn.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Append {
        stream: usize,
        expected: Expected,
        numbers: Vec<u128>,
        event_type: usize,
        guarded: Option<usize>,
    },
    AppendNew {
        stream: usize,
        events: usize,
    },
    Erase {
        stream: usize,
        expected: Expected,
        close: bool,
    },
    Acquire {
        lock: usize,
        /// From 0 to 1; of a lock that excludes always the same.
        part: f64,
        ttl_ms: u64,
        wait: bool,
        /// As if it were a lock of another capacity.
        otherwise: bool,
    },
    Leave {
        back: usize,
    },
    Settle {
        lock: usize,
    },
    Renew {
        back: usize,
    },
    Break {
        lock: usize,
    },
    Save {
        stream: usize,
        version: u64,
    },
    Feed(FeedStep),
    Dict(DictStep),
    List(ListStep),
    Blob(BlobStep),
    Projection(ProjectionStep),
    Queue(JobStep),
    /// All of them or none.
    Batch(Vec<Step>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Commit,
    Rollback,
    Reopen,
}

fn steps() -> impl Strategy<Value = Step> {
    let batch = prop::collection::vec(single_steps(), 0..4).prop_map(Step::Batch);
    prop_oneof![10 => single_steps(), 1 => batch]
}

fn expectations() -> impl Strategy<Value = Expected> {
    prop_oneof![
        3 => Just(Expected::Any),
        1 => Just(Expected::NoStream),
        1 => Just(Expected::Exists),
        2 => (0..6_u64).prop_map(Expected::Version),
    ]
}

fn single_steps() -> impl Strategy<Value = Step> {
    let expected = expectations();
    // Runs from a small range, so that they often repeat or overlap an earlier append; and odd mixtures.
    let run = (1..60_u128, 1..4_u128).prop_map(|(start, length)| (start..start + length).collect());
    let numbers = prop_oneof![4 => run, 1 => prop::collection::vec(1..60_u128, 1..4)];
    let guarded = prop_oneof![3 => Just(None), 1 => (0..6_usize).prop_map(Some)];
    // The longest is longer than a grant may wait to be taken up.
    let ttl_ms = prop_oneof![Just(20), Just(50), Just(500), Just(20_000)];
    prop_oneof![
        6 => feed_steps().prop_map(Step::Feed),
        3 => dict_steps().prop_map(Step::Dict),
        3 => list_steps().prop_map(Step::List),
        6 => blob_steps().prop_map(Step::Blob),
        3 => projection_steps().prop_map(Step::Projection),
        5 => (0..STREAMS.len(), expected, numbers, 0..TYPES.len(), guarded).prop_map(
            |(stream, expected, numbers, event_type, guarded)| Step::Append { stream, expected, numbers, event_type, guarded }
        ),
        2 => (0..STREAMS.len(), 1..4_usize).prop_map(|(stream, events)| Step::AppendNew { stream, events }),
        1 => (0..STREAMS.len(), expectations(), prop::bool::weighted(0.1)).prop_map(|(stream, expected, close)| {
            Step::Erase { stream, expected, close }
        }),
        6 => (0..LOCKS.len(), 0.0..1.0_f64, ttl_ms, prop::bool::weighted(0.8), prop::bool::weighted(0.03))
            .prop_map(|(lock, part, ttl_ms, wait, otherwise)| Step::Acquire { lock, part, ttl_ms, wait, otherwise }),
        4 => (0..8_usize).prop_map(|back| Step::Leave { back }),
        2 => (0..LOCKS.len()).prop_map(|lock| Step::Settle { lock }),
        1 => (0..8_usize).prop_map(|back| Step::Renew { back }),
        1 => (0..LOCKS.len()).prop_map(|lock| Step::Break { lock }),
        1 => (0..STREAMS.len(), 0..9_u64).prop_map(|(stream, version)| Step::Save { stream, version }),
        14 => job_steps().prop_map(Step::Queue),
    ]
}

fn queries() -> impl Strategy<Value = Query> {
    let scope = prop_oneof![
        Just(Scope::All),
        (0..CATEGORIES.len()).prop_map(|category| Scope::Category(CATEGORIES[category].into())),
        (0..STREAMS.len()).prop_map(|stream| Scope::Stream(name(STREAMS[stream]))),
    ];
    let to = prop_oneof![Just(u64::MAX), 0..40_u64];
    let scope = (scope, any::<bool>(), 0..10_u64, to, 1..9_u32);
    (scope, filters()).prop_map(|((scope, backward, from, to, limit), filter)| Query {
        scope,
        backward,
        from,
        to,
        filter,
        limit,
    })
}

fn filters() -> impl Strategy<Value = Filter> {
    let types = prop::collection::vec((0..TYPES.len()).prop_map(|of| TYPES[of].to_owned()), 0..3);
    let tenant = prop::option::weighted(0.2, (0..4).prop_map(|of| format!("tenant {of}")));
    let time = || prop::option::weighted(0.2, (-1_000..30_000_i64).prop_map(|ms| 1_700_000_000_000 + ms));
    let some = (1..4_u32, any::<prop::sample::Index>());
    let some = some.prop_map(|(of, index)| Partition { index: index.index(of as usize) as u32, of });
    let partition = prop_oneof![4 => Just(Partition::WHOLE), 1 => some];
    let content = prop::option::weighted(0.2, prop::sample::select(CONTENTS.to_vec()));
    let all = (types, tenant, time(), time(), prop::bool::weighted(0.2), partition, content);
    all.prop_map(|(types, tenant, since, until, erased, partition, content)| Filter {
        types,
        tenant,
        since,
        until,
        erased,
        partition,
        content: content.map(|text| text.parse::<Where>().unwrap().filter().unwrap()),
    })
}

fn events() -> BoxedStrategy<Event> {
    let savepoint = prop::option::weighted(0.3, (0..4_usize, any::<bool>()));
    let end = prop_oneof![8 => Just(End::Commit), 1 => Just(End::Rollback), 1 => Just(End::Reopen)];
    let group = (0..PLAYERS, prop::collection::vec(steps(), 0..5), savepoint, end);
    let ms =
        prop_oneof![Just(1), Just(19), Just(20), Just(30), Just(50), Just(499), Just(4_999), Just(19_999)];
    prop_oneof![
        12 => group.prop_map(|(player, steps, savepoint, end)| Event::Group { player, steps, savepoint, end }),
        4 => ms.prop_map(|ms| Event::Pass { ms }),
        1 => (-100_000..100_000_i64).prop_map(|by| Event::WallJumps { by }),
        1 => (0..PLAYERS).prop_map(|player| Event::Dies { player }),
        1 => (0..PLAYERS).prop_map(|player| Event::Leaves { player }),
        4 => feed_queries().prop_map(|query| Event::ReadsFeed { query }),
        6 => (queries(), 1..9_u32).prop_map(|(query, limit)| Event::Reads { query, limit }),
    ]
    .boxed()
}

/// The generator of what happens. It needs no state: whatever happens is allowed at any time, and what is
/// right is known by the database in plain maps.
#[derive(Debug)]
pub(super) struct Anything;

impl ReferenceStateMachine for Anything {
    type State = ();
    type Transition = Event;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Event> {
        events()
    }

    fn apply((): (), _: &Event) {}
}

/// An event with everything about it, some of it missing at times.
pub(super) fn odd_event(number: u128) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(number),
        event_type: Cow::Borrowed(TYPES[(number % 3) as usize]),
        data: if number.is_multiple_of(4) {
            Data::Json(format!("{{\"n\": {}}}", number % 9))
        } else {
            Data::Bincode(number.to_le_bytes()[..(number % 17) as usize].to_vec())
        },
        schema: (number % 5) as u32,
        at: number.is_multiple_of(2).then(|| format!("at {number}")),
        metadata: number.is_multiple_of(3).then(|| format!("{{\"n\": {number}}}").into()),
        origin: odd_origin(number).kept(),
    }
}

//! StoreStateMachine: random appends through the public face, of which a list of ids knows what must come of them. New streams,
//! more for old ones, stale ones that must change nothing; and after each of them the feed is the list of all appends.

use millpond::blocking::{EventStream, Store};
use millpond::{Error, Event, Expected, Location};
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use tempfile::TempDir;

use crate::backends::{event, id};

/// Most streams of a run.
const STREAMS: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    AppendNewStream {
        events: u64,
    },
    AppendExisting {
        stream: usize,
        events: u64,
    },
    /// The version that is expected is off by so much.
    AppendStale {
        stream: usize,
        off: u64,
        below: bool,
    },
    CheckStream {
        stream: usize,
    },
}

/// What is in the store: of each event its number, which is its id.
#[derive(Clone, Debug, Default)]
struct Model {
    streams: Vec<Vec<u64>>,
    all: Vec<u64>,
}

impl Model {
    fn add(&mut self, stream: usize, events: u64) {
        for _ in 0..events {
            let number = self.all.len() as u64;
            self.all.push(number);
            self.streams[stream].push(number);
        }
    }

    /// The events that the last step has added to this stream.
    fn added(&self, stream: usize, events: u64) -> (Expected, Vec<Event>) {
        let before = self.streams[stream].len() - events as usize;
        let events = self.streams[stream][before..].iter().map(|number| event(*number).id(id(*number)));
        (Expected::Version(before as u64), events.collect())
    }
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Step> {
        let new = (1..=5_u64).prop_map(|events| Step::AppendNewStream { events });
        if model.streams.is_empty() {
            return new.boxed();
        }
        let stream = 0..model.streams.len();
        let more = (stream.clone(), 1..=5_u64);
        let stale = (stream.clone(), 1..=9_u64, any::<bool>());
        prop_oneof![
            2 => new,
            4 => more.prop_map(|(stream, events)| Step::AppendExisting { stream, events }),
            2 => stale.prop_map(|(stream, off, below)| Step::AppendStale { stream, off, below }),
            2 => stream.prop_map(|stream| Step::CheckStream { stream }),
        ]
        .boxed()
    }

    fn preconditions(model: &Model, step: &Step) -> bool {
        match step {
            Step::AppendNewStream { .. } => model.streams.len() < STREAMS,
            Step::AppendExisting { stream, .. }
            | Step::AppendStale { stream, .. }
            | Step::CheckStream { stream } => *stream < model.streams.len(),
        }
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        match *step {
            Step::AppendNewStream { events } => {
                model.streams.push(Vec::new());
                model.add(model.streams.len() - 1, events);
            }
            Step::AppendExisting { stream, events } => model.add(stream, events),
            Step::AppendStale { .. } | Step::CheckStream { .. } => {}
        }
        model
    }
}

/// The store that is tried, and the folder that it is in.
struct Tried {
    store: Store,
    _folder: TempDir,
}

impl Tried {
    fn new(in_memory: bool) -> Tried {
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("s.db"));
        let location = if in_memory { Location::Memory } else { file };
        Tried { store: Store::builder().open(location).unwrap(), _folder: folder }
    }

    /// Does what the model has done already.
    fn step(&self, model: &Model, step: &Step) {
        let events = self.store.events();
        match *step {
            Step::AppendNewStream { events: added } => {
                let stream = model.streams.len() - 1;
                let (_, new) = model.added(stream, added);
                let done = events.append(name(stream), Expected::NoStream, new).unwrap();
                assert_eq!((done.version, done.position), (added, model.all.len() as u64));
            }
            Step::AppendExisting { stream, events: added } => {
                let (expected, new) = model.added(stream, added);
                let done = events.append(name(stream), expected, new).unwrap();
                assert_eq!(done.version, model.streams[stream].len() as u64);
            }
            Step::AppendStale { stream, off, below } => {
                let actual = model.streams[stream].len() as u64;
                let wrong = if below { actual.saturating_sub(off) } else { actual + off };
                let (stream, expected) = (name(stream), Expected::Version(wrong));
                let stale = events.append(&stream, expected, [event(0)]);
                assert_eq!(stale, Err(Error::Conflict { stream, expected, actual }));
            }
            Step::CheckStream { stream } => {
                let read = read(events.read_stream(name(stream)));
                assert_eq!(read.iter().map(|event| event.1).collect::<Vec<_>>(), model.streams[stream]);
                assert_eq!(events.version(name(stream)), Ok(read.len() as u64));
            }
        }
    }

    fn check(&self, model: &Model) {
        let feed = read(self.store.events().read_all());
        assert!(feed.is_sorted_by(|before, behind| before.0 < behind.0), "positions increase: {feed:?}");
        assert_eq!(feed.into_iter().map(|event| event.1).collect::<Vec<_>>(), model.all);
    }
}

fn name(stream: usize) -> String {
    format!("stream-{stream}")
}

/// Position and number of each.
fn read(stream: EventStream) -> Vec<(u64, u64)> {
    let read = stream.map(|event| {
        let event = event.unwrap();
        let number = event.decode::<serde_json::Value>().unwrap()["n"].as_u64().unwrap();
        assert_eq!(event.id(), id(number));
        (event.position(), number)
    });
    read.collect()
}

/// The switch: one line a database.
macro_rules! machine {
    ($case:ident, $machine:ident, $in_memory:expr, $cases:expr) => {
        struct $machine;

        impl StateMachineTest for $machine {
            type SystemUnderTest = Tried;
            type Reference = Model;

            fn init_test(_: &Model) -> Tried {
                Tried::new($in_memory)
            }

            fn apply(tried: Tried, model: &Model, step: Step) -> Tried {
                tried.step(model, &step);
                tried
            }

            fn check_invariants(tried: &Tried, model: &Model) {
                tried.check(model);
            }

            fn teardown(tried: Tried, _: Model) {
                tried.store.close().unwrap();
            }
        }

        prop_state_machine! {
            #![proptest_config(Config { cases: $cases, failure_persistence: None, ..Config::default() })]
            #[test]
            fn $case(sequential 1..40 => $machine);
        }
    };
}

machine!(store_state_machine_on_memory, OnMemory, true, 64);
machine!(store_state_machine_on_sqlite, OnSqlite, false, 24);

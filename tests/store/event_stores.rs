//! The contract of event stores, each case under its name, and on stores that break it on purpose.

use millpond::testing::{RecordingStore, contract};
use millpond::{
    Aggregate, Appended, CommandError, Decision, Error, Event, EventStore, Expected, Recorded, Repository,
    Result, Store,
};
use uuid::Uuid;

use crate::backends::wait;

macro_rules! cases {
    ($($case:ident)+) => {
        $( async fn $case(store: Store) -> Result<()> {
            contract::$case(&store.events()).await;
            Ok(())
        } )+

        each_backend! { $($case)+ }

        #[test]
        fn every_case_is_run() {
            assert_eq!(contract::CASES, [$(stringify!($case)),+]);
        }
    };
}

cases! {
    no_stream_append_to_fresh_stream_succeeds
    no_stream_append_to_existing_stream_conflicts
    any_append_to_fresh_stream_succeeds
    any_append_to_existing_stream_succeeds
    stream_exists_append_to_absent_stream_raises
    stream_exists_append_to_existing_stream_succeeds
    exact_append_matching_version_succeeds
    exact_append_mismatched_version_conflicts
    duplicate_event_id_raises_and_batch_is_atomic
    repeated_append_is_answered_as_the_first_time
    empty_batch_raises_value_error
    append_result_position_non_none_and_strictly_increasing
    append_result_type
    read_returns_exactly_appended_events_in_order
    from_version_honored
    limit_honored
    envelopes_carry_correct_stream_version_sequence
    get_stream_version_matches_appended_count
    get_stream_version_of_absent_stream_is_zero
    read_of_absent_stream_returns_no_envelopes
    stream_isolation
    envelope_metadata_preserved_through_round_trip
    exists_after_append
    not_exists_before_append
    unknown_uuid_returns_false
}

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    AnyVersion,
    HalfAppended,
    OffByOne,
    Backward,
    NoIds,
    Forgetful,
    OneStream,
}

/// A store that does something wrong.
struct Broken(millpond::Events, Wrong);

impl Broken {
    fn stream<'s>(&self, stream: &'s str) -> &'s str {
        if self.1 == Wrong::OneStream { "all" } else { stream }
    }
}

impl EventStore for Broken {
    async fn append(&self, stream: &str, expected: Expected, events: Vec<Event>) -> Result<Appended> {
        let expected = if self.1 == Wrong::AnyVersion { Expected::Any } else { expected };
        if self.1 == Wrong::HalfAppended {
            let mut appended = Err(Error::Closed);
            for event in events {
                appended = self.0.append(stream, expected, [event]).await;
                appended.clone()?;
            }
            return appended;
        }
        if self.1 == Wrong::NoIds {
            let again = |(number, event): (u128, Event)| event.id(Uuid::from_u128(number << 64));
            let head: u128 = self.0.head().await?.into();
            let events: Vec<_> = (head + 1..).zip(events).map(again).collect();
            return self.0.append(stream, expected, events).await;
        }
        self.0.append(self.stream(stream), expected, events).await
    }

    async fn read(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<Recorded>> {
        let from = if self.1 == Wrong::OffByOne { from + 1 } else { from };
        let mut read = EventStore::read(&self.0, self.stream(stream), from, limit).await?;
        if self.1 == Wrong::Backward {
            read.reverse();
        }
        Ok(read)
    }

    async fn version(&self, stream: &str) -> Result<u64> {
        self.0.version(self.stream(stream)).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Recorded>> {
        if self.1 == Wrong::Forgetful { Ok(None) } else { self.0.find(id).await }
    }
}

#[test]
fn the_contract_finds_out_what_a_store_does_wrong() {
    use Wrong::*;
    for wrong in [AnyVersion, HalfAppended, OffByOne, Backward, NoIds, Forgetful, OneStream] {
        let run = || {
            let fresh = async || Broken(Store::memory().await.unwrap().events(), wrong);
            wait(contract::all(fresh));
        };
        assert!(std::panic::catch_unwind(run).is_err(), "{wrong:?} is not found out");
    }
}

#[derive(Debug, Default, PartialEq)]
struct Counter(u64);

#[derive(serde::Serialize, serde::Deserialize)]
enum Counted {
    Added(u64),
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("it is too much")]
struct TooMuch;

impl Aggregate for Counter {
    const KIND: &'static str = "counter";
    type Command = u64;
    type Event = Counted;
    type Rejection = TooMuch;

    fn decide(&self, add: &u64) -> Result<Decision<Counter>, TooMuch> {
        match add {
            0 => Ok(Decision::nothing()),
            77 => Ok(Decision::from([Counted::Added(77)]).push("q", &1)),
            add if self.0 + add > 100 => Err(TooMuch),
            add => Ok([Counted::Added(*add)].into()),
        }
    }

    fn evolve(&mut self, Counted::Added(add): &Counted) {
        self.0 += add;
    }
}

#[test]
fn a1_what_a_repository_saves_rests_on_what_it_loaded() {
    wait(async {
        let store = Store::memory().await?;
        let counters = Repository::<Counter>::new(store.events());
        let mut fresh = counters.load("a").await?;
        assert_eq!((fresh.version(), fresh.state()), (0, &Counter(0)));
        assert_eq!(counters.save(&mut fresh).await?, None, "nothing was changed");
        fresh.execute(&5).unwrap().execute(&6).unwrap();
        assert_eq!(fresh.execute(&90).unwrap_err(), CommandError::Rejected(TooMuch));
        assert!(matches!(fresh.execute(&77), Err(CommandError::Failed(Error::Unsupported { .. }))));
        assert_eq!((fresh.version(), fresh.changes().len(), fresh.state()), (0, 2, &Counter(11)));
        let mut other = counters.load("a").await?;
        counters.save(&mut fresh).await?;
        assert_eq!((fresh.version(), fresh.changes().len()), (2, 0));
        other.record(Counted::Added(1));
        let conflict =
            Error::Conflict { stream: "counter-a".into(), expected: Expected::Version(0), actual: 2 };
        assert_eq!(counters.save(&mut other).await, Err(conflict));
        assert_eq!(other.changes().len(), 1, "the changes are kept");
        let loaded = counters.load("a").await?;
        assert_eq!((loaded.version(), loaded.state()), (2, &Counter(11)));
        // It is the same aggregate as the one with an actor.
        store.aggregate::<Counter>("a").execute(3).await.unwrap();
        assert_eq!(counters.load("a").await?.state(), &Counter(14));
        store.close().await
    })
    .unwrap();
}

#[test]
fn w8_a_save_whose_answer_was_lost_takes_effect_once() {
    wait(async {
        let store = Store::memory().await?;
        let counters = Repository::<Counter, _>::new(RecordingStore::new(store.events()));
        let mut draft = counters.load("a").await?;
        draft.execute(&5).unwrap();
        let lost = Error::CommitUnknown { detail: "the power failed".into() };
        counters.store().lose_next_answer(lost.clone());
        assert_eq!(counters.save(&mut draft).await, Err(lost));
        let again = counters.save(&mut draft).await?.expect("there is something to save");
        assert_eq!((again.version, again.repeated, draft.version()), (1, true, 1));
        assert_eq!(counters.load("a").await?.state(), &Counter(5));
        counters.store().fail_next(Error::Closed);
        assert_eq!(counters.load("a").await.unwrap_err(), Error::Closed);
        assert_eq!(counters.store().appended().len(), 1);
        store.close().await
    })
    .unwrap();
}

#[test]
fn the_blocking_repository_does_the_same() {
    let store = millpond::blocking::Store::memory().unwrap();
    let counters = millpond::blocking::Repository::<Counter>::new(store.events());
    let mut draft = counters.load("a").unwrap();
    for _ in 0..3 {
        draft.execute(&2).unwrap();
    }
    assert_eq!(counters.save(&mut draft).unwrap().unwrap().version, 3);
    assert_eq!(counters.load("a").unwrap().state(), &Counter(6));
    store.close().unwrap();
}

//! What every [`EventStore`] must do: cases to run against one of your own, each on a fresh store. A case panics with what is
//! not as it should be.
//!
//! ```
//! # use millpond::Store;
//! # futures_executor::block_on(async {
//! let fresh = async || Store::memory().await.unwrap().events();
//! millpond::testing::contract::all(fresh).await;
//! # });
//! ```
//!
//! The cases are those of the conformance suites for appending, reading and looking up of the Python library eventsource-py
//! (0.14), with one difference: a repeated append is not refused but answered again.

use uuid::Uuid;

use millpond_actors::error::{Error, Expected};

use crate::events::{Appended, Event};
use crate::repository::EventStore;

/// An event that is recognised by its number.
fn event(number: u128) -> Event {
    let json = format!("{{\"number\":{number}}}");
    let event = Event::from_json("Happened", json).unwrap_or_else(|error| panic!("{error}"));
    event.id(Uuid::from_u128(number))
}

fn events(numbers: impl IntoIterator<Item = u128>) -> Vec<Event> {
    numbers.into_iter().map(event).collect()
}

async fn append(
    store: &impl EventStore,
    stream: &str,
    expected: Expected,
    numbers: impl IntoIterator<Item = u128>,
) -> Result<Appended, Error> {
    store.append(stream, expected, events(numbers)).await
}

/// Appends these, which must be possible.
async fn given(store: &impl EventStore, stream: &str, numbers: impl IntoIterator<Item = u128>) -> Appended {
    let appended = append(store, stream, Expected::Any, numbers).await;
    appended.unwrap_or_else(|error| panic!("an append that nothing is in the way of failed: {error}"))
}

/// The numbers of a stream's events from a version on.
async fn read(store: &impl EventStore, stream: &str, from: u64, limit: u32) -> Vec<u128> {
    let read =
        store.read(stream, from, limit).await.unwrap_or_else(|error| panic!("reading failed: {error}"));
    read.iter().map(|event| event.id().as_u128()).collect()
}

async fn version(store: &impl EventStore, stream: &str) -> u64 {
    store.version(stream).await.unwrap_or_else(|error| panic!("asking for a version failed: {error}"))
}

fn conflict(stream: &str, expected: Expected, actual: u64) -> Result<Appended, Error> {
    Err(Error::Conflict { stream: stream.to_owned(), expected, actual })
}

macro_rules! cases {
    ($( $(#[$doc:meta])* async fn $name:ident($store:ident) $body:block )+) => {
        $( $(#[$doc])*
        ///
        /// # Panics
        /// If it is not so.
        pub async fn $name($store: &impl EventStore) $body )+

        /// All cases, each on a store that `fresh` makes.
        ///
        /// # Panics
        /// With the first that fails.
        pub async fn all<S: EventStore>(mut fresh: impl AsyncFnMut() -> S) {
            $( $name(&fresh().await).await; )+
        }

        /// The names of all cases.
        pub const CASES: &[&str] = &[$( stringify!($name) ),+];
    };
}

cases! {
    /// `NoStream` fits an absent stream.
    async fn no_stream_append_to_fresh_stream_succeeds(store) {
        let appended = append(store, "s-1", Expected::NoStream, [1]).await;
        assert_eq!(appended.map(|done| (done.version, done.repeated)), Ok((1, false)));
    }

    /// `NoStream` does not fit a stream with events.
    async fn no_stream_append_to_existing_stream_conflicts(store) {
        given(store, "s-1", [1]).await;
        let appended = append(store, "s-1", Expected::NoStream, [2]).await;
        assert_eq!(appended, conflict("s-1", Expected::NoStream, 1));
        assert_eq!(read(store, "s-1", 1, 9).await, [1]);
    }

    /// `Any` fits an absent stream.
    async fn any_append_to_fresh_stream_succeeds(store) {
        assert_eq!(given(store, "s-1", [1]).await.version, 1);
    }

    /// `Any` fits whatever there is.
    async fn any_append_to_existing_stream_succeeds(store) {
        given(store, "s-1", [1]).await;
        assert_eq!(given(store, "s-1", [2]).await.version, 2);
    }

    /// `Exists` does not fit an absent stream.
    async fn stream_exists_append_to_absent_stream_raises(store) {
        let appended = append(store, "s-1", Expected::Exists, [1]).await;
        assert_eq!(appended, conflict("s-1", Expected::Exists, 0));
        assert_eq!(version(store, "s-1").await, 0, "a refused append makes no stream");
    }

    /// `Exists` fits a stream with events.
    async fn stream_exists_append_to_existing_stream_succeeds(store) {
        given(store, "s-1", [1]).await;
        let appended = append(store, "s-1", Expected::Exists, [2]).await;
        assert_eq!(appended.map(|done| done.version), Ok(2));
    }

    /// A version fits a stream of exactly so many events, an absent one if it is 0.
    async fn exact_append_matching_version_succeeds(store) {
        for before in 0..3 {
            let appended = append(store, "s-1", Expected::Version(before), [u128::from(before)]).await;
            assert_eq!(appended.map(|done| done.version), Ok(before + 1));
        }
    }

    /// Any other version does not.
    async fn exact_append_mismatched_version_conflicts(store) {
        let appended = append(store, "s-1", Expected::Version(1), [1]).await;
        assert_eq!(appended, conflict("s-1", Expected::Version(1), 0));
        given(store, "s-1", [1, 2]).await;
        for wrong in [0, 1, 3, u64::MAX] {
            let appended = append(store, "s-1", Expected::Version(wrong), [3]).await;
            assert_eq!(appended, conflict("s-1", Expected::Version(wrong), 2));
        }
        assert_eq!(read(store, "s-1", 1, 9).await, [1, 2]);
    }

    /// If only some ids are stored already the append is refused, and nothing of it is written.
    async fn duplicate_event_id_raises_and_batch_is_atomic(store) {
        given(store, "s-1", [1]).await;
        let duplicate = Err(Error::DuplicateEvent { stream: "s-1".to_owned(), id: Uuid::from_u128(1) });
        assert_eq!(append(store, "s-1", Expected::Any, [2, 1]).await, duplicate);
        assert_eq!((version(store, "s-1").await, read(store, "s-1", 1, 9).await), (1, vec![1]));
        let elsewhere = Err(Error::DuplicateEvent { stream: "t-1".to_owned(), id: Uuid::from_u128(1) });
        assert_eq!(append(store, "t-1", Expected::Any, [1]).await, elsewhere, "an id names one event for ever");
        let twice = Err(Error::DuplicateEvent { stream: "t-1".to_owned(), id: Uuid::from_u128(3) });
        assert_eq!(append(store, "t-1", Expected::Any, [3, 3]).await, twice);
        assert_eq!(version(store, "t-1").await, 0);
    }

    /// An append whose ids are all stored already, in this stream and order, is answered as the first time, whatever it
    /// expects; so one of unknown fate can be sent again.
    async fn repeated_append_is_answered_as_the_first_time(store) {
        given(store, "s-1", [1]).await;
        let first = given(store, "s-1", [2, 3]).await;
        given(store, "s-1", [4]).await;
        for expected in [Expected::Any, Expected::NoStream, Expected::Exists, Expected::Version(1)] {
            let again = append(store, "s-1", expected, [2, 3]).await;
            assert_eq!(again, Ok(Appended { repeated: true, ..first }), "{expected}");
        }
        assert_eq!(read(store, "s-1", 1, 9).await, [1, 2, 3, 4]);
        let turned = append(store, "s-1", Expected::Any, [3, 2]).await;
        assert!(matches!(turned, Err(Error::DuplicateEvent { .. })), "another order is no repetition: {turned:?}");
    }

    /// An append holds at least one event.
    async fn empty_batch_raises_value_error(store) {
        let appended = append(store, "s-1", Expected::Any, []).await;
        let Err(error @ Error::InvalidArgument { .. }) = appended else { panic!("it is {appended:?}") };
        assert!(error.to_string().contains("empty"), "{error}");
    }

    /// Positions grow from append to append, over all streams.
    async fn append_result_position_non_none_and_strictly_increasing(store) {
        let mut last = 0;
        for number in 0..6 {
            let appended = given(store, if number % 2 == 0 { "s-1" } else { "t-1" }, [number]).await;
            assert!(appended.position > last, "{appended:?} came behind position {last}");
            last = appended.position;
        }
    }

    /// The answer is about the stream that was appended to: the version and position of its last event.
    async fn append_result_type(store) {
        given(store, "t-1", [1]).await;
        let appended = given(store, "s-1", [2, 3]).await;
        let stored = store.read("s-1", 2, 1).await.unwrap_or_else(|error| panic!("{error}"));
        let places: Vec<_> = stored.iter().map(|event| (event.stream(), event.version(), event.position())).collect();
        assert_eq!(places, [("s-1", appended.version, appended.position)]);
    }

    /// What was appended is read, in its order.
    async fn read_returns_exactly_appended_events_in_order(store) {
        given(store, "s-1", [3, 1]).await;
        given(store, "s-1", [2]).await;
        assert_eq!(read(store, "s-1", 1, 9).await, [3, 1, 2]);
    }

    /// From a version on, inclusive.
    async fn from_version_honored(store) {
        given(store, "s-1", 1..=5).await;
        assert_eq!(read(store, "s-1", 3, 9).await, [3, 4, 5]);
        assert_eq!(read(store, "s-1", 6, 9).await, []);
    }

    /// So many, and no more.
    async fn limit_honored(store) {
        given(store, "s-1", 1..=5).await;
        assert_eq!(read(store, "s-1", 1, 2).await, [1, 2]);
        assert_eq!(read(store, "s-1", 4, 5).await, [4, 5]);
    }

    /// Versions are dense from 1 on.
    async fn envelopes_carry_correct_stream_version_sequence(store) {
        given(store, "s-1", [1, 2]).await;
        given(store, "s-1", [3, 4]).await;
        let stored = store.read("s-1", 1, 9).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(stored.iter().map(|event| event.version()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    /// The version of a stream is how many events it has.
    async fn get_stream_version_matches_appended_count(store) {
        given(store, "s-1", 1..=3).await;
        assert_eq!(version(store, "s-1").await, 3);
    }

    /// An absent one has version 0.
    async fn get_stream_version_of_absent_stream_is_zero(store) {
        assert_eq!(version(store, "s-1").await, 0);
    }

    /// An absent one has no events.
    async fn read_of_absent_stream_returns_no_envelopes(store) {
        given(store, "t-1", [1]).await;
        assert_eq!(read(store, "s-1", 1, 9).await, []);
    }

    /// Streams have nothing to do with one another, however alike their names are.
    async fn stream_isolation(store) {
        for (number, stream) in (1..).zip(["s-1", "s-10", "S-1", "s-1 ", "s", "s-'1"]) {
            given(store, stream, [number]).await;
        }
        assert_eq!(read(store, "s-1", 1, 9).await, [1]);
        assert_eq!(read(store, "s-'1", 1, 9).await, [6]);
    }

    /// Everything about an event comes back as it was given.
    async fn envelope_metadata_preserved_through_round_trip(store) {
        let (id, cause) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let json = "{ \"z\":1.0, \"a\" : 12345678901234567890, \"t\":\"'\\u0000\" }";
        let event = Event::from_json("It's \"odd\"", json).unwrap_or_else(|error| panic!("{error}"));
        let origin = crate::Origin::new().correlation(id).causation(cause).actor("Ada").tenant("a'b");
        let event = event.id(id).at("2024-02-30 or so").metadata("{\"k\": [1]}").schema(3).origin(origin);
        let appended = store.append("s-1", Expected::Any, vec![event]).await;
        appended.unwrap_or_else(|error| panic!("{error}"));
        let stored = store.read("s-1", 1, 9).await.unwrap_or_else(|error| panic!("{error}"));
        let [stored] = stored.as_slice() else { panic!("one event was appended, {} are there", stored.len()) };
        assert_eq!((stored.id(), stored.event_type(), stored.stream()), (id, "It's \"odd\"", "s-1"));
        assert_eq!((stored.json(), stored.schema()), (Some(json), 3), "byte for byte");
        assert_eq!((stored.at(), stored.metadata()), (Some("2024-02-30 or so"), Some("{\"k\": [1]}")));
        assert_eq!((stored.correlation(), stored.causation()), (Some(id), Some(cause)));
        assert_eq!((stored.actor(), stored.tenant(), stored.version()), (Some("Ada"), Some("a'b"), 1));
    }

    /// An event is found by its id.
    async fn exists_after_append(store) {
        given(store, "s-1", [1, 2]).await;
        let found = store.find(Uuid::from_u128(2)).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(found.map(|event| (event.stream().to_owned(), event.version())), Some(("s-1".to_owned(), 2)));
    }

    /// Not before it was appended.
    async fn not_exists_before_append(store) {
        assert_eq!(store.find(Uuid::from_u128(1)).await, Ok(None));
        given(store, "s-1", [1]).await;
        assert!(matches!(store.find(Uuid::from_u128(1)).await, Ok(Some(_))));
    }

    /// An id that nobody gave finds nothing.
    async fn unknown_uuid_returns_false(store) {
        given(store, "s-1", [1]).await;
        assert_eq!(store.find(Uuid::from_u128(9)).await, Ok(None));
    }
}

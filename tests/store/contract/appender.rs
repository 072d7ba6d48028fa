//! EventAppender, by many at a time. Each of its tests by one caller stands in `event_stores.rs`, where it can be run against any
//! store; here is also what becomes of a type that nobody knows, because nothing is registered in this store.

use std::collections::BTreeSet;

use millpond::{Appended, Error, Event, Expected, Result, Store, blocking};
use serde::Deserialize;

use super::at_once;
use crate::backends::{event, id, known};
use crate::peer::{Peer, file};

each_backend! {
    unregistered_event_type_is_rejected
    no_stream_append_to_existing_stream_conflicts_concurrently
    any_append_to_existing_stream_succeeds_concurrently
    exact_append_mismatched_version_conflicts_concurrently
    duplicate_event_id_raises_and_batch_is_atomic_concurrently
    repeated_append_is_answered_as_the_first_time_concurrently
    append_result_position_non_none_and_strictly_increasing_concurrently
}

const CALLERS: u64 = 16;

/// By whoever makes a value of it, and by nobody else: it is stored and read like any other.
async fn unregistered_event_type_is_rejected(store: Store) -> Result<()> {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Registered {
        Counted { n: u64 },
    }
    let unknown = Event::new("NeverHeardOf", &1)?;
    store.events().append("s-1", Expected::NoStream, [event(1), unknown, event(2)]).await?;
    let (mut events, mut read) = (store.events().read_stream("s-1"), Vec::new());
    while let Some(event) = events.next().await {
        read.push(event?.decode_event::<Registered>());
    }
    assert_eq!(read[0], Ok(Registered::Counted { n: 1 }));
    let Err(error @ Error::Decode { .. }) = &read[1] else { panic!("{:?}", read[1]) };
    assert!(error.to_string().contains("NeverHeardOf"), "{error}");
    assert_eq!(read[2], Ok(Registered::Counted { n: 2 }), "the others of its page are read");
    Ok(())
}

/// Of many who expect the same, one is right; the others are told what there is now.
async fn one_of_many(store: &Store, expected: Expected, version: u64) {
    let events = store.events();
    let race = at_once(CALLERS, |caller| {
        let events = events.clone();
        async move { events.append("s-1", expected, [event(caller)]).await }
    });
    let (won, lost): (Vec<_>, Vec<_>) = race.await.into_iter().partition(Result::is_ok);
    assert_eq!(won.into_iter().map(|done| done.unwrap().version).collect::<Vec<_>>(), [version]);
    for lost in lost {
        assert_eq!(lost, Err(Error::Conflict { stream: "s-1".into(), expected, actual: version }));
    }
}

async fn no_stream_append_to_existing_stream_conflicts_concurrently(store: Store) -> Result<()> {
    one_of_many(&store, Expected::NoStream, 1).await;
    Ok(())
}

async fn exact_append_mismatched_version_conflicts_concurrently(store: Store) -> Result<()> {
    for version in 0..10 {
        one_of_many(&store, Expected::Version(version), version + 1).await;
    }
    Ok(())
}

async fn any_append_to_existing_stream_succeeds_concurrently(store: Store) -> Result<()> {
    let appended = at_once(CALLERS, |caller| {
        let events = store.events();
        async move { events.append("s-1", Expected::Any, [event(caller), event(caller)]).await }
    });
    let versions: BTreeSet<u64> = appended.await.into_iter().map(|done| done.unwrap().version).collect();
    assert!(versions.into_iter().eq((1..=CALLERS).map(|append| 2 * append)));
    Ok(())
}

/// One id in an append to each of many streams: one of them has it, and of the others there is nothing.
async fn duplicate_event_id_raises_and_batch_is_atomic_concurrently(store: Store) -> Result<()> {
    let events = store.events();
    let appended = at_once(CALLERS, |caller| {
        let events = events.clone();
        async move { events.append(format!("s-{caller}"), Expected::Any, [event(caller), known(7)]).await }
    });
    let mut won = 0;
    for (caller, appended) in appended.await.into_iter().enumerate() {
        let stream = format!("s-{caller}");
        let version = events.version(&stream).await?;
        match appended {
            Ok(done) => {
                won += 1;
                assert_eq!((done.version, version), (2, 2));
            }
            refused => {
                assert_eq!(refused, Err(Error::DuplicateEvent { stream, id: id(7) }));
                assert_eq!(version, 0);
            }
        }
    }
    assert_eq!((won, events.head().await?), (1, 2));
    Ok(())
}

async fn repeated_append_is_answered_as_the_first_time_concurrently(store: Store) -> Result<()> {
    let events = store.events();
    for round in 0..10 {
        let (first, second) = (known(2 * round), known(2 * round + 1));
        let appended = at_once(CALLERS, |_| {
            let (events, both) = (events.clone(), [first.clone(), second.clone()]);
            async move { events.append("s-1", Expected::Version(2 * round), both).await }
        });
        let mut new = 0;
        for appended in appended.await {
            let Appended { version, position, repeated } = appended?;
            assert_eq!((version, position), (2 * round + 2, 2 * round + 2));
            new += u32::from(!repeated);
        }
        assert_eq!((new, events.head().await?), (1, 2 * round + 2), "one effect");
    }
    Ok(())
}

async fn append_result_position_non_none_and_strictly_increasing_concurrently(store: Store) -> Result<()> {
    let positions = at_once(CALLERS, |caller| {
        let events = store.events();
        async move {
            let mut positions = Vec::new();
            for n in 0..10 {
                let appended = events.append(format!("s-{caller}"), Expected::Version(n), [event(n)]).await?;
                positions.push(appended.position);
            }
            assert!(positions.is_sorted(), "each sees them grow: {positions:?}");
            Ok::<_, Error>(positions)
        }
    });
    let mut all = BTreeSet::new();
    for positions in positions.await {
        all.extend(positions?);
    }
    assert!(all.into_iter().eq(1..=10 * CALLERS), "no two have one, and none is left out");
    Ok(())
}

#[test]
fn exact_append_mismatched_version_conflicts_over_processes() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    let mut peers = [Peer::start(&file), Peer::start(&file)];
    for version in 0..20 {
        for (peer, n) in peers.iter_mut().zip(1..) {
            peer.tell(&format!("append-at s-1 {version} {}", 10 * version + n));
        }
        let ours = store.events().append("s-1", Expected::Version(version), [known(10 * version)]);
        let won = peers.iter_mut().filter_map(|peer| match peer.hear().as_str() {
            "Conflict" => None,
            won => Some(won.parse::<u64>().unwrap()),
        });
        let won: Vec<u64> = won.chain(ours.ok().map(|done| done.version)).collect();
        assert_eq!(won, [version + 1], "one of three");
    }
    assert_eq!(store.events().head(), Ok(20));
}

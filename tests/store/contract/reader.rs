//! StreamReader and EventLookup: what asks more of a store than `EventStore`, and with that than `event_stores.rs`, does; and the
//! rest of them by many at a time.

use millpond::{Error, Expected, Result, Store};

use super::{NOTHING, at_once, numbers};
use crate::backends::{all, event, id, known};

each_backend! {
    to_version_honored
    backward_direction_honored
    read_returns_exactly_appended_events_in_order_concurrently
    stream_isolation_concurrently
    exists_after_append_concurrently
    not_exists_before_append_concurrently
}

async fn given(store: &Store, events: u64) -> Result<()> {
    let events: Vec<_> = (1..=events).map(event).collect();
    store.events().append("s-1", Expected::NoStream, events).await.map(drop)
}

async fn to_version_honored(store: Store) -> Result<()> {
    given(&store, 5).await?;
    let read = || store.events().read_stream("s-1");
    assert_eq!(numbers(read().to(2)).await?, [1, 2]);
    assert_eq!(numbers(read().from(2).to(4)).await?, [2, 3, 4]);
    assert_eq!(numbers(read().to(0)).await?, NOTHING);
    assert_eq!(numbers(read().to(u64::MAX)).await?, [1, 2, 3, 4, 5]);
    Ok(())
}

async fn backward_direction_honored(store: Store) -> Result<()> {
    given(&store, 3).await?;
    let read = || store.events().read_stream("s-1").backward();
    assert_eq!(numbers(read()).await?, [3, 2, 1]);
    assert_eq!(numbers(read().limit(2)).await?, [3, 2]);
    assert_eq!(numbers(read().from(2).to(2)).await?, [2]);
    Ok(())
}

/// Whoever reads while others append sees a beginning of the stream, and later a longer one.
async fn read_returns_exactly_appended_events_in_order_concurrently(store: Store) -> Result<()> {
    const EVENTS: u64 = 120;
    let events = store.events();
    let writer = tokio::spawn({
        let events = events.clone();
        async move {
            for n in 1..=EVENTS {
                events.append("s-1", Expected::Version(n - 1), [event(n)]).await?;
            }
            Ok::<_, Error>(())
        }
    });
    let read = at_once(4, |_| {
        let events = events.clone();
        async move {
            let mut seen = 0;
            while seen < EVENTS {
                let read = numbers(events.read_stream("s-1")).await?;
                assert!(read.iter().copied().eq(1..=read.len() as u64), "{read:?}");
                assert!(read.len() as u64 >= seen, "what was seen stays");
                seen = read.len() as u64;
            }
            Ok::<_, Error>(())
        }
    });
    read.await.into_iter().collect::<Result<()>>()?;
    writer.await.unwrap()
}

async fn stream_isolation_concurrently(store: Store) -> Result<()> {
    let events = store.events();
    let appended = at_once(12, |caller| {
        let events = events.clone();
        async move {
            for n in 0..10 {
                events.append(format!("s-{caller}"), Expected::Version(n), [event(100 * caller + n)]).await?;
            }
            Ok::<_, Error>(())
        }
    });
    appended.await.into_iter().collect::<Result<()>>()?;
    for caller in 0..12 {
        let read = all(events.read_stream(format!("s-{caller}"))).await?;
        let wanted = (0..10).map(|n| (n + 1, 100 * caller + n));
        assert!(read.iter().map(|(_, version, _, number)| (*version, *number)).eq(wanted));
    }
    Ok(())
}

/// An event is found by everybody as soon as its append was answered.
async fn exists_after_append_concurrently(store: Store) -> Result<()> {
    let found = at_once(8, |caller| {
        let events = store.events();
        async move {
            for n in 1..=10 {
                let (stream, number) = (format!("s-{caller}"), 100 * caller + n);
                events.append(&stream, Expected::Version(n - 1), [known(number)]).await?;
                let found = events.find(id(number)).await?.expect("it was appended");
                assert_eq!((found.stream(), found.version()), (stream.as_str(), n));
            }
            Ok::<_, Error>(())
        }
    });
    found.await.into_iter().collect()
}

/// Whoever looks for an event that is being appended finds nothing, or all of its append.
async fn not_exists_before_append_concurrently(store: Store) -> Result<()> {
    let events = store.events();
    for round in 0..10 {
        let (first, second) = (2 * round, 2 * round + 1);
        let lookers = at_once(4, |_| {
            let events = events.clone();
            async move {
                let before = events.find(id(first)).await?;
                let both = events.append("s-1", Expected::Any, [known(first), known(second)]).await?;
                assert_eq!(both.version, 2 * round + 2);
                Ok::<_, Error>((before, events.find(id(second)).await?))
            }
        });
        for looked in lookers.await {
            let (before, after) = looked?;
            assert!(before.is_none_or(|event| event.version() == 2 * round + 1));
            assert_eq!(after.map(|event| event.version()), Some(2 * round + 2));
        }
    }
    Ok(())
}

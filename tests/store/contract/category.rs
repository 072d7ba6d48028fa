//! CategoryQuery. A category is read by position, and the time at which something was recorded never decreases from one position
//! to the next: so this is the order by time too, and of equal times the order of the commits. `from_timestamp` is
//! `recorded_since`; a bound is milliseconds since 1970, so it has no offset, and what a text with one says is up to who reads it.

use std::sync::Arc;
use std::time::Duration;

use millpond::{Clock, Error, Event, Events, Expected, ManualClock, Origin, Result, Store};

use super::{NOTHING, at_once, numbers};
use crate::backends::{all, event};

each_backend! { on a clock:
    only_named_category_returned
    ordered_by_stored_at
    from_timestamp_honored
    from_timestamp_compares_instants_not_offsets
    from_timestamp_is_inclusive
    tenant_filter_honored
    limit_honored
    limit_from_timestamp_and_tenant_combined
    limit_with_batch_ties_returns_earliest_in_stream_order
    only_named_category_returned_concurrently
    ordered_by_stored_at_concurrently
    limit_with_batch_ties_returns_earliest_in_stream_order_concurrently
}

const SECOND: Duration = Duration::from_secs(1);

fn now(clock: &ManualClock) -> i64 {
    clock.now().wall_ms
}

/// Six events of two streams, a second apart; the even ones of another tenant. The time of the first.
async fn six(store: &Store, clock: &ManualClock) -> Result<(Events, i64)> {
    let (events, first) = (store.events(), now(clock));
    for n in 1..=6_u64 {
        let tenant = if n % 2 == 1 { "odd" } else { "even" };
        let event = event(n).origin(Origin::new().tenant(tenant));
        events.append(format!("apple-{}", n % 2), Expected::Any, [event]).await?;
        events.append("pear-1", Expected::Any, [self::event(100 + n)]).await?;
        clock.advance(SECOND);
    }
    Ok((events, first))
}

async fn only_named_category_returned(store: Store, _: Arc<ManualClock>) -> Result<()> {
    let events = store.events();
    for (n, stream) in
        (1..).zip(["apple-1", "pear-1", "apple-2", "appletree-1", "apple", "a-apple", "Apple-1"])
    {
        events.append(stream, Expected::Any, [event(n)]).await?;
    }
    assert_eq!(numbers(events.read_category("apple")).await?, [1, 3, 5]);
    assert_eq!(numbers(events.read_category("pear")).await?, [2]);
    assert_eq!(numbers(events.read_category("plum")).await?, NOTHING);
    Ok(())
}

async fn ordered_by_stored_at(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let events = store.events();
    for (n, step) in (1..).zip([1_000, 0, -5_000, 20, -1, 9_000]) {
        clock.set_wall(now(&clock) + step);
        events.append(format!("apple-{}", n % 2), Expected::Any, [event(n)]).await?;
    }
    assert_eq!(numbers(events.read_category("apple")).await?, [1, 2, 3, 4, 5, 6], "wherever the clock goes");
    let (mut read, mut times) = (events.read_category("apple"), Vec::new());
    while let Some(event) = read.next().await {
        times.push(event?.recorded_at_ms());
    }
    assert!(times.is_sorted() && times.first() < times.last(), "{times:?}");
    Ok(())
}

async fn from_timestamp_honored(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (events, first) = six(&store, &clock).await?;
    let since = |ms| events.read_category("apple").recorded_since(first + ms);
    assert_eq!(numbers(since(2_500)).await?, [4, 5, 6]);
    assert_eq!(numbers(since(-9)).await?, [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(since(5_001)).await?, NOTHING);
    Ok(())
}

async fn from_timestamp_compares_instants_not_offsets(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let instant = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let events = store.events();
    for (n, at) in (1..).zip(["2100-01-01T00:00:00Z", "2100-01-01T01:00:00Z", "2100-01-01T02:00:00Z"]) {
        clock.set_wall(instant(at));
        events.append("apple-1", Expected::Any, [event(n)]).await?;
    }
    // As text it is later than all of them.
    let bound = instant("2100-01-01T06:00:00+05:00");
    assert_eq!(numbers(events.read_category("apple").recorded_since(bound)).await?, [2, 3]);
    Ok(())
}

async fn from_timestamp_is_inclusive(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (events, first) = six(&store, &clock).await?;
    let since = |ms| events.read_category("apple").recorded_since(first + ms);
    assert_eq!(numbers(since(4_000)).await?, [5, 6]);
    assert_eq!(numbers(since(4_001)).await?, [6]);
    Ok(())
}

async fn tenant_filter_honored(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (events, _) = six(&store, &clock).await?;
    assert_eq!(numbers(events.read_category("apple").tenant("odd")).await?, [1, 3, 5]);
    assert_eq!(numbers(events.read_category("pear").tenant("odd")).await?, NOTHING, "these have none");
    Ok(())
}

async fn limit_honored(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (events, _) = six(&store, &clock).await?;
    assert_eq!(numbers(events.read_category("apple").limit(2)).await?, [1, 2]);
    assert_eq!(numbers(events.read_category("apple").limit(99)).await?.len(), 6);
    Ok(())
}

async fn limit_from_timestamp_and_tenant_combined(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (events, first) = six(&store, &clock).await?;
    let read = || events.read_category("apple").recorded_since(first + 1_000).tenant("even");
    assert_eq!(numbers(read()).await?, [2, 4, 6]);
    assert_eq!(numbers(read().limit(2)).await?, [2, 4], "the limit counts what is left by both");
    Ok(())
}

async fn limit_with_batch_ties_returns_earliest_in_stream_order(
    store: Store,
    clock: Arc<ManualClock>,
) -> Result<()> {
    let (events, first) = (store.events(), now(&clock));
    events.append("apple-1", Expected::NoStream, [1, 2, 3].map(event)).await?;
    events.append("apple-2", Expected::NoStream, [4, 5].map(event)).await?;
    events.append("apple-1", Expected::Version(3), [event(6)]).await?;
    let read = || events.read_category("apple").recorded_since(first).recorded_before(first + 1);
    assert_eq!(numbers(read().limit(2)).await?, [1, 2]);
    assert_eq!(numbers(read().after(2)).await?, [3, 4, 5, 6], "all of one time");
    Ok(())
}

const CALLERS: u64 = 8;

/// Each caller appends ten times three events to a stream of its own, which is called by the names in turn.
async fn thirty_each(store: &Store, clock: Option<&Arc<ManualClock>>) -> Result<()> {
    let appended = at_once(CALLERS, |caller| {
        let (events, clock) = (store.events(), clock.cloned());
        async move {
            let stream = format!("{}-{caller}", ["apple", "pear"][(caller % 2) as usize]);
            for append in 0..10 {
                let some: Vec<Event> = (3 * append..3 * append + 3).map(event).collect();
                events.append(&stream, Expected::Version(3 * append), some).await?;
                if let Some(clock) = &clock {
                    clock.set_wall(now(clock) + [7, -9, 5][(append % 3) as usize]);
                }
            }
            Ok::<_, Error>(())
        }
    });
    appended.await.into_iter().collect()
}

async fn only_named_category_returned_concurrently(store: Store, _: Arc<ManualClock>) -> Result<()> {
    thirty_each(&store, None).await?;
    for category in ["apple", "pear"] {
        let read = all(store.events().read_category(category)).await?;
        assert_eq!(read.len() as u64, 30 * CALLERS / 2);
        assert!(read.iter().all(|(stream, ..)| stream.starts_with(category)));
    }
    Ok(())
}

/// Whoever reads on from the time of the last that it has seen finds everything, however the clock jumps meanwhile.
async fn ordered_by_stored_at_concurrently(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (mut since, mut position, mut seen) = (0, 0, 0);
    let writers = tokio::spawn({
        let store = store.clone();
        async move { thirty_each(&store, Some(&clock)).await }
    });
    while seen < 30 * CALLERS / 2 {
        let mut read = store.events().read_category("pear").recorded_since(since).after(position).limit(9);
        while let Some(event) = read.next().await.transpose()? {
            assert!(event.recorded_at_ms() >= since && event.position() > position);
            (since, position, seen) = (event.recorded_at_ms(), event.position(), seen + 1);
        }
    }
    writers.await.unwrap()
}

/// The clock stands still: all are of one time, and those of one append follow one another all the same.
async fn limit_with_batch_ties_returns_earliest_in_stream_order_concurrently(
    store: Store,
    _: Arc<ManualClock>,
) -> Result<()> {
    thirty_each(&store, None).await?;
    let (mut position, mut read) = (0, Vec::new());
    loop {
        let page = all(store.events().read_category("apple").after(position).limit(7)).await?;
        let Some((_, _, last, _)) = page.last() else { break };
        position = *last;
        read.extend(page);
    }
    assert_eq!(read.len() as u64, 30 * CALLERS / 2);
    for append in read.chunks(3) {
        let [(stream, first, position, _), second, third] = append else { panic!("{append:?}") };
        assert_eq!((first % 3, &second.0, &third.0), (1, stream, stream));
        assert_eq!(
            (second.1, third.1, second.2, third.2),
            (first + 1, first + 2, position + 1, position + 2)
        );
    }
    Ok(())
}

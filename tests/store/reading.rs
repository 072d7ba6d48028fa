//! Reading: every direction, range and filter over more than two pages, and readers that stop half way.

use std::collections::BTreeMap;

use millpond::{Event, EventStream, Events, Expected, Result, Store};

use crate::backends::{all, begin, event, id};

/// Three streams of two categories, in turn; every seventh event is of another type.
const EVENTS: u64 = 2_600;

each_backend! {
    g5_every_way_of_reading_gives_the_same_as_filtering_a_list
    what_is_appended_while_one_reads_is_seen_at_the_end
    a_reader_that_stops_half_way_disturbs_nobody
    a_dropped_next_loses_no_event
    large_events_end_a_page_early_and_nothing_is_missing
    recorded_times_never_go_back
}

fn stream_of(n: u64) -> &'static str {
    ["apple-1", "pear-1", "apple-2"][(n % 3) as usize]
}

fn type_of(n: u64) -> &'static str {
    if n.is_multiple_of(7) { "Seventh" } else { "Counted" }
}

async fn fill(events: &Events) -> Result<()> {
    let all: Vec<(String, Event)> = (1..=EVENTS)
        .map(|n| {
            let event = Event::new(type_of(n), &serde_json::json!({ "n": n })).unwrap().id(id(n));
            (stream_of(n).to_owned(), event)
        })
        .collect();
    assert_eq!(events.import(all).await?.added, EVENTS);
    Ok(())
}

type Row = (String, u64, u64, u64);

async fn g5_every_way_of_reading_gives_the_same_as_filtering_a_list(store: Store) -> Result<()> {
    let events = store.events();
    fill(&events).await?;
    let mut versions = BTreeMap::new();
    let list: Vec<Row> = (1..=EVENTS)
        .map(|n| {
            let version = versions.entry(stream_of(n)).or_insert(0);
            *version += 1;
            (stream_of(n).to_owned(), *version, n, n)
        })
        .collect();
    type Scope = (fn(&Events) -> EventStream, fn(&Row) -> bool, fn(&Row) -> u64);
    let scopes: [Scope; 5] = [
        (|events| events.read_all(), |_| true, |row| row.2),
        (|events| events.read_stream("apple-1"), |row| row.0 == "apple-1", |row| row.1),
        (|events| events.read_category("apple"), |row| row.0.starts_with("apple-"), |row| row.2),
        (|events| events.read_category("appl"), |_| false, |row| row.2),
        (|events| events.read_stream("pear"), |_| false, |row| row.1),
    ];
    let ranges =
        [(1, u64::MAX), (0, EVENTS), (500, 1_500), (1_001, 1_001), (2_000, 1_999), (u64::MAX, u64::MAX)];
    let mut looks = 0;
    for (open, belongs, place) in scopes {
        for (from, to) in ranges {
            for backward in [false, true] {
                for (kind, limit) in
                    [(None, None), (Some("Seventh"), None), (None, Some(999)), (Some("Counted"), Some(1_001))]
                {
                    let in_range = |row: &&Row| belongs(row) && (from..=to).contains(&place(row));
                    let of_kind = |row: &&Row| kind.is_none_or(|kind| type_of(row.3) == kind);
                    let mut wanted: Vec<Row> =
                        list.iter().filter(in_range).filter(of_kind).cloned().collect();
                    if backward {
                        wanted.reverse();
                    }
                    wanted.truncate(limit.unwrap_or(usize::MAX));
                    let mut stream = open(&events).from(from).to(to);
                    if backward {
                        stream = stream.backward();
                    }
                    if let Some(kind) = kind {
                        stream = stream.event_type(kind);
                    }
                    if let Some(limit) = limit {
                        stream = stream.limit(limit as u64);
                    }
                    let shown = format!("{stream:?}");
                    let found = all(stream).await?;
                    assert_eq!(found.len(), wanted.len(), "{shown}");
                    assert!(found == wanted, "{shown}");
                    looks += 1;
                }
            }
        }
    }
    assert_eq!(looks, 240);
    for limit in [0, 1, 1_000, 1_001, 2_000, EVENTS, u64::MAX] {
        assert_eq!(all(events.read_all().limit(limit)).await?.len() as u64, limit.min(EVENTS), "{limit}");
    }
    assert_eq!(all(events.read_all().after(EVENTS - 1)).await?.len(), 1);
    assert_eq!(all(events.read_all().after(u64::MAX)).await?.len(), 0);
    Ok(())
}

async fn what_is_appended_while_one_reads_is_seen_at_the_end(store: Store) -> Result<()> {
    let events = store.events();
    fill(&events).await?;
    let mut stream = events.read_all();
    let mut seen = 0;
    while let Some(event) = stream.next().await {
        seen += 1;
        assert_eq!(event?.position(), seen);
        if seen == 1 {
            events.append("late-1", Expected::Any, [event_of_late()]).await?;
        }
    }
    assert_eq!(seen, EVENTS + 1);
    Ok(())
}

fn event_of_late() -> Event {
    event(99)
}

async fn a_reader_that_stops_half_way_disturbs_nobody(store: Store) -> Result<()> {
    let events = store.events();
    fill(&events).await?;
    for stop in [0, 1, 999, 1_000, 1_001, 1_500] {
        let mut stream = events.read_all();
        for position in 1..=stop {
            assert_eq!(stream.next().await.unwrap()?.position(), position);
        }
        let mut other = events.read_stream("pear-1").backward();
        drop(begin(other.next()));
        drop((stream, other));
    }
    events.append("a-1", Expected::Any, [event(1)]).await?;
    assert_eq!(all(events.read_all()).await?.len() as u64, EVENTS + 1);
    Ok(())
}

async fn a_dropped_next_loses_no_event(store: Store) -> Result<()> {
    let events = store.events();
    fill(&events).await?;
    let mut stream = events.read_all();
    let mut last = 0;
    loop {
        // Every event is asked for, given up, and asked for again.
        let mut first = begin(stream.next());
        let found = if first.is_pending() {
            drop(first);
            stream.next().await
        } else {
            (&mut first).await
        };
        let Some(event) = found else { break };
        last += 1;
        assert_eq!(event?.position(), last);
    }
    assert_eq!(last, EVENTS);
    Ok(())
}

async fn large_events_end_a_page_early_and_nothing_is_missing(store: Store) -> Result<()> {
    let events = store.events();
    let large = format!("\"{}\"", "x".repeat(3 << 20));
    for n in 1..=7 {
        events.append("big", Expected::Version(n - 1), [Event::from_json("Big", large.clone())?]).await?;
    }
    for backward in [false, true] {
        let mut stream = events.read_stream("big");
        let mut order: Vec<u64> = (1..=7).collect();
        if backward {
            stream = stream.backward();
            order.reverse();
        }
        for version in order {
            let event = stream.next().await.unwrap()?;
            assert_eq!((event.version(), event.json().map(str::len)), (version, Some(large.len())));
        }
        assert!(stream.next().await.is_none());
    }
    Ok(())
}

async fn recorded_times_never_go_back(store: Store) -> Result<()> {
    let events = store.events();
    for n in 0..50 {
        events.append(format!("s-{}", n % 3), Expected::Any, [event(n)]).await?;
    }
    let (mut stream, mut last) = (events.read_all(), i64::MIN);
    while let Some(event) = stream.next().await {
        let at = event?.recorded_at_ms();
        assert!(at >= last);
        last = at;
    }
    Ok(())
}

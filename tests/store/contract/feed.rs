//! GlobalEventFeed. A position is a number, dense from 1 in the order of the commits; the category of a stream is what the suite
//! calls the type of its aggregate; 0 is the position of an empty store.

use std::collections::BTreeMap;

use millpond::{Error, Event, Events, Expected, Location, Origin, Result, Store, blocking};
use tokio::task::JoinHandle;

use super::{NOTHING, at_once, numbers};
use crate::backends::{all, event};
use crate::peer::{Peer, file};

each_backend! {
    full_read_returns_all_events_in_position_order
    exclusive_resumption_from_position
    from_position_none_reads_from_start
    current_position_none_when_empty
    current_position_equals_last_envelope_position
    tenant_filter_honored
    limit_honored
    aggregate_type_filter_honored
    aggregate_type_filter_composes_with_position_and_limit
    aggregate_type_filter_no_match_returns_empty
    position_round_trip_resumption
    full_read_returns_all_events_in_position_order_concurrently
    exclusive_resumption_from_position_concurrently
    current_position_equals_last_envelope_position_concurrently
    limit_honored_concurrently
    aggregate_type_filter_composes_with_position_and_limit_concurrently
}

/// Five events: of apples the odd ones, of pears the even ones. Their numbers are their positions.
async fn five(store: &Store) -> Result<Events> {
    let events = store.events();
    for n in 1..=5_u64 {
        let stream = if n % 2 == 1 { format!("apple-{n}") } else { "pear-1".to_owned() };
        let tenant = if n < 4 { "here" } else { "there" };
        let event = event(n).origin(Origin::new().tenant(tenant));
        events.append(stream, Expected::Any, [event]).await?;
    }
    Ok(events)
}

async fn full_read_returns_all_events_in_position_order(store: Store) -> Result<()> {
    let read = all(five(&store).await?.read_all()).await?;
    let places: Vec<(u64, u64)> = read.iter().map(|(_, _, position, number)| (*position, *number)).collect();
    assert_eq!(places, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    Ok(())
}

async fn exclusive_resumption_from_position(store: Store) -> Result<()> {
    let events = five(&store).await?;
    let second = events.read_all().limit(2);
    let second = all(second).await?[1].2;
    assert_eq!(numbers(events.read_all().after(second)).await?, [3, 4, 5]);
    assert_eq!(numbers(events.read_all().after(5)).await?, NOTHING, "behind the last there is nothing yet");
    Ok(())
}

async fn from_position_none_reads_from_start(store: Store) -> Result<()> {
    let events = five(&store).await?;
    let start = numbers(events.read_all()).await?;
    assert_eq!((start[0], start.len()), (1, 5));
    assert_eq!(numbers(events.read_all().after(0)).await?, start);
    Ok(())
}

async fn current_position_none_when_empty(store: Store) -> Result<()> {
    assert_eq!(store.events().head().await?, 0);
    assert!(store.events().read_all().next().await.is_none());
    Ok(())
}

async fn current_position_equals_last_envelope_position(store: Store) -> Result<()> {
    let events = five(&store).await?;
    let last = all(events.read_all().backward().limit(1)).await?;
    assert_eq!((events.head().await?, last[0].2), (5, 5));
    let refused = events.append("pear-1", Expected::NoStream, [event(6)]).await;
    assert!(refused.is_err());
    assert_eq!(events.head().await?, 5, "what is refused takes no position");
    Ok(())
}

async fn tenant_filter_honored(store: Store) -> Result<()> {
    let events = five(&store).await?;
    assert_eq!(numbers(events.read_all().tenant("here")).await?, [1, 2, 3]);
    assert_eq!(numbers(events.read_all().tenant("there").limit(1)).await?, [4]);
    assert_eq!(numbers(events.read_all().tenant("nowhere")).await?, NOTHING);
    Ok(())
}

async fn limit_honored(store: Store) -> Result<()> {
    let events = five(&store).await?;
    assert_eq!(numbers(events.read_all().limit(2)).await?, [1, 2]);
    assert_eq!(numbers(events.read_all().limit(0)).await?, NOTHING);
    assert_eq!(numbers(events.read_all().limit(9)).await?.len(), 5);
    Ok(())
}

async fn aggregate_type_filter_honored(store: Store) -> Result<()> {
    let events = five(&store).await?;
    assert_eq!(numbers(events.read_category("apple")).await?, [1, 3, 5]);
    assert_eq!(numbers(events.read_category("pear")).await?, [2, 4]);
    Ok(())
}

/// The limit counts what is left by the filter, and whoever resumes misses nothing.
async fn aggregate_type_filter_composes_with_position_and_limit(store: Store) -> Result<()> {
    let events = five(&store).await?;
    let first = all(events.read_category("apple").limit(2)).await?;
    assert_eq!(first.iter().map(|event| event.3).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(numbers(events.read_category("apple").after(first[1].2).limit(2)).await?, [5]);
    Ok(())
}

async fn aggregate_type_filter_no_match_returns_empty(store: Store) -> Result<()> {
    let events = five(&store).await?;
    for category in ["plum", "appl", "apple-1", "pear-1", "Pear"] {
        assert_eq!(numbers(events.read_category(category)).await?, NOTHING, "{category}");
    }
    Ok(())
}

/// A position that was written down is read again, also by another who has the store open.
async fn position_round_trip_resumption(store: Store) -> Result<()> {
    let events = five(&store).await?;
    let written = all(events.read_all().limit(2)).await?[1].2.to_string();
    let position = || written.parse::<u64>().unwrap();
    assert_eq!(numbers(events.read_all().after(position())).await?, [3, 4, 5]);
    if let Location::File(file) = store.location() {
        store.close().await?;
        let again = Store::open(file.clone()).await?;
        assert_eq!(numbers(again.events().read_all().after(position())).await?, [3, 4, 5]);
        again.close().await?;
    }
    Ok(())
}

const WRITERS: u64 = 6;
const APPENDS: u64 = 40;
/// Each append has one, two or three events.
const TOTAL: u64 = WRITERS * (APPENDS / 3 * 6 + 1);

/// Starts writers, each with a stream of its own, half of them of apples. The events of a stream count from 1.
fn writing(store: &Store) -> Vec<JoinHandle<Result<()>>> {
    let write = |writer| {
        let events = store.events();
        async move {
            let (stream, mut version) = (stream_of(writer), 0);
            for append in 0..APPENDS {
                let some: Vec<Event> = (version..=version + append % 3).map(|n| event(n + 1)).collect();
                version = events.append(&stream, Expected::Version(version), some).await?.version;
            }
            Ok::<_, Error>(())
        }
    };
    (0..WRITERS).map(|writer| tokio::spawn(write(writer))).collect()
}

fn stream_of(writer: u64) -> String {
    if writer.is_multiple_of(2) { format!("apple-{writer}") } else { format!("pear-{writer}") }
}

async fn written(writers: Vec<JoinHandle<Result<()>>>) -> Result<()> {
    for writer in writers {
        writer.await.unwrap()?;
    }
    Ok(())
}

/// Takes down what one reader is shown, and complains of a gap, a repetition or another order.
#[derive(Default)]
struct Reader {
    position: u64,
    seen: u64,
    versions: BTreeMap<String, u64>,
}

impl Reader {
    fn takes(&mut self, read: Vec<(String, u64, u64, u64)>) {
        for (stream, version, position, number) in read {
            assert!(position > self.position, "position {position} after {}", self.position);
            let last = self.versions.entry(stream.clone()).or_default();
            assert_eq!((version, number), (*last + 1, *last + 1), "of {stream}");
            *last = version;
            self.position = position;
            self.seen += 1;
        }
    }
}

async fn full_read_returns_all_events_in_position_order_concurrently(store: Store) -> Result<()> {
    let (writers, mut reader) = (writing(&store), Reader::default());
    while reader.seen < TOTAL {
        reader.takes(all(store.events().read_all().after(reader.position)).await?);
        assert_eq!(reader.position, reader.seen, "none is left out, and none will come in between later");
    }
    written(writers).await?;
    let (mut afterwards, read) = (Reader::default(), all(store.events().read_all()).await?);
    afterwards.takes(read);
    assert_eq!((afterwards.position, afterwards.versions), (TOTAL, reader.versions));
    Ok(())
}

async fn exclusive_resumption_from_position_concurrently(store: Store) -> Result<()> {
    let writers = writing(&store);
    let read = at_once(4, |_| {
        let events = store.events();
        async move {
            let mut reader = Reader::default();
            while reader.seen < TOTAL {
                // One by one, and away in the middle.
                let (mut stream, mut some) = (events.read_all().after(reader.position), Vec::new());
                while let Some(event) = stream.next().await.transpose()?.filter(|_| some.len() < 5) {
                    let number = event.decode::<serde_json::Value>()?["n"].as_u64().unwrap();
                    some.push((event.stream().to_owned(), event.version(), event.position(), number));
                }
                reader.takes(some);
                assert_eq!(reader.position, reader.seen);
            }
            Ok::<_, Error>(())
        }
    });
    read.await.into_iter().collect::<Result<()>>()?;
    written(writers).await
}

/// Everything up to the position that was told can be read, and what is last is never behind it.
async fn current_position_equals_last_envelope_position_concurrently(store: Store) -> Result<()> {
    let (writers, events, mut head) = (writing(&store), store.events(), 0);
    while head < TOTAL {
        let before = events.head().await?;
        let last = all(events.read_all().backward().limit(1)).await?.first().map_or(0, |event| event.2);
        let after = events.head().await?;
        assert!(head <= before && before <= last && last <= after, "{head} {before} {last} {after}");
        assert_eq!(all(events.read_all().to(before)).await?.len() as u64, before);
        head = before;
    }
    written(writers).await
}

async fn limit_honored_concurrently(store: Store) -> Result<()> {
    let (writers, mut reader) = (writing(&store), Reader::default());
    while reader.seen < TOTAL {
        let page = all(store.events().read_all().after(reader.position).limit(7)).await?;
        assert!(page.len() <= 7);
        reader.takes(page);
        assert_eq!(reader.position, reader.seen);
    }
    written(writers).await
}

async fn aggregate_type_filter_composes_with_position_and_limit_concurrently(store: Store) -> Result<()> {
    let (writers, mut reader) = (writing(&store), Reader::default());
    while reader.seen < TOTAL / 2 {
        let page = all(store.events().read_category("apple").after(reader.position).limit(5)).await?;
        assert!(page.len() <= 5 && page.iter().all(|(stream, ..)| stream.starts_with("apple-")));
        reader.takes(page);
    }
    written(writers).await
}

/// Others append, each in a process of its own, while this one reads.
#[test]
fn full_read_returns_all_events_in_position_order_over_processes() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    let mut peers = [Peer::start(&file), Peer::start(&file)];
    for (peer, number) in peers.iter_mut().zip(0..) {
        let first = 1_000 * number;
        peer.tell(&format!("append peer-{number} {first} {}", first + 149));
    }
    let (mut position, mut versions) = (0, [0, 0]);
    while position < 300 {
        for event in store.events().read_all().after(position).limit(11) {
            let event = event.unwrap();
            assert_eq!(event.position(), position + 1);
            position += 1;
            let version = &mut versions[usize::from(event.stream() == "peer-1")];
            *version += 1;
            assert_eq!(event.version(), *version);
        }
    }
    assert_eq!((peers.map(|mut peer| peer.hear()), versions), (["150".into(), "150".into()], [150, 150]));
}

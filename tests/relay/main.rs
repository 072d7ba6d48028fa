//! Relays to NATS JetStream, tried with a server of their own: each event arrives, once, in the order of its stream, whatever
//! dies in between.
//!
//! Where there is no `nats-server` these tests say so and do nothing, unless `MILLPOND_DEMAND_NATS` is set. Nothing here sleeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is wrong should fail"
)]

mod server;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use millpond::{Attempt, Error, Event, Expected, Failure, NatsSink, Origin, Reactor, Result, Sink, Store};
use serde_json::value::RawValue;
use uuid::Uuid;

use self::server::Server;

/// No case takes this long; it only turns a hang into a failure.
const GUARD: Duration = Duration::from_secs(120);

const LONG: Duration = Duration::from_secs(3_600);

/// Runs a case on a runtime with threads of its own, but not for ever.
fn with_server<F: Future<Output = Result<()>>>(case: impl FnOnce(Server, Store) -> F) {
    let Some(server) = Server::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = async {
        let store = Store::memory().await?;
        case(server, store.clone()).await?;
        store.close().await
    };
    runtime.block_on(async { tokio::time::timeout(GUARD, run).await.expect("it hangs") }).unwrap();
    runtime.shutdown_background();
}

fn relay(store: &Store) -> Reactor {
    store.projection("relay").reactor(store.events().read_all())
}

async fn position(store: &Store) -> Result<u64> {
    Ok(store.projection("relay").progress().await?.map_or(0, |progress| progress.position))
}

/// So many events for each of three streams.
async fn append(store: &Store, each: u64) -> Result<()> {
    for _ in 0..each {
        for stream in ["order-1", "order-2", "till-1"] {
            store.events().append(stream, Expected::Any, [Event::new("Counted", &())?]).await?;
        }
    }
    Ok(())
}

async fn messages(stream: &mut Stream) -> Vec<StreamMessage> {
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut messages = Vec::new();
    for sequence in 1..=last {
        messages.push(stream.get_raw_message(sequence).await.unwrap());
    }
    messages
}

fn header<'a>(message: &'a StreamMessage, name: &str) -> Option<&'a str> {
    message.headers.get(name).map(|value| value.as_str())
}

/// Of each stream the versions, in the order in which they arrived.
fn versions(messages: &[StreamMessage]) -> BTreeMap<String, Vec<u64>> {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for message in messages {
        let stream = header(message, "millpond-stream").unwrap().to_owned();
        versions
            .entry(stream)
            .or_default()
            .push(header(message, "millpond-version").unwrap().parse().unwrap());
    }
    versions
}

fn each_once_in_order(messages: &[StreamMessage], each: u64) {
    let versions = versions(messages);
    assert_eq!(versions.keys().collect::<Vec<_>>(), ["order-1", "order-2", "till-1"]);
    for (stream, versions) in versions {
        assert_eq!(versions, (1..=each).collect::<Vec<_>>(), "{stream}");
    }
}

/// Counts what it is asked to deliver.
struct Counting<'a>(NatsSink, &'a AtomicU64);

impl Sink for Counting<'_> {
    async fn deliver(&self, event: &Attempt) -> Result<(), Failure> {
        self.0.deliver(event).await?;
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Runs a future for so many steps, and drops it.
async fn steps<F: Future>(future: F, most: u64) {
    let (mut future, mut left) = (pin!(future), most);
    poll_fn(|context| {
        left -= 1;
        let done = future.as_mut().poll(context).is_ready();
        if done || left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[test]
fn each_event_arrives_once_in_the_order_of_its_stream_though_the_relay_is_broken_off() {
    with_server(async |server, store| {
        let context = server.connect().await;
        let mut stream = server.stream(&context, "shop.events").await;
        append(&store, 100).await?;
        let (acknowledged, mut broken_off, mut random) = (AtomicU64::new(0), 0_u64, 20_261_130_u64);
        while position(&store).await? < 300 {
            // Numbers as random as this needs them.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let sink = Counting(NatsSink::new(context.clone(), "shop.events")?, &acknowledged);
            steps(relay(&store).streams(2).drain().relay(sink), 8 + (random >> 59)).await;
            broken_off += 1;
        }
        each_once_in_order(&messages(&mut stream).await, 100);
        let acknowledged = acknowledged.into_inner();
        assert!(broken_off > 5 && acknowledged > 300, "{broken_off} times, {acknowledged} acknowledged");
        Ok(())
    });
}

#[test]
fn a_server_that_dies_and_comes_back_has_missed_nothing() {
    with_server(async |mut server, store| {
        let context = server.connect().await;
        let mut stream = server.stream(&context, "shop").await;
        append(&store, 20).await?;
        let relay = relay(&store).streams(2).attempts(1_000_000).breaker(3, Duration::from_millis(20));
        let (stopper, projection) = (relay.stopper(), store.projection("relay"));
        let running = tokio::spawn(relay.relay(NatsSink::new(context.clone(), "shop")?));
        for died in 1..=3_u64 {
            projection.wait_for((died - 1) * 60 + 30).await?;
            // It dies while more comes.
            server.kill();
            append(&store, 20).await?;
            while projection.progress().await?.is_none_or(|progress| progress.failure.is_none()) {
                tokio::task::yield_now().await;
            }
            let progress = projection.progress().await?.unwrap();
            assert!(progress.lag() > 0 && !progress.is_parked(), "{progress:?}");
            server.come_back();
            projection.caught_up().await?;
        }
        stopper.stop(LONG);
        assert_eq!(running.await.unwrap()?.done, 240);
        each_once_in_order(&messages(&mut stream).await, 80);
        Ok(())
    });
}

#[test]
fn what_nobody_there_wants_is_not_gone_past() {
    with_server(async |server, store| {
        let context = server.connect().await;
        append(&store, 1).await?;
        let sink = || NatsSink::new(context.clone(), "shop");
        let error = relay(&store).attempts(1).drain().relay(sink()?).await.unwrap_err();
        assert!(matches!(error, Error::Parked { .. }), "{error}");
        assert!(error.to_string().contains("NATS JetStream: no stream found for given subject"), "{error}");
        assert_eq!(position(&store).await?, 0);
        let mut stream = server.stream(&context, "shop").await;
        store.projection("relay").resume().await?;
        assert_eq!(relay(&store).drain().relay(sink()?).await?.done, 3);
        each_once_in_order(&messages(&mut stream).await, 1);
        Ok(())
    });
}

#[test]
fn odd_names_have_subjects_of_their_own() {
    with_server(async |server, store| {
        let context = server.connect().await;
        let mut stream = server.stream(&context, "odd").await;
        let long = ".".repeat(512);
        let names = [
            "a.b-1",
            "a-b.1",
            "*",
            ">",
            "-",
            "--",
            "%",
            "%2E",
            ".",
            "..",
            " x",
            "x ",
            "x y-\u{a0}z",
            "é-ü",
            "🦀-1",
            "$JS.API.>",
            "\"-'",
            &long,
        ];
        for name in names {
            store.events().append(name, Expected::NoStream, [Event::new("Happened", &())?]).await?;
        }
        let sink = NatsSink::new(context, "odd")?;
        assert_eq!(relay(&store).drain().relay(sink).await?.done, names.len() as u64);
        let messages = messages(&mut stream).await;
        assert_eq!(messages.len(), names.len());
        for (message, name) in messages.iter().zip(names) {
            let tokens: Vec<_> = message.subject.split('.').collect();
            assert!(tokens.len() == 3 && tokens[0] == "odd", "{name}: {tokens:?}");
            assert!(tokens[1..].iter().all(|token| !["", "*", ">"].contains(token)), "{name}: {tokens:?}");
            assert_eq!(header(message, "millpond-stream").unwrap().trim(), name.trim());
        }
        let mut subjects: Vec<_> = messages.iter().map(|message| message.subject.to_string()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), names.len());
        Ok(())
    });
}

#[test]
fn a_message_has_the_content_byte_for_byte_and_tells_the_rest_in_headers() {
    with_server(async |server, store| {
        let context = server.connect().await;
        let mut stream = server.stream(&context, "shop").await;
        let [id, correlation, causation] = [1, 2, 3].map(Uuid::from_u128);
        let content = RawValue::from_string("{ \"b\":1.0,\"a\" : \"\\u00e9 é\" }".to_owned()).unwrap();
        let origin = Origin::new().correlation(correlation).causation(causation).actor("Ada").tenant("acmé");
        let told = Event::new("Placed", &content)?.id(id).schema(3).origin(origin);
        store.events().append("order-1", Expected::NoStream, [told, Event::new("Paid", &7)?]).await?;
        relay(&store).drain().relay(NatsSink::new(context, "shop")?).await?;
        let messages = messages(&mut stream).await;
        let [placed, paid] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!((&*placed.payload, &*paid.payload), (content.get().as_bytes(), &b"7"[..]));
        assert_eq!(placed.subject.as_str(), "shop.order.order-1");
        let recorded = store.events().find(id).await?.unwrap();
        let ids = [id, correlation, causation].map(|id| id.to_string());
        let at = recorded.recorded_at_ms().to_string();
        let expected = [
            ("Nats-Msg-Id", &*ids[0]),
            ("millpond-stream", "order-1"),
            ("millpond-version", "1"),
            ("millpond-position", "1"),
            ("millpond-type", "Placed"),
            ("millpond-schema", "3"),
            ("millpond-recorded-at", &at),
            ("millpond-correlation", &ids[1]),
            ("millpond-causation", &ids[2]),
            ("millpond-actor", "Ada"),
            ("millpond-tenant", "acmé"),
        ];
        for (name, value) in expected {
            assert_eq!(header(placed, name), Some(value), "{name}");
        }
        assert_eq!(placed.headers.len(), expected.len());
        // Of the other one less is known, and nothing is said of that.
        assert_eq!((paid.headers.len(), header(paid, "millpond-actor")), (7, None));
        assert_eq!(
            (header(paid, "millpond-type"), header(paid, "millpond-version")),
            (Some("Paid"), Some("2"))
        );
        Ok(())
    });
}

//! EventBus. What is published there is what is appended here; whoever publishes in the background goes on, and whoever does so
//! inline waits until the handlers have settled it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use millpond::{Event, EventBus, Expected, Recorded, Result, Store};
use tokio::task::JoinHandle;

use crate::backends::until;

each_backend! {
    publish_subscribe_round_trip
    several_subscribers
    unsubscribe_stops
    wildcard_gets_all
    unsubscribe_wildcard_stops
    handler_error_isolation
    background_publish_still_delivers
    per_aggregate_order
    subscribe_all_registers_declared_types
    a_bus_begins_with_what_is_appended_while_it_runs
    a_stopped_bus_lets_handlers_end
}

type Seen = Arc<Mutex<Vec<(String, u64)>>>;

/// A bus that runs.
async fn running(store: &Store) -> Result<(EventBus, JoinHandle<Result<()>>)> {
    let bus = store.event_bus();
    let own = bus.clone();
    let running = tokio::spawn(async move { own.run().await });
    bus.started().await?;
    Ok((bus, running))
}

/// A handler that writes down the stream and version of what it sees.
fn noting(
    seen: &Seen,
) -> impl Fn(Recorded) -> std::future::Ready<std::result::Result<(), millpond::Failure>> + Send + Sync + 'static
{
    let seen = Arc::clone(seen);
    move |event| {
        seen.lock().unwrap().push((event.stream().to_owned(), event.version()));
        std::future::ready(Ok(()))
    }
}

/// Appends, and waits until that is settled.
async fn publish(store: &Store, bus: &EventBus, kinds: &[&'static str]) -> Result<()> {
    let events = kinds.iter().map(|kind| Event::new(*kind, &1)).collect::<Result<Vec<_>>>()?;
    let appended = store.events().append("a-1", Expected::Any, events).await?;
    bus.settled(appended.position).await
}

fn versions(seen: &Seen) -> Vec<u64> {
    seen.lock().unwrap().iter().map(|(_, version)| *version).collect()
}

async fn stop(bus: &EventBus, running: JoinHandle<Result<()>>) -> Result<()> {
    bus.stopper().stop(Duration::from_secs(60));
    running.await.unwrap()
}

async fn publish_subscribe_round_trip(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    bus.subscribe(["One"], noting(&seen));
    publish(&store, &bus, &["One", "Two", "One"]).await?;
    assert_eq!(versions(&seen), [1, 3]);
    assert_eq!((bus.figures().events, bus.figures().calls), (3, 2));
    stop(&bus, running).await
}

async fn several_subscribers(store: Store) -> Result<()> {
    let ((bus, running), one, two) = (running(&store).await?, Seen::default(), Seen::default());
    bus.subscribe(["One"], noting(&one));
    bus.subscribe(["One"], noting(&two));
    publish(&store, &bus, &["One"]).await?;
    assert_eq!((versions(&one), versions(&two), bus.subscribers_count()), (vec![1], vec![1], 2));
    stop(&bus, running).await
}

async fn unsubscribe_stops(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    let subscriber = bus.subscribe(["One"], noting(&seen));
    publish(&store, &bus, &["One"]).await?;
    assert!(bus.unsubscribe(subscriber));
    assert!(!bus.unsubscribe(subscriber));
    publish(&store, &bus, &["One"]).await?;
    assert_eq!(versions(&seen), [1]);
    stop(&bus, running).await
}

async fn wildcard_gets_all(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    bus.subscribe_all(noting(&seen));
    publish(&store, &bus, &["One", "Two"]).await?;
    assert_eq!(versions(&seen), [1, 2]);
    stop(&bus, running).await
}

async fn unsubscribe_wildcard_stops(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    let subscriber = bus.subscribe_all(noting(&seen));
    assert!(bus.unsubscribe(subscriber));
    publish(&store, &bus, &["One"]).await?;
    assert!(versions(&seen).is_empty());
    stop(&bus, running).await
}

async fn handler_error_isolation(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    bus.subscribe_all(|_| async { Err("no use".into()) });
    bus.subscribe_all(|event: Recorded| {
        assert!(event.version() != 1, "before it gives a future");
        async move { panic!("in its future") }
    });
    bus.subscribe_all(noting(&seen));
    publish(&store, &bus, &["One", "Two"]).await?;
    assert_eq!(versions(&seen), [1, 2]);
    assert_eq!((bus.figures().calls, bus.figures().failures), (6, 4));
    stop(&bus, running).await
}

async fn background_publish_still_delivers(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    bus.subscribe_all(noting(&seen));
    store.events().append("a-1", Expected::Any, [Event::new("One", &1)?]).await?;
    until(async || Ok(versions(&seen) == [1])).await?;
    stop(&bus, running).await
}

async fn per_aggregate_order(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    let to = Arc::clone(&seen);
    bus.subscribe_all(move |event: Recorded| {
        let to = Arc::clone(&to);
        async move {
            for _ in 0..event.position() % 5 {
                tokio::task::yield_now().await;
            }
            to.lock().unwrap().push((event.stream().to_owned(), event.version()));
            Ok(())
        }
    });
    let append = async |stream: u64| {
        let mut last = 0;
        for n in 0..20 {
            let event = Event::new("Counted", &n)?;
            last = store.events().append(format!("a-{stream}"), Expected::Any, [event]).await?.position;
        }
        Ok::<u64, millpond::Error>(last)
    };
    let last = join_all((0..5).map(append)).await.into_iter().collect::<Result<Vec<u64>>>()?;
    bus.settled(last.into_iter().max().unwrap_or(0)).await?;
    let seen = seen.lock().unwrap().clone();
    for stream in 0..5 {
        let of_stream = seen.iter().filter(|(name, _)| *name == format!("a-{stream}"));
        assert_eq!(of_stream.map(|it| it.1).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    }
    stop(&bus, running).await
}

async fn subscribe_all_registers_declared_types(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    bus.subscribe(["One", "Three", "One"], noting(&seen));
    publish(&store, &bus, &["One", "Two", "Three"]).await?;
    assert_eq!(versions(&seen), [1, 3], "once each");
    stop(&bus, running).await
}

async fn a_bus_begins_with_what_is_appended_while_it_runs(store: Store) -> Result<()> {
    store.events().append("a-1", Expected::Any, [Event::new("One", &1)?]).await?;
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    bus.subscribe_all(noting(&seen));
    bus.settled(1).await?;
    publish(&store, &bus, &["One"]).await?;
    assert_eq!(versions(&seen), [2]);
    store.close().await?;
    assert!(running.await.unwrap().is_err(), "it ends with the store");
    assert!(bus.settled(9).await.is_err());
    Ok(())
}

async fn a_stopped_bus_lets_handlers_end(store: Store) -> Result<()> {
    let ((bus, running), seen) = (running(&store).await?, Seen::default());
    let (to, go_on) = (Arc::clone(&seen), Arc::new(tokio::sync::Semaphore::new(0)));
    let wait = Arc::clone(&go_on);
    bus.subscribe_all(move |event: Recorded| {
        let (to, wait) = (Arc::clone(&to), Arc::clone(&wait));
        async move {
            to.lock().unwrap().push((event.stream().to_owned(), event.version()));
            let _ = wait.acquire().await?;
            to.lock().unwrap().push(("end".into(), 0));
            Ok(())
        }
    });
    store.events().append("a-1", Expected::Any, [Event::new("One", &1)?, Event::new("One", &1)?]).await?;
    until(async || Ok(seen.lock().unwrap().len() == 1)).await?;
    bus.stopper().stop(Duration::from_secs(60));
    go_on.add_permits(9);
    running.await.unwrap()?;
    assert_eq!(versions(&seen), [1, 0], "the second was not begun");
    Ok(())
}

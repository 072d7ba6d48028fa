//! Reactors: each event at least once and in the order of its stream, whatever handlers do, and how they are held back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpond::{Attempt, Error, Expected, JobState, Reactor, Result, Store, Verdict};
use tokio::sync::Notify;

use crate::backends::{event, until};

each_backend! {
    a_reactor_gets_each_event_in_the_order_of_its_stream
    so_many_streams_at_a_time_and_one_event_of_each
    what_was_not_done_comes_again_and_what_was_done_does_not
    a_key_is_the_same_whenever_an_event_comes
    a_handler_says_what_becomes_of_its_event
    a_handler_that_takes_too_long_has_failed
    an_event_that_fails_holds_up_its_stream_alone
    w3_a_breaker_that_is_open_waits_and_skips_nothing
    w3_a_breaker_that_is_open_calls_nobody
    w16_a_stopped_reactor_lets_handlers_end_and_saves_its_place
    a_reactor_whose_lock_is_broken_begins_again
    a_reactor_is_paused_and_reset
    a_reactor_set_up_badly_touches_nothing
}

const LONG: Duration = Duration::from_secs(3_600);

fn reactor(store: &Store) -> Reactor {
    store.projection("mails").reactor(store.events().read_all())
}

async fn append(store: &Store, streams: u64, each: u64) -> Result<()> {
    for n in 0..each {
        for stream in 0..streams {
            store.events().append(format!("c-{stream}"), Expected::Any, [event(n)]).await?;
        }
    }
    Ok(())
}

async fn position(store: &Store) -> Result<u64> {
    Ok(store.projection("mails").progress().await?.map_or(0, |progress| progress.position))
}

/// Starts one whose handler is this.
macro_rules! start {
    ($reactor:expr, $handle:expr) => {{
        let reactor: Reactor = $reactor;
        let stopper = reactor.stopper();
        (tokio::spawn(reactor.run($handle)), stopper)
    }};
}

async fn a_reactor_gets_each_event_in_the_order_of_its_stream(store: Store) -> Result<()> {
    append(&store, 5, 20).await?;
    let seen = Arc::new(Mutex::new(BTreeMap::<String, Vec<u64>>::new()));
    let to = Arc::clone(&seen);
    let (running, stopper) = start!(reactor(&store).streams(4), async move |event: Attempt| {
        // They overtake one another, but for those of one stream.
        for _ in 0..event.position() % 7 {
            tokio::task::yield_now().await;
        }
        to.lock().unwrap().entry(event.stream().to_owned()).or_default().push(event.version());
    });
    append(&store, 5, 20).await?;
    store.projection("mails").caught_up().await?;
    stopper.stop(LONG);
    assert_eq!(running.await.unwrap()?.done, 200);
    for (stream, versions) in &*seen.lock().unwrap() {
        assert_eq!(*versions, (1..=40).collect::<Vec<_>>(), "{stream}");
    }
    Ok(())
}

async fn so_many_streams_at_a_time_and_one_event_of_each(store: Store) -> Result<()> {
    append(&store, 6, 10).await?;
    let (now, most) = (Mutex::new(HashSet::new()), AtomicUsize::new(0));
    let reacted = reactor(&store).streams(3).drain().run(async |event: Attempt| {
        let running = {
            let mut now = now.lock().unwrap();
            assert!(now.insert(event.stream().to_owned()), "one of a stream at a time");
            now.len()
        };
        most.fetch_max(running, Ordering::SeqCst);
        tokio::task::yield_now().await;
        now.lock().unwrap().remove(event.stream());
    });
    assert_eq!(reacted.await?.done, 60);
    assert_eq!(most.load(Ordering::SeqCst), 3);
    Ok(())
}

async fn what_was_not_done_comes_again_and_what_was_done_does_not(store: Store) -> Result<()> {
    append(&store, 10, 1).await?;
    let (seen, begun) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
    let (to, tell) = (Arc::clone(&seen), Arc::clone(&begun));
    let stuck_at = |stuck: u64| {
        let (to, tell) = (Arc::clone(&to), Arc::clone(&tell));
        async move |event: Attempt| {
            if event.position() == stuck {
                tell.notify_one();
                std::future::pending::<()>().await;
            }
            to.lock().unwrap().push(event.position());
        }
    };
    // The first is stuck, and those beside it are done; they come again, because all before them were not.
    {
        let run = reactor(&store).streams(4).run(stuck_at(1));
        tokio::select! {
            _ = run => panic!("it is stuck"),
            () = async {
                begun.notified().await;
                until(async || Ok(seen.lock().unwrap().len() == 9)).await.unwrap();
            } => {}
        }
    }
    assert_eq!(position(&store).await?, 0);
    seen.lock().unwrap().clear();
    {
        let run = reactor(&store).run(stuck_at(6));
        tokio::select! {
            _ = run => panic!("it is stuck"),
            () = async {
                begun.notified().await;
                until(async || Ok(position(&store).await? == 5)).await.unwrap();
            } => {}
        }
    }
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(reactor(&store).drain().run(stuck_at(0)).await?.done, 5);
    assert_eq!(*seen.lock().unwrap(), (1..=10).collect::<Vec<_>>());
    Ok(())
}

async fn a_key_is_the_same_whenever_an_event_comes(store: Store) -> Result<()> {
    append(&store, 2, 3).await?;
    let keys = Mutex::new(HashMap::<u64, HashSet<uuid::Uuid>>::new());
    let tokens = Mutex::new(Vec::new());
    let note = async |event: Attempt| {
        keys.lock().unwrap().entry(event.position()).or_default().insert(event.key());
        tokens.lock().unwrap().push(event.token());
        if event.attempt() == 1 { Err("once more") } else { Ok(()) }
    };
    reactor(&store).streams(8).drain().run(note).await?;
    store.projection("mails").reset(millpond::From::Start).await?;
    reactor(&store).streams(8).drain().run(note).await?;
    let keys = keys.into_inner().unwrap();
    let all: HashSet<_> = keys.values().flatten().collect();
    assert_eq!((keys.len(), all.len()), (6, 6), "one for each event");
    let other = Mutex::new(HashSet::new());
    let others = store.projection("others").reactor(store.events().read_all()).drain();
    let keep = async |event: Attempt| {
        other.lock().unwrap().insert(event.key());
    };
    others.run(keep).await?;
    assert!(other.into_inner().unwrap().iter().all(|key| !all.contains(key)), "each projection has its own");
    let tokens = tokens.into_inner().unwrap();
    assert!(tokens.first() < tokens.last(), "{tokens:?}");
    Ok(())
}

async fn a_handler_says_what_becomes_of_its_event(store: Store) -> Result<()> {
    append(&store, 6, 1).await?;
    let tried = Mutex::new(HashMap::<u64, u32>::new());
    let reactor = reactor(&store).streams(6).dead_letters().drain();
    let reacted = reactor.run(async |event: Attempt| {
        let first = {
            let mut tried = tried.lock().unwrap();
            let tries = tried.entry(event.position()).or_default();
            *tries += 1;
            *tries == 1
        };
        match event.position() {
            1 => Ok(Verdict::Done),
            2 if first => Err("not now"),
            3 if first => panic!("not here"),
            4 if first => Ok(Verdict::RetryIn(Duration::ZERO, "later".into())),
            5 => Ok(Verdict::Bury("no use".into())),
            6 if first => Ok(Verdict::Release),
            6 => {
                assert_eq!(event.attempt(), 1, "it did not count");
                Ok(Verdict::Done)
            }
            _ => Ok(Verdict::Done),
        }
    });
    let reacted = reacted.await?;
    assert_eq!((reacted.done, reacted.retried, reacted.dead), (5, 3, 1));
    let letters = store.projection("mails").dead_letters();
    let dead = letters.page(Some(JobState::Dead), 0, 9).await?.jobs;
    assert_eq!(dead.len(), 1);
    let record = dead[0].clone()?;
    assert_eq!((record.reason.as_deref(), letters.decode(&record)?.position), (Some("no use"), 5));
    assert_eq!(position(&store).await?, 6);
    Ok(())
}

async fn a_handler_that_takes_too_long_has_failed(store: Store) -> Result<()> {
    append(&store, 1, 1).await?;
    let reactor = reactor(&store).timeout(Duration::from_millis(20)).attempts(1).drain();
    let error = reactor.run(async |_: Attempt| std::future::pending::<()>().await).await.unwrap_err();
    assert!(error.to_string().contains("it took longer than 20ms"), "{error}");
    assert!(matches!(error, Error::Parked { .. }), "{error}");
    Ok(())
}

async fn an_event_that_fails_holds_up_its_stream_alone(store: Store) -> Result<()> {
    append(&store, 3, 4).await?;
    let (seen, mended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (to, asked) = (Arc::clone(&seen), Arc::clone(&mended));
    let (running, stopper) = start!(reactor(&store).streams(2).attempts(1), async move |event: Attempt| {
        if event.stream() == "c-1" && event.version() == 2 && asked.load(Ordering::SeqCst) == 0 {
            return Err("no such customer");
        }
        to.lock().unwrap().push((event.stream().to_owned(), event.version()));
        Ok(())
    });
    let projection = store.projection("mails");
    let error = projection.caught_up().await.unwrap_err();
    assert!(error.to_string().contains("event 5 (Counted of stream \"c-1\"): no such customer"), "{error}");
    until(async || Ok(seen.lock().unwrap().len() == 9)).await?;
    assert_eq!(position(&store).await?, 4, "it is not gone past");
    mended.store(1, Ordering::SeqCst);
    projection.resume().await?;
    projection.caught_up().await?;
    stopper.stop(LONG);
    running.await.unwrap()?;
    let seen = seen.lock().unwrap();
    for stream in ["c-0", "c-1", "c-2"] {
        let versions: Vec<u64> = seen.iter().filter(|it| it.0 == stream).map(|it| it.1).collect();
        assert_eq!(versions, [1, 2, 3, 4], "{stream}: once each, in order");
    }
    Ok(())
}

async fn w3_a_breaker_that_is_open_waits_and_skips_nothing(store: Store) -> Result<()> {
    append(&store, 100, 1).await?;
    let (seen, calls, failures) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
    let reactor = reactor(&store).breaker(5, Duration::from_millis(1)).attempts(100).streams(1).drain();
    let reacted = reactor.run(async |event: Attempt| {
        calls.fetch_add(1, Ordering::SeqCst);
        if (10..=14).contains(&event.position()) && failures.fetch_add(1, Ordering::SeqCst) < 8 {
            return Verdict::RetryIn(Duration::ZERO, "not now".into());
        }
        seen.lock().unwrap().push(event.position());
        Verdict::Done
    });
    assert_eq!(reacted.await?.done, 100);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    assert_eq!(calls.load(Ordering::SeqCst), 108);
    Ok(())
}

async fn w3_a_breaker_that_is_open_calls_nobody(store: Store) -> Result<()> {
    append(&store, 4, 1).await?;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let reactor = reactor(&store).breaker(3, LONG).attempts(1_000_000).streams(1);
    let (running, stopper) = start!(reactor, async move |_: Attempt| {
        counted.fetch_add(1, Ordering::SeqCst);
        Verdict::RetryIn(Duration::ZERO, "not now".into())
    });
    until(async || Ok(calls.load(Ordering::SeqCst) >= 3)).await?;
    // As long as it takes to tell of it, and of more that comes.
    for _ in 0..20 {
        append(&store, 4, 1).await?;
    }
    let projection = store.projection("mails");
    until(async || Ok(projection.progress().await?.is_some_and(|progress| progress.failure.is_some())))
        .await?;
    stopper.stop(LONG);
    assert_eq!(running.await.unwrap()?.done, 0);
    assert_eq!((calls.load(Ordering::SeqCst), position(&store).await?), (3, 0));
    Ok(())
}

async fn w16_a_stopped_reactor_lets_handlers_end_and_saves_its_place(store: Store) -> Result<()> {
    append(&store, 3, 1).await?;
    let (begun, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let (running, stopper) = start!(reactor(&store).streams(2), async move |_: Attempt| {
        let told = wait.notified();
        tell.fetch_add(1, Ordering::SeqCst);
        told.await;
    });
    until(async || Ok(begun.load(Ordering::SeqCst) == 2)).await?;
    stopper.stop(LONG);
    go_on.notify_waiters();
    until(async || {
        go_on.notify_waiters();
        Ok(running.is_finished())
    })
    .await?;
    assert_eq!(running.await.unwrap()?.done, 2, "the third was not begun");
    assert_eq!(position(&store).await?, 2);
    // Without grace what runs is dropped, and comes again.
    let (stuck, stopper) = start!(reactor(&store), async |_: Attempt| std::future::pending::<()>().await);
    store.projection("mails").wait_for(2).await?;
    stopper.stop(Duration::ZERO);
    assert_eq!(stuck.await.unwrap()?.done, 0);
    assert_eq!(position(&store).await?, 2);
    Ok(())
}

async fn a_reactor_whose_lock_is_broken_begins_again(store: Store) -> Result<()> {
    append(&store, 4, 1).await?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&seen);
    let (running, stopper) = start!(reactor(&store), async move |event: Attempt| {
        let (position, first) = {
            let mut seen = to.lock().unwrap();
            seen.push((event.position(), event.token()));
            (event.position(), seen.iter().filter(|it| it.0 == event.position()).count() == 1)
        };
        if position == 3 && first {
            std::future::pending::<()>().await;
        }
    });
    until(async || Ok(seen.lock().unwrap().len() == 3 && position(&store).await? == 2)).await?;
    assert!(store.lock("projection/mails").break_lock().await?);
    store.projection("mails").caught_up().await?;
    stopper.stop(LONG);
    assert_eq!(running.await.unwrap()?.done, 4);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.iter().map(|it| it.0).collect::<Vec<_>>(), [1, 2, 3, 3, 4]);
    assert!(seen[2].1 < seen[3].1, "under a larger token");
    Ok(())
}

async fn a_reactor_is_paused_and_reset(store: Store) -> Result<()> {
    append(&store, 2, 2).await?;
    let (projection, count) = (store.projection("mails"), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    let (running, stopper) = start!(reactor(&store), async move |_: Attempt| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    projection.caught_up().await?;
    projection.pause().await?;
    append(&store, 1, 1).await?;
    projection.reset(millpond::From::After(2)).await?;
    assert_eq!(count.load(Ordering::SeqCst), 4);
    projection.resume().await?;
    projection.caught_up().await?;
    assert_eq!(count.load(Ordering::SeqCst), 7);
    projection.rebuild(millpond::From::Start).await?;
    until(async || Ok(count.load(Ordering::SeqCst) == 12)).await?;
    stopper.stop(LONG);
    running.await.unwrap()?;
    Ok(())
}

async fn a_reactor_set_up_badly_touches_nothing(store: Store) -> Result<()> {
    let odd = Duration::from_micros(1);
    for reactor in [
        reactor(&store).streams(0),
        reactor(&store).streams(10_001),
        reactor(&store).timeout(odd),
        reactor(&store).breaker(0, Duration::from_secs(1)),
        reactor(&store).breaker(1, odd),
        reactor(&store).attempts(0),
        store.projection("mails").reactor(store.events().read_stream("c-1")),
    ] {
        let error = reactor.run(async |_: Attempt| ()).await.unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. } | Error::InvalidDuration { .. }), "{error}");
    }
    assert_eq!(store.projection("mails").progress().await?, None);
    Ok(())
}

//! Watching what changes.

use std::path::Path;

use millpond::{Change, Changes, Error, Expected, JobState, Primitive, Push, Result, Store};

use crate::backends::{begin, event, known, wait};
use crate::peer::Peer;

each_backend! {
    g5_changes_come_in_the_order_of_the_commits
    a_watch_sees_what_comes_after_it_and_is_of_its_pattern
    a_lock_is_told_of_when_it_comes_and_goes
    an_append_that_is_refused_or_repeated_changes_nothing
    a_queue_is_told_of_with_whatever_becomes_of_its_jobs
    g9_a_watch_that_is_too_far_behind_is_told_how_far
    a_future_that_is_dropped_loses_no_change
    g11_the_end_of_the_store_is_that_of_a_watch
    a_pattern_that_nothing_can_match_is_refused
    any_executor_may_watch
}

type Shown = (Primitive, String, Option<u64>);

fn shown(change: &Change) -> Shown {
    (change.primitive(), change.name().to_owned(), change.sequence())
}

fn stream(name: &str, version: u64) -> Shown {
    (Primitive::Stream, name.to_owned(), Some(version))
}

async fn next(changes: &mut Changes) -> Result<Shown> {
    changes.next().await.expect("the store is open").map(|change| shown(&change))
}

async fn g5_changes_come_in_the_order_of_the_commits(store: Store) -> Result<()> {
    let mut changes = store.watch("*").await?;
    for n in 1..=20 {
        for name in ["a", "b"] {
            store.events().append(name, Expected::Version(n - 1), [event(n)]).await?;
        }
    }
    for n in 1..=20 {
        assert_eq!([next(&mut changes).await?, next(&mut changes).await?], [stream("a", n), stream("b", n)]);
    }
    let both = [("a".to_owned(), known(1)), ("b".to_owned(), known(2)), ("a".to_owned(), known(3))];
    store.events().import(both).await?;
    assert_eq!([next(&mut changes).await?, next(&mut changes).await?], [stream("a", 22), stream("b", 21)]);
    assert!(begin(changes.next()).is_pending());
    Ok(())
}

async fn a_watch_sees_what_comes_after_it_and_is_of_its_pattern(store: Store) -> Result<()> {
    let events = store.events();
    events.append("order-1", Expected::Any, [event(1)]).await?;
    let mut early = store.watch("order-*").await?;
    events.append("order-2", Expected::Any, [event(2)]).await?;
    events.append("bill-1", Expected::Any, [event(3)]).await?;
    let mut late = store.watch("*-1").await?;
    events.append("order-1", Expected::Any, [event(4)]).await?;
    assert_eq!(
        [next(&mut early).await?, next(&mut early).await?],
        [stream("order-2", 1), stream("order-1", 2)]
    );
    assert_eq!(next(&mut late).await?, stream("order-1", 2));
    drop(early);
    events.append("order-1", Expected::Any, [event(5)]).await?;
    assert_eq!(next(&mut late).await?, stream("order-1", 3));
    // Nobody watches, and then somebody does again.
    drop(late);
    events.append("order-1", Expected::Any, [event(6)]).await?;
    let mut again = store.watch("*").await?;
    events.append("order-1", Expected::Any, [event(7)]).await?;
    assert_eq!(next(&mut again).await?, stream("order-1", 5));
    Ok(())
}

async fn a_lock_is_told_of_when_it_comes_and_goes(store: Store) -> Result<()> {
    let lock = |token| (Primitive::Lock, "nightly".to_owned(), token);
    let mut changes = store.watch("*").await?;
    let guard = store.lock("nightly").acquire().await?;
    assert_eq!(next(&mut changes).await?, lock(Some(guard.token())));
    let other = store.lock("nightly");
    let waiting = begin(other.acquire());
    crate::backends::waiting(&store, 1).await?;
    guard.release().await?;
    let guard = waiting.await?;
    assert_eq!(next(&mut changes).await?, lock(Some(guard.token())));
    guard.release().await?;
    assert_eq!(next(&mut changes).await?, lock(None));
    Ok(())
}

async fn an_append_that_is_refused_or_repeated_changes_nothing(store: Store) -> Result<()> {
    let (events, mut changes) = (store.events(), store.watch("*").await?);
    events.append("s", Expected::Any, [known(1)]).await?;
    assert!(events.append("s", Expected::NoStream, [known(2)]).await.is_err());
    assert!(events.append("s", Expected::Any, [known(1)]).await?.repeated);
    events.append("s", Expected::Any, [known(3)]).await?;
    assert_eq!([next(&mut changes).await?, next(&mut changes).await?], [stream("s", 1), stream("s", 2)]);
    Ok(())
}

async fn a_queue_is_told_of_with_whatever_becomes_of_its_jobs(store: Store) -> Result<()> {
    let (queue, job) = (store.queue::<u64>("q"), |sequence| (Primitive::Queue, "q".to_owned(), sequence));
    let mut changes = store.watch("*").await?;
    queue.push_all((1..=3_u64).map(|n| (n, Push::new()))).await?;
    let first = queue.pop().await?;
    first.bury("no use").await?;
    assert!(queue.revive(1).await?);
    let told = [Some(1), Some(2), Some(3), Some(1), Some(1), Some(1)];
    for sequence in told {
        assert_eq!(next(&mut changes).await?, job(sequence));
    }
    queue.pop().await?.bury("no use").await?;
    for sequence in [Some(1), Some(1)] {
        assert_eq!(next(&mut changes).await?, job(sequence));
    }
    // What changes nothing is not told of.
    assert!(!queue.revive(2).await? && !queue.remove(99).await?);
    assert_eq!(queue.purge(JobState::Done).await?, 0);
    assert_eq!(queue.revive_all().await?, (1, 0));
    assert!(queue.remove(2).await?);
    assert_eq!(queue.purge(JobState::Ready).await?, 2);
    queue.pause().await?;
    for sequence in [None, Some(2), None, None] {
        assert_eq!(next(&mut changes).await?, job(sequence));
    }
    Ok(())
}

async fn g9_a_watch_that_is_too_far_behind_is_told_how_far(store: Store) -> Result<()> {
    let mut changes = store.watch("*").await?;
    let many: Vec<_> = (0..10_004).map(|n| (format!("s-{n}"), known(n))).collect();
    for chunk in many.chunks(1_000) {
        store.events().import(chunk).await?;
    }
    match changes.next().await {
        Some(Err(Error::Lagged { kind: "watch", missed: 4, name })) => assert_eq!(name, "*"),
        other => panic!("{other:?}"),
    }
    for n in 4..10_004 {
        assert_eq!(next(&mut changes).await?, stream(&format!("s-{n}"), 1));
    }
    Ok(())
}

async fn a_future_that_is_dropped_loses_no_change(store: Store) -> Result<()> {
    let mut changes = store.watch("*").await?;
    for n in 1..=200 {
        drop(begin(changes.next()));
        store.events().append("s", Expected::Any, [event(n)]).await?;
        drop(begin(async {
            tokio::task::yield_now().await;
            changes.next().await
        }));
        assert_eq!(next(&mut changes).await?, stream("s", n));
    }
    Ok(())
}

async fn g11_the_end_of_the_store_is_that_of_a_watch(store: Store) -> Result<()> {
    let mut changes = store.watch("*").await?;
    let waiting = begin(changes.next());
    assert!(waiting.is_pending());
    store.close().await?;
    assert_eq!(waiting.await, None);
    assert_eq!(changes.next().await, None);
    assert_eq!(store.watch("*").await.map(drop), Err(Error::Closed));
    Ok(())
}

async fn a_pattern_that_nothing_can_match_is_refused(store: Store) -> Result<()> {
    for bad in ["", " ", "a\0*", &"*".repeat(600)] {
        assert!(matches!(store.watch(bad).await, Err(Error::InvalidName { what: "pattern", .. })), "{bad:?}");
    }
    store.watch("x'); DROP TABLE change;--*").await.map(drop)
}

/// A store that is also open elsewhere.
fn shared(case: impl AsyncFnOnce(&Path, Store) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shared.db");
    wait(async {
        let store = Store::open(&file).await?;
        case(&file, store.clone()).await?;
        store.close().await
    })
    .unwrap();
}

#[test]
fn drawer_e1_changes_of_other_processes_are_seen_by_all() {
    shared(async |file, store| {
        let mut peer = Peer::start(file);
        let mut changes = store.watch("s*").await?;
        peer.ask("append s 1 3");
        for version in 1..=3 {
            assert_eq!(next(&mut changes).await?, stream("s", version));
        }
        store.events().append("s", Expected::Any, [event(4)]).await?;
        peer.ask("append s 5 5");
        peer.killed();
        assert_eq!([next(&mut changes).await?, next(&mut changes).await?], [stream("s", 4), stream("s", 5)]);
        Ok(())
    });
}

#[test]
fn l3_a_lock_that_passes_on_because_its_holder_died_is_told_of() {
    shared(async |file, store| {
        let mut peer = Peer::start(file);
        peer.ask("acquire nightly 3600000");
        let mut changes = store.watch("*").await?;
        let lock = store.lock("nightly");
        let waiting = begin(lock.acquire());
        assert!(waiting.is_pending());
        crate::backends::waiting(&store, 1).await?;
        peer.killed();
        let guard = waiting.await?;
        let told = (Primitive::Lock, "nightly".to_owned(), Some(guard.token()));
        assert_eq!(next(&mut changes).await?, told);
        Ok(())
    });
}

#[test]
fn whoever_watches_elsewhere_and_is_killed_watches_no_more() {
    shared(async |file, store| {
        let mut peer = Peer::start(file);
        assert_eq!(peer.ask("watch *"), "watches");
        store.events().append("s", Expected::Any, [event(1)]).await?;
        assert_eq!(peer.ask("changed"), "s 1");
        peer.killed();
        store.events().append("s", Expected::Any, [event(2)]).await?;
        // What is written down goes by numbers: the one of before, and none for what nobody watched.
        let written: u64 = rusqlite::Connection::open(file)
            .and_then(|plain| plain.query_row("SELECT count(*) FROM change", [], |row| row.get(0)))
            .unwrap();
        assert_eq!(written, 1);
        Ok(())
    });
}

#[test]
fn the_blocking_face_watches_too() {
    let store = millpond::blocking::Store::memory().unwrap();
    let mut changes = store.watch("s").unwrap();
    std::thread::scope(|scope| {
        let watching = scope
            .spawn(|| changes.by_ref().take(3).map(|change| shown(&change.unwrap())).collect::<Vec<_>>());
        for n in 1..=3 {
            store.events().append("s", Expected::Any, [event(n)]).unwrap();
        }
        assert_eq!(watching.join().unwrap(), [stream("s", 1), stream("s", 2), stream("s", 3)]);
    });
    store.close().unwrap();
    assert!(changes.next().is_none());
}

/// To begin is told to the others, for which an executor cannot wait on its own thread.
async fn any_executor_may_watch(store: Store) -> Result<()> {
    let case = move || {
        futures_executor::block_on(async {
            let mut changes = store.watch("*").await?;
            store.events().append("s", Expected::Any, [event(1)]).await?;
            assert_eq!(next(&mut changes).await?, stream("s", 1));
            drop(changes);
            Ok(())
        })
    };
    tokio::task::spawn_blocking(case).await.unwrap()
}

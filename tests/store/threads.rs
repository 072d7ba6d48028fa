//! What callers cost: as many threads as at the start however many wait, and none when the store is closed; no memory for
//! what goes past who does not read.

use millpond::{Error, Event, Expected, Location, Result, Store};

use crate::backends::{alone, begin, on_file, resident, threads, wait, waiting};

async fn ten_thousand(store: Store) -> Result<()> {
    const TASKS: u64 = 10_000;
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let first = guard.token();
    let before = threads();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let lock = lock.clone();
            tokio::spawn(async move {
                let guard = lock.acquire().await?;
                let token = guard.token();
                drop(guard);
                Ok::<_, Error>(token)
            })
        })
        .collect();
    waiting(&store, TASKS).await?;
    assert_eq!(threads(), before, "threads while they wait");
    guard.release().await?;
    let (mut most, mut tokens) = (0, std::collections::BTreeSet::from([first]));
    for task in tasks {
        tokens.insert(task.await.unwrap()?);
        most = most.max(threads());
    }
    assert_eq!(most, before, "threads while they are served");
    assert_eq!(tokens.len() as u64, TASKS + 1, "all are granted, each with a token of its own");
    waiting(&store, 0).await?;
    store.close().await
}

#[test]
fn g9_ten_thousand_wait_for_one_lock_in_memory() {
    alone("threads::g9_ten_thousand_wait_for_one_lock_in_memory", || {
        wait(async { ten_thousand(Store::memory().await?).await }).unwrap();
    });
}

#[test]
fn g9_ten_thousand_wait_for_one_lock_in_a_file() {
    alone("threads::g9_ten_thousand_wait_for_one_lock_in_a_file", || {
        let folder = tempfile::tempdir().unwrap();
        wait(async { ten_thousand(Store::open(folder.path().join("s.db")).await?).await }).unwrap();
    });
}

#[test]
fn g9_ten_thousand_names_need_no_thread_of_their_own() {
    alone("threads::g9_ten_thousand_names_need_no_thread_of_their_own", || {
        wait(async {
            let store = Store::memory().await?;
            let before = threads();
            let tasks: Vec<_> = (0..10_000)
                .map(|n| {
                    let events = store.events();
                    tokio::spawn(async move {
                        let event = Event::new("Made", &n)?;
                        events.append(format!("thing-{n}"), Expected::NoStream, [event]).await
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap()?;
            }
            assert_eq!(threads(), before);
            assert_eq!(store.events().head().await?, 10_000);
            store.close().await
        })
        .unwrap();
    });
}

#[test]
fn g11_no_thread_is_left_when_a_store_is_closed_or_dropped() {
    alone("threads::g11_no_thread_is_left_when_a_store_is_closed_or_dropped", || {
        let before = threads();
        let folder = tempfile::tempdir().unwrap();
        let file = Location::File(folder.path().join("s.db"));
        for location in [Location::Memory, file.clone(), file] {
            for close in [true, false] {
                let store = millpond::blocking::Store::builder().open(location.clone()).unwrap();
                let guard = store.lock("till").acquire().unwrap();
                store.events().append("a", Expected::Any, [crate::backends::event(1)]).unwrap();
                assert!(threads() > before);
                if close {
                    store.close().unwrap();
                }
                drop((guard, store));
                // A thread that has ended is gone from the list a moment later.
                let mut looks = 0_u64;
                while threads() > before {
                    std::thread::yield_now();
                    looks += 1;
                    assert!(looks < 50_000_000, "threads stay: {} > {before}", threads());
                }
            }
        }
    });
}

/// Sixty megabytes go past eight who have stopped listening: they cost neither a copy each nor one for all.
#[test]
fn drawer_c6_a_slow_subscriber_costs_no_memory() {
    const BOUND: usize = 48 << 20;
    alone("threads::drawer_c6_a_slow_subscriber_costs_no_memory", || {
        on_file(|store| async move {
            let channel = store.channel::<String>("c");
            let (mut fast, mut slow) = (channel.subscribe().await?, Vec::new());
            for _ in 0..8 {
                slow.push(channel.subscribe().await?);
            }
            channel.publish(&String::new()).await?;
            for subscription in slow.iter_mut().chain([&mut fast]) {
                assert_eq!(subscription.next().await.expect("the store is open")?.sequence(), 1);
                // It waits for the next one, and is never asked again.
                assert!(begin(subscription.next()).is_pending());
            }
            let megabyte = vec!["x".repeat(100_000); 10];
            let (before, mut most) = (resident(), 0);
            for _ in 0..60 {
                for sequence in channel.publish_all(&megabyte).await? {
                    assert_eq!(fast.next().await.expect("the store is open")?.sequence(), sequence);
                }
                most = most.max(resident());
            }
            assert!(most < before + BOUND, "{} KiB more", (most - before) >> 10);
            for sequence in 2..=601 {
                assert_eq!(slow[7].next().await.expect("the store is open")?.sequence(), sequence);
            }
            Ok(())
        });
    });
}

//! The blocking face: from plain threads, inside runtimes, and together with the async one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{CommandError, Error, Expected, From, Imported, Location, Result, Retention, Stamp};

use crate::aggregates::{Account, Do, Refused};
use crate::backends::{event, known};

/// Runs a case on both backends.
fn both(case: fn(&Store) -> Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    for location in [Location::Memory, Location::File(folder.path().join("s.db"))] {
        let store = Store::builder().open(location).unwrap();
        case(&store).unwrap();
        store.close().unwrap();
        assert_eq!(store.events().head(), Err(Error::Closed));
    }
}

fn scenario(store: &Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire()?;
    assert_eq!((guard.name(), guard.token() > 0), ("till", true));
    assert!(lock.try_acquire()?.is_none());
    assert!(lock.acquire_within(Duration::from_millis(10))?.is_none());
    let events = store.events();
    let before = events.version("blocking-1")?;
    let done = events.guarded_by(&guard).append("blocking-1", Expected::Version(before), [event(1)])?;
    assert_eq!(done.version, before + 1);
    let stale = events.guarded_by(&guard);
    guard.renew()?;
    assert!(guard.remaining() > Duration::ZERO);
    guard.release()?;
    assert!(!lock.break_lock()?);
    let set = store.lock_set(["till", "safe"]).ttl(Duration::from_secs(9));
    let both = set.acquire()?;
    assert_eq!((both.guards().len(), set.try_acquire()?.is_none()), (2, true));
    both.release()?;
    set.try_acquire()?.expect("free again").release()?;
    let election = store.election("chief").ttl(Duration::from_secs(9));
    let leadership = election.campaign()?;
    assert!(election.try_campaign()?.is_none());
    let leader = election.changed(None)?.expect("somebody leads");
    assert_eq!(leader.term, leadership.term());
    assert_eq!(election.leader()?.map(|now| now.term), Some(leader.term));
    assert_eq!(leadership.guard().token(), leader.term);
    leadership.resign()?;
    assert_eq!(election.changed(Some(leader.term))?, None);
    assert!(matches!(stale.append("blocking-1", Expected::Any, [event(2)]), Err(Error::Fenced { .. })));
    let imported =
        events.import([("blocking-2".to_owned(), known(1)), ("blocking-2".to_owned(), known(2))])?;
    assert_eq!(imported.added + imported.known, 2);
    assert_eq!(events.import([("blocking-2".to_owned(), known(1))])?, Imported { added: 0, known: 1 });
    let alice = store.aggregate::<Account>("alice");
    let cents = alice.state()?.cents;
    alice.execute(Do::Deposit(5)).unwrap();
    let refused = alice.execute(Do::Withdraw(cents + 6)).unwrap_err();
    assert_eq!(refused, CommandError::Rejected(Refused::TooLittle(cents + 5)));
    assert_eq!(alice.history().map(Result::unwrap).count() as u64, events.version("account-alice")?);
    assert!(store.inspect().actors()? > 0);
    assert_eq!(store.inspect().summary()?.head, events.head()?);
    assert_eq!(store.inspect().processes()?.len(), 1);
    assert_eq!(store.inspect().locks(None, 10)?.len(), 0);
    Ok(())
}

#[test]
fn from_a_plain_thread() {
    both(scenario);
}

#[test]
fn from_inside_a_tokio_runtime_of_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async { tokio::spawn(async { both(scenario) }).await.unwrap() });
}

#[test]
fn from_inside_a_tokio_runtime_of_one_thread() {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async { both(scenario) });
}

#[test]
fn from_inside_smol() {
    smol::block_on(smol::spawn(async { both(scenario) }));
}

#[test]
fn from_many_threads_at_once() {
    both(|store| {
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let (store, inside) = (store.clone(), &inside);
                scope.spawn(move || {
                    for n in 0..5 {
                        let guard = store.lock("till").acquire().unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        let stream = format!("thread-{thread}");
                        store
                            .events()
                            .guarded_by(&guard)
                            .append(stream, Expected::Version(n), [event(n)])
                            .unwrap();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if n % 2 == 0 { drop(guard) } else { guard.release().unwrap() }
                    }
                });
            }
        });
        assert_eq!(store.events().head()?, 80);
        Ok(())
    });
}

#[test]
fn a_thread_that_waits_is_woken_by_a_task_that_releases() {
    both(|store| {
        let guard = futures_executor::block_on(store.asynchronous().lock("till").acquire())?;
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| store.lock("till").acquire().and_then(|guard| guard.release()));
            while store.inspect().summary().unwrap().tickets_waiting == 0 {
                std::thread::yield_now();
            }
            futures_executor::block_on(guard.release()).unwrap();
            waiter.join().unwrap()
        })
    });
}

#[test]
fn a_thread_that_waits_is_told_when_the_store_is_closed() {
    for within in [None, Some(Duration::from_secs(3_600))] {
        let store = Store::memory().unwrap();
        let guard = store.lock("till").acquire().unwrap();
        std::thread::scope(|scope| {
            let lock = store.lock("till");
            let waiter = scope.spawn(move || match within {
                None => lock.acquire().map(Some),
                Some(time) => lock.acquire_within(time),
            });
            let watcher = scope.spawn(move || guard.lost());
            while store.inspect().summary().unwrap().tickets_waiting == 0 {
                std::thread::yield_now();
            }
            store.close().unwrap();
            assert_eq!(waiter.join().unwrap().unwrap_err(), Error::Closed);
            watcher.join().unwrap();
        });
    }
}

#[test]
fn an_iterator_reads_pages_as_it_goes_and_may_stop_anywhere() {
    both(|store| {
        let events = store.events();
        let many: Vec<_> = (1..=2_500).map(|n| (format!("s-{}", n % 2), known(n))).collect();
        events.import(many)?;
        let positions = |stream: millpond::blocking::EventStream| -> Vec<u64> {
            stream.map(|event| event.unwrap().position()).collect()
        };
        assert!(positions(events.read_all()).into_iter().eq(1..=2_500));
        assert!(positions(events.read_all().backward()).into_iter().eq((1..=2_500).rev()));
        assert_eq!(positions(events.read_all().from(2_400).to(2_450).limit(10)).len(), 10);
        assert_eq!(positions(events.read_category("s").after(2_000).event_type("Counted")).len(), 500);
        assert_eq!(
            events.read_stream("s-1").take(1_100).map(|event| event.unwrap().version()).max(),
            Some(1_100)
        );
        let mut stream = events.read_stream("s-0").limit(1);
        assert!(stream.next().is_some() && stream.next().is_none() && stream.next().is_none());
        let mut bad = events.read_stream("");
        assert!(matches!(bad.next(), Some(Err(Error::InvalidName { .. }))));
        assert!(bad.next().is_none(), "an error ends it");
        Ok(())
    });
}

/// Channels and logs, and an iterator on a thread of its own.
fn feeds(store: &Store) -> Result<()> {
    let channel = store.channel::<u64>("c");
    let mut subscription = channel.subscribe()?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let found = (&mut subscription).take(3).collect::<Result<Vec<_>>>();
            found.unwrap().iter().map(|message| **message).collect::<Vec<u64>>()
        });
        channel.publish(&1).unwrap();
        assert_eq!(channel.publish_all(&[2, 3]).unwrap(), 2..4);
        assert_eq!(reader.join().unwrap(), [1, 2, 3]);
    });
    channel.publish_with(&4, Stamp::new().key("k"))?;
    channel.retain(Retention::everything().count(2))?;
    assert_eq!(channel.history().map(|found| *found.unwrap()).collect::<Vec<u64>>(), [3, 4]);
    assert_eq!(channel.trim_before(4)?, 4);
    assert_eq!(channel.extent()?.first, 4);
    let log = store.log::<u64>("l");
    assert_eq!((log.append(&1)?, log.append_all(&[2])?), (1, 2..3));
    log.append_with(&3, Stamp::new())?;
    log.retain(Retention::everything().count(5))?;
    let newest = log.range(..).newest_first().limit(2).map(|found| *found.unwrap());
    assert_eq!(newest.collect::<Vec<u64>>(), [3, 2]);
    assert_eq!(*log.follow(From::Start)?.next().unwrap()?, 1);
    let day = Duration::from_secs(86_400);
    assert_eq!(log.live(day, day, <[_]>::len)?.next(), Some(Ok(3)));
    Ok(())
}

#[test]
fn drawer_x7_the_blocking_face_has_the_same_names() {
    both(feeds);
}

//! Semaphores and locks for readers and writers, on every backend and both faces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond::{Error, Expected, Result, Store};

use crate::backends::{begin, event, until, waiting};

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);

each_backend! {
    l1_no_more_permits_are_held_than_there_are
    l1_a_writer_is_alone_and_readers_are_together
    l5_a_writer_is_not_starved_by_readers
    l5_whoever_wants_more_is_not_passed
    l2_every_permit_has_a_token_of_its_own
    l3_a_lost_permit_writes_nothing
    l3_a_broken_semaphore_is_lost_to_all
    l6_trying_never_waits_and_waiting_ends_in_time
    l6_a_dropped_guard_and_a_dropped_acquire_leave_nothing
    d16_a_name_is_used_for_one_thing
    numbers_that_cannot_be_are_refused
    both_faces_hold_the_same
    what_is_held_is_shown
}

async fn l1_no_more_permits_are_held_than_there_are(store: Store) -> Result<()> {
    const PERMITS: u32 = 5;
    let inside = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..30)
        .map(|number| {
            let weight = 1 + number % 3;
            let semaphore = store.semaphore("desks", PERMITS).weight(weight);
            let inside = Arc::clone(&inside);
            tokio::spawn(async move {
                for _ in 0..3 {
                    let permit = semaphore.acquire().await?;
                    assert!(inside.fetch_add(weight, Ordering::SeqCst) + weight <= PERMITS, "too many");
                    tokio::task::yield_now().await;
                    inside.fetch_sub(weight, Ordering::SeqCst);
                    permit.release().await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap()?;
    }
    assert_eq!(store.inspect().summary().await?.locks_held, 0);
    Ok(())
}

async fn l1_a_writer_is_alone_and_readers_are_together(store: Store) -> Result<()> {
    let lock = store.rw_lock("catalogue").ttl(Duration::from_secs(60));
    let readers = [lock.read().await?, lock.read().await?, lock.try_read().await?.unwrap()];
    assert!(lock.try_write().await?.is_none());
    for reader in readers {
        assert!(lock.write_within(Duration::ZERO).await?.is_none());
        reader.renew().await?;
        assert!(reader.remaining() > Duration::from_secs(30));
        reader.release().await?;
    }
    let writer = lock.write_within(LONG).await?.unwrap();
    assert!(lock.try_write().await?.is_none() && lock.try_read().await?.is_none());
    assert!(lock.read_within(Duration::ZERO).await?.is_none());
    writer.release().await?;
    lock.read_within(LONG).await?.unwrap().release().await
}

async fn l5_a_writer_is_not_starved_by_readers(store: Store) -> Result<()> {
    let lock = store.rw_lock("catalogue");
    let reader = lock.read().await?;
    let writes = begin(lock.write());
    waiting(&store, 1).await?;
    assert!(lock.try_read().await?.is_none(), "nobody passes a writer that waits");
    let reads = [begin(lock.read()), begin(lock.read())];
    waiting(&store, 3).await?;
    reader.release().await?;
    let writer = writes.await?;
    assert_eq!(store.inspect().summary().await?.tickets_waiting, 2);
    writer.release().await?;
    for read in reads {
        drop(read.await?);
    }
    Ok(())
}

async fn l5_whoever_wants_more_is_not_passed(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 3);
    let (one, two) = (semaphore.acquire().await?, semaphore.acquire().await?);
    let all = semaphore.clone().weight(3);
    let wants_all = begin(all.acquire());
    waiting(&store, 1).await?;
    assert!(semaphore.try_acquire().await?.is_none(), "one is free, and somebody waits for all");
    one.release().await?;
    assert!(wants_all.is_pending());
    two.release().await?;
    wants_all.await?.release().await?;
    // Whoever wants more goes away, and those behind fit.
    let held = semaphore.clone().weight(2).acquire().await?;
    let wants_all = begin(all.acquire());
    waiting(&store, 1).await?;
    let behind = begin(semaphore.acquire());
    waiting(&store, 2).await?;
    drop(wants_all);
    behind.await?.release().await?;
    held.release().await
}

async fn l2_every_permit_has_a_token_of_its_own(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 3);
    let mut last = 0;
    let mut held = Vec::new();
    for round in 0..12 {
        let permit = semaphore.acquire().await?;
        assert_eq!(permit.name(), "desks");
        assert!(permit.token() > last, "token {} after {last}", permit.token());
        last = permit.token();
        held.push(permit);
        if round >= 2 {
            held.remove(round % 3).release().await?;
        }
    }
    Ok(())
}

async fn l3_a_lost_permit_writes_nothing(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 2);
    let (lost, kept) = (semaphore.acquire().await?, semaphore.acquire().await?);
    let (stale, good) = (store.events().guarded_by(&lost), store.events().guarded_by(&kept));
    stale.append("s", Expected::Any, [event(1)]).await?;
    let token = lost.token();
    lost.release().await?;
    let refused = stale.append("s", Expected::Any, [event(2)]).await;
    assert_eq!(refused.unwrap_err(), Error::Fenced { lock: "desks".into(), token });
    good.append("s", Expected::Version(1), [event(3)]).await?;
    // Of a lock for readers and writers either side.
    let lock = store.rw_lock("catalogue");
    for side in [lock.read().await?, { lock.try_read().await?.unwrap() }] {
        store.events().guarded_by(&side).append("s", Expected::Any, [event(4)]).await?;
        side.release().await?;
    }
    let writer = lock.write().await?;
    let stale = store.events().guarded_by(&writer);
    stale.append("s", Expected::Any, [event(5)]).await?;
    writer.release().await?;
    let _reader = lock.read().await?;
    assert!(matches!(stale.append("s", Expected::Any, [event(6)]).await, Err(Error::Fenced { .. })));
    kept.release().await
}

async fn l3_a_broken_semaphore_is_lost_to_all(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 2);
    let held = [semaphore.acquire().await?, semaphore.acquire().await?];
    let next = begin(semaphore.acquire());
    waiting(&store, 1).await?;
    assert!(store.lock("desks").break_lock().await?);
    let next = next.await?;
    for permit in held {
        permit.lost().await;
        assert!(matches!(permit.renew().await, Err(Error::Lost { .. })));
        assert!(matches!(permit.release().await, Err(Error::Lost { .. })));
    }
    next.renew().await?;
    next.release().await
}

async fn l6_trying_never_waits_and_waiting_ends_in_time(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 2);
    let held = semaphore.try_acquire().await?.unwrap();
    let both = semaphore.clone().weight(2);
    assert!(both.try_acquire().await?.is_none());
    assert!(both.acquire_within(Duration::from_millis(10)).await?.is_none());
    until(async || Ok(store.inspect().summary().await?.tickets_waiting == 0)).await?;
    let waits = begin(both.acquire_within(LONG));
    waiting(&store, 1).await?;
    held.release().await?;
    waits.await?.unwrap().release().await
}

async fn l6_a_dropped_guard_and_a_dropped_acquire_leave_nothing(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 2);
    let (one, two) = (semaphore.acquire().await?, semaphore.acquire().await?);
    let waits = begin(semaphore.acquire());
    waiting(&store, 1).await?;
    drop((one, waits, two));
    until(async || {
        let summary = store.inspect().summary().await?;
        Ok((summary.locks_held, summary.tickets_waiting) == (0, 0))
    })
    .await?;
    semaphore.weight(2).acquire().await?.release().await
}

async fn d16_a_name_is_used_for_one_thing(store: Store) -> Result<()> {
    store.semaphore("s", 3).acquire().await?.release().await?;
    store.rw_lock("rw").read().await?.release().await?;
    store.lock("l").acquire().await?.release().await?;
    let cases = [
        (store.lock("s").acquire().await, "s", "a lock", "a semaphore of 3 permits"),
        (
            store.semaphore("s", 4).acquire().await,
            "s",
            "a semaphore of 4 permits",
            "a semaphore of 3 permits",
        ),
        (store.rw_lock("s").write().await, "s", "a lock for readers and writers", "a semaphore of 3 permits"),
        (store.semaphore("l", 3).acquire().await, "l", "a semaphore of 3 permits", "a lock"),
        (store.rw_lock("l").read().await, "l", "a lock for readers and writers", "a lock"),
        (store.lock("rw").acquire().await, "rw", "a lock", "a lock for readers and writers"),
    ];
    for (refused, name, wanted, found) in cases {
        let error = refused.unwrap_err();
        let (name, wanted, found) = (name.to_owned(), wanted.to_owned(), found.to_owned());
        assert_eq!(error, Error::UsedOtherwise { name, wanted: wanted.clone(), found: found.clone() });
        assert!(error.to_string().contains(&wanted) && error.to_string().contains(&found), "{error}");
    }
    assert!(store.lock("s").try_acquire().await.is_err(), "a try is no way round");
    assert!(store.election("s").campaign().await.is_err());
    assert_eq!(store.election("s").leader().await?, None);
    // A semaphore of one is the lock.
    let permit = store.semaphore("l", 1).acquire().await?;
    assert!(store.lock("l").try_acquire().await?.is_none());
    permit.release().await
}

async fn numbers_that_cannot_be_are_refused(store: Store) -> Result<()> {
    for (permits, weight) in [(0, 1), (10_001, 1), (u32::MAX, 1), (3, 0), (3, 4), (3, u32::MAX), (0, 0)] {
        let semaphore = store.semaphore("s", permits).weight(weight).ttl(Duration::from_secs(1));
        for refused in [
            semaphore.acquire().await.map(Some),
            semaphore.try_acquire().await,
            semaphore.acquire_within(LONG).await,
        ] {
            assert!(
                matches!(refused, Err(Error::InvalidArgument { .. })),
                "{permits}, {weight}: {refused:?}"
            );
        }
    }
    let too_short = store.rw_lock("rw").ttl(Duration::from_millis(9)).read().await;
    assert!(matches!(too_short, Err(Error::InvalidDuration { .. })), "{too_short:?}");
    assert!(matches!(store.semaphore("", 3).acquire().await, Err(Error::InvalidName { .. })));
    assert!(matches!(store.rw_lock("a\nb").write().await, Err(Error::InvalidName { .. })));
    assert_eq!(store.inspect().summary().await?.locks, 0, "nothing was sent");
    store.semaphore("s", 10_000).weight(10_000).acquire().await?.release().await
}

async fn both_faces_hold_the_same(store: Store) -> Result<()> {
    let other = store.blocking();
    tokio::task::spawn_blocking(move || {
        let semaphore = other.semaphore("desks", 2).ttl(LONG);
        let one = semaphore.acquire()?;
        let two = semaphore.try_acquire()?.unwrap();
        assert!(semaphore.acquire_within(Duration::ZERO)?.is_none());
        assert!(one.remaining() > LONG / 2);
        let events = other.events().guarded_by(&one);
        events.append("s", Expected::Any, [event(1)])?;
        one.release()?;
        assert!(matches!(events.append("s", Expected::Any, [event(2)]), Err(Error::Fenced { .. })));
        two.release()?;
        semaphore.weight(2).acquire()?.release()?;
        let lock = other.rw_lock("catalogue").ttl(LONG);
        let readers = [lock.read()?, lock.try_read()?.unwrap(), lock.read_within(LONG)?.unwrap()];
        assert!(lock.try_write()?.is_none());
        assert!(lock.write_within(Duration::ZERO)?.is_none());
        readers.into_iter().try_for_each(millpond::blocking::LockGuard::release)?;
        let writer = lock.write()?;
        assert!(lock.try_read()?.is_none());
        writer.release()
    })
    .await
    .unwrap()
}

async fn what_is_held_is_shown(store: Store) -> Result<()> {
    let semaphore = store.semaphore("desks", 3);
    let (one, two) = (semaphore.acquire().await?, semaphore.clone().weight(2).acquire().await?);
    let waits = begin(semaphore.acquire());
    waiting(&store, 1).await?;
    let line = store.inspect().lock("desks").await?.unwrap();
    assert_eq!((line.capacity, line.used(), line.waiting), (3, 3, 1));
    let shown: Vec<_> = line.holders.iter().map(|holder| (holder.grant.token, holder.weight)).collect();
    assert_eq!(shown, [(one.token(), 1), (two.token(), 2)]);
    assert_eq!(store.inspect().summary().await?.locks_held, 1);
    assert_eq!(store.inspect().locks(None, 9).await?.len(), 1);
    drop((waits, one));
    two.release().await
}

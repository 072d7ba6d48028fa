//! Locks: exclusion, order, tokens, and what is left when a caller goes away.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpond::{Error, Expected, LockGuard, Result, Store, WriteOutcome};

use crate::backends::{all, begin, event, until, waiting};

/// Long enough that only a wake-up ends the wait.
const LONG: Duration = Duration::from_secs(3_600);

each_backend! {
    l1_at_most_one_holds_a_lock_at_any_time
    l2_tokens_grow_from_grant_to_grant_over_all_names
    l3_a_guarded_append_is_refused_when_the_lock_was_lost
    l3_a_guard_of_one_name_does_not_cover_for_another
    trying_never_waits
    waiting_within_a_time_gives_its_place_up
    waiting_within_a_time_is_granted_by_a_release
    a_dropped_guard_releases
    a_holder_that_asks_again_waits_like_any_other
    an_acquire_dropped_in_line_leaves_no_trace
    an_acquire_dropped_as_it_was_sent_leaves_no_trace
    an_acquire_dropped_while_the_lock_is_passed_on_gives_it_back
    an_acquire_that_was_never_awaited_does_nothing
    a_hundred_tasks_are_served_in_the_order_they_came
    a_guard_is_lost_when_the_store_is_closed
    names_do_not_disturb_one_another
}

async fn l1_at_most_one_holds_a_lock_at_any_time(store: Store) -> Result<()> {
    let inside = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let (lock, inside) = (store.lock("till"), Arc::clone(&inside));
            tokio::spawn(async move {
                for _ in 0..3 {
                    let guard = lock.acquire().await?;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    guard.release().await?;
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

async fn l2_tokens_grow_from_grant_to_grant_over_all_names(store: Store) -> Result<()> {
    let mut last = 0;
    for round in 0..60 {
        let lock = store.lock(["a", "b", "c"][round % 3]);
        let guard = match round % 4 {
            0 => lock.try_acquire().await?.unwrap(),
            1 => lock.acquire_within(LONG).await?.unwrap(),
            _ => lock.acquire().await?,
        };
        assert!(guard.token() > last, "token {} after {last}", guard.token());
        last = guard.token();
        if round % 5 == 0 { drop(guard) } else { guard.release().await? }
    }
    Ok(())
}

async fn l3_a_guarded_append_is_refused_when_the_lock_was_lost(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let stale_token = guard.token();
    let stale = store.events().guarded_by(&guard);
    stale.append("report", Expected::Any, [event(1)]).await?;
    guard.release().await?;
    // Nobody has taken it since: it is lost all the same. Then somebody has.
    for next in [None, Some(lock.acquire().await?)] {
        let refused = stale.append("report", Expected::Any, [event(2)]).await.unwrap_err();
        assert_eq!(refused, Error::Fenced { lock: "till".into(), token: stale_token });
        assert_eq!(refused.outcome(), WriteOutcome::NotApplied);
        if let Some(next) = next {
            store.events().guarded_by(&next).append("report", Expected::Version(1), [event(3)]).await?;
        }
    }
    let numbers: Vec<u64> = all(store.events().read_all()).await?.iter().map(|found| found.3).collect();
    assert_eq!(numbers, [1, 3], "what was refused is not there");
    Ok(())
}

async fn l3_a_guard_of_one_name_does_not_cover_for_another(store: Store) -> Result<()> {
    let (a, b) = (store.lock("a").acquire().await?, store.lock("b").acquire().await?);
    let by_a = store.events().guarded_by(&a);
    a.release().await?;
    assert!(matches!(by_a.append("x", Expected::Any, [event(1)]).await, Err(Error::Fenced { .. })));
    store.events().guarded_by(&b).append("x", Expected::NoStream, [event(1)]).await?;
    b.release().await
}

async fn trying_never_waits(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.try_acquire().await?.expect("it is free");
    assert!(lock.try_acquire().await?.is_none());
    assert!(lock.acquire_within(Duration::ZERO).await?.is_none());
    guard.release().await?;
    let guard = lock.acquire_within(Duration::ZERO).await?.expect("free locks are given without waiting");
    guard.release().await?;
    waiting(&store, 0).await
}

async fn waiting_within_a_time_gives_its_place_up(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    assert!(lock.acquire_within(Duration::from_millis(10)).await?.is_none());
    waiting(&store, 0).await?;
    guard.release().await?;
    lock.try_acquire().await?.expect("nobody is in line").release().await
}

async fn waiting_within_a_time_is_granted_by_a_release(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let waiter = tokio::spawn({
        let lock = lock.clone();
        async move { lock.acquire_within(LONG).await }
    });
    waiting(&store, 1).await?;
    guard.release().await?;
    waiter.await.unwrap()?.expect("granted").release().await
}

async fn a_dropped_guard_releases(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let first = lock.acquire().await?;
    let token = first.token();
    drop(first);
    let second = lock.acquire().await?;
    assert!(second.token() > token);
    second.release().await
}

async fn a_holder_that_asks_again_waits_like_any_other(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let again = begin(lock.acquire());
    waiting(&store, 1).await?;
    assert!(lock.try_acquire().await?.is_none());
    guard.release().await?;
    again.await?.release().await
}

async fn an_acquire_dropped_in_line_leaves_no_trace(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let dropped: Vec<_> = (0..20).map(|_| begin(lock.acquire())).collect();
    waiting(&store, 20).await?;
    drop(dropped);
    waiting(&store, 0).await?;
    guard.release().await?;
    lock.try_acquire().await?.expect("nobody holds it and nobody waits").release().await
}

async fn an_acquire_dropped_as_it_was_sent_leaves_no_trace(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    // Dropped a little later each time: somewhere on its way to the line and back.
    for moment in 0..400 {
        let sent = begin(lock.acquire());
        assert!(sent.is_pending());
        (0..moment * 50).for_each(|_| std::hint::spin_loop());
        drop(sent);
        // A request that was sent behind it has been answered: it has been dealt with.
        assert!(lock.try_acquire().await?.is_none());
        let gone = tokio::time::timeout(Duration::from_secs(5), waiting(&store, 0)).await;
        let line = store.inspect().locks(None, 10).await?;
        assert!(gone.is_ok(), "the ticket of a caller that is gone stays in the line: {line:?}");
    }
    guard.release().await
}

async fn an_acquire_dropped_while_the_lock_is_passed_on_gives_it_back(store: Store) -> Result<()> {
    let lock = store.lock("till");
    for round in 0..200 {
        let guard = within_reason(&store, round, lock.acquire()).await?;
        let waiter = begin(lock.acquire());
        within_reason(&store, round, waiting(&store, 1)).await?;
        let release = begin(guard.release());
        drop(waiter);
        within_reason(&store, round, release).await?;
    }
    lock.acquire().await?.release().await
}

/// Fails with how the locks stand if something takes longer than anything here should.
async fn within_reason<T>(store: &Store, round: u64, call: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(Duration::from_secs(20), call).await {
        Ok(done) => done,
        Err(_) => panic!("round {round} hangs: {:?}", store.inspect().locks(None, 10).await?),
    }
}

async fn an_acquire_that_was_never_awaited_does_nothing(store: Store) -> Result<()> {
    let lock = store.lock("till");
    drop(lock.acquire());
    lock.try_acquire().await?.expect("it is free").release().await
}

async fn a_hundred_tasks_are_served_in_the_order_they_came(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for task in 0..100 {
        let (lock, served) = (lock.clone(), Arc::clone(&served));
        tasks.push(tokio::spawn(async move {
            let guard = lock.acquire().await?;
            served.lock().unwrap().push((task, guard.token()));
            guard.release().await
        }));
        waiting(&store, task + 1).await?;
    }
    guard.release().await?;
    for task in tasks {
        task.await.unwrap()?;
    }
    let served = served.lock().unwrap();
    assert!(served.iter().map(|(task, _)| *task).eq(0..100), "{served:?}");
    assert!(served.windows(2).all(|pair| pair[0].1 < pair[1].1), "{served:?}");
    Ok(())
}

async fn a_guard_is_lost_when_the_store_is_closed(store: Store) -> Result<()> {
    let guard = store.lock("till").acquire().await?;
    let mut lost = begin(guard.lost());
    assert!(lost.is_pending(), "it is held");
    // Its turn comes after everything that is under way: it is still not lost.
    assert!(store.lock("till").try_acquire().await?.is_none());
    store.close().await?;
    (&mut lost).await;
    drop(lost);
    assert_eq!(guard.release().await, Err(Error::Closed));
    Ok(())
}

async fn names_do_not_disturb_one_another(store: Store) -> Result<()> {
    let guards: Vec<_> = {
        let mut guards = Vec::new();
        for n in 0..50 {
            guards.push(store.lock(format!("lock {n}")).acquire().await?);
        }
        guards
    };
    let inspect = store.inspect();
    assert_eq!(inspect.summary().await?.locks_held, 50);
    let page = inspect.locks(Some("lock 20"), 5).await?;
    let names: Vec<&str> = page.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["lock 21", "lock 22", "lock 23", "lock 24", "lock 25"]);
    assert!(page.iter().all(|line| line.holder().is_some_and(|holder| !holder.void)));
    drop(guards);
    until(async || Ok(inspect.summary().await?.locks_held == 0)).await
}

/// A guard cannot be released twice: `release` takes it, and there is no second one.
#[test]
fn a_guard_cannot_be_copied() {
    trait Copies<Marker> {
        fn cannot() {}
    }
    impl<T: ?Sized> Copies<()> for T {}
    struct Clones;
    impl<T: Clone> Copies<Clones> for T {}
    // Does not compile if both impls apply.
    <LockGuard as Copies<_>>::cannot();
    <millpond::blocking::LockGuard as Copies<_>>::cannot();
}

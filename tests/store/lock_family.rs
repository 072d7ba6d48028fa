//! What is built on the lock: renewing, breaking, sets of locks, elections.

use std::time::Duration;

use millpond::{Error, Expected, Result, Store};

use crate::backends::{begin, event, until, waiting};

each_backend! {
    l4_a_renewed_lock_is_held
    l3_a_broken_lock_is_lost_to_its_holder
    a_set_of_locks_is_held_together
    sets_that_overlap_do_not_wait_for_each_other
    a_set_that_cannot_be_taken_at_once_holds_nothing
    a_set_without_names_or_with_one_twice_is_refused
    at_most_one_leads_and_terms_grow
    a_change_of_leader_is_told
}

async fn l4_a_renewed_lock_is_held(store: Store) -> Result<()> {
    let guard = store.lock("x").ttl(Duration::from_secs(60)).acquire().await?;
    guard.renew().await?;
    assert!(guard.remaining() > Duration::from_secs(30));
    assert!(guard.remaining() <= Duration::from_secs(60));
    guard.release().await
}

async fn l3_a_broken_lock_is_lost_to_its_holder(store: Store) -> Result<()> {
    let lock = store.lock("it's \"x\"; DROP TABLE lock;--");
    assert!(!lock.break_lock().await?, "nobody held it");
    let guard = lock.acquire().await?;
    assert!(lock.break_lock().await?);
    guard.lost().await;
    let fenced = store.events().guarded_by(&guard).append("s", Expected::Any, [event(1)]).await;
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    assert!(matches!(guard.renew().await, Err(Error::Lost { .. })));
    let next = lock.acquire().await?;
    assert!(matches!(guard.release().await, Err(Error::Lost { .. })));
    next.renew().await?;
    next.release().await
}

async fn a_set_of_locks_is_held_together(store: Store) -> Result<()> {
    let set = store.lock_set(["b", "c", "a"]).ttl(Duration::from_secs(10));
    let guard = set.acquire().await?;
    let names: Vec<&str> = guard.guards().iter().map(millpond::LockGuard::name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        assert!(store.lock(name).try_acquire().await?.is_none());
    }
    guard.release().await?;
    assert_eq!(store.inspect().summary().await?.locks_held, 0);
    Ok(())
}

async fn sets_that_overlap_do_not_wait_for_each_other(store: Store) -> Result<()> {
    let sets = [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"], ["c", "a", "b"]];
    let tasks: Vec<_> = sets
        .into_iter()
        .map(|names| {
            let set = store.lock_set(names);
            tokio::spawn(async move {
                for _ in 0..20 {
                    set.acquire().await?.release().await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap()?;
    }
    Ok(())
}

async fn a_set_that_cannot_be_taken_at_once_holds_nothing(store: Store) -> Result<()> {
    let held = store.lock("b").acquire().await?;
    assert!(store.lock_set(["a", "b", "c"]).try_acquire().await?.is_none());
    until(async || Ok(store.inspect().summary().await?.locks_held == 1)).await?;
    // One that is given up half way has taken nothing either.
    let set = store.lock_set(["a", "b"]);
    let waiter = tokio::spawn(async move { set.acquire().await.map(drop) });
    waiting(&store, 1).await?;
    waiter.abort();
    until(async || Ok(store.inspect().summary().await?.locks_held == 1)).await?;
    held.release().await
}

async fn a_set_without_names_or_with_one_twice_is_refused(store: Store) -> Result<()> {
    let none: [&str; 0] = [];
    for set in [store.lock_set(none), store.lock_set(["a", "b", "a"])] {
        let refused = set.ttl(Duration::from_secs(1)).acquire().await;
        assert!(matches!(refused, Err(Error::InvalidArgument { .. })), "{refused:?}");
    }
    let refused = store.lock_set(["a", ""]).acquire().await;
    assert!(matches!(refused, Err(Error::InvalidName { .. })), "{refused:?}");
    Ok(())
}

async fn at_most_one_leads_and_terms_grow(store: Store) -> Result<()> {
    let election = store.election("scheduler").ttl(Duration::from_secs(30));
    assert_eq!(election.leader().await?, None);
    let mut last = 0;
    for _ in 0..5 {
        let leadership = election.campaign().await?;
        assert!(leadership.term() > last);
        last = leadership.term();
        let leader = election.leader().await?.expect("somebody leads");
        assert_eq!((leader.term, leader.process), (last, store.inspect().process()));
        assert!(election.try_campaign().await?.is_none());
        leadership.resign().await?;
    }
    Ok(())
}

async fn a_change_of_leader_is_told(store: Store) -> Result<()> {
    let election = store.election("scheduler");
    let change = begin(election.changed(None));
    let leadership = election.campaign().await?;
    let leader = change.await?.expect("somebody leads");
    assert_eq!(leader.term, leadership.term());
    let change = begin(election.changed(Some(leader.term)));
    let next = begin(election.campaign());
    leadership.resign().await?;
    let next = next.await?;
    let told = change.await?;
    // Between the two terms nobody may have led for a moment.
    let told = match told {
        Some(leader) => Some(leader),
        None => election.changed(None).await?,
    };
    assert_eq!(told.map(|leader| leader.term), Some(next.term()));
    assert_eq!(next.guard().token(), next.term());
    next.resign().await
}

//! DistributedLock. Whoever holds a lock has a guard, and nobody has one of a lock that was never taken: so `release_of_never_held`
//! is a guard whose lock was lost; `timeout` is an outcome and no error; and `release_all` is what is held together, a set of
//! locks. Closing a store releases all that is held of it (`close.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millpond::{Error, Result, Store, blocking};

use super::at_once;
use crate::backends::{until, waiting};
use crate::peer::{Peer, file};

each_backend! {
    acquire_yields_the_key
    is_held_in_and_out_of_the_block
    released_on_exception_which_propagates
    try_acquire_free_and_held
    release_makes_it_acquirable
    release_of_never_held_raises
    timeout_on_a_held_key_raises
    keys_are_independent
    release_all_returns_the_count
    acquire_yields_the_key_concurrently
    try_acquire_free_and_held_concurrently
    timeout_on_a_held_key_raises_concurrently
    keys_are_independent_concurrently
    release_all_returns_the_count_concurrently
}

async fn is_held(store: &Store, name: &str) -> Result<bool> {
    Ok(store.inspect().lock(name).await?.is_some_and(|line| line.holder().is_some()))
}

async fn acquire_yields_the_key(store: Store) -> Result<()> {
    let guard = store.lock("till").acquire().await?;
    assert_eq!(guard.name(), "till");
    guard.release().await
}

async fn is_held_in_and_out_of_the_block(store: Store) -> Result<()> {
    assert!(!is_held(&store, "till").await?);
    {
        let _guard = store.lock("till").acquire().await?;
        assert!(is_held(&store, "till").await?);
    }
    until(async || Ok(!is_held(&store, "till").await?)).await
}

async fn released_on_exception_which_propagates(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let fails = async {
        let _guard = lock.acquire().await?;
        store.lock("").acquire().await.map(drop)
    };
    assert!(matches!(fails.await, Err(Error::InvalidName { .. })));
    let other = lock.clone();
    let panics = tokio::spawn(async move {
        let _guard = other.acquire().await;
        panic!("inside");
    });
    assert_eq!(panics.await.unwrap_err().into_panic().downcast_ref(), Some(&"inside"));
    lock.acquire().await?.release().await
}

async fn try_acquire_free_and_held(store: Store) -> Result<()> {
    let guard = store.lock("till").try_acquire().await?.expect("it is free");
    assert!(store.lock("till").try_acquire().await?.is_none());
    guard.release().await
}

async fn release_makes_it_acquirable(store: Store) -> Result<()> {
    for _ in 0..3 {
        store.lock("till").acquire().await?.release().await?;
        store.lock("till").try_acquire().await?.expect("it was released").release().await?;
    }
    Ok(())
}

async fn release_of_never_held_raises(store: Store) -> Result<()> {
    assert!(!store.lock("till").break_lock().await?, "there is nothing to be taken away");
    let guard = store.lock("till").acquire().await?;
    store.lock("till").break_lock().await?;
    let released = guard.release().await;
    assert!(matches!(&released, Err(Error::Lost { lock, .. }) if lock == "till"), "{released:?}");
    Ok(())
}

async fn timeout_on_a_held_key_raises(store: Store) -> Result<()> {
    let guard = store.lock("till").acquire().await?;
    assert!(store.lock("till").acquire_within(Duration::from_millis(5)).await?.is_none());
    waiting(&store, 0).await?;
    guard.release().await
}

async fn keys_are_independent(store: Store) -> Result<()> {
    let (till, safe) = (store.lock("till").acquire().await?, store.lock("safe").acquire().await?);
    till.release().await?;
    assert!(is_held(&store, "safe").await? && !is_held(&store, "till").await?);
    safe.release().await
}

async fn release_all_returns_the_count(store: Store) -> Result<()> {
    let held = store.lock_set(["till", "safe", "door"]).acquire().await?;
    assert_eq!((held.guards().len(), store.inspect().summary().await?.locks_held), (3, 3));
    held.release().await?;
    assert_eq!(store.inspect().summary().await?.locks_held, 0);
    Ok(())
}

/// One at a time, and each token larger than those before.
async fn acquire_yields_the_key_concurrently(store: Store) -> Result<()> {
    let (inside, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let held = at_once(16, |_| {
        let (lock, inside, last) = (store.lock("till"), Arc::clone(&inside), Arc::clone(&last));
        async move {
            for _ in 0..5 {
                let guard = lock.acquire().await?;
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                let token = usize::try_from(guard.token()).unwrap();
                assert!(last.swap(token, Ordering::SeqCst) < token);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                guard.release().await?;
            }
            Ok::<_, Error>(())
        }
    });
    held.await.into_iter().collect()
}

async fn try_acquire_free_and_held_concurrently(store: Store) -> Result<()> {
    for _ in 0..10 {
        let tried = at_once(16, |_| {
            let lock = store.lock("till");
            async move { lock.try_acquire().await }
        });
        let mut held = Vec::new();
        for tried in tried.await {
            held.extend(tried?);
        }
        assert_eq!(held.len(), 1);
        held.remove(0).release().await?;
    }
    Ok(())
}

async fn timeout_on_a_held_key_raises_concurrently(store: Store) -> Result<()> {
    let guard = store.lock("till").acquire().await?;
    let waited = at_once(16, |caller| {
        let lock = store.lock("till");
        async move { lock.acquire_within(Duration::from_millis(caller)).await }
    });
    for waited in waited.await {
        assert!(waited?.is_none());
    }
    waiting(&store, 0).await?;
    guard.release().await
}

/// Each holds its own while all hold theirs.
async fn keys_are_independent_concurrently(store: Store) -> Result<()> {
    let all_hold = Arc::new(tokio::sync::Barrier::new(16));
    let held = at_once(16, |caller| {
        let (lock, all_hold) = (store.lock(format!("till-{caller}")), Arc::clone(&all_hold));
        async move {
            let guard = lock.acquire().await?;
            all_hold.wait().await;
            guard.release().await
        }
    });
    held.await.into_iter().collect()
}

async fn release_all_returns_the_count_concurrently(store: Store) -> Result<()> {
    let held = at_once(12, |caller| {
        let names = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]][(caller % 3) as usize];
        let set = store.lock_set(names);
        async move {
            let held = set.acquire().await?;
            assert_eq!(held.guards().len(), 3);
            held.release().await
        }
    });
    held.await.into_iter().collect::<Result<()>>()?;
    assert_eq!(store.inspect().summary().await?.locks_held, 0);
    Ok(())
}

#[test]
fn try_acquire_free_and_held_over_processes() {
    let (_folder, file) = file();
    let store = blocking::Store::open(&file).unwrap();
    let mut peer = Peer::start(&file);
    let token = peer.number("acquire till 60000");
    assert!(store.lock("till").try_acquire().unwrap().is_none());
    assert_eq!(peer.ask("release"), "released");
    let guard = store.lock("till").try_acquire().unwrap().expect("it was released");
    assert!(guard.token() > token);
    assert_eq!(peer.ask("try till"), "false");
}

//! SupportsClose. A store takes no connection, pool or engine from its caller: it makes what it needs and ends it. What a caller
//! has of it are handles, and what was handed to a store are the things that one holds of it: locks, jobs, the file.
//!
//! Left out: `protocol`, which is the compiler's here.

use millpond::testing::RecordingStore;
use millpond::{Error, Expected, Location, Result, Store};

use super::at_once;
use crate::backends::event;

each_backend! {
    close_unused
    close_twice_unused
    close_twice_after_use
    close_does_not_release_a_callers_resource
    close_is_idempotent_for_a_callers_resource
    close_releases_a_handed_over_resource
    close_is_idempotent_for_a_handed_over_resource
    close_twice_after_use_concurrently
}

async fn close_unused(store: Store) -> Result<()> {
    store.close().await
}

async fn close_twice_unused(store: Store) -> Result<()> {
    store.close().await?;
    store.close().await
}

async fn close_twice_after_use(store: Store) -> Result<()> {
    store.events().append("s-1", Expected::NoStream, [event(1)]).await?;
    store.close().await?;
    store.close().await?;
    assert_eq!(store.events().head().await, Err(Error::Closed));
    Ok(())
}

/// What is made of a store that belongs to somebody else leaves it open when it goes.
async fn close_does_not_release_a_callers_resource(store: Store) -> Result<()> {
    let made = (RecordingStore::new(store.events()), store.inspect(), store.blocking(), store.clone());
    drop(made);
    store.events().append("s-1", Expected::NoStream, [event(1)]).await?;
    // What was lent to the caller is his: it stays open when the store is closed.
    let lent = store.lend_presence()?;
    store.close().await?;
    assert!(lent.is_none_or(|lent| nix::fcntl::fcntl(&lent, nix::fcntl::FcntlArg::F_GETFD).is_ok()));
    Ok(())
}

async fn close_is_idempotent_for_a_callers_resource(store: Store) -> Result<()> {
    for n in 0..3 {
        drop(RecordingStore::new(store.events()));
        drop(store.blocking());
        store.events().append("s-1", Expected::Version(n), [event(n)]).await?;
    }
    Ok(())
}

/// Opens the store of a file again, and looks whether it is whole and free.
async fn again(store: &Store) -> Result<Option<Store>> {
    let Location::File(file) = store.location() else { return Ok(None) };
    let again = Store::open(file.clone()).await?;
    assert_eq!(again.inspect().processes().await?.len(), 1, "the one before has left");
    again.lock("till").try_acquire().await?.expect("nobody holds it").release().await?;
    let job = again.queue::<u64>("q").try_pop().await?.expect("nobody works on it");
    assert_eq!((*job, job.attempt()), (7, 2));
    job.release().await?;
    Ok(Some(again))
}

/// What was held is free, although its guards are still there.
async fn close_releases_a_handed_over_resource(store: Store) -> Result<()> {
    store.queue("q").push(&7_u64).await?;
    let (guard, job) = (store.lock("till").acquire().await?, store.queue::<u64>("q").pop().await?);
    store.close().await?;
    guard.lost().await;
    if let Some(again) = again(&store).await? {
        again.close().await?;
    }
    drop((guard, job));
    Ok(())
}

/// A second close of the old one does nothing to who opened it since.
async fn close_is_idempotent_for_a_handed_over_resource(store: Store) -> Result<()> {
    store.queue("q").push(&7_u64).await?;
    let (guard, job) = (store.lock("till").acquire().await?, store.queue::<u64>("q").pop().await?);
    store.close().await?;
    if let Some(again) = again(&store).await? {
        store.close().await?;
        drop((guard, job));
        again.events().append("s-1", Expected::NoStream, [event(1)]).await?;
        again.close().await?;
    }
    store.close().await
}

async fn close_twice_after_use_concurrently(store: Store) -> Result<()> {
    let closed = at_once(8, |caller| {
        let store = store.clone();
        async move {
            let appended = store.events().append(format!("s-{caller}"), Expected::NoStream, [event(1)]).await;
            assert!(appended.is_ok() || appended == Err(Error::Closed), "{appended:?}");
            store.close().await
        }
    });
    closed.await.into_iter().collect()
}

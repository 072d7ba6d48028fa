//! The same scenario on every executor: the store brings its own threads and needs nobody's.

use millpond::{Expected, Result, Store};

use crate::backends::{all, event};

async fn scenario(store: Store) -> Result<()> {
    let lock = store.lock("report");
    let guard = lock.acquire().await?;
    assert!(lock.try_acquire().await?.is_none());
    assert!(lock.acquire_within(std::time::Duration::from_millis(10)).await?.is_none());
    let events = store.events().guarded_by(&guard);
    for n in 1..=3 {
        events.append("a-1", Expected::Version(n - 1), [event(n)]).await?;
    }
    guard.release().await?;
    assert_eq!(all(store.events().read_stream("a-1")).await?.len(), 3);
    assert_eq!(store.events().head().await?, 3);
    // A second waiter on the same executor, woken by the release of the first.
    let (first, second) = (lock.acquire().await?, lock.clone());
    let waiter = std::thread::scope(|scope| {
        let waiter = scope.spawn(move || futures_executor::block_on(second.acquire()));
        drop(first);
        waiter.join().unwrap()
    })?;
    waiter.release().await?;
    store.close().await
}

async fn both() -> Result<()> {
    scenario(Store::memory().await?).await?;
    let folder = tempfile::tempdir().unwrap();
    scenario(Store::open(folder.path().join("s.db")).await?).await
}

#[test]
fn on_tokio_with_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(both()).unwrap();
}

#[test]
fn on_tokio_with_one_thread_and_without_its_timers() {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(both()).unwrap();
}

#[test]
fn on_smol() {
    smol::block_on(both()).unwrap();
}

#[test]
fn on_smol_as_a_task() {
    smol::block_on(smol::spawn(both())).unwrap();
}

#[test]
fn on_a_plain_thread() {
    std::thread::scope(|scope| {
        scope.spawn(|| futures_executor::block_on(both()).unwrap()).join().unwrap();
    });
}

#[test]
fn a_store_outlives_the_runtime_that_opened_it() {
    let open = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = open().block_on(Store::memory()).unwrap();
    open().block_on(store.events().append("a", Expected::NoStream, [event(1)])).unwrap();
    assert_eq!(smol::block_on(store.events().head()), Ok(1));
    smol::block_on(store.close()).unwrap();
}

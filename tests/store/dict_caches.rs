//! Dicts that remember what was read: never anything that was replaced before it was asked for, by whomever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use millpond::{Dict, Error, ManualClock, Put, Result, Store, blocking};

use crate::peer::{Peer, file};

each_backend! {
    drawer_21_what_is_remembered_is_read_once
    drawer_21_whatever_writes_is_seen_at_once
    drawer_21_nobody_reads_an_older_value_than_was_acknowledged
    a_store_that_is_closed_is_closed_for_what_is_remembered
    both_faces_remember
}

mod on_a_clock {
    each_backend! {
        on a clock:
        d1_what_has_an_end_is_not_remembered
    }
    use super::d1_what_has_an_end_is_not_remembered;
}

fn figures(dict: &Dict<u64>) -> (u64, u64, usize) {
    let figures = dict.cache_figures().expect("it has a cache");
    (figures.hits, figures.misses, figures.keys)
}

async fn value(dict: &Dict<u64>, key: &str) -> Result<Option<u64>> {
    Ok(dict.get(key).await?.map(|entry| *entry))
}

async fn drawer_21_what_is_remembered_is_read_once(store: Store) -> Result<()> {
    let plain = store.dict::<u64>("d");
    assert_eq!(plain.cache_figures(), None);
    let dict = plain.clone().cached();
    for _ in 0..3 {
        assert_eq!((value(&dict, "k").await?, dict.contains("k").await?), (None, false));
    }
    assert_eq!(figures(&dict), (5, 1, 1), "also that there is nothing");
    plain.set("k", &1).await?;
    let clone = dict.clone();
    for _ in 0..3 {
        assert_eq!((value(&dict, "k").await?, value(&clone, "k").await?), (Some(1), Some(1)));
    }
    assert_eq!(figures(&dict), (10, 2, 1), "clones share what they remember");
    assert_eq!(dict.cache_figures().map(|it| it.bytes), Some(1));
    store.dict::<u64>("other").set("k", &9).await?;
    store.log::<u64>("l").append(&9).await?;
    assert_eq!(value(&dict, "k").await?, Some(1));
    assert_eq!(figures(&dict), (11, 2, 1), "what is written elsewhere is no matter");
    Ok(())
}

async fn drawer_21_whatever_writes_is_seen_at_once(store: Store) -> Result<()> {
    let (plain, dict) = (store.dict::<u64>("d"), store.dict::<u64>("d").cached());
    for number in 1..=20 {
        plain.set("k", &number).await?;
        assert_eq!(value(&dict, "k").await?, Some(number));
        dict.increment("k", 100).await?;
        assert_eq!(value(&dict, "k").await?, Some(number + 100));
        dict.update("k", |found| found.map(|it| it - 100)).await?;
        assert_eq!(value(&dict, "k").await?, Some(number));
        let mut batch = store.batch();
        batch.set(&plain, "k", &(number + 1_000))?;
        batch.commit().await?;
        assert_eq!(value(&dict, "k").await?, Some(number + 1_000));
        assert_eq!(plain.pop("k").await?.map(|it| *it), Some(number + 1_000));
        assert_eq!(value(&dict, "k").await?, None);
        plain.set("k", &number).await?;
        assert!(dict.contains("k").await?);
        plain.clear("").await?;
        assert!(!dict.contains("k").await?);
    }
    Ok(())
}

async fn drawer_21_nobody_reads_an_older_value_than_was_acknowledged(store: Store) -> Result<()> {
    let (plain, dict) = (store.dict::<u64>("d"), store.dict::<u64>("d").cached());
    plain.set("k", &0).await?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let readers = (0..4).map(|_| {
        let (dict, acknowledged) = (dict.clone(), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            let (mut last, mut seen) = (0, 0);
            while last < 300 {
                let before = acknowledged.load(Ordering::SeqCst);
                let entry = dict.get("k").await?.expect("it is there");
                assert!(*entry >= before && *entry >= seen, "{} after {before} and {seen}", *entry);
                (last, seen) = (before, *entry);
            }
            Ok::<_, Error>(())
        })
    });
    let readers: Vec<_> = readers.collect();
    for number in 1..=300 {
        plain.set("k", &number).await?;
        acknowledged.store(number, Ordering::SeqCst);
    }
    join_all(readers).await.into_iter().try_for_each(|done| done.unwrap())
}

async fn a_store_that_is_closed_is_closed_for_what_is_remembered(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d").cached();
    dict.set("k", &1).await?;
    assert_eq!((value(&dict, "k").await?, value(&dict, "k").await?), (Some(1), Some(1)));
    store.close().await?;
    assert_eq!(dict.get("k").await.map(drop), Err(Error::Closed));
    let bad = store.dict::<u64>("").cached();
    assert!(matches!(bad.get("k").await, Err(Error::InvalidName { .. })));
    Ok(())
}

async fn both_faces_remember(store: Store) -> Result<()> {
    let case = |store: blocking::Store| -> Result<()> {
        let dict = store.dict::<u64>("d").cached();
        dict.set("k", &1)?;
        assert!(dict.contains("k")? && dict.get("k")?.is_some_and(|it| *it == 1));
        let figures = dict.cache_figures().expect("it has a cache");
        assert_eq!((figures.hits, figures.misses), (1, 1));
        Ok(())
    };
    let blocking = store.blocking();
    tokio::task::spawn_blocking(move || case(blocking)).await.unwrap()
}

async fn d1_what_has_an_end_is_not_remembered(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let dict = store.dict::<u64>("d").cached();
    dict.set_with("k", &1, Put::new().ttl(Duration::from_secs(1))).await?;
    assert_eq!((value(&dict, "k").await?, value(&dict, "k").await?), (Some(1), Some(1)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(value(&dict, "k").await?, None, "nobody has written");
    assert_eq!((value(&dict, "k").await?, figures(&dict)), (None, (1, 3, 1)));
    Ok(())
}

#[test]
fn drawer_21_what_another_process_writes_is_seen_at_once() {
    let (_folder, file) = file();
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    for number in 1..=50 {
        assert_eq!(a.ask(&format!("dict-set d k {number}")), number.to_string());
        for _ in 0..3 {
            assert_eq!(b.ask("dict-get-cached d k"), number.to_string());
        }
    }
    assert_eq!(b.ask("dict-hits"), "100");
}

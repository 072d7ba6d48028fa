//! Backups: one snapshot, made while others write, and a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use millpond::{Error, Expected, Result, Store};

use crate::backends::{event, wait};

/// What a folder holds, by name.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_one_snapshot_made_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let write = |who: u64| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let counts = store.dict::<u64>("counts");
                while !stop.load(Ordering::SeqCst) {
                    let mut batch = store.batch();
                    batch.append(format!("s-{who}"), Expected::Any, [event(1), event(2)])?;
                    batch.increment(&counts, "events", 2)?;
                    batch.increment(&counts, format!("of {who}"), 2)?;
                    batch.commit().await?;
                }
                Ok::<_, Error>(())
            })
        };
        let writers: Vec<_> = (0..4).map(write).collect();
        let mut heads = vec![0];
        for n in 0..4 {
            // What was acknowledged before is in it.
            while store.events().head().await? < heads[n] + 20 {
                tokio::task::yield_now().await;
            }
            let before = store.events().head().await?;
            let path = folder.path().join(format!("backup-{n}.db"));
            let bytes = store.backup(&path).await?;
            assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
            let copy = Store::open(&path).await?;
            let head = copy.events().head().await?;
            assert!(head >= before, "{head} of {before}");
            let counts = copy.dict::<u64>("counts");
            assert_eq!(counts.get("events").await?.as_deref(), Some(&head), "of each commit all or nothing");
            let (mut all, mut next) = (copy.events().read_all(), 1);
            while let Some(found) = all.next().await {
                assert_eq!(found?.position(), next);
                next += 1;
            }
            assert_eq!(next, head + 1);
            // It goes on by itself.
            copy.events().append("s-0", Expected::Any, [event(3)]).await?;
            assert_eq!(copy.events().head().await?, head + 1);
            copy.close().await?;
            heads.push(head);
        }
        stop.store(true, Ordering::SeqCst);
        for ended in join_all(writers).await {
            ended.unwrap()?;
        }
        store.close().await
    })
    .unwrap();
    assert_eq!(files(folder.path()).iter().filter(|name| name.starts_with('.')).count(), 0);
}

#[test]
fn l2_what_was_held_is_free_in_the_copy_and_no_token_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        let held = store.lock("l").acquire().await?;
        let mail = store.queue::<u64>("mail");
        mail.push(&7).await?;
        let job = mail.pop().await?;
        let path = folder.path().join("b.db");
        store.backup(&path).await?;
        let mut last = held.token();
        for _ in 0..50 {
            let guard = store.lock("other").acquire().await?;
            last = guard.token();
            guard.release().await?;
        }
        let copy = Store::open(&path).await?;
        let guard = copy.lock("l").try_acquire().await?.expect("nobody holds it there");
        assert!(guard.token() > last, "{} after {last}", guard.token());
        let again = copy.queue::<u64>("mail").try_pop().await?.expect("nobody works on it there");
        assert_eq!((*again, again.attempt()), (7, 2));
        again.done().await?;
        assert!(copy.inspect().processes().await?.iter().all(|it| it.id == copy.inspect().process()));
        // And a copy of the copy.
        let third = folder.path().join("c.db");
        copy.backup(&third).await?;
        let (third, token) = (Store::open(&third).await?, guard.token());
        assert!(third.lock("l").try_acquire().await?.is_some_and(|guard| guard.token() > token));
        third.close().await?;
        copy.close().await?;
        // The original knows nothing of it.
        job.done().await?;
        held.release().await?;
        store.close().await
    })
    .unwrap();
}

#[test]
fn a_backup_that_cannot_be_made_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    wait(async {
        let store = Store::open(folder.path().join("a.db")).await?;
        store.events().append("s-1", Expected::NoStream, [event(1)]).await?;
        let there = folder.path().join("there");
        std::fs::write(&there, "mine").unwrap();
        let before = files(folder.path());
        let refused = async |to: &Path| store.backup(to).await.unwrap_err();
        for to in [&*there, folder.path(), &folder.path().join("a.db"), &folder.path().join("none/b.db")] {
            let error = refused(to).await;
            assert!(matches!(error, Error::InvalidPath { .. }), "{error}");
        }
        assert_eq!((files(folder.path()), std::fs::read_to_string(&there).unwrap()), (before, "mine".into()));
        let memory = Store::memory().await?;
        let error = memory.backup(folder.path().join("m.db")).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        memory.close().await?;
        let blocking = store.blocking();
        let to = folder.path().join("b.db");
        tokio::task::spawn_blocking(move || blocking.backup(to)).await.unwrap()?;
        store.close().await
    })
    .unwrap();
    assert!(files(folder.path()).contains(&"b.db".to_owned()));
}

#[test]
fn g14_the_log_of_the_original_does_not_come_over_a_copy_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let log = folder.path().join("a.db-wal");
    wait(async {
        let store = Store::open(&path).await?;
        store.events().append("s-1", Expected::Any, [event(1)]).await?;
        store.backup(&copy).await?;
        store.events().append("s-1", Expected::Any, [event(2)]).await?;
        // As somebody leaves it who was killed.
        std::fs::copy(&log, folder.path().join("log")).unwrap();
        store.close().await
    })
    .unwrap();
    std::fs::remove_file(folder.path().join("a.db-sync")).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    std::fs::rename(folder.path().join("log"), &log).unwrap();
    wait(async {
        let error = Store::open(&path).await.unwrap_err();
        assert!(error.to_string().contains("the log beside it is another file's"), "{error}");
        std::fs::remove_file(&log).unwrap();
        let store = Store::open(&path).await?;
        assert_eq!(store.events().head().await?, 1);
        store.close().await
    })
    .unwrap();
}

/// One that is damaged is found out before it has its name.
#[test]
fn a_store_that_is_damaged_makes_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    wait(async {
        let store = Store::open(&path).await?;
        for n in 0..200 {
            store.events().append("s-1", Expected::Any, [event(n)]).await?;
        }
        store.close().await
    })
    .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // Pages in the middle, which are of tables and indexes.
    let (first, last) = (bytes.len() / 2, bytes.len() / 2 + 32_768);
    bytes[first..last.min(first * 2)].iter_mut().for_each(|byte| *byte = 0x5a);
    std::fs::write(&path, bytes).unwrap();
    let ended: Result<()> = wait(async {
        let store = Store::open(&path).await?;
        let done = store.backup(folder.path().join("b.db")).await;
        let closed = store.close().await;
        done.map(drop).and(closed)
    });
    assert!(ended.is_err());
    assert!(files(folder.path()).iter().all(|name| !name.starts_with('.') && name != "b.db"));
}

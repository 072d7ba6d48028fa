//! Opening and closing: what is refused untouched, what a close answers, what a second open sees.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use millpond::{CommandError, Durability, Error, Expected, Location, Result, Store};

use crate::aggregates::{Account, Do, deposit};
use crate::backends::{all, begin, event, known, until, wait, waiting};

each_backend! {
    g11_after_a_close_every_call_says_closed
    g11_a_second_close_ends_at_once
    g11_a_close_answers_everything_that_was_accepted
    g11_a_close_tells_those_who_wait
    only_a_file_outlives_its_process
}

async fn only_a_file_outlives_its_process(store: Store) -> Result<()> {
    let lent = store.lend_presence()?;
    assert_eq!(lent.is_some(), *store.location() != Location::Memory);
    Ok(())
}

async fn g11_after_a_close_every_call_says_closed(store: Store) -> Result<()> {
    let (events, lock, inspect) = (store.events(), store.lock("l"), store.inspect());
    let alice = store.aggregate::<Account>("alice");
    deposit(&store, "alice", 1).await?;
    let mut half_read = events.read_all();
    half_read.next().await.unwrap()?;
    store.close().await?;
    let calls = [
        events.append("a", Expected::Any, [event(1)]).await.err(),
        events.import([("a".to_owned(), known(1))]).await.err(),
        events.head().await.err(),
        events.version("a").await.err(),
        events.read_all().next().await.and_then(Result::err),
        lock.acquire().await.err(),
        lock.try_acquire().await.err(),
        lock.acquire_within(Duration::ZERO).await.err(),
        alice.state().await.err(),
        alice.history().next().await.and_then(Result::err),
        inspect.summary().await.err(),
        inspect.processes().await.err(),
        inspect.locks(None, 1).await.err(),
        inspect.lock("l").await.err(),
        store.lend_presence().err(),
    ];
    for (call, error) in calls.iter().enumerate() {
        assert_eq!(*error, Some(Error::Closed), "call {call}");
    }
    let refused = alice.execute(Do::Deposit(1)).await.unwrap_err();
    assert_eq!(refused, CommandError::Failed(Error::Closed));
    assert_eq!(store.blocking().events().head(), Err(Error::Closed));
    assert!(half_read.next().await.is_none(), "what was read already may be looked at");
    Ok(())
}

async fn g11_a_second_close_ends_at_once(store: Store) -> Result<()> {
    store.close().await?;
    store.close().await?;
    store.blocking().close()?;
    let other = store.clone();
    other.close().await
}

async fn g11_a_close_answers_everything_that_was_accepted(store: Store) -> Result<()> {
    let events = store.events();
    let sent: Vec<_> =
        (0..200).map(|n| begin(events.append(format!("s-{n}"), Expected::NoStream, [event(n)]))).collect();
    let alice = store.aggregate::<Account>("alice");
    let commands: Vec<_> = (0..50).map(|_| begin(alice.execute(Do::Deposit(1)))).collect();
    store.close().await?;
    let (mut applied, mut closed) = (0, 0);
    for sent in sent {
        match sent.await {
            Ok(_) => applied += 1,
            Err(Error::Closed) => closed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    for command in commands {
        match command.await {
            Ok(_) => applied += 1,
            Err(CommandError::Failed(Error::Closed)) => closed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(applied + closed, 250);
    if let Location::File(_) = store.location() {
        let again = Store::open(path_of(&store)).await?;
        assert_eq!(again.events().head().await?, applied, "applied is there, refused is not");
        again.close().await?;
    }
    Ok(())
}

fn path_of(store: &Store) -> PathBuf {
    let Location::File(path) = store.location() else { panic!("in memory") };
    path.clone()
}

async fn g11_a_close_tells_those_who_wait(store: Store) -> Result<()> {
    let lock = store.lock("till");
    let guard = lock.acquire().await?;
    let waiters: Vec<_> = (0..20)
        .map(|n| {
            let lock = lock.clone();
            tokio::spawn(async move {
                if n % 2 == 0 {
                    lock.acquire().await.map(Some)
                } else {
                    lock.acquire_within(Duration::from_secs(3_600)).await
                }
            })
        })
        .collect();
    waiting(&store, 20).await?;
    store.close().await?;
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().err(), Some(Error::Closed));
    }
    drop(guard);
    if let Location::File(_) = store.location() {
        let again = Store::open(path_of(&store)).await?;
        assert_eq!(again.inspect().summary().await?.tickets_waiting, 0);
        again.lock("till").try_acquire().await?.expect("nothing is left of it").release().await?;
        again.close().await?;
    }
    Ok(())
}

#[test]
fn g1_a_store_that_was_dropped_has_everything_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    let mut last_token = 0;
    wait(async {
        for opened in 1..=6_u64 {
            let durability = if opened % 2 == 0 { Durability::ProcessCrash } else { Durability::PowerLoss };
            let store = Store::builder().durability(durability).open(&file).await?;
            assert_eq!(store.events().head().await?, (opened - 1) * 2);
            let guard = store.lock("till").acquire().await?;
            assert!(guard.token() > last_token, "l2: tokens grow over a reopening");
            last_token = guard.token();
            let guarded = store.events().guarded_by(&guard);
            guarded.append("a", Expected::Version(opened - 1), [event(opened)]).await?;
            deposit(&store, "alice", opened).await?;
            match opened % 3 {
                0 => store.close().await?,
                // Not closed: as safe as a SIGKILL, whichever handle is the last.
                1 => drop((guard, store)),
                _ => drop((store, guard)),
            }
        }
        let store = Store::open(&file).await?;
        let numbers: Vec<u64> =
            all(store.events().read_stream("a")).await?.iter().map(|found| found.3).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!(store.aggregate::<Account>("alice").state().await?.cents, 21);
        store.close().await
    })
    .unwrap();
}

#[test]
fn a_second_open_in_one_process_is_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    wait(async {
        let first = Store::open(&file).await?;
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let roundabout = folder.path().join(".").join("s.db");
        for second in [Store::open(&file).await?, Store::open(&link).await?, Store::open(&roundabout).await?]
        {
            assert_eq!(second.inspect().process(), first.inspect().process());
            assert_eq!(second.inspect().processes().await?.len(), 1);
            let guard = first.lock("till").acquire().await?;
            assert!(second.lock("till").try_acquire().await?.is_none());
            guard.release().await?;
        }
        let (second, mut tasks) = (millpond::blocking::Store::open(&file)?, Vec::new());
        for n in 0..64 {
            let store = if n % 2 == 0 { first.clone() } else { second.asynchronous() };
            tasks.push(tokio::spawn(async move { deposit(&store, "alice", 1).await }));
        }
        for task in tasks {
            task.await.unwrap()?;
        }
        assert_eq!(second.aggregate::<Account>("alice").state()?.deposits, 64);
        // It is one store, so it is closed once; the next open is a new one.
        second.close()?;
        assert_eq!(first.events().head().await, Err(Error::Closed));
        let third = Store::open(&file).await?;
        assert_eq!(third.events().head().await?, 64);
        assert_ne!(third.inspect().process(), first.inspect().process());
        third.close().await
    })
    .unwrap();
}

#[test]
fn many_opens_of_a_new_file_at_once_are_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    wait(async {
        let opens: Vec<_> = (0..16).map(|_| tokio::spawn(Store::open(file.clone()))).collect();
        let mut processes = std::collections::BTreeSet::new();
        let mut stores = Vec::new();
        for open in opens {
            let store = open.await.unwrap()?;
            processes.insert(store.inspect().process());
            stores.push(store);
        }
        assert_eq!(processes.len(), 1);
        stores[0].close().await
    })
    .unwrap();
}

#[test]
fn g11_a_close_moves_the_log_into_the_main_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("s.db"), folder.path().join("copy.db"));
    wait(async {
        let store = Store::open(&file).await?;
        for n in 0..20 {
            store.events().append("a", Expected::Version(n), [event(n)]).await?;
        }
        store.close().await?;
        fs::copy(&file, &copy).unwrap();
        let copied = Store::open(&copy).await?;
        assert_eq!(copied.events().version("a").await?, 20);
        until(async || Ok(copied.inspect().processes().await?.len() == 1)).await?;
        copied.close().await
    })
    .unwrap();
}

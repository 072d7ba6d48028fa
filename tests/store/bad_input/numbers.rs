//! Numbers: durations, versions, positions, counters, settings.

use std::path::Path;
use std::time::Duration;

use millpond::{CommandError, Error, Expected, Location, Result, Store, WriteOutcome};

use crate::aggregates::{Account, Do};
use crate::backends::{all, event, wait};

each_backend! {
    durations_out_of_range_are_refused
    numbers_at_the_ends_are_borne
    a_decision_that_is_too_large_is_refused
}

async fn durations_out_of_range_are_refused(store: Store) -> Result<()> {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let ms = Duration::from_millis;
    for (ttl, usable) in [
        (Duration::ZERO, false),
        (Duration::from_nanos(1), false),
        (ms(9), false),
        (ms(10), true),
        (YEAR, true),
        (YEAR + ms(1), false),
        (Duration::from_secs(u64::MAX), false),
        (Duration::MAX, false),
    ] {
        let tried = store.lock("l").ttl(ttl).try_acquire().await;
        match tried {
            Ok(guard) if usable => {
                guard.expect("it is free").release().await.or_else(|error| match error {
                    // A lease of 10 ms may have ended on a busy machine.
                    Error::Lost { .. } => Ok(()),
                    other => Err(other),
                })?
            }
            Err(Error::InvalidDuration { given, min, max, .. }) if !usable => {
                assert_eq!((given, min, max), (ttl, ms(10), YEAR));
            }
            other => panic!("{ttl:?}: {other:?}"),
        }
        let builders = [
            Store::builder().call_timeout(ttl).open(Location::Memory).await,
            Store::builder().idle(ttl).open(Location::Memory).await,
        ];
        for opened in builders {
            assert_eq!(opened.is_ok(), usable, "{ttl:?}");
            if let Err(error) = opened {
                assert!(matches!(error, Error::InvalidDuration { .. }), "{error:?}");
            }
        }
    }
    // How long one is ready to wait has no wrong values.
    for within in
        [Duration::ZERO, Duration::from_nanos(1), YEAR, Duration::from_secs(u64::MAX), Duration::MAX]
    {
        store.lock("l").acquire_within(within).await?.expect("it is free").release().await?;
        let guard = store.lock("l").acquire().await?;
        let (lock, quick) = (store.lock("l"), within < ms(1));
        let waiter = tokio::spawn(async move { lock.acquire_within(within).await });
        if quick {
            assert!(waiter.await.unwrap()?.is_none(), "{within:?}");
            guard.release().await?;
        } else {
            crate::backends::waiting(&store, 1).await?;
            guard.release().await?;
            waiter.await.unwrap()?.expect("granted in time").release().await?;
        }
    }
    Ok(())
}

async fn numbers_at_the_ends_are_borne(store: Store) -> Result<()> {
    let events = store.events();
    events.append("a", Expected::Any, [event(1), event(2)]).await?;
    for number in [i64::MAX as u64 - 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let refused = events.append("a", Expected::Version(number), [event(3)]).await;
        assert!(matches!(refused, Err(Error::Conflict { actual: 2, .. })), "{number}: {refused:?}");
        let refused = events.append("none", Expected::Version(number), [event(3)]).await;
        assert!(matches!(refused, Err(Error::Conflict { actual: 0, .. })), "{number}: {refused:?}");
        assert!(all(events.read_stream("a").from(number)).await?.is_empty());
        assert!(all(events.read_all().after(number)).await?.is_empty());
        assert_eq!(all(events.read_all().to(number).limit(number)).await?.len(), 2);
        assert_eq!(all(events.read_all().backward().to(number)).await?.len(), 2);
        assert!(store.inspect().locks(None, u32::MAX).await?.is_empty());
    }
    assert!(all(events.read_stream("a").from(2).to(1)).await?.is_empty());
    assert!(all(events.read_all().to(0)).await?.is_empty());
    assert!(store.inspect().locks(Some(&"x".repeat(1_000)), 0).await?.is_empty());
    Ok(())
}

async fn a_decision_that_is_too_large_is_refused(store: Store) -> Result<()> {
    for events in [10_001, 1_000_000] {
        let spread = store.aggregate::<Account>("alice").execute(Do::Spread(events)).await;
        let Err(CommandError::Failed(refused)) = spread else { panic!("{events} were not refused") };
        assert!(
            matches!(refused, Error::TooLarge { size, limit: 10_000, .. } if size == events),
            "{events}: {refused:?}"
        );
        assert_eq!(refused.outcome(), WriteOutcome::NotApplied);
    }
    assert_eq!(store.events().head().await?, 0);
    let done = store.aggregate::<Account>("alice").execute(Do::Spread(10_000)).await.unwrap();
    assert_eq!(done.version, 10_000);
    Ok(())
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let b = Store::builder;
    let rows = [
        ("readers", b().readers(0)),
        ("readers", b().readers(65)),
        ("arbiters", b().arbiters(0)),
        ("arbiters", b().arbiters(usize::MAX)),
        ("requests", b().requests(0)),
        ("requests", b().requests(usize::MAX)),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    for (name, builder) in rows {
        let error = wait(builder.open(&file)).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument { what, .. } if what.contains(name)), "{error:?}");
        assert!(!file.exists(), "nothing was made");
    }
}

/// How many rows there are of everything.
fn rows(file: &Path) -> Vec<i64> {
    let connection = rusqlite::Connection::open(file).unwrap();
    ["event", "stream", "category", "lock", "ticket", "snapshot"]
        .iter()
        .map(|table| {
            let sql = format!("SELECT count(*) FROM {table}");
            connection.query_row(&sql, [], |row| row.get(0)).unwrap()
        })
        .collect()
}

#[test]
fn a_counter_at_its_end_is_exhausted() {
    const END: i64 = i64::MAX;
    type Call = fn(&millpond::blocking::Store) -> Result<()>;
    let append: Call = |store| store.events().append("a", Expected::Any, [event(2)]).map(drop);
    let acquire: Call = |store| store.lock("l").acquire().map(drop);
    let try_acquire: Call = |store| store.lock("l").try_acquire().map(drop);
    let rows_of_table: [(&str, &str, Call); 4] = [
        ("UPDATE store SET position = ?1", "position", append),
        ("UPDATE stream SET version = ?1", "version", append),
        ("UPDATE store SET token = ?1", "tickets", acquire),
        ("UPDATE store SET token = ?1", "tickets", try_acquire),
    ];
    for (sql, what_it_is, call) in rows_of_table {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.db");
        let store = millpond::blocking::Store::open(&file).unwrap();
        store.events().append("a", Expected::Any, [event(1)]).unwrap();
        store.close().unwrap();
        rusqlite::Connection::open(&file).unwrap().execute(sql, [END]).unwrap();
        let before = rows(&file);
        let store = millpond::blocking::Store::open(&file).unwrap();
        let refused = call(&store).unwrap_err();
        assert!(
            matches!(refused, Error::Exhausted { what } if what.contains(what_it_is)),
            "{sql}: {refused:?}"
        );
        assert_eq!(refused.outcome(), WriteOutcome::NotApplied);
        store.close().unwrap();
        assert_eq!(rows(&file), before, "{sql}");
    }
}

#[test]
fn a_store_without_a_number_for_a_process_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.db");
    millpond::blocking::Store::open(&file).unwrap().close().unwrap();
    let plain = || rusqlite::Connection::open(&file).unwrap();
    plain().execute("UPDATE store SET process = ?1", [i64::MAX]).unwrap();
    let refused = millpond::blocking::Store::open(&file).unwrap_err();
    assert!(matches!(refused, Error::Exhausted { what } if what.contains("process")), "{refused:?}");
    let processes: i64 = plain().query_row("SELECT count(*) FROM process", [], |row| row.get(0)).unwrap();
    assert_eq!(processes, 0);
}

#[test]
fn g9_room_for_one_request_is_enough_for_many_callers() {
    wait(async {
        let store = Store::builder().requests(1).open(Location::Memory).await?;
        let guard = store.lock("l").acquire().await?;
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let (events, lock) = (store.events(), store.lock("l"));
                tokio::spawn(async move {
                    assert!(lock.try_acquire().await?.is_none());
                    events.append(format!("s-{n}"), Expected::NoStream, [event(n)]).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap()?;
        }
        assert_eq!(store.blocking().events().head()?, 200);
        guard.release().await?;
        store.close().await
    })
    .unwrap();
}

//! Bad and odd input, one row a case: each gets a typed error before anything is sent, or is kept byte for byte.

use std::time::Duration;

use millpond::{CommandError, Error, Event, Expected, Location, Result, Store, WriteOutcome};

use crate::aggregates::{Account, Do};
use crate::backends::{all, event, known, wait};

each_backend! {
    names_that_cannot_be_told_apart_are_refused_everywhere
    odd_names_are_kept_byte_for_byte_everywhere
    too_much_is_refused_and_just_enough_is_taken
    durations_out_of_range_are_refused
    content_that_is_not_json_is_refused
    numbers_at_the_ends_are_borne
}

fn bad_names() -> Vec<String> {
    let long = ["x".repeat(513), "é".repeat(257), "x".repeat(10 << 20)];
    let invisible =
        ["\u{200B}", "\u{202E}", "\u{FEFF}", "\u{2028}", "\u{85}", "\u{7F}", "\u{1B}", "\0", "\n", "\t"];
    ["", " ", "   ", "\u{2003}"]
        .map(str::to_owned)
        .into_iter()
        .chain(long)
        .chain(invisible.iter().flat_map(|bad| [(*bad).to_owned(), format!("a{bad}b"), format!("a{bad}")]))
        .collect()
}

async fn names_that_cannot_be_told_apart_are_refused_everywhere(store: Store) -> Result<()> {
    let events = store.events();
    for bad in bad_names() {
        let (lock, alice) = (store.lock(&bad), store.aggregate::<Account>(&bad));
        let command = match alice.execute(Do::Deposit(1)).await.unwrap_err() {
            CommandError::Failed(error) => error,
            other => panic!("{other:?}"),
        };
        let refusals = [
            lock.acquire().await.unwrap_err(),
            lock.try_acquire().await.unwrap_err(),
            lock.acquire_within(Duration::ZERO).await.unwrap_err(),
            events.append(&bad, Expected::Any, [event(1)]).await.unwrap_err(),
            events.append("a", Expected::Any, [Event::new(bad.clone(), &1)?]).await.unwrap_err(),
            events.import([(bad.clone(), known(1))]).await.unwrap_err(),
            events.version(&bad).await.unwrap_err(),
            events.read_stream(&bad).next().await.unwrap().unwrap_err(),
            command,
            alice.state().await.unwrap_err(),
            alice.history().next().await.unwrap().unwrap_err(),
        ];
        for (call, refusal) in refusals.iter().enumerate() {
            let shown = refusal.to_string();
            assert!(matches!(refusal, Error::InvalidName { .. }), "call {call} of {bad:?}: {refusal:?}");
            assert!(shown.len() < 700 && !shown.contains(char::is_control), "{shown:?}");
            assert_eq!(refusal.outcome(), WriteOutcome::NotApplied);
        }
    }
    let summary = store.inspect().summary().await?;
    assert_eq!((summary.events, summary.streams, summary.locks, summary.tickets_waiting), (0, 0, 0, 0));
    assert_eq!(store.inspect().actors().await, 0, "nothing was sent");
    Ok(())
}

async fn odd_names_are_kept_byte_for_byte_everywhere(store: Store) -> Result<()> {
    let events = store.events();
    let full = "x".repeat(512);
    let names = [
        "x'); DROP TABLE event;--",
        "%",
        "_",
        "*",
        "?1",
        "../../etc/passwd",
        "C:\\con",
        "sqlite_x",
        "😀",
        " a ",
        "A",
        "a",
        "\u{E9}",
        "e\u{301}",
        "-",
        "a-",
        "-a",
        "NULL",
        "0",
        "\"",
        "`",
        "[x]",
        &full,
    ];
    let mut last = 0;
    for name in names {
        let guard = store.lock(name).acquire().await?;
        assert_eq!(guard.name(), name);
        let held = store.inspect().locks(None, 10).await?;
        assert_eq!(held.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), [name]);
        let typed =
            Event::new(name.chars().take(100).collect::<String>(), &name)?.id(uuid::Uuid::now_v7_of(last));
        let done = events.guarded_by(&guard).append(name, Expected::NoStream, [typed]).await?;
        guard.release().await?;
        assert_eq!((done.version, done.position), (1, last + 1), "{name:?} is a name of its own");
        last = done.position;
        let found = events.read_stream(name).next().await.unwrap()?;
        assert_eq!((found.stream(), found.decode::<String>()?.as_str()), (name, name));
        assert!(name.starts_with(found.event_type()));
        let category = name.split('-').next().unwrap();
        assert!(all(events.read_category(category)).await?.iter().any(|row| row.0 == name), "{name:?}");
        if name.len() < 500 {
            let alice = store.aggregate::<Account>(name);
            last = alice.execute(Do::Deposit(1)).await.unwrap().position.unwrap();
            assert_eq!(alice.state().await?.deposits, 1, "{name:?} is an aggregate of its own");
            assert_eq!(alice.history().next().await.unwrap()?.stream(), format!("account-{name}"));
        }
    }
    assert_eq!(store.inspect().summary().await?.locks, names.len() as u64);
    Ok(())
}

/// Ids that differ; what they are does not matter.
trait Numbered {
    fn now_v7_of(number: u64) -> uuid::Uuid;
}

impl Numbered for uuid::Uuid {
    fn now_v7_of(number: u64) -> uuid::Uuid {
        crate::backends::id(1_000_000 + number)
    }
}

async fn too_much_is_refused_and_just_enough_is_taken(store: Store) -> Result<()> {
    const MIB: usize = 1 << 20;
    let events = store.events();
    let json = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let data = |bytes: usize| Event::from_json("T", json(bytes));
    let most = data(16 * MIB)?;
    let rows: [(&str, u64, u64, Vec<Event>); 6] = [
        ("data", 16 * MIB as u64 + 1, 16 * MIB as u64, vec![data(16 * MIB + 1)?]),
        ("metadata", 65_537, 65_536, vec![event(1).metadata(json(65_537))]),
        ("time", 513, 512, vec![event(1).at("x".repeat(513))]),
        ("events", 10_001, 10_000, vec![event(1); 10_001]),
        ("bytes", 64 * MIB as u64 + 7, 64 * MIB as u64, [vec![most.clone(); 4], vec![event(1)]].concat()),
        ("behind a good one", 513, 512, vec![event(1), event(2).at("x".repeat(513))]),
    ];
    for (what, size, limit, events_of_row) in rows {
        let refused = events.append("a", Expected::Any, events_of_row).await.unwrap_err();
        assert!(
            matches!(refused, Error::TooLarge { size: s, limit: l, .. } if (s, l) == (size, limit)),
            "{what}: {refused:?}"
        );
        assert_eq!(refused.outcome(), WriteOutcome::NotApplied);
    }
    let refused = events.import((0..10_001).map(|n| ("a".to_owned(), known(n))).collect::<Vec<_>>()).await;
    assert!(matches!(refused, Err(Error::TooLarge { size: 10_001, .. })), "{refused:?}");
    let refused = events.append("a", Expected::Any, []).await;
    assert!(
        matches!(&refused, Err(Error::InvalidArgument { reason, .. }) if reason.contains("empty")),
        "{refused:?}"
    );
    assert_eq!(events.head().await?, 0);
    let edge = event(1).metadata(json(65_536)).at("x".repeat(512));
    events.append("a", Expected::Any, [most, edge]).await?;
    assert_eq!(events.append("b", Expected::Any, vec![event(1); 10_000]).await?.version, 10_000);
    let mut stream = events.read_stream("a");
    assert_eq!(stream.next().await.unwrap()?.json().map(str::len), Some(16 * MIB));
    assert_eq!(stream.next().await.unwrap()?.metadata().map(str::len), Some(65_536));
    Ok(())
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

async fn content_that_is_not_json_is_refused(store: Store) -> Result<()> {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for bad in ["", " ", "{", "nul", "NaN", "1 2", "{\"a\":}", "\u{FEFF}1", "'x'"] {
        let refused = Event::from_json("T", bad);
        assert!(
            matches!(refused, Err(Error::Encode { .. })),
            "{}: {refused:?}",
            bad.get(..20).unwrap_or(bad)
        );
        let event = event(1).metadata(bad);
        let refused = store.events().append("a", Expected::Any, [event]).await;
        assert!(
            matches!(refused, Err(Error::Encode { .. })),
            "{}: {refused:?}",
            bad.get(..20).unwrap_or(bad)
        );
    }
    // A deep nesting is JSON; what reads it says that it is too deep, and does not fall over.
    store.events().append("deep", Expected::Any, [Event::from_json("T", deep)?]).await?;
    let found = store.events().read_stream("deep").next().await.unwrap()?;
    let refused = found.decode::<serde_json::Value>();
    assert!(matches!(&refused, Err(Error::Decode { reason, .. }) if reason.contains("recursion")));
    struct Bad;
    impl serde::Serialize for Bad {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    assert!(matches!(Event::new("T", &Bad), Err(Error::Encode { .. })));
    assert_eq!(store.events().head().await?, 1);
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

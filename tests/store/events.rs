//! Appending: expected versions, repetitions by ids, imports, order.

use millpond::{Appended, Error, Event, Expected, Imported, Result, Store, WriteOutcome};

use crate::backends::{all, begin, event, id, known};

each_backend! {
    a1_every_expectation_is_compared_with_the_stream
    a1_of_many_appends_to_one_version_exactly_one_wins
    a1_versions_and_positions_are_dense
    g3_what_is_refused_is_not_applied
    g4_a_repetition_by_ids_has_one_effect
    g4_an_overlap_that_is_no_repetition_is_refused
    g4_an_import_can_be_repeated
    g5_appends_take_effect_in_the_order_they_were_sent
    g5_what_was_acknowledged_is_read
    g6_a_refused_append_does_not_fail_its_neighbours
    an_import_is_all_or_nothing
    everything_given_comes_back_as_it_was
    a_type_that_cannot_be_decoded_is_named
    heads_and_versions_start_at_nothing
}

async fn a1_every_expectation_is_compared_with_the_stream(store: Store) -> Result<()> {
    let events = store.events();
    let mut row = 0;
    for before in [0_u64, 1, 3] {
        for (expected, fits) in [
            (Expected::Any, true),
            (Expected::NoStream, before == 0),
            (Expected::Exists, before > 0),
            (Expected::Version(0), before == 0),
            (Expected::Version(1), before == 1),
            (Expected::Version(2), before == 2),
            (Expected::Version(3), before == 3),
            (Expected::Version(4), before == 4),
            (Expected::Version(i64::MAX as u64), false),
            (Expected::Version(u64::MAX), false),
        ] {
            row += 1;
            let stream = format!("row-{row}");
            for n in 0..before {
                events.append(&stream, Expected::Any, [event(n)]).await?;
            }
            let tried = events.append(&stream, expected, [event(8), event(9)]).await;
            let version = events.version(&stream).await?;
            let shown = format!("{expected} on {before} events");
            if fits {
                assert_eq!(
                    tried.map(|done| (done.version, done.repeated)),
                    Ok((before + 2, false)),
                    "{shown}"
                );
                assert_eq!(version, before + 2, "{shown}");
            } else {
                assert_eq!(tried, Err(Error::Conflict { stream, expected, actual: before }), "{shown}");
                assert_eq!(version, before, "{shown}");
            }
        }
    }
    Ok(())
}

async fn a1_of_many_appends_to_one_version_exactly_one_wins(store: Store) -> Result<()> {
    for round in 0..5 {
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let events = store.events();
                tokio::spawn(async move { events.append("race", Expected::Version(round), [event(n)]).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(done) => {
                    won += 1;
                    assert_eq!(done.version, round + 1);
                }
                Err(Error::Conflict { actual, .. }) => assert_eq!(actual, round + 1),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won, 1);
    }
    Ok(())
}

async fn a1_versions_and_positions_are_dense(store: Store) -> Result<()> {
    let tasks: Vec<_> = (0..32_u64)
        .map(|task| {
            let events = store.events();
            tokio::spawn(async move {
                for n in 0..10 {
                    let some: Vec<Event> = (0..=(n % 3)).map(event).collect();
                    let stream = format!("s-{}", (task + n) % 5);
                    let expected = if n == 5 { Expected::NoStream } else { Expected::Any };
                    let _ = events.append(stream, expected, some).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let found = all(store.events().read_all()).await?;
    let mut versions = std::collections::BTreeMap::new();
    for (index, (stream, version, position, _)) in found.iter().enumerate() {
        assert_eq!(*position, index as u64 + 1);
        let last = versions.entry(stream.clone()).or_insert(0);
        *last += 1;
        assert_eq!(*version, *last);
    }
    assert_eq!(store.events().head().await?, found.len() as u64);
    let summary = store.inspect().summary().await?;
    assert_eq!((summary.events, summary.streams), (found.len() as u64, versions.len() as u64));
    Ok(())
}

async fn g3_what_is_refused_is_not_applied(store: Store) -> Result<()> {
    let events = store.events();
    events.append("a", Expected::NoStream, [known(1)]).await?;
    let guard = store.lock("l").acquire().await?;
    let fenced = events.guarded_by(&guard);
    guard.release().await?;
    let refusals = [
        events.append("a", Expected::NoStream, [event(2)]).await.unwrap_err(),
        events.append("a", Expected::Any, [event(2), known(1)]).await.unwrap_err(),
        events.append("b", Expected::Any, [known(1)]).await.unwrap_err(),
        events.append("", Expected::Any, [event(2)]).await.unwrap_err(),
        events.append("a", Expected::Any, []).await.unwrap_err(),
        events.import([("c".to_owned(), known(2)), ("c".to_owned(), known(1))]).await.unwrap_err(),
        fenced.append("a", Expected::Any, [event(2)]).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.outcome(), WriteOutcome::NotApplied, "{refusal}");
        assert!(!refusal.is_retryable(), "{refusal}");
    }
    assert_eq!(all(events.read_all()).await?.len(), 1);
    Ok(())
}

async fn g4_a_repetition_by_ids_has_one_effect(store: Store) -> Result<()> {
    let events = store.events();
    let three = || [known(1), known(2), known(3)];
    let first = events.append("a", Expected::NoStream, three()).await?;
    assert_eq!(first, Appended { version: 3, position: 3, repeated: false });
    events.append("a", Expected::Any, [event(4)]).await?;
    // The ids are looked at before the expectation, which would conflict now.
    for expected in [Expected::NoStream, Expected::Any, Expected::Version(99)] {
        let again = events.append("a", expected, three()).await?;
        assert_eq!(again, Appended { repeated: true, ..first });
    }
    let middle = events.append("a", Expected::NoStream, [known(2)]).await?;
    assert_eq!(middle, Appended { version: 2, position: 2, repeated: true });
    // Many at once, of an append that is new.
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let events = store.events();
            tokio::spawn(async move { events.append("a", Expected::Any, [known(7), known(8)]).await })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        let done = task.await.unwrap()?;
        assert_eq!((done.version, done.position), (6, 6));
        new += u32::from(!done.repeated);
    }
    assert_eq!((new, events.head().await?), (1, 6));
    Ok(())
}

async fn g4_an_overlap_that_is_no_repetition_is_refused(store: Store) -> Result<()> {
    let events = store.events();
    events.append("a", Expected::NoStream, [known(1), known(2), known(3)]).await?;
    events.append("other", Expected::NoStream, [known(9)]).await?;
    let rows: [(&str, &str, Vec<Event>); 7] = [
        ("a new one behind", "a", vec![known(3), known(4)]),
        ("a new one before", "a", vec![known(4), known(1)]),
        ("another order", "a", vec![known(2), known(1)]),
        ("one left out", "a", vec![known(1), known(3)]),
        ("another stream", "b", vec![known(1)]),
        ("of two streams", "a", vec![known(1), known(9)]),
        ("twice in one append", "a", vec![known(5), known(5)]),
    ];
    for (what, stream, overlap) in rows {
        let refused = events.append(stream, Expected::Any, overlap).await;
        assert!(
            matches!(&refused, Err(Error::DuplicateEvent { stream: s, .. }) if s == stream),
            "{what}: {refused:?}"
        );
    }
    let without_an_id = events.append("a", Expected::Any, [known(3), event(4)]).await;
    assert!(matches!(without_an_id, Err(Error::DuplicateEvent { .. })), "{without_an_id:?}");
    assert_eq!((events.head().await?, events.version("a").await?), (4, 3));
    Ok(())
}

async fn g4_an_import_can_be_repeated(store: Store) -> Result<()> {
    let events = store.events();
    let some = |numbers: std::ops::Range<u64>| -> Vec<(String, Event)> {
        numbers.map(|n| (format!("s-{}", n % 3), known(n))).collect()
    };
    assert_eq!(events.import(some(0..10)).await?, Imported { added: 10, known: 0 });
    assert_eq!(events.import(some(0..10)).await?, Imported { added: 0, known: 10 });
    assert_eq!(events.import(some(5..15)).await?, Imported { added: 5, known: 5 });
    assert_eq!(events.import([]).await?, Imported::default());
    let numbers: Vec<u64> = all(events.read_all()).await?.iter().map(|found| found.3).collect();
    assert!(numbers.into_iter().eq(0..15), "in their order, each once");
    assert_eq!(events.version("s-0").await?, 5);
    Ok(())
}

async fn an_import_is_all_or_nothing(store: Store) -> Result<()> {
    let events = store.events();
    events.import([("a".to_owned(), known(1))]).await?;
    let taken = events.import([("b".to_owned(), known(2)), ("b".to_owned(), known(1))]).await;
    assert_eq!(taken, Err(Error::DuplicateEvent { stream: "b".into(), id: id(1) }));
    let nameless = events.import([("b".to_owned(), known(2)), ("".to_owned(), known(3))]).await;
    assert!(matches!(nameless, Err(Error::InvalidName { .. })), "{nameless:?}");
    let without_id = events.import([("b".to_owned(), known(2)), ("b".to_owned(), event(3))]).await;
    assert!(matches!(without_id, Err(Error::InvalidArgument { .. })), "{without_id:?}");
    assert_eq!((events.head().await?, events.version("b").await?), (1, 0));
    Ok(())
}

async fn g5_appends_take_effect_in_the_order_they_were_sent(store: Store) -> Result<()> {
    let events = store.events();
    let sent: Vec<_> = (0..300).map(|n| begin(events.append("a", Expected::Any, [event(n)]))).collect();
    for (index, sent) in sent.into_iter().enumerate() {
        assert_eq!(sent.await?.version, index as u64 + 1);
    }
    let numbers: Vec<u64> = all(events.read_stream("a")).await?.iter().map(|found| found.3).collect();
    assert!(numbers.into_iter().eq(0..300));
    Ok(())
}

async fn g5_what_was_acknowledged_is_read(store: Store) -> Result<()> {
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let events = store.events();
            tokio::spawn(async move {
                let stream = format!("s-{task}");
                for n in 1..=20 {
                    let done = events.append(&stream, Expected::Version(n - 1), [event(n)]).await?;
                    assert_eq!(events.version(&stream).await?, n);
                    assert!(events.head().await? >= done.position);
                    let last = all(events.read_stream(&stream).backward().limit(1)).await?;
                    assert_eq!(last, [(stream.clone(), n, done.position, n)]);
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

async fn g6_a_refused_append_does_not_fail_its_neighbours(store: Store) -> Result<()> {
    let events = store.events();
    events.append("taken", Expected::NoStream, [known(1)]).await?;
    // Sent together, so they share commits: every third is refused, in three ways.
    let sent: Vec<_> = (0..300_u64)
        .map(|n| {
            let (stream, expected, event) = match n % 9 {
                0 => ("taken".to_owned(), Expected::NoStream, event(n)),
                3 => ("taken".to_owned(), Expected::Any, known(1).at("x")),
                6 => (format!("s-{n}"), Expected::Exists, event(n)),
                _ => (format!("s-{n}"), Expected::NoStream, event(n)),
            };
            let both = if n % 9 == 3 { vec![event, self::event(n)] } else { vec![event] };
            (n, begin(events.append(stream, expected, both)))
        })
        .collect();
    for (n, sent) in sent {
        match (n % 9, sent.await) {
            (0 | 6, Err(Error::Conflict { .. })) | (3, Err(Error::DuplicateEvent { .. })) => {}
            (1 | 2 | 4 | 5 | 7 | 8, Ok(done)) => assert_eq!(done.version, 1),
            (_, other) => panic!("append {n}: {other:?}"),
        }
    }
    assert_eq!(events.head().await?, 201);
    Ok(())
}

async fn everything_given_comes_back_as_it_was(store: Store) -> Result<()> {
    let odd = "{ \"b\" : 1.50e2,\t\"a\":[ ],\"big\":12345678901234567890123, \"é\\u0041\": null,\"b\":2 }";
    let events = store.events();
    let given = Event::from_json("Odd type: 100 % 'quoted'", odd)?
        .id(id(5))
        .at("2026-02-30T25:61:00+05:45 or so")
        .metadata(" {\"who\": \"Ada\"}\n")
        .schema(u32::MAX);
    let plain = Event::new("Plain", &serde_json::json!(null))?;
    events.append("odd-1", Expected::NoStream, [given, plain]).await?;
    let mut stream = events.read_stream("odd-1");
    let found = stream.next().await.unwrap()?;
    assert_eq!(found.json(), Some(odd));
    assert_eq!((found.event_type(), found.id()), ("Odd type: 100 % 'quoted'", id(5)));
    assert_eq!(found.at(), Some("2026-02-30T25:61:00+05:45 or so"));
    assert_eq!(found.metadata(), Some(" {\"who\": \"Ada\"}\n"));
    assert_eq!((found.schema(), found.version(), found.position()), (u32::MAX, 1, 1));
    assert_eq!((found.stream(), found.recorded_at_ms() > 0), ("odd-1", true));
    let found = stream.next().await.unwrap()?;
    assert_eq!((found.json(), found.at(), found.metadata(), found.schema()), (Some("null"), None, None, 1));
    assert!(!found.id().is_nil());
    assert!(stream.next().await.is_none() && stream.next().await.is_none());
    Ok(())
}

async fn a_type_that_cannot_be_decoded_is_named(store: Store) -> Result<()> {
    #[derive(Debug, serde::Deserialize)]
    enum Known {
        #[allow(dead_code, reason = "only its name matters")]
        Seen { n: u64 },
    }
    let events = store.events();
    events.append("a", Expected::Any, [Event::new("Unknown", &1)?, Event::new("Seen", &"text")?]).await?;
    let mut stream = events.read_stream("a");
    for (version, event_type) in [(1, "Unknown"), (2, "Seen")] {
        let found = stream.next().await.unwrap()?;
        let error = found.decode_event::<Known>().unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Decode { .. }), "{text}");
        assert!(
            text.contains(event_type) && text.contains(&version.to_string()) && text.contains("\"a\""),
            "{text}"
        );
        assert!(matches!(found.decode::<Vec<u8>>(), Err(Error::Decode { .. })));
    }
    Ok(())
}

async fn heads_and_versions_start_at_nothing(store: Store) -> Result<()> {
    let events = store.events();
    assert_eq!((events.head().await?, events.version("a").await?), (0, 0));
    assert!(all(events.read_all()).await?.is_empty() && all(events.read_stream("a")).await?.is_empty());
    events.append("a", Expected::Any, [event(1), event(2)]).await?;
    events.append("b", Expected::Any, [event(3)]).await?;
    assert_eq!((events.head().await?, events.version("a").await?, events.version("b").await?), (3, 2, 1));
    Ok(())
}

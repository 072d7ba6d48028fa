//! Content: how much, of what form, and how deep.

use millpond::{Error, Event, Expected, Result, Store, WriteOutcome};

use super::nothing_was_written;
use crate::backends::{event, known};

each_backend! {
    too_much_is_refused_and_just_enough_is_taken
    content_that_is_not_json_is_refused
    odd_content_is_kept_byte_for_byte
    metadata_that_is_not_json_is_refused_before_anything_is_sent
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

async fn odd_content_is_kept_byte_for_byte(store: Store) -> Result<()> {
    let odd = [
        "null",
        "0",
        "-0.0",
        "1e999",
        "9007199254740993",
        "18446744073709551615",
        "\"\"",
        r#""\u0000""#,
        r#"{"a":1,"a":2}"#,
        "[ 1 ,\n2 ]",
        "\"\u{202E}\"",
    ];
    for (version, text) in (1..).zip(odd) {
        let done = store.events().append("a", Expected::Any, [Event::from_json("T", text)?]).await?;
        assert_eq!(done.version, version);
        let found = store.events().read_stream("a").backward().next().await.unwrap()?;
        assert_eq!(found.json(), Some(text));
    }
    let exact = store.events().read_stream("a").from(5).next().await.unwrap()?;
    assert_eq!(exact.decode::<u64>()?, 9_007_199_254_740_993);
    let too_large = store.events().read_stream("a").from(4).next().await.unwrap()?;
    assert!(matches!(too_large.decode::<f64>(), Err(Error::Decode { .. })));
    Ok(())
}

async fn metadata_that_is_not_json_is_refused_before_anything_is_sent(store: Store) -> Result<()> {
    for bad in ["", "{", "NaN", "1 2"] {
        let refused = store.events().import([("a".to_owned(), known(1).metadata(bad))]).await.unwrap_err();
        assert!(matches!(refused, Error::Encode { .. }), "{bad}: {refused:?}");
        assert_eq!(refused.outcome(), WriteOutcome::NotApplied);
        assert!(matches!(event(1).metadata(bad).check("a"), Err(Error::Encode { .. })));
    }
    nothing_was_written(&store).await
}

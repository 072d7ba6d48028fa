//! Dicts: values by key, what is expected of them, and nothing lost however many write at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use millpond::{
    Dict, Error, Expected, Failure, ManualClock, Primitive, Put, Recorded, Result, Rows, Store, blocking,
};
use serde::{Deserialize, Serialize};

use crate::backends::event;

each_backend! {
    a_value_is_there_until_it_is_replaced_or_removed
    a4_what_was_read_is_replaced_only_if_it_is_still_that
    a4_updates_lose_nothing_however_many_there_are
    a4_counting_up_is_exact_however_many_do_it
    what_is_popped_is_one_callers
    entries_come_by_key_page_after_page
    many_are_cleared
    g2_a_batch_writes_dicts_with_all_else_or_not_at_all
    g2_a_decode_that_fails_changes_nothing
    a7_a_projection_counts_in_a_dict_exactly_once
    whoever_watches_is_told
    whoever_watches_a_dict_is_told_key_by_key
    bad_input_is_refused_and_loses_nothing
    both_faces_are_the_same_dict
}

mod on_a_clock {
    each_backend! {
        on a clock:
        d1_what_is_over_is_nowhere
    }
    use super::d1_what_is_over_is_nowhere;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    cents: u64,
    names: Vec<String>,
}

async fn all<T: serde::de::DeserializeOwned>(dict: &Dict<T>, prefix: &str) -> Result<Vec<(String, T)>> {
    let (mut entries, mut found) = (dict.entries(prefix), Vec::new());
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        found.push((entry.key().to_owned(), entry.into_value()));
    }
    Ok(found)
}

async fn a_value_is_there_until_it_is_replaced_or_removed(store: Store) -> Result<()> {
    let prices = store.dict::<Price>("prices");
    assert_eq!(
        (prices.get("lamp").await?, prices.contains("lamp").await?, prices.count().await?),
        (None, false, 0)
    );
    let lamp = Price { cents: 700, names: vec!["\"lamp\"".into(), "näme".into()] };
    assert_eq!(prices.set("lamp", &lamp).await?, 1);
    let entry = prices.get("lamp").await?.expect("it is there");
    assert_eq!((entry.key(), entry.version(), entry.ends_at_ms(), &*entry), ("lamp", 1, None, &lamp));
    assert_eq!(prices.set("lamp", &Price { cents: 800, ..lamp.clone() }).await?, 2);
    assert_eq!(prices.get("lamp").await?.map(|entry| entry.cents), Some(800));
    assert_eq!(store.dict::<Price>("Prices").get("lamp").await?, None, "another dict");
    assert!(prices.delete("lamp").await? && !prices.delete("lamp").await?);
    assert_eq!((prices.get("lamp").await?, prices.count().await?), (None, 0));
    assert!(store.dict::<u64>("never").delete("x").await.is_ok_and(|was| !was));
    let dicts = store.inspect().dicts(None, 9).await?;
    assert_eq!(
        dicts.iter().map(|it| (it.name.as_str(), it.version, it.count)).collect::<Vec<_>>(),
        [("prices", 3, 0)]
    );
    Ok(())
}

async fn a4_what_was_read_is_replaced_only_if_it_is_still_that(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d");
    let first = dict.set_with("k", &1, Put::new().absent()).await?;
    let told = async |put: Put| dict.set_with("k", &9, put).await.unwrap_err();
    let error = told(Put::new().absent()).await;
    assert_eq!(error.to_string(), "\"k\" of dict \"d\" was expected to be nothing, but it has version 1");
    let second = dict.set_with("k", &2, Put::new().version(first)).await?;
    let error = told(Put::new().version(first)).await;
    assert!(matches!(error, Error::EntryConflict { actual: Some(2), .. }), "{error}");
    assert_eq!(dict.set_with("k", &3, Put::new().present()).await?, second + 1);
    assert_eq!(dict.get("k").await?.as_deref(), Some(&3));
    let error = dict.set_with("new", &1, Put::new().present()).await.unwrap_err();
    assert_eq!(error.to_string(), "\"new\" of dict \"d\" was expected to be something, but there is nothing");
    Ok(())
}

async fn a4_updates_lose_nothing_however_many_there_are(store: Store) -> Result<()> {
    let dict = store.dict::<Vec<u64>>("d");
    let add = async |who: u64| {
        for n in 0..20 {
            let version = dict.update("all", |list| {
                let mut list = list.unwrap_or_default();
                list.push(who * 100 + n);
                Some(list)
            });
            assert!(version.await?.is_some());
        }
        Ok::<_, Error>(())
    };
    join_all((0..8).map(add)).await.into_iter().collect::<Result<()>>()?;
    let list = dict.get("all").await?.expect("it is there").into_value();
    for who in 0..8 {
        let own: Vec<u64> = list.iter().copied().filter(|it| it / 100 == who).map(|it| it % 100).collect();
        assert_eq!(own, (0..20).collect::<Vec<_>>(), "each of {who}, in order");
    }
    assert_eq!(dict.update("all", |_| None).await?, None);
    assert!(!dict.contains("all").await?);
    assert_eq!(dict.update("none", |found| found).await?, None);
    Ok(())
}

async fn a4_counting_up_is_exact_however_many_do_it(store: Store) -> Result<()> {
    let dict = store.dict::<i64>("d");
    let count = async |_| {
        let mut last = 0;
        for _ in 0..50 {
            let sum = dict.increment("n", 2).await?;
            assert!(sum > last);
            last = sum;
        }
        Ok::<_, Error>(())
    };
    join_all((0..16).map(count)).await.into_iter().collect::<Result<()>>()?;
    assert_eq!(dict.get("n").await?.as_deref(), Some(&1_600));
    store.dict::<String>("d").set("text", &"7".to_owned()).await?;
    let error = dict.increment("text", 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"text\" of dict \"d\" cannot be added to: it is no whole number of 64 bits; it is as it was"
    );
    dict.set("most", &i64::MAX).await?;
    let error = dict.increment("most", 1).await.unwrap_err();
    assert!(error.to_string().contains("9223372036854775807, and 1 more is beyond 64 bits"), "{error}");
    assert_eq!(dict.increment("most", -1).await?, i64::MAX - 1);
    Ok(())
}

async fn what_is_popped_is_one_callers(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d");
    for n in 0..20 {
        dict.set(format!("k{n}"), &n).await?;
    }
    let pops = (0..60).map(|n| dict.pop(format!("k{}", n % 20)));
    let popped: Vec<_> = join_all(pops).await.into_iter().collect::<Result<_>>()?;
    let mut got: Vec<u64> = popped.into_iter().flatten().map(millpond::Entry::into_value).collect();
    got.sort_unstable();
    assert_eq!(got, (0..20).collect::<Vec<_>>());
    Ok(())
}

async fn entries_come_by_key_page_after_page(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d");
    let mut batch = store.batch();
    for n in 0..2_500 {
        batch.set(&dict, format!("{}-{n:04}", if n % 2 == 0 { "even" } else { "odd" }), &n)?;
    }
    batch.commit().await?;
    assert_eq!(dict.count().await?, 2_500);
    let found = all(&dict, "even-").await?;
    assert_eq!(found.len(), 1_250);
    assert!(found.iter().map(|(_, value)| *value).eq((0..2_500).step_by(2)));
    let mut last = dict.entries("").last_first().limit(3);
    for expected in [2_499, 2_497, 2_495] {
        assert_eq!(*last.next().await.expect("one")?, expected);
    }
    assert!(last.next().await.is_none());
    let mut behind = dict.entries("odd").after("odd-2495");
    assert_eq!(behind.next().await.expect("one")?.key(), "odd-2497");
    // What cannot be decoded is an error in its place.
    store.dict::<String>("d").set("even-0001", &"text".to_owned()).await?;
    let mut entries = dict.entries("even-").limit(3);
    assert_eq!(*entries.next().await.expect("one")?, 0);
    let error = entries.next().await.expect("one").unwrap_err();
    assert!(error.to_string().contains("the value of \"even-0001\" of dict \"d\""), "{error}");
    assert_eq!(*entries.next().await.expect("one")?, 2);
    Ok(())
}

async fn many_are_cleared(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d");
    let mut batch = store.batch();
    (0..2_200).try_for_each(|n| batch.set(&dict, format!("a{n}"), &n).map(drop))?;
    batch.set(&dict, "b", &1)?;
    batch.commit().await?;
    assert_eq!((dict.clear("a").await?, dict.count().await?), (2_200, 1));
    assert_eq!((dict.clear("").await?, dict.clear("").await?), (1, 0));
    Ok(())
}

async fn g2_a_batch_writes_dicts_with_all_else_or_not_at_all(store: Store) -> Result<()> {
    let (dict, log) = (store.dict::<u64>("d"), store.log::<u64>("l"));
    let both = async |put: Put| {
        let mut batch = store.batch();
        let sum = batch.increment(&dict, "n", 5)?;
        let version = batch.set_with(&dict, "k", &1, put)?;
        let was = batch.delete(&dict, "gone")?;
        batch.log(&log, &7)?;
        let written = batch.commit().await?;
        Ok::<_, Error>((written[sum], written[version], written[was]))
    };
    dict.set("gone", &0).await?;
    assert_eq!(both(Put::new().absent()).await?, (5, 3, true));
    assert!(matches!(both(Put::new().absent()).await, Err(Error::EntryConflict { .. })));
    assert_eq!(all(&dict, "").await?, [("k".to_owned(), 1), ("n".to_owned(), 5)]);
    assert_eq!(log.extent().await?.last, 1);
    let other = Store::memory().await?;
    let refused = store.batch().set(&other.dict::<u64>("d"), "k", &1);
    assert!(matches!(refused, Err(Error::InvalidArgument { .. })));
    other.close().await
}

async fn g2_a_decode_that_fails_changes_nothing(store: Store) -> Result<()> {
    store.dict::<String>("d").set("k", &"text".to_owned()).await?;
    let numbers = store.dict::<u64>("d");
    assert!(matches!(numbers.get("k").await, Err(Error::Decode { .. })));
    assert!(matches!(numbers.update("k", |_| Some(1)).await, Err(Error::Decode { .. })));
    assert!(numbers.contains("k").await?);
    assert_eq!(store.dict::<String>("d").get("k").await?.map(|it| it.version()), Some(1));
    Ok(())
}

async fn a7_a_projection_counts_in_a_dict_exactly_once(store: Store) -> Result<()> {
    for n in 0..30 {
        store.events().append(format!("c-{}", n % 3), Expected::Any, [event(n)]).await?;
    }
    let (counts, projection) = (store.dict::<i64>("counts"), store.projection("counts"));
    let (to, mut tries) = (counts.clone(), 0);
    let project = move |event: &Recorded, rows: &mut Rows<'_>| -> std::result::Result<(), Failure> {
        rows.increment(&to, event.stream(), 1)?;
        tries += 1;
        if tries % 7 == 0 { Err("not now".into()) } else { Ok(()) }
    };
    let projector = projection.projector(store.events().read_all()).batch(4).attempts(100);
    assert_eq!(projector.drain().run(project).await?.handled, 30);
    let expected = ["c-0", "c-1", "c-2"].map(|stream| (stream.to_owned(), 10));
    assert_eq!(all(&counts, "").await?, expected);
    Ok(())
}

async fn whoever_watches_is_told(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d");
    let mut changes = store.watch("*").await?;
    dict.set("k", &1).await?;
    dict.increment("n", 1).await?;
    assert!(!dict.delete("none").await?);
    dict.delete("k").await?;
    dict.clear("").await?;
    for (version, key) in [(1, "k"), (2, "n"), (3, "k"), (4, "n")] {
        let change = changes.next().await.expect("one")?;
        assert_eq!((change.primitive(), change.name()), (Primitive::Dict, "d"));
        assert_eq!((change.sequence(), change.key()), (Some(version), Some(key)));
    }
    Ok(())
}

async fn whoever_watches_a_dict_is_told_key_by_key(store: Store) -> Result<()> {
    let (dict, other) = (store.dict::<u64>("d"), store.dict::<u64>("other"));
    dict.set("a-0", &0).await?;
    let mut changes = dict.watch("a-").await?;
    other.set("a-1", &9).await?;
    store.log::<u64>("d").append(&1).await?;
    dict.set("b-1", &9).await?;
    dict.set("a-1", &1).await?;
    let mut batch = store.batch();
    batch.increment(&dict, "a-1", 1)?;
    batch.delete(&dict, "a-0")?;
    batch.commit().await?;
    store.dict::<String>("d").set("a-2", &"text".to_owned()).await?;
    dict.clear("a-").await?;
    let mut told = Vec::new();
    for _ in 0..6 {
        let change = changes.next().await.expect("one")?;
        assert_eq!(change.entry, None, "it is gone by now");
        told.push((change.key, change.version));
    }
    let expected = [("a-1", 3), ("a-1", 4), ("a-0", 5), ("a-2", 6), ("a-1", 7), ("a-2", 7)];
    assert_eq!(told, expected.map(|(key, version)| (key.to_owned(), version)));
    dict.set("a-3", &7).await?;
    let change = changes.next().await.expect("one")?;
    assert_eq!((change.key.as_str(), change.version, change.entry.as_deref()), ("a-3", 8, Some(&7)));
    store.dict::<String>("d").set("a-4", &"text".to_owned()).await?;
    assert!(matches!(changes.next().await, Some(Err(Error::Decode { .. }))));
    // For a thread.
    let store = store.blocking();
    let case = move || -> Result<()> {
        let dict = store.dict::<u64>("d");
        let mut changes = dict.watch("")?;
        dict.set("z", &1)?;
        let change = changes.next().expect("one")?;
        assert_eq!((change.key.as_str(), change.entry.as_deref()), ("z", Some(&1)));
        Ok(())
    };
    tokio::task::spawn_blocking(case).await.unwrap()
}

async fn bad_input_is_refused_and_loses_nothing(store: Store) -> Result<()> {
    let dict = store.dict::<u64>("d");
    dict.set("k", &1).await?;
    for key in ["", "\u{0}", "a\nb", &"x".repeat(513)] {
        let errors = [
            dict.set(key, &1).await.map(drop),
            dict.get(key).await.map(drop),
            dict.delete(key).await.map(drop),
            dict.increment(key, 1).await.map(drop),
            store.batch().set(&dict, key, &1).map(drop),
        ];
        for error in errors {
            assert!(matches!(error, Err(Error::InvalidName { .. })), "{error:?}");
        }
    }
    for ttl in [Duration::ZERO, Duration::from_secs(366 * 86_400)] {
        let error = dict.set_with("k", &2, Put::new().ttl(ttl)).await.unwrap_err();
        assert!(matches!(error, Error::InvalidDuration { .. }), "{error}");
    }
    let large = store.dict::<String>("d").set("k", &"x".repeat(5 << 20)).await.unwrap_err();
    assert!(matches!(large, Error::TooLarge { .. }), "{large}");
    assert!(matches!(store.dict::<u64>("").set("k", &1).await, Err(Error::InvalidName { .. })));
    let mut nothing = store.dict::<u64>("").entries("");
    assert!(matches!(nothing.next().await, Some(Err(Error::InvalidName { .. }))));
    assert!(nothing.next().await.is_none());
    let odd = "' OR 1=1; -- \"%_*";
    dict.set(odd, &7).await?;
    assert_eq!(all(&dict, "' OR").await?, [(odd.to_owned(), 7)]);
    assert_eq!(dict.get("k").await?.as_deref(), Some(&1));
    Ok(())
}

async fn both_faces_are_the_same_dict(store: Store) -> Result<()> {
    let case = |store: blocking::Store| -> Result<()> {
        let dict = store.dict::<u64>("d");
        assert_eq!((dict.set("a", &1)?, dict.set_with("b", &2, Put::new().absent())?), (1, 2));
        assert!(dict.contains("a")? && !dict.contains("c")?);
        assert_eq!(dict.update("a", |found| found.map(|it| it + 10))?, Some(3));
        assert_eq!(dict.update("b", |_| None)?, None);
        assert_eq!((dict.increment("n", 4)?, dict.count()?), (4, 2));
        let mut batch = store.batch();
        let (sum, was) = (batch.increment(&dict, "n", 1)?, batch.delete(&dict, "none")?);
        batch.set(&dict, "c", &3)?;
        batch.set_with(&dict, "d", &4, Put::new().absent())?;
        let written = batch.commit()?;
        assert_eq!((written[sum], written[was]), (5, false));
        let keys = |entries: blocking::Entries<u64>| {
            entries.map(|it| it.map(|it| it.key().to_owned())).collect::<Result<Vec<_>>>()
        };
        assert_eq!(keys(dict.entries("").after("a").limit(2))?, ["c", "d"]);
        assert_eq!(keys(dict.entries("").last_first().limit(1))?, ["n"]);
        assert_eq!(dict.pop("a")?.map(millpond::Entry::into_value), Some(11));
        assert!(dict.delete("c")? && dict.get("c")?.is_none());
        assert_eq!((dict.clear("")?, store.inspect().dicts(None, 9)?.len()), (2, 1));
        Ok(())
    };
    let store = store.blocking();
    tokio::task::spawn_blocking(move || case(store)).await.unwrap()
}

async fn d1_what_is_over_is_nowhere(store: Store, clock: Arc<ManualClock>) -> Result<()> {
    let (dict, second) = (store.dict::<i64>("d"), Duration::from_secs(1));
    dict.set_with("short", &1, Put::new().ttl(second)).await?;
    dict.set_with("long", &2, Put::new().ttl(10 * second)).await?;
    dict.set("ever", &3).await?;
    let keys =
        async || Ok::<_, Error>(all(&dict, "").await?.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    clock.advance(second - Duration::from_millis(1));
    assert_eq!((dict.count().await?, keys().await?), (3, vec!["ever".into(), "long".into(), "short".into()]));
    clock.advance(Duration::from_millis(1));
    assert_eq!((dict.get("short").await?, dict.contains("short").await?), (None, false));
    assert_eq!((dict.count().await?, keys().await?), (2, vec!["ever".into(), "long".into()]));
    assert!(dict.pop("short").await?.is_none() && !dict.delete("short").await?);
    assert_eq!(dict.increment("short", 5).await?, 5, "anew");
    assert_eq!(dict.increment("long", 5).await?, 7, "its time stays");
    assert!(matches!(dict.set_with("ever", &1, Put::new().absent()).await, Err(Error::EntryConflict { .. })));
    clock.advance(9 * second);
    assert_eq!(keys().await?, ["ever", "short"]);
    dict.set_with("long", &1, Put::new().absent()).await?;
    clock.advance(1_000 * second);
    assert_eq!(keys().await?, ["ever", "long", "short"]);
    Ok(())
}

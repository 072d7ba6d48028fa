//! Filters: what is found is what looking at everything would find, with an index and without one, wherever records are read.

use futures_util::future::join_all;
use millpond::{
    Dict, Entries, Error, Event, Expected, From, Json, Put, Result, Store, Where, blocking, field,
};
use serde_json::value::RawValue;

use crate::backends::begin;

each_backend! {
    d6_what_is_asked_for_is_data_and_reads_nothing_of_others
    entries_are_picked_out_page_after_page
    an_index_is_made_while_others_write
    an_index_that_is_left_half_made_is_gone_on_with
    whatever_writes_keeps_an_index_up
    a_plan_is_told
    bad_filters_are_refused_by_whatever_is_asked
    records_and_messages_are_picked_out_and_followed
    events_are_picked_out_and_followed
    both_faces_find_the_same
}

pub(super) type Text = Box<RawValue>;

pub(super) fn raw(json: &str) -> Text {
    RawValue::from_string(json.to_owned()).unwrap()
}

pub(super) async fn keys<T: serde::de::DeserializeOwned>(mut entries: Entries<T>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    while let Some(entry) = entries.next().await {
        found.push(entry?.key().to_owned());
    }
    Ok(found)
}

async fn d6_what_is_asked_for_is_data_and_reads_nothing_of_others(store: Store) -> Result<()> {
    store.dict::<Text>("theirs").set("k", &raw(r#"{"secret": "x", "a": 1}"#)).await?;
    let ours = store.dict::<Text>("ours");
    let odd = ["') OR 1=1; --", "a\" OR \"\"=\"", "$.secret", "secret\"] --", "%", "\\", "]", "{\"a\":1}"];
    for (at, text) in odd.iter().enumerate() {
        let text = serde_json::to_string(text).unwrap();
        ours.set(format!("{at}"), &raw(&format!("{{{text}: {text}}}"))).await?;
    }
    for indexed in [false, true] {
        for (at, text) in odd.iter().enumerate() {
            let path = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            if indexed {
                ours.index([&path]).await?;
                assert!(ours.explain(field(&path).equal(*text)).await?.index.is_some());
            }
            let found = keys(ours.entries("").matching(field(&path).equal(*text))).await?;
            assert_eq!(found, [format!("{at}")], "{text}");
            assert_eq!(ours.count_where("", field(&path).begins_with("' OR '1'='1")).await?, 0);
        }
    }
    assert_eq!(ours.count_where("", field("secret").exists().or(field("a").exists())).await?, 0);
    let error = ours.index(["a'); DROP TABLE dict_entry; --"]).await.unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert_eq!(ours.indexes().await?.len(), odd.len());
    Ok(())
}

/// Entries of which every seventh is wanted.
async fn fill(dict: &Dict<Json>, count: u64) -> Result<()> {
    let value = |n: u64| {
        [("n", Json::from(n)), ("seventh", n.is_multiple_of(7).into())].into_iter().collect::<Json>()
    };
    let all: Vec<u64> = (0..count).collect();
    for some in all.chunks(64) {
        let set = async |n: &u64| dict.set(format!("k{n:04}"), &value(*n)).await.map(drop);
        join_all(some.iter().map(set)).await.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

async fn entries_are_picked_out_page_after_page(store: Store) -> Result<()> {
    let dict = store.dict::<Json>("d");
    fill(&dict, 2_300).await?;
    let right: Vec<String> = (0..2_300).step_by(7).map(|n| format!("k{n:04}")).collect();
    let wanted = || field("seventh").equal(true);
    let round = async || {
        assert_eq!(keys(dict.entries("").matching(wanted())).await?, right);
        let mut back = keys(dict.entries("").last_first().matching(wanted())).await?;
        back.reverse();
        assert_eq!(back, right);
        let some = dict.entries("k1").matching(wanted()).after("k1500").limit(3);
        assert_eq!(keys(some).await?, ["k1505", "k1512", "k1519"]);
        assert_eq!(dict.count_where("k2", wanted()).await?, 43);
        assert_eq!(dict.count_where("", field("n").less(1_000)).await?, 1_000);
        Ok::<_, Error>(())
    };
    round().await?;
    dict.index(["seventh", "n"]).await?;
    assert!(dict.indexes().await?.iter().all(|index| index.complete && index.entries == 2_300));
    round().await?;
    assert_eq!(dict.unindex(["n", "never"]).await?, 1);
    assert_eq!(
        dict.indexes().await?.iter().map(|index| index.field.as_str()).collect::<Vec<_>>(),
        ["seventh"]
    );
    round().await
}

async fn an_index_is_made_while_others_write(store: Store) -> Result<()> {
    let dict = store.dict::<Json>("d");
    fill(&dict, 2_500).await?;
    let write = async |n: u64| {
        let key = format!("k{:04}", n * 37 % 2_600);
        match n % 3 {
            0 => dict.delete(&key).await.map(drop),
            _ => dict.set(&key, &[("n", Json::from(9_999))].into_iter().collect()).await.map(drop),
        }
    };
    let writes = async { join_all((0..400).map(write)).await.into_iter().collect::<Result<()>>() };
    let (indexed, again, written) = tokio::join!(dict.index(["n"]), dict.index(["n", "seventh"]), writes);
    indexed.and(again).and(written)?;
    let all = keys(dict.entries("")).await?;
    let (changed, old) = (field("n").equal(9_999), field("n").less(9_999));
    assert!(dict.explain(changed.clone()).await?.index.is_some());
    let mut found = keys(dict.entries("").matching(changed)).await?;
    found.extend(keys(dict.entries("").matching(old)).await?);
    found.sort();
    assert_eq!(found, all);
    assert!(dict.indexes().await?.iter().all(|index| index.complete));
    Ok(())
}

async fn an_index_that_is_left_half_made_is_gone_on_with(store: Store) -> Result<()> {
    let dict = store.dict::<Json>("d");
    fill(&dict, 2_100).await?;
    // Its first commit is under way, and nobody asks for the others.
    drop(begin(dict.index(["n"])));
    assert_eq!(dict.count_where("", field("n").at_least(2_000)).await?, 100);
    dict.index(["n"]).await?;
    let indexes = dict.indexes().await?;
    assert!(indexes[0].complete && indexes[0].entries == 2_100, "{indexes:?}");
    assert_eq!(dict.count_where("", field("n").at_least(2_000)).await?, 100);
    Ok(())
}

async fn whatever_writes_keeps_an_index_up(store: Store) -> Result<()> {
    let (dict, log) = (store.dict::<Json>("d"), store.log::<u64>("l"));
    dict.index(["."]).await?;
    let found = async |n: i64| keys(dict.entries("").matching(field(".").equal(n))).await;
    dict.set("a", &1.into()).await?;
    dict.increment("a", 1).await?;
    dict.update("b", |_| Some(2.into())).await?;
    assert_eq!((found(1).await?.len(), found(2).await?), (0, vec!["a".to_owned(), "b".to_owned()]));
    let both = async |put: Put| {
        let mut batch = store.batch();
        batch.increment(&dict, "a", 5)?;
        batch.delete(&dict, "b")?;
        batch.log(&log, &1)?;
        batch.set_with(&dict, "c", &7.into(), put)?;
        batch.commit().await.map(drop)
    };
    assert!(both(Put::new().present()).await.is_err());
    assert_eq!((found(2).await?.len(), found(7).await?.len()), (2, 0), "nothing of it");
    both(Put::new().absent()).await?;
    assert_eq!((found(2).await?.len(), found(7).await?), (0, vec!["a".to_owned(), "c".to_owned()]));
    dict.pop("a").await?;
    assert_eq!((found(7).await?, dict.clear("").await?, found(7).await?.len()), (vec!["c".to_owned()], 1, 0));
    Ok(())
}

async fn a_plan_is_told(store: Store) -> Result<()> {
    let dict = store.dict::<Json>("d");
    fill(&dict, 70).await?;
    let wanted = || field("seventh").equal(true).and(field("n").at_least(60)).and(field("x").exists());
    let plain = dict.explain(wanted()).await?;
    assert_eq!((plain.index, plain.entries, plain.left.len()), (None, 70, 3));
    dict.index(["seventh", "n", "x", "y"]).await?;
    let explained = dict.explain(wanted()).await?;
    let text = "the index of n leads to 10 entries, by n >= 60 and n < 1000\n\
                in each of them is looked at seventh = true and x exists\n\
                the index of seventh is not used: another one leads to fewer entries (10)\n\
                the index of x is not used: nothing that it can answer always has to be so\n\
                the index of y is not used: nothing that it can answer always has to be so\n";
    let both = dict.explain(wanted().and(field("n").less(1_000))).await?;
    assert_eq!(both.to_string(), text);
    assert_eq!((explained.index.as_deref(), explained.entries, explained.or_more), (Some("n"), 10, false));
    let none = dict.explain(field("n").equal(1).or(field("seventh").equal(true))).await?;
    assert_eq!((none.index, none.left), (None, vec!["n = 1 or seventh = true".to_owned()]));
    let all = store.dict::<Json>("never").explain(field("n").equal(1)).await?;
    assert_eq!(
        all.to_string(),
        "no index is used: all there is is looked at, 0 entries\nin each of them is looked at n = 1\n"
    );
    Ok(())
}

async fn bad_filters_are_refused_by_whatever_is_asked(store: Store) -> Result<()> {
    let dict = store.dict::<Json>("d");
    fill(&dict, 3).await?;
    let bad = [
        field("a b").equal(1),
        field("").exists(),
        field("a").equal(f64::NAN),
        field("a").at_least(f64::INFINITY).or(field("b").exists()),
        !field("a[").exists(),
        field("a").one_of((0..1_001).collect::<Vec<i32>>()),
        field("a").equal("x".repeat(70_000)),
        (0..300).fold(field("a").exists(), |all, n| all.and(field("n").equal(n))),
    ];
    for wanted in bad {
        let (log, events) = (store.log::<u64>("l"), store.events());
        let mut entries = dict.entries("").matching(wanted.clone());
        let error = entries.next().await.expect("an error").unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. } | Error::TooLarge { .. }), "{error}");
        assert!(entries.next().await.is_none());
        let errors = [
            dict.count_where("", wanted.clone()).await.map(drop),
            dict.explain(wanted.clone()).await.map(drop),
            log.range(..).matching(wanted.clone()).next().await.expect("an error").map(drop),
            events.read_all().matching(wanted.clone()).next().await.expect("an error").map(drop),
            log.follow(From::Now).await?.matching(wanted.clone()).map(drop),
            wanted.to_json().map(drop),
        ];
        assert!(errors.iter().all(|found| *found == Err(error.clone())), "{errors:?}");
    }
    for path in ["a b", "", "a..b"] {
        assert!(matches!(dict.index(["n", path]).await, Err(Error::InvalidArgument { .. })));
        assert!(matches!(dict.unindex([path]).await, Err(Error::InvalidArgument { .. })));
    }
    let many: Vec<String> = (0..17).map(|n| format!("f{n}")).collect();
    let error = dict.index(&many).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 17, limit: 16, .. }), "{error}");
    assert_eq!((dict.indexes().await?, dict.count().await?), (vec![], 3));
    let unnamed = store.dict::<Json>("");
    assert!(matches!(unnamed.index(["a"]).await, Err(Error::InvalidName { .. })));
    assert!(matches!(unnamed.indexes().await, Err(Error::InvalidName { .. })));
    Ok(())
}

async fn records_and_messages_are_picked_out_and_followed(store: Store) -> Result<()> {
    let (log, channel) = (store.log::<Json>("l"), store.channel::<Json>("c"));
    let value = |n: u64| [("n", Json::from(n))].into_iter().collect::<Json>();
    let mut new = log.follow(From::Start).await?.matching(field("n").at_least(598))?;
    let mut heard = channel.subscribe_from(From::Start).await?.matching(field("n").one_of([2, 5]))?;
    log.append_all(&(0..600).map(value).collect::<Vec<_>>()).await?;
    for n in 0..6 {
        channel.publish(&value(n)).await?;
    }
    let sequences = async |mut history: millpond::History<Json>| {
        let mut found = Vec::new();
        while let Some(record) = history.next().await {
            found.push(record?.sequence());
        }
        Ok::<_, Error>(found)
    };
    let wanted = || field("n").less(3).or(field("n").equal(599));
    assert_eq!(sequences(log.range(..).matching(wanted())).await?, [1, 2, 3, 600]);
    assert_eq!(sequences(log.range(2..).matching(wanted()).newest_first().limit(2)).await?, [600, 3]);
    assert_eq!(sequences(channel.history().matching(wanted())).await?, [1, 2, 3]);
    for right in [599, 600] {
        assert_eq!(new.next().await.expect("one")?.sequence(), right);
    }
    for right in [3, 6] {
        assert_eq!(heard.next().await.expect("one")?.sequence(), right);
    }
    log.append(&value(700)).await?;
    assert_eq!(new.next().await.expect("one")?.sequence(), 601);
    Ok(())
}

async fn events_are_picked_out_and_followed(store: Store) -> Result<()> {
    let events = store.events();
    let deposit =
        |cents: f64| Event::new("Deposited", &[("cents", Json::from(cents))].into_iter().collect::<Json>());
    for (stream, cents) in [("a-1", 5.0), ("b-1", 700.0), ("a-2", 900.0), ("a-1", 100.5)] {
        events.append(stream, Expected::Any, [deposit(cents)?, Event::new("Noted", &"x")?]).await?;
    }
    let large = || field("cents").at_least(100);
    let positions = async |mut stream: millpond::EventStream| {
        let mut found = Vec::new();
        while let Some(event) = stream.next().await {
            found.push(event?.position());
        }
        Ok::<_, Error>(found)
    };
    assert_eq!(positions(events.read_all().matching(large())).await?, [3, 5, 7]);
    assert_eq!(positions(events.read_category("a").matching(large()).backward().limit(1)).await?, [7]);
    assert_eq!(positions(events.read_stream("a-1").matching(!large())).await?, [1, 2, 8]);
    assert_eq!(positions(events.read_all().event_type("Noted").matching(large())).await?, Vec::<u64>::new());
    let mut following = events.read_category("a").matching(large()).follow()?;
    for right in [5, 7] {
        assert_eq!(following.next().await.expect("one")?.position(), right);
    }
    events.append("a-3", Expected::Any, [deposit(1.0)?, deposit(1e3)?]).await?;
    assert_eq!(following.next().await.expect("one")?.position(), 10);
    // What is projected is no more than that either.
    let (sums, projection) = (store.dict::<i64>("sums"), store.projection("sums"));
    let to = sums.clone();
    let project = move |event: &millpond::Recorded, rows: &mut millpond::Rows<'_>| {
        rows.increment(&to, event.stream(), 1).map(drop).map_err(millpond::Failure::from)
    };
    let projector = projection.projector(events.read_all().matching(large()));
    assert_eq!(projector.drain().run(project).await?.handled, 4);
    assert_eq!(keys(sums.entries("")).await?, ["a-1", "a-2", "a-3", "b-1"]);
    Ok(())
}

async fn both_faces_find_the_same(store: Store) -> Result<()> {
    let dict = store.dict::<Json>("d");
    fill(&dict, 30).await?;
    store.log::<u64>("l").append_all(&[1, 2, 3]).await?;
    store.events().append("a-1", Expected::Any, [Event::new("E", &1)?, Event::new("E", &2)?]).await?;
    let case = |store: blocking::Store| -> Result<()> {
        let (dict, log) = (store.dict::<Json>("d"), store.log::<u64>("l"));
        let wanted: Where = "seventh = true and n > 0".parse()?;
        dict.index(["n", "seventh"])?;
        assert_eq!((dict.indexes()?.len(), dict.unindex(["n"])?), (2, 1));
        let found: Vec<String> =
            dict.entries("").matching(wanted.clone()).map(|it| it.unwrap().key().into()).collect();
        assert_eq!(found, ["k0007", "k0014", "k0021", "k0028"]);
        assert_eq!((dict.count_where("k001", wanted.clone())?, dict.explain(wanted)?.entries), (1, 5));
        let more: Where = ". >= 2".parse()?;
        let records: Vec<u64> = log.range(..).matching(more.clone()).map(|it| *it.unwrap()).collect();
        assert_eq!(records, [2, 3]);
        let mut new = log.follow(From::Start)?.matching(more.clone())?;
        assert_eq!(new.next().expect("one")?.sequence(), 2);
        assert_eq!(store.events().read_all().matching(more).count(), 1);
        Ok(())
    };
    let store = store.blocking();
    tokio::task::spawn_blocking(move || case(store)).await.unwrap()
}

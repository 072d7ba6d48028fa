//! Dicts: values by key, versions, and an end that is exact.

use millpond_actors::storage::dict::{
    Clear, Cleared, Entry, Expected, Increment, Incremented, Indexed, Kept, MakeIndex, Query, Remove,
    Removed, Seal, Set, Written,
};
use millpond_actors::storage::{Apply, Data};

use super::stage::*;

fn set(key: &str, value: &str) -> Set {
    Set {
        dict: name("d"),
        key: key.into(),
        data: Data::Json(value.into()),
        schema: 1,
        life_ms: None,
        expected: Expected::Any,
    }
}

fn remove(key: &str, expected: Expected) -> Remove {
    Remove { dict: name("d"), key: key.into(), sealed: false, expected }
}

fn add(key: &str, by: i64) -> Increment {
    Increment { dict: name("d"), key: key.into(), by }
}

fn get(stage: &Stage<'_>, key: &str) -> Option<Entry> {
    stage.view().dict_entry(&name("d"), key, stage.now()).unwrap()
}

fn text(entry: Option<Entry>) -> Option<String> {
    entry.map(|entry| String::from_utf8(entry.data.bytes().to_vec()).unwrap())
}

fn all(prefix: &str) -> Query {
    Query { dict: name("d"), prefix: prefix.into(), after: None, backward: false, filter: None, limit: 100 }
}

/// The keys of all pages of so many.
fn keys(stage: &Stage<'_>, query: &Query, limit: u32) -> Vec<String> {
    let (mut query, mut keys) = (Query { limit, ..query.clone() }, Vec::new());
    loop {
        let page = stage.view().dict_page(&query, stage.now()).unwrap();
        assert!(page.entries.len() <= limit as usize);
        keys.extend(page.entries.into_iter().map(|entry| entry.unwrap().key));
        let Some(last) = page.last.filter(|_| page.more) else { return keys };
        query.after = Some(last.into());
    }
}

fn version(written: Written) -> u64 {
    match written {
        Written::Done { version, .. } => version,
        Written::Conflict { .. } | Written::Otherwise => panic!("{written:?}"),
    }
}

pub(super) fn a_value_is_put_read_and_replaced(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(get(stage, "k"), None);
    assert_eq!(stage.view().dict(&name("d"), stage.now()), Ok(None));
    let Written::Done { dict, version: 1, replaced: false } = a.run(set("k", "1")) else {
        panic!("it is new")
    };
    let bytes = Set { data: Data::Bincode(vec![0, 255]), schema: 7, ..set("b", "") };
    assert_eq!(a.run(bytes), Written::Done { dict, version: 2, replaced: false });
    assert_eq!(a.run(set("k", "\"two\"")), Written::Done { dict, version: 3, replaced: true });
    let entry =
        Entry { key: "b".into(), version: 2, data: Data::Bincode(vec![0, 255]), schema: 7, ends_at: None };
    assert_eq!(get(stage, "b"), Some(entry));
    assert_eq!(get(stage, "k").map(|entry| entry.version), Some(3));
    assert_eq!(text(get(stage, "k")).as_deref(), Some("\"two\""));
    let other = Set { dict: name("D"), ..set("k", "0") };
    assert_eq!(version(a.run(other)), 1, "another dict has versions of its own");
    assert_eq!(get(stage, "K"), None, "keys are compared byte by byte");
    let head = stage.view().dict(&name("d"), stage.now()).unwrap().unwrap();
    assert_eq!((head.id, head.name.as_str(), head.version, head.count), (dict, "d", 3, 2));
    let heads = stage.view().dicts(None, 9, stage.now()).unwrap();
    assert_eq!(heads.iter().map(|head| head.name.as_str()).collect::<Vec<_>>(), ["D", "d"]);
    assert_eq!(stage.view().dicts(Some("D"), 9, stage.now()).unwrap(), [head]);
    assert_eq!(stage.view().dicts(None, 1, stage.now()).unwrap().len(), 1);
}

pub(super) fn a4_what_is_expected_is_looked_at_in_the_commit(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let when = |expected, value: &str| Set { expected, ..set("k", value) };
    assert_eq!(a.run(when(Expected::Present, "0")), Written::Conflict { actual: None });
    assert_eq!(stage.view().dicts(None, 9, stage.now()).unwrap(), [], "nothing came into being");
    assert_eq!(version(a.run(when(Expected::Absent, "1"))), 1);
    assert_eq!(b.run(when(Expected::Absent, "2")), Written::Conflict { actual: Some(1) });
    assert_eq!(version(b.run(when(Expected::Version(1), "3"))), 2);
    assert_eq!(a.run(when(Expected::Version(1), "4")), Written::Conflict { actual: Some(2) });
    assert_eq!(version(a.run(when(Expected::Present, "5"))), 3);
    assert_eq!(a.run(remove("k", Expected::Version(2))), Removed::Conflict { actual: Some(3) });
    assert!(matches!(a.run(remove("k", Expected::Version(3))), Removed::Done { entry: Some(_), .. }));
    assert_eq!(a.run(remove("k", Expected::Present)), Removed::Conflict { actual: None });
    // One that is put again never has a version that it had before.
    assert_eq!(version(a.run(when(Expected::Absent, "6"))), 5);
    assert_eq!(b.run(when(Expected::Version(3), "7")), Written::Conflict { actual: Some(5) });
}

pub(super) fn what_is_removed_is_told(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(a.run(remove("k", Expected::Any)), Removed::Done { dict: None, entry: None });
    let Written::Done { dict, .. } = a.run(set("k", "1")) else { panic!("it is new") };
    let entry = get(stage, "k");
    assert_eq!(a.run(remove("k", Expected::Any)), Removed::Done { dict: Some((dict, 2)), entry });
    assert_eq!(a.run(remove("k", Expected::Any)), Removed::Done { dict: Some((dict, 2)), entry: None });
    assert_eq!(get(stage, "k"), None);
    assert_eq!(stage.view().dict(&name("d"), stage.now()).unwrap().unwrap().count, 0);
}

pub(super) fn numbers_are_added_to_and_never_wrap(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let sum = |incremented| match incremented {
        Incremented::Done { version, value, .. } => (version, value),
        refused => panic!("{refused:?}"),
    };
    assert_eq!(sum(a.run(add("n", 3))), (1, 3));
    assert_eq!(sum(b.run(add("n", -5))), (2, -2));
    assert_eq!(text(get(stage, "n")).as_deref(), Some("-2"));
    a.run(set("n", &i64::MAX.to_string()));
    assert_eq!(a.run(add("n", 1)), Incremented::Overflow { value: i64::MAX });
    assert_eq!(sum(a.run(add("n", i64::MIN))), (4, -1));
    for odd in ["1.5", "\"7\"", "null", "[1]", "9223372036854775808", "1e3"] {
        a.run(set("odd", odd));
        assert_eq!(a.run(add("odd", 1)), Incremented::NoNumber, "{odd}");
        assert_eq!(text(get(stage, "odd")).as_deref(), Some(odd));
    }
    a.run(Set { life_ms: Some(50), ..set("t", "1") });
    a.run(add("t", 1));
    stage.pass(50);
    assert_eq!(get(stage, "t"), None, "its time stays as it is");
    assert_eq!(sum(a.run(add("t", 1))).1, 1, "it begins anew");
    stage.pass(1_000_000);
    assert!(get(stage, "t").is_some(), "and for ever");
}

pub(super) fn d1_what_is_over_is_not_there_for_anybody(stage: &Stage<'_>) {
    let mut a = stage.join();
    for (key, life_ms) in [("a1", Some(100)), ("a2", None), ("a3", Some(100)), ("b", Some(5_000))] {
        a.run(Set { life_ms, ..set(key, "1") });
    }
    assert_eq!(get(stage, "a1").unwrap().ends_at, Some(stage.now().wall_ms + 100));
    stage.pass(99);
    assert_eq!(keys(stage, &all(""), 9), ["a1", "a2", "a3", "b"]);
    stage.pass(1);
    assert_eq!(get(stage, "a1"), None);
    assert_eq!(keys(stage, &all(""), 9), ["a2", "b"]);
    assert_eq!(keys(stage, &all("a"), 1), ["a2"]);
    assert_eq!(stage.view().dict(&name("d"), stage.now()).unwrap().unwrap().count, 2);
    assert_eq!(
        a.run(Set { expected: Expected::Present, ..set("a1", "2") }),
        Written::Conflict { actual: None }
    );
    assert!(matches!(a.run(remove("a3", Expected::Any)), Removed::Done { entry: None, .. }));
    assert!(matches!(
        a.run(Set { expected: Expected::Absent, ..set("a1", "2") }),
        Written::Done { replaced: false, .. }
    ));
    stage.pass(1_000);
    assert_eq!(keys(stage, &all(""), 9), ["a1", "a2", "b"], "put again without an end");
}

pub(super) fn d1_an_end_goes_by_the_boot_clock_and_after_another_boot_by_the_wall_clock(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(Set { life_ms: Some(1_000), ..set("k", "1") });
    let wall = stage.now().wall_ms;
    stage.set_wall(wall + 1_000_000);
    assert!(get(stage, "k").is_some(), "whoever sets the wall clock does not end it");
    stage.set_wall(wall);
    drop(a);
    let mut b = stage.join_as(&identity("program", "another boot"));
    stage.set_wall(wall + 999);
    assert_eq!(b.run(add("k", 1)), Incremented::Done { dict: 1, version: 2, value: 2 });
    stage.set_wall(wall + 1_000);
    assert!(matches!(b.run(remove("k", Expected::Any)), Removed::Done { entry: None, .. }));
}

pub(super) fn entries_come_by_key_prefix_and_page(stage: &Stage<'_>) {
    let mut a = stage.join();
    let sorted = ["%", "a", "a b", "a-1", "a-2", "a-\u{10ffff}\u{10ffff}x", "aä", "b", "ä", "Ω"];
    for key in sorted.iter().rev() {
        a.run(set(key, "0"));
    }
    a.run(Set { dict: name("c"), ..set("other", "0") });
    a.run(Set { dict: name("e"), ..set("a-0", "0") });
    for limit in [1, 2, 3, 100] {
        assert_eq!(keys(stage, &all(""), limit), sorted);
        assert_eq!(keys(stage, &all("a-"), limit), &sorted[3..6]);
        assert_eq!(keys(stage, &all("a-\u{10ffff}"), limit), &sorted[5..6]);
        assert_eq!(keys(stage, &all("c"), limit), Vec::<String>::new());
        let back = |prefix| Query { backward: true, ..all(prefix) };
        assert_eq!(keys(stage, &back(""), limit), sorted.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(keys(stage, &back("a-"), limit), sorted[3..6].iter().rev().copied().collect::<Vec<_>>());
        let behind = Query { after: Some("a-1".into()), ..all("a") };
        assert_eq!(keys(stage, &behind, limit), &sorted[4..7]);
        let before = Query { after: Some("a-1".into()), ..back("a") };
        assert_eq!(keys(stage, &before, limit), ["a b", "a"]);
    }
    assert_eq!(
        stage.view().dict_page(&Query { dict: name("x"), ..all("") }, stage.now()).unwrap().entries,
        []
    );
}

pub(super) fn many_are_removed_a_few_at_a_time(stage: &Stage<'_>) {
    let mut a = stage.join();
    let clear = |prefix: &str, limit| Clear { dict: name("d"), prefix: prefix.into(), sealed: false, limit };
    assert_eq!(
        a.run(clear("", 9)),
        Cleared { dict: None, removed: Vec::new(), more: false, otherwise: false }
    );
    for key in ["a1", "a2", "a3", "b1"] {
        a.run(set(key, "0"));
    }
    let cleared = a.run(clear("a", 2));
    assert_eq!((cleared.removed.len(), cleared.more, cleared.dict.unwrap().1), (2, true, 5));
    let cleared = a.run(clear("a", 2));
    assert_eq!(
        cleared,
        Cleared { dict: Some((1, 6)), removed: vec!["a3".into()], more: false, otherwise: false }
    );
    assert!(a.run(clear("a", 2)).removed.is_empty());
    assert_eq!(keys(stage, &all(""), 9), ["b1"]);
    assert_eq!((a.run(clear("", 1)).more, keys(stage, &all(""), 9).len()), (false, 0));
}

pub(super) fn d1_what_is_over_is_removed_without_a_word(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(Set { life_ms: Some(10), ..set("a1", "0") });
    a.run(Set { life_ms: Some(10), ..set("a2", "0") });
    a.run(set("a3", "0"));
    stage.pass(10);
    let clear = || Clear { dict: name("d"), prefix: "".into(), sealed: false, limit: 2 };
    assert_eq!(a.run(clear()), Cleared { dict: Some((1, 3)), removed: vec![], more: true, otherwise: false });
    assert_eq!(
        a.run(clear()),
        Cleared { dict: Some((1, 4)), removed: vec!["a3".into()], more: false, otherwise: false }
    );
}

pub(super) fn g2_a_dict_is_a_part_of_its_batch(stage: &Stage<'_>) {
    use millpond_actors::storage::batch::{Applied, Batch};
    let mut a = stage.join();
    let both = |expected| Batch {
        parts: vec![
            add("n", 1).into_operation(),
            Set { expected, ..set("k", "1") }.into_operation(),
            remove("gone", Expected::Any).into_operation(),
        ],
    };
    assert!(matches!(a.run(both(Expected::Absent)), Applied::Done(_)));
    assert!(matches!(a.run(both(Expected::Absent)), Applied::Refused { part: 1, .. }));
    assert_eq!(text(get(stage, "n")).as_deref(), Some("1"), "nothing of it was written");
    a.begin();
    a.apply(add("n", 7));
    a.rollback();
    assert_eq!(text(get(stage, "n")).as_deref(), Some("1"));
}

pub(super) fn d16_a_dict_is_sealed_before_its_first_use_or_never(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let kept = || stage.view().dict_kept(&name("d")).unwrap();
    let seal = |bytes: &[u8]| Seal { dict: name("d"), seal: bytes.into() };
    let sealed = |key: &str| Set { data: Data::Sealed(vec![7]), ..set(key, "") };
    let clear = |sealed| Clear { dict: name("d"), prefix: "".into(), sealed, limit: 9 };
    assert_eq!((kept(), a.run(sealed("k"))), (None, Written::Otherwise));
    assert_eq!(kept(), None, "nothing came into being");
    a.begin();
    assert_eq!(a.apply(seal(b"undone")), None);
    a.rollback();
    assert_eq!((kept(), a.run(seal(b"first"))), (None, None));
    let first = Some(Kept::Sealed(Box::from(&b"first"[..])));
    assert_eq!((b.run(seal(b"second")), kept()), (first.clone(), first.clone()), "the first counts");
    assert!(matches!(a.run(sealed("k")), Written::Done { version: 1, .. }));
    assert_eq!(get(stage, "k").map(|entry| entry.data), Some(Data::Sealed(vec![7])));
    assert_eq!((b.run(set("k", "1")), b.run(add("k", 1))), (Written::Otherwise, Incremented::Otherwise));
    assert_eq!(b.run(remove("k", Expected::Any)), Removed::Otherwise);
    let index = MakeIndex { dict: name("d"), paths: Vec::new(), limit: 9 };
    assert_eq!((b.run(clear(false)).otherwise, b.run(index.clone())), (true, Indexed::Sealed));
    let filter = Some("a = 1".parse::<crate::Where>().unwrap().filter().unwrap());
    let query = Query { filter, ..all("") };
    let unsupported = |error| matches!(error, Err(millpond_actors::error::Error::Unsupported { .. }));
    assert!(unsupported(stage.view().dict_page(&query, stage.now()).map(drop)));
    assert!(unsupported(stage.view().dict_ways(&query).map(drop)));
    assert_eq!(keys(stage, &all(""), 9), ["k"], "all of that has changed nothing");
    assert!(stage.view().dict(&name("d"), stage.now()).unwrap().unwrap().sealed);
    let gone = Remove { sealed: true, ..remove("k", Expected::Present) };
    assert!(matches!(a.run(gone), Removed::Done { entry: Some(_), .. }));
    assert_eq!((a.run(clear(true)).otherwise, kept()), (false, first));
    // What was used as a plain one stays that, also if nothing is in it any more.
    let plain = |dict: &str| Seal { dict: name(dict), ..seal(b"late") };
    a.run(Set { dict: name("p"), ..set("k", "1") });
    a.run(Remove { dict: name("p"), ..remove("k", Expected::Any) });
    a.run(MakeIndex { dict: name("i"), ..index });
    assert_eq!((a.run(plain("p")), a.run(plain("i"))), (Some(Kept::Plain), None), "it has no index");
    let index = MakeIndex {
        dict: name("j"),
        paths: vec![millpond_actors::storage::filter::Path::parse(".").unwrap()],
        limit: 9,
    };
    a.run(index);
    assert_eq!(a.run(plain("j")), Some(Kept::Plain));
    assert!(matches!(
        a.run(Remove { dict: name("p"), sealed: true, ..remove("k", Expected::Any) }),
        Removed::Otherwise
    ));
}

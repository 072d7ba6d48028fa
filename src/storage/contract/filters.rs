//! Filters on dicts, and indexes: what is found is the same with one as without.

use std::sync::Arc;

use millpond_actors::error::Expected::Any;
use millpond_actors::limits;
use millpond_actors::storage::dict::{
    Clear, DropIndex, Expected, Increment, Index, Indexed, MakeIndex, Progress, Query, Remove, Set, Unindexed,
};
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::filter::plan::{MOST, Standing};
use millpond_actors::storage::filter::{Filter, Matcher, Path};
use millpond_actors::storage::stream::{NewEvent, Scope};
use millpond_actors::storage::{Apply, Data, feed, stream};

use super::stage::*;
use crate::Where;
use crate::filter::fields;

fn set(key: &str, value: &str) -> Set {
    let (dict, key, data) = (name("d"), key.into(), Data::Json(value.into()));
    Set { dict, key, data, schema: 1, life_ms: None, expected: Expected::Any }
}

fn wanted(text: &str) -> Arc<Filter> {
    text.parse::<Where>().unwrap().filter().unwrap()
}

fn query(text: &str) -> Query {
    let filter = Some(wanted(text));
    Query { dict: name("d"), prefix: "".into(), after: None, backward: false, filter, limit: 100 }
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

fn paths(texts: &[&str]) -> Vec<Path> {
    texts.iter().map(|text| Path::parse(text).unwrap()).collect()
}

fn make(texts: &[&str], limit: u32) -> MakeIndex {
    MakeIndex { dict: name("d"), paths: paths(texts), limit }
}

fn index(player: &mut Player<'_, '_>, texts: &[&str]) {
    while player.run(make(texts, 100)) == (Indexed::Done { more: true }) {}
}

fn indexes(stage: &Stage<'_>) -> Vec<(String, Progress, u64)> {
    let all = stage.view().dict_indexes(&name("d")).unwrap();
    all.into_iter().map(|Index { path, progress, rows }| (path.to_string(), progress, rows)).collect()
}

fn people(player: &mut Player<'_, '_>) {
    let people = [
        ("ada", r#"{"age": 36, "city": "Delft", "tags": ["a", "b"]}"#),
        ("bob", r#"{"age": 17.5, "city": "Leiden", "tags": []}"#),
        ("cid", r#"{"age": "36", "city": null}"#),
        ("dan", r#"{"age": 3.6e1, "city": "Den Haag"}"#),
        ("eve", r#"{"city": {"name": "Delft"}}"#),
        ("fay", r#"36"#),
    ];
    for (key, value) in people {
        player.run(set(key, value));
    }
}

pub(super) fn a_filter_picks_entries_out(stage: &Stage<'_>) {
    let mut a = stage.join();
    people(&mut a);
    let cases = [
        ("age = 36.0", &["ada", "dan"][..]),
        ("age != 36", &["bob", "cid", "eve", "fay"]),
        ("age > 17 and age < 36", &["bob"]),
        ("age <= \"4\"", &["cid"]),
        ("city = null", &["cid"]),
        ("not city exists", &["fay"]),
        ("city exists and not city begins with \"\"", &["cid", "eve"]),
        ("city.name = \"Delft\" or tags[1] = \"b\"", &["ada", "eve"]),
        ("city begins with \"De\"", &["ada", "dan"]),
        ("city in (\"Leiden\", null, 7)", &["bob", "cid"]),
        ("tags = \"a\"", &[]),
        (". = 36", &["fay"]),
        (". exists", &["ada", "bob", "cid", "dan", "eve", "fay"]),
    ];
    for round in ["scanned", "indexed"] {
        for (text, right) in cases {
            for limit in [1, 2, 100] {
                assert_eq!(keys(stage, &query(text), limit), right, "{round}: {text}");
                let back = Query { backward: true, ..query(text) };
                assert_eq!(
                    keys(stage, &back, limit),
                    right.iter().rev().copied().collect::<Vec<_>>(),
                    "{round}: {text}"
                );
            }
        }
        index(&mut a, &["age", "city", "city.name", "tags[1]", "."]);
    }
    let within = Query { prefix: "d".into(), ..query("age = 36") };
    assert_eq!(keys(stage, &within, 1), ["dan"]);
    assert_eq!(keys(stage, &Query { after: Some("ada".into()), ..query("age = 36") }, 9), ["dan"]);
    assert_eq!(
        keys(stage, &Query { after: Some("dan".into()), backward: true, ..query("age >= 36") }, 9),
        ["ada"]
    );
}

pub(super) fn d6_a_path_and_a_value_are_data(stage: &Stage<'_>) {
    let mut a = stage.join();
    let odd = ["x') OR 1=1; --", "$.a", "a\"b", "%", "'", "a.b", "[0]", "\\", "?1", "}", ""];
    a.run(Set { dict: name("others"), ..set("theirs", r#"{"a": 1, "secret": 1}"#) });
    for (at, key) in odd.iter().enumerate() {
        let key = millpond_actors::storage::filter::Scalar::Text((*key).into());
        a.run(set(&format!("k{at:02}"), &format!("{{{key}: {key}}}")));
    }
    for round in ["scanned", "indexed"] {
        for (at, key) in odd.iter().enumerate() {
            let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
            let right = [format!("k{at:02}")];
            for test in [
                format!("{quoted} = {quoted}"),
                format!("{quoted} exists"),
                format!("{quoted} begins with {quoted}"),
            ] {
                assert_eq!(keys(stage, &query(&test), 9), right, "{round}: {test}");
            }
            index(&mut a, &[&quoted]);
            let shown = stage.view().dict_ways(&query(&format!("{quoted} = {quoted}"))).unwrap();
            assert!(matches!(&shown[..], [Standing::Used(way)] if way.rows == 1), "{shown:?}");
        }
    }
    assert_eq!(keys(stage, &query("secret = 1 or a = 1"), 9), Vec::<String>::new(), "it is another dict's");
}

pub(super) fn an_index_is_made_in_steps_and_kept_up(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    people(&mut a);
    let building = |key: &str| Progress::Building(Some(key.into()));
    assert_eq!(a.run(make(&["age"], 2)), Indexed::Done { more: true });
    assert_eq!(indexes(stage), [("age".into(), building("bob"), 2)]);
    assert_eq!(stage.view().dict_ways(&query("age = 36")).unwrap(), [], "it is not used yet");
    assert_eq!(keys(stage, &query("age = 36"), 9), ["ada", "dan"]);
    // Another process writes meanwhile, before and behind the place.
    b.run(set("aaa", r#"{"age": 36}"#));
    b.run(set("dan", r#"{"age": 37}"#));
    b.run(Remove { dict: name("d"), key: "ada".into(), sealed: false, expected: Expected::Any });
    assert_eq!(b.run(make(&["age"], 1)), Indexed::Done { more: true });
    assert_eq!(a.run(make(&["age"], 9)), Indexed::Done { more: false });
    assert_eq!(indexes(stage), [("age".into(), Progress::Complete, 4)]);
    assert_eq!(a.run(make(&["age"], 9)), Indexed::Done { more: false }, "once is enough");
    assert_eq!(keys(stage, &query("age in (36, 37)"), 1), ["aaa", "dan"]);
    // Whatever writes keeps it up.
    index(&mut a, &["."]);
    b.run(Increment { dict: name("d"), key: "fay".into(), by: 1 });
    assert_eq!(
        (keys(stage, &query(". = 37"), 9), keys(stage, &query(". = 36"), 9)),
        (vec!["fay".to_owned()], vec![])
    );
    a.run(Set { life_ms: Some(10), ..set("gus", r#"{"age": 37}"#) });
    a.run(Set { life_ms: Some(10), ..set("hal", r#"{"age": 37}"#) });
    assert_eq!(keys(stage, &query("age = 37"), 9), ["dan", "gus", "hal"]);
    stage.pass(10);
    assert_eq!(keys(stage, &query("age = 37"), 9), ["dan"], "what is over is not there");
    a.run(set("hal", r#"{"age": 37}"#));
    assert_eq!(keys(stage, &query("age = 37"), 9), ["dan", "hal"]);
    assert_eq!(
        indexes(stage)[1],
        ("age".into(), Progress::Complete, 5),
        "what is over has gone with that write"
    );
    a.run(Clear { dict: name("d"), prefix: "".into(), sealed: false, limit: 100 });
    assert_eq!(indexes(stage).iter().map(|(_, _, rows)| *rows).collect::<Vec<_>>(), [0, 0]);
    // In a dict that has nothing yet.
    let other = MakeIndex { dict: name("other"), ..make(&["x"], 1) };
    assert_eq!(a.run(other), Indexed::Done { more: false });
    assert_eq!(
        stage.view().dict(&name("other"), stage.now()).unwrap().map(|head| (head.version, head.count)),
        Some((0, 0))
    );
}

pub(super) fn indexes_are_bounded_and_can_be_removed(stage: &Stage<'_>) {
    let mut a = stage.join();
    people(&mut a);
    let drop = |texts: &[&str], limit| DropIndex { dict: name("d"), paths: paths(texts), limit };
    assert_eq!(a.run(drop(&["age"], 9)), Unindexed { removed: 0, more: false });
    let all: Vec<String> = (0..limits::INDEXES_PER_DICT).map(|n| format!("p{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(a.run(make(&[&all[..], &["more"]].concat(), 9)), Indexed::TooMany { there: 0 });
    assert_eq!(indexes(stage), [], "nothing was declared");
    index(&mut a, &all);
    assert_eq!(a.run(make(&["age"], 9)), Indexed::TooMany { there: 16 });
    assert_eq!(a.run(make(&["p3"], 9)), Indexed::Done { more: false }, "it is there already");
    assert_eq!(a.run(drop(&["p0", "p1", "none"], 9)), Unindexed { removed: 2, more: false });
    index(&mut a, &["age", "city"]);
    assert_eq!(a.run(drop(&["age"], 1)), Unindexed { removed: 1, more: true });
    assert_eq!(indexes(stage)[0], ("age".into(), Progress::Leaving, 3));
    assert_eq!(stage.view().dict_ways(&query("age = 36")).unwrap(), [], "it is not used any more");
    assert_eq!(keys(stage, &query("age = 36"), 9), ["ada", "dan"]);
    a.run(set("ada", r#"{"age": 40}"#));
    assert_eq!(a.run(drop(&["age"], 2)), Unindexed { removed: 0, more: true });
    // It is made anew, once the old one is gone.
    assert_eq!(a.run(make(&["age"], 1)), Indexed::Done { more: true });
    index(&mut a, &["age"]);
    assert_eq!(keys(stage, &query("age >= 36"), 9), ["ada", "dan"]);
    assert_eq!(a.run(drop(&["age"], 4)), Unindexed { removed: 1, more: false });
}

pub(super) fn g6_an_index_leads_to_what_a_scan_finds(stage: &Stage<'_>) {
    let mut a = stage.join();
    // What the reference store answered differently with an index: truth values, whole numbers and others, ranges of texts.
    let values = [
        "true",
        "false",
        "1",
        "1.0",
        "0",
        "0.0",
        "-0",
        "1e0",
        "\"1\"",
        "\"true\"",
        "null",
        "\"\"",
        "\"a\"",
        "\"b\"",
        "[1]",
        "{}",
        "9007199254740992",
        "9007199254740993",
        "9007199254740992.0",
        "1e308",
        "1e-7",
        "-1",
        "-1.5",
        "\"\\u0000\"",
        "\"ä\"",
        "[]",
        "{\"a\": 1}",
    ];
    for (at, value) in values.iter().enumerate() {
        a.run(set(&format!("k{at:02}"), value));
        a.run(set(&format!("v{at:02}"), &format!("{{\"v\": {value}, \"n\": {at}}}")));
    }
    let literals: Vec<&str> = values.iter().copied().filter(|value| !"[{".contains(&value[..1])).collect();
    let mut texts = Vec::new();
    for at in [".", "v"] {
        for literal in &literals {
            texts.extend(["=", "!=", "<", "<=", ">", ">="].map(|test| format!("{at} {test} {literal}")));
            texts.push(format!("{at} in ({literal}, 1, \"a\") and n > 3"));
            texts.push(format!("{at} >= {literal} and {at} <= 1"));
        }
        texts.extend(["\"\"", "\"a\"", "\"\\u0000\""].map(|prefix| format!("{at} begins with {prefix}")));
    }
    // Each of three values leads to one entry, and the first is not wanted.
    texts.push("v in (null, \"a\", \"b\") and n > 11".to_owned());
    let scanned: Vec<_> = texts.iter().map(|text| keys(stage, &query(text), 7)).collect();
    index(&mut a, &[".", "v", "n"]);
    for (text, scanned) in texts.iter().zip(scanned) {
        for limit in [2, 7] {
            assert_eq!(keys(stage, &query(text), limit), scanned, "{text}");
        }
        let matcher = Matcher::new(&wanted(text), fields());
        let all = keys(stage, &Query { filter: None, ..query(text) }, 100);
        let is_so = |key: &String| {
            let entry = stage.view().dict_entry(&name("d"), key, stage.now()).unwrap().unwrap();
            matcher.matches(&entry.data)
        };
        assert_eq!(all.into_iter().filter(is_so).collect::<Vec<_>>(), scanned, "{text}");
    }
}

pub(super) fn g6_a_long_value_is_found_by_its_beginning(stage: &Stage<'_>) {
    let mut a = stage.join();
    let long = |end: &str| format!("\"{}{end}\"", "x".repeat(limits::INDEXED_BYTES));
    for (key, end) in [("a", "a"), ("b", "b"), ("c", "c")] {
        a.run(set(key, &long(end)));
    }
    a.run(set("d", &format!("1{}", "0".repeat(2_000))));
    a.run(set("e", &format!("1{}1", "0".repeat(1_999))));
    index(&mut a, &["."]);
    let found = |test: &str, end: &str| keys(stage, &query(&format!(". {test} {}", long(end))), 2);
    assert_eq!(found("=", "b"), ["b"]);
    assert_eq!(found("<", "b"), ["a"]);
    assert_eq!(found(">=", "b"), ["b", "c"]);
    assert_eq!(found("begins with", "c"), ["c"]);
    assert_eq!(found("begins with", ""), ["a", "b", "c"]);
    assert_eq!(keys(stage, &query(". > 1e2000"), 9), ["e"]);
}

pub(super) fn a_page_looks_at_so_many_and_no_more(stage: &Stage<'_>) {
    let mut a = stage.join();
    let many = limits::OTHERS_PER_PAGE + 10;
    a.begin();
    for n in 0..many {
        a.apply(set(&format!("k{n:05}"), &format!("{{\"a\": {}, \"b\": 1}}", n % 2)));
    }
    a.apply(set("z", r#"{"a": 7}"#));
    a.commit();
    let page = |query: &Query| {
        let page = stage.view().dict_page(query, stage.now()).unwrap();
        (page.entries.len(), page.last, page.more)
    };
    let rare = query("a = 7");
    let last = Some(format!("k{:05}", limits::OTHERS_PER_PAGE - 1));
    assert_eq!(page(&rare), (0, last.clone(), true));
    assert_eq!(page(&Query { after: last.map(Into::into), ..rare.clone() }), (1, Some("z".into()), false));
    index(&mut a, &["a", "b"]);
    assert_eq!(keys(stage, &rare, 5), ["z"]);
    let both = query("b = 1 and a = 7");
    assert_eq!(page(&both).0, 0);
    assert_eq!(keys(stage, &both, 5), Vec::<String>::new());
    let ways = stage.view().dict_ways(&query("b >= 1 and a < 0.5")).unwrap();
    assert!(
        matches!(&ways[..], [Standing::Used(a), Standing::Wide(b)] if a.rows < MOST && b.rows == MOST + 1),
        "{ways:?}"
    );
    assert_eq!(keys(stage, &query("b >= 1 and a < 0.5"), 1_000).len(), many as usize / 2);
}

pub(super) fn a_plan_says_which_index_leads_where(stage: &Stage<'_>) {
    let mut a = stage.join();
    people(&mut a);
    index(&mut a, &["age", "city"]);
    let ways = |text: &str| {
        let shown = |standing| match standing {
            Standing::Used(way) => format!("{}: {}", way.path, way.rows),
            Standing::Another(way) => format!("({}: {})", way.path, way.rows),
            Standing::Wide(way) => format!("[{}]", way.path),
        };
        stage.view().dict_ways(&query(text)).unwrap().into_iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(ways("age = 36 and city = \"Delft\""), ["(age: 2)", "city: 1"]);
    assert_eq!(ways("age > 17 and (city = null or age = 1)"), ["age: 3"]);
    assert_eq!(ways("age in (36, 17.5, 36, 9)"), ["age: 3"]);
    assert_eq!(ways("age = 1 and age = 2"), ["age: 0"]);
    for none in ["age exists", "not age = 36", "age = 36 or city = null", "tags[0] = \"a\"", "age != 36"] {
        assert_eq!(ways(none), Vec::<String>::new(), "{none}");
    }
    assert_eq!(stage.view().dict_ways(&Query { filter: None, ..query("age = 1") }).unwrap(), []);
    assert_eq!(stage.view().dict_ways(&Query { dict: name("x"), ..query("age = 1") }).unwrap(), []);
}

pub(super) fn g2_an_index_is_undone_with_its_transaction(stage: &Stage<'_>) {
    use millpond_actors::storage::batch::{Applied, Batch};
    let mut a = stage.join();
    people(&mut a);
    a.begin();
    a.apply(make(&["age"], 9));
    a.rollback();
    assert_eq!(indexes(stage), []);
    index(&mut a, &["age"]);
    let parts = vec![
        set("ada", r#"{"age": 99}"#).into_operation(),
        Set { expected: Expected::Absent, ..set("bob", "1") }.into_operation(),
    ];
    assert!(matches!(a.run(Batch { parts }), Applied::Refused { part: 1, .. }));
    assert_eq!((keys(stage, &query("age = 99"), 9).len(), keys(stage, &query("age = 36"), 9).len()), (0, 2));
}

pub(super) fn messages_are_picked_out_by_their_data(stage: &Stage<'_>) {
    let mut a = stage.join();
    let many: Vec<u64> = (1..=u64::from(limits::OTHERS_PER_PAGE) + 5).collect();
    for part in many.chunks(10_000) {
        a.run(append_to(Kind::Log, "f", part));
    }
    let read = |text: &str, backward, limit| {
        let mut query =
            feed::Query { content: Some(wanted(text)), backward, limit, ..of_feed(Kind::Log, "f") };
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let page = stage.view().feed_page(&query).unwrap();
            (pages, found) =
                (pages + 1, [found, page.messages.into_iter().map(|(place, _)| place).collect()].concat());
            let Some(last) = page.last.filter(|_| page.more) else { return (found, pages) };
            if backward {
                query.to = last - 1;
            } else {
                query.from = last + 1;
            }
        }
    };
    assert_eq!(read(". in (3, 5.0, 16388)", false, 9).0, [3, 5, 16_388]);
    assert_eq!(read(". in (3, 5.0, 16388)", true, 1).0, [16_388, 5, 3]);
    assert_eq!(read(". < 5 and . > 1", false, 2).0, [2, 3, 4]);
    assert_eq!(read(". = \"3\" or a = 3", false, 9), (vec![], 2), "a page looks at so many and no more");
}

pub(super) fn events_are_picked_out_by_their_data(stage: &Stage<'_>) {
    let mut a = stage.join();
    let with = |id: u128, data: &str| NewEvent { data: Data::Json(data.into()), ..event(id) };
    for (number, stream) in [(0, "a-1"), (10, "b-1"), (20, "a-2")] {
        let events = vec![
            with(number, r#"{"n": 1.0, "of": "x"}"#),
            with(number + 1, "null"),
            NewEvent { data: Data::Bincode(b"1".to_vec()), ..event(number + 2) },
            with(number + 3, r#"{"n": [1], "of": "xy"}"#),
        ];
        a.run(append_events(stream, Any, events));
    }
    let of = |scope, text: &str| {
        let filter = stream::Filter { content: Some(wanted(text)), ..stream::Filter::default() };
        let query = stream::Query { scope, filter, ..all() };
        let right = stage.numbers(&query);
        for limit in [1, 2] {
            assert_eq!(stage.numbers_paged(&query, limit), right, "{text}");
        }
        let mut back = stage.numbers_paged(&stream::Query { backward: true, ..query }, 1);
        back.reverse();
        assert_eq!(back, right, "{text}");
        right
    };
    assert_eq!(of(Scope::All, "n = 1"), [0, 10, 20]);
    assert_eq!(of(Scope::Category("a".into()), "of begins with \"x\""), [0, 3, 20, 23]);
    assert_eq!(of(Scope::Stream(name("b-1")), "not n exists"), [11, 12]);
    assert_eq!(of(Scope::All, ". = null"), [1, 11, 21]);
    assert_eq!(of(Scope::All, "n = \"' OR 1=1 --\""), Vec::<u128>::new());
}

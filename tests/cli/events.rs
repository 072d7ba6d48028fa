//! `events diff` and `events verify`: what has become different, and what is wrong.

use serde_json::json;

use crate::Bench;

/// A stream `order-1` with these events, `T0`, `T1` and so on.
fn filled(contents: &[&str]) -> Bench {
    let bench = Bench::new();
    for (number, content) in contents.iter().enumerate() {
        bench.printed(&["events", "append", "order-1", &format!("T{number}"), content]);
    }
    bench
}

#[test]
fn diff_tells_what_became_different_and_by_which_event() {
    let bench = filled(&[
        r#"{"state": "open", "sum": 1.00, "buyer": {"name": "Ada", "city": "Ulm"}, "lines": [1]}"#,
        r#"{"state": "paid", "buyer": {"city": "Bonn"}}"#,
        r#"{"sum": 1.00, "lines": [1,  2], "buyer": {"city": "Bonn"}, "note": "thanks"}"#,
    ]);
    let table = bench.printed(&["events", "diff", "order-1", "1", "3"]);
    let rows = [
        "path        before  after     version  type",
        "buyer.city  \"Ulm\"   \"Bonn\"    3        T2",
        "lines       [1]     [1,2]     3        T2",
        "note                \"thanks\"  3        T2",
        "state       \"open\"  \"paid\"    2        T1",
    ];
    assert_eq!(table.lines().collect::<Vec<_>>(), rows);
    assert_eq!(
        bench.json(&["events", "diff", "order-1", "2", "3"]),
        [
            json!({"path": "lines", "before": [1], "after": [1, 2], "version": 3, "type": "T2"}),
            json!({"path": "note", "after": "thanks", "version": 3, "type": "T2"}),
        ]
    );
    assert_eq!(bench.json(&["events", "diff", "order-1", "0", "1"]).len(), 5);
    assert_eq!(bench.printed(&["events", "diff", "order-1", "2", "2"]), "");
}

#[test]
fn diff_of_values_that_give_way_and_of_odd_content() {
    let bench = filled(&[
        r#"{"a": {"b": 1, "c": {"d": 2}}, "e": 3, "f.g": 4, "": {"(": 5}, "n": 12345678901234567890123, "o": {}}"#,
        r#"{"a": 6, "e": {"h": 7}, "f": {"g": 8}, "n": 12345678901234567890124, "o": {}}"#,
        "null",
        r#"[{"x": 1}, "y"]"#,
        r#"{"e": {}, "\ud800": 9}"#,
        "{}",
    ]);
    let printed =
        |before: &str, after: &str| bench.printed(&["--json", "events", "diff", "order-1", before, after]);
    let first = [
        r#"{"path":"\"\".\"(\"","after":5,"version":1,"type":"T0"}"#,
        r#"{"path":"\"f.g\"","after":4,"version":1,"type":"T0"}"#,
        r#"{"path":"a.b","after":1,"version":1,"type":"T0"}"#,
        r#"{"path":"a.c.d","after":2,"version":1,"type":"T0"}"#,
        r#"{"path":"e","after":3,"version":1,"type":"T0"}"#,
        r#"{"path":"n","after":12345678901234567890123,"version":1,"type":"T0"}"#,
        r#"{"path":"o","after":{},"version":1,"type":"T0"}"#,
    ];
    assert_eq!(printed("0", "1").lines().collect::<Vec<_>>(), first);
    let second = [
        r#"{"path":"a","after":6,"version":2,"type":"T1"}"#,
        r#"{"path":"a.b","before":1,"version":2,"type":"T1"}"#,
        r#"{"path":"a.c.d","before":2,"version":2,"type":"T1"}"#,
        r#"{"path":"e","before":3,"version":2,"type":"T1"}"#,
        r#"{"path":"e.h","after":7,"version":2,"type":"T1"}"#,
        r#"{"path":"f.g","after":8,"version":2,"type":"T1"}"#,
        r#"{"path":"n","before":12345678901234567890123,"after":12345678901234567890124,"version":2,"type":"T1"}"#,
    ];
    assert_eq!(printed("1", "2").lines().collect::<Vec<_>>(), second);
    let rest = [
        r#"{"path":"(T2)","after":null,"version":3,"type":"T2"}"#,
        r#"{"path":"(T3)","after":[{"x":1},"y"],"version":4,"type":"T3"}"#,
        // Its name is no text, so it is shown whole.
        r#"{"path":"(T4)","after":{"e":{},"\ud800":9},"version":5,"type":"T4"}"#,
    ];
    assert_eq!(printed("2", "6").lines().collect::<Vec<_>>(), rest);
}

/// Names that repeat themselves are ever longer paths: they end somewhere, and so does the looking.
#[test]
fn diff_does_not_look_into_what_is_too_deep() {
    let deep = format!("{}1{}", r#"{"name":"#.repeat(5_000), "}".repeat(5_000));
    let bench = filled(&[&deep]);
    let found = bench.printed(&["--json", "events", "diff", "order-1", "0", "1"]);
    assert_eq!(found.lines().count(), 1);
    assert!(found.starts_with(r#"{"path":"name.name.name."#) && found.contains(r#"name","after":{"name":{"#));
}

#[test]
fn diff_says_which_versions_there_are() {
    let bench = filled(&["1", "2"]);
    for (arguments, why) in [
        (["order-1", "2", "1"], "version 2 is behind version 1: the earlier comes first"),
        (["order-1", "0", "3"], "stream \"order-1\" is at version 2: it has no version 3"),
        (
            ["order-1", "1", "18446744073709551615"],
            "stream \"order-1\" is at version 2: it has no version 18446744073709551615",
        ),
        (["it's \"one\"", "0", "1"], "there is no stream \"it's \"one\"\""),
    ] {
        let ended = bench.run(&[&["events", "diff"], &arguments[..]].concat());
        assert_eq!((ended.code(), ended.printed().as_str()), (1, ""), "{arguments:?}");
        assert_eq!(ended.error(), format!("millpond: events diff: {why}\n"));
    }
}

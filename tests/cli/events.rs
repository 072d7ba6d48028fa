//! `events diff`, `verify` and `delete`: what has become different, what is wrong, and what is gone.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millpond::blocking::Store;
use millpond::{Event, Expected};
use serde_json::{Value, json};

use crate::{Bench, lines};

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

/// A closed store of ten streams in turn, with so many events.
fn imported(count: usize) -> Bench {
    let bench = Bench::new();
    let file = bench.file("a.jsonl", lines(count).join("\n"));
    bench.printed(&["events", "import", &file]);
    bench
}

/// Changes the store's file, in whose log there is nothing.
fn harm(bench: &Bench, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(bench.path("a.db")).unwrap();
    change(&mut bytes);
    fs::write(bench.path("a.db"), bytes).unwrap();
}

fn find(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).rposition(|window| window == text.as_bytes()).unwrap()
}

#[test]
fn verify_of_what_is_sound() {
    let bench = imported(2_500);
    let said = bench.printed(&["events", "verify"]);
    assert!(
        said.starts_with("2,500 events in 10 streams, 68.6 KiB, in ") && said.ends_with(" s: sound\n"),
        "{said}"
    );
    let figures = &bench.json(&["events", "verify", "stream-7"])[0];
    assert_eq!((&figures["sound"], &figures["findings"]), (&json!(true), &json!(0)));
    assert_eq!((&figures["events"], &figures["streams"]), (&json!(250), &json!(1)));
    let none = bench.run(&["events", "verify", "stream-\"11\""]);
    assert_eq!((none.code(), none.printed().as_str()), (1, ""));
    assert_eq!(none.error(), "millpond: events verify: there is no stream \"stream-\"11\"\"\n");
}

/// What others append meanwhile is not looked at, and no finding.
#[test]
fn verify_of_a_store_in_use() {
    let bench = imported(2_500);
    let store = Store::open(bench.path("a.db")).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let event = Event::new("Counted", &7).unwrap();
                store.events().append("stream-9", Expected::Any, [event]).unwrap();
            }
        });
        let found: Vec<_> = (0..5).map(|_| bench.run(&["events", "verify"])).collect();
        done.store(true, Ordering::Relaxed);
        for found in found {
            assert_eq!((found.code(), found.error().as_str()), (0, ""));
        }
    });
}

#[test]
fn verify_names_each_event_whose_bytes_are_not_its_own() {
    let bench = imported(2_500);
    harm(&bench, |bytes| {
        // One bit each.
        for text in [r#"{"n": 13, "again": 13.50}"#, r#"{"n": 2046, "again": 2046.50}"#] {
            let at = find(bytes, text) + 6;
            bytes[at] ^= 1;
        }
    });
    let found = bench.run(&["events", "verify"]);
    assert_eq!(found.code(), 1);
    let said = found.error();
    let begins = [
        "millpond: events verify: damaged record: event \"stream-3\" at 2: its checksum is ",
        "millpond: events verify: damaged record: event \"stream-6\" at 205: its checksum is ",
    ];
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.lines().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{said}");
    assert!(found.printed().starts_with("2,498 events in 10 streams, "), "{}", found.printed());
    assert!(found.printed().ends_with(" s: 2 findings\n"), "{}", found.printed());

    let found = bench.run(&["--json", "events", "verify", "stream-6"]);
    assert_eq!((found.code(), found.error().as_str()), (1, ""));
    let all: Vec<Value> = found.printed().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((all.len(), &all[0]["stream"], &all[0]["version"]), (2, &json!("stream-6"), &json!(205)));
    assert_eq!(
        (&all[1]["sound"], &all[1]["events"], &all[1]["findings"]),
        (&json!(false), &json!(249), &json!(1))
    );
    assert_eq!(bench.run(&["events", "verify", "stream-5"]).code(), 0);

    // Nor is what became different known for certain.
    let found = bench.run(&["--json", "events", "diff", "stream-6", "203", "206"]);
    assert_eq!((found.code(), found.printed().lines().count()), (1, 2));
    assert!(found.error().starts_with("millpond: events diff: damaged record: event \"stream-6\" at 205: "));

    // What was found stays found, also if nobody reads it.
    let mut unread = bench.program(&["--json", "events", "verify"]);
    let mut child = unread.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

/// What no checksum is over, and rows that are gone: told from the neighbours.
#[test]
fn verify_counts_positions_and_versions_and_looks_at_times_and_texts() {
    let rows: [(&str, &[&str]); 7] = [
        (
            "UPDATE event SET recorded_at = recorded_at - 3600000 WHERE position = 24",
            &["event 3 of stream \"stream-3\", at position 24: it was recorded at "],
        ),
        (
            "UPDATE event SET metadata = '{\"by\":' WHERE position = 24",
            &["event 3 of stream \"stream-3\", at position 24: its metadata is not JSON: EOF while parsing"],
        ),
        (
            "DELETE FROM event WHERE position = 24",
            &[
                "damaged record: event \"?\" at 24: ",
                "event 4 of stream \"stream-3\", at position 34: the version before it is 2",
            ],
        ),
        (
            "DELETE FROM event WHERE position BETWEEN 24 AND 26",
            &[
                "damaged record: event \"?\" at 24: ",
                "event 3 of stream \"stream-6\", at position 27: the position before it is 23",
                "event 4 of stream \"stream-3\", at position 34: the version before it is 2",
                "event 4 of stream \"stream-4\", at position 35: the version before it is 2",
                "event 4 of stream \"stream-5\", at position 36: the version before it is 2",
            ],
        ),
        (
            "DELETE FROM event WHERE position = 40",
            &[
                "damaged record: event \"?\" at 40: ",
                "damaged record: event \"?\" at 40: ",
                "damaged record: stream \"stream-9\" at 4: its version is 4, its last event Some(3)",
            ],
        ),
        (
            "UPDATE stream SET version = 5 WHERE name = 'stream-3'",
            &["damaged record: stream \"stream-3\" at 5: its version is 5, its last event Some(4)"],
        ),
        (
            "UPDATE event SET version = 9 WHERE position = 34",
            &[
                "damaged record: event \"stream-3\" at 9: its checksum is ",
                "damaged record: stream \"stream-3\" at 4: its version is 4, its last event Some(9)",
            ],
        ),
    ];
    for (statement, findings) in rows {
        let bench = imported(40);
        rusqlite::Connection::open(bench.path("a.db")).unwrap().execute(statement, []).unwrap();
        let found = bench.run(&["events", "verify"]);
        let said = found.error();
        assert_eq!((found.code(), said.lines().count()), (1, findings.len()), "{statement}: {said}");
        for (line, finding) in said.lines().zip(findings) {
            assert!(line.starts_with(&format!("millpond: events verify: {finding}")), "{statement}: {said}");
        }
    }
}

#[test]
fn verify_says_how_far_it_came() {
    let bench = imported(2_500);
    harm(&bench, |bytes| {
        let page = find(bytes, r#"{"n": 1500, "#) / 8_192 * 8_192;
        bytes[page..page + 8_192].fill(0);
    });
    let found = bench.run(&["events", "verify"]);
    let said = found.error();
    assert_eq!((found.code(), said.lines().count()), (1, 1), "{said}");
    let rest = said.strip_prefix("millpond: events verify: the reading has ended behind position ").unwrap();
    let (position, why) = rest.split_once(", and what follows was not looked at: ").unwrap();
    assert!(
        position.parse::<u64>().unwrap() < 1_500 && why.starts_with("damaged record: database "),
        "{said}"
    );
}

#[test]
fn delete_erases_a_stream_and_closes_it_if_that_is_wanted() {
    let bench = filled(&["1", "2"]);
    let refused = bench.run(&["events", "delete", "order-1", "--expect", "1"]);
    assert_eq!(refused.code(), 1);
    assert!(refused.error().contains("but its version is 2"), "{}", refused.error());
    let unknown = bench.run(&["events", "delete", "order-2"]);
    assert!(unknown.error().contains("expected to hold at least one event"), "{}", unknown.error());
    assert_eq!(bench.printed(&["events", "delete", "order-1"]), "2 events deleted, version 3\n");
    assert!(bench.json(&["events", "all"]).is_empty());
    bench.printed(&["events", "append", "order-1", "T", "3"]);
    let closed = bench.printed(&["events", "delete", "order-1", "--expect", "4", "--close"]);
    assert_eq!(closed, "1 event deleted, version 5, closed for ever\n");
    let refused = bench.run(&["events", "append", "order-1", "T", "4"]);
    assert!(refused.error().contains("closed for ever"), "{}", refused.error());
}

#[test]
fn shred_destroys_the_key_of_a_subject() {
    let bench = filled(&["1"]);
    let store = Store::open(bench.path("a.db")).unwrap();
    let sealed = store.subject("it's 7").key().unwrap().seal(&7).unwrap();
    store.close().unwrap();
    assert_eq!(bench.printed(&["events", "shred", "it's 7"]), "the key is destroyed\n");
    assert_eq!(
        bench.json(&["events", "shred", "it's 7"]),
        [json!({ "subject": "it's 7", "had_key": false })]
    );
    let store = Store::open(bench.path("a.db")).unwrap();
    assert_eq!(store.unseal(&sealed), Ok(None));
    store.close().unwrap();
}

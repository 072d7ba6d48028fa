//! `dict`: what is put there comes back, and what was expected is looked at.

use serde_json::json;

use nix::sys::signal::Signal;

use super::Bench;
use super::feed::Running;

#[test]
fn a_value_is_set_and_comes_back_as_it_was() {
    let bench = Bench::new();
    assert_eq!(
        bench.printed(&["dict", "set", "prices", "lamp", r#"{"cents": 1.50,  "a":[1]}"#]),
        "version 1\n"
    );
    assert_eq!(bench.printed(&["dict", "get", "prices", "lamp"]), "{\"cents\": 1.50,  \"a\":[1]}\n");
    let entry = &bench.json(&["dict", "get", "prices", "lamp"])[0];
    assert_eq!((&entry["key"], &entry["version"], &entry["ends"]), (&json!("lamp"), &json!(1), &json!(null)));
    assert_eq!(bench.printed(&["dict", "set", "prices", "lamp", "-7"]), "version 2\n");
    assert_eq!(bench.printed(&["dict", "get", "prices", "lamp"]), "-7\n");
    assert_eq!(bench.printed(&["dict", "delete", "prices", "lamp"]), "\"lamp\" of dict \"prices\" is gone\n");
    let said = bench.printed(&["dict", "delete", "prices", "lamp"]);
    assert_eq!(said, "there was no \"lamp\" in dict \"prices\"\n");
    let missing = bench.run(&["dict", "get", "prices", "lamp"]);
    assert_eq!(missing.code(), 1);
    assert_eq!(missing.error(), "millpond: dict get: there is no \"lamp\" in dict \"prices\"\n");
}

#[test]
fn what_is_expected_is_said_and_told() {
    let bench = Bench::new();
    let set = |more: &[&str]| bench.run(&[&["dict", "set", "d", "k", "1"], more].concat());
    assert_eq!(set(&["--present"]).code(), 1);
    assert_eq!(set(&["--absent"]).code(), 0);
    let refused = set(&["--absent"]);
    assert_eq!(refused.code(), 1);
    assert!(
        refused.error().contains("was expected to be nothing, but it has version 1"),
        "{}",
        refused.error()
    );
    assert_eq!((set(&["--version", "1"]).code(), set(&["--version", "1"]).code()), (0, 1));
    assert_eq!((set(&["--absent", "--present"]).code(), set(&["--ttl", "soon"]).code()), (2, 2));
    assert_eq!(set(&["--ttl", "0"]).code(), 1);
    assert_eq!(set(&["--ttl", "30m"]).code(), 0);
    assert!(bench.json(&["dict", "get", "d", "k"])[0]["ends"].is_string());
    let wrong = bench.run(&["dict", "set", "d", "k", "hello"]);
    assert!(
        wrong.code() == 1 && wrong.error().contains("a text is JSON only in quotes"),
        "{}",
        wrong.error()
    );
}

#[test]
fn numbers_are_counted_up_and_down() {
    let bench = Bench::new();
    assert_eq!(bench.printed(&["dict", "increment", "visits", "ada"]), "1\n");
    assert_eq!(bench.printed(&["dict", "increment", "visits", "ada", "41"]), "42\n");
    assert_eq!(bench.printed(&["dict", "increment", "visits", "ada", "-2"]), "40\n");
    bench.printed(&["dict", "set", "visits", "bob", "\"x\""]);
    let refused = bench.run(&["dict", "increment", "visits", "bob"]);
    assert!(refused.code() == 1 && refused.error().contains("it is no whole number"), "{}", refused.error());
}

#[test]
fn entries_and_dicts_are_listed() {
    let bench = Bench::new();
    bench.printed(&["events", "append", "s-1", "Opened"]);
    assert_eq!(bench.printed(&["dict", "list"]), "no dict was used yet\n");
    for key in ["b", "a-1", "a-2", "'; --"] {
        bench.printed(&["dict", "set", "d", key, "1"]);
    }
    bench.printed(&["dict", "increment", "other", "n"]);
    let keys = |more: &[&str]| -> Vec<String> {
        let lines = bench.json(&[&["dict", "list", "d"], more].concat());
        lines.iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&[]), ["'; --", "a-1", "a-2", "b"]);
    assert_eq!(keys(&["--prefix", "a-"]), ["a-1", "a-2"]);
    assert_eq!(keys(&["--after", "a-1", "--limit", "1"]), ["a-2"]);
    assert_eq!(keys(&["--backward", "--limit", "2"]), ["b", "a-2"]);
    let table = bench.printed(&["dict", "list", "d", "--prefix", "b"]);
    assert_eq!(
        table.split_whitespace().collect::<Vec<_>>(),
        ["key", "version", "ends", "data", "b", "1", "1"]
    );
    let dicts = bench.json(&["dict", "list"]);
    assert_eq!(
        dicts,
        [
            json!({"dict": "d", "entries": 4, "version": 4}),
            json!({"dict": "other", "entries": 1, "version": 1}),
        ]
    );
    assert_eq!(bench.json(&["status"])[0]["dicts"], 2);
    assert_eq!(bench.run(&["dict", "list", "--prefix", "a"]).code(), 2);
}

#[test]
fn changes_are_printed_as_they_happen() {
    let bench = Bench::new();
    bench.printed(&["dict", "set", "d", "a-1", "1"]);
    let mut watching = Running::start(&bench, &["dict", "watch", "d", "--prefix", "a-"]);
    let words = |line: String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(watching.line()), ["key", "version", "data"]);
    bench.printed(&["dict", "set", "d", "b", "1"]);
    bench.printed(&["dict", "increment", "d", "a-1"]);
    assert_eq!(words(watching.line()), ["a-1", "3", "2"]);
    bench.printed(&["dict", "delete", "d", "a-1"]);
    assert_eq!(words(watching.line()), ["a-1", "4", "(gone)"]);
    assert_eq!(watching.end(Signal::SIGINT), 0);
}

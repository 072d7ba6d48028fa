//! `list`: items come in their order, and go where it is said.

use serde_json::json;

use super::Bench;

#[test]
fn items_are_pushed_read_and_taken() {
    let bench = Bench::new();
    assert_eq!(bench.printed(&["list", "push", "l", r#"{"a":  1.50}"#]), "1 item\n");
    assert_eq!(bench.printed(&["list", "push", "l", "-7"]), "2 items\n");
    assert_eq!(bench.printed(&["list", "push", "l", "\"first\"", "--front"]), "3 items\n");
    assert_eq!(bench.printed(&["list", "get", "l", "1"]), "{\"a\":  1.50}\n");
    assert_eq!(bench.printed(&["list", "get", "l", "-1"]), "-7\n");
    let items = bench.json(&["list", "range", "l"]);
    assert_eq!(items[1], json!({"index": 1, "version": 1, "data": {"a": 1.50}}));
    assert_eq!(bench.json(&["list", "range", "l", "-2", "-1"]).len(), 1);
    assert!(bench.printed(&["list", "range", "l", "1"]).contains("-7"));
    assert_eq!(bench.printed(&["list", "pop", "l", "--wait", "0"]), "\"first\"\n");
    assert_eq!(bench.json(&["list", "pop", "l", "--back"])[0], json!({"list": "l", "data": -7}));
    assert_eq!(bench.printed(&["list", "pop", "l"]), "{\"a\":  1.50}\n");
    let empty = bench.run(&["list", "pop", "l", "--wait", "0"]);
    assert_eq!((empty.code(), empty.error().as_str()), (75, "millpond: list pop: list \"l\" has no item\n"));
    let waited = bench.run(&["list", "pop", "l", "--wait", "1ms"]);
    assert_eq!(waited.error(), "millpond: list pop: list \"l\" had no item within 1ms\n");
    let none = bench.run(&["list", "get", "l", "0"]);
    assert_eq!(
        (none.code(), none.error().as_str()),
        (1, "millpond: list get: there is no item 0 in list \"l\"\n")
    );
}

#[test]
fn items_are_put_replaced_moved_and_removed() {
    let bench = Bench::new();
    let none = bench.run(&["list", "insert", "l", "1", "1"]);
    assert_eq!(none.code(), 1);
    assert_eq!(
        none.error(),
        "millpond: list insert: list \"l\" has 0 items, and no place 1 among them; it is as it was\n"
    );
    assert_eq!(bench.printed(&["list", "insert", "l", "0", "1"]), "index 0\n");
    assert_eq!(bench.printed(&["list", "insert", "l", "1", "2"]), "index 1\n");
    assert_eq!(bench.printed(&["list", "insert", "l", "-1", "3"]), "index 1\n");
    assert_eq!(bench.printed(&["list", "set", "l", "0", "9"]), "version 4\n");
    let other = bench.run(&["list", "set", "l", "0", "8", "--version", "1"]);
    assert_eq!(other.code(), 1);
    assert_eq!(
        other.error(),
        "millpond: list set: item 0 of list \"l\" was expected to have version 1, but it has version 4\n"
    );
    assert_eq!(bench.printed(&["list", "move", "l", "0", "2"]), "item 0 of list \"l\" is at 2 now\n");
    assert_eq!(bench.printed(&["list", "delete", "l", "-1", "--version", "4"]), "9\n");
    assert_eq!(bench.json(&["list", "delete", "l", "0"])[0], json!({"index": 0, "version": 3, "data": 3}));
    assert_eq!(bench.printed(&["list", "push", "l", "5"]), "2 items\n");
    assert_eq!(bench.printed(&["list", "trim", "l", "-1"]), "1 item removed\n");
    assert_eq!(bench.json(&["list", "list"]), [json!({"list": "l", "items": 1, "version": 9})]);
    assert!(bench.printed(&["status"]).contains("lists"));
}

#[test]
fn lists_are_listed_and_a_command_that_reads_makes_no_store() {
    let bench = Bench::new();
    let none = bench.run(&["list", "range", "l"]);
    assert!(none.error().contains("there is no store at"), "{}", none.error());
    bench.printed(&["dict", "set", "d", "k", "1"]);
    assert_eq!(bench.printed(&["list", "list"]), "no list was used yet\n");
    bench.printed(&["list", "push", "it's \"odd\"", "1"]);
    assert!(bench.printed(&["list", "list"]).contains("it's \"odd\""));
    let wrong = bench.run(&["list", "push", "l", "hello"]);
    assert!(wrong.error().contains("a text is JSON only in quotes"), "{}", wrong.error());
}

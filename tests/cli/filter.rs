//! `--where`, and the indexes of dicts: what is asked for is data, whatever it looks like.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::Bench;
use super::feed::Running;

fn people(bench: &Bench) {
    let people = [
        ("ada", r#"{"age": 36, "city": "Delft"}"#),
        ("bob", r#"{"age": 17, "city": "Leiden"}"#),
        ("eve", r#"{"age": 36.0, "a.b": null}"#),
    ];
    for (key, value) in people {
        bench.printed(&["dict", "set", "people", key, value]);
    }
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn entries_are_picked_out_by_an_expression_or_by_json() {
    let bench = Bench::new();
    people(&bench);
    let keys = |filter: &str| -> Vec<Value> {
        let lines = bench.json(&["dict", "list", "people", "--where", filter]);
        lines.into_iter().map(|line| line["key"].clone()).collect()
    };
    assert_eq!(keys("age = 36"), ["ada", "eve"]);
    assert_eq!(keys(r#"age >= 30 and not city exists"#), ["eve"]);
    assert_eq!(
        keys(r#"{"or": [{"field": "city", "equal": "Leiden"}, {"field": ["a.b"], "equal": null}]}"#),
        ["bob", "eve"]
    );
    assert_eq!(keys("\"a.b\" = null or city = \"' OR 1=1; --\""), ["eve"]);
    for wrong in
        ["age = Delft", "age", "", "{\"field\": \"age\", \"like\": 1}", "{", "age = 1; DROP TABLE dict"]
    {
        let refused = bench.run(&["dict", "list", "people", "--where", wrong]);
        assert_eq!(refused.code(), 2, "{wrong}: {}", refused.error());
        assert!(refused.error().contains("the filter `"), "{wrong}: {}", refused.error());
    }
    assert_eq!(bench.run(&["dict", "list", "people", "--explain"]).code(), 2);
    assert_eq!(bench.run(&["dict", "list", "--where", "a exists"]).code(), 2);
}

#[test]
fn indexes_are_made_listed_explained_and_removed() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["dict", "indexes", "people"]).code(), 1, "looking makes no store");
    people(&bench);
    assert_eq!(bench.printed(&["dict", "indexes", "people"]), "dict \"people\" has no index\n");
    let explain = ["dict", "list", "people", "--where", "city = \"Delft\" and age > 30", "--explain"];
    let scan = "no index is used: all there is is looked at, 3 entries\n\
                in each of them is looked at city = \"Delft\" and age > 30\n";
    assert_eq!(bench.printed(&explain), scan);
    let made = bench.printed(&["dict", "index", "people", "city", "\"a.b\""]);
    let header = vec!["field", "state", "entries"];
    assert_eq!(words(&made), [header, vec!["\"a.b\"", "complete", "1"], vec!["city", "complete", "2"]]);
    let by_index = "the index of city leads to 1 entry, by city = \"Delft\"\n\
                    in each of them is looked at age > 30\n\
                    the index of \"a.b\" is not used: nothing that it can answer always has to be so\n";
    assert_eq!(bench.printed(&explain), by_index);
    let explained = &bench.json(&explain)[0];
    assert_eq!((&explained["index"], &explained["entries"]), (&json!("city"), &json!(1)));
    assert_eq!(explained["answered"], json!(["city = \"Delft\""]));
    let listed = bench.json(&["dict", "indexes", "people"]);
    assert_eq!(listed[1], json!({"dict": "people", "field": "city", "state": "complete", "entries": 2}));
    assert_eq!(bench.printed(&["dict", "unindex", "people", "city", "age"]), "1 index is removed\n");
    let wrong = bench.run(&["dict", "index", "people", "a b"]);
    assert!(wrong.code() == 1 && wrong.error().contains("at character 2"), "{}", wrong.error());
}

#[test]
fn records_and_events_are_picked_out() {
    let bench = Bench::new();
    for n in 0..5 {
        bench.printed(&["log", "append", "l", &format!("{{\"n\": {n}}}")]);
        bench.printed(&["events", "append", &format!("s-{}", n % 2), "Counted", &format!("{{\"n\": {n}}}")]);
    }
    let numbers = |arguments: &[&str]| -> Vec<i64> {
        bench.json(arguments).iter().map(|line| line["data"]["n"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&["log", "range", "l", "--where", "n in (1, 3)"]), [1, 3]);
    assert_eq!(numbers(&["log", "range", "l", "--where", "n > 0", "--backward", "--limit", "2"]), [4, 3]);
    assert_eq!(numbers(&["log", "tail", "l", "--where", "n < 3", "-n", "2"]), [1, 2]);
    assert_eq!(numbers(&["events", "all", "--where", "n >= 3"]), [3, 4]);
    assert_eq!(numbers(&["events", "all", "--category", "s", "--where", "n < 2", "--limit", "1"]), [0]);
    assert_eq!(numbers(&["events", "read", "s-1", "--where", "n != 1"]), [3]);
    let arguments = ["--json", "log", "tail", "l", "-n", "1", "-f", "--where", "n > 3 and n != 9"];
    let mut tail = Running::start(&bench, &arguments);
    assert!(tail.line().contains("\"n\":4"));
    bench.printed(&["log", "append", "l", "{\"n\": 9}"]);
    bench.printed(&["log", "append", "l", "{\"n\": 10}"]);
    assert!(tail.line().contains("\"n\":10"));
    assert_eq!(tail.end(Signal::SIGINT), 0);
}

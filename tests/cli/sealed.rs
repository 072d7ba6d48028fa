//! Sealed dicts: opened by a key in a file or in the environment, and by no other.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::json;

use super::feed::Running;
use super::{Bench, Ended};

#[test]
fn a_sealed_dict_is_opened_by_its_key_alone() {
    let bench = Bench::new();
    let (right, wrong) = (bench.file("right", "correct horse\n"), bench.file("wrong", "password\n"));
    let with = |key: &str, words: &[&str]| bench.run(&[&["dict"], words, &["--key-file", key]].concat());
    let set = with(&right, &["set", "s", "mail", "\"hunter2\""]);
    assert_eq!((set.code(), set.printed().as_str()), (0, "version 1\n"));
    assert_eq!(with(&right, &["get", "s", "mail"]).printed(), "\"hunter2\"\n");
    let other = with(&wrong, &["get", "s", "mail"]);
    assert_eq!(other.code(), 1);
    assert!(other.error().contains("dict \"s\" is sealed with another key"), "{}", other.error());
    for words in [
        &["get", "s", "mail"][..],
        &["list", "s"],
        &["delete", "s", "mail"],
        &["increment", "s", "n"],
        &["set", "s", "a", "1"],
    ] {
        let plain = bench.run(&[&["dict"], words].concat());
        assert_eq!(plain.code(), 1, "{words:?}");
        assert!(
            plain.error().contains("cannot be used as a plain dict: it is a sealed one"),
            "{}",
            plain.error()
        );
    }
    for words in
        [&["list", "s", "--where", ". exists"][..], &["list", "s", "--where", ". exists", "--explain"]]
    {
        let filtered = with(&right, words);
        assert!(
            filtered.code() == 1 && filtered.error().contains("a filter on sealed dict \"s\""),
            "{}",
            filtered.error()
        );
    }
    assert_eq!(bench.run(&["dict", "index", "s", "a"]).code(), 1);
    assert_eq!(
        bench.json(&["dict", "list"]),
        [json!({"dict": "s", "entries": 1, "version": 1, "sealed": true})]
    );
    let listed = with(&right, &["list", "s"]).printed();
    assert!(listed.contains("mail") && listed.contains("\"hunter2\""), "{listed}");
    let missing = with("/nowhere/at/all", &["get", "s", "mail"]);
    assert!(
        missing.code() == 1 && missing.error().contains("cannot read the key in \"/nowhere/at/all\""),
        "{}",
        missing.error()
    );
    let both = bench.run(&["dict", "get", "s", "mail", "--key-file", &right, "--sealed"]);
    assert_eq!((both.code(), bench.run(&["dict", "get", "s", "mail", "--sealed"]).code()), (2, 2));
    for file in [bench.path("a.db"), bench.path("a.db-wal")] {
        let bytes = fs::read(file).unwrap_or_default();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
    assert_eq!(with(&right, &["delete", "s", "mail"]).code(), 0);
}

#[test]
fn the_key_may_be_in_the_environment_and_be_bytes() {
    let bench = Bench::new();
    let hex = "07".repeat(32);
    let file = bench.file("key", format!("{}\n", hex.to_uppercase()));
    let sealed = |key: &str, words: &[&str]| {
        let mut program = bench.program(&[&["dict"], words, &["--sealed"]].concat());
        Ended(program.env("MILLPOND_KEY", key).stdin(Stdio::null()).output().unwrap())
    };
    assert_eq!(sealed(&hex, &["set", "s", "k", "[1]"]).code(), 0);
    assert_eq!(bench.printed(&["dict", "get", "s", "k", "--key-file", &file]), "[1]\n");
    let passphrase = sealed("07", &["get", "s", "k"]);
    assert!(
        passphrase.code() == 1 && passphrase.error().contains("it takes 32 bytes, and no passphrase"),
        "{}",
        passphrase.error()
    );
    assert!(!passphrase.error().contains(&hex));
    let mut watching = Running::start(&bench, &["dict", "watch", "s", "--key-file", &file]);
    assert!(watching.line().starts_with("key"));
    assert_eq!(sealed(&hex, &["set", "s", "k", "{\"a\": 2}"]).code(), 0);
    assert!(watching.line().contains("{\"a\":2}"));
    assert_eq!(watching.end(Signal::SIGINT), 0);
}

//! `blob`: what goes in comes out, whole or in part, and nothing half is left behind.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::json;

use super::{Bench, Ended};

/// More than a few pieces, and no two alike.
fn film() -> Vec<u8> {
    (0..1_000_003_u32)
        .flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes())
        .take(1_000_003)
        .collect()
}

#[test]
fn a_file_goes_in_and_comes_out_as_it_was() {
    let bench = Bench::new();
    let (film, out) = (bench.file("pond.mp4", film()), bench.path("out.mp4"));
    let said = bench.printed(&["blob", "put", "films", "pond", &film, "--metadata", r#"{"by": "Ada"}"#]);
    assert!(said.starts_with("version 1, 1,000,003 bytes, SHA-256 "), "{said}");
    let out = out.to_str().unwrap();
    assert_eq!(bench.printed(&["blob", "get", "films", "pond", out]), "1,000,003 bytes of version 1\n");
    assert!(fs::read(out).unwrap() == fs::read(&film).unwrap());
    assert!(bench.run(&["blob", "get", "films", "pond"]).0.stdout == fs::read(&film).unwrap());
    let part = |range: &str| bench.run(&["blob", "get", "films", "pond", "--range", range]).0.stdout;
    let whole = fs::read(&film).unwrap();
    assert!(part("3-140000") == whole[3..=140_000] && part("999990-") == whole[999_990..]);
    assert_eq!(part("1000003-"), b"");
    assert_eq!(bench.run(&["blob", "get", "films", "pond", "--range", "9-3"]).code(), 2);
    assert_eq!(bench.run(&["blob", "get", "films", "pond", "--range", "all"]).code(), 2);
    let shown = &bench.json(&["blob", "show", "films", "pond"])[0];
    assert_eq!(
        (&shown["key"], &shown["size"], &shown["version"]),
        (&json!("pond"), &json!(1_000_003), &json!(1))
    );
    assert_eq!(shown["metadata"], json!({"by": "Ada"}));
    assert!(said.contains(shown["sha256"].as_str().unwrap()));
    assert!(bench.printed(&["blob", "show", "films", "pond"]).contains("metadata  {\"by\":\"Ada\"}\n"));
    assert_eq!(bench.json(&["status"])[0]["blob_bytes"], 1_000_003);
    assert!(bench.printed(&["status"]).contains("blobs        1, of 976.5 KiB\n"));
}

#[test]
fn standard_input_is_a_blob_too() {
    let bench = Bench::new();
    let put = |more: &[&str], text: &str| {
        let mut program = bench.program(&[&["blob", "put", "notes", "k"], more].concat());
        let program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ended(child.wait_with_output().unwrap())
    };
    assert_eq!(put(&["--absent"], "one").code(), 0);
    assert_eq!(put(&["-"], "two").code(), 0);
    let refused = put(&["--absent"], "three");
    assert_eq!(refused.code(), 1);
    let why = "\"k\" of blobs \"notes\" was expected to be nothing, but it has version 2";
    assert_eq!(refused.error(), format!("millpond: blob put: {why}\n"));
    assert_eq!((put(&["--version", "2"], "four").code(), put(&["--version", "2"], "five").code()), (0, 1));
    assert_eq!(bench.printed(&["blob", "get", "notes", "k"]), "four");
    assert_eq!(put(&["--metadata", "no json"], "six").code(), 2);
}

#[test]
fn blobs_are_listed_and_removed() {
    let bench = Bench::new();
    let (small, large) = (bench.file("small", "abc"), bench.file("large", film()));
    for (key, file) in [("b", &small), ("a-2", &large), ("a-1", &small)] {
        bench.printed(&["blob", "put", "films", key, file]);
    }
    let keys = |arguments: &[&str]| {
        let shown = bench.json(&[&["blob", "list"], arguments].concat());
        shown.iter().map(|it| it["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (keys(&["films"]), keys(&["films", "a-"])),
        (vec!["a-1".into(), "a-2".into(), "b".into()], vec!["a-1".to_owned(), "a-2".to_owned()])
    );
    assert_eq!(bench.printed(&["blob", "list", "films", "b"]).lines().count(), 2);
    assert_eq!(
        bench.json(&["blob", "list"]),
        [json!({"name": "films", "blobs": 3, "bytes": 1_000_009, "version": 3})]
    );
    assert_eq!(bench.printed(&["blob", "delete", "films", "a-2"]), "\"a-2\" of blobs \"films\" is gone\n");
    assert_eq!(
        bench.printed(&["blob", "delete", "films", "a-2"]),
        "there was no \"a-2\" in blobs \"films\"\n"
    );
    let status = &bench.json(&["status"])[0];
    assert_eq!((&status["blobs"], &status["blob_contents"]), (&json!(2), &json!(0)), "it is swept at once");
}

#[test]
fn what_is_not_there_is_said_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let missing = bench.run(&["blob", "put", "films", "k", "never"]);
    assert_eq!(missing.code(), 1);
    assert!(
        missing.error().starts_with("millpond: blob put: cannot read \"never\": "),
        "{}",
        missing.error()
    );
    assert!(!bench.path("a.db").exists(), "a wrong name makes no store");
    let none = bench.run(&["blob", "get", "films", "k"]);
    assert!(none.error().contains("there is no store at"), "{}", none.error());
    let small = bench.file("small", "abc");
    bench.printed(&["blob", "put", "films", "k", &small]);
    for command in ["get", "show"] {
        let none = bench.run(&["blob", command, "films", "none"]);
        let why = format!("millpond: blob {command}: there is no \"none\" in blobs \"films\"\n");
        assert_eq!((none.code(), none.error()), (1, why));
    }
    let nowhere = bench.path("no folder").join("out");
    let failed = bench.run(&["blob", "get", "films", "k", nowhere.to_str().unwrap()]);
    assert!(failed.code() == 1 && failed.error().contains("cannot write"), "{}", failed.error());
}

#[test]
fn b5_a_damaged_blob_becomes_no_file() {
    let bench = Bench::new();
    let (film, out) = (bench.file("pond.mp4", film()), bench.file("out", "what was there"));
    bench.printed(&["blob", "put", "films", "pond", &film]);
    // A byte in the middle of the file, far from what is not content.
    let store = bench.path("a.db");
    let mut file = fs::read(&store).unwrap();
    let content = fs::read(&film).unwrap();
    let place = file.windows(64).position(|window| window == &content[600_000..600_064]).unwrap();
    file[place + 5] ^= 0x10;
    fs::write(&store, file).unwrap();
    let failed = bench.run(&["blob", "get", "films", "pond", &out]);
    assert_eq!(failed.code(), 1);
    assert!(failed.error().contains("damaged record: chunk of blobs \"films\" at 4"), "{}", failed.error());
    assert_eq!(fs::read_to_string(&out).unwrap(), "what was there");
    let left = fs::read_dir(bench.path(""))
        .unwrap()
        .filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(left.count(), 0);
    let printed = bench.run(&["blob", "get", "films", "pond"]);
    assert_eq!(printed.code(), 1);
    let right = printed.0.stdout;
    assert!(right.len() <= 4 * (128 << 10) && right == content[..right.len()], "no byte of it is wrong");
    let before = bench.run(&["blob", "get", "films", "pond", "--range", "0-524287"]);
    assert!(before.code() == 0 && before.0.stdout == content[..524_288], "what is not damaged can be read");
}

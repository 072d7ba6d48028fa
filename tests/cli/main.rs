//! The command line, from outside: what it prints, what it leaves in the store, how it ends.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what is wrong here is a failed test")]

mod bench;
mod blob;
mod copy;
mod dict;
mod dump;
mod events;
mod feed;
mod filter;
mod list;
mod lock;
mod postgres;
mod projection;
mod queue;
mod sealed;
mod status;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Command as Program, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a store that does not exist yet.
struct Bench {
    folder: TempDir,
    /// A file of the folder, or a URL.
    store: String,
}

impl Bench {
    fn new() -> Bench {
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("a.db").to_str().unwrap().to_owned();
        Bench { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let mut program = Program::new(cargo_bin("millpond"));
        program
            .env("MILLPOND_STORE", &self.store)
            .env_remove("MILLPOND_LOG")
            .env_remove("MILLPOND_KEY")
            .args(arguments);
        program
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended(self.program(arguments).stdin(Stdio::null()).output().unwrap())
    }

    /// Of a run that must succeed.
    fn printed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!((ended.code(), ended.error().as_str()), (0, ""), "{arguments:?}: {}", ended.printed());
        ended.printed()
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.printed(&[&["--json"], arguments].concat());
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

struct Ended(Output);

impl Ended {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    fn printed(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    fn error(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }
}

/// Lines of ten streams in turn, `stream-0` to `stream-9`.
fn lines(count: usize) -> Vec<String> {
    let line = |n: usize| {
        format!(r#"{{"stream":"stream-{}","type":"Counted","data":{{"n": {n}, "again": {n}.50}}}}"#, n % 10)
    };
    (0..count).map(line).collect()
}

#[test]
fn a_bad_line_is_named_and_its_chunk_leaves_no_trace() {
    let bench = Bench::new();
    let mut all = lines(2_500);
    all[1_699] = r#"{"stream":"stream-1","type":"Counted","when":"now"}"#.into();
    let file = bench.file("a.jsonl", all.join("\n"));
    let ended = bench.run(&["events", "import", &file]);
    assert_eq!(ended.code(), 1);
    let why = "unknown field `when`, expected one of";
    assert!(
        ended.error().starts_with(&format!("millpond: events import: line 1700: {why}")),
        "{}",
        ended.error()
    );
    let kept = "nothing of lines 1001-1700 was kept, 1000 lines before are in the store\n";
    assert!(ended.error().ends_with(kept), "{}", ended.error());
    assert_eq!(bench.json(&["status"])[0]["events"], 1_000);

    all[1_699] = r#"{"stream":"stream-1","type":"Mended"}"#.into();
    let file = bench.file("a.jsonl", all.join("\n"));
    let done = bench.json(&["events", "import", &file]);
    assert_eq!((&done[0]["added"], &done[0]["known"]), (&1_500.into(), &1_000.into()));
}

#[test]
fn an_import_again_adds_nothing() {
    let bench = Bench::new();
    // The same line twice is two events.
    let all = [lines(1_200), lines(3)].concat().join("\r\n");
    let file = bench.file("a.jsonl", all);
    assert!(
        bench.printed(&["events", "import", &file]).starts_with("1203 events added, 0 already there, in ")
    );
    assert!(
        bench.printed(&["events", "import", &file]).starts_with("0 events added, 1203 already there, in ")
    );
}

#[test]
fn an_id_of_another_stream_is_a_bad_line() {
    let bench = Bench::new();
    let id = "68e27149-f181-5875-af0c-74d0f5233c37";
    let line = |stream: &str| format!(r#"{{"stream":"{stream}","type":"T","id":"{id}"}}"#);
    let file = bench
        .file("a.jsonl", [&lines(2).join("\n"), "", &line("a"), &line("b"), &lines(9).join("\n")].join("\n"));
    let ended = bench.run(&["events", "import", &file]);
    assert_eq!(ended.code(), 1);
    let why = format!(
        "line 5: the id {id} is taken by an event of another stream; nothing of lines 1-14 was kept\n"
    );
    assert!(ended.error().ends_with(&why), "{}", ended.error());
    assert_eq!(bench.json(&["status"])[0]["events"], 0);
}

#[test]
fn an_export_of_an_import_of_an_export_is_the_export() {
    let bench = Bench::new();
    let odd = [
        r#"{"stream":"odd-1","type":"T \"quoted\" 😀","time":"2011-10-11T13:45:40.276000+02:00","data":{"b" : 1.00, "a":1e5}}"#,
        r#"{"stream":"odd-'; DROP","type":"T","data":"\u0007\u001b[31m é","metadata":{ "by":"me"},"schema":3}"#,
        r#"{"stream":"odd-1","type":"T","data":null,"metadata":null}"#,
        r#"{"stream":"plain","type":"T","id":"68e27149-f181-5875-af0c-74d0f5233c37"}"#,
        r#"{"stream":"plain","type":"T","correlation":"68e27149-f181-5875-af0c-74d0f5233c37","actor":"a \"b\"","tenant":"acme"}"#,
    ];
    let file = bench.file("a.jsonl", odd.join("\n"));
    bench.printed(&["events", "import", &file]);
    bench.printed(&["events", "append", "odd-1", "Long", "[1,\n 2]"]);
    bench.printed(&[
        "events", "append", "odd-1", "Long", "7", "--schema", "2", "--actor", "ada", "--tenant", "acme",
    ]);
    let of_tenant = bench.json(&["events", "all", "--tenant", "acme", "--type", "T", "--type", "Long"]);
    assert_eq!(of_tenant.len(), 2);
    assert_eq!((&of_tenant[0]["actor"], &of_tenant[1]["schema"]), (&"a \"b\"".into(), &2.into()));
    let first = bench.printed(&["events", "export"]);
    assert!(
        first.contains(r#","time":"2011-10-11T13:45:40.276000+02:00","data":{"b" : 1.00, "a":1e5}}"#),
        "{first}"
    );
    let file = bench.file("b.jsonl", &first);
    let second = bench.path("b.db").to_str().unwrap().to_owned();
    bench.printed(&["--store", &second, "events", "import", &file]);
    assert_eq!(bench.printed(&["--store", &second, "events", "export"]), first);
    assert_eq!(bench.printed(&["events", "export", "--category", "plain"]).lines().count(), 2);
}

#[test]
fn csv_is_imported_by_its_columns() {
    let bench = Bench::new();
    let file = bench.file(
        "a.csv",
        "case,activity,at,who\n7,Opened,2026-01-01T00:00:00Z,\"Ada, \"\"L.\"\"\"\n8,Closed,,\n",
    );
    let columns = ["--stream-column", "case", "--type-column", "activity", "--time-column", "at"];
    let import = [&["events", "import", &file, "--prefix", "permit-"], &columns[..]].concat();
    assert!(bench.printed(&import).starts_with("2 events added"));
    let event = &bench.json(&["events", "read", "permit-7"])[0];
    assert_eq!(
        (&event["time"], &event["data"]["who"]),
        (&"2026-01-01T00:00:00Z".into(), &"Ada, \"L.\"".into())
    );
    let ended = bench.run(&["events", "import", &file]);
    assert_eq!(ended.code(), 1);
    assert!(ended.error().contains("there is no column \"stream\""), "{}", ended.error());
}

#[test]
fn events_are_read_in_order() {
    let bench = Bench::new();
    let file = bench.file("a.jsonl", lines(30).join("\n"));
    bench.printed(&["events", "import", &file]);
    let versions = |options: &[&str]| -> Vec<u64> {
        let read = [&["events", "read", "stream-3"], options].concat();
        bench.json(&read).iter().map(|event| event["version"].as_u64().unwrap()).collect()
    };
    assert_eq!(versions(&[]), [1, 2, 3]);
    assert_eq!(versions(&["--backward", "--limit", "2"]), [3, 2]);
    assert_eq!(versions(&["--from", "2", "--to", "2"]), [2]);
    let all = bench.json(&["events", "all", "--after", "27"]);
    assert_eq!(all.iter().map(|event| event["position"].as_u64().unwrap()).collect::<Vec<_>>(), [28, 29, 30]);
    assert_eq!(
        bench.json(&["events", "all", "--category", "stream", "--type", "Counted", "--limit", "4"]).len(),
        4
    );
    let table = bench.printed(&["events", "read", "stream-3", "--limit", "1"]);
    assert!(
        table.starts_with("version  time") && table.ends_with("Counted  {\"n\":3,\"again\":3.50}\n"),
        "{table}"
    );
}

#[test]
fn appends_expect_and_repeat() {
    let bench = Bench::new();
    let append = |options: &[&str]| bench.run(&[&["events", "append", "a-1", "T"], options].concat());
    assert_eq!(append(&["-1.50", "--expect", "none"]).printed(), "version 1, position 1\n");
    let conflict = append(&["{}", "--expect", "none"]);
    assert_eq!(conflict.code(), 1);
    assert!(conflict.error().starts_with("millpond: events append: stream \"a-1\""), "{}", conflict.error());
    let id = [
        "--id",
        "68e27149-f181-5875-af0c-74d0f5233c37",
        "--expect",
        "1",
        "--at",
        "2026-01-01T00:00:00+01:00",
    ];
    assert_eq!(append(&id).printed(), "version 2, position 2\n");
    assert_eq!(append(&id).printed(), "version 2, position 2 (it was there already)\n");
    assert!(append(&["nonsense"]).error().contains("a text is JSON only in quotes"));
}

#[test]
fn wrong_usage_ends_with_2() {
    let bench = Bench::new();
    let wrong: &[&[&str]] = &[
        &[],
        &["nonsense"],
        &["events", "append", "a"],
        &["events", "append", "a", "T", "--expect", "many"],
        &["events", "append", "a", "T", "--at", "yesterday"],
        &["lock", "run", "x", "--wait", "30", "--", "true"],
        &["lock", "run", "x"],
    ];
    for arguments in wrong {
        assert_eq!(bench.run(arguments).code(), 2, "{arguments:?}");
    }
    let loud = bench.program(&["status"]).env("MILLPOND_LOG", "loud").output().unwrap();
    assert_eq!(loud.status.code(), Some(2));
    assert!(!bench.path("a.db").exists());
}

#[test]
fn looking_at_a_store_does_not_make_one() {
    let bench = Bench::new();
    let looks: &[&[&str]] = &[
        &["events", "read", "a"],
        &["events", "all"],
        &["events", "export"],
        &["events", "diff", "a", "0", "1"],
        &["events", "verify"],
        &["lock", "list"],
        &["lock", "show", "x"],
        &["status"],
        &["events", "import", "/nowhere.jsonl"],
    ];
    for look in looks {
        let ended = bench.run(look);
        assert_eq!(ended.code(), 1, "{look:?}");
        assert!(ended.error().starts_with(&format!("millpond: {}", look[0])), "{}", ended.error());
        assert!(!bench.path("a.db").exists(), "{look:?}");
    }
    let ended = bench.run(&["status"]);
    assert!(ended.error().contains("there is no store at"), "{}", ended.error());
    bench.printed(&["events", "append", "a", "T"]);
    assert_eq!(
        bench.run(&["events", "read", "b"]).error(),
        "millpond: events read: there is no stream \"b\"\n"
    );
}

#[test]
fn odd_names_are_shown_and_never_garble_a_terminal() {
    let bench = Bench::new();
    for name in ["it's \"quoted\"", "emoji-😀", "%s\\n; --"] {
        bench.printed(&["events", "append", name, name, "\"a\u{9b}31m\u{202e}\\u001b\""]);
        let (event, table) =
            (bench.json(&["events", "read", name]), bench.printed(&["events", "read", name]));
        assert_eq!((&event[0]["stream"], &event[0]["type"]), (&name.into(), &name.into()));
        assert_eq!(event[0]["data"], "a\u{9b}31m\u{202e}\u{1b}");
        assert!(table.contains(name) && table.contains(r"a\u{9b}31m\u{202e}\u001b"), "{table}");
        assert!(!table.contains(['\u{9b}', '\u{202e}', '\u{1b}']));
    }
    let ended = bench.run(&["events", "append", "a\u{1b}[31m", "T"]);
    assert_eq!(ended.code(), 1);
    assert!(ended.error().contains("U+001B") && !ended.error().contains('\u{1b}'), "{}", ended.error());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = Bench::new();
    let file = bench.file("a.jsonl", lines(3_000).join("\n"));
    bench.printed(&["events", "import", &file]);
    for command in [["events", "all"], ["events", "export"]] {
        let mut child =
            bench.program(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        drop(output);
        let (mut complaint, status) = (String::new(), child.wait().unwrap());
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        assert_eq!((status.code(), complaint.as_str()), (Some(0), ""), "{command:?}");
    }
}

#[test]
fn the_tour_keeps_its_promises() {
    let bench = Bench::new();
    let mut program = bench.program(&["demo", "--seconds", "1"]);
    let ended = Ended(program.env("TMPDIR", bench.folder.path()).output().unwrap());
    let mut said = ended.printed();
    write!(said, "{}", ended.error()).unwrap();
    assert_eq!(ended.code(), 0, "{said}");
    assert!(said.contains("kill -9") && !said.contains("FAILED") && said.lines().count() < 40, "{said}");
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 0);
}

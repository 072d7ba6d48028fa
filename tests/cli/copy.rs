//! `copy`: between stores and dumps, killed and begun again, refused where something else is.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Bench;

/// A store with something of every primitive.
pub(crate) fn filled() -> Bench {
    let bench = Bench::new();
    bench.printed(&["events", "append", "order-1", "Opened", r#"{"sum": 1.50}"#]);
    bench.printed(&["events", "append", "order-2", "Opened"]);
    bench.printed(&["events", "delete", "order-2", "--close"]);
    bench.printed(&["log", "append", "audit", "7"]);
    bench.printed(&["channel", "publish", "orders", "7"]);
    bench.printed(&["queue", "push", "mail", r#""to ada""#]);
    bench.printed(&["queue", "every", "mail", "digest", "0 7 * * *", "1"]);
    bench.printed(&["dict", "set", "prices", "lamp", "700"]);
    bench.printed(&["dict", "index", "prices", "cents"]);
    bench.printed(&["list", "push", "todo", r#""water""#]);
    bench.printed(&["list", "push", "todo", r#""weed""#]);
    bench.printed(&["blob", "put", "films", "pond", &bench.file("pond.mp4", vec![7; 300_000])]);
    bench
}

impl Bench {
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// What a dump of a store has between its first line, which tells of the store and the time, and its last.
    pub(crate) fn records(&self, store: &str) -> Vec<Value> {
        records(&self.printed(&["--store", store, "dump", "--with-keys"]))
    }
}

fn records(dump: &str) -> Vec<Value> {
    let lines: Vec<_> = dump.lines().collect();
    lines[1..lines.len() - 1].iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn copy_brings_a_store_to_another_one_and_says_that_it_is_the_same() {
    let bench = filled();
    let (from, to) = (bench.at("a.db"), bench.at("b.db"));
    let said = bench.printed(&["copy", &from, &to]);
    let count = bench.records(&from).len();
    assert!(said.starts_with(&format!("{count} records copied, 0 already there, in ")), "{said}");
    let same = format!("\nboth have {count} records, the same ones: checksum ");
    assert!(said.contains(&same) && said.ends_with(", last position 3\n"), "{said}");
    assert_eq!(bench.records(&to), bench.records(&from));
    assert_eq!(bench.json(&["--store", &to, "check"])[0]["sound"], true);

    let again = &bench.json(&["copy", &from, &to])[0];
    assert_eq!((&again["written"], &again["known"]), (&json!(0), &json!(count)));
    assert_eq!((&again["from"], &again["to"], &again["position"]), (&json!(from), &json!(to), &json!(3)));
    assert_eq!((&again["records"]["blob.chunk"], &again["records"]["list.item"]), (&json!(3), &json!(2)));
    assert!(said.contains(again["checksum"].as_str().unwrap()), "{said} {again}");
    assert!(again["seconds"].as_f64().is_some());
    // The environment says nothing about either.
    assert!(
        bench.program(&["copy", &from, &to]).env("MILLPOND_STORE", "none.db").status().unwrap().success()
    );
    assert!(!Path::new("none.db").exists());
}

#[test]
fn copy_goes_to_a_dump_and_back_and_through_pipes() {
    let bench = filled();
    let (from, paper, to) = (bench.at("a.db"), bench.at("a.jsonl"), bench.at("b.db"));
    bench.printed(&["copy", &from, &paper]);
    let text = fs::read_to_string(&paper).unwrap();
    assert_eq!(records(&text), bench.records(&from));
    bench.printed(&["copy", &paper, &to]);
    assert_eq!(bench.records(&to), bench.records(&from));
    let again = &bench.json(&["copy", &from, &paper])[0];
    assert_eq!((&again["written"], &again["known"]), (&json!(0), &json!(records(&text).len())));

    let printed = bench.printed(&["copy", &from, "-"]);
    assert_eq!(records(&printed), records(&text));
    let other = bench.at("c.db");
    let mut copying = bench.program(&["--json", "copy", "-", &other]);
    let mut copying = copying.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    copying.stdin.take().unwrap().write_all(printed.as_bytes()).unwrap();
    let ended = copying.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((ended.status.code(), &said["known"]), (Some(0), &json!(0)));
    assert_eq!(bench.records(&other), bench.records(&from));
    // Neither of two dumps is a store; what is called otherwise is one.
    let neither = bench.run(&["copy", &paper, "-"]);
    let why = "millpond: copy: one of the two has to be a store; a dump ends in .jsonl, or is -, a store does neither\n";
    assert_eq!((neither.code(), neither.error().as_str()), (2, why));
    let odd = bench.run(&["copy", &bench.file("dump.txt", &text), &bench.at("d.db")]);
    assert_eq!(odd.code(), 1);
    assert!(odd.error().contains("is not a store of Millpond"), "{}", odd.error());
    assert!(!bench.path("d.db").exists());
    // It only looks at what it copies, if that is said.
    bench.printed(&["--read-only", "copy", &from, &bench.at("e.db")]);
    assert_eq!(bench.records(&bench.at("e.db")), bench.records(&from));
}

#[test]
fn copy_onto_something_else_is_refused_and_changes_nothing() {
    let bench = filled();
    let (from, to) = (bench.at("a.db"), bench.at("b.db"));
    bench.printed(&["--store", &to, "dict", "set", "own", "k", "1"]);
    let before = bench.records(&to);
    let refused = bench.run(&["copy", &from, &to]);
    let why = "millpond: copy: what is there is not the beginning of this copy: event 1 of stream \"order-1\" (position 1) is not there: dict \"own\" stands in its place; nothing was written, copy to an empty place\n";
    assert_eq!((refused.code(), refused.error().as_str()), (1, why));
    assert_eq!(bench.records(&to), before);
    let itself = bench.run(&["copy", &from, &from]);
    let why = "millpond: copy: a store cannot be copied onto itself; nothing was copied\n";
    assert_eq!((itself.code(), itself.error().as_str()), (1, why));
    let missing = bench.run(&["copy", &bench.at("none.db"), &bench.at("c.db")]);
    assert!(missing.code() == 1 && missing.error().contains("there is no store at"), "{}", missing.error());
    let missing = bench.run(&["copy", &bench.at("none.jsonl"), &bench.at("c.db")]);
    assert!(missing.code() == 1 && missing.error().contains("cannot read"), "{}", missing.error());
    assert!(!bench.path("c.db").exists(), "a wrong name leaves nothing behind");
    let cut = bench.file("cut.jsonl", "{\"kind\":\"shop\"}\n");
    let broken = bench.run(&["copy", &cut, &bench.at("c.db")]);
    let why = "millpond: copy: line 1 of the dump: it is not the first line of a dump of Millpond: its kind is another one; nothing was loaded\n";
    assert_eq!((broken.code(), broken.error().as_str()), (1, why));
}

#[test]
fn copy_of_what_has_changed_since_goes_on_behind_or_says_where() {
    let bench = filled();
    let (from, to, paper) = (bench.at("a.db"), bench.at("b.db"), bench.at("a.jsonl"));
    // What a copy leaves that was killed before the dicts.
    bench.printed(&["dump", &paper, "--only", "stream", "--only", "log"]);
    bench.printed(&["--store", &to, "load", &paper]);
    let count = bench.records(&to).len();
    bench.printed(&["dict", "set", "prices", "lamp", "701"]);
    let copied = &bench.json(&["copy", &from, &to])[0];
    assert_eq!((&copied["known"], bench.records(&to)), (&json!(count), bench.records(&from)));
    bench.printed(&["events", "append", "order-1", "Changed"]);
    let refused = bench.run(&["copy", &from, &to]);
    assert_eq!(refused.code(), 1);
    let why =
        "event 2 of stream \"order-1\" (position 4) is not there: stream \"order-2\" stands in its place";
    assert!(refused.error().contains(why), "{}", refused.error());
}

/// A store whose copy is three commits. While the last one is made, the log of the target is longer than any other file that is written.
fn large() -> Bench {
    let bench = filled();
    let lines = super::lines(28_000).join("\n");
    bench.printed(&["events", "import", &bench.file("lines.jsonl", lines)]);
    bench
}

/// Has a copy killed by the system as soon as one of its files gets a tenth longer than the store it is made of: behind the second commit.
fn limit_copy(bench: &Bench, arguments: &[&str]) {
    let blocks = fs::metadata(bench.path("a.db")).unwrap().len() * 11 / 10 / 512;
    let limited = format!("ulimit -c 0 && ulimit -f {blocks} && exec \"$0\" \"$@\"");
    let program = bench.program(arguments);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(limited).arg(program.get_program()).args(program.get_args());
    let ended = shell.env("MILLPOND_STORE", &bench.store).output().unwrap();
    assert_eq!(ended.status.signal(), Some(Signal::SIGXFSZ as i32), "{ended:?}");
}

/// Kills a copy once something is longer than this.
fn kill_copy(bench: &Bench, arguments: &[&str], watched: &Path, longer: u64, with: Signal) {
    let mut copying = bench.program(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let length = || fs::metadata(watched).map_or(0, |found| found.len());
    while length() <= longer && copying.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    // It may have ended by itself.
    let _ = kill(Pid::from_raw(i32::try_from(copying.id()).unwrap()), with);
    copying.wait().unwrap();
}

/// Whatever has come to a store of a copy that was killed is its beginning, and is gone on with. How many records that was.
fn goes_on(bench: &Bench, before: &[Value], to: &str) -> usize {
    let there = if Path::new(to).exists() { bench.records(to) } else { Vec::new() };
    assert_eq!(there, before[..there.len()], "what is there is the beginning");
    if !there.is_empty() {
        assert_eq!(bench.json(&["--store", to, "check"])[0]["sound"], true);
    }
    let copied = &bench.json(&["copy", &bench.at("a.db"), to])[0];
    let rest = before.len() - there.len();
    assert_eq!((&copied["known"], &copied["written"]), (&json!(there.len()), &json!(rest)));
    assert_eq!(bench.records(to), before);
    there.len()
}

#[test]
fn g1_copy_that_is_killed_goes_on_and_writes_only_the_rest() {
    let bench = large();
    let from = bench.at("a.db");
    let before = bench.records(&from);
    let half = bench.at("half.db");
    limit_copy(&bench, &["copy", &from, &half]);
    let there = goes_on(&bench, &before, &half);
    assert!(there >= 20_000 && there < before.len(), "{there}: two commits, and not all of it");
    // Whenever it is, from the first byte on.
    let kills = [(0, Signal::SIGKILL), (1_500_000, Signal::SIGKILL), (1_500_000, Signal::SIGINT)];
    for (n, (longer, with)) in kills.into_iter().enumerate() {
        let (to, log) = (bench.at(&format!("to-{n}.db")), bench.path(&format!("to-{n}.db-wal")));
        kill_copy(&bench, &["copy", &from, &to], &log, longer, with);
        goes_on(&bench, &before, &to);
    }
}

#[test]
fn g1_copy_to_a_dump_that_is_killed_leaves_no_dump_and_goes_on() {
    let bench = large();
    let (from, paper, part) = (bench.at("a.db"), bench.at("a.jsonl"), bench.path("a.jsonl.part"));
    limit_copy(&bench, &["copy", &from, &paper]);
    assert!(part.exists() && !Path::new(&paper).exists(), "half a dump has another name");
    let copied = &bench.json(&["copy", &from, &paper])[0];
    assert!(copied["known"].as_u64().unwrap() > 1_000, "{copied}");
    let before = bench.records(&from);
    assert_eq!(copied["known"].as_u64().unwrap() + copied["written"].as_u64().unwrap(), before.len() as u64);
    assert_eq!(records(&fs::read_to_string(&paper).unwrap()), before);
    assert!(!part.exists());
}

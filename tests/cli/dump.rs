//! `dump`, `load`, `check`, `compact` and `--read-only`: what they say, what they leave, how they end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::Bench;

/// A store with a little of something.
fn filled() -> Bench {
    let bench = Bench::new();
    bench.printed(&["events", "append", "order-1", "Opened", r#"{"sum": 1.50}"#]);
    bench.printed(&["queue", "push", "mail", r#""to ada""#]);
    bench.printed(&["log", "append", "audit", "7"]);
    bench.printed(&["dict", "set", "prices", "lamp", "700"]);
    bench
}

/// The lines between the first, which tells of the store and the time, and the last.
fn records(dump: &str) -> Vec<Value> {
    let lines: Vec<_> = dump.lines().collect();
    lines[1..lines.len() - 1].iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dump_and_load_bring_a_store_to_another_file() {
    let bench = filled();
    let text = bench.printed(&["dump"]);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["kind"], &first["format"], &first["position"]),
        (&json!("millpond"), &json!(1), &json!(1))
    );
    assert!(text.lines().last().unwrap().starts_with("{\"kind\":\"end\",\"counts\":{\"dict\":1,"), "{text}");
    let kinds: Vec<_> = records(&text).iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["stream.event", "log", "log.message", "queue", "queue.job", "dict", "dict.entry"]);
    assert!(text.contains(r#""data":{"json":{"sum": 1.50}}"#), "byte for byte: {text}");

    let file = bench.path("a.jsonl");
    let file = file.to_str().unwrap();
    let said = bench.printed(&["dump", file]);
    assert!(said.starts_with(&format!("\"{file}\" holds 7 records in 1.0 KiB, made in 0.")), "{said}");
    let again = bench.run(&["dump", file]);
    assert_eq!(again.code(), 1);
    let why = format!("millpond: dump: there is something at \"{file}\" already; a dump is a new file\n");
    assert_eq!(again.error(), why);

    let other = bench.path("b.db");
    let other = other.to_str().unwrap();
    let said = bench.printed(&["--store", other, "load", file]);
    assert!(said.starts_with("7 records loaded, 0 already there, in 0."), "{said}");
    assert_eq!(records(&bench.printed(&["--store", other, "dump"])), records(&text));

    let refused = bench.run(&["--store", other, "load", file]);
    assert_eq!(refused.code(), 1);
    let why = "millpond: load: stream \"order-1\" is there already; nothing was loaded (replace what is there, or append to it)\n";
    assert_eq!(refused.error(), why);
    let loaded =
        &bench.json(&["--store", other, "load", file, "--append", "--only", "queue", "--only", "dict/p*"])[0];
    assert_eq!(
        (&loaded["written"], &loaded["known"], &loaded["left_out"]),
        (&json!(4), &json!(0), &json!(3))
    );
    assert_eq!(bench.json(&["--store", other, "queue", "list"])[0]["ready"], 2);
    bench.printed(&["--store", other, "load", file, "--replace", "--only", "queue"]);
    assert_eq!(bench.json(&["--store", other, "queue", "list"])[0]["ready"], 1);
    assert_eq!(bench.run(&["load", file, "--replace", "--append"]).code(), 2);
    let wrong = bench.run(&["dump", "--only", "tables"]);
    let kinds = "subject, stream, log, channel, queue, dict, list, blob, projection";
    let why = format!("millpond: dump: only \"tables\": there is no such kind; the kinds are {kinds}\n");
    assert_eq!((wrong.code(), wrong.error()), (1, why));
}

#[test]
fn blobs_go_through_a_dump_piece_by_piece_and_damage_to_one_is_found() {
    let bench = Bench::new();
    // Two pieces and a rest, of which no two bytes in a row are alike.
    let film: Vec<u8> = (0..300_000_u32).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
    bench.printed(&["blob", "put", "films", "pond", &bench.file("pond.mp4", &film), "--metadata", "[1]"]);
    bench.printed(&["blob", "put", "films", "title", &bench.file("title", "The pond")]);
    bench.printed(&["dict", "set", "prices", "lamp", "700"]);
    let text = bench.printed(&["dump", "--only", "blob/films"]);
    let lines = records(&text);
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    let piece = "blob.chunk";
    assert_eq!(kinds, ["blob", "blob.entry", piece, piece, piece, "blob.entry", piece]);
    let shown = &bench.json(&["blob", "show", "films", "pond"])[0];
    assert_eq!((&lines[1]["sha256"], &lines[1]["size"]), (&shown["sha256"], &shown["size"]));
    assert_eq!((&lines[1]["metadata"], &lines[6]["data"]), (&json!("[1]"), &json!("VGhlIHBvbmQ=")));

    let (file, other, out) = (bench.file("a.jsonl", &text), bench.path("b.db"), bench.path("out"));
    let (other, out) = (other.to_str().unwrap(), out.to_str().unwrap());
    let said = bench.printed(&["--store", other, "load", &file]);
    assert!(said.starts_with("7 records loaded, 0 already there, in 0."), "{said}");
    assert_eq!(records(&bench.printed(&["--store", other, "dump"])), lines);
    bench.printed(&["--store", other, "blob", "get", "films", "pond", out]);
    assert!(fs::read(out).unwrap() == film);
    assert_eq!(bench.json(&["--store", other, "blob", "show", "films", "pond"])[0], *shown);
    let refused = bench.run(&["--store", other, "load", &file]);
    let why = "millpond: load: blob \"films\" is there already; nothing was loaded (replace what is there, or append to it)\n";
    assert_eq!((refused.code(), refused.error()), (1, why.to_owned()));
    bench.printed(&["--store", other, "load", &file, "--replace"]);
    assert_eq!(bench.json(&["--store", other, "blob", "show", "films", "pond"])[0]["version"], 3);
    bench.printed(&["--store", other, "load", &file, "--append"]);
    assert_eq!(bench.json(&["--store", other, "status"])[0]["blob_bytes"], 300_008);
    assert!(bench.printed(&["--store", other, "check"]).starts_with("7 records, in 0."));

    let odd = bench.file("odd.jsonl", text.replacen("\"sequence\":1,", "\"sequence\":2,", 1));
    let refused = bench.run(&["--store", bench.path("c.db").to_str().unwrap(), "load", &odd]);
    let why =
        "millpond: load: line 5 of the dump: chunk 2 of \"pond\" comes where 1 should; nothing was loaded\n";
    assert_eq!((refused.code(), refused.error()), (1, why.to_owned()));

    let vandal = rusqlite::Connection::open(other).unwrap();
    vandal.execute_batch("UPDATE blob_chunk SET data = zeroblob(131072) WHERE sequence = 1").unwrap();
    drop(vandal);
    let ended = bench.run(&["--store", other, "check"]);
    let sum = "millpond: check: chunk of blobs \"films\" at 1: key \"pond\": its checksum is ";
    assert!(ended.code() == 1 && ended.error().starts_with(sum), "{}", ended.error());
    assert!(ended.printed().ends_with(" s: 1 finding\n"), "{}", ended.printed());
    let dump = bench.run(&["--store", other, "dump", bench.path("d.jsonl").to_str().unwrap()]);
    let why = "millpond: dump: damaged record: chunk of blobs \"films\" at 1: key \"pond\": its checksum is ";
    assert!(dump.code() == 1 && dump.error().starts_with(why), "{}", dump.error());
    assert!(!bench.path("d.jsonl").exists(), "half a dump is not left behind");
}

#[test]
fn load_that_breaks_at_a_line_names_it_also_from_standard_input() {
    let bench = filled();
    let text = bench.printed(&["dump"]);
    let cut: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    let mut loading = bench.program(&["--store", bench.path("b.db").to_str().unwrap(), "load", "-"]);
    let loading = loading.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut loading = loading.spawn().unwrap();
    loading.stdin.take().unwrap().write_all(cut.as_bytes()).unwrap();
    let ended = loading.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let why = "millpond: load: line 5 of the dump: it is missing: the dump was cut, it ends without its last line, \"end\"; nothing was loaded\n";
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), why);
    let missing = bench.run(&["--store", bench.path("c.db").to_str().unwrap(), "load", "none.jsonl"]);
    assert_eq!(
        missing.error(),
        "millpond: load: cannot read \"none.jsonl\": No such file or directory (os error 2)\n"
    );
    assert!(!bench.path("c.db").exists());
}

#[test]
fn dump_ends_in_peace_when_nobody_reads_it() {
    let bench = Bench::new();
    let lines = super::lines(5_000).join("\n");
    bench.printed(&["events", "import", &bench.file("a.jsonl", lines)]);
    let mut dumping = bench.program(&["dump"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 100];
    dumping.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let ended = dumping.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let bench = filled();
    let said = bench.printed(&["check"]);
    assert!(said.starts_with("7 records, in 0.") && said.ends_with(" s: sound\n"), "{said}");
    let sound = &bench.json(&["check"])[0];
    assert_eq!(
        (&sound["sound"], &sound["findings"], &sound["records"]),
        (&json!(true), &json!(0), &json!(7))
    );
    let vandal = rusqlite::Connection::open(bench.path("a.db")).unwrap();
    vandal.execute_batch("UPDATE job SET data = '\"to bob\"'; UPDATE queue SET sequence = 0").unwrap();
    drop(vandal);
    let ended = bench.run(&["check"]);
    assert_eq!(ended.code(), 1);
    assert!(ended.printed().starts_with("6 records, in 0.") && ended.printed().ends_with(" s: 2 findings\n"));
    let said = ended.error();
    let mut said = said.lines();
    let rule = "millpond: check: queue \"mail\" at 1: it has this job, and has given numbers up to 0";
    assert_eq!(said.next(), Some(rule));
    let sum = "millpond: check: job \"mail\" at 1: its checksum is ";
    assert!(said.next().is_some_and(|line| line.starts_with(sum)));
    let ended = bench.run(&["--json", "check"]);
    let found: Vec<Value> = ended.printed().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&found[1]["kind"], &found[1]["name"], &found[1]["sequence"]),
        (&json!("job"), &json!("mail"), &json!(1))
    );
    assert_eq!((&found[2]["sound"], ended.code()), (&json!(false), 1));
    // And nothing of it is dumped as if it were sound.
    let dump = bench.run(&["dump", bench.path("d.jsonl").to_str().unwrap()]);
    assert!(
        dump.code() == 1 && dump.error().starts_with("millpond: dump: damaged record: job \"mail\" at 1: ")
    );
    assert!(!bench.path("d.jsonl").exists());
}

#[test]
fn compact_says_how_much_it_gave_back() {
    let bench = filled();
    let text = format!("\"{}\"", "x".repeat(2_000_000));
    for _ in 0..3 {
        let mut set = bench.program(&["dict", "set", "d", "k", "-"]);
        let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        set.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(set.wait().unwrap().success());
    }
    bench.printed(&["dict", "delete", "d", "k"]);
    let said = &bench.json(&["compact"])[0];
    let (before, after) = (said["before"].as_u64().unwrap(), said["after"].as_u64().unwrap());
    assert!(before > 2_000_000 && after < 1_000_000, "{said}");
    assert_eq!(bench.json(&["status"])[0]["file_bytes"], after);
    assert!(bench.printed(&["compact"]).ends_with(" after\n"));
    assert_eq!(bench.json(&["check"])[0]["sound"], true);
}

#[test]
fn g1_compact_that_is_killed_loses_nothing() {
    let bench = Bench::new();
    let lines = super::lines(20_000).join("\n");
    bench.printed(&["events", "import", &bench.file("a.jsonl", lines)]);
    bench.printed(&["events", "delete", "stream-3"]);
    let before = records(&bench.printed(&["dump"]));
    let log = bench.path("a.db-wal");
    let length = || fs::metadata(&log).map_or(0, |found| found.len());
    let whole = fs::metadata(bench.path("a.db")).unwrap().len();
    // When nothing, some, or all of it is in the log, and after.
    for part in [0, whole / 8, whole / 2, whole * 3 / 4] {
        let mut compacting = bench.program(&["compact"]).stdout(Stdio::null()).spawn().unwrap();
        while length() <= part && compacting.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(i32::try_from(compacting.id()).unwrap());
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGKILL);
        let ended = compacting.wait().unwrap();
        assert!(ended.success() || ended.signal() == Some(9), "{ended}");
        assert_eq!(bench.json(&["check"])[0]["sound"], true);
        assert_eq!(records(&bench.printed(&["dump"])), before);
    }
}

#[test]
fn g1_load_that_is_killed_leaves_all_or_nothing() {
    let bench = Bench::new();
    let lines = super::lines(10_000).join("\n");
    bench.printed(&["events", "import", &bench.file("a.jsonl", lines)]);
    let dump = bench.path("a.dump");
    bench.printed(&["dump", dump.to_str().unwrap()]);
    let other = bench.path("b.db");
    let (other, log) = (other.to_str().unwrap(), bench.path("b.db-wal"));
    bench.printed(&["--store", other, "dict", "set", "own", "k", "1"]);
    let length = || fs::metadata(&log).map_or(0, |found| found.len());
    for part in [0, 100_000, 1_000_000] {
        let arguments = ["--store", other, "load", dump.to_str().unwrap()];
        let mut loading =
            bench.program(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while length() <= part && loading.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = kill(Pid::from_raw(i32::try_from(loading.id()).unwrap()), Signal::SIGKILL);
        loading.wait().unwrap();
        let status = &bench.json(&["--store", other, "status"])[0];
        assert!([json!(0), json!(10_000)].contains(&status["events"]), "{}", status["events"]);
        assert_eq!(bench.json(&["--store", other, "check"])[0]["sound"], true);
    }
}

#[test]
fn x4_read_only_reads_and_writes_nothing() {
    let bench = filled();
    let before = fs::read(bench.path("a.db")).unwrap();
    assert_eq!(bench.printed(&["--read-only", "dict", "get", "prices", "lamp"]), "700\n");
    assert_eq!(bench.json(&["--read-only", "status"])[0]["events"], 1);
    let refused = bench.run(&["--read-only", "dict", "set", "prices", "lamp", "1"]);
    let why = "millpond: dict set: the store is read-only: it was opened for reading only\n";
    assert_eq!((refused.code(), refused.error().as_str()), (1, why));
    assert!(fs::read(bench.path("a.db")).unwrap() == before);
    let absent = bench.path("none.db");
    let missing =
        bench.run(&["--store", absent.to_str().unwrap(), "--read-only", "dict", "set", "d", "k", "1"]);
    assert_eq!(missing.code(), 1);
    assert!(!absent.exists());
}

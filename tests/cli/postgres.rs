//! The same on a PostgreSQL server, from several processes. Where there is none to be had, that is said, and nothing is tried.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use millpond_postgres_server::{Server, Settings};
use serde_json::json;
use tempfile::TempDir;

use crate::copy::filled;
use crate::lock::{ended, freed, held, kept, until};
use crate::{Bench, lines};

/// One that keeps what it has confirmed: the command line asks for no less.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(Settings { durable: true, ..Settings::default() })).as_ref()
}

impl Bench {
    /// With a store that does not exist yet, in a schema of its own.
    fn on_server() -> Option<Bench> {
        Some(Bench { folder: TempDir::new().unwrap(), store: server()?.fresh() })
    }
}

#[test]
fn a_demo_holds_on_a_server() {
    let Some(bench) = Bench::on_server() else { return };
    let report = &bench.json(&["demo", "--seconds", "2"])[0];
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["acknowledged"].as_u64().unwrap() > 0);
    assert_eq!(report["kills"], 1);
}

#[test]
fn a_lock_on_a_server_is_held_by_one_process() {
    let Some(bench) = Bench::on_server() else { return };
    held(&bench);
}

#[test]
fn a_command_keeps_the_lock_of_its_killed_wrapper_on_a_server_too() {
    let Some(bench) = Bench::on_server() else { return };
    kept(&bench);
}

#[test]
fn a_lock_on_a_server_is_free_at_once_when_its_holder_is_killed() {
    let Some(bench) = Bench::on_server() else { return };
    freed(&bench);
}

#[test]
fn a_lock_on_a_server_without_its_wrapper_ends_with_its_time_to_live() {
    let Some(bench) = Bench::on_server() else { return };
    ended(&bench);
}

#[test]
fn two_processes_work_on_a_queue_on_a_server() {
    let Some(bench) = Bench::on_server() else { return };
    let mut pushing =
        bench.program(&["queue", "push", "q", "--lines"]).stdin(Stdio::piped()).spawn().unwrap();
    let jobs: String = (0..40).map(|number| format!("{number}\n")).collect();
    pushing.stdin.take().unwrap().write_all(jobs.as_bytes()).unwrap();
    assert!(pushing.wait().unwrap().success());
    let work = || {
        let arguments = ["queue", "work", "q", "--drain", "--workers", "4", "--", "sh", "-c", "cat; echo"];
        bench.program(&arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let (one, other) = (work(), work());
    let mut done: Vec<u32> = Vec::new();
    for process in [one, other] {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        let printed = String::from_utf8(output.stdout).unwrap();
        done.extend(printed.split_whitespace().map(|job| job.parse::<u32>().unwrap()));
    }
    done.sort_unstable();
    assert_eq!(done, (0..40).collect::<Vec<_>>(), "each of them once");
}

#[test]
fn lines_of_one_process_come_to_another_at_once() {
    let Some(bench) = Bench::on_server() else { return };
    bench.printed(&["log", "append", "l", "0"]);
    let mut tail = Tail(bench.program(&["log", "tail", "l", "-f"]).stdout(Stdio::piped()).spawn().unwrap());
    until("it listens", || bench.json(&["status"])[0]["processes"].as_array().unwrap().len() == 1);
    bench.printed(&["log", "append", "l", "1"]);
    bench.printed(&["log", "append", "l", "2"]);
    // The first line names the columns.
    let output = BufReader::new(tail.0.stdout.take().unwrap()).lines().skip(1);
    let seen: Vec<String> = output.take(3).map(Result::unwrap).collect();
    assert!(
        seen.iter().zip(["0", "1", "2"]).all(|(line, number)| line.trim_end().ends_with(number)),
        "{seen:?}"
    );
}

/// Ends with its test.
struct Tail(Child);

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn copy_goes_to_a_server_and_back_and_exports_are_the_same() {
    let Some(server) = Bench::on_server() else { return };
    let bench = filled();
    let events = bench.file("events.jsonl", lines(2_345).join("\n"));
    bench.printed(&["events", "import", &events]);
    let (file, back) = (bench.store.clone(), bench.at("back.db"));
    bench.printed(&["copy", &file, &server.store]);
    bench.printed(&["copy", &server.store, &back]);
    assert_eq!(bench.records(&server.store), bench.records(&file));
    assert_eq!(bench.records(&back), bench.records(&file));
    let export = |store: &str| bench.printed(&["--store", store, "events", "export"]);
    assert_eq!(export(&server.store), export(&file));
    assert_eq!(export(&back), export(&file));
    let again = &bench.json(&["copy", &file, &server.store])[0];
    assert_eq!(again["written"], json!(0));
    assert_eq!(bench.run(&["copy", &server.store, &server.store]).code(), 1);
}

#[test]
fn what_cannot_be_reached_is_said_without_its_password() {
    let bench = Bench::new();
    let ended = bench.run(&["--store", "postgres://me:secret@127.0.0.1:1/shop", "status"]);
    assert_eq!(ended.code(), 1);
    let said = ended.error();
    assert!(said.contains("postgres://127.0.0.1:1/shop") && said.contains("refused"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

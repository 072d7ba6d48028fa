//! `status`: who uses the store, who holds what, who waits, and what is not well.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::process::{Command as Program, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::Bench;
use crate::lock::{Under, WAIT, until, waiter};

/// The process of this pid, as `status` shows it.
fn process(status: &Value, pid: u32) -> &Value {
    let processes = status["processes"].as_array().unwrap();
    processes.iter().find(|process| process["pid"] == pid).unwrap_or_else(|| panic!("{pid}: {status}"))
}

#[test]
fn status_tells_who_holds_what_and_who_waits() {
    let bench = Bench::new();
    bench.printed(&["events", "append", "order-1", "Placed"]);
    let under = Under::start(&bench, &["--ttl", "1h"], "", WAIT);
    let mut waiter = waiter(&bench);
    let status = &bench.json(&["status"])[0];
    assert_eq!((&status["locks_held"], &status["tickets_waiting"]), (&json!(1), &json!(1)));
    assert_eq!(status["health"], json!({"good": true, "troubles": []}));
    assert_eq!(status["processes"].as_array().unwrap().len(), 2, "whoever asks is no news: {status}");
    for (pid, holds, waits) in [(under.wrapper.id(), 1, 0), (waiter.id(), 0, 1)] {
        let process = process(status, pid);
        assert_eq!((&process["holds"], &process["waits"]), (&json!(holds), &json!(waits)));
        assert_eq!((&process["alive"], &process["lent"]), (&true.into(), &false.into()));
        assert!(process["silent_ms"].is_u64(), "{process}");
    }
    let locks = status["locks"].as_array().unwrap();
    let holder = &locks[0]["holder"];
    assert_eq!((locks.len(), &locks[0]["name"], &locks[0]["waiting"]), (1, &json!("x"), &json!(1)));
    assert_eq!((&holder["pid"], &holder["void"]), (&json!(under.wrapper.id()), &json!(false)));

    let table = bench.printed(&["status"]);
    let row = |begin: &str| {
        let found = table.lines().find(|line| line.starts_with(begin));
        found.unwrap_or_else(|| panic!("{begin}: {table}")).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((row("health").as_str(), row("locks ").as_str()), ("health good", "locks 1 held, 1 waiting"));
    assert_eq!(row("process "), "process program pid host state last heard of holds waits");
    let id = &process(status, under.wrapper.id())["id"];
    let holding = row(&format!("{id} "));
    assert!(holding.contains(&format!("millpond {} ", under.wrapper.id())), "{table}");
    assert!(holding.contains(" alive ") && holding.ends_with(" ago 1 0"), "{table}");
    let held = row("x  ");
    assert!(
        held.starts_with("x all 1 ") && held.contains(" 1 h 0 min ") && held.contains(" 1 millpond (pid ")
    );
    drop(under);
    assert_eq!(waiter.wait().unwrap().code(), Some(0));
    let status = &bench.json(&["status"])[0];
    assert_eq!((&status["locks_held"], &status["tickets_waiting"]), (&json!(0), &json!(0)));
    assert_eq!((&status["locks"], &status["processes"]), (&json!([]), &json!([])));
}

#[test]
fn a_lease_that_has_ended_is_not_held_and_its_process_not_well() {
    let bench = Bench::new();
    let under = Under::start(&bench, &["--ttl", "1s"], "", WAIT);
    let mut status = Value::Null;
    until("the lease has ended", || {
        under.signal(Signal::SIGSTOP);
        let ended = bench.run(&["--json", "status"]);
        if ended.code() != 0 {
            // It was stopped in the middle of a beat, and with it all writers: once more.
            under.signal(Signal::SIGCONT);
            return false;
        }
        status = serde_json::from_str(&ended.printed()).unwrap();
        status["locks_held"] == 0
    });
    assert_eq!(
        (&status["locks"][0]["holder"]["void"], &status["health"]["good"]),
        (&true.into(), &false.into())
    );
    let pid = under.wrapper.id();
    assert_eq!((&process(&status, pid)["alive"], &process(&status, pid)["holds"]), (&true.into(), &json!(0)));
    let trouble = status["health"]["troubles"][0].as_str().unwrap();
    assert!(trouble.starts_with(&format!("millpond (pid {pid} on ")), "{trouble}");
    assert!(trouble.contains(" is alive and has let 1 lease end, silent for "), "{trouble}");
    let table = bench.printed(&["status"]);
    assert!(
        table.contains(" is alive and has let 1 lease end, ") && table.contains("0 held, 0 waiting"),
        "{table}"
    );
    under.signal(Signal::SIGCONT);
}

#[test]
fn what_outlives_its_wrapper_is_shown() {
    let bench = Bench::new();
    let mut under = Under::start(&bench, &["--ttl", "1h"], "", WAIT);
    under.kill_wrapper();
    let status = &bench.json(&["status"])[0];
    let process = process(status, under.wrapper.id());
    assert_eq!(
        (&process["alive"], &process["lent"], &process["holds"]),
        (&true.into(), &true.into(), &json!(1))
    );
    let trouble = status["health"]["troubles"][0].as_str().unwrap();
    assert!(trouble.ends_with(" has ended, and what it started goes on and keeps 1 lock"), "{trouble}");
    assert!(bench.printed(&["status"]).contains("  ended, outlived  "));
    drop(under);
    until("the command has ended", || bench.json(&["status"])[0]["health"]["good"] == true);
}

#[test]
fn many_locks_are_counted_and_the_first_ones_shown() {
    let bench = Bench::new();
    let store = millpond::blocking::Store::open(bench.path("a.db")).unwrap();
    let guards: Vec<_> = (0..23).map(|n| store.lock(format!("lock {n:02}")).acquire().unwrap()).collect();
    let table = bench.printed(&["status"]);
    assert!(table.contains("23 held, 0 waiting") && table.ends_with("\nand 3 more locks\n"), "{table}");
    assert!(table.contains("\nlock 19  ") && !table.contains("\nlock 20  "), "{table}");
    assert_eq!(bench.json(&["status"])[0]["locks"].as_array().unwrap().len(), guards.len());
}

/// Opening gives up after ten seconds, so this is the slowest test of all.
#[test]
fn a_store_that_cannot_be_written_to_is_said_to_be_so_and_by_whom() {
    let bench = Bench::new();
    let under = Under::start(&bench, &["--ttl", "1h"], "", WAIT);
    // The turn of the process in the first slot. The bytes are those of `src/storage/sqlite/sync.rs`.
    let sidecar = OpenOptions::new().read(true).write(true).open(bench.path("a.db-sync")).unwrap();
    let turn = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 16_384,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&sidecar, FcntlArg::F_OFD_SETLKW(&turn)).unwrap();
    let ended = bench.program(&["status"]).stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), ended.stdout.is_empty()), (Some(1), true), "{error}");
    let whose = format!("millpond: status: the store is busy: millpond (pid {} on ", under.wrapper.id());
    assert!(error.starts_with(&whose), "{error}");
    assert!(
        error.contains(", process 1) has the writers' turn, for ") && error.contains("s at least;"),
        "{error}"
    );
    drop(sidecar);
    assert_eq!(bench.json(&["status"])[0]["health"]["good"], true);
}

#[test]
fn g15_containers_with_one_pid_are_two() {
    let namespaces = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let tried = Program::new("unshare").args(namespaces).arg("true").output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        return println!("skipped: unshare {namespaces:?}: {tried:?}");
    }
    let bench = Bench::new();
    let run = |lock: &str| {
        let program = bench.program(&[]);
        let mut unshare = Program::new("unshare");
        unshare.args(namespaces).arg(program.get_program());
        unshare.args(["lock", "run", lock, "--ttl", "1h", "--", "sh", "-c", "echo; read line"]);
        unshare.env("MILLPOND_STORE", bench.path("a.db"));
        let mut child = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
        child
    };
    let (mut one, mut two) = (run("one"), run("two"));
    let status = &bench.json(&["status"])[0];
    let pids =
        |what: &str| status[what].as_array().unwrap().iter().map(|it| it["pid"].clone()).collect::<Vec<_>>();
    assert_eq!((pids("processes"), &status["health"]["good"]), (vec![json!(1), json!(1)], &true.into()));
    let held = |lock: usize| (&status["locks"][lock]["name"], &status["locks"][lock]["holder"]["pid"]);
    assert_eq!((held(0), held(1)), ((&json!("one"), &json!(1)), (&json!("two"), &json!(1))));
    let processes = |lock: usize| &status["locks"][lock]["holder"]["process"];
    assert_ne!(processes(0), processes(1));
    one.kill().unwrap();
    one.wait().unwrap();
    until("the death is seen", || bench.json(&["status"])[0]["locks_held"] == 1);
    assert_eq!(bench.json(&["lock", "show", "two"])[0]["holder"]["void"], false);
    drop(two.stdin.take());
    assert!(two.wait().unwrap().code().is_some());
    assert_eq!(bench.json(&["status"])[0]["processes"], json!([]));
}

#[test]
fn a_backup_is_made_once_and_can_be_used() {
    let bench = Bench::new();
    bench.printed(&["events", "append", "s-1", "Opened", "7"]);
    let to = bench.path("copy.db").to_str().unwrap().to_owned();
    let said = bench.printed(&["backup", &to]);
    assert!(said.starts_with(&format!("\"{to}\" holds the store as it was a moment ago, in ")), "{said}");
    let again = bench.run(&["backup", &to]);
    assert!(again.code() == 1 && again.error().contains("there is something already"), "{}", again.error());
    let read = bench.run(&["--store", &to, "--json", "events", "read", "s-1"]);
    assert_eq!(read.code(), 0);
}

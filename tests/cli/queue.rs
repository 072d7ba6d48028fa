//! `queue`: what is pushed is popped and worked on; what fails is tried again and dies, and nothing is lost to a signal or a
//! kill.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::lock::until;
use crate::{Bench, Ended};

/// With something on standard input.
fn fed(bench: &Bench, arguments: &[&str], input: &str) -> Ended {
    let mut program = bench.program(arguments);
    let piped = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ended(child.wait_with_output().unwrap())
}

fn shown(bench: &Bench) -> Value {
    bench.json(&["queue", "show", "mail"]).remove(0)
}

/// Ready, delayed, claimed and dead.
fn stands(bench: &Bench) -> [u64; 4] {
    let line = shown(bench);
    ["ready", "delayed", "claimed", "dead"].map(|state| line[state].as_u64().unwrap())
}

/// Whether a process waits for news of others: then a byte of the sidecar is taken (`src/storage/sqlite/sync.rs`).
fn somebody_waits(bench: &Bench) -> bool {
    let Ok(sidecar) = File::open(bench.path("a.db-sync")) else { return false };
    let mut byte = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 1,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(&sidecar, FcntlArg::F_OFD_GETLK(&mut byte)).unwrap();
    byte.l_type != libc::F_UNLCK as libc::c_short
}

/// A worker whose command has begun its job and waits at a gate.
struct AtWork {
    worker: Child,
    /// The command's own process.
    command: i32,
    gate: PathBuf,
    output: BufReader<ChildStdout>,
}

impl AtWork {
    fn start(bench: &Bench, options: &[&str]) -> AtWork {
        let gate = bench.path("gate");
        if !gate.exists() {
            assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
        }
        // Opening waits for the other end.
        let script = format!("echo $$; read -r line < '{}'", gate.display());
        let arguments = [&["queue", "work", "mail"], options, &["--", "sh", "-c", &script]].concat();
        let mut program = bench.program(&arguments);
        let piped = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut worker = piped.spawn().unwrap();
        let mut output = BufReader::new(worker.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        AtWork { worker, command: line.trim().parse().unwrap(), gate, output }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.worker.id().try_into().unwrap()), signal).unwrap();
    }

    fn open_the_gate(&self) {
        writeln!(File::options().write(true).open(&self.gate).unwrap()).unwrap();
    }

    /// What was complained of, and the code.
    fn end(mut self) -> (String, Option<i32>) {
        let (mut printed, mut complaint) = (String::new(), String::new());
        self.output.read_to_string(&mut printed).unwrap();
        self.worker.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        (complaint, self.worker.wait().unwrap().code())
    }
}

#[test]
fn q1_what_is_pushed_is_popped_once() {
    let bench = Bench::new();
    assert_eq!(bench.printed(&["queue", "push", "mail", r#"{"b": 1.50,  "a":[1]}"#]), "job 1\n");
    assert_eq!(fed(&bench, &["queue", "push", "mail", "-"], " \"hello\"\n").printed(), "job 2\n");
    assert_eq!(bench.printed(&["queue", "push", "mail"]), "job 3\n");
    assert_eq!(bench.printed(&["queue", "pop", "mail"]), "{\"b\":1.50,\"a\":[1]}\n");
    let popped = bench.json(&["queue", "pop", "mail", "--wait", "0"]).remove(0);
    let facts = ["queue", "sequence", "state", "attempts", "data"].map(|fact| popped[fact].clone());
    assert_eq!(facts, [json!("mail"), json!(2), json!("claimed"), json!(1), json!("hello")]);
    assert_eq!(bench.printed(&["queue", "pop", "mail", "--wait", "1h"]), "null\n");
    assert_eq!(stands(&bench), [0; 4]);
    for (wait, why) in [("0", "has no job that can be claimed"), ("20ms", "gave no job within 20ms")] {
        let ended = bench.run(&["queue", "pop", "mail", "--wait", wait]);
        let why = format!("millpond: queue pop: queue \"mail\" {why}\n");
        assert_eq!((ended.code(), ended.printed(), ended.error()), (75, String::new(), why));
    }
}

#[test]
fn drawer_q4_q1_what_could_not_be_printed_is_given_back() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = Ended(bench.program(&["queue", "pop", "mail"]).stdout(full).output().unwrap());
    assert_eq!(ended.code(), 1);
    assert!(ended.error().contains("cannot write to standard output"), "{}", ended.error());
    assert_eq!(bench.json(&["queue", "pop", "mail"])[0]["attempts"], 1, "the attempt did not count");
}

#[test]
fn drawer_q3_an_interrupted_pop_eats_no_later_job() {
    let bench = Bench::new();
    for job in 1..=3 {
        let mut pops = bench.program(&["queue", "pop", "mail"]).stdout(Stdio::piped()).spawn().unwrap();
        until("it waits", || somebody_waits(&bench));
        kill(Pid::from_raw(pops.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        until("it has ended", || pops.try_wait().unwrap().is_some());
        bench.printed(&["queue", "push", "mail", &job.to_string()]);
        assert_eq!(stands(&bench), [1, 0, 0, 0]);
        let popped = bench.json(&["queue", "pop", "mail", "--wait", "0"]).remove(0);
        assert_eq!((&popped["data"], &popped["attempts"]), (&json!(job), &json!(1)));
    }
}

#[test]
fn q3_q5_q6_priorities_delays_and_keys_are_said_with_the_push() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    bench.printed(&["queue", "push", "mail", "-2", "--priority", "-5"]);
    bench.printed(&["queue", "push", "mail", "3", "--delay", "1h"]);
    assert_eq!(bench.printed(&["queue", "push", "mail", "4", "--key", "k"]), "job 4\n");
    let again = ["queue", "push", "mail", "5", "--key", "k"];
    assert_eq!(bench.printed(&again), "job 4 (it was there already)\n");
    assert_eq!(bench.json(&again)[0], json!({"queue": "mail", "sequence": 4, "existed": true}));
    assert_eq!(stands(&bench), [3, 1, 0, 0]);
    let popped = [(); 3].map(|()| bench.printed(&["queue", "pop", "mail", "--wait", "0"]));
    assert_eq!(popped, ["-2\n", "1\n", "4\n"]);
    assert_eq!(bench.run(&["queue", "pop", "mail", "--wait", "0"]).code(), 75);
}

#[test]
fn lines_are_jobs_and_a_bad_one_is_named() {
    let bench = Bench::new();
    let many: String = (1..=2_500).map(|n| format!("{n}\n\n")).collect();
    let lines = ["queue", "push", "mail", "--lines"];
    assert_eq!(fed(&bench, &lines, &many).printed(), "2,500 jobs pushed\n");
    let ended = fed(&bench, &["--json", "queue", "push", "mail", "-", "--lines"], "{\"a\": 1}\r\n2");
    assert_eq!(ended.printed(), "{\"pushed\":2,\"queue\":\"mail\"}\n");
    assert_eq!(shown(&bench)["ready"], 2_502);

    let ended = fed(&bench, &lines, "1\n2\nhello\n4\n");
    assert_eq!(ended.code(), 1);
    let why = ended.error();
    assert!(why.starts_with("millpond: queue push: line 3: the data is not JSON: "), "{why}");
    assert!(why.ends_with("; 2 jobs before are pushed\n"), "{why}");
    assert_eq!(shown(&bench)["ready"], 2_504);
    assert_eq!(fed(&bench, &lines, "").printed(), "0 jobs pushed\n");
}

#[test]
fn q4_a_command_that_fails_has_its_job_tried_again_and_then_dead() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "slow", "1", "--key", "k"]);
    let script = ["--drain", "--", "sh", "-c", "exit 7"];
    let ended = bench.run(&[&["queue", "work", "slow"], &script[..]].concat());
    assert_eq!((ended.code(), ended.printed().as_str()), (0, ""));
    let said = "millpond: queue work: job 1, attempt 1 of 20: exit code 7; it will be tried again\n";
    assert_eq!(ended.error(), said);
    assert_eq!(bench.json(&["queue", "show", "slow"])[0]["delayed"], 1, "it waits before it is tried again");

    for job in ["1", "[2]"] {
        bench.printed(&["queue", "push", "mail", job]);
    }
    bench.printed(&["queue", "pop", "mail"]);
    let ended = bench.run(&[&["queue", "work", "mail", "--max-attempts", "1"], &script[..]].concat());
    let said = "millpond: queue work: job 2, attempt 1 of 1: exit code 7; it is a dead letter now\n";
    assert_eq!((ended.code(), ended.error().as_str()), (0, said));
    let dead = bench.json(&["queue", "dead", "mail"]);
    assert_eq!(dead.len(), 1);
    let facts = ["sequence", "state", "attempts", "reason", "data"].map(|fact| dead[0][fact].clone());
    assert_eq!(facts, [json!(2), json!("dead"), json!(1), json!("exit code 7"), json!([2])]);
    let table = bench.printed(&["queue", "dead", "mail"]);
    assert!(table.starts_with("job  attempts") && table.contains("exit code 7  [2]"), "{table}");

    let killed = ["queue", "work", "mail", "--max-attempts", "1", "--drain", "--", "sh", "-c", "kill -9 $$"];
    assert_eq!(bench.printed(&["queue", "revive", "mail", "2"]), "1 dead letter will be tried again\n");
    assert!(bench.run(&killed).error().contains("ended by signal 9; it is a dead letter now"));
    let revived = json!({"queue": "mail", "revived": 1, "kept_out": 0});
    assert_eq!(bench.json(&["queue", "revive", "mail"]), [revived]);
    assert_eq!(bench.printed(&["queue", "dead", "mail"]), "queue \"mail\" has no dead letters\n");
    let ended = bench.run(&["queue", "revive", "mail", "2"]);
    assert!(ended.code() == 1 && ended.error().contains("job 2 of queue \"mail\" is no dead letter"));

    assert_eq!(bench.printed(&["queue", "purge", "mail"]), "0 jobs removed (dead)\n");
    let purged = bench.json(&["queue", "purge", "mail", "--state", "ready"]);
    assert_eq!(purged, [json!({"queue": "mail", "state": "ready", "removed": 1})]);
    assert_eq!(stands(&bench), [0; 4]);
}

#[test]
fn a_command_has_its_job_on_standard_input_and_drain_ends_behind_the_last() {
    let bench = Bench::new();
    fed(&bench, &["queue", "push", "mail", "--lines"], "{\"a\":  1}\n2\n3\n4\n5\n");
    let large = format!("\"{}\"", "x".repeat(1 << 17));
    fed(&bench, &["queue", "push", "mail", "-", "--priority", "1"], &large);
    let script =
        r#"read -r job; echo "$MILLPOND_QUEUE_NAME $MILLPOND_JOB_SEQUENCE $MILLPOND_JOB_ATTEMPT ${#job}""#;
    let work = ["queue", "work", "mail", "--drain", "--workers", "3", "--", "sh", "-c", script];
    let printed = bench.printed(&work);
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    let large = format!("mail 6 1 {}", (1 << 17) + 2);
    assert_eq!(lines, ["mail 1 1 9", "mail 2 1 1", "mail 3 1 1", "mail 4 1 1", "mail 5 1 1", &large]);
    assert_eq!(stands(&bench), [0; 4]);
    // One that does not read at all is as good as any.
    fed(&bench, &["queue", "push", "mail", "-"], &format!("\"{}\"", "x".repeat(1 << 17)));
    bench.printed(&["queue", "work", "mail", "--drain", "--", "true"]);
    assert_eq!(stands(&bench), [0; 4]);
}

#[test]
fn a_command_that_cannot_be_run_costs_no_attempt() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let ended = bench.run(&["queue", "work", "mail", "--", "/no/such/command"]);
    assert_eq!(ended.code(), 127);
    let why = "millpond: queue work: cannot run \"/no/such/command\": ";
    assert!(ended.error().starts_with(why), "{}", ended.error());
    assert_eq!(bench.json(&["queue", "pop", "mail"])[0]["attempts"], 1);
}

#[test]
fn a_signal_lets_what_runs_end_and_begins_nothing_new() {
    let bench = Bench::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        bench.printed(&["queue", "push", "mail", "1"]);
        bench.printed(&["queue", "push", "mail", "2"]);
        let work = AtWork::start(&bench, &["--grace", "60s"]);
        assert_eq!(shown(&bench)["claims"][0]["attempt"], 1);
        work.signal(signal);
        work.open_the_gate();
        assert_eq!(work.end(), (String::new(), Some(0)));
        assert_eq!(stands(&bench), [1, 0, 0, 0], "one is done and one was never begun");
        bench.printed(&["queue", "purge", "mail", "--state", "ready"]);
    }
}

#[test]
fn q1_what_does_not_end_in_time_is_handed_back() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let work = AtWork::start(&bench, &["--grace", "0"]);
    work.signal(Signal::SIGTERM);
    let handed = "millpond: queue work: job 1, attempt 1 of 20: ended by signal 15; it is handed back\n";
    assert_eq!(work.end(), (handed.to_owned(), Some(0)));
    assert_eq!(stands(&bench), [1, 0, 0, 0]);
    // A second signal is as good as the end of the time.
    let mut work = AtWork::start(&bench, &["--grace", "60s"]);
    work.signal(Signal::SIGINT);
    until("the second signal is heard", || {
        work.signal(Signal::SIGTERM);
        work.worker.try_wait().unwrap().is_some()
    });
    let (complaint, code) = work.end();
    assert!(complaint.contains("it is handed back") && code == Some(0), "{complaint}");
    assert_eq!(bench.json(&["queue", "pop", "mail"])[0]["attempts"], 1, "no attempt has counted");
}

#[test]
fn q4_a_killed_worker_keeps_its_jobs_until_their_commands_have_ended() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let mut work = AtWork::start(&bench, &["--lease", "1h"]);
    work.signal(Signal::SIGKILL);
    until("the worker has ended", || work.worker.try_wait().unwrap().is_some());
    assert_eq!(bench.run(&["queue", "pop", "mail", "--wait", "0"]).code(), 75);
    let mut waits =
        bench.program(&["--json", "queue", "pop", "mail"]).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(waits.try_wait().unwrap(), None);
    work.open_the_gate();
    let popped: Value = serde_json::from_reader(waits.stdout.take().unwrap()).unwrap();
    assert_eq!((&popped["attempts"], &popped["reason"]), (&2.into(), &"its process died".into()));
    assert!(waits.wait().unwrap().success());
}

#[test]
fn q4_worker_and_command_killed_give_their_job_up_at_once() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let mut work = AtWork::start(&bench, &["--lease", "1h"]);
    work.signal(Signal::SIGKILL);
    until("the worker has ended", || work.worker.try_wait().unwrap().is_some());
    kill(Pid::from_raw(work.command), Signal::SIGKILL).unwrap();
    assert_eq!(bench.json(&["queue", "pop", "mail"])[0]["attempts"], 2);
}

#[test]
fn q2_a_worker_that_has_lost_its_job_is_told_so() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let work = AtWork::start(&bench, &["--drain"]);
    assert_eq!(bench.printed(&["queue", "purge", "mail", "--state", "claimed"]), "1 job removed (claimed)\n");
    work.open_the_gate();
    let (complaint, code) = work.end();
    assert!(complaint.contains("job 1, attempt 1 of 20: exit code 0, too late: "), "{complaint}");
    assert_eq!((code, stands(&bench)), (Some(0), [0; 4]));
}

#[test]
fn what_is_refused_says_why() {
    let bench = Bench::new();
    let none: [&[&str]; 5] =
        [&["list"], &["show", "mail"], &["dead", "mail"], &["revive", "mail"], &["purge", "mail"]];
    for arguments in none {
        let ended = bench.run(&[&["queue"], arguments].concat());
        assert!(ended.code() == 1 && ended.error().contains("there is no store at"), "{}", ended.error());
        assert!(!bench.path("a.db").exists(), "{arguments:?}");
    }
    let wrong: [(&[&str], i32, &str); 9] = [
        (&["push", "mail", "hello"], 1, "a text is JSON only in quotes"),
        (&["push", "mail", "1", "--priority", "high"], 2, "high"),
        (&["push", "mail", "1", "--delay", "soon"], 2, "not a duration"),
        (&["push", "mail", "1", "--lines"], 2, "with --lines the jobs are read from standard input"),
        (&["pop", "mail", "--wait", "30"], 2, "not a duration"),
        (&["work", "mail"], 2, "CMD"),
        (&["work", "mail", "--workers", "0", "--", "true"], 2, "--workers"),
        (&["work", "mail", "--max-attempts", "0", "--", "true"], 2, "--max-attempts"),
        (&["work", "mail", "--lease", "1ms", "--", "true"], 1, "lease of a job"),
    ];
    for (arguments, code, why) in wrong {
        let ended = bench.run(&[&["queue"], arguments].concat());
        assert_eq!(ended.code(), code, "{arguments:?}: {}", ended.error());
        assert!(ended.error().contains(why), "{arguments:?}: {}", ended.error());
    }
    bench.printed(&["queue", "push", "mail"]);
    for command in ["show", "dead", "revive", "purge"] {
        let ended = bench.run(&["queue", command, "other"]);
        let why = format!("millpond: queue {command}: there is no queue \"other\"\n");
        assert_eq!((ended.code(), ended.error()), (1, why));
    }
    assert_eq!(bench.run(&["queue", "purge", "mail", "--state", "old"]).code(), 2);
    assert_eq!(bench.run(&["queue", "push", " "]).code(), 1);
}

#[test]
fn queues_are_listed_shown_and_part_of_the_status() {
    let bench = Bench::new();
    bench.printed(&["log", "append", "audit", "1"]);
    assert_eq!(bench.printed(&["queue", "list"]), "no queue was used yet\n");
    for name in ["mail", "a"] {
        bench.printed(&["queue", "push", name, "1"]);
    }
    let names: Vec<_> = bench.json(&["queue", "list"]).iter().map(|line| line["queue"].clone()).collect();
    assert_eq!(names, ["a", "mail"]);
    assert!(bench.printed(&["queue", "list"]).starts_with("queue  ready  delayed  claimed"));
    let printed = bench.printed(&["queue", "show", "mail"]);
    assert!(
        printed.starts_with("queue     mail\nstate     open\npushed    1 job\nready     1\n"),
        "{printed}"
    );
    let line = shown(&bench);
    assert_eq!(
        (&line["paused"], &line["max_attempts"], &line["claims"]),
        (&false.into(), &20.into(), &json!([]))
    );
    let status = bench.json(&["status"]).remove(0);
    assert_eq!((&status["queues"][1]["queue"], &status["queues"][1]["ready"]), (&"mail".into(), &1.into()));
    let status = bench.printed(&["status"]);
    assert!(status.contains("queues       2, with 2 waiting, 0 claimed, 0 dead\n"), "{status}");
}

#[test]
fn q5_what_is_pushed_again_and_again_is_said_once() {
    let bench = Bench::new();
    let every = ["queue", "every", "mail", "tick", "* * * * * *", "{\"a\":  1}", "--key", "k"];
    let said = bench.printed(&every);
    assert!(said.starts_with("schedule tick, next 20") && said.ends_with("Z\n"), "{said}");
    assert!(bench.printed(&every).starts_with("schedule tick (it was there already), next 20"));
    let line = bench.json(&["queue", "schedules", "mail"]).remove(0);
    let facts = ["schedule", "cron", "zone", "missed", "last", "data"].map(|fact| line[fact].clone());
    let shown =
        [json!("tick"), json!("* * * * * *"), json!("UTC"), json!("once"), json!(null), json!({"a": 1})];
    assert_eq!(facts, shown);
    assert_eq!(bench.printed(&["queue", "pop", "mail"]), "{\"a\":1}\n", "whoever waits keeps the time");
    assert!(bench.printed(&["queue", "schedules", "mail"]).contains("tick      * * * * * *  UTC"));
    let removed = bench.printed(&["queue", "unschedule", "mail", "tick"]);
    assert_eq!(removed, "schedule tick removed; what it has pushed stays\n");
    assert_eq!(bench.printed(&["queue", "schedules", "mail"]), "queue \"mail\" has no schedules\n");
    let wrong: [(&[&str], &str); 4] = [
        (&["unschedule", "mail", "tick"], "queue \"mail\" has no schedule \"tick\""),
        (&["every", "mail", "tick", "now"], "the cron expression \"now\""),
        (&["every", "mail", "tick", "@daily", "--zone", "Nowhere"], "the time zone \"Nowhere\""),
        (&["every", "mail", "tick", "@daily", "hello"], "a text is JSON only in quotes"),
    ];
    for (arguments, why) in wrong {
        let ended = bench.run(&[&["queue"], arguments].concat());
        assert!(ended.code() == 1 && ended.error().contains(why), "{arguments:?}: {}", ended.error());
    }
}

#[test]
fn q5_a_worker_pushes_what_is_due_while_it_works() {
    let bench = Bench::new();
    bench.printed(&["queue", "push", "mail", "1"]);
    let work = AtWork::start(&bench, &[]);
    bench.printed(&["queue", "every", "mail", "tick", "* * * * * *", "2"]);
    until("a time has come", || stands(&bench)[0] > 0);
    work.signal(Signal::SIGTERM);
    work.open_the_gate();
    assert_eq!(work.end(), (String::new(), Some(0)));
}

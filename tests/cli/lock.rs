//! `lock run` with all that can happen to it and to its command, `lock list` and `lock show`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use assert_cmd::cargo::cargo_bin;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::{Bench, Ended};

/// A command under lock "x" that has begun. It ends when its standard input does, which is when this is dropped.
pub(crate) struct Under {
    pub(crate) wrapper: Child,
    /// Its own process.
    command: i32,
    output: BufReader<std::process::ChildStdout>,
}

/// Reads its standard input to the end, waking for signals.
pub(crate) const WAIT: &str = "while read -r line; do :; done";

impl Under {
    pub(crate) fn start(bench: &Bench, options: &[&str], before: &str, wait: &str) -> Under {
        let script = format!("{before} echo $$; {wait}");
        let arguments = [&["lock", "run", "x"], options, &["--", "sh", "-c", &script]].concat();
        let mut program = bench.program(&arguments);
        let piped = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut wrapper = piped.spawn().unwrap();
        let mut output = BufReader::new(wrapper.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Under { wrapper, command: line.trim().parse().unwrap(), output }
    }

    /// A signal for the wrapper alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.wrapper.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn kill_wrapper(&mut self) {
        self.signal(Signal::SIGKILL);
        // Without `wait`, which would close the command's standard input.
        until("the wrapper has ended", || self.wrapper.try_wait().unwrap().is_some());
    }

    /// The rest of what was printed, what was complained of, and the code.
    fn end(mut self) -> (String, String, Option<i32>) {
        let (mut printed, mut complaint) = (String::new(), String::new());
        self.output.read_to_string(&mut printed).unwrap();
        self.wrapper.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        (printed, complaint, self.wrapper.wait().unwrap().code())
    }
}

/// Asks a thousand times a second until it is so, but not for ever.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("it never came about that {what}");
}

/// Somebody who waits for the lock, in the line already.
pub(crate) fn waiter(bench: &Bench) -> Child {
    let mut program = bench.program(&["lock", "run", "x", "--wait", "60s", "--", "true"]);
    let waiter = program.stdin(Stdio::null()).spawn().unwrap();
    until("somebody waits", || bench.json(&["lock", "show", "x"])[0]["waiting"] == 1);
    waiter
}

fn try_lock(bench: &Bench) -> Option<i32> {
    Some(bench.run(&["lock", "run", "x", "--wait", "0", "--", "true"]).code())
}

#[test]
fn a_command_under_a_lock_has_its_token_and_gives_its_code() {
    let bench = Bench::new();
    let script = "echo $MILLPOND_LOCK_NAME $MILLPOND_LOCK_TOKEN; exit 7";
    let run =
        |script: &str| bench.run(&["lock", "run", "the nightly", "--ttl", "5s", "--", "sh", "-c", script]);
    let ended = run(script);
    assert_eq!((ended.code(), ended.printed().as_str()), (7, "the nightly 1\n"));
    assert_eq!(run(script).printed(), "the nightly 2\n");
    assert_eq!(run("kill -9 $$").code(), 128 + 9);
    assert_eq!(bench.printed(&["lock", "list"]), "no lock is held\n");
    let script = bench.file("script", "#!/bin/sh\n");
    for (command, code) in [("/no/such/command", 127), (script.as_str(), 126)] {
        let ended = bench.run(&["lock", "run", "x", "--", command]);
        assert_eq!(ended.code(), code);
        let why = format!("millpond: lock run: cannot run \"{command}\": ");
        assert!(ended.error().starts_with(&why), "{}", ended.error());
    }
    assert_eq!(bench.printed(&["lock", "show", "x"]), "lock \"x\" is free\n");
}

#[test]
fn a_lock_that_is_held_is_not_acquired() {
    held(&Bench::new());
}

pub(crate) fn held(bench: &Bench) {
    let millpond = cargo_bin("millpond");
    let inside = |script: &str| {
        let mut program = bench.program(&["lock", "run", "x", "--", "sh", "-c", script]);
        Ended(program.env("M", &millpond).output().unwrap())
    };
    let ended = inside("\"$M\" lock run x --wait 0 -- true");
    assert_eq!(ended.code(), 75);
    assert_eq!(ended.error(), "millpond: lock run: lock \"x\" is held by somebody else\n");
    assert_eq!(inside("\"$M\" lock run x --wait 20ms -- true").code(), 75);
    let seen: Value = serde_json::from_str(&inside("\"$M\" --json lock list").printed()).unwrap();
    assert_eq!((&seen["name"], &seen["holder"]["program"]), (&"x".into(), &"millpond".into()));
}

#[test]
fn a_command_keeps_the_lock_of_its_killed_wrapper_until_it_ends() {
    kept(&Bench::new());
}

pub(crate) fn kept(bench: &Bench) {
    let mut under = Under::start(bench, &["--ttl", "1h"], "", WAIT);
    let mut waiter = waiter(bench);
    under.kill_wrapper();
    let line = &bench.json(&["lock", "show", "x"])[0];
    assert_eq!(
        (&line["holder"]["pid"], &line["holder"]["void"]),
        (&under.wrapper.id().into(), &false.into())
    );
    assert_eq!(try_lock(bench), Some(75));
    // It keeps nobody from writing.
    bench.printed(&["events", "append", "a", "T"]);
    assert_eq!(waiter.try_wait().unwrap(), None);
    drop(under);
    assert_eq!(waiter.wait().unwrap().code(), Some(0));
    assert_eq!(bench.json(&["status"])[0]["processes"], Value::Array(Vec::new()));
}

#[test]
fn a_lock_is_free_at_once_when_wrapper_and_command_are_killed() {
    freed(&Bench::new());
}

pub(crate) fn freed(bench: &Bench) {
    let mut under = Under::start(bench, &["--ttl", "1h"], "", WAIT);
    let mut waiter = waiter(bench);
    under.kill_wrapper();
    kill(Pid::from_raw(under.command), Signal::SIGKILL).unwrap();
    assert_eq!(waiter.wait().unwrap().code(), Some(0));
    drop(under);
}

#[test]
fn a_lock_without_its_wrapper_ends_with_its_time_to_live() {
    ended(&Bench::new());
}

pub(crate) fn ended(bench: &Bench) {
    let mut under = Under::start(bench, &["--ttl", "300ms"], "", WAIT);
    under.kill_wrapper();
    let ended =
        bench.run(&["lock", "run", "x", "--wait", "60s", "--", "sh", "-c", "echo $MILLPOND_LOCK_TOKEN"]);
    assert_eq!(ended.code(), 0);
    assert!(ended.printed().trim().parse::<u64>().unwrap() > 1);
    assert!(kill(Pid::from_raw(under.command), None).is_ok(), "the command has ended");
}

#[test]
fn a_command_that_runs_on_in_the_background_keeps_no_lock() {
    let bench = Bench::new();
    // The wrapper's command ends, and what it leaves behind has inherited whatever it had.
    let mut under = Under::start(&bench, &["--ttl", "1h"], "exec 3<&0;", &format!("({WAIT}) <&3 & exit 5"));
    until("the wrapper has ended", || under.wrapper.try_wait().unwrap().is_some());
    assert_eq!(under.wrapper.try_wait().unwrap().unwrap().code(), Some(5));
    assert_eq!(try_lock(&bench), Some(0));
    assert_eq!(bench.json(&["status"])[0]["processes"], Value::Array(Vec::new()));
}

/// Stops the wrapper until another has had its lock, and lets it go on.
fn lose(bench: &Bench, under: &Under) {
    under.signal(Signal::SIGSTOP);
    let taken = bench.run(&["lock", "run", "x", "--wait", "60s", "--", "true"]);
    under.signal(Signal::SIGCONT);
    assert_eq!((taken.code(), taken.error().as_str()), (0, ""));
}

const LOST: &str = "millpond: lock run: lock \"x\" was lost; the command is told to end\n";

#[test]
fn a_command_is_told_to_end_when_its_lock_is_lost() {
    let bench = Bench::new();
    let under = Under::start(&bench, &["--ttl", "1s"], "trap 'echo told; exit 3' TERM;", WAIT);
    lose(&bench, &under);
    until("it has ended", || kill(Pid::from_raw(under.command), None).is_err());
    assert_eq!(under.end(), ("told\n".into(), LOST.into(), Some(76)));
}

#[test]
fn a_command_that_does_not_end_when_its_lock_is_lost_is_killed() {
    let bench = Bench::new();
    let under = Under::start(&bench, &["--ttl", "1s", "--grace", "20ms"], "trap '' TERM;", WAIT);
    lose(&bench, &under);
    until("it has ended", || kill(Pid::from_raw(under.command), None).is_err());
    assert_eq!(under.end(), (String::new(), LOST.into(), Some(76)));
}

#[test]
fn signals_reach_the_command() {
    let bench = Bench::new();
    for signal in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"] {
        let trap = format!("trap 'echo told; exit 9' {signal};");
        let mut under = Under::start(&bench, &[], &trap, WAIT);
        under.signal(format!("SIG{signal}").parse().unwrap());
        until("the wrapper has ended", || under.wrapper.try_wait().unwrap().is_some());
        assert_eq!(under.wrapper.try_wait().unwrap().unwrap().code(), Some(9), "{signal}");
        assert_eq!(under.end(), ("told\n".into(), String::new(), Some(9)));
    }
    assert_eq!(bench.printed(&["lock", "list"]), "no lock is held\n");
}

#[test]
fn a_signal_that_is_ignored_stays_ignored_for_the_command() {
    let bench = Bench::new();
    let mut program = bench.program(&[]);
    let mut nohup = std::process::Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" lock run x -- sh -c 'kill -HUP $$; exit 4'"]);
    nohup.arg(program.get_program());
    nohup.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    program = nohup;
    assert_eq!(program.output().unwrap().status.code(), Some(4));
}

#[test]
fn a_lock_is_shown_with_all_that_is_known_of_it() {
    let bench = Bench::new();
    let name = "it's \"x\"; --";
    // A program whose name garbles whatever it is printed on.
    let program = bench.path("mill\npond\u{1b}[31m");
    fs::hard_link(cargo_bin("millpond"), &program)
        .or_else(|_| fs::copy(cargo_bin("millpond"), &program).map(drop))
        .unwrap();
    let run = |options: &[&str]| {
        let script = format!("\"$M\" {} 1>&2 && \"$M\" lock show \"$MILLPOND_LOCK_NAME\"", options.join(" "));
        let mut command = std::process::Command::new(&program);
        command.args(["lock", "run", name, "--ttl", "90s", "--", "sh", "-c", &script]);
        let ended =
            command.env("MILLPOND_STORE", bench.path("a.db")).env("M", cargo_bin("millpond")).output();
        let ended = Ended(ended.unwrap());
        assert_eq!(ended.code(), 0, "{}", ended.error());
        (ended.error(), ended.printed())
    };
    let (list, shown) = run(&["lock", "list"]);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let holder = |pid: &str| format!("mill\\npond\\u{{1b}}[31m (pid {pid} on {}, process ", host.trim());
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines[0], "lock          in use  token  held for  ttl         lease left  waiting  holder");
    assert_eq!(lines.len(), 2, "{list}");
    assert!(
        lines[1].starts_with(&format!("{name}  all     1 ")) && lines[1].contains("  1 min 30 s  1 min "),
        "{list}"
    );
    let pid = lines[1].split("(pid ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(lines[1].contains(&holder(pid)), "{list}");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], format!("lock     {name}"));
    assert!(lines[1].starts_with("holder   mill\\npond\\u{1b}[31m (pid "), "{shown}");
    assert_eq!((lines[2], lines[4]), ("token    1", "ttl      1 min 30 s"));
    assert!(
        lines[3].starts_with("held     for ") && lines[5].starts_with("lease    ends in 1 min "),
        "{shown}"
    );
    assert_eq!((lines[6], lines.len()), ("waiting  0 tickets", 7));

    let (json, _) = run(&["--json", "lock", "list"]);
    let line: Value = serde_json::from_str(json.strip_suffix('\n').unwrap()).unwrap();
    let holder = &line["holder"];
    assert_eq!((&line["name"], &line["waiting"]), (&name.into(), &0.into()));
    assert_eq!((&holder["program"], &holder["host"]), (&"mill\npond\u{1b}[31m".into(), &host.trim().into()));
    assert_eq!(
        (&holder["token"], &holder["ttl_ms"], &holder["void"]),
        (&2.into(), &90_000.into(), &false.into())
    );
    assert!(holder["remaining_ms"].as_u64().unwrap() <= 90_000 && holder["held_ms"].is_u64());
    assert!(!json.trim_end().contains(['\n', '\u{1b}']), "{json}");
}

#[test]
fn a_lock_that_nobody_holds_is_shown_as_free() {
    let bench = Bench::new();
    bench.printed(&["lock", "run", "used", "--", "true"]);
    for name in ["used", "never"] {
        assert_eq!(bench.printed(&["lock", "show", name]), format!("lock \"{name}\" is free\n"));
        let free = serde_json::json!({"name": name, "holder": null, "holders": [], "waiting": 0});
        assert_eq!(bench.json(&["lock", "show", name]), [free]);
    }
    let ended = bench.run(&["lock", "show", "a\nb"]);
    assert_eq!(ended.code(), 1);
    assert!(ended.error().starts_with("millpond: lock show: ") && ended.error().lines().count() == 1);
}

#[test]
fn a_lock_that_is_broken_is_lost_to_its_command() {
    let bench = Bench::new();
    assert_eq!(bench.printed(&["lock", "break", "x"]), "nobody held lock \"x\"\n");
    let under = Under::start(&bench, &[], "trap 'echo told; exit 3' TERM;", WAIT);
    assert_eq!(bench.printed(&["lock", "break", "x"]), "lock \"x\" was taken away from whoever held it\n");
    until("it has ended", || kill(Pid::from_raw(under.command), None).is_err());
    assert_eq!(under.end(), ("told\n".into(), LOST.into(), Some(76)));
    let broken = serde_json::json!({"name": "it's \"x\"", "broken": false});
    assert_eq!(bench.json(&["lock", "break", "it's \"x\""]), [broken]);
}

#[test]
fn several_commands_hold_permits_of_one_semaphore() {
    let bench = Bench::new();
    let run = |options: &[&str]| {
        let arguments = [&["lock", "run", "x", "--wait", "0"], options, &["--", "true"]].concat();
        bench.run(&arguments).code()
    };
    let held = [(); 2].map(|()| Under::start(&bench, &["--permits", "2", "--ttl", "90s"], "", WAIT));
    assert_eq!(run(&["--permits", "2"]), 75);
    let list = bench.printed(&["lock", "list"]);
    assert!(list.contains("2 of 2") && list.ends_with("  2 holders\n"), "{list}");
    let shown = bench.printed(&["lock", "show", "x"]);
    let head = "lock     x\nkind     a semaphore of 2 permits\nin use   2 of 2\nwaiting  0 tickets\n\npart    token  ";
    assert!(shown.starts_with(head), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("1 of 2  ")).count(), 2, "{shown}");
    let line = &bench.json(&["lock", "show", "x"])[0];
    assert_eq!((&line["capacity"], &line["holder"]), (&2.into(), &Value::Null));
    let pids: Vec<_> = line["holders"].as_array().unwrap().iter().map(|holder| &holder["pid"]).collect();
    assert_eq!(pids, held.each_ref().map(|under| Value::from(under.wrapper.id())).each_ref());
    assert_eq!(bench.json(&["status"])[0]["locks_held"], 1);
    // As something else it is not to be had.
    for other in [&["--permits", "3"][..], &[], &["--read"]] {
        assert_eq!(run(other), 1);
    }
    assert_eq!(run(&["--permits", "0"]), 1);
    assert_eq!(run(&["--permits", "2", "--read"]), 2);
    let [one, two] = held;
    drop(one);
    until("a permit is free", || run(&["--permits", "2"]) == 0);
    drop(two);
    until("all are free", || bench.printed(&["lock", "show", "x"]) == "lock \"x\" is free\n");
}

#[test]
fn readers_run_together_and_a_writer_alone() {
    let bench = Bench::new();
    let reader = Under::start(&bench, &["--read"], "", WAIT);
    let try_as = |side| bench.run(&["lock", "run", "x", side, "--wait", "0", "--", "true"]).code();
    assert_eq!((try_as("--read"), try_as("--write")), (0, 75));
    let shown = bench.printed(&["lock", "show", "x"]);
    assert!(
        shown.contains("readers and writers\nin use   1 reader\n") && shown.contains("\nreads  "),
        "{shown}"
    );
    drop(reader);
    let writer = Under::start(&bench, &["--write", "--wait", "60s"], "", WAIT);
    assert_eq!((try_as("--read"), try_as("--write")), (75, 75));
    let shown = bench.printed(&["lock", "show", "x"]);
    assert!(shown.contains("in use   written\n") && shown.contains("\nwrites  "), "{shown}");
    assert_eq!(bench.printed(&["lock", "break", "x"]), "lock \"x\" was taken away from whoever held it\n");
    assert_eq!(writer.end().2, Some(76));
}

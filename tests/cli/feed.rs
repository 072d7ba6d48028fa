//! `log`, `channel` and `events all --follow`: what goes in comes out, followed as it comes, and a signal ends it in order.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Bench;

/// A command that goes on, and its lines.
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    pub(crate) fn start(bench: &Bench, arguments: &[&str]) -> Running {
        let mut child = bench.program(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }

    pub(crate) fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// The exit code after a signal.
    pub(crate) fn end(mut self, signal: Signal) -> i32 {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        assert!(self.lines.next().is_none(), "nothing more is printed");
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn what_is_appended_is_read_by_range() {
    let bench = Bench::new();
    assert_eq!(bench.printed(&["log", "append", "audit", r#"{"b": 1.50,  "a":[1]}"#]), "sequence 1\n");
    bench.printed(&["log", "append", "audit", "-7", "--key", "k", "--at", "2011-10-11T13:45:40+02:00"]);
    let records = bench.json(&["log", "range", "audit"]);
    assert_eq!(records.len(), 2);
    assert_eq!((&records[0]["sequence"], &records[0]["schema"]), (&1.into(), &1.into()));
    assert_eq!(records[1]["data"], -7);
    assert_eq!((&records[1]["key"], &records[1]["time"]), (&"k".into(), &"2011-10-11T13:45:40+02:00".into()));
    let printed = bench.printed(&["--json", "log", "range", "audit", "--limit", "1"]);
    assert!(
        printed.contains(r#""data":{"b":1.50,"a":[1]}"#),
        "byte for byte, but for white space: {printed}"
    );
    assert_eq!(bench.json(&["log", "range", "audit", "--backward"])[0]["sequence"], 2);
    let since = bench.json(&["log", "range", "audit", "--since", "2100-01-01T00:00:00Z"]);
    assert!(since.is_empty());
    assert_eq!(bench.json(&["log", "range", "audit", "--until", "2100-01-01T00:00:00Z"]).len(), 2);
    assert_eq!(bench.json(&["log", "tail", "audit", "-n", "1"])[0]["sequence"], 2);
}

#[test]
fn standard_input_is_taken_for_a_message() {
    let bench = Bench::new();
    let mut child =
        bench.program(&["channel", "publish", "orders", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b" {\"lamp\": 2}\n").unwrap();
    assert!(child.wait().unwrap().success());
    let found = bench.json(&["channel", "subscribe", "orders", "--from", "start", "--limit", "1"]);
    assert_eq!(found[0]["data"]["lamp"], 2);
}

#[test]
fn what_is_refused_says_why() {
    let bench = Bench::new();
    for (arguments, code, why) in [
        (&["log", "range", "audit"][..], 1, "there is no store"),
        (&["log", "append", "audit", "hello"], 1, "a text is JSON only in quotes"),
        (&["channel", "subscribe", "c", "--from", "then"], 2, "not now, start or a sequence"),
        (&["log", "range", "audit", "--since", "yesterday"], 2, "is not a date and time with an offset"),
    ] {
        let ended = bench.run(arguments);
        assert_eq!(ended.code(), code, "{arguments:?}: {}", ended.error());
        assert!(ended.error().contains(why), "{arguments:?}: {}", ended.error());
    }
    bench.printed(&["log", "append", "audit"]);
    let ended = bench.run(&["log", "range", "other"]);
    assert_eq!(
        (ended.code(), ended.error().trim_end()),
        (1, "millpond: log range: there is no log \"other\"")
    );
    assert_eq!(bench.run(&["channel", "publish", " "]).code(), 1);
}

#[test]
fn a_log_is_followed_from_another_process_until_a_signal() {
    let bench = Bench::new();
    bench.printed(&["log", "append", "audit", "1"]);
    let mut tail = Running::start(&bench, &["--json", "log", "tail", "audit", "-f"]);
    assert!(tail.line().contains(r#""sequence":1"#));
    for sequence in 2..=4 {
        bench.printed(&["log", "append", "audit", "1"]);
        assert!(tail.line().contains(&format!(r#""sequence":{sequence}"#)));
    }
    assert_eq!(tail.end(Signal::SIGINT), 0);
}

#[test]
fn events_are_followed_from_another_process_until_a_signal_or_a_limit() {
    let bench = Bench::new();
    bench.printed(&["events", "append", "a-1", "Opened", "1"]);
    let mut all = Running::start(&bench, &["--json", "events", "all", "--follow"]);
    let arguments = ["--json", "events", "all", "--follow", "--type", "Opened", "--limit", "2"];
    let mut opened = Running::start(&bench, &arguments);
    assert!(all.line().contains(r#""position":1,"#));
    assert!(opened.line().contains(r#""position":1,"#));
    bench.printed(&["events", "append", "a-1", "Moved", "2"]);
    assert!(all.line().contains(r#""position":2,"#));
    bench.printed(&["events", "append", "a-2", "Opened", "3"]);
    assert!(all.line().contains(r#""position":3,"#));
    assert!(opened.line().contains(r#""position":3,"#));
    assert!(opened.lines.next().is_none(), "it has come to its end");
    assert!(opened.child.wait().unwrap().success());
    assert_eq!(all.end(Signal::SIGINT), 0);
}

#[test]
fn a_channel_is_subscribed_to_from_another_process_until_a_signal() {
    let bench = Bench::new();
    bench.printed(&["channel", "publish", "orders", "1"]);
    let from = ["--json", "channel", "subscribe", "orders", "--from", "0"];
    let mut subscribe = Running::start(&bench, &from);
    assert!(subscribe.line().contains(r#""sequence":1"#));
    bench.printed(&["channel", "publish", "orders", "2"]);
    assert!(subscribe.line().contains(r#""sequence":2"#));
    assert_eq!(subscribe.end(Signal::SIGTERM), 0);
}

#[test]
fn c3_a_pattern_is_subscribed_to_from_another_process() {
    let bench = Bench::new();
    bench.printed(&["channel", "publish", "orders.eu", "1"]);
    let arguments = ["--json", "channel", "subscribe", "orders.*", "--from", "start"];
    let mut subscribe = Running::start(&bench, &arguments);
    assert!(subscribe.line().starts_with(r#"{"channel":"orders.eu","sequence":1"#));
    bench.printed(&["channel", "publish", "other", "2"]);
    bench.printed(&["channel", "publish", "orders.us", "3"]);
    assert!(subscribe.line().starts_with(r#"{"channel":"orders.us","sequence":1"#));
    assert_eq!(subscribe.end(Signal::SIGTERM), 0);
    for refused in [["--durable", "billing"], ["--from", "7"]] {
        let arguments = [&["channel", "subscribe", "orders.*"][..], &refused[..]].concat();
        assert_ne!(bench.run(&arguments).code(), 0, "{refused:?}");
    }
}

#[test]
fn c2_a_group_shares_the_messages_of_a_channel() {
    let bench = Bench::new();
    for n in ["1", "2", "3"] {
        bench.printed(&["channel", "publish", "orders", n, "--key", "order-17"]);
    }
    let arguments = ["--json", "channel", "subscribe", "orders", "--group", "billing"];
    let taken = bench.json(&[&arguments[1..], &["--limit", "1"]].concat());
    assert_eq!(taken[0]["data"], 1);
    let mut waits = Running::start(&bench, &arguments);
    bench.printed(&["channel", "publish", "orders", "4", "--key", "order-17"]);
    for n in 2..=4 {
        assert!(waits.line().contains(&format!(r#""data":{n}"#)));
    }
    let held = bench.printed(&["lock", "list"]);
    assert!(held.contains("channel/orders/billing/31"), "who has which part is seen: {held}");
    assert_eq!(waits.end(Signal::SIGINT), 0);
    let both = ["channel", "subscribe", "orders", "--group", "billing", "--durable", "billing"];
    assert_eq!(bench.run(&both).code(), 2);
}

#[test]
fn c2_a_durable_subscription_goes_on_where_it_was() {
    let bench = Bench::new();
    for n in ["1", "2", "3"] {
        bench.printed(&["channel", "publish", "orders", n]);
    }
    let take = |count: &str| {
        let arguments = ["channel", "subscribe", "orders", "--durable", "billing", "--limit", count];
        bench.json(&arguments).iter().map(|message| message["data"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(take("2"), [1, 2]);
    assert_eq!(take("1"), [3]);
    let arguments = ["--json", "channel", "subscribe", "orders", "--durable", "billing"];
    let mut waits = Running::start(&bench, &arguments);
    bench.printed(&["channel", "publish", "orders", "4"]);
    assert!(waits.line().contains(r#""data":4"#));
    let held = bench.printed(&["lock", "list"]);
    assert!(held.contains("channel/orders/billing"), "who consumes is seen: {held}");
    assert_eq!(waits.end(Signal::SIGINT), 0);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let bench = Bench::new();
    bench.printed(&["channel", "publish", "orders", "1"]);
    let mut subscribe = Running::start(&bench, &["channel", "subscribe", "orders", "--from", "start"]);
    subscribe.line();
    drop(subscribe.lines);
    // The next message finds that nobody reads any more.
    bench.printed(&["channel", "publish", "orders", "2"]);
    assert_eq!(subscribe.child.wait().unwrap().code(), Some(0));
}

#[test]
fn logs_and_channels_are_listed_and_counted() {
    let bench = Bench::new();
    for name in ["b", "a"] {
        bench.printed(&["log", "append", name, "12"]);
        bench.printed(&["channel", "publish", name, "1"]);
    }
    let logs = bench.json(&["log", "list"]);
    let names: Vec<_> = logs.iter().map(|log| log["log"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((&logs[0]["kept"], &logs[0]["bytes"], &logs[0]["last"]), (&1.into(), &2.into(), &1.into()));
    assert_eq!(bench.json(&["channel", "list"]).len(), 2);
    let status = &bench.json(&["status"])[0];
    assert_eq!((&status["logs"], &status["channels"]), (&2.into(), &2.into()));
    assert!(bench.printed(&["status"]).contains("2 logs, 2 channels"));
    assert!(bench.printed(&["log", "list"]).starts_with("name"));
}

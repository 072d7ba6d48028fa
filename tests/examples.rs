//! The examples run, and say what their readers are told they say.

use std::path::PathBuf;
use std::process::Command;

/// An example as cargo has built it, beside this test.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap_or_default();
    path.pop(); // the test's own name
    path.pop(); // deps
    path.join("examples").join(name)
}

fn run(name: &str) -> String {
    let path = example(name);
    let output = Command::new(&path).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error} (is it built?)", path.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn lock() {
    let said = run("lock");
    let holders: Vec<_> = said.lines().filter(|line| line.starts_with("task ")).collect();
    let order = ["task 1 holds it", "task 2 holds it", "task 3 holds it"];
    assert!(holders.iter().zip(order).all(|(line, task)| line.starts_with(task)), "{said}");
    assert!(said.contains("a late write: the write was guarded by token 1"), "{said}");
}

#[test]
fn semaphore() {
    let said = run("semaphore");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "nine downloads, never more than three at a time",
            "a large one and a small one, and no more: true",
            "2 readers read"
        ]
    );
    assert!(lines[3].starts_with("the writer is alone, with token "), "{said}");
    assert!(lines[4].contains("\"downloads\" cannot be used as a semaphore of 4 permits"), "{said}");
}

#[test]
fn aggregate() {
    let said = run("aggregate");
    assert!(said.contains("alice has 500 cents\nrefused: only 500 cents are left\n"), "{said}");
    assert!(said.contains("at version 101"), "{said}");
}

#[test]
fn blocking() {
    assert_eq!(run("blocking").lines().count(), 4);
}

#[test]
fn channel() {
    let said = run("channel");
    let lines: Vec<_> = said.lines().collect();
    let right = [
        "live: message 1 is 2 lamp(s)",
        "billed: lamp",
        "billed: table",
        "billed by the next consumer: chair",
        "too late for 2 messages",
        "and it goes on with chair",
    ];
    assert_eq!(lines, right);
}

#[test]
fn log() {
    let said = run("log");
    let lines: Vec<_> = said.lines().collect();
    let right = [
        "appended up to 3",
        "record 1: 120 by ada",
        "record 2: 30 by nobody",
        "record 3: 7 by nobody",
        "newest: 7",
        "in the last minute: 157",
        "kept: 2 to 3",
    ];
    assert_eq!(lines, right);
}

#[test]
fn queue() {
    let said = run("queue");
    let lines: Vec<_> = said.lines().collect();
    let right = [
        "pushed again: true, it is job 3",
        "sent to Grace",
        "sent to Ada",
        "attempt 1 of 2 failed",
        "attempt 2 of 2 failed",
        "dead after 2 attempts: to nobody",
        "revived: attempt 1",
        "4 pushed, 1 waits for its time",
    ];
    assert_eq!(lines, right);
}

#[test]
fn order_desk() {
    let said = run("order_desk");
    let lines: Vec<_> = said.lines().collect();
    let right = [
        "refused: an order needs at least one item",
        "board: lamp-lovers has ordered",
        "board: chair-club has ordered",
        "orders to be picked: 2",
        "picked: lamp-lovers",
        "picked: chair-club",
        "delivery-lamp-lovers: is being picked",
        "delivery-chair-club: is being picked",
        "delivery-lamp-lovers: was picked by Ada",
        "delivery-chair-club: was picked by Ada",
        "diary 1: took the order of lamp-lovers",
        "diary 2: took the order of chair-club",
        "diary 3: picked the order of lamp-lovers",
        "diary 4: picked the order of chair-club",
    ];
    assert_eq!(lines, right);
}

#[test]
fn event_sourcing() {
    let said = run("event_sourcing");
    let right = [
        "Hamlet, after the first program: 7 seats are free",
        "Ada has 2 seats, just now: version 3",
        "Ada has 2 seats, as before: version 3",
        "Bob would like 6 seats: only 5 seats are left",
        "a ticket for Ada, 2 seats (event show-hamlet 3)",
        "free seats: 10 at version 1, 5 now",
        "1. Opened {\"seats\":10}, today Opened { seats: 10 }",
        "2. Sold {\"seats\":3}, today Booked { guest: \"somebody at the door\", seats: 3 }",
        "3. Booked {\"guest\":\"Ada\",\"seats\":2}, today Booked { guest: \"Ada\", seats: 2 }",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), right);
}

#[test]
fn worker() {
    let said = run("worker");
    let expected = [
        "no water yet",
        "water, after the well was closed",
        "4 done, 1 tried again, 1 dead",
        "Square { circle: 1.0 }: nobody can do that",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

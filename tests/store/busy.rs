//! A store that cannot be written to: who keeps it, what `Error::Busy` and `Store::health` say of it, a disk that is full.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Error, Expected, Health, Occupant, WriteOutcome, WriterState};

use crate::backends::event;
use crate::peer::{Peer, file};

/// The slot that the first process of a store has.
const FIRST: &str = "keep 0";

/// The slot of those who are just opening it.
const NEWCOMER: &str = "keep 4096";

/// A store whose calls are given up after so long.
fn open(file: &Path, timeout_ms: u64) -> Store {
    Store::builder().call_timeout(Duration::from_millis(timeout_ms)).open(file).unwrap()
}

/// Waits until the writer waits for the turn, and gives the health on both faces.
fn when_stuck(store: &Store) -> Health {
    while !matches!(store.health().writer, WriterState::WaitingForTurn { .. }) {
        std::thread::yield_now();
    }
    store.health()
}

fn append(store: &Store) -> millpond::Result<u64> {
    store.events().append("s", Expected::Any, [event(1)]).map(|done| done.version)
}

#[test]
fn g8_busy_names_the_process_that_keeps_the_turn_and_health_does() {
    let (_folder, file) = file();
    let mut peer = Peer::start(&file);
    let store = open(&file, 4_000);
    assert_eq!(append(&store), Ok(1));
    assert_eq!((store.health().writer, store.health().is_good()), (WriterState::Ready, true));
    assert_eq!(peer.ask(FIRST), "kept");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| append(&store));
        let WriterState::WaitingForTurn { process, .. } = when_stuck(&store).writer else { panic!() };
        let named = process.process().expect("it has a name").clone();
        let list = store.inspect().processes().unwrap();
        let row = list.iter().find(|row| row.id == named.id).expect("it is in the list");
        assert_eq!((named.pid, row.identity.pid), (peer.id(), peer.id()));
        assert_eq!((&named.host, &named.program), (&row.identity.host, &row.identity.program));
        assert_eq!(store.events().head(), Ok(1), "reads go on");
        // After a second it is not well any more, and on both faces.
        while store.health().is_good() || store.asynchronous().health().is_good() {
            assert!(!late.is_finished(), "a call was given up, and all was well");
            std::thread::yield_now();
        }
        for health in [store.health(), store.asynchronous().health()] {
            let WriterState::WaitingForTurn { process: who, waited } = health.writer else { panic!() };
            assert_eq!((who, health.calls), (process.clone(), 1));
            assert!(waited >= Duration::from_secs(1), "{waited:?}");
        }
        let error = late.join().unwrap().unwrap_err();
        let Error::Busy { process: who, held_for } = error.clone() else { panic!("{error}") };
        assert_eq!(who, process);
        assert!(held_for >= Duration::from_secs(1), "{held_for:?}");
        assert_eq!((error.outcome(), error.is_retryable()), (WriteOutcome::NotApplied, true));
        let said = format!("the store is busy: {named} has the writers' turn, for {held_for:?} at least; ");
        assert!(error.to_string().starts_with(&said), "{error}");
    });
    peer.killed();
    assert_eq!(append(&store), Ok(2), "its death frees the turn, and what was late left no trace");
    assert_eq!((store.health().writer, store.health().is_good()), (WriterState::Ready, true));
}

#[test]
fn g8_who_waits_goes_on_when_who_has_the_turn_dies() {
    let (_folder, file) = file();
    let mut peer = Peer::start(&file);
    let store = open(&file, 20_000);
    assert_eq!(peer.ask(FIRST), "kept");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| append(&store));
        when_stuck(&store);
        peer.killed();
        assert_eq!(waits.join().unwrap(), Ok(1));
    });
}

/// What is said of who keeps the store, once it is waited for.
fn occupant(store: &Store) -> Occupant {
    std::thread::scope(|scope| {
        let late = scope.spawn(|| append(store));
        match late.join().unwrap() {
            Err(Error::Busy { process, .. }) => process,
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn g8_busy_says_so_where_it_knows_no_name() {
    let (_folder, file) = file();
    let mut peer = Peer::start(&file);
    let store = open(&file, 400);
    assert_eq!(peer.ask(NEWCOMER), "kept");
    assert_eq!(occupant(&store), Occupant::Newcomer);
    peer.killed();
    let mut nameless = Peer::start(&file);
    assert_eq!(nameless.ask("keep 4000"), "kept");
    assert_eq!(occupant(&store), Occupant::Unknown, "no process has this slot");
    nameless.killed();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(occupant(&store), Occupant::OtherProgram);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(append(&store), Ok(1), "nothing of the late ones is there");
}

#[test]
fn g8_health_says_that_nothing_is_written_any_more() {
    let (_folder, file) = file();
    let store = open(&file, 400);
    assert_eq!(append(&store), Ok(1));
    std::fs::rename(&file, file.with_extension("moved")).unwrap();
    let error = append(&store).unwrap_err();
    assert!(matches!(error, Error::FileReplaced { .. }), "{error}");
    let health = store.health();
    assert_eq!((&health.writer, health.is_good()), (&WriterState::Poisoned { error }, false));
    assert_eq!((health.figures.failed_commits, health.closed), (1, false));
    assert_eq!(store.asynchronous().health(), health, "the other face");
    store.close().unwrap();
    assert!(store.health().closed && !store.health().is_good());
}

/// Where [`on_a_small_disk`] finds its disk.
const DISK: &str = "MILLPOND_TEST_DISK";

#[test]
fn g13_a_full_disk_is_said_to_be_full_and_health_counts_it() {
    let folder = tempfile::tempdir().unwrap();
    // A mount of its own process alone, which goes with it.
    let script = "mount -t tmpfs -o size=1500k none \"$MILLPOND_TEST_DISK\" && exec \"$0\" \"$@\"";
    let here = std::env::current_exe().unwrap();
    let mut small = Command::new("unshare");
    small.args(["--mount", "sh", "-c", script]).arg(here).args(["--exact", "busy::on_a_small_disk"]);
    let output = small.arg("--nocapture").env(DISK, folder.path()).output();
    match output {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            if said.contains("not permitted") || said.contains("permission denied") {
                return println!("skipped: mounts are not permitted here: {said}");
            }
            assert!(output.status.success() && said.contains("the disk was full"), "{said}");
        }
        Err(error) => println!("skipped: there is no unshare here: {error}"),
    }
}

/// Runs under a mount of its own; as a test of its own it does nothing.
#[test]
fn on_a_small_disk() {
    let Some(disk) = std::env::var_os(DISK) else { return };
    let store = Store::open(Path::new(&disk).join("s.db")).unwrap();
    let large = || millpond::Event::new("Large", &"x".repeat(50_000)).unwrap();
    let mut written = 0;
    let error = loop {
        match store.events().append("s", Expected::Version(written), [large()]) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::StorageFull { .. }), "{error}");
    assert_eq!((error.outcome(), error.is_retryable()), (WriteOutcome::NotApplied, true));
    assert_eq!(store.events().version("s"), Ok(written), "reads go on");
    let health = store.health();
    assert_eq!(health.writer, WriterState::Ready);
    let figures = health.figures;
    assert!(figures.failed_commits + figures.redone > 0, "{health:?}");
    let larger = Command::new("mount").args(["-o", "remount,size=16m"]).arg(&disk).status().unwrap();
    assert!(larger.success());
    let done = store.events().append("s", Expected::Version(written), [large()]).unwrap();
    assert_eq!(done.version, written + 1, "the first write after there is room, without a restart");
    println!("the disk was full");
}

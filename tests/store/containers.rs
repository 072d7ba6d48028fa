//! Containers on one machine: processes with a kernel in common, and pids or a clock of their own. Where the system does
//! not permit namespaces these tests say so and do nothing.

use std::process::Command;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Error, Expected};

use crate::backends::event;
use crate::peer::{Peer, file};
use crate::processes::{LONG, waiting};

/// A process with a pid namespace of its own is the first one in it.
const OWN_PIDS: &[&str] = &["--pid", "--fork", "--kill-child", "--mount-proc"];

/// Its boot clock is a day ahead of ours.
const TOMORROW: &[&str] = &["--time", "--boottime", "86400", "--fork", "--kill-child"];

/// Whether namespaces are to be had.
fn permitted(options: &[&str]) -> bool {
    let tried = Command::new("unshare").args(options).arg("true").output();
    let permitted = tried.as_ref().is_ok_and(|output| output.status.success());
    if !permitted {
        println!("skipped: unshare {options:?}: {tried:?}");
    }
    permitted
}

#[test]
fn g15_containers_see_each_other_live_exclude_each_other_and_notice_a_death() {
    if !permitted(OWN_PIDS) {
        return;
    }
    let (_folder, file) = file();
    let (mut a, mut b) = (Peer::start_within(OWN_PIDS, &file), Peer::start_within(OWN_PIDS, &file));
    assert_eq!((a.number("pid"), b.number("pid")), (1, 1), "each is the first in its own");
    for peer in [&mut a, &mut b] {
        assert_eq!(peer.ask("living"), "1 1", "it sees both, and takes neither for the other or for dead");
    }
    let store = Store::builder().call_timeout(Duration::from_millis(400)).open(&file).unwrap();
    let list = store.inspect().processes().unwrap();
    assert_eq!(list.iter().filter(|process| process.alive && process.identity.pid == 1).count(), 2);
    // A newcomer buries the dead: nobody was.
    assert_eq!(list.len(), 3);

    let token = a.number("acquire till 3600000");
    assert_eq!((b.ask("try till"), b.ask("try other")), ("false".into(), "true".into()));
    b.tell("acquire till 3600000");
    waiting(&store, 1);
    let line = store.inspect().lock("till").unwrap().unwrap();
    let holder = line.holder().unwrap();
    assert_eq!((holder.grant.token, holder.void), (token, false));
    a.killed();
    let next: u64 = b.hear().parse().unwrap();
    assert!(next > token, "a killed one's lock is taken over long before its hour is over");
    assert_eq!(b.number("guarded ledger 1"), 1);

    // Of two with one pid the right one is named.
    let mut c = Peer::start_within(OWN_PIDS, &file);
    let id = c.number("process");
    let slot = 0; // The first one's, which is dead.
    assert_eq!(c.ask(&format!("keep {slot}")), "kept");
    let busy = store.events().append("s", Expected::Any, [event(1)]).unwrap_err();
    let Error::Busy { process, .. } = &busy else { panic!("{busy}") };
    assert_eq!(process.process().map(|process| (process.id, process.pid)), Some((id, 1)), "{busy}");
    c.killed();
    assert_eq!(b.ask("release"), "released");
    store.lock("till").acquire_within(LONG).unwrap().expect("it is free").release().unwrap();
}

#[test]
fn g12_a_container_with_a_clock_of_its_own_judges_leases_as_we_do() {
    if !permitted(TOMORROW) {
        return;
    }
    let (_folder, file) = file();
    let mut there = Peer::start_within(TOMORROW, &file);
    let store = Store::open(&file).unwrap();
    let remaining = |lock: &str| {
        let line = store.inspect().lock(lock).unwrap().unwrap();
        let holder = line.holder().unwrap();
        (holder.void, holder.remaining_ms <= 600_000)
    };
    there.number("acquire theirs 600000");
    assert_eq!(remaining("theirs"), (false, true), "it ends when it should, not a day later");
    let ours = store.lock("ours").ttl(Duration::from_secs(600)).acquire().unwrap();
    assert_eq!(there.ask("try ours"), "false", "it has not ended a day ago");
    assert!(store.lock("theirs").try_acquire().unwrap().is_none());
    assert_eq!(there.ask("release"), "released");
    ours.release().unwrap();
    assert_eq!(there.ask("try ours"), "true");
}

//! Several processes on one file: children of this test binary, told what to do through pipes.
//!
//! A child speaks a small language: a line in is a command, a line out that begins with `@` is its answer.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use millpond::blocking::{Delivery, Job, LockGuard, Store};
use millpond::{CommandError, Error, Event, Expected};
use nix::sys::signal::Signal;

use crate::aggregates::{Account, Do, Refused};
use crate::backends::known;
use crate::peer::{FILE, Peer, file, keep_turn};
use crate::peer_drawer::Drawer;

/// Only a wake-up ends a wait this long; the guard around it turns a hang into a failure.
pub(crate) const LONG: Duration = Duration::from_secs(40);

/// The child's side. As a test of its own it does nothing.
#[test]
fn as_a_child() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let store = Store::open(Path::new(&file)).unwrap();
    let mut guards: Vec<LockGuard> = Vec::new();
    let mut watch = None;
    let mut consumers = Vec::new();
    let mut drawer = Drawer::default();
    let mut member = None;
    let mut deliveries: Vec<Delivery<u64>> = Vec::new();
    let mut jobs: Vec<Job<u64>> = Vec::new();
    let say = |answer: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "@{answer}").and_then(|()| out.flush()).unwrap();
    };
    say("open");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["acquire", name, ttl] => {
                let ttl = Duration::from_millis(ttl.parse().unwrap());
                store.lock(name).ttl(ttl).acquire().map(|guard| {
                    guards.push(guard);
                    guards.last().map_or(0, LockGuard::token).to_string()
                })
            }
            ["permit", name, permits, ttl] => {
                let ttl = Duration::from_millis(ttl.parse().unwrap());
                store.semaphore(name, permits.parse().unwrap()).ttl(ttl).acquire().map(|guard| {
                    guards.push(guard);
                    guards.last().map_or(0, LockGuard::token).to_string()
                })
            }
            ["read", name] => store.rw_lock(name).read().map(|guard| {
                guards.push(guard);
                "reads".to_owned()
            }),
            ["try", name] => store.lock(name).try_acquire().map(|guard| guard.is_some().to_string()),
            ["release"] => guards.pop().unwrap().release().map(|()| "released".to_owned()),
            ["lost"] => {
                guards.last().unwrap().lost();
                Ok("lost".to_owned())
            }
            ["guarded", stream, n] => {
                let events = store.events().guarded_by(guards.last().unwrap());
                events
                    .append(stream, Expected::Any, [known(n.parse().unwrap())])
                    .map(|done| done.version.to_string())
            }
            ["append", stream, first, last] => (first.parse().unwrap()..=last.parse().unwrap())
                .try_fold(0, |_, n| {
                    store.events().append(stream, Expected::Any, [known(n)]).map(|done| done.version)
                })
                .map(|version| version.to_string()),
            ["append-at", stream, version, n] => {
                let expected = Expected::Version(version.parse().unwrap());
                let done = store.events().append(stream, expected, [known(n.parse().unwrap())]);
                done.map(|done| done.version.to_string())
            }
            ["publish-many", name] => {
                let channel = store.channel(name);
                (1..=1_000_000_u64)
                    .try_for_each(|n| channel.publish(&n).map(drop))
                    .map(|()| "published".to_owned())
            }
            ["consume", name, subscription, count, acknowledged] => {
                let mut consumer = store.channel::<u64>(name).durable(subscription).consume().unwrap();
                let last = (&mut consumer).take(count.parse().unwrap()).last().unwrap();
                consumer.ack(acknowledged.parse().unwrap()).unwrap();
                consumers.push(consumer);
                last.map(|message| message.sequence().to_string())
            }
            ["join", name, group, ttl] => {
                let ttl = Duration::from_millis(ttl.parse().unwrap());
                store.channel::<u64>(name).group(group).ttl(ttl).join().map(|joined| {
                    member = Some(joined);
                    "joined".to_owned()
                })
            }
            ["deliver", count, acknowledged] => {
                let found = member.as_mut().unwrap().take(count.parse().unwrap());
                found.collect::<Result<Vec<_>, _>>().and_then(|found| {
                    deliveries = found;
                    let done = deliveries.drain(..acknowledged.parse::<usize>().unwrap());
                    let done = done.map(|delivery| {
                        let sequence = delivery.sequence().to_string();
                        delivery.ack().map(|()| sequence)
                    });
                    done.collect::<Result<Vec<_>, _>>().map(|done| done.join(" "))
                })
            }
            ["acknowledge"] => deliveries.pop().unwrap().ack().map(|()| "acknowledged".to_owned()),
            ["version", stream] => store.events().version(stream).map(|version| version.to_string()),
            ["deposit", id, count] => Ok(deposits(&store, id, count.parse().unwrap()).to_string()),
            ["withdraw", id, cents] => Ok(withdraw(&store, id, cents.parse().unwrap())),
            ["push", queue, n] => {
                store.queue::<u64>(queue).push(&n.parse().unwrap()).map(|pushed| pushed.sequence.to_string())
            }
            ["pop", queue, lease] => {
                let lease = Duration::from_millis(lease.parse().unwrap());
                store.queue::<u64>(queue).lease(lease).pop().map(|job| {
                    let said = format!("{} {}", *job, job.attempt());
                    jobs.push(job);
                    said
                })
            }
            ["done"] => jobs.pop().unwrap().done().map(|()| "done".to_owned()),
            ["pid"] => Ok(std::process::id().to_string()),
            ["process"] => Ok(store.inspect().process().to_string()),
            ["living"] => store.inspect().processes().map(|list| {
                let living = list.iter().filter(|process| process.alive);
                living.map(|process| process.identity.pid.to_string()).collect::<Vec<_>>().join(" ")
            }),
            ["keep", slot] => {
                keep_turn(Path::new(&file), slot.parse().unwrap());
                Ok("kept".to_owned())
            }
            ["watch", pattern] => store.watch(pattern).map(|changes| {
                watch = Some(changes);
                "watches".to_owned()
            }),
            ["changed"] => watch
                .as_mut()
                .and_then(Iterator::next)
                .unwrap()
                .map(|change| format!("{} {}", change.name(), change.sequence().unwrap_or_default())),
            ["close"] => store.close().map(|()| "closed".to_owned()),
            // Nobody closes or drops it.
            ["forget"] => return std::mem::forget(store),
            _ => drawer.does(&store, &words).unwrap_or_else(|| panic!("{line}")),
        };
        match answer {
            Ok(answer) => say(&answer),
            Err(error) => say(format!("{error:?}").split([' ', '{']).next().unwrap()),
        }
    }
}

/// Deposits of one cent from four threads; how many were acknowledged. Each is tried until it is.
fn deposits(store: &Store, id: &str, count: u64) -> u64 {
    let one = || {
        loop {
            match store.aggregate::<Account>(id).execute(Do::Deposit(1)) {
                Ok(_) => return 1,
                Err(CommandError::Failed(Error::Conflict { .. })) => {}
                Err(other) => panic!("{other}"),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(move || (0..count / 4).map(|_| one()).sum::<u64>())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn withdraw(store: &Store, id: &str, cents: u64) -> String {
    match store.aggregate::<Account>(id).execute(Do::Withdraw(cents)) {
        Ok(done) => done.version.to_string(),
        Err(CommandError::Rejected(Refused::TooLittle(left))) => format!("left {left}"),
        Err(other) => panic!("{other}"),
    }
}

pub(crate) fn waiting(store: &Store, tickets: u64) {
    while store.inspect().summary().unwrap().tickets_waiting != tickets {
        std::thread::yield_now();
    }
}

#[test]
fn l1_a_lock_excludes_over_processes() {
    let (_folder, file) = file();
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    let store = Store::open(&file).unwrap();
    let first = a.number("acquire till 60000");
    assert_eq!((b.ask("try till"), b.ask("try other")), ("false".into(), "true".into()));
    assert!(store.lock("till").try_acquire().unwrap().is_none());
    assert_eq!(a.ask("release"), "released");
    let second = b.number("acquire till 60000");
    assert!(second > first, "l2: tokens grow over processes");
    assert!(store.lock("till").try_acquire().unwrap().is_none());
    assert_eq!(b.ask("release"), "released");
    let third = store.lock("till").try_acquire().unwrap().expect("it is free");
    assert!(third.token() > second);
    assert_eq!(a.ask("try till"), "false");
    assert_eq!(store.inspect().processes().unwrap().iter().filter(|process| process.alive).count(), 3);
}

#[test]
fn l5_processes_are_served_in_the_order_they_came() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let mut peers = [Peer::start(&file), Peer::start(&file), Peer::start(&file)];
    for round in 0..3 {
        let guard = store.lock("till").acquire().unwrap();
        let mut last = guard.token();
        let order = [[0, 1, 2], [2, 0, 1], [1, 2, 0]][round];
        for (place, peer) in order.into_iter().enumerate() {
            peers[peer].tell("acquire till 60000");
            waiting(&store, place as u64 + 1);
        }
        guard.release().unwrap();
        for (place, peer) in order.into_iter().enumerate() {
            let token: u64 = peers[peer].hear().parse().unwrap();
            assert!(token > last);
            last = token;
            assert_eq!(store.inspect().summary().unwrap().tickets_waiting, 2 - place as u64);
            assert_eq!(peers[peer].ask("release"), "released");
        }
    }
}

#[test]
fn l6_a_killed_holders_lock_is_taken_over_whatever_its_ttl() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let hours = "3600000";
    for round in 0..5 {
        let (mut holder, mut killed_in_line) = (Peer::start(&file), Peer::start(&file));
        let token = holder.number(&format!("acquire till {hours}"));
        killed_in_line.tell(&format!("acquire till {hours}"));
        waiting(&store, 1);
        let next = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| store.lock("till").acquire_within(LONG));
            waiting(&store, 2);
            // Who waits in between dies too, before or after: it is skipped.
            if round % 2 == 0 {
                killed_in_line.killed();
                holder.killed();
            } else {
                holder.killed();
                killed_in_line.killed();
            }
            waiter.join().unwrap()
        });
        let next = next.unwrap().expect("taken over long before the lease would have ended");
        assert!(next.token() > token);
        next.release().unwrap();
    }
}

#[test]
fn l6_a_killed_holders_permits_are_free_at_once_whatever_their_ttl() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let hours = Duration::from_secs(3_600);
    let desks = store.semaphore("desks", 3).ttl(hours);
    for round in 0..3 {
        let kept = desks.acquire().unwrap();
        let (mut holder, mut in_line) = (Peer::start(&file), Peer::start(&file));
        let tokens = [0; 2].map(|_| holder.number("permit desks 3 3600000"));
        in_line.tell("permit desks 3 3600000");
        waiting(&store, 1);
        let next = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| desks.clone().weight(2).acquire_within(LONG));
            waiting(&store, 2);
            // The one that waits before ours dies too, before or after.
            if round % 2 == 0 {
                in_line.killed();
                holder.killed();
            } else {
                holder.killed();
                in_line.killed();
            }
            waiter.join().unwrap()
        });
        let next = next.unwrap().expect("taken over long before the leases would have ended");
        assert!(next.token() > tokens[1] && tokens[1] > tokens[0]);
        next.release().unwrap();
        kept.release().expect("what lives is not touched");
    }
}

#[test]
fn l1_a_writer_excludes_the_readers_of_all_processes() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let lock = store.rw_lock("catalogue");
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    assert_eq!((a.ask("read catalogue"), b.ask("read catalogue")), ("reads".into(), "reads".into()));
    assert!(lock.try_read().unwrap().is_some());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| lock.write_within(LONG));
        waiting(&store, 1);
        b.tell("read catalogue");
        waiting(&store, 2);
        assert_eq!(a.ask("release"), "released");
        // The first reader of b is killed, and with it its place behind the writer.
        b.killed();
        writer.join().unwrap().unwrap().expect("all readers have gone").release().unwrap();
    });
    assert_eq!(a.ask("read catalogue"), "reads");
}

#[test]
fn l3_a_holder_that_was_stopped_past_its_lease_can_write_nothing_more() {
    let (_folder, file) = file();
    let store = Store::builder().call_timeout(Duration::from_secs(3)).open(&file).unwrap();
    let mut zombie = Peer::start(&file);
    let token = zombie.number("acquire till 500");
    assert_eq!(zombie.ask("guarded ledger 1"), "1");
    let guard = loop {
        zombie.signal(Signal::SIGSTOP);
        match store.lock("till").acquire_within(LONG) {
            Ok(Some(guard)) => break guard,
            Ok(None) => panic!("the lease does not end: {:?}", store.inspect().locks(None, 9)),
            // It was stopped in the middle of a beat, and with it all writers (G8): once more.
            Err(Error::Busy { .. }) => zombie.signal(Signal::SIGCONT),
            Err(other) => panic!("{other}"),
        }
    };
    assert!(guard.token() > token);
    store.events().guarded_by(&guard).append("ledger", Expected::Version(1), [known(2)]).unwrap();
    zombie.signal(Signal::SIGCONT);
    assert_eq!(zombie.ask("guarded ledger 3"), "Fenced");
    assert_eq!(zombie.ask("lost"), "lost");
    assert_eq!(zombie.ask("release"), "Lost");
    assert_eq!(store.events().version("ledger").unwrap(), 2);
    guard.release().expect("the zombie's release changed nothing");
}

#[test]
fn g5_what_one_process_appends_another_reads() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let mut peer = Peer::start(&file);
    for n in 1..=30 {
        let (here, there) = (2 * n - 1, 2 * n);
        store.events().append("shared-1", Expected::Version(here - 1), [known(here)]).unwrap();
        assert_eq!(peer.number("version shared-1"), here);
        assert_eq!(peer.number(&format!("append shared-1 {there} {there}")), there);
        let last = store.events().read_stream("shared-1").backward().next().unwrap().unwrap();
        assert_eq!((last.version(), last.position(), last.id()), (there, there, crate::backends::id(there)));
    }
    // G4 over processes: the other's append repeated here has no second effect.
    let again = store.events().append("shared-1", Expected::NoStream, [known(2)]).unwrap();
    assert_eq!((again.version, again.repeated), (2, true));
}

#[test]
fn g1_what_a_killed_process_was_told_is_there() {
    let (_folder, file) = file();
    for round in 0..4_u64 {
        let mut peer = Peer::start(&file);
        let (first, last) = (round * 10 + 1, round * 10 + 10);
        assert_eq!(peer.number(&format!("append told-1 {first} {last}")), last);
        peer.killed();
        let store = Store::open(&file).unwrap();
        let versions = store.events().read_stream("told-1").map(|event| event.unwrap().version());
        assert!(versions.eq(1..=last));
    }
}

#[test]
fn g8_two_busy_processes_both_get_done() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    a.tell("append busy-a 1 150");
    b.tell("append busy-b 1001 1150");
    for n in 2_001..=2_150 {
        store.events().append("busy-c", Expected::Any, [known(n)]).unwrap();
    }
    assert_eq!((a.hear(), b.hear()), ("150".into(), "150".into()));
    let positions = store.events().read_all().map(|event| event.unwrap().position());
    assert!(positions.eq(1..=450), "g5: one dense order over all processes");
}

#[test]
fn a4_two_processes_on_one_aggregate_keep_all_deposits() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let (mut a, mut b) = (Peer::start(&file), Peer::start(&file));
    a.tell("deposit alice 80");
    b.tell("deposit alice 80");
    let here = deposits(&store, "alice", 80);
    let total = here + a.hear().parse::<u64>().unwrap() + b.hear().parse::<u64>().unwrap();
    let alice = store.aggregate::<Account>("alice");
    assert_eq!((total, alice.state().unwrap()), (240, Account { cents: 240, deposits: 240 }));
    assert_eq!(alice.history().count(), 240);
}

#[test]
fn a4_a_command_that_was_overtaken_is_decided_on_the_newer_state() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let mut peer = Peer::start(&file);
    assert_eq!(deposits(&store, "alice", 100), 100);
    assert_eq!(peer.ask("withdraw alice 80"), "101");
    // This process still remembers 100 cents.
    assert_eq!(withdraw(&store, "alice", 80), "left 20");
    assert_eq!(withdraw(&store, "alice", 20), "102");
    assert_eq!(peer.ask("withdraw alice 1"), "left 0");
    let audited = Event::new("Deposited", &serde_json::json!({ "cents": 7 })).unwrap();
    store.events().append("account-alice", Expected::Version(102), [audited]).unwrap();
    assert_eq!(peer.ask("withdraw alice 7"), "104");
}

#[test]
fn g11_a_process_that_closes_gives_up_its_locks_and_its_place() {
    let (_folder, file) = file();
    let store = Store::open(&file).unwrap();
    let mut peer = Peer::start(&file);
    peer.number("acquire till 3600000");
    assert_eq!(peer.ask("close"), "closed");
    store.lock("till").acquire_within(LONG).unwrap().expect("it is free").release().unwrap();
    assert_eq!(peer.ask("version x"), "Closed");
    assert_eq!(store.inspect().processes().unwrap().len(), 1);
}

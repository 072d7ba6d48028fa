//! Locks that are shared: semaphores, and locks for readers and writers.

use millpond_actors::limits::READERS_AND_WRITERS as ALL;
use millpond_actors::storage::lock::{
    Acquire, Acquired, Break, First, Grant, Leave, Left, Recall, Renew, Settle, Was,
};
use millpond_actors::storage::stream::Appended;
use millpond_actors::storage::{Standing, Target};

use super::stage::*;

const TTL: u64 = 1_000;

/// A part of a semaphore of three.
fn part(weight: u32) -> Acquire {
    Acquire { capacity: 3, weight, ..acquire("s", TTL) }
}

fn reader() -> Acquire {
    Acquire { capacity: ALL, weight: 1, ..acquire("rw", TTL) }
}

fn writer() -> Acquire {
    Acquire { weight: ALL, ..reader() }
}

fn tried(wanted: Acquire) -> Acquire {
    Acquire { wait: false, ..wanted }
}

fn tickets(grants: &[Grant]) -> Vec<u64> {
    grants.iter().map(|grant| grant.ticket).collect()
}

impl Player<'_, '_> {
    fn holds(&mut self, wanted: Acquire) -> Grant {
        granted(self.run(wanted))
    }

    /// The ticket of somebody who must wait.
    fn waits(&mut self, wanted: Acquire) -> u64 {
        waiting(self.run(wanted)).1
    }

    /// Releases what must be held; the tickets that hold it thereby.
    fn gives_back(&mut self, grant: Grant) -> Vec<u64> {
        let Left { was, next } = self.run(leave(grant.lock, grant.ticket));
        assert_eq!(was, Was::Holding);
        tickets(&next)
    }
}

/// The tickets that hold a lock, void ones left out, and how many wait.
fn holders(stage: &Stage<'_>, lock: &str) -> (Vec<u64>, u64) {
    let line = stage.view().lock(&name(lock), stage.now()).unwrap().unwrap();
    (line.living().map(|holder| holder.grant.ticket).collect(), line.waiting)
}

pub(super) fn l1_no_more_is_held_than_there_is(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = [a.holds(part(1)), b.holds(part(1)), a.holds(part(1))];
    assert_eq!(b.run(tried(part(1))), Acquired::Held);
    let fourth = b.waits(part(1));
    assert_eq!(holders(stage, "s"), (tickets(&held), 1));
    assert_eq!(b.gives_back(held[1]), [fourth], "whoever gives back");
    assert_eq!(holders(stage, "s"), (vec![held[0].ticket, held[2].ticket, fourth], 0));
    let heavy = Acquire { lock: Target { id: Some(held[0].lock), ..target("s") }, ..tried(part(2)) };
    a.gives_back(held[0]);
    assert_eq!(a.run(heavy.clone()), Acquired::Held, "one is free, and two are wanted");
    a.gives_back(held[2]);
    assert!(matches!(a.run(heavy), Acquired::Granted(_)));
}

pub(super) fn l1_a_writer_excludes_and_readers_do_not(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let readers: Vec<Grant> = (0..5).map(|_| a.holds(reader())).collect();
    let last = b.holds(reader());
    assert_eq!(b.run(tried(writer())), Acquired::Held);
    for one in readers {
        assert_eq!(a.gives_back(one), [0; 0]);
    }
    assert_eq!(a.run(tried(writer())), Acquired::Held, "one still reads");
    b.gives_back(last);
    a.holds(writer());
    assert_eq!(b.run(tried(reader())), Acquired::Held);
    assert_eq!(b.run(tried(writer())), Acquired::Held);
}

pub(super) fn l5_whoever_does_not_fit_holds_up_those_behind(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let (one, two) = (a.holds(reader()), b.holds(reader()));
    let writes = a.waits(writer());
    assert_eq!(b.run(tried(reader())), Acquired::Held, "it would fit, and a writer is before it");
    let later = [b.waits(reader()), a.waits(reader())];
    let last = b.waits(writer());
    assert_eq!(a.gives_back(one), [0; 0]);
    let next = b.run(leave(two.lock, two.ticket)).next;
    assert_eq!(tickets(&next), [writes]);
    let next = a.run(leave(two.lock, writes)).next;
    assert_eq!(tickets(&next), later);
    assert_eq!(holders(stage, "rw"), (later.to_vec(), 1));
    assert_eq!(b.gives_back(next[0]), [0; 0]);
    assert_eq!(a.gives_back(next[1]), [last]);
}

pub(super) fn l5_a_release_lets_in_as_many_as_fit(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let all = a.holds(part(3));
    let line = [1, 1, 2, 1].map(|weight| b.waits(part(weight)));
    assert_eq!(a.gives_back(all), line[..2], "not the last: it would pass the third");
    assert_eq!(holders(stage, "s"), (line[..2].to_vec(), 2));
    assert_eq!(tickets(&b.run(leave(all.lock, line[0])).next), line[2..3]);
    assert_eq!(tickets(&b.run(leave(all.lock, line[1])).next), line[3..]);
}

pub(super) fn l5_whoever_leaves_the_line_lets_in_those_behind(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.holds(part(2));
    let heavy = a.waits(part(2));
    let behind = [b.waits(part(1)), b.waits(part(1))];
    let left = a.run(leave(held.lock, heavy));
    assert_eq!((left.was, tickets(&left.next)), (Was::Waiting, behind[..1].to_vec()));
    assert_eq!(holders(stage, "s"), (vec![held.ticket, behind[0]], 1));
    let left = b.run(leave(held.lock, behind[1]));
    assert_eq!(left, Left { was: Was::Waiting, next: Vec::new() });
}

pub(super) fn l6_a_try_that_does_not_fit_leaves_no_ticket(stage: &Stage<'_>) {
    let mut a = stage.join();
    let held = a.holds(part(2));
    assert_eq!(a.run(tried(part(2))), Acquired::Held);
    assert_eq!(holders(stage, "s"), (vec![held.ticket], 0));
    assert_eq!(a.holds(part(1)).ticket, held.ticket + 1, "no number was used up");
}

pub(super) fn l2_each_holder_has_a_token_of_its_own(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = [a.holds(part(1)), b.holds(part(2)), a.hold("other", TTL)];
    let line = [b.waits(part(1)), b.waits(part(1))];
    let first = a.run(leave(held[0].lock, held[0].ticket)).next[0];
    let second = b.run(leave(held[1].lock, held[1].ticket)).next[0];
    assert_eq!([first.ticket, second.ticket], line);
    let tokens: Vec<u64> = held.iter().chain([&first, &second]).map(|grant| grant.token).collect();
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

pub(super) fn l3_each_token_is_fenced_alone(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let (one, two) = (a.holds(part(1)), b.holds(part(1)));
    assert_eq!(done(a.run(fenced("s", one, "x", &[1]))), (1, 1));
    assert_eq!(done(b.run(fenced("s", two, "x", &[2]))), (2, 2));
    a.gives_back(one);
    assert_eq!(a.run(fenced("s", one, "x", &[3])), Appended::Fenced, "released");
    assert_eq!(done(b.run(fenced("s", two, "x", &[3]))), (3, 3), "the other is not");
    stage.pass(TTL);
    assert_eq!(a.run(fenced("s", two, "x", &[4])), Appended::Fenced, "void, though nobody took it");
    let three = b.holds(part(1));
    drop(b);
    assert_eq!(a.run(fenced("s", three, "x", &[4])), Appended::Fenced, "its process is dead");
}

pub(super) fn l4_each_lease_ends_alone(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    a.holds(part(1));
    let kept = b.holds(part(1));
    let ticket = c.waits(part(2));
    stage.pass(TTL - 1);
    b.beat();
    assert_eq!(c.run(Settle { lock: kept.lock }).holders.len(), 2, "not before");
    stage.pass(1);
    assert_eq!(tickets(&c.run(Settle { lock: kept.lock }).holders), [kept.ticket, ticket]);
    assert_eq!(a.beat(), Standing::Lapsed);
    assert_eq!(holders(stage, "s"), (vec![kept.ticket, ticket], 0));
}

pub(super) fn l4_silence_frees_what_expired_and_no_more(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let short = a.holds(Acquire { ttl_ms: 100, ..part(1) });
    let long = a.holds(part(1));
    let ticket = b.waits(part(2));
    stage.pass(100);
    assert_eq!(a.begin(), Standing::Lapsed);
    assert_eq!(a.apply(leave(short.lock, short.ticket)).was, Was::Gone, "expired is lost");
    a.commit();
    assert_eq!(holders(stage, "s"), (vec![long.ticket, ticket], 0), "passed on, not merely freed");
    assert!(a.run(Renew { lock: long.lock, ticket: long.ticket }).held);
    stage.pass(TTL);
    assert_eq!(a.begin(), Standing::Lapsed, "a share is reason enough to look");
    assert_eq!(a.apply(leave(long.lock, long.ticket)).was, Was::Gone);
    a.commit();
}

pub(super) fn l4_a_renewal_is_each_holders_own(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let (one, two) = (a.holds(part(1)), b.holds(part(1)));
    let renew = |grant: Grant| Renew { lock: grant.lock, ticket: grant.ticket };
    assert!(a.run(renew(one)).held && b.run(renew(two)).held);
    assert!(!a.run(renew(two)).held, "it is not a's");
    a.gives_back(one);
    assert!(!a.run(renew(one)).held && b.run(renew(two)).held);
}

pub(super) fn d6_what_the_dead_held_is_free_at_once(stage: &Stage<'_>) {
    let (mut dead, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    dead.holds(part(2));
    let kept = b.holds(part(1));
    let (first, second) = (b.waits(part(1)), c.waits(part(1)));
    drop(dead);
    assert_eq!(holders(stage, "s").0, [kept.ticket], "void at once");
    assert_eq!(tickets(&c.run(Settle { lock: kept.lock }).holders), [kept.ticket, first, second]);
    // Where nobody waits, whoever comes takes it.
    drop(c);
    let taken = b.holds(tried(part(1)));
    assert_eq!(holders(stage, "s"), (vec![kept.ticket, first, taken.ticket], 0));
}

pub(super) fn d6_a_burial_lets_in_whom_the_dead_held_up(stage: &Stage<'_>) {
    let (mut a, mut dead, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.holds(part(1));
    dead.holds(part(1));
    dead.waits(part(3));
    let behind = [c.waits(part(1)), c.waits(part(1))];
    dead.holds(reader());
    let writes = c.waits(writer());
    drop(dead);
    stage.join().beat();
    assert_eq!(
        holders(stage, "s"),
        (vec![held.ticket, behind[0], behind[1]], 0),
        "in the line and as a holder"
    );
    assert_eq!(holders(stage, "rw"), (vec![writes], 0), "as a holder alone");
}

pub(super) fn a_leaving_process_gives_up_its_shares_and_places(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.holds(part(1));
    let kept = b.holds(part(1));
    a.waits(part(2));
    let behind = [b.waits(part(1)), b.waits(part(1)), b.waits(part(1))];
    assert!(a.session.take_turn(false).unwrap());
    a.session.leave(stage.now()).unwrap();
    a.session.leave_turn();
    assert_eq!(holders(stage, "s"), (vec![kept.ticket, behind[0], behind[1]], 1));
}

pub(super) fn l3_breaking_takes_it_from_all_who_hold_it(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = [a.holds(reader()), b.holds(reader())];
    let writes = b.waits(writer());
    let broken = a.run(Break { lock: target("rw") });
    assert_eq!((broken.taken, tickets(&broken.next)), (held.to_vec(), vec![writes]));
    assert_eq!(a.run(fenced("rw", held[0], "x", &[1])), Appended::Fenced);
    assert_eq!(b.run(leave(held[1].lock, held[1].ticket)).was, Was::Gone);
    assert_eq!(holders(stage, "rw"), (vec![writes], 0), "its leaving changes nothing");
}

pub(super) fn d16_the_first_use_fixes_how_much_there_is(stage: &Stage<'_>) {
    let mut a = stage.join();
    let (lock, semaphore) = (a.hold("l", TTL), a.holds(part(1)));
    let three = Acquire { capacity: 3, ..acquire("l", TTL) };
    assert_eq!(a.run(three), Acquired::Mismatch { capacity: 1 });
    for capacity in [1, 2, 4, ALL] {
        let other = Acquire { capacity, ..part(1) };
        assert_eq!(a.run(other.clone()), Acquired::Mismatch { capacity: 3 });
        let by_row = Target { id: Some(semaphore.lock), ..target("s") };
        assert_eq!(a.run(Acquire { lock: by_row, ..other }), Acquired::Mismatch { capacity: 3 });
    }
    // Also when nobody holds it any more.
    a.gives_back(semaphore);
    assert_eq!(a.run(acquire("s", TTL)), Acquired::Mismatch { capacity: 3 });
    assert_eq!(a.holds(part(1)).ticket, semaphore.ticket + 1, "no number was used up");
    assert_eq!(a.gives_back(lock), [0; 0]);
}

pub(super) fn a_ticket_is_its_processes_own(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.holds(part(3));
    let place = Leave { lock: held.lock, ticket: a.waits(part(1)) };
    for foreign in [leave(held.lock, held.ticket), place] {
        assert_eq!(b.run(foreign), Left { was: Was::Gone, next: Vec::new() });
    }
    assert_eq!(holders(stage, "s"), (vec![held.ticket], 1));
}

pub(super) fn a_process_recalls_its_own_tickets(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let of = |stage: &str| Recall { lock: target(stage) };
    assert_eq!(a.run(of("s")).tickets, [], "nobody has used it yet");
    let held = a.holds(part(2));
    let (theirs, ours) = (b.waits(part(3)), a.waits(part(1)));
    let of_a = [leave(held.lock, held.ticket), leave(held.lock, ours)];
    assert_eq!(a.run(of("s")).tickets, of_a);
    assert_eq!(b.run(of("s")).tickets, [leave(held.lock, theirs)]);
    let by_row = Target { id: Some(held.lock), ..target("s") };
    assert_eq!(a.run(Recall { lock: by_row }).tickets, of_a);
    a.run(of_a[0]);
    assert_eq!(a.run(of("s")).tickets, [leave(held.lock, ours)]);
    assert_eq!(b.run(of("s")).tickets, [leave(held.lock, theirs)], "it holds now");
}

pub(super) fn a_settling_tells_who_is_first_in_line(stage: &Stage<'_>) {
    let (mut a, mut dead, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.holds(part(3));
    let settle = Settle { lock: held.lock };
    assert_eq!(a.run(settle).first, None);
    dead.waits(part(1));
    let living = c.waits(part(1));
    drop(dead);
    let settled = c.run(settle);
    assert_eq!((tickets(&settled.holders), settled.first), (vec![held.ticket], Some(living)));
    let exclusive = a.hold("l", TTL);
    let (lock, next) = c.wait("l", TTL);
    let settled = c.run(Settle { lock });
    assert_eq!((settled.holders, settled.first), (vec![exclusive], Some(next)));
}

pub(super) fn a_line_shows_all_who_hold_a_part(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join_as(&identity("first", "boot")), stage.join());
    let (one, two) = (a.holds(part(2)), b.holds(Acquire { ttl_ms: 100, ..part(1) }));
    let next = b.waits(part(2));
    stage.pass(100);
    let line = stage.view().lock(&name("s"), stage.now()).unwrap().unwrap();
    assert_eq!((line.capacity, line.waiting, line.used()), (3, 1, 2));
    assert_eq!(line.first, Some(First { ticket: next, weight: 2 }));
    let shown: Vec<_> =
        line.holders.iter().map(|it| (it.grant, it.weight, it.remaining_ms, it.void)).collect();
    assert_eq!(shown, [(one, 2, TTL - 100, false), (two, 1, 0, true)]);
    assert_eq!(line.holders[0].identity, Some(identity("first", "boot")));
    assert_eq!((line.is_ready(), line.holder()), (false, None), "one is free, and two are wanted");
    a.gives_back(one);
    let used = stage.view().locks(None, 9, stage.now()).unwrap();
    assert_eq!(used.iter().map(|line| &*line.name).collect::<Vec<_>>(), ["s"]);
    let summary = stage.view().summary(stage.now()).unwrap();
    assert_eq!((summary.locks, summary.locks_held, summary.tickets_waiting), (1, 1, 0));
}

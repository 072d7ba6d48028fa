//! Locks: the line, the lease, the token.

use millpond_actors::storage::lock::{Acquired, Break, Broken, Grant, Leave, Left, Renew, Renewed, Was};
use millpond_actors::storage::stream::Appended;
use millpond_actors::storage::{Standing, Target};

use super::stage::*;

const GONE: Left = Left { was: Was::Gone, next: Vec::new() };

pub(super) fn a_free_lock_is_granted_at_once(stage: &Stage<'_>) {
    let mut a = stage.join();
    assert_eq!(stage.view().lock(&name("l"), stage.now()), Ok(None), "never used");
    let grant = a.hold("l", 100);
    assert_eq!(grant.process, a.session.process());
    assert_eq!(stage.line("l"), (Some(grant.ticket), 0));
    let other = a.hold("m", 100);
    assert_ne!(other.lock, grant.lock, "names are independent");
}

pub(super) fn l1_a_held_lock_is_not_given_twice(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let grant = a.hold("l", 100);
    assert_eq!(b.run(try_acquire("l", 100)), Acquired::Held);
    assert_eq!(a.run(try_acquire("l", 100)), Acquired::Held, "not re-entrant");
    let (lock, ticket) = a.wait("l", 100);
    assert_eq!(lock, grant.lock);
    assert!(ticket > grant.ticket);
    assert_eq!(a.settle(lock), Some(grant), "settling a live lease changes nothing");
}

pub(super) fn l1_a_lock_is_given_once_within_one_group(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    let first = granted(a.apply(acquire("l", 100)));
    let (_, second) = waiting(a.apply(acquire("l", 100)));
    let left = a.apply(leave(first.lock, first.ticket));
    assert_eq!(left.next.first().map(|grant| grant.ticket), Some(second));
    a.commit();
    assert_eq!(stage.line("l"), (Some(second), 0));
}

pub(super) fn l2_tokens_strictly_increase(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let mut last = 0;
    let mut later = |token: u64| {
        assert!(token > last, "{token} after {last}");
        last = token;
    };
    for _ in 0..3 {
        // Over different locks, by different processes, across release ...
        let (first, second) = (a.hold("l", 100), b.hold("m", 100));
        later(first.token);
        later(second.token);
        b.wait("l", 100);
        let passed_on = a.release(first).unwrap();
        later(passed_on.token);
        b.release(passed_on);
        b.release(second);
    }
    // ... and expiry.
    later(a.hold("l", 100).token);
    stage.pass(100);
    later(b.hold("l", 100).token);
}

pub(super) fn l2_a_token_given_late_is_larger_than_those_given_meanwhile(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.hold("l", 1_000);
    let (_, ticket) = b.wait("l", 1_000);
    let meanwhile = a.hold("m", 1_000);
    assert!(meanwhile.token > ticket);
    let late = a.release(held).unwrap();
    assert_eq!(late.ticket, ticket);
    assert!(late.token > meanwhile.token, "over all locks, in the order of the grants");
}

pub(super) fn l5_waiters_are_granted_in_ticket_order(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", 1_000);
    let tickets = [b.wait("l", 1_000).1, c.wait("l", 1_000).1, b.wait("l", 1_000).1, a.wait("l", 1_000).1];
    assert!(tickets.is_sorted());
    assert_eq!(stage.line("l"), (Some(held.ticket), 4));
    let first = a.release(held).unwrap();
    let second = b.release(first).unwrap();
    let third = c.release(second).unwrap();
    let fourth = b.release(third).unwrap();
    let order = [first, second, third, fourth];
    assert_eq!(order.map(|grant| grant.ticket), tickets);
    let (a, b, c) = (a.session.process(), b.session.process(), c.session.process());
    assert_eq!(order.map(|grant| grant.process), [b, c, b, a]);
    assert_eq!(stage.line("l"), (Some(fourth.ticket), 0));
}

pub(super) fn l6_try_leaves_no_ticket(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.hold("l", 100);
    assert_eq!(b.run(try_acquire("l", 100)), Acquired::Held);
    assert_eq!(stage.line("l"), (Some(held.ticket), 0));
    assert_eq!(a.release(held), None);
    assert_eq!(stage.line("l"), (None, 0));
    assert_eq!(granted(b.run(try_acquire("l", 100))).ticket, held.ticket + 1, "no number was used up");
}

pub(super) fn l5_a_try_does_not_pass_a_waiter(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    a.hold("l", 100);
    let (lock, ticket) = b.wait("l", 100);
    stage.pass(100);
    assert_eq!(c.run(try_acquire("l", 100)), Acquired::Held, "void, but somebody is before");
    assert_eq!(b.settle(lock).map(|grant| grant.ticket), Some(ticket));
}

pub(super) fn leaving_while_waiting_gives_up_the_place(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", 100);
    let (lock, second) = b.wait("l", 100);
    let (_, third) = c.wait("l", 100);
    assert_eq!(b.run(leave(lock, second)), Left { was: Was::Waiting, next: Vec::new() });
    assert_eq!(stage.line("l"), (Some(held.ticket), 1));
    assert_eq!(a.release(held).map(|grant| grant.ticket), Some(third));
}

pub(super) fn leaving_twice_is_gone(stage: &Stage<'_>) {
    let mut a = stage.join();
    let held = a.hold("l", 100);
    let (lock, ticket) = a.wait("l", 100);
    a.run(leave(lock, ticket));
    assert_eq!(a.run(leave(lock, ticket)), GONE, "it waited");
    assert_eq!(a.release(held), None);
    assert_eq!(a.run(leave(held.lock, held.ticket)), GONE, "it held");
    let next = a.hold("l", 100);
    assert_eq!(a.run(leave(held.lock, held.ticket)), GONE);
    assert_eq!(stage.line("l"), (Some(next.ticket), 0), "the next holder is not disturbed");
    assert_eq!(a.run(Leave { lock: held.lock + 9, ticket: 1 }), GONE, "a lock that never was");
}

pub(super) fn l4_a_lease_ends_exactly_at_its_end(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.hold("l", 100);
    stage.pass(99);
    assert_eq!(b.run(try_acquire("l", 100)), Acquired::Held, "not before");
    assert_eq!(stage.line("l"), (Some(held.ticket), 0));
    stage.pass(1);
    assert_eq!(stage.line("l").0, None, "void, though nobody has taken it");
    let next = b.hold("l", 100);
    assert!(next.ticket > held.ticket);
}

pub(super) fn l4_a_beat_prolongs_a_lease(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.hold("l", 100);
    for _ in 0..5 {
        stage.pass(99);
        assert_eq!(a.beat(), Standing::Good);
    }
    stage.pass(99);
    assert_eq!(b.run(try_acquire("l", 100)), Acquired::Held);
    stage.pass(1);
    b.hold("l", 100);
}

pub(super) fn l4_only_a_committed_beat_counts(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.hold("l", 100);
    stage.pass(99);
    a.begin();
    a.rollback();
    stage.pass(1);
    b.hold("l", 100);
}

pub(super) fn l4_a_grant_counts_from_itself(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", 1_000);
    b.wait("l", 100);
    stage.pass(500);
    let next = a.release(held).unwrap();
    stage.pass(99);
    assert_eq!(
        c.run(try_acquire("l", 100)),
        Acquired::Held,
        "its process was silent for longer than its lease"
    );
    b.beat(); // Whether it is told of its silence does not matter: it has lost nothing.
    stage.pass(99);
    assert_eq!(b.settle(next.lock), Some(next));
}

pub(super) fn l4_silence_makes_lapsed_and_frees_what_expired(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let short = a.hold("short", 100);
    let long = a.hold("long", 1_000);
    let (_, waiting) = b.wait("short", 100);
    stage.pass(100);
    assert_eq!(a.begin(), Standing::Lapsed);
    assert_eq!(a.apply(leave(short.lock, short.ticket)), GONE, "expired is lost");
    assert_eq!(a.apply(leave(long.lock, long.ticket)).was, Was::Holding, "the other was not");
    a.commit();
    assert_eq!(stage.line("short"), (Some(waiting), 0), "passed on, not merely freed");
    assert_eq!(a.beat(), Standing::Good, "it is said once");
}

pub(super) fn l4_a_lapse_rolled_back_is_said_again(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.hold("l", 100);
    stage.pass(100);
    assert_eq!(a.begin(), Standing::Lapsed);
    a.rollback();
    assert_eq!(a.beat(), Standing::Lapsed);
    assert_eq!(a.beat(), Standing::Good);
}

pub(super) fn l4_a_lease_taken_over_in_silence_is_a_lapse(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.hold("l", 100);
    stage.pass(100);
    let next = b.hold("l", 1_000);
    assert_eq!(a.beat(), Standing::Lapsed, "its own lease has been freed, by another");
    assert_eq!(a.run(leave(held.lock, held.ticket)), GONE);
    assert_eq!(b.settle(next.lock), Some(next));
}

pub(super) fn silence_without_a_lease_is_no_lapse(stage: &Stage<'_>) {
    let mut a = stage.join();
    stage.pass(10_000_000);
    assert_eq!(a.beat(), Standing::Good);
}

pub(super) fn l3_a_stale_token_is_fenced(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let first = a.hold("l", 100);
    assert_eq!(done(a.run(fenced("l", first, "s", &[1]))), (1, 1), "while it is held");
    stage.pass(100);
    assert_eq!(b.run(fenced("l", first, "s", &[2])), Appended::Fenced, "void, though nobody took it");
    let second = b.hold("l", 100);
    assert_eq!(a.run(fenced("l", first, "s", &[2])), Appended::Fenced, "taken over");
    assert_eq!(done(b.run(fenced("l", second, "s", &[3]))), (2, 2));
    b.release(second);
    assert_eq!(b.run(fenced("l", second, "s", &[4])), Appended::Fenced, "released");
    assert_eq!(stage.numbers(&all()), [1, 3]);
}

pub(super) fn l3_the_fence_is_looked_at_first(stage: &Stage<'_>) {
    let mut a = stage.join();
    let held = a.hold("l", 100);
    assert_eq!(done(a.run(fenced("l", held, "s", &[1]))), (1, 1));
    assert_eq!(repeated(a.run(fenced("l", held, "s", &[1]))), (1, 1));
    a.release(held);
    assert_eq!(a.run(fenced("l", held, "s", &[1])), Appended::Fenced, "before the repetition is seen");
    assert_eq!(a.run(fenced("l", held, "s", &[2, 2])), Appended::Fenced);
}

pub(super) fn l3_a_fence_holds_within_the_group_of_its_grant(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    let held = granted(a.apply(acquire("l", 100)));
    assert_eq!(done(a.apply(fenced("l", held, "s", &[1]))), (1, 1));
    a.apply(leave(held.lock, held.ticket));
    assert_eq!(a.apply(fenced("l", held, "s", &[2])), Appended::Fenced);
    a.commit();
}

pub(super) fn d6_what_the_dead_held_is_passed_on(stage: &Stage<'_>) {
    let (a, mut b) = (stage.join(), stage.join());
    let mut dead = a;
    dead.hold("l", 1_000_000);
    let (lock, ticket) = b.wait("l", 100);
    drop(dead);
    assert_eq!(stage.line("l").0, None, "void at once");
    assert_eq!(b.settle(lock).map(|grant| grant.ticket), Some(ticket));
    assert_eq!(stage.line("l"), (Some(ticket), 0));
}

pub(super) fn d6_what_the_dead_held_can_be_acquired(stage: &Stage<'_>) {
    let (mut dead, mut b) = (stage.join(), stage.join());
    let held = dead.hold("l", 1_000_000);
    drop(dead);
    assert_eq!(b.run(fenced("l", held, "s", &[1])), Appended::Fenced);
    assert!(granted(b.run(try_acquire("l", 100))).token > held.token);
}

pub(super) fn l5_tickets_of_the_dead_are_skipped(stage: &Stage<'_>) {
    let (mut a, mut dead, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", 100);
    dead.wait("l", 100);
    dead.wait("l", 100);
    let (_, living) = c.wait("l", 100);
    drop(dead);
    assert_eq!(a.release(held).map(|grant| grant.ticket), Some(living));
    assert_eq!(stage.line("l"), (Some(living), 0), "and are cleared away");
}

pub(super) fn l5_a_line_of_the_dead_alone_is_no_line(stage: &Stage<'_>) {
    let (mut a, mut dead) = (stage.join(), stage.join());
    let held = a.hold("l", 100);
    dead.wait("l", 100);
    drop(dead);
    assert_eq!(a.release(held), None);
    assert!(matches!(a.run(try_acquire("l", 100)), Acquired::Granted(_)));
    assert_eq!(stage.line("l").1, 0);
}

pub(super) fn a_lease_of_another_boot_is_void(stage: &Stage<'_>) {
    // The old one lives only in the sense that nobody saw it die; the other boot settles the matter.
    let mut before = stage.join_as(&identity("program", "another boot"));
    before.hold("l", 1_000_000);
    drop(before);
    let mut after = stage.join_as(&identity("program", "boot"));
    assert!(matches!(after.run(try_acquire("l", 100)), Acquired::Granted(_)));
}

pub(super) fn a_leaving_process_gives_up_everything(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.hold("l", 1_000);
    let (_, next) = b.wait("l", 1_000);
    let held = b.hold("m", 1_000);
    a.wait("m", 1_000);
    assert!(a.session.take_turn(false).unwrap());
    a.session.leave(stage.now()).unwrap();
    a.session.leave_turn();
    assert_eq!(stage.line("l"), (Some(next), 0), "passed on");
    assert_eq!(stage.line("m"), (Some(held.ticket), 0));
    assert_eq!(stage.view().processes(stage.now()).unwrap().len(), 1);
}

pub(super) fn a_line_shows_who_holds_and_how_many_wait(stage: &Stage<'_>) {
    let mut a = stage.join_as(&identity("holder", "boot"));
    let mut b = stage.join();
    let grant = a.hold("l", 100);
    b.wait("l", 100);
    b.wait("l", 100);
    stage.pass(30);
    let line = stage.view().lock(&name("l"), stage.now()).unwrap().unwrap();
    let holder = line.holder().unwrap().clone();
    assert_eq!((line.lock, &*line.name, line.waiting), (grant.lock, "l", 2));
    assert_eq!((holder.grant, holder.held_ms, holder.ttl_ms), (grant, 30, 100));
    assert_eq!((holder.remaining_ms, holder.void), (70, false));
    assert_eq!(holder.identity, Some(identity("holder", "boot")));
    a.beat();
    stage.pass(70);
    let holder = stage.view().lock(&name("l"), stage.now()).unwrap().unwrap().holders.remove(0);
    assert_eq!((holder.held_ms, holder.remaining_ms, holder.void), (100, 30, false), "prolonged by the beat");
    stage.pass(30);
    let holder = stage.view().lock(&name("l"), stage.now()).unwrap().unwrap().holders.remove(0);
    assert_eq!((holder.remaining_ms, holder.void), (0, true));
}

pub(super) fn locks_are_listed_by_name_while_they_are_used(stage: &Stage<'_>) {
    let mut a = stage.join();
    for lock in ["c", "a", "d", "B"] {
        a.hold(lock, 1_000);
    }
    let free = a.hold("b", 1_000);
    a.release(free);
    let names = |after, limit| -> Vec<String> {
        let lines = stage.view().locks(after, limit, stage.now()).unwrap();
        lines.into_iter().map(|line| line.name).collect()
    };
    assert_eq!(names(None, 10), ["B", "a", "c", "d"], "a free one is not listed");
    assert_eq!(names(None, 2), ["B", "a"]);
    assert_eq!(names(Some("a"), 2), ["c", "d"]);
    assert_eq!(names(Some("d"), 2), [""; 0]);
}

pub(super) fn a_remembered_lock_is_found_by_its_row(stage: &Stage<'_>) {
    let mut a = stage.join();
    let first = a.hold("l", 100);
    a.release(first);
    let by_row = Target { name: name("l"), id: Some(first.lock) };
    let mut acquire = acquire("l", 100);
    acquire.lock = by_row;
    assert_eq!(granted(a.run(acquire)).lock, first.lock);
    assert_eq!(a.run(try_acquire("l", 100)), Acquired::Held);
}

pub(super) fn l4_a_renewal_tells_whether_the_lock_is_held(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let grant = a.hold("l", 100);
    let renew = |grant: Grant| Renew { lock: grant.lock, ticket: grant.ticket };
    stage.pass(99);
    assert_eq!(a.run(renew(grant)), Renewed { held: true });
    stage.pass(99);
    assert_eq!(b.run(try_acquire("l", 100)), Acquired::Held, "the commit was a beat");
    assert_eq!(b.run(renew(grant)), Renewed { held: false }, "it is not b's");
    stage.pass(1);
    assert_eq!(a.run(renew(grant)), Renewed { held: false }, "expired is lost, even if nobody took it");
    assert_eq!(stage.line("l"), (None, 0));
    assert_eq!(a.run(Renew { lock: grant.lock + 9, ticket: 1 }), Renewed { held: false });
}

pub(super) fn l3_a_broken_lock_is_passed_on_and_its_token_is_stale(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let nothing = || Broken { taken: Vec::new(), next: Vec::new() };
    let break_it = || Break { lock: target("l") };
    assert_eq!(a.run(break_it()), nothing(), "never used");
    let grant = a.hold("l", 100);
    let (_, next) = b.wait("l", 100);
    let broken = b.run(break_it());
    assert_eq!((broken.taken, broken.next[0].ticket), (vec![grant], next));
    assert!(broken.next[0].token > grant.token);
    assert_eq!(a.run(fenced("l", grant, "s", &[1])), Appended::Fenced);
    assert_eq!(a.run(leave(grant.lock, grant.ticket)), GONE);
    assert_eq!(stage.line("l"), (Some(next), 0), "its leaving changes nothing");
    let last = broken.next[0];
    assert_eq!(a.run(break_it()), Broken { taken: vec![last], next: Vec::new() });
    assert_eq!(a.run(break_it()), nothing(), "nobody holds it any more");
    a.hold("l", 100);
    stage.pass(100);
    assert_eq!(b.run(break_it()), nothing(), "void already");
}

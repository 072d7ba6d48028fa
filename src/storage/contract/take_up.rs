//! Locks that are passed on to a process which gives no sign of life: how long they stay with it.

use millpond_actors::limits;
use millpond_actors::storage::Standing;
use millpond_actors::storage::lock::{Left, Was};
use millpond_actors::storage::stream::Appended;

use super::stage::*;

/// Nobody would wait for this time to live.
const LONG: u64 = 600_000;

const LIMIT: u64 = limits::TAKE_UP.as_millis() as u64;

pub(super) fn l5_a_grant_that_is_not_taken_up_goes_on_to_the_next(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", LONG);
    let (lock, stopped) = b.wait("l", LONG);
    let (_, next) = c.wait("l", LONG);
    // Time passes before: what counts is what its process does after the grant.
    stage.pass(10);
    assert_eq!(a.release(held).map(|grant| grant.ticket), Some(stopped));
    let remaining =
        || stage.view().lock(&name("l"), stage.now()).unwrap().unwrap().holder().unwrap().remaining_ms;
    assert_eq!(remaining(), LIMIT, "readers see it too");
    stage.pass(LIMIT - 1);
    assert_eq!(c.settle(lock).map(|grant| grant.ticket), Some(stopped), "not before");
    stage.pass(1);
    assert_eq!(stage.line("l"), (None, 1), "void, though nobody has taken it");
    assert_eq!(c.settle(lock).map(|grant| grant.ticket), Some(next));
    assert_eq!(b.run(leave(lock, stopped)), Left { was: Was::Gone, next: Vec::new() });
    assert_eq!(stage.line("l"), (Some(next), 0));
}

pub(super) fn l4_any_commit_of_its_process_takes_a_grant_up(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", LONG);
    let (lock, ticket) = b.wait("l", LONG);
    c.wait("l", LONG);
    stage.pass(10);
    a.release(held);
    stage.pass(LIMIT - 1);
    b.beat();
    stage.pass(LONG - 1);
    assert_eq!(c.settle(lock).map(|grant| grant.ticket), Some(ticket), "its whole time to live");
    stage.pass(1);
    assert_eq!(stage.line("l"), (None, 1));
}

pub(super) fn l4_a_grant_in_a_commit_of_ones_own_is_taken_up_by_it(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let first = a.hold("at once", LONG);
    let held = a.hold("passed on", LONG);
    let (_, second) = a.wait("passed on", LONG);
    stage.pass(10);
    a.release(held);
    stage.pass(LONG - 1);
    for (lock, ticket) in [("passed on", second), ("at once", first.ticket)] {
        b.run(try_acquire(lock, LONG));
        assert_eq!(stage.line(lock).0, Some(ticket));
    }
    stage.pass(1);
    assert_eq!(stage.line("passed on").0, None);
}

pub(super) fn l5_a_grant_that_nobody_took_over_can_still_be_taken_up(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", LONG);
    b.wait("l", LONG);
    c.wait("l", LONG);
    stage.pass(10);
    let late = a.release(held).unwrap();
    stage.pass(LIMIT);
    assert_eq!(stage.line("l"), (None, 1));
    assert_eq!(b.settle(late.lock), Some(late), "it was never anybody's to lose");
    assert_eq!(stage.line("l"), (Some(late.ticket), 1));
    assert_eq!(done(b.run(fenced("l", late, "s", &[1]))), (1, 1));
    assert_eq!(c.settle(late.lock), Some(late));
}

pub(super) fn l4_a_grant_whose_time_to_live_is_over_is_not_taken_up(stage: &Stage<'_>) {
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    let held = a.hold("l", LONG);
    b.wait("l", LONG);
    let (_, next) = c.wait("l", LONG);
    stage.pass(10);
    let late = a.release(held).unwrap();
    stage.pass(LONG);
    assert_eq!(b.begin(), Standing::Lapsed);
    assert_eq!(b.apply(fenced("l", late, "s", &[1])), Appended::Fenced);
    b.commit();
    assert_eq!(stage.line("l"), (Some(next), 0));
}

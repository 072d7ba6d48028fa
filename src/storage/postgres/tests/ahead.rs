//! The start of a group that is sent behind the commit of the one before.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_executor::block_on;
use futures_util::future::join_all;
use millpond_actors::clock::Clock as _;
use millpond_actors::storage::Session;

use super::super::connection::Connection;
use super::super::ground::Ground;
use super::super::session::PostgresSession;
use super::super::turn;
use super::trips::group;
use super::{fresh, ground, join};
use crate::{Durability, Store};

/// A process, its groups so far, and what it commits next.
struct Process {
    session: PostgresSession,
    groups: u64,
    next: u128,
}

impl Process {
    fn new(session: PostgresSession) -> Process {
        Process { session, groups: 0, next: 0 }
    }

    /// Commits a group, behind which it expects another one or not: how often the server was waited for.
    fn group(&mut self, expects_more: bool) -> u64 {
        let (numbers, before) = (self.next..self.next + 1, self.session.trips());
        self.next += 1;
        assert!(self.session.take_turn(true).unwrap());
        self.session.expect_more(expects_more);
        group(&mut self.session, &mut self.groups, numbers);
        self.session.trips() - before
    }

    /// A few, so that all that is asked for all the time is known.
    fn settle(&mut self, numbers: Range<u128>) {
        self.next = numbers.start;
        for _ in numbers {
            self.group(false);
        }
    }
}

/// Whether nobody has the turn.
fn is_free(ground: &Ground, line: &Connection) -> bool {
    turn::holder(line, ground.place.oid).unwrap().is_none()
}

/// Waits until somebody has it or nobody, long before the server would end what does nothing.
fn until(free: bool, ground: &Ground, line: &Connection) {
    let end_us = ground.clock.monotonic_us() + 10_000_000;
    while is_free(ground, line) != free {
        assert!(ground.clock.monotonic_us() < end_us, "is the turn free? {}", !free);
        std::thread::yield_now();
    }
}

#[test]
fn g2_a_group_behind_another_asks_for_its_turn_with_the_commit_of_that() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let mut a = Process::new(join(&ground));
    a.settle(0..40);
    // What is only said ahead is said for the first time.
    a.group(true);
    a.group(false);
    let alone = a.group(false);
    assert_eq!(a.group(true), alone, "nothing was sent ahead of it");
    assert_eq!(a.group(true), alone - 1);
    assert_eq!(a.group(false), alone - 1);
    assert_eq!(a.group(false), alone);
    // With another process it may be that one's turn.
    let mut b = join(&ground);
    a.settle(100..103);
    a.group(true);
    assert!(b.take_turn(false).unwrap());
    b.leave_turn();
    assert_eq!(a.group(false), alone);
}

#[test]
fn g11_a_turn_that_was_asked_for_ahead_is_given_up_when_nothing_comes() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let other = ground.connect().unwrap();
    let mut a = Process::new(join(&ground));
    a.group(true);
    // Neither need have been heard yet.
    until(false, &ground, &other);
    a.session.expect_more(false);
    until(true, &ground, &other);
    // Which takes the turn.
    let mut b = Process::new(join(&ground));
    b.settle(10..12);
    a.group(true);
    b.group(false);
    assert_eq!((a.groups, b.groups), (2, 3));
}

#[test]
fn g11_a_commit_that_fails_leaves_no_turn_behind_it() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let mut a = Process::new(join(&ground));
    let other = ground.connect().unwrap();
    other.script("ALTER TABLE @event ADD CONSTRAINT none CHECK (false)").unwrap();
    let failed = catch_unwind(AssertUnwindSafe(|| a.group(true)));
    assert!(failed.is_err(), "nothing can be appended");
    a.session.rollback();
    a.session.leave_turn();
    assert!(is_free(&ground, &other));
    other.script("ALTER TABLE @event DROP CONSTRAINT none").unwrap();
    a.session.reopen().unwrap();
    a.settle(20..22);
}

/// Whoever is alone, and so asks ahead, hears of nobody else who begins to watch; but of himself.
#[test]
fn c6_who_begins_to_watch_sees_the_next_group_also_if_that_was_begun_ahead() {
    let Some(url) = fresh() else { return };
    let ground = ground(&url);
    let mut a = Process::new(join(&ground));
    a.group(true);
    a.session.bell().watching(true).unwrap();
    assert!(a.session.take_turn(true).unwrap());
    assert!(a.session.is_watched().unwrap());
}

#[test]
fn g11_who_has_written_keeps_no_turn() {
    let Some(url) = fresh() else { return };
    let builder = Store::builder().durability(Durability::ProcessCrash);
    let store = block_on(builder.open(&*url)).unwrap();
    let ground = ground(&url);
    let other = ground.connect().unwrap();
    for round in 0..20_u64 {
        let log = store.log::<u64>("l");
        let appends = (0..8).map(|_| log.append(&round));
        assert!(block_on(join_all(appends)).into_iter().all(|appended| appended.is_ok()));
        until(true, &ground, &other);
    }
    block_on(store.close()).unwrap();
}

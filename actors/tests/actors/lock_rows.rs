//! The ways in which the lock of the reference store fails, one test a row: none of them may be possible here.

use std::time::Duration;

use millpond_actors::error::Error;
use millpond_actors::lock::Wait;
use millpond_actors::storage::lock::{Acquire, Acquired, Leave};

use crate::lock::TTL;
use crate::world::{World, all, begun, broken, name, soon, until};

#[tokio::test]
async fn row_l1_a_request_that_was_delayed_is_not_granted_beside_a_later_one() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    // Ours is asked for first, and delayed: the other process has the turn.
    foreigner.begin();
    let mut ours = begun(world.acquire("x", Wait::Forever));
    world.arrived().await;
    let lock = millpond_actors::storage::Target { name: name("x"), id: None };
    let wanted = Acquire { lock, capacity: 1, weight: 1, ttl_ms: 60_000, wait: true };
    let Acquired::Granted(theirs) = foreigner.apply(wanted) else { panic!("it is free") };
    foreigner.commit();
    until(async || world.waiting("x") == 1).await;
    assert!(!ours.is_answered(), "one holder");
    assert_eq!(world.holder("x"), Some(theirs.ticket));
    foreigner.write(Leave { lock: theirs.lock, ticket: theirs.ticket });
    let ours = soon(ours).await.unwrap().unwrap();
    assert!(ours.ticket() > theirs.ticket, "the order is that of the commits");
}

#[tokio::test]
async fn row_l2_the_wall_clock_decides_nothing() {
    let world = World::new();
    let held = world.hold("x").await;
    let year = 365 * 86_400_000;
    for wall_ms in [0, -year, 1_700_000_000_000 - year, 1_700_000_000_000 + 100 * year] {
        world.clock.set_wall(wall_ms);
        assert!(world.try_hold("x").await.is_none(), "held, whatever the time of day");
        world.append("s").await.unwrap();
        assert_eq!(world.holder("x"), Some(held.ticket()));
    }
    world.release(held).await.unwrap();
}

#[tokio::test]
async fn row_l3_a_waiter_does_not_expire_in_the_line() {
    let world = World::new();
    let held = world.hold("x").await;
    let waiters = [world.in_line("x").await, world.in_line("x").await];
    for _ in 0..20 {
        // This process lives, and says so in time.
        world.clock.advance(TTL / 2);
        soon(world.append("s")).await.unwrap();
    }
    assert_eq!((world.holder("x"), world.waiting("x")), (Some(held.ticket()), 2));
    world.release(held).await.unwrap();
    for waiter in waiters {
        let next = soon(waiter).await.unwrap().expect("granted, not thrown out");
        world.release(next).await.unwrap();
    }
}

#[tokio::test]
async fn row_l4_the_lease_counts_from_the_grant() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let first = foreigner.take("x", TTL);
    let waiter = world.in_line("x").await;
    world.clock.advance(TTL - Duration::from_millis(1));
    foreigner.write(Leave { lock: first.lock, ticket: first.ticket });
    let held = soon(waiter).await.unwrap().unwrap();
    assert!(held.remaining() >= TTL, "the wait is not taken off");
    world.clock.advance(TTL - Duration::from_millis(1));
    assert_eq!(world.holder("x"), Some(held.ticket()));
}

#[tokio::test]
async fn row_l5_after_its_end_a_lease_is_not_taken_for_held() {
    let world = World::new();
    let held = world.hold("x").await;
    let token = held.fence().token;
    world.clock.advance(TTL);
    let mut foreigner = world.foreigner();
    let next = foreigner.take("x", TTL);
    assert!(next.token > token);
    assert!(held.remaining().is_zero());
    assert!(world.try_hold("x").await.is_none(), "asking again is not answered from memory");
    assert!(matches!(world.release(held).await, Err(Error::Lost { .. })));
    assert_eq!(world.holder("x"), Some(next.ticket));
}

#[tokio::test]
async fn row_l6_a_cancelled_waiter_does_not_block_a_free_lock() {
    let world = World::new();
    let held = world.hold("x").await;
    let gone = world.in_line("x").await;
    world.abandon("x", gone);
    world.release(held).await.unwrap();
    until(async || world.try_hold("x").await.is_some()).await;
}

#[tokio::test]
async fn row_l7_a_release_that_failed_says_so_and_is_made_good() {
    let world = World::new();
    let held = world.hold("x").await;
    world.memory.faults().fail_commit(broken(), false);
    assert_eq!(world.release(held).await, Err(broken()));
    until(async || world.holder("x").is_none()).await;
}

#[tokio::test]
async fn row_l8_waiting_writes_nothing() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", TTL);
    let waiters: Vec<_> = (0..100).map(|_| begun(world.acquire("x", Wait::Forever))).collect();
    // Counted, not only seen: a reader sees a commit before its writer has counted it.
    until(async || world.committed().1 == 100).await;
    world.arrived().await;
    let before = world.committed();
    for _ in 0..20 {
        // Each of these rings, and whoever waits looks.
        foreigner.write(crate::world::foreign_append("s", "{}"));
        world.arrived().await;
    }
    assert_eq!(world.committed(), before, "looking is not writing");
    foreigner.write(Leave { lock: grant.lock, ticket: grant.ticket });
    for waiter in waiters {
        world.release(soon(waiter).await.unwrap().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn row_l9_a_hand_off_is_one_commit() {
    // Below, the one reader is kept busy and the lookout has seen everything, so that no look leads to a write that is none
    // of the hand-offs'.
    let world = World::with(|settings| settings.readers = 1);
    let mut held = world.hold("x").await;
    let waiters: Vec<_> = (0..50).map(|_| begun(world.acquire("x", Wait::Forever))).collect();
    // Counted, not only seen: a reader sees a commit before its writer has counted it.
    until(async || world.committed().1 == 51).await;
    let _others = world.lookout_has_seen_all().await;
    let (busy, is_busy) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let read = begun(world.runtime.read(move |_| {
        let _ = busy.send(());
        // It ends when the other side is dropped.
        let _ = is_done.recv();
        Ok(())
    }));
    is_busy.recv().unwrap();
    world.arrived().await;
    world.append("s").await.unwrap();
    let (before, _) = world.committed();
    for waiter in waiters {
        world.release(held).await.unwrap();
        held = soon(waiter).await.unwrap().unwrap();
    }
    assert_eq!(world.committed().0 - before, 50, "the release that frees it gives it to the next");
    drop(done);
    soon(read).await.unwrap();
}

#[tokio::test]
async fn row_l10_one_handle_excludes_within_a_process_too() {
    let world = World::new();
    let held = world.hold("x").await;
    let mut others: Vec<_> = (0..10).map(|_| begun(world.acquire("x", Wait::Forever))).collect();
    until(async || world.waiting("x") == 10).await;
    world.arrived().await;
    assert!(others.iter_mut().all(|other| !other.is_answered()));
    drop(held);
    let mut first = others.remove(0);
    until(async || first.is_answered()).await;
    world.arrived().await;
    assert!(others.iter_mut().all(|other| !other.is_answered()), "the first one out releases only its own");
}

#[tokio::test]
async fn row_l11_writes_of_several_processes_need_no_lock() {
    let (here, there) = {
        let world = World::new();
        let another = world.another();
        (world, another)
    };
    let appends = (0..100).flat_map(|_| [begun(here.append("here")), begun(there.append("there"))]);
    all(appends.collect::<Vec<_>>()).await.into_iter().for_each(crate::world::done);
    assert_eq!((here.version("here"), here.version("there")), (100, 100));
    assert!(
        here.line("here").is_none() && here.committed().0 + there.committed().0 < 200,
        "groups, not locks"
    );
}

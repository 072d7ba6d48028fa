//! Locks that are lost or come from elsewhere: other processes, leases that end, actors and disks that fail.

use std::time::Duration;

use millpond_actors::clock::Clock;
use millpond_actors::error::Error;
use millpond_actors::lock::Wait;
use millpond_actors::runtime::Settings;
use millpond_actors::storage::lock::{Acquired, Fence, Leave};

use crate::lock::TTL;
use crate::world::{World, assert_not_applied, begun, broken, name, soon, until};

#[tokio::test]
async fn l4_a_holder_that_was_buried_is_told() {
    let world = World::new();
    let held = world.hold("x").await;
    let mut loss = begun(world.loss(&held));
    world.arrived().await;
    assert!(!loss.is_answered());
    world.memory.bury(world.runtime.process(), world.clock.now());
    // The process learns of it when it next begins a group.
    soon(world.append("s")).await.unwrap();
    soon(loss).await.unwrap();
    let lost = Error::Lost { lock: "x".into(), ticket: held.ticket() };
    assert_eq!(soon(world.loss(&held)).await, Ok(()), "it is known at once from now on");
    assert_eq!(world.release(held).await, Err(lost));
    let again = world.hold("x").await;
    world.release(again).await.unwrap();
}

#[tokio::test]
async fn l4_a_lease_that_ended_while_the_process_was_stopped_is_lost() {
    let world = World::new();
    let held = world.hold("x").await;
    let mut loss = begun(world.loss(&held));
    // From here on only the lapse tells.
    let _others = world.lookout_has_seen_all().await;
    assert!(!loss.is_answered());
    world.clock.advance(TTL);
    soon(world.append("s")).await.unwrap();
    soon(loss).await.unwrap();
    assert_eq!(world.holder("x"), None);
}

#[tokio::test]
async fn l5_a_waiter_whose_process_was_buried_lines_up_anew_before_those_who_come_later() {
    let world = World::new();
    let (mut holder, mut next) = (world.foreigner(), world.foreigner());
    let grant = holder.take("x", TTL);
    let Acquired::Waiting { ticket, .. } = next.ask_for("x", TTL) else { panic!("it is held") };
    let waiter = world.in_line("x").await;
    world.memory.bury(world.runtime.process(), world.clock.now());
    // Its ticket is behind one that lives, so the line itself does not tell that it is void.
    let before = world.waiting("x");
    soon(world.append("s")).await.unwrap();
    until(async || world.waiting("x") > before).await;
    let mut late = world.foreigner();
    let Acquired::Waiting { .. } = late.ask_for("x", TTL) else { panic!("it is held") };
    holder.write(Leave { lock: grant.lock, ticket: grant.ticket });
    next.write(Leave { lock: grant.lock, ticket });
    let held = soon(waiter).await.unwrap().unwrap();
    assert_eq!(world.holder("x"), Some(held.ticket()));
}

#[tokio::test]
async fn l5_a_waiter_whose_process_was_buried_gets_the_lock_in_the_end() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", TTL);
    let first = world.in_line("x").await;
    let second = world.in_line("x").await;
    world.memory.bury(world.runtime.process(), world.clock.now());
    soon(world.append("s")).await.unwrap();
    foreigner.write(Leave { lock: grant.lock, ticket: grant.ticket });
    // Their tickets are void. They take new ones, in their order.
    let held = soon(first).await.unwrap().unwrap();
    world.release(held).await.unwrap();
    soon(second).await.unwrap().unwrap();
}

#[tokio::test]
async fn l5_a_holder_in_another_process_that_dies_lets_our_waiter_in() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.take("x", TTL);
    let waiter = world.in_line("x").await;
    drop(foreigner);
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn l5_a_release_by_another_process_reaches_our_waiter() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", TTL);
    let waiter = world.in_line("x").await;
    foreigner.write(Leave { lock: grant.lock, ticket: grant.ticket });
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn l5_a_release_that_nobody_rang_for_reaches_our_waiter_by_the_slow_poll() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", TTL);
    let waiter = world.in_line("x").await;
    foreigner.begin();
    foreigner.apply(Leave { lock: grant.lock, ticket: grant.ticket });
    foreigner.commit_quietly();
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn l4_a_lease_of_a_silent_process_ends_with_its_time_to_live() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let ttl = Duration::from_millis(200);
    foreigner.take("x", ttl);
    let mut waiter = world.in_line("x").await;
    assert!(!waiter.is_answered());
    // The other process lives but is stopped: it writes no beat, and nobody rings.
    world.clock.advance(ttl);
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn l5_our_dead_waiter_is_skipped_by_others() {
    let world = World::new();
    let there = world.another();
    let held = world.hold("x").await;
    let dead = there.in_line("x").await;
    let mut foreigner = world.foreigner();
    foreigner.ask_for("x", TTL);
    drop(foreigner);
    let living = world.in_line("x").await;
    drop((dead, there));
    world.release(held).await.unwrap();
    soon(living).await.unwrap().unwrap();
}

#[tokio::test]
async fn g10_what_is_held_stays_held_when_the_actor_fails_and_another_takes_its_place() {
    let world = World::new();
    let held = world.hold("x").await;
    world.clock.panic_on_the_arbiter();
    let failed = soon(world.acquire("x", Wait::For(TTL))).await;
    assert!(matches!(failed, Err(Error::ActorFailed { .. })), "{failed:?}");
    // The next actor has not seen it being granted.
    let waiter = world.in_line("x").await;
    world.has_looked("x").await;
    let _others = world.lookout_has_seen_all().await;
    assert_eq!(world.holder("x"), Some(held.ticket()));
    world.release(held).await.unwrap();
    let next = soon(waiter).await.unwrap().expect("whoever released it knows the actor no more");
    world.release(next).await.unwrap();
}

#[tokio::test]
async fn g10_what_a_failed_actor_leaves_behind_is_given_back() {
    let world = World::new();
    let held = world.hold("x").await;
    let neighbour = world.hold("y").await;
    let loss = begun(world.loss(&held));
    let waiters = [world.in_line("x").await, world.in_line("x").await];
    world.clock.panic_on_the_arbiter();
    // An acquire with a deadline asks for the time.
    let failed = soon(world.acquire("x", Wait::For(TTL))).await;
    assert!(matches!(failed, Err(Error::ActorFailed { .. })), "{failed:?}");
    for waiter in waiters {
        assert!(matches!(soon(waiter).await, Err(Error::ActorFailed { .. })));
    }
    // It cannot say any more when the lock is lost; whoever wants to know asks the next one.
    assert!(matches!(soon(loss).await, Err(Error::ActorFailed { .. })));
    until(async || world.waiting("x") == 0).await;
    // What is held is its holder's, not the actor's.
    assert_eq!(world.holder("x"), Some(held.ticket()));
    world.release(held).await.unwrap();
    let again = world.hold("x").await;
    world.release(again).await.unwrap();
    world.release(neighbour).await.unwrap();
}

#[tokio::test]
async fn g13_a_lock_whose_release_failed_does_not_stay_taken() {
    let world = World::new();
    let held = world.hold("x").await;
    world.memory.faults().fail_commit(broken(), false);
    assert_not_applied(&world.release(held).await);
    // Nobody has the guard any more, so nobody but the actor can give the lock back.
    let again = world.hold("x").await;
    world.release(again).await.unwrap();
}

#[tokio::test]
async fn g13_a_lock_whose_guard_was_dropped_while_the_disk_was_full_becomes_free() {
    let world = World::new();
    let held = world.hold("x").await;
    world.memory.faults().fail_commit(Error::StorageFull { detail: "asked for".into() }, false);
    drop(world.release(held).await);
    until(async || world.try_hold("x").await.is_some()).await;
}

#[tokio::test]
async fn l3_a_stale_token_writes_nothing() {
    use millpond_actors::error::Expected;
    use millpond_actors::stream::{Append, placed};

    let world = World::new();
    let held = world.hold("x").await;
    let fenced = async |fence: Fence| {
        let build = |reply, passage| Append {
            expected: Expected::Any,
            events: vec![crate::world::event(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, b"1"))],
            known_ids: true,
            fence: Some(fence.clone()),
            reply,
            passage,
        };
        let append = |reply, passage| world.runtime.streams().append(&name("s"), build(reply, passage));
        let outcome = soon(world.runtime.enter_and(append)).await?;
        placed(&name("s"), Expected::Any, Some(&fence), &outcome)
    };
    fenced(held.fence()).await.unwrap();
    let fence = held.fence();
    world.release(held).await.unwrap();
    let _next = world.hold("x").await;
    let stale = Error::Fenced { lock: "x".into(), token: fence.token };
    assert_eq!(fenced(fence).await, Err(stale));
}

fn hasty(settings: &mut Settings) {
    settings.idle = Duration::from_millis(10);
}

#[tokio::test]
async fn r3_of_a_lock_that_is_not_used_any_more_nothing_stays_in_memory() {
    let world = World::with(hasty);
    // Every actor has the clock, so the clock knows how many there are.
    let before = std::sync::Arc::strong_count(&world.clock);
    for number in 0..50 {
        let held = world.hold(&format!("x-{number}")).await;
        world.release(held).await.unwrap();
    }
    until(async || world.runtime.actors().await == 0).await;
    until(async || std::sync::Arc::strong_count(&world.clock) <= before).await;
}

#[tokio::test]
async fn l4_whoever_waits_beside_another_lock_waits_no_longer_for_it() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.take("x", TTL);
    let ttl = Duration::from_millis(200);
    let mut silent = world.foreigner();
    silent.take("z", ttl);
    // The watcher has looked already when the second one comes.
    let _other = world.in_line("x").await;
    let waiter = world.in_line("z").await;
    world.clock.advance(ttl);
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn l5_a_waiter_whose_grant_ended_before_it_was_taken_up_lines_up_anew() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", TTL);
    let waiter = world.in_line("x").await;
    // This process is stopped: it neither hears of the grant nor beats until the lease has ended.
    foreigner.begin();
    foreigner.apply(Leave { lock: grant.lock, ticket: grant.ticket });
    world.clock.advance(TTL);
    foreigner.commit();
    let held = soon(waiter).await.unwrap().unwrap();
    assert_eq!(world.holder("x"), Some(held.ticket()));
    world.release(held).await.unwrap();
}

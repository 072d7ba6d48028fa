//! Grants that are not taken up: by another process that was stopped, and by this one.

use std::time::Duration;

use millpond_actors::limits;
use millpond_actors::storage::Target;
use millpond_actors::storage::lock::{Acquired, Break, Leave};

use crate::world::*;

const LONG: Duration = Duration::from_secs(600);
const A_WHILE: Duration = Duration::from_millis(10);

#[tokio::test]
async fn l5_a_stopped_process_that_was_given_the_lock_does_not_keep_it_for_its_time_to_live() {
    let world = World::new();
    let (mut holder, mut stopped) = (world.foreigner(), world.foreigner());
    let grant = holder.take("x", LONG);
    let Acquired::Waiting { ticket, .. } = stopped.ask_for("x", LONG) else { panic!("it is held") };
    let mut waiter = world.in_line("x").await;
    world.clock.advance(A_WHILE);
    holder.write(Leave { lock: grant.lock, ticket: grant.ticket });
    assert_eq!(world.holder("x"), Some(ticket));
    world.clock.advance(limits::TAKE_UP - Duration::from_millis(1));
    world.arrived().await;
    assert!(!waiter.is_answered(), "it may still take it up");
    world.clock.advance(Duration::from_millis(1));
    // Whatever another one commits has our waiter look, which saves the test five seconds.
    holder.begin();
    holder.commit();
    let held = soon(waiter).await.unwrap().unwrap();
    assert_eq!(world.holder("x"), Some(held.ticket()));
}

#[tokio::test]
async fn l4_a_grant_from_another_process_lasts_its_whole_time_once_it_is_answered() {
    let world = World::new();
    let mut holder = world.foreigner();
    let grant = holder.take("x", LONG);
    let waiter = world.in_line("x").await;
    world.clock.advance(A_WHILE);
    holder.write(Leave { lock: grant.lock, ticket: grant.ticket });
    let held = soon(waiter).await.unwrap().unwrap();
    // This process is stopped now; nobody asked it for anything since.
    let remaining = held.remaining();
    world.clock.advance(remaining - Duration::from_millis(1));
    let Acquired::Waiting { .. } = holder.ask_for("x", LONG) else { panic!("it has ended too early") };
    assert!(remaining > limits::TAKE_UP, "{remaining:?}");
}

#[tokio::test]
async fn l5_a_waiter_that_was_passed_over_lines_up_anew_while_another_holds_the_lock() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", LONG);
    let waiter = world.in_line("x").await;
    // All at once, as it looks to a process that was stopped meanwhile: granted, lost, and given to the next.
    foreigner.begin();
    foreigner.apply(Leave { lock: grant.lock, ticket: grant.ticket });
    let lock = Target { name: name("x"), id: None };
    let next = millpond_actors::storage::lock::Acquire {
        lock: lock.clone(),
        capacity: 1,
        weight: 1,
        ttl_ms: 600_000,
        wait: true,
    };
    let Acquired::Waiting { ticket, .. } = foreigner.apply(next) else { panic!("our waiter has it") };
    foreigner.apply(Break { lock });
    foreigner.commit();
    until(async || world.waiting("x") == 1).await;
    assert_eq!(world.holder("x"), Some(ticket));
    foreigner.write(Leave { lock: grant.lock, ticket });
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn g13_a_grant_whose_taking_up_failed_is_taken_up_later() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", LONG);
    let waiter = world.in_line("x").await;
    foreigner.begin();
    foreigner.apply(Leave { lock: grant.lock, ticket: grant.ticket });
    // Without the bell this process needs a moment to see it.
    foreigner.commit_quietly();
    world.memory.faults().fail_commit(broken(), false);
    // Nobody writes any more, so there is no other news.
    soon(waiter).await.unwrap().unwrap();
}

#[tokio::test]
async fn l5_a_stopped_process_that_is_given_the_lock_from_here_is_watched() {
    let world = World::new();
    let mut stopped = world.foreigner();
    let held = world.hold("x").await;
    let Acquired::Waiting { ticket, .. } = stopped.ask_for("x", A_WHILE) else { panic!("it is held") };
    let waiter = world.in_line("x").await;
    // What has happened so far has been looked at: whoever waits for another lock is told of it.
    let mut other = world.foreigner();
    let grant = other.take("y", LONG);
    let told = world.in_line("y").await;
    other.write(Leave { lock: grant.lock, ticket: grant.ticket });
    soon(told).await.unwrap().unwrap();
    world.release(held).await.unwrap();
    assert_eq!(world.holder("x"), Some(ticket));
    world.clock.advance(A_WHILE);
    // Nobody writes any more, and nobody dies.
    soon(waiter).await.unwrap().unwrap();
}

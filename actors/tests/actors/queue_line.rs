//! Claims that are under way at once: the order stays that of coming, and whoever does not wait is told.

use std::sync::Arc;

use millpond_actors::queue::{Held, Pop, QueueActor, Wait, Write};
use millpond_actors::storage::queue::Start;

use crate::queue::{LEASE, job, sequence};
use crate::world::{World, begun, name, soon, until};

#[tokio::test]
async fn q3_whoever_came_first_is_served_first_though_another_ones_claim_finds_the_job() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.pop(Wait::Forever));
    gate.wait_until_held();
    // His claim has found nothing, and is not back.
    let pushed = begun(world.push(Start::Now));
    world.arrived().await;
    let mut second = world.popping().await;
    gate.open();
    soon(pushed).await;
    let first = soon(first).await;
    assert_eq!(sequence(&first), 1);
    assert!(!second.is_answered());
    world.push(Start::Now).await;
    assert_eq!(sequence(&soon(second).await), 2);
}

#[tokio::test]
async fn q3_whoever_wants_many_is_given_what_is_there_and_the_next_one_the_rest() {
    let world = World::new();
    let many = |most: u32, wait: Wait| {
        let runtime = Arc::clone(&world.runtime);
        async move {
            let build = |reply, passage| Pop { most, ttl: LEASE, wait, reply, passage };
            runtime.ask::<QueueActor, _, _>(&name("q"), build).await
        }
    };
    let numbers = |held: &[Held]| held.iter().map(|held| held.job().sequence).collect::<Vec<_>>();
    let first = begun(many(3, Wait::Forever));
    world.arrived().await;
    let second = begun(many(3, Wait::Forever));
    world.arrived().await;
    let jobs = vec![job(Start::Now); 5];
    soon(
        world.runtime.ask::<QueueActor, _, _>(&name("q"), |reply, passage| Write::Push(jobs, reply, passage)),
    )
    .await
    .unwrap();
    let (first, second) = (soon(first).await.unwrap(), soon(second).await.unwrap());
    assert_eq!((numbers(&first), numbers(&second)), (vec![1, 2, 3], vec![4, 5]));
    assert_eq!(numbers(&soon(many(9, Wait::No)).await.unwrap()), []);
    // Whoever goes away before he is given his keeps none of them.
    let gate = world.memory.faults().hold_commits();
    drop((first, second));
    gate.wait_until_held();
    let gone = begun(many(4, Wait::Forever));
    world.arrived().await;
    drop(gone);
    gate.open();
    until(async || world.stands() == (5, 0, Some(0))).await;
}

#[tokio::test]
async fn q3_whoever_does_not_wait_is_told_though_others_go_on_coming() {
    let world = World::new();
    let faults = world.memory.faults();
    let one = faults.hold_commits();
    let first = begun(world.pop(Wait::No));
    one.wait_until_held();
    let second = begun(world.pop(Wait::No));
    world.arrived().await;
    let other = faults.hold_commits();
    one.open();
    other.wait_until_held();
    // The first claim is back, the second one is not, and a third is wanted.
    world.arrived().await;
    let mut third = begun(world.pop(Wait::No));
    world.arrived().await;
    let last = faults.hold_commits();
    other.open();
    assert!(soon(first).await.unwrap().is_none() && soon(second).await.unwrap().is_none());
    last.wait_until_held();
    assert!(!third.is_answered());
    last.open();
    assert!(soon(third).await.unwrap().is_none());
}

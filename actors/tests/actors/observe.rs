//! What is told of the things that go wrong: groups that are done again, commits that fail, actors that do, leases that lapse.

use std::time::Duration;

use millpond_actors::limits;
use millpond_actors::lock::Wait;
use millpond_actors::observe::metric::*;

use crate::figures::Figures;
use crate::world::{World, begun, broken, soon, until};

#[tokio::test]
async fn a_group_that_is_done_again_is_told() {
    let (figures, world) = Figures::of(World::new);
    world.memory.faults().fail_apply(1, broken());
    soon(world.append("s")).await.unwrap();
    soon(world.append("s")).await.unwrap();
    let of_operations = format!("{GROUP_OPERATIONS} sum");
    let told = figures.since([GROUPS_REDONE, GROUPS, GROUP_OPERATIONS, &of_operations, EVENTS]);
    assert_eq!(told, [1.0, 2.0, 2.0, 2.0, 2.0]);
    soon(world.runtime.close()).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_fails_is_told_and_so_is_a_store_that_writes_no_more() {
    let (figures, world) = Figures::of(World::new);
    world.memory.faults().fail_commit(broken(), true);
    soon(world.append("s")).await.unwrap();
    let names = [COMMITS_FAILED, GROUPS, EVENTS, POISONED, "millpond_errors_total{storage}"];
    assert_eq!(
        figures.since(names),
        [1.0, 1.0, 1.0, 0.0, 0.0],
        "it was applied, and its caller had no error"
    );
    for _ in 1..limits::FAILED_COMMITS {
        world.memory.faults().fail_commit(broken(), false);
        assert_eq!(soon(world.append("s")).await, Err(broken()));
    }
    let failed = limits::FAILED_COMMITS as f64 - 1.0;
    assert_eq!(figures.since(names), [failed, 0.0, 0.0, 1.0, failed]);
    soon(world.append("s")).await.unwrap_err();
    assert_eq!(figures.since(["millpond_errors_total{poisoned}", COMMITS_FAILED]), [1.0, 0.0]);
    soon(world.runtime.close()).await.unwrap();
    assert_eq!(figures.since([POISONED]), [-1.0], "it is not there any more");
}

#[tokio::test]
async fn actors_that_are_started_fail_and_are_let_go_are_told() {
    let (figures, world) = Figures::of(|| World::with(|settings| settings.idle = Duration::from_millis(10)));
    soon(world.number_of("a")).await.unwrap();
    soon(world.fail("a")).await.unwrap_err();
    soon(world.number_of("a")).await.unwrap();
    let names = [ACTORS_STARTED, ACTORS_FAILED, "millpond_errors_total{actor_failed}"];
    assert_eq!(figures.since(names), [2.0, 1.0, 1.0]);
    let mut living = 1.0;
    soon(world.number_of("b")).await.unwrap();
    until(async || {
        living += figures.since([ACTORS])[0];
        world.runtime.actors().await == 0
    })
    .await;
    living += figures.since([ACTORS])[0];
    assert_eq!(living, 0.0);
    soon(world.runtime.close()).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_expired_before_it_was_released_is_told() {
    let (figures, world) = Figures::of(World::new);
    let held = soon(world.acquire("x", Wait::No)).await.unwrap().unwrap();
    assert_eq!(figures.since([LOCK_GRANTS, LEASES_LAPSED]), [1.0, 0.0]);
    world.clock.advance(Duration::from_secs(3_600));
    soon(world.append("s")).await.unwrap();
    assert_eq!(figures.since([LEASES_LAPSED, LOCKS_LOST]), [1.0, 0.0]);
    drop(held);
    until(async || figures.since([LOCKS_LOST]) == [1.0]).await;
    soon(world.runtime.close()).await.unwrap();
}

#[tokio::test]
async fn the_turn_that_is_waited_for_is_told() {
    let (figures, world) = Figures::of(World::new);
    soon(world.append("s")).await.unwrap();
    assert_eq!(figures.since([TURN_WAIT_SECONDS]), [0.0]);
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let waits = begun(world.append("s"));
    // Looked at from time to time.
    until(async || figures.since([REQUESTS]) == [1.0]).await;
    foreigner.commit();
    soon(waits).await.unwrap();
    assert_eq!(figures.since([TURN_WAIT_SECONDS]), [1.0]);
    soon(world.runtime.close()).await.unwrap();
}

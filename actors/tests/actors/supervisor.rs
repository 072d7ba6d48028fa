//! The supervisor: one actor a name, started anew when it failed, let go when nobody needs it.

use std::time::Duration;

use millpond_actors::error::Error;
use millpond_actors::lock::Wait;
use millpond_actors::runtime::Settings;

use crate::ledger::Command;
use crate::world::{World, all, begun, done, soon, until};

/// Actors leave after 10 ms, or a little later.
fn hasty(settings: &mut Settings) {
    settings.idle = Duration::from_millis(10);
}

fn two_arbiters(settings: &mut Settings) {
    settings.arbiters = 2;
}

/// Until only `left` actors are there.
async fn until_left(world: &World, left: usize) {
    until(async || world.runtime.actors().await == left).await;
}

#[tokio::test]
async fn r1_concurrent_first_use_gives_one_actor() {
    for world in [World::new(), World::with(two_arbiters)] {
        for name in ["a", "b", "c", "d"] {
            let asked: Vec<_> = (0..100).map(|_| begun(world.number_of(name))).collect();
            let numbers = all(asked).await;
            assert!(numbers[0].is_ok() && numbers.iter().all(|number| *number == numbers[0]));
        }
        assert_eq!(world.runtime.actors().await, 4);
    }
}

#[tokio::test]
async fn r1_actors_of_one_name_and_different_types_are_different() {
    let world = World::new();
    soon(world.number_of("x")).await.unwrap();
    soon(world.execute("x", Command::Count)).await.unwrap();
    soon(world.acquire("x", Wait::No)).await.unwrap();
    assert_eq!(world.runtime.actors().await, 3);
}

#[tokio::test]
async fn g10_an_actor_that_failed_is_started_anew_by_the_next_message() {
    let world = World::new();
    let (before, neighbour) =
        (soon(world.number_of("a")).await.unwrap(), soon(world.number_of("b")).await.unwrap());
    for _ in 0..3 {
        let failed = soon(world.fail("a")).await;
        assert!(matches!(failed, Err(Error::ActorFailed { .. })), "{failed:?}");
    }
    assert_ne!(soon(world.number_of("a")).await.unwrap(), before);
    assert_eq!(soon(world.number_of("b")).await.unwrap(), neighbour, "the neighbours noticed nothing");
    soon(world.append("s")).await.unwrap();
    assert_eq!(world.runtime.actors().await, 2);
}

#[tokio::test]
async fn g10_whoever_stood_behind_the_failure_gets_an_answer() {
    let world = World::new();
    for _ in 0..20 {
        let ahead: Vec<_> = (0..5).map(|_| begun(world.number_of("a"))).collect();
        let failing = begun(world.fail("a"));
        let behind: Vec<_> = (0..5).map(|_| begun(world.number_of("a"))).collect();
        all(ahead).await.into_iter().for_each(done);
        assert!(matches!(soon(failing).await, Err(Error::ActorFailed { .. })));
        for answer in all(behind).await {
            // By the next actor of this name, or that the one before it failed: never nothing.
            assert!(matches!(answer, Ok(_) | Err(Error::ActorFailed { .. })), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn r2_an_idle_actor_leaves_and_nobody_notices() {
    let world = World::with(hasty);
    for round in 1..=3 {
        soon(world.number_of("a")).await.unwrap();
        let told = soon(world.execute("ledger", Command::Count)).await.unwrap();
        assert_eq!(told.version(), round);
        let held = world.hold("x").await;
        world.release(held).await.unwrap();
        until_left(&world, 0).await;
    }
    assert_eq!(world.contents("ledger"), ["0", "1", "2"]);
    // Gone for good, and not only out of sight: whoever comes next is somebody else.
    let number = soon(world.number_of("a")).await.unwrap();
    until_left(&world, 0).await;
    assert_ne!(soon(world.number_of("a")).await.unwrap(), number);
}

#[tokio::test]
async fn r2_whoever_holds_or_waits_stays() {
    let world = World::with(hasty);
    let held = world.hold("held").await;
    let foreign = world.another();
    let foreign_hold = foreign.hold("waited for").await;
    let waiter = world.in_line("waited for").await;
    // Others come and go meanwhile, several times: by their going the idle time has passed.
    for _ in 0..3 {
        soon(world.number_of("a")).await.unwrap();
        until_left(&world, 2).await;
    }
    foreign.release(foreign_hold).await.unwrap();
    let waited_for = soon(waiter).await.unwrap().unwrap();
    soon(world.number_of("a")).await.unwrap();
    until_left(&world, 2).await;
    world.release(held).await.unwrap();
    world.release(waited_for).await.unwrap();
    until_left(&world, 0).await;
}

#[tokio::test]
async fn r2_whoever_has_something_in_flight_stays() {
    let world = World::with(hasty);
    let gate = world.memory.faults().hold_commits();
    let acquire = begun(world.acquire("x", Wait::No));
    gate.wait_until_held();
    let command = begun(world.execute("ledger", Command::Count));
    world.arrived().await;
    for _ in 0..3 {
        soon(world.number_of("other")).await.unwrap();
        until_left(&world, 2).await;
    }
    gate.open();
    drop(soon(acquire).await.unwrap());
    soon(command).await.unwrap();
    until_left(&world, 0).await;
}

#[tokio::test]
async fn r1_no_operation_is_lost_in_a_storm_of_comings_and_goings() {
    const NAMES: usize = 2_000;
    let world = World::with(hasty);
    for round in 1..=3 {
        for slice in 0..NAMES / 100 {
            let names = (slice * 100..(slice + 1) * 100).map(|number| format!("s-{number}"));
            let commands: Vec<_> = names.map(|name| begun(world.execute(&name, Command::Count))).collect();
            for answer in all(commands).await {
                assert_eq!(answer.unwrap().version(), round);
            }
        }
    }
    assert_eq!(world.head(), 3 * NAMES as u64);
    until_left(&world, 0).await;
}

#[tokio::test]
async fn r1_one_name_used_again_in_the_moment_of_its_going_loses_nothing() {
    let world = World::with(hasty);
    for round in 1..=200 {
        // Each at another moment of the sweep, some of them just when the actor goes.
        assert_eq!(soon(world.execute("ledger", Command::Count)).await.unwrap().version(), round);
        for _ in 0..round % 50 {
            world.runtime.actors().await;
        }
    }
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(world.contents("ledger"), expected);
}

//! The writer when the commit itself fails: applied, not applied, or unknown until the next write.

use millpond_actors::error::{Error, Result, WriteOutcome};
use millpond_actors::limits;
use millpond_actors::stream::Placed;

use crate::world::{World, all, assert_not_applied, begun, broken, soon};

const GROUP: u64 = 10;

fn full() -> Error {
    Error::StorageFull { detail: "asked for".into() }
}

/// Commits a group of [`GROUP`], with `fault` acting on its commit.
async fn commit_group(world: &World, fault: impl FnOnce()) -> Vec<Result<Placed>> {
    let faults = world.memory.faults();
    let before = faults.hold_commits();
    let first = begun(world.append("first"));
    before.wait_until_held();
    let group: Vec<_> = (0..GROUP).map(|number| begun(world.append(&format!("s-{number}")))).collect();
    world.arrived().await;
    let commit = faults.hold_commits();
    before.open();
    soon(first).await.unwrap();
    commit.wait_until_held();
    fault();
    commit.open();
    all(group).await
}

#[tokio::test]
async fn g4_a_commit_that_failed_but_happened_is_an_ok() {
    let world = World::new();
    let answers = commit_group(&world, || world.memory.faults().fail_commit(broken(), true)).await;
    let positions: Vec<u64> = answers.into_iter().map(|answer| answer.unwrap().position).collect();
    assert_eq!(positions, (2..2 + GROUP).collect::<Vec<u64>>());
    assert_eq!(world.head(), 1 + GROUP);
    assert_eq!(soon(world.append("later")).await.unwrap().position, 2 + GROUP);
}

#[tokio::test]
async fn g4_a_commit_that_failed_and_did_not_happen_is_not_applied() {
    let world = World::new();
    let answers = commit_group(&world, || world.memory.faults().fail_commit(broken(), false)).await;
    answers.iter().for_each(assert_not_applied);
    assert_eq!(soon(world.append("later")).await.unwrap().position, 2);
    assert_eq!(world.head(), 2, "nothing of the group is found later");
}

/// A commit fails and the connection cannot be had again to ask how it went.
async fn commit_in_the_dark(applied: bool) {
    let world = World::new();
    let fault = || {
        world.memory.faults().fail_commit(broken(), applied);
        world.memory.faults().fail_reopen(1, broken());
    };
    let answers = commit_group(&world, fault).await;
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap_err().outcome(), WriteOutcome::Unknown, "{answer:?}");
    }
    // The next write that succeeds settles it, one way or the other, for good.
    let there = if applied { 1 + GROUP } else { 1 };
    assert_eq!(soon(world.append("later")).await.unwrap().position, there + 1);
    soon(world.append("later")).await.unwrap();
    assert_eq!(world.head(), there + 2);
}

#[tokio::test]
async fn g4_what_cannot_be_asked_is_unknown_and_may_be_there() {
    commit_in_the_dark(true).await;
}

#[tokio::test]
async fn g4_what_cannot_be_asked_is_unknown_and_may_be_absent() {
    commit_in_the_dark(false).await;
}

#[tokio::test]
async fn g4_a_disk_that_fails_again_and_again_is_not_written_to_any_more() {
    let world = World::new();
    for _ in 0..limits::FAILED_COMMITS {
        world.memory.faults().fail_commit(broken(), false);
        assert_eq!(soon(world.append("s")).await, Err(broken()));
    }
    for _ in 0..2 {
        let answer = soon(world.append("s")).await;
        assert_not_applied(&answer);
        let said = answer.unwrap_err().to_string();
        assert!(said.contains("closed for writing, open it again"), "{said}");
    }
    assert_eq!(soon(world.runtime.read(|view| view.head())).await, Ok(0), "reads go on");
    let [groups, .., failed, _] = world.runtime.figures();
    assert_eq!((groups, failed), (0, limits::FAILED_COMMITS as u64));
    // The other processes of the store are not kept from writing.
    soon(world.another().append("s")).await.unwrap();
    soon(world.runtime.close()).await.unwrap();
}

#[tokio::test]
async fn g4_whoever_waits_for_a_lock_is_told_when_nothing_is_written_any_more() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("theirs", std::time::Duration::from_secs(600));
    let held = world.hold("ours").await;
    let waiters = [world.in_line("ours").await, world.in_line("theirs").await];
    for _ in 0..limits::FAILED_COMMITS {
        world.memory.faults().fail_commit(broken(), false);
        assert_eq!(soon(world.append("s")).await, Err(broken()));
    }
    for waiter in waiters {
        assert!(matches!(soon(waiter).await, Err(Error::Poisoned { .. })));
    }
    // Nobody rings for it, and nobody writes.
    assert_eq!(world.holder("theirs"), Some(grant.ticket));
    drop(held);
    soon(world.runtime.close()).await.unwrap();
}

#[tokio::test]
async fn g4_failures_far_apart_do_not_add_up() {
    let world = World::new();
    for _ in 0..2 * limits::FAILED_COMMITS {
        world.memory.faults().fail_commit(broken(), false);
        assert_eq!(soon(world.append("s")).await, Err(broken()));
        world.clock.advance(std::time::Duration::from_secs(301));
    }
    soon(world.append("s")).await.unwrap();
}

#[tokio::test]
async fn g13_a_full_disk_is_not_applied_however_often() {
    let world = World::new();
    for round in 0..2 * limits::FAILED_COMMITS {
        world.memory.faults().fail_commit(full(), false);
        if round % 2 == 0 {
            // Not even when it cannot be asked afterwards: a full disk refuses the frames themselves.
            world.memory.faults().fail_reopen(1, full());
        }
        assert_eq!(soon(world.append("s")).await, Err(full()));
    }
    assert_eq!(soon(world.append("s")).await.unwrap().position, 1, "as soon as there is space");
}

#[tokio::test]
async fn g14_a_file_that_was_replaced_is_not_written_to_again() {
    let world = World::new();
    let replaced = Error::FileReplaced { path: "shop.db".into() };
    world.memory.faults().fail_commit(replaced.clone(), false);
    for _ in 0..3 {
        assert_eq!(soon(world.append("s")).await, Err(replaced.clone()));
    }
}

//! The writer: groups, order, and one caller's misfortune being his own.

use millpond_actors::clock::{Rng, SystemRng};
use millpond_actors::error::{Error, Result};
use millpond_actors::memory::faults::CommitGate;
use millpond_actors::stream::Placed;
use uuid::Uuid;

use crate::world::{Begun, World, all, assert_not_applied, begun, broken, done, event, name, soon, until};

/// A group in which operation number [`BAD`] (from 1) is refused by the storage itself whenever it is tried: its
/// event's id is taken. Number [`UNLUCKY`] may be given a fault for the second attempt.
const GROUP: usize = 20;
const BAD: usize = 5;
const UNLUCKY: usize = 12;

/// When to turn a knob so that it acts in the second attempt: the first one ends at the bad operation.
const IN_THE_REDO: u32 = (BAD + UNLUCKY) as u32;

fn stream_of(number: usize) -> String {
    format!("s-{number}")
}

/// Holds a commit back, so that the group behind it gathers whole.
async fn hold(
    world: &World,
    taken: Uuid,
) -> (CommitGate, Begun<impl Future<Output = Result<Placed>> + use<>>) {
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.append_event("first", event(taken)));
    gate.wait_until_held();
    (gate, first)
}

/// Commits the group with the bad operation in it, after `fault` was asked for. The answers, from number 1 on.
async fn commit_group(world: &World, fault: impl FnOnce()) -> Vec<Result<Placed>> {
    let taken = SystemRng.uuid();
    let (gate, first) = hold(world, taken).await;
    let append = |number| {
        let id = if number == BAD { taken } else { SystemRng.uuid() };
        begun(world.append_event(&stream_of(number), event(id)))
    };
    let group: Vec<_> = (1..=GROUP).map(append).collect();
    world.arrived().await;
    fault();
    gate.open();
    soon(first).await.unwrap();
    all(group).await
}

/// Asserts that every operation that was answered with `Ok` is there, once, and no other.
fn assert_what_was_answered_is_so(world: &World, answers: &[Result<Placed>]) {
    for (answer, number) in answers.iter().zip(1..) {
        assert_eq!(world.version(&stream_of(number)), u64::from(answer.is_ok()), "operation {number}");
        if answer.is_err() {
            assert_not_applied(answer);
        }
    }
    // Positions are dense: nothing that was undone has left a gap.
    let applied = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    assert_eq!(world.head(), 1 + applied);
}

#[tokio::test]
async fn g6_an_operation_that_fails_spares_its_neighbours() {
    let world = World::new();
    let answers = commit_group(&world, || world.memory.faults().fail_apply(IN_THE_REDO, broken())).await;
    let failed: Vec<usize> = (1..=GROUP).filter(|number| answers[number - 1].is_err()).collect();
    assert_eq!(failed, [BAD, UNLUCKY]);
    assert_what_was_answered_is_so(&world, &answers);
    let [groups, _, redone, ..] = world.runtime.figures();
    assert_eq!((groups, redone), (2, 1));
}

#[tokio::test]
async fn g6_a_fault_that_passes_fails_nobody() {
    let world = World::new();
    // Having written, the third operation fails, and everything is done again from a clean start.
    world.memory.faults().fail_apply(3, broken());
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.append("first"));
    gate.wait_until_held();
    let group: Vec<_> = (1..=GROUP).map(|number| begun(world.append(&stream_of(number)))).collect();
    world.arrived().await;
    gate.open();
    soon(first).await.unwrap();
    let answers = all(group).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_what_was_answered_is_so(&world, &answers);
    assert_eq!(world.runtime.figures()[2], 1);
}

#[tokio::test]
async fn g6_a_storage_that_rolls_back_by_itself_fails_the_whole_group_alike() {
    let world = World::new();
    let full = Error::StorageFull { detail: "asked for".into() };
    let fault = || world.memory.faults().fail_apply_and_roll_back(IN_THE_REDO, full.clone());
    let answers = commit_group(&world, fault).await;
    assert!(answers.iter().all(|answer| *answer == Err(full.clone())), "{answers:?}");
    assert_what_was_answered_is_so(&world, &answers);
    // And nothing of it is committed by a later group.
    soon(world.append("later")).await.unwrap();
    assert_eq!(world.head(), 2);
}

#[tokio::test]
async fn g6_an_operation_that_brings_the_transaction_down_spares_its_neighbours() {
    let world = World::new();
    let refused = Error::SqlRefused { statement: "of a user".into(), reason: "asked for".into() };
    let fault = || world.memory.faults().fail_apply_and_roll_back(IN_THE_REDO, refused.clone());
    let answers = commit_group(&world, fault).await;
    assert_eq!(answers[UNLUCKY - 1], Err(refused));
    let failed: Vec<usize> = (1..=GROUP).filter(|number| answers[number - 1].is_err()).collect();
    assert_eq!(failed, [BAD, UNLUCKY]);
    assert_what_was_answered_is_so(&world, &answers);
}

#[tokio::test]
async fn g10_a_panic_of_the_storage_is_one_callers_error() {
    let world = World::new();
    let answers = commit_group(&world, || world.memory.faults().panic_in_apply(IN_THE_REDO)).await;
    assert!(matches!(&answers[UNLUCKY - 1], Err(Error::Panicked { what, .. }) if what == "the storage"));
    let failed: Vec<usize> = (1..=GROUP).filter(|number| answers[number - 1].is_err()).collect();
    assert_eq!(failed, [BAD, UNLUCKY]);
    assert_what_was_answered_is_so(&world, &answers);
    soon(world.append("later")).await.unwrap();
}

#[tokio::test]
async fn g3_a_transaction_that_cannot_be_opened_leaves_nothing() {
    let world = World::new();
    let foreigner = world.foreigner();
    // Both the first attempt and the redo: the knob acts once, so the second is the reopening of the connection.
    world.memory.faults().fail_begin(broken());
    world.memory.faults().fail_reopen(1, broken());
    let answer = soon(world.append("s")).await;
    assert_eq!(answer, Err(broken()));
    assert_eq!(world.head(), 0);
    // The turn was not kept by the failure.
    drop(foreigner);
    soon(world.append("s")).await.unwrap();
    assert_eq!(world.head(), 1);
}

#[tokio::test]
async fn g3_the_turn_is_passed_on_after_every_sort_of_failure() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let faults = world.memory.faults();
    let turn_knobs: [&dyn Fn(); 5] = [
        &|| faults.fail_begin(broken()),
        &|| faults.fail_apply(1, broken()),
        &|| faults.panic_in_apply(1),
        &|| faults.fail_commit(broken(), false),
        &|| faults.fail_apply_and_roll_back(1, broken()),
    ];
    for turn_knob in turn_knobs {
        turn_knob();
        let _ = soon(world.append("s")).await;
        let session = &mut foreigner.session;
        until(async || session.take_turn(false).unwrap()).await;
        session.leave_turn();
    }
}

#[tokio::test]
async fn d1_many_callers_share_a_commit() {
    let world = World::new();
    let (gate, first) = hold(&world, SystemRng.uuid()).await;
    let many: Vec<_> = (0..200).map(|number| begun(world.append(&stream_of(number)))).collect();
    world.arrived().await;
    gate.open();
    soon(first).await.unwrap();
    all(many).await.into_iter().for_each(done);
    let (groups, operations) = world.committed();
    assert_eq!(operations, 201);
    assert!(groups <= 3, "{groups} groups");
}

#[tokio::test]
async fn g1_nobody_is_answered_before_the_commit() {
    let world = World::new();
    let (gate, mut first) = hold(&world, SystemRng.uuid()).await;
    let mut second = begun(world.append("second"));
    world.arrived().await;
    let seen = soon(world.runtime.read(|view| view.head())).await;
    assert_eq!(seen, Ok(0), "a reader sees only what has been committed");
    assert!(!first.is_answered() && !second.is_answered());
    gate.open();
    assert_eq!(soon(first).await.unwrap().position, 1);
    assert_eq!(soon(second).await.unwrap().position, 2);
}

#[tokio::test]
async fn g1_a_lone_caller_is_not_answered_before_the_commit_either() {
    let world = World::new();
    // After some groups of one, the arbiter commits by itself.
    for _ in 0..10 {
        soon(world.append("lone")).await.unwrap();
    }
    let gate = world.memory.faults().hold_commits();
    let mut lone = begun(world.append("lone"));
    gate.wait_until_held();
    assert!(!lone.is_answered());
    assert_eq!(world.head(), 10);
    gate.open();
    assert_eq!(soon(lone).await.unwrap().version, 11);
    assert_eq!(world.committed(), (11, 11));
}

#[tokio::test]
async fn g5_operations_of_one_handle_keep_their_order() {
    let world = World::new();
    for round in 0..5 {
        let sent: Vec<_> = (0..100).map(|_| begun(world.append("s"))).collect();
        let versions: Vec<u64> = all(sent).await.into_iter().map(|answer| answer.unwrap().version).collect();
        assert_eq!(versions, (round * 100 + 1..=round * 100 + 100).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn g5_a_caller_reads_what_it_has_written() {
    let world = World::new();
    // Alone and in company: the commit is the arbiter's in the one case and the thread's in the other.
    for company in [0, 7] {
        for _ in 0..30 {
            let others: Vec<_> = (0..company).map(|number| begun(world.append(&stream_of(number)))).collect();
            let version = soon(world.append("mine")).await.unwrap().version;
            let read = soon(world.runtime.read(|view| view.stream(&name("mine")))).await.unwrap();
            assert_eq!(read.map(|head| head.version), Some(version));
            all(others).await;
        }
    }
}

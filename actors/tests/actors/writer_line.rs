//! The way to the writer: how many may be inside, and what happens to those who wait too long.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::{Error, Occupant, Result};
use millpond_actors::limits;
use millpond_actors::lock::{Abandoned, LockActor};
use millpond_actors::runtime::Settings;
use millpond_actors::storage::dict::{Expected, Set, Written};
use millpond_actors::storage::{Data, Identity};
use millpond_actors::stream::Placed;
use millpond_actors::writer::WriterState;

use crate::world::{World, all, assert_not_applied, begun, done, name, soon, until};

fn room_for_four(settings: &mut Settings) {
    settings.requests = 4;
}

/// The way in keeps its deadlines by real time.
fn room_for_four_in_a_hurry(settings: &mut Settings) {
    settings.requests = 4;
    settings.call_timeout = Duration::from_millis(30);
}

#[tokio::test]
async fn g9_callers_beyond_the_bound_wait_and_are_let_in_later() {
    let world = World::with(room_for_four);
    let gate = world.memory.faults().hold_commits();
    let inside: Vec<_> = (0..4).map(|_| begun(world.append("inside"))).collect();
    gate.wait_until_held();
    let mut beyond: Vec<_> = (0..9).map(|_| begun(world.append("beyond"))).collect();
    let mut thread = world.append_blocking("thread");
    world.arrived().await;
    assert!(beyond.iter_mut().all(|append| !append.is_answered()));
    assert!(!thread.is_finished());
    gate.open();
    all(inside).await.into_iter().for_each(done);
    all(beyond).await.into_iter().for_each(done);
    soon(&mut thread).await.unwrap().unwrap();
    assert_eq!((world.version("beyond"), world.version("thread")), (9, 1));
}

#[tokio::test]
async fn g9_a_caller_that_finds_no_room_in_time_is_told() {
    let world = World::with(room_for_four_in_a_hurry);
    let gate = world.memory.faults().hold_commits();
    let inside: Vec<_> = (0..4).map(|_| begun(world.append("inside"))).collect();
    gate.wait_until_held();
    let thread = world.append_blocking("beyond");
    let full = Error::Overloaded { what: "the store", limit: 4 };
    assert_eq!(soon(world.append("beyond")).await, Err(full.clone()));
    assert_eq!(soon(thread).await.unwrap(), Err(full.clone()));
    // What is read in advance does not wait at all.
    assert_eq!(world.runtime.read_ahead(|view| view.head()).map(drop), Err(full));
    gate.open();
    all(inside).await.into_iter().for_each(done);
    assert_eq!(world.version("beyond"), 0);
}

#[tokio::test]
async fn g9_whoever_waits_for_room_keeps_nobody_from_running() {
    let world = World::with(room_for_four);
    let gate = world.memory.faults().hold_commits();
    let inside: Vec<_> = (0..4).map(|_| begun(world.append("inside"))).collect();
    gate.wait_until_held();
    // One on the caller's executor and one on the actors' own: both let others run while they wait.
    let beyond = tokio::spawn(world.append("beyond"));
    let thread = world.append_blocking("beyond");
    for _ in 0..100 {
        tokio::task::yield_now().await;
        soon(world.runtime.actors()).await;
    }
    gate.open();
    all(inside).await.into_iter().for_each(done);
    soon(beyond).await.unwrap().unwrap();
    soon(thread).await.unwrap().unwrap();
}

/// What came of a write that the storage kept for longer than a call may take, and then did.
fn done_or_given_up(answer: Result<Placed>) {
    assert!(matches!(answer, Ok(_) | Err(Error::CommitUnknown { .. })), "{answer:?}");
}

#[tokio::test]
async fn g9_a_write_behind_a_stuck_commit_is_answered_at_its_deadline() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.append("first"));
    gate.wait_until_held();
    let late = begun(world.append("late"));
    let thread = world.append_blocking("late");
    until(async || world.runtime.inside() == 3).await;
    world.arrived().await;
    let answer = world.as_time_passes(late).await;
    assert!(matches!(answer, Err(Error::Busy { .. })), "{answer:?}");
    assert_not_applied(&answer);
    assert_not_applied(&world.as_time_passes(thread).await.unwrap());
    gate.open();
    done_or_given_up(soon(first).await);
    soon(world.append("after")).await.unwrap();
    assert_eq!((world.version("late"), world.head()), (0, 2), "and it is not applied later");
}

#[tokio::test]
async fn g9_only_those_whose_deadline_has_passed_are_answered() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.append("first"));
    gate.wait_until_held();
    let late = begun(world.append("late"));
    world.arrived().await;
    world.clock.advance(limits::CALL_TIMEOUT - Duration::from_secs(1));
    let mut patient: Vec<_> = (0..3).map(|_| begun(world.append("patient"))).collect();
    world.arrived().await;
    world.clock.advance(Duration::from_secs(2));
    assert_not_applied(&soon(late).await);
    assert!(patient.iter_mut().all(|append| !append.is_answered()));
    gate.open();
    done_or_given_up(soon(first).await);
    all(patient).await.into_iter().for_each(done);
    assert_eq!((world.version("late"), world.version("patient")), (0, 3));
}

/// A storage that does not come back from a commit: of the arbiter's own, or of the thread's.
async fn g9_nobody_waits_longer_than_a_call_may_take(alone: bool) {
    let world = World::with(|settings| settings.call_timeout = Duration::from_millis(100));
    let held = world.hold("x").await;
    let waiter = world.in_line("x").await;
    for _ in 0..if alone { 10 } else { 0 } {
        // After some groups of one, the arbiter commits by itself.
        soon(world.append("lone")).await.unwrap();
    }
    let before = world.head();
    let gate = world.memory.faults().hold_commits();
    let lone = begun(world.append("lone"));
    gate.wait_until_held();
    let (late, thread) = (begun(world.append("late")), world.append_blocking("late"));
    for answer in [world.as_time_passes(lone).await, world.as_time_passes(late).await, {
        let thread = world.as_time_passes(thread).await;
        thread.unwrap()
    }] {
        answer.unwrap_err();
    }
    // Whoever waits for somebody waits without limit, but not for a storage that is gone.
    let given_up = world.as_time_passes(waiter).await;
    assert!(matches!(given_up, Err(Error::CommitUnknown { .. })), "{given_up:?}");
    world.runtime.tell::<LockActor, _>(&name("x"), Abandoned);
    gate.open();
    // What was with the storage is there, and the place that nobody waits in is given up.
    until(async || world.head() > before && world.waiting("x") == 0).await;
    soon(world.append("after")).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn g9_a_disk_that_hangs_under_the_arbiter_is_given_up_on() {
    g9_nobody_waits_longer_than_a_call_may_take(true).await;
}

#[tokio::test]
async fn g9_a_disk_that_hangs_under_the_thread_is_given_up_on() {
    g9_nobody_waits_longer_than_a_call_may_take(false).await;
}

#[tokio::test]
async fn l4_a_disk_that_hangs_does_not_make_a_holder_lose_what_it_holds() {
    let world = World::new();
    let held = world.hold("x").await;
    let mut loss = begun(world.loss(&held));
    let gate = world.memory.faults().hold_commits();
    let stuck = begun(world.append("s"));
    gate.wait_until_held();
    world.clock.advance(limits::CALL_TIMEOUT + Duration::from_secs(1));
    soon(stuck).await.unwrap_err();
    assert!(!loss.is_answered(), "its lease goes on");
    gate.open();
    world.release(held).await.unwrap();
}

#[tokio::test]
async fn g8_a_write_behind_a_foreign_turn_is_answered_with_who_has_it() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let late: Vec<_> = (0..3).map(|_| begun(world.append("late"))).collect();
    for append in late {
        let answer = world.as_time_passes(append).await;
        assert_not_applied(&answer);
        let Err(Error::Busy { process, held_for }) = answer else { panic!("{answer:?}") };
        assert_eq!(process, foreigner.name());
        assert!(held_for >= Duration::from_secs(1), "{held_for:?}");
    }
    assert_eq!(soon(world.runtime.read(|view| view.head())).await, Ok(0), "reads go on");
    foreigner.commit();
    soon(world.append("after")).await.unwrap();
    assert_eq!((world.version("late"), world.head()), (0, 1));
}

#[tokio::test]
async fn g8_what_the_writer_is_stuck_in_is_seen_without_asking_it() {
    let world = World::new();
    let doing = || world.runtime.writer_state();
    assert_eq!(doing(), WriterState::Ready);
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let append = begun(world.append("s"));
    until(async || matches!(doing(), WriterState::WaitingForTurn { .. })).await;
    world.clock.advance(Duration::from_secs(3));
    let WriterState::WaitingForTurn { process, waited } = doing() else { panic!("{:?}", doing()) };
    assert_eq!((process, waited), (foreigner.name(), Duration::from_secs(3)));
    let gate = world.memory.faults().hold_commits();
    foreigner.session.rollback();
    foreigner.session.leave_turn();
    gate.wait_until_held();
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(doing(), WriterState::InStorage { waited: Duration::from_secs(2) });
    gate.open();
    soon(append).await.unwrap();
    until(async || doing() == WriterState::Ready).await;
    let replaced = Error::FileReplaced { path: "shop.db".into() };
    world.memory.faults().fail_commit(replaced.clone(), false);
    assert_eq!(soon(world.append("s")).await, Err(replaced.clone()));
    assert_eq!(doing(), WriterState::Poisoned { error: replaced });
}

/// A process that is not there, for [`Memory::pass_the_turn_to`](millpond_actors::memory::Memory::pass_the_turn_to).
fn absent(program: &str) -> Identity {
    Identity { pid: 7, host: "h".into(), program: program.into(), boot: "b".into() }
}

#[tokio::test]
async fn g8_busy_names_who_has_the_turn_now_and_not_who_had_it_first() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let append = begun(world.append("s"));
    let doing = || world.runtime.writer_state();
    let waits_for = |occupant: &Occupant| match doing() {
        WriterState::WaitingForTurn { process, .. } => process == *occupant,
        _ => false,
    };
    until(async || waits_for(&foreigner.name())).await;
    world.clock.advance(Duration::from_secs(20));
    let next = absent("next");
    world.memory.pass_the_turn_to(next.clone(), 99);
    let next = Occupant::Process(next.named(99));
    until(async || waits_for(&next)).await;
    let WriterState::WaitingForTurn { waited, .. } = doing() else { panic!("{:?}", doing()) };
    assert_eq!(waited, Duration::from_secs(20), "whoever had it, we have waited");
    world.clock.advance(limits::CALL_TIMEOUT);
    let busy = Error::Busy { process: next, held_for: limits::CALL_TIMEOUT };
    assert_eq!(soon(append).await, Err(busy), "the first one's time is not the next one's");
}

#[tokio::test]
async fn g8_the_death_of_who_has_the_turn_lets_the_others_write() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let append = begun(world.append("s"));
    let doing = || world.runtime.writer_state();
    until(async || matches!(doing(), WriterState::WaitingForTurn { .. })).await;
    world.memory.pass_the_turn_to(absent("dying"), 99);
    foreigner.session.rollback();
    world.memory.end_the_turn();
    assert_eq!(soon(append).await.unwrap().version, 1);
}

#[tokio::test]
async fn g8_a_write_behind_this_process_own_commit_says_so() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let inside = begun(world.append("s"));
    gate.wait_until_held();
    let behind = begun(world.append("s"));
    world.arrived().await;
    world.clock.advance(limits::CALL_TIMEOUT);
    let busy = Error::Busy { process: Occupant::ThisProcess, held_for: limits::CALL_TIMEOUT };
    assert_eq!(soon(behind).await, Err(busy));
    gate.open();
    drop(soon(inside).await);
}

#[tokio::test]
async fn g8_the_turn_is_waited_for_and_comes() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let waiting: Vec<_> = (0..30).map(|_| begun(world.append("s"))).collect();
    world.arrived().await;
    assert_eq!(world.head(), 0);
    foreigner.commit();
    let versions: Vec<u64> = all(waiting).await.into_iter().map(|answer| answer.unwrap().version).collect();
    assert_eq!(versions, (1..=30).collect::<Vec<u64>>());
}

#[tokio::test]
async fn g8_a_database_that_another_program_has_locked_is_tried_again() {
    let world = World::new();
    let busy = || Error::Busy { process: Occupant::OtherProgram, held_for: Duration::ZERO };
    for times in 1..=5 {
        world.memory.faults().fail_begins(times, busy());
        soon(world.append("s")).await.unwrap();
    }
    assert_eq!(world.head(), 5);
}

#[tokio::test]
async fn g9_a_caller_that_goes_away_gives_its_room_back() {
    let world = World::with(room_for_four);
    let gate = world.memory.faults().hold_commits();
    let inside: Vec<_> = (0..4).map(|_| begun(world.append("inside"))).collect();
    gate.wait_until_held();
    // They go away while they wait for room, and while they have it.
    (0..4).for_each(|_| drop(begun(world.append("beyond"))));
    drop(inside);
    gate.open();
    let runtime = Arc::clone(&world.runtime);
    until(async || runtime.read_ahead(|view| view.head()).is_ok()).await;
    let again: Vec<_> = (0..4).map(|_| begun(world.append("again"))).collect();
    all(again).await.into_iter().for_each(done);
    assert_eq!((world.version("inside"), world.version("beyond")), (4, 0));
}

#[tokio::test]
async fn a4_a_write_that_was_refused_often_keeps_the_turn_for_the_next_one() {
    let world = World::new();
    let set = |expected| Set {
        dict: name("d"),
        key: "k".into(),
        data: Data::Json("1".into()),
        schema: 1,
        life_ms: None,
        expected,
    };
    for (overtaken, keeps) in [(limits::INSIST_AFTER - 1, false), (limits::INSIST_AFTER, true)] {
        let refused = soon(world.runtime.write_after(overtaken, set(Expected::Version(99)))).await;
        assert!(matches!(refused, Ok(Written::Conflict { .. })), "{refused:?}");
        assert_eq!(world.foreigner().session.take_turn(false).unwrap(), !keeps);
    }
    let done = soon(world.runtime.write_after(limits::INSIST_AFTER + 1, set(Expected::Any))).await;
    assert!(matches!(done, Ok(Written::Done { .. })), "{done:?}");
    assert!(world.foreigner().session.take_turn(false).unwrap(), "whoever has had it his way passes it on");
}

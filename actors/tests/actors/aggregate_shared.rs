//! Aggregates that several processes write to: every answer rests on what is committed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use millpond_actors::error::{Error, Expected};
use millpond_actors::limits;

use crate::ledger::{Command, Ledger, Told};
use crate::world::{World, all, begun, broken, foreign_append, soon};

#[tokio::test]
async fn a4_a_foreign_append_has_the_command_decided_again() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    world.foreigner().write(foreign_append("ledger", "foreign"));
    let told = soon(world.execute("ledger", Command::Count)).await;
    assert_eq!(told, Ok(Told::Committed { version: 3, position: Some(3), events: vec!["2".into()] }));
    assert_eq!(world.contents("ledger"), ["0", "foreign", "2"]);
}

#[tokio::test]
async fn a4_merged_commands_are_decided_again_in_their_order() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    let mut foreigner = world.foreigner();
    foreigner.begin();
    foreigner.apply(foreign_append("ledger", "foreign"));
    // All of these are decided on a version that is the last one no more, and rest behind the foreign turn.
    let commands =
        [Command::Count, Command::Require(4), Command::Require(3), Command::Add("a"), Command::Count];
    let sent: Vec<_> = commands.map(|command| begun(world.execute("ledger", command))).into();
    world.arrived().await;
    foreigner.commit();
    let told = all(sent).await;
    assert_eq!(told[1], Ok(Told::Rejected("too few")));
    assert_eq!(world.contents("ledger"), ["0", "foreign", "2", "enough", "a", "5"]);
    let versions: Vec<u64> = [0, 2, 3, 4].map(|at| told[at].as_ref().unwrap().version()).into();
    assert_eq!(versions, [3, 4, 5, 6]);
}

#[tokio::test]
async fn a4_a_rejection_on_an_old_state_is_decided_again() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    world.foreigner().write(foreign_append("ledger", "foreign"));
    let told = soon(world.execute("ledger", Command::Require(2))).await.unwrap();
    assert_eq!(told.version(), 3);
}

#[tokio::test]
async fn a4_a_decision_without_events_rests_on_the_last_version() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    world.foreigner().write(foreign_append("ledger", "foreign"));
    let told = soon(world.execute("ledger", Command::Nothing)).await;
    assert_eq!(told, Ok(Told::Committed { version: 2, position: None, events: vec![] }));
}

#[tokio::test]
async fn a4_a_look_sees_what_others_have_written() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    for version in 2..5 {
        world.foreigner().write(foreign_append("ledger", "foreign"));
        let (state, seen) = soon(world.state("ledger")).await.unwrap();
        assert_eq!((seen, state.entries), (version, world.contents("ledger")));
    }
}

#[tokio::test]
async fn a4_the_latest_known_state_is_not_compared_with_the_store() {
    let world = World::new();
    let latest = || world.look::<Ledger<0>>("ledger", true);
    assert_eq!(soon(latest()).await.unwrap().1, 0, "it is loaded, if nothing is known");
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    world.foreigner().write(foreign_append("ledger", "foreign"));
    assert_eq!(soon(latest()).await.unwrap().1, 1);
    assert_eq!(soon(world.state("ledger")).await.unwrap().1, 2);
    assert_eq!(soon(latest()).await.unwrap().1, 2);
}

#[tokio::test]
async fn d11_the_latest_known_state_waits_for_the_commit_that_it_rests_on() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.execute("ledger", Command::Count));
    gate.wait_until_held();
    let mut latest = begun(world.look::<Ledger<0>>("ledger", true));
    world.arrived().await;
    assert!(!latest.is_answered());
    world.memory.faults().fail_commit(broken(), false);
    gate.open();
    assert_eq!(soon(first).await, Err(broken()));
    assert_eq!(soon(latest).await.unwrap().1, 1, "what came to nothing was never there");
}

/// A command in whose every decision another process writes first, `times` times; and how often it was decided.
fn outrun(world: &World, times: u32) -> (Command, Arc<AtomicU32>) {
    let foreigner = Mutex::new(world.foreigner());
    let decided = Arc::new(AtomicU32::new(0));
    let (count, clock) = (Arc::clone(&decided), Arc::clone(&world.clock));
    let run = move || {
        if count.fetch_add(1, Ordering::SeqCst) < times {
            // However long the turn is kept: it is not kept any more.
            clock.advance(limits::INSIST);
            foreigner.lock().unwrap().write(foreign_append("ledger", "foreign"));
        }
    };
    (Command::Run(Arc::new(run)), decided)
}

#[tokio::test]
async fn a4_a_command_is_decided_again_up_to_eight_times() {
    let world = World::new();
    let (command, decided) = outrun(&world, limits::CONFLICT_RETRIES);
    let told = soon(world.execute("ledger", command)).await.unwrap();
    assert_eq!(told.version(), 9);
    assert_eq!(decided.load(Ordering::SeqCst), 9);
    assert_eq!(world.contents("ledger").last().unwrap(), "8");
}

#[tokio::test]
async fn a4_a_command_that_is_always_outrun_gets_the_conflict() {
    let world = World::new();
    let (command, decided) = outrun(&world, u32::MAX);
    let outrun = begun(world.execute("ledger", command));
    let conflict = Error::Conflict { stream: "ledger".into(), expected: Expected::Version(8), actual: 9 };
    assert_eq!(soon(outrun).await, Err(conflict));
    assert_eq!(decided.load(Ordering::SeqCst), 9);
    // Whoever comes behind it is decided as if nothing had been.
    assert_eq!(soon(world.execute("ledger", Command::Count)).await.unwrap().version(), 10);
}

#[tokio::test]
async fn a4_a_newcomer_does_not_pay_for_those_before_it() {
    let world = World::new();
    let (to_test, decides) = std::sync::mpsc::channel();
    let (to_command, goes_on) = std::sync::mpsc::channel::<()>();
    let foreigner = Mutex::new((world.foreigner(), 0, goes_on));
    let clock = Arc::clone(&world.clock);
    let command = Command::Run(Arc::new(move || {
        let (foreigner, decided, goes_on) = &mut *foreigner.lock().unwrap();
        clock.advance(limits::INSIST);
        foreigner.write(foreign_append("ledger", "foreign"));
        *decided += 1;
        if *decided == limits::CONFLICT_RETRIES {
            to_test.send(()).unwrap();
            goes_on.recv().unwrap();
        }
    }));
    let outrun = begun(world.execute("ledger", command));
    // It comes while the other is decided for the last time but one, and shares the last flight with it.
    tokio::task::spawn_blocking(move || decides.recv()).await.unwrap().unwrap();
    let newcomer = begun(world.execute("ledger", Command::Count));
    to_command.send(()).unwrap();
    assert!(matches!(soon(outrun).await, Err(Error::Conflict { .. })));
    assert_eq!(soon(newcomer).await.unwrap().version(), 10);
}

#[tokio::test]
async fn a4_whoever_was_outrun_often_keeps_the_turn_until_it_is_decided_again() {
    let world = World::new();
    let foreigner = Mutex::new(world.foreigner());
    let tries = Arc::new(Mutex::new(Vec::new()));
    let tried = Arc::clone(&tries);
    let run = move || {
        let foreigner = &mut *foreigner.lock().unwrap();
        let had_turn = foreigner.session.take_turn(false).unwrap();
        if had_turn {
            foreigner.write(foreign_append("ledger", "foreign"));
        }
        tried.lock().unwrap().push(had_turn);
    };
    let told = soon(world.execute("ledger", Command::Run(Arc::new(run)))).await.unwrap();
    // Outrun four times, and once more while it insists.
    assert_eq!(*tries.lock().unwrap(), [true, true, true, true, true, false]);
    assert_eq!(told.version(), 6);
    // Whoever has had it his way passes the turn on.
    assert!(world.foreigner().session.take_turn(false).unwrap());
}

#[tokio::test]
async fn a4_a_turn_that_is_kept_in_vain_is_passed_on() {
    let world = World::new();
    let (foreigner, clock) = (Mutex::new(world.foreigner()), Arc::clone(&world.clock));
    let tries = AtomicU32::new(0);
    let run = move || {
        let foreigner = &mut *foreigner.lock().unwrap();
        if tries.fetch_add(1, Ordering::SeqCst) <= limits::INSIST_AFTER {
            foreigner.write(foreign_append("ledger", "foreign"));
            return;
        }
        // The turn is kept for it, and it does not come.
        assert!(!foreigner.session.take_turn(false).unwrap());
        clock.advance(limits::INSIST);
        assert!(foreigner.session.take_turn(true).unwrap());
        foreigner.session.leave_turn();
    };
    assert_eq!(soon(world.execute("ledger", Command::Run(Arc::new(run)))).await.unwrap().version(), 6);
}

#[tokio::test]
async fn a1_two_processes_on_one_aggregate_lose_and_double_nothing() {
    let here = World::new();
    let there = here.another();
    for _ in 0..20 {
        let sent: Vec<_> = (0..10)
            .flat_map(|_| [&here, &there].map(|process| begun(process.execute("ledger", Command::Count))))
            .collect();
        all(sent).await.into_iter().for_each(|told| {
            // The last version that it rests on is what it was decided on.
            let told = told.unwrap();
            let version = told.version();
            assert!(matches!(told, Told::Committed { events, .. } if events == [(version - 1).to_string()]));
        });
    }
    let expected: Vec<String> = (0..400).map(|number| number.to_string()).collect();
    assert_eq!(here.contents("ledger"), expected);
}

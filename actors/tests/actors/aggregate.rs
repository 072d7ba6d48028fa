//! Aggregates in one process: merged commands, rejections, panics, snapshots.

use millpond_actors::aggregate::Policy;
use millpond_actors::error::Error;
use millpond_actors::limits;
use millpond_actors::storage::Data;
use millpond_actors::storage::snapshot::{Save, Saved};
use millpond_actors::storage::{Backend, View};
use millpond_actors::writer::WriterState;

use crate::ledger::{Command, Ledger, SCHEMA, Told};
use crate::world::{World, all, assert_not_applied, begun, broken, name, soon, until};

/// Sends these commands together while an earlier one of the same ledger is in flight, so that they merge.
async fn together(world: &World, commands: &[Command]) -> Vec<millpond_actors::error::Result<Told>> {
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.execute("ledger", Command::Add("first")));
    gate.wait_until_held();
    let behind: Vec<_> = commands.iter().map(|one| begun(world.execute("ledger", one.clone()))).collect();
    world.arrived().await;
    gate.open();
    assert_eq!(soon(first).await.unwrap().version(), 1);
    all(behind).await
}

#[tokio::test]
async fn a1_concurrent_commands_merge_into_one_append() {
    let world = World::new();
    let told = together(&world, &vec![Command::Count; 63]).await;
    for (told, version) in told.into_iter().zip(2..) {
        // In the order in which they were sent, each on the state that the one before it left, each with the
        // place of its own event.
        let events = vec![(version - 1).to_string()];
        assert_eq!(told, Ok(Told::Committed { version, position: Some(version), events }));
    }
    assert_eq!(world.committed(), (2, 2), "63 commands, one append");
    let state = soon(world.state("ledger")).await.unwrap();
    assert_eq!((state.0.entries.len(), state.1), (64, 64));
}

#[tokio::test]
async fn g9_a_command_behind_a_flight_has_no_more_time_than_any_other() {
    let world = World::new();
    let half = limits::CALL_TIMEOUT / 2;
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let first = begun(world.execute("ledger", Command::Add("first")));
    until(async || matches!(world.runtime.writer_state(), WriterState::WaitingForTurn { .. })).await;
    world.clock.advance(half);
    let mut second = begun(world.execute("ledger", Command::Add("second")));
    world.arrived().await;
    world.clock.advance(half);
    assert!(matches!(soon(first).await, Err(Error::Busy { .. })));
    world.arrived().await;
    assert!(!second.is_answered(), "half of its time is left");
    world.clock.advance(half);
    assert!(
        matches!(soon(second).await, Err(Error::Busy { .. })),
        "it has waited as long as a call may take"
    );
    drop(foreigner);
    assert_eq!(soon(world.execute("ledger", Command::Count)).await.unwrap().version(), 1);
}

#[tokio::test]
async fn a5_a_rejected_command_leaves_no_event() {
    let world = World::new();
    let rejected = soon(world.execute("ledger", Command::Require(1))).await;
    assert_eq!(rejected, Ok(Told::Rejected("too few")));
    assert_eq!(world.head(), 0);
    let commands = [Command::Require(9), Command::Count, Command::Nothing, Command::Require(2)];
    let told = together(&world, &commands).await;
    let count = Told::Committed { version: 2, position: Some(2), events: vec!["1".into()] };
    let nothing = Told::Committed { version: 2, position: None, events: vec![] };
    let enough = Told::Committed { version: 3, position: Some(3), events: vec!["enough".into()] };
    assert_eq!(told, [Ok(Told::Rejected("too few")), Ok(count), Ok(nothing), Ok(enough)]);
    assert_eq!(world.contents("ledger"), ["first", "1", "enough"]);
}

#[tokio::test]
async fn d11_a_rejection_waits_for_the_commit_that_it_rests_on() {
    let world = World::new();
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.execute("ledger", Command::Add("first")));
    let mut rejection = begun(world.execute("ledger", Command::Require(9)));
    let mut look = begun(world.state("ledger"));
    gate.wait_until_held();
    world.arrived().await;
    assert!(!rejection.is_answered() && !look.is_answered());
    gate.open();
    soon(first).await.unwrap();
    assert_eq!(soon(rejection).await, Ok(Told::Rejected("too few")));
    assert_eq!(soon(look).await.unwrap().1, 1);
}

/// Asserts that a panicking command is its own caller's error, and nothing else.
async fn a_panic_is_contained(panicking: Command, whose: &str, said: &str) {
    let world = World::new();
    let commands = [
        Command::Add("a"),
        Command::Add("b"),
        panicking.clone(),
        Command::Count,
        panicking.clone(),
        Command::Add("d"),
    ];
    let told = together(&world, &commands).await;
    for panicked in [&told[2], &told[4]] {
        let Err(Error::Panicked { what, message }) = panicked else { panic!("{panicked:?}") };
        assert_eq!(what, &format!("{whose} of \"ledger\""));
        assert!(message.contains(said), "{message}");
        assert_not_applied(panicked);
    }
    let versions: Vec<u64> = [0, 1, 3, 5].map(|at| told[at].as_ref().unwrap().version()).to_vec();
    assert_eq!(versions, [2, 3, 4, 5]);
    assert_eq!(world.contents("ledger"), ["first", "a", "b", "3", "d"], "each once, in order");
    let (state, version) = soon(world.state("ledger")).await.unwrap();
    assert_eq!((state.entries, version), (world.contents("ledger"), 5));
    // Alone, too; and the same aggregate and its neighbours go on.
    assert!(matches!(soon(world.execute("ledger", panicking)).await, Err(Error::Panicked { .. })));
    assert_eq!(soon(world.execute("ledger", Command::Count)).await.unwrap().version(), 6);
    assert_eq!(soon(world.execute("neighbour", Command::Count)).await.unwrap().version(), 1);
}

#[tokio::test]
async fn g10_a_panic_in_decide_is_that_callers_error() {
    a_panic_is_contained(Command::PanicInDecide, "decide", "decide was told to").await;
}

#[tokio::test]
async fn g10_a_panic_in_evolve_is_that_callers_error() {
    a_panic_is_contained(Command::PanicInEvolve, "evolve", "evolve was told to").await;
}

#[tokio::test]
async fn g10_a_panic_in_the_encoding_is_that_callers_error() {
    a_panic_is_contained(Command::PanicInEncode, "encoding an event", "encode was told to").await;
}

#[tokio::test]
async fn g3_an_append_that_fails_is_undone_in_memory_too() {
    let world = World::new();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    world.memory.faults().fail_commit(broken(), false);
    let failed = soon(world.execute("ledger", Command::Count)).await;
    assert_eq!(failed, Err(broken()));
    let told = soon(world.execute("ledger", Command::Count)).await.unwrap();
    assert_eq!(told, Told::Committed { version: 2, position: Some(2), events: vec!["1".into()] });
    // And after a commit of unknown fate, what is in the store counts.
    world.memory.faults().fail_commit(broken(), true);
    world.memory.faults().fail_reopen(1, broken());
    let unknown = soon(world.execute("ledger", Command::Count)).await;
    assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    assert_eq!(world.contents("ledger"), ["0", "1", "2", "3"]);
}

fn kept(world: &World) -> Option<u64> {
    let kept = world.memory.view().unwrap().snapshot(&name("ledger")).unwrap();
    kept.map(|kept| kept.version)
}

/// A ledger with so many entries, each appended by itself, that keeps snapshots.
async fn kept_ledger(entries: u64) -> World {
    assert_eq!(
        <Ledger<4> as millpond_actors::aggregate::Model>::snapshots(),
        Some(Policy { every: 4, schema: SCHEMA })
    );
    let world = World::new();
    for version in 1..=entries {
        let told = soon(world.execute_on::<4>("ledger", Command::Count)).await.unwrap();
        assert_eq!(told.version(), version);
        until(async || kept(&world).unwrap_or(0) == version / 4 * 4).await;
    }
    world
}

/// What another process makes of the ledger: its entries, and how many of them came out of the snapshot.
async fn loaded_elsewhere(world: &World) -> (Vec<String>, usize) {
    let (state, version) = soon(world.another().state_of::<4>("ledger")).await.unwrap();
    assert_eq!(version, state.entries.len() as u64);
    (state.entries, state.thawed)
}

#[tokio::test]
async fn a2_a_snapshot_and_the_events_behind_it_are_the_state() {
    let world = kept_ledger(10).await;
    let (state, _) = soon(world.state_of::<4>("ledger")).await.unwrap();
    assert_eq!(loaded_elsewhere(&world).await, (state.entries.clone(), 8));
    // All events replayed give the same.
    let (replayed, _) = soon(world.another().state("ledger")).await.unwrap();
    assert_eq!(replayed.entries, state.entries);
}

#[tokio::test]
async fn a2_a_merged_append_that_passes_the_interval_keeps_one_snapshot() {
    let world = World::new();
    let commands: Vec<_> = (0..30).map(|_| begun(world.execute_on::<4>("ledger", Command::Count))).collect();
    assert!(all(commands).await.iter().all(Result::is_ok));
    until(async || kept(&world).is_some_and(|version| version >= 28)).await;
    let (entries, thawed) = loaded_elsewhere(&world).await;
    assert_eq!(entries.len(), 30);
    assert!(thawed >= 28, "{thawed}");
}

#[tokio::test]
async fn a2_a_snapshot_that_cannot_be_used_costs_a_replay_and_nothing_else() {
    let world = kept_ledger(9).await;
    let (state, _) = soon(world.state_of::<4>("ledger")).await.unwrap();
    let stream = world.memory.view().unwrap().stream(&name("ledger")).unwrap().unwrap().id;
    // Of a newer shape, of rubbish, one at which the user's code panics, and one from beyond the stream's end.
    let unusable = [(8, SCHEMA + 1, "0\n1"), (8, SCHEMA, "rubbish"), (8, SCHEMA, "panic"), (99, SCHEMA, "0")];
    for (version, schema, text) in unusable {
        let data = Data::Json(text.to_owned());
        let saved = soon(world.runtime.write(Save { stream, version, schema, data })).await;
        assert_eq!(saved, Ok(Saved::Kept));
        assert_eq!(loaded_elsewhere(&world).await, (state.entries.clone(), 0), "{text}");
    }
}

#[tokio::test]
async fn a2_a_snapshot_that_cannot_be_kept_fails_nobody() {
    let world = kept_ledger(3).await;
    let append = world.memory.faults().hold_commits();
    let fourth = begun(world.execute_on::<4>("ledger", Command::Count));
    append.wait_until_held();
    let snapshot = world.memory.faults().hold_commits();
    append.open();
    soon(fourth).await.unwrap();
    snapshot.wait_until_held();
    world.memory.faults().fail_commit(broken(), false);
    snapshot.open();
    soon(world.execute_on::<4>("ledger", Command::Count)).await.unwrap();
    assert_eq!((world.contents("ledger").len(), kept(&world)), (5, None));
    assert_eq!(loaded_elsewhere(&world).await.1, 0);
}

/// A reader's view is only asked once its closure runs, so a panic there is the caller's own.
#[tokio::test]
async fn g10_a_panic_while_reading_is_that_callers_error() {
    let world = World::with(|settings| settings.readers = 1);
    soon(world.append("s")).await.unwrap();
    for _ in 0..3 {
        let read = soon(world.runtime.read(|_: &mut dyn View| -> millpond_actors::error::Result<u64> {
            panic!("the reader was told to")
        }));
        let Err(Error::Panicked { message, .. }) = read.await else { panic!("no panic") };
        assert_eq!(message, "the reader was told to");
        assert_eq!(soon(world.runtime.read(|view| view.head())).await, Ok(1), "the only reader lives on");
    }
}

//! Commands with an id: in an aggregate each takes effect once, however often and by whomever it is sent.

use std::sync::{Arc, mpsc};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::View;
use millpond_actors::storage::stream::{Append, NewEvent};
use uuid::Uuid;

use crate::ledger::{Command, Ledger, Told, decoded};
use crate::world::{World, all, begun, broken, foreign_append, soon, until};

/// A ledger with one entry, known here.
async fn loaded() -> World {
    let world = World::new();
    soon(world.execute("ledger", Command::Add("first"))).await.unwrap();
    world
}

/// Its state as a process sees it that knows nothing yet.
async fn seen_elsewhere(world: &World) -> Vec<String> {
    soon(world.another().state("ledger")).await.unwrap().0.entries
}

#[tokio::test]
async fn a3_a_command_sent_again_is_told_what_it_was_told() {
    let world = loaded().await;
    let first = soon(world.execute_known("ledger", Command::CountAndTwo, 7)).await.unwrap();
    let events = ["1", "second", "third"].map(str::to_owned).to_vec();
    assert_eq!(first, Told::Committed { version: 4, position: Some(4), events });
    for behind in 5..8 {
        let again = soon(world.execute_known("ledger", Command::CountAndTwo, 7)).await.unwrap();
        assert_eq!(again, first.clone().again());
        // Though others come behind it, in its stream and elsewhere.
        soon(world.append("elsewhere")).await.unwrap();
        let other = soon(world.execute("ledger", Command::Count)).await.unwrap();
        assert_eq!(other.version(), behind);
    }
    assert_eq!(world.contents("ledger"), ["first", "1", "second", "third", "4", "5", "6"]);
}

#[tokio::test]
async fn a3_it_is_told_so_though_it_would_be_refused_by_now() {
    let world = loaded().await;
    let told = soon(world.execute_known("ledger", Command::Require(1), 7)).await.unwrap();
    // What carries the same id is the same command, and is not decided: neither refused nor fallen over.
    for command in [Command::Require(99), Command::PanicInDecide, Command::PanicInEncode, Command::Nothing] {
        let again = soon(world.execute_known("ledger", command, 7)).await.unwrap();
        assert_eq!(again, told.clone().again());
    }
    assert_eq!(world.contents("ledger"), ["first", "enough"]);
}

#[tokio::test]
async fn a3_what_left_no_event_is_decided_anew() {
    let world = World::new();
    let rejected = Ok(Told::Rejected("too few"));
    assert_eq!(soon(world.execute_known("ledger", Command::Require(1), 7)).await, rejected);
    assert!(soon(world.execute_known("ledger", Command::PanicInDecide, 7)).await.is_err());
    let nothing = Ok(Told::Committed { version: 0, position: None, events: vec![] });
    assert_eq!(soon(world.execute_known("ledger", Command::Nothing, 7)).await, nothing);
    soon(world.execute("ledger", Command::Add("first"))).await.unwrap();
    let done = soon(world.execute_known("ledger", Command::Require(1), 7)).await.unwrap();
    assert_eq!(done, Told::Committed { version: 2, position: Some(2), events: vec!["enough".into()] });
    assert_eq!(soon(world.execute_known("ledger", Command::Nothing, 7)).await, Ok(done.again()));
}

#[tokio::test]
async fn a3_two_in_one_flight_take_effect_once() {
    let world = loaded().await;
    let gate = world.memory.faults().hold_commits();
    let before = begun(world.execute("ledger", Command::Count));
    gate.wait_until_held();
    let ids = [7, 8, 7, 7, 8];
    let sent: Vec<_> =
        ids.map(|id| begun(world.execute_known("ledger", Command::CountAndTwo, id))).into_iter().collect();
    world.arrived().await;
    gate.open();
    soon(before).await.unwrap();
    let told: Vec<Told> = all(sent).await.into_iter().map(Result::unwrap).collect();
    assert_eq!((told[0].version(), told[1].version()), (5, 8));
    for (again, first) in [(2, 0), (3, 0), (4, 1)] {
        assert_eq!(told[again], told[first].clone().again());
    }
    assert_eq!(world.version("ledger"), 8);
}

#[tokio::test]
async fn a3_one_that_comes_while_the_first_is_in_flight_waits_for_it() {
    let world = loaded().await;
    let gate = world.memory.faults().hold_commits();
    let first = begun(world.execute_known("ledger", Command::Count, 7));
    gate.wait_until_held();
    let mut again = begun(world.execute_known("ledger", Command::Count, 7));
    world.arrived().await;
    assert!(!again.is_answered());
    gate.open();
    let first = soon(first).await.unwrap();
    assert_eq!(soon(again).await.unwrap(), first.again());
    assert_eq!(world.contents("ledger"), ["first", "1"]);
}

#[tokio::test]
async fn a3_of_two_processes_one_has_the_effect_and_both_the_answer() {
    let here = loaded().await;
    let there = here.another();
    for id in 1..30 {
        let both = [&here, &there].map(|process| begun(process.execute_known("ledger", Command::Count, id)));
        let told = all(both).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        let (first, again) = if matches!(told[0], Told::Committed { .. }) { (0, 1) } else { (1, 0) };
        assert_eq!(told[again], told[first].clone().again());
        assert_eq!(here.version("ledger"), u64::try_from(id).unwrap() + 1);
    }
}

/// The other process is known to be faster here: it commits while the command is decided.
#[tokio::test]
async fn a3_what_another_process_does_meanwhile_is_found_behind_the_conflict() {
    let here = loaded().await;
    let mut foreigner = here.foreigner();
    // It holds the turn; what is decided here waits for it.
    let there = here.another();
    let theirs = soon(there.execute_known("elsewhere", Command::Count, 7)).await.unwrap();
    foreigner.begin();
    let ours = begun(here.execute_known("ledger", Command::Count, 7));
    let behind = begun(here.execute("ledger", Command::Count));
    here.arrived().await;
    foreigner.apply(carried_out("ledger", 7, "theirs"));
    foreigner.commit();
    let again = soon(ours).await.unwrap();
    assert_eq!(again, Told::Repeated { version: 2, position: Some(3), events: vec!["theirs".into()] });
    assert_eq!(soon(behind).await.unwrap().version(), 3);
    assert_eq!(here.contents("ledger"), ["first", "theirs", "2"]);
    assert_eq!(theirs.version(), 1, "another aggregate's is another command");
}

/// Alone in its flight its events are the other's, id by id; but it is the other who has appended them.
#[tokio::test]
async fn a3_what_another_process_has_just_appended_is_not_taken_for_ones_own() {
    let world = loaded().await;
    let mut foreigner = world.foreigner();
    foreigner.begin();
    let ours = begun(world.execute_known("ledger", Command::Count, 7));
    world.arrived().await;
    foreigner.apply(carried_out("ledger", 7, "theirs"));
    foreigner.commit();
    let again = Told::Repeated { version: 2, position: Some(2), events: vec!["theirs".into()] };
    assert_eq!(soon(ours).await, Ok(again));
    assert_eq!(world.contents("ledger"), ["first", "theirs"]);
}

/// What a command with this id leads to, appended by a bare session.
fn carried_out(ledger: &str, id: u128, contents: &str) -> Append {
    let mut append = foreign_append(ledger, contents);
    let id = Uuid::new_v5(&Uuid::from_u128(id), format!("{ledger}\0{}", 0).as_bytes());
    append.events = append.events.into_iter().map(|event| NewEvent { id, ..event }).collect();
    append
}

#[tokio::test]
async fn a3_it_is_known_when_the_actor_has_been_let_go() {
    let world = World::with(|settings| settings.idle = std::time::Duration::from_secs(1));
    let first = soon(world.execute_known("ledger", Command::Count, 7)).await.unwrap();
    for _ in 0..3 {
        until(async || {
            world.clock.advance(std::time::Duration::from_secs(1));
            world.runtime.actors().await == 0
        })
        .await;
        let again = soon(world.execute_known("ledger", Command::Count, 7)).await.unwrap();
        assert_eq!(again, first.clone().again());
    }
    assert_eq!(soon(world.another().execute_known("ledger", Command::Count, 7)).await, Ok(first.again()));
    assert_eq!(seen_elsewhere(&world).await, ["0"]);
}

#[tokio::test]
async fn a3_after_a_failed_append_it_is_a_new_command() {
    let world = loaded().await;
    let gate = world.memory.faults().hold_commits();
    let failing = begun(world.execute_known("ledger", Command::Count, 7));
    gate.wait_until_held();
    world.memory.faults().fail_commit(broken(), false);
    // The second one waits for the first, and has to find out that this came to nothing.
    let waiting = begun(world.execute_known("ledger", Command::Count, 7));
    world.arrived().await;
    gate.open();
    assert_eq!(soon(failing).await, Err(broken()));
    let done = Told::Committed { version: 2, position: Some(2), events: vec!["1".into()] };
    assert_eq!(soon(waiting).await, Ok(done.clone()));
    assert_eq!(soon(world.execute_known("ledger", Command::Count, 7)).await, Ok(done.again()));
}

#[tokio::test]
async fn a3_a_commit_of_unknown_fate_is_settled_by_sending_it_again() {
    for applied in [false, true] {
        let world = loaded().await;
        world.memory.faults().fail_commit(broken(), applied);
        world.memory.faults().fail_reopen(1, broken());
        let unknown = soon(world.execute_known("ledger", Command::Count, 7)).await;
        assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
        let told = soon(world.execute_known("ledger", Command::Count, 7)).await.unwrap();
        assert_eq!(matches!(told, Told::Repeated { .. }), applied);
        assert_eq!((told.version(), world.contents("ledger")), (2, vec!["first".to_owned(), "1".to_owned()]));
    }
}

#[tokio::test]
async fn a3_after_a_conflict_it_takes_effect_once() {
    let world = loaded().await;
    let mut foreigner = world.foreigner();
    foreigner.begin();
    foreigner.apply(foreign_append("ledger", "foreign"));
    let sent: Vec<_> =
        [7, 8, 7].map(|id| begun(world.execute_known("ledger", Command::Count, id))).into_iter().collect();
    world.arrived().await;
    foreigner.commit();
    let told: Vec<Told> = all(sent).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(told[0], Told::Committed { version: 3, position: Some(3), events: vec!["2".into()] });
    assert_eq!(told[1], Told::Committed { version: 4, position: Some(4), events: vec!["3".into()] });
    assert_eq!(told[2], told[0].clone().again());
}

#[tokio::test]
async fn a3_one_id_in_two_aggregates_is_two_commands() {
    let world = World::new();
    for ledger in ["a", "b", "a-b"] {
        let told = soon(world.execute_known(ledger, Command::CountAndTwo, 7)).await.unwrap();
        assert!(matches!(told, Told::Committed { version: 3, .. }), "{told:?}");
    }
    assert_eq!(soon(world.execute_known("b", Command::Count, 7)).await.unwrap().version(), 3);
    assert_eq!(world.head(), 9);
}

/// Two of the same id and one without, in a ledger that is loaded, while the next look for ids fails as it is told.
async fn while_looking_fails(fail: impl FnOnce(&World)) -> (Vec<Result<Told>>, World) {
    let world = loaded().await;
    let gate = world.memory.faults().hold_commits();
    let before = begun(world.execute("ledger", Command::Count));
    gate.wait_until_held();
    let sent = [None, Some(7), None, Some(8), None]
        .map(|id| begun(world.execute_as::<Ledger<0>>("ledger", Command::Count, id)));
    world.arrived().await;
    fail(&world);
    gate.open();
    soon(before).await.unwrap();
    (all(sent).await, world)
}

#[tokio::test]
async fn a3_a_look_for_an_id_that_fails_is_the_error_of_that_command_alone() {
    let (told, world) = while_looking_fails(|world| world.memory.faults().fail_find(broken())).await;
    assert_eq!(told[1], Err(broken()));
    let versions = [0, 2, 3, 4].map(|at| told[at].as_ref().unwrap().version());
    assert_eq!(versions, [3, 4, 5, 6]);
    assert_eq!(soon(world.execute_known("ledger", Command::Count, 7)).await.unwrap().version(), 7);
}

#[tokio::test]
async fn a3_a_reader_that_falls_over_fails_those_with_ids_alone() {
    let (told, world) = while_looking_fails(|world| world.memory.faults().panic_in_find()).await;
    assert!(matches!((&told[1], &told[3]), (Err(Error::Panicked { .. }), Err(Error::Panicked { .. }))));
    let versions = [0, 2, 4].map(|at| told[at].as_ref().unwrap().version());
    assert_eq!(versions, [3, 4, 5]);
    assert_eq!(soon(world.execute_known("ledger", Command::Count, 7)).await.unwrap().version(), 6);
}

#[tokio::test]
async fn a3_commands_with_and_without_ids_keep_their_order() {
    let world = loaded().await;
    let known = soon(world.execute_known("ledger", Command::Count, 1)).await.unwrap();
    let gate = world.memory.faults().hold_commits();
    let before = begun(world.execute("ledger", Command::Count));
    gate.wait_until_held();
    let sent: Vec<_> = (0..30)
        .map(|n| {
            let id = (n % 3 == 0).then_some(if n == 15 { 1 } else { 100 + n });
            begun(world.execute_as::<Ledger<0>>("ledger", Command::Count, id))
        })
        .collect();
    world.arrived().await;
    let groups = world.committed().0;
    gate.open();
    soon(before).await.unwrap();
    let mut version = 3;
    for (n, told) in all(sent).await.into_iter().enumerate() {
        if n == 15 {
            assert_eq!(told.unwrap(), known.clone().again());
            continue;
        }
        version += 1;
        let events = vec![(version - 1).to_string()];
        assert_eq!(told, Ok(Told::Committed { version, position: Some(version), events }));
    }
    assert_eq!(world.committed().0, groups + 2, "the one before them, and all of them as one");
}

/// Looking for ids takes a while. Who comes meanwhile is looked up later, and nobody waits for that.
#[tokio::test]
async fn a3_commands_that_keep_coming_keep_nobody_waiting() {
    let world = World::with(|settings| settings.readers = 1);
    soon(world.execute("ledger", Command::Add("first"))).await.unwrap();
    let occupied = || {
        let ((open, gate), runtime) = (mpsc::channel::<()>(), Arc::clone(&world.runtime));
        let wait = move |_: &mut dyn View| {
            let _ = gate.recv();
            Ok(())
        };
        (open, begun(async move { runtime.read(wait).await }))
    };
    let (open, reader) = occupied();
    let first = begun(world.execute_known("ledger", Command::Count, 7));
    world.arrived().await;
    let (open_again, reader_again) = occupied();
    let mut second = begun(world.execute_known("ledger", Command::Count, 8));
    world.arrived().await;
    drop(open);
    assert_eq!(soon(first).await.unwrap().version(), 2);
    assert!(!second.is_answered());
    drop(open_again);
    assert_eq!(soon(second).await.unwrap().version(), 3);
    soon(reader).await.unwrap();
    soon(reader_again).await.unwrap();
}

/// A thousand callers who send what was carried out long ago are answered with a look each, and not with a look for each
/// of those who wait with them.
#[tokio::test]
async fn a3_many_who_repeat_one_command_are_answered_together() {
    let world = World::new();
    let first = soon(world.execute_known("repeated", Command::Count, 7)).await.unwrap();
    let sent: Vec<_> =
        (0..1_000).map(|_| begun(world.execute_known("repeated", Command::Count, 7))).collect();
    for told in all(sent).await {
        assert_eq!(told, Ok(first.clone().again()));
    }
    assert_eq!((world.version("repeated"), decoded("repeated")), (1, 1_000));
}

/// An effect that is larger than a page of the reader: all of it is found again.
#[tokio::test]
async fn a3_a_command_of_more_events_than_a_page_is_told_all_of_them() {
    let world = loaded().await;
    let entries = limits::PAGE_ROWS as usize + 5;
    let told = soon(world.execute_known("ledger", Command::Fill(entries), 7)).await.unwrap();
    soon(world.execute("ledger", Command::Count)).await.unwrap();
    assert_eq!(told.version(), entries as u64 + 1);
    assert_eq!(soon(world.execute_known("ledger", Command::Nothing, 7)).await, Ok(told.again()));
}

/// An id is taken if somebody has given it to an event elsewhere, by hand.
#[tokio::test]
async fn a3_an_event_elsewhere_with_the_id_of_its_first_is_an_error() {
    let world = loaded().await;
    let mut taken = carried_out("ledger", 7, "taken");
    taken.stream = foreign_append("elsewhere", "").stream;
    let id = taken.events[0].id;
    world.foreigner().write(taken);
    let told = soon(world.execute_known("ledger", Command::Count, 7)).await;
    assert_eq!(told, Err(Error::DuplicateEvent { stream: "ledger".into(), id }));
    assert_eq!(soon(world.execute("ledger", Command::Count)).await.unwrap().version(), 2);
}

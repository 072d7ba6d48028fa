//! What is read after a conflict: where the state lets itself be copied, only what others have written meanwhile.

use millpond_actors::aggregate::Model;
use millpond_actors::limits;

use crate::ledger::{Command, Ledger, Told, decoded};
use crate::world::{World, all, begun, foreign_append, soon};

type Copied = Ledger<0, true>;
type Reloaded = Ledger<0, false>;

/// Entries that are there before.
const ENTRIES: usize = 50;

/// A ledger in memory of which so many entries are known, in a stream whose events nobody else counts.
async fn known<M>(stream: &'static str) -> World
where
    M: Model<Command = Command, Event = String, Rejection = &'static str>,
{
    let world = World::new();
    soon(world.execute_as::<M>(stream, Command::Fill(ENTRIES), None)).await.unwrap();
    assert_eq!(decoded(stream), 0, "what was decided here is not read");
    world
}

/// Another process writes, and then a command is executed: how many events were decoded for that.
async fn overtaken<M>(world: &World, stream: &str) -> u64
where
    M: Model<Command = Command, Event = String, Rejection = &'static str>,
{
    let before = decoded(stream);
    let version = world.version(stream);
    world.foreigner().write(foreign_append(stream, "foreign"));
    let told = soon(world.execute_as::<M>(stream, Command::Count, None)).await;
    let events = vec![(version + 1).to_string()];
    assert_eq!(told, Ok(Told::Committed { version: version + 2, position: Some(version + 2), events }));
    decoded(stream) - before
}

#[tokio::test]
async fn a4_after_a_conflict_only_the_tail_is_read() {
    let world = known::<Copied>("tail").await;
    // That others write is learnt by the first conflict.
    assert_eq!(overtaken::<Copied>(&world, "tail").await, ENTRIES as u64 + 1);
    for _ in 0..5 {
        assert_eq!(overtaken::<Copied>(&world, "tail").await, 1);
    }
    // Also for those who only look, and several at once.
    for _ in 0..3 {
        let before = decoded("tail");
        world.foreigner().write(foreign_append("tail", "foreign"));
        world.foreigner().write(foreign_append("tail", "foreign"));
        let look = begun(world.look::<Copied>("tail", false));
        let sent: Vec<_> =
            (0..4).map(|_| begun(world.execute_as::<Copied>("tail", Command::CountAndTwo, None))).collect();
        soon(look).await.unwrap();
        assert!(all(sent).await.iter().all(Result::is_ok));
        assert_eq!(decoded("tail") - before, 2);
    }
    let (state, version) = soon(world.look::<Copied>("tail", true)).await.unwrap();
    assert_eq!((state.entries.len() as u64, version), (version, world.version("tail")));
    assert_eq!(state.entries, world.contents("tail"));
}

#[tokio::test]
async fn a4_what_lets_itself_not_be_copied_is_loaded_anew() {
    let world = known::<Reloaded>("reload").await;
    for conflict in 0..3 {
        let entries = ENTRIES as u64 + 2 * conflict + 1;
        assert_eq!(overtaken::<Reloaded>(&world, "reload").await, entries);
    }
}

#[tokio::test]
async fn a4_no_copies_are_made_when_nobody_else_has_written_for_a_while() {
    let world = known::<Copied>("careful").await;
    overtaken::<Copied>(&world, "careful").await;
    // The last flight of which there is a copy. One was the overtaken command's own, when it was decided again.
    for _ in 2..limits::CAREFUL_FLIGHTS {
        soon(world.execute_as::<Copied>("careful", Command::Count, None)).await.unwrap();
    }
    assert_eq!(overtaken::<Copied>(&world, "careful").await, 1);
    for _ in 1..limits::CAREFUL_FLIGHTS {
        soon(world.execute_as::<Copied>("careful", Command::Count, None)).await.unwrap();
    }
    let all = world.version("careful") + 1;
    assert_eq!(overtaken::<Copied>(&world, "careful").await, all);
}

/// What was copied and what was read behind it must be what all events give, whatever fails in between.
#[tokio::test]
async fn a4_a_tail_that_cannot_be_read_is_read_with_all_else_the_next_time() {
    let world = known::<Copied>("broken").await;
    overtaken::<Copied>(&world, "broken").await;
    world.foreigner().write(foreign_append("broken", "panic in evolve"));
    for _ in 0..2 {
        let failed = soon(world.execute_as::<Copied>("broken", Command::Count, None)).await;
        assert!(matches!(failed, Err(millpond_actors::error::Error::Panicked { .. })), "{failed:?}");
    }
    assert_eq!(
        world.version("broken"),
        ENTRIES as u64 + 3,
        "nothing is written on a state that is not known"
    );
}

//! Locks that are shared: one line for all, as many as fit, and each holder's own lease.

use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits::READERS_AND_WRITERS as ALL;
use millpond_actors::lock::{BreakLock, LockActor, Place, Shape, Wait};
use millpond_actors::storage::lock::{Acquire, Acquired, Grant, Leave};

use crate::lock::TTL;
use crate::world::{Begun, Foreigner, World, begun, broken, name, soon, until};

const READER: Shape = Shape { capacity: ALL, weight: 1 };
const WRITER: Shape = Shape { capacity: ALL, weight: ALL };

/// A part of a semaphore of three.
fn part(weight: u32) -> Shape {
    Shape { capacity: 3, weight }
}

impl World {
    async fn hold_part(&self, shape: Shape) -> Place {
        soon(self.acquire_part("x", shape, Wait::Forever)).await.unwrap().expect("it fits")
    }

    /// The tickets that hold parts of the lock.
    fn holders(&self) -> Vec<u64> {
        let line = self.line("x");
        line.map_or_else(Vec::new, |line| line.living().map(|holder| holder.grant.ticket).collect())
    }
}

impl Foreigner {
    fn take_part(&mut self, shape: Shape, ttl: Duration) -> Grant {
        let Shape { capacity, weight } = shape;
        let lock = millpond_actors::storage::Target { name: name("x"), id: None };
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap();
        match self.write(Acquire { lock, capacity, weight, ttl_ms, wait: true }) {
            Acquired::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }
}

/// Whose turn has come of those in line.
fn answered<F: Future>(line: &mut [Begun<F>]) -> Vec<bool> {
    line.iter_mut().map(Begun::is_answered).collect()
}

async fn taken<F: Future<Output = Result<Option<Place>>>>(waiter: Begun<F>) -> Place
where
    F::Output: Unpin,
{
    soon(waiter).await.unwrap().expect("it waits until it is granted")
}

#[tokio::test]
async fn l5_readers_and_writers_are_served_in_one_line() {
    let world = World::new();
    let readers = [world.hold_part(READER).await, world.hold_part(READER).await];
    let mut line = Vec::new();
    for shape in [WRITER, READER, READER, WRITER, READER] {
        line.push(world.part_in_line("x", shape).await);
    }
    let passing = soon(world.acquire_part("x", READER, Wait::No)).await.unwrap();
    assert!(passing.is_none(), "nobody passes a writer that waits");
    for reader in readers {
        assert_eq!(answered(&mut line), [false; 5], "the writer waits for all readers");
        world.release(reader).await.unwrap();
    }
    let writer = taken(line.remove(0)).await;
    world.arrived().await;
    assert_eq!(answered(&mut line), [false; 4]);
    world.release(writer).await.unwrap();
    let readers = [taken(line.remove(0)).await, taken(line.remove(0)).await];
    world.arrived().await;
    assert_eq!(answered(&mut line), [false; 2], "together, and nobody behind the second writer");
    for reader in readers {
        world.release(reader).await.unwrap();
    }
    let writer = taken(line.remove(0)).await;
    assert_eq!(answered(&mut line), [false]);
    world.release(writer).await.unwrap();
    taken(line.remove(0)).await;
}

#[tokio::test]
async fn l5_a_release_of_much_serves_several_at_once() {
    let world = World::new();
    let all = world.hold_part(part(3)).await;
    let mut line = Vec::new();
    for weight in [1, 1, 2, 1] {
        line.push(world.part_in_line("x", part(weight)).await);
    }
    let (before, _) = world.committed();
    world.release(all).await.unwrap();
    let held = [taken(line.remove(0)).await, taken(line.remove(0)).await];
    assert_eq!(world.committed().0, before + 1, "in one commit");
    world.arrived().await;
    assert_eq!(answered(&mut line), [false; 2], "the third does not fit, and nobody passes it");
    assert_eq!(world.holders(), held.each_ref().map(Place::ticket));
}

#[tokio::test]
async fn l6_whoever_goes_away_in_the_middle_lets_in_those_behind() {
    let world = World::new();
    let held = world.hold_part(part(2)).await;
    let gone = world.part_in_line("x", part(3)).await;
    let behind = world.part_in_line("x", part(1)).await;
    let last = world.part_in_line("x", part(2)).await;
    world.abandon("x", gone);
    let behind = taken(behind).await;
    until(async || world.waiting("x") == 1).await;
    assert_eq!(world.holders(), [held.ticket(), behind.ticket()]);
    world.release(held).await.unwrap();
    taken(last).await;
}

#[tokio::test]
async fn l6_whoever_waits_no_longer_lets_in_those_behind() {
    let world = World::new();
    let _held = world.hold_part(part(2)).await;
    let patience = Wait::For(Duration::from_millis(20));
    let short = begun(world.acquire_part("x", part(3), patience));
    until(async || world.waiting("x") == 1).await;
    let behind = begun(world.acquire_part("x", part(1), Wait::Forever));
    assert!(matches!(soon(short).await, Ok(None)));
    taken(behind).await;
}

#[tokio::test]
async fn l5_the_line_goes_over_all_processes() {
    let here = World::new();
    let there = here.another();
    let mut foreigner = here.foreigner();
    let all = foreigner.take_part(part(3), TTL);
    let (first, second) = (here.part_in_line("x", part(1)).await, there.part_in_line("x", part(1)).await);
    let (third, fourth) = (here.part_in_line("x", part(1)).await, there.part_in_line("x", part(2)).await);
    foreigner.write(Leave { lock: all.lock, ticket: all.ticket });
    let held = [taken(first).await, taken(third).await];
    let other = taken(second).await;
    assert_eq!(here.holders(), [held[0].ticket(), other.ticket(), held[1].ticket()]);
    let [one, two] = held;
    here.release(one).await.unwrap();
    here.release(two).await.unwrap();
    taken(fourth).await;
}

#[tokio::test]
async fn d6_a_holder_in_another_process_that_dies_lets_in_whom_it_held_up() {
    let world = World::new();
    let _held = world.hold_part(part(1)).await;
    let mut foreigner = world.foreigner();
    foreigner.take_part(part(2), TTL);
    let waiters = [world.part_in_line("x", part(1)).await, world.part_in_line("x", part(1)).await];
    drop(foreigner);
    for waiter in waiters {
        taken(waiter).await;
    }
}

#[tokio::test]
async fn l4_the_lease_of_a_silent_process_ends_beside_one_that_lives() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let ttl = Duration::from_millis(200);
    foreigner.take_part(part(1), ttl);
    foreigner.take_part(part(1), ttl * 2);
    // The other process lives but is stopped: it writes no beat, and nobody rings. A watcher that has just begun looks
    // once of itself, so the first may have that to thank for it.
    let mut held = vec![world.hold_part(part(1)).await];
    for _ in 0..2 {
        let waiter = world.part_in_line("x", part(1)).await;
        world.has_looked("x").await;
        world.clock.advance(ttl);
        held.push(taken(waiter).await);
    }
}

#[tokio::test]
async fn l4_whoever_lost_his_part_is_told_and_nobody_else() {
    let world = World::new();
    let there = world.another();
    let (ours, theirs) = (world.hold_part(part(1)).await, there.hold_part(part(1)).await);
    let (loss, mut other) = (begun(world.loss(&ours)), begun(there.loss(&theirs)));
    world.arrived().await;
    world.clock.advance(TTL / 2);
    soon(there.append("s")).await.unwrap();
    world.clock.advance(TTL / 2);
    soon(world.append("s")).await.unwrap();
    soon(loss).await.unwrap();
    assert!(matches!(world.release(ours).await, Err(Error::Lost { .. })));
    there.arrived().await;
    assert!(!other.is_answered());
    assert_eq!(world.holders(), [theirs.ticket()]);
    there.release(theirs).await.unwrap();
}

#[tokio::test]
async fn l3_breaking_takes_all_parts_away() {
    let world = World::new();
    let held = [world.hold_part(READER).await, world.hold_part(READER).await];
    let losses = held.each_ref().map(|held| begun(world.loss(held)));
    let writer = world.part_in_line("x", WRITER).await;
    world.arrived().await;
    let build = |reply, passage| BreakLock { reply, passage };
    assert!(soon(world.runtime.ask::<LockActor, _, _>(&name("x"), build)).await.unwrap());
    taken(writer).await;
    for loss in losses {
        soon(loss).await.unwrap();
    }
}

#[tokio::test]
async fn l5_a_grant_that_ended_before_it_was_taken_up_is_noticed_beside_a_holder_that_lives() {
    let world = World::new();
    let (mut foreigner, mut keeper) = (world.foreigner(), world.foreigner());
    let grant = foreigner.take_part(part(1), TTL);
    let kept = keeper.take_part(part(2), TTL * 100);
    let waiter = world.part_in_line("x", part(1)).await;
    // This process is stopped: it neither hears of the grant nor beats until the lease has ended.
    foreigner.begin();
    foreigner.apply(Leave { lock: grant.lock, ticket: grant.ticket });
    world.clock.advance(TTL);
    foreigner.commit();
    let held = taken(waiter).await;
    assert_eq!(world.holders(), [kept.ticket, held.ticket()]);
}

#[tokio::test]
async fn g13_a_grant_by_a_commit_of_unknown_fate_is_given_back() {
    let world = World::new();
    let kept = [world.hold_part(part(1)).await, world.hold_part(part(1)).await];
    world.memory.faults().fail_commit(broken(), true);
    world.memory.faults().fail_reopen(1, broken());
    let unknown = soon(world.acquire_part("x", part(1), Wait::Forever)).await;
    assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
    assert_eq!(world.holders().len(), 3, "it was applied, and nobody knows");
    // What is held here by somebody is not.
    until(async || world.holders() == kept.each_ref().map(Place::ticket)).await;
    for held in kept {
        world.release(held).await.unwrap();
    }
}

#[tokio::test]
async fn g13_a_ticket_of_a_commit_of_unknown_fate_does_not_stay_in_the_line() {
    let world = World::new();
    let kept = [world.hold_part(part(1)).await, world.hold_part(part(1)).await];
    let waiter = world.part_in_line("x", part(3)).await;
    world.memory.faults().fail_commit(broken(), true);
    world.memory.faults().fail_reopen(1, broken());
    let unknown = soon(world.acquire_part("x", part(3), Wait::Forever)).await;
    assert!(matches!(unknown, Err(Error::CommitUnknown { .. })), "{unknown:?}");
    assert_eq!(world.waiting("x"), 2, "it was applied, and nobody knows");
    // Who waits here by right goes on to.
    until(async || world.waiting("x") == 1).await;
    for held in kept {
        world.release(held).await.unwrap();
    }
    taken(waiter).await;
}

#[tokio::test]
async fn g10_what_a_failed_actor_leaves_behind_is_given_back() {
    let world = World::new();
    let held = [world.hold_part(part(1)).await, world.hold_part(part(1)).await];
    let waiter = world.part_in_line("x", part(3)).await;
    world.clock.panic_on_the_arbiter();
    let failed = soon(world.acquire_part("x", part(1), Wait::For(TTL))).await;
    assert!(matches!(failed, Err(Error::ActorFailed { .. })), "{failed:?}");
    assert!(matches!(soon(waiter).await, Err(Error::ActorFailed { .. })));
    until(async || world.waiting("x") == 0).await;
    assert_eq!(world.holders(), held.each_ref().map(Place::ticket));
    let third = world.hold_part(part(1)).await;
    for held in held.into_iter().chain([third]) {
        world.release(held).await.unwrap();
    }
    assert!(world.holders().is_empty());
}

#[tokio::test]
async fn d16_a_name_is_used_for_one_thing() {
    let world = World::new();
    world.release(world.hold_part(part(1)).await).await.unwrap();
    for (shape, wanted) in [
        (Shape::EXCLUSIVE, "a lock"),
        (Shape { capacity: 4, weight: 1 }, "a semaphore of 4 permits"),
        (READER, "a lock for readers and writers"),
    ] {
        let refused = soon(world.acquire_part("x", shape, Wait::Forever)).await.unwrap_err();
        let found = "a semaphore of 3 permits".to_owned();
        assert_eq!(refused, Error::UsedOtherwise { name: "x".into(), wanted: wanted.into(), found });
    }
    assert!(world.holders().is_empty());
    world.hold_part(part(3)).await;
}

#[tokio::test]
async fn r8_waiting_writes_nothing() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    foreigner.take_part(part(2), TTL);
    let mut line = Vec::new();
    for weight in [2, 1, 1] {
        line.push(world.part_in_line("x", part(weight)).await);
    }
    let before = world.committed();
    for _ in 0..20 {
        // Each of these rings, and whoever waits looks.
        foreigner.write(crate::world::foreign_append("s", "{}"));
        world.arrived().await;
    }
    assert_eq!(world.committed(), before, "looking is not writing");
    assert_eq!(answered(&mut line), [false; 3]);
}

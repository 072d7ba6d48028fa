//! Locks that are renewed, broken and followed.

use millpond_actors::clock::Clock;
use millpond_actors::error::{Error, Result};
use millpond_actors::lock::{BreakLock, Follow, LockActor, Place};
use millpond_actors::storage::lock::{Break, Holder, Leave};

use crate::lock::TTL;
use crate::world::{World, begun, name, soon, until};

impl World {
    async fn renew(&self, held: &Place) -> Result<()> {
        soon(self.runtime.enter_and(|reply, passage| held.renew(reply, passage))).await
    }

    async fn break_lock(&self, lock: &str) -> bool {
        let build = |reply, passage| BreakLock { reply, passage };
        soon(self.runtime.ask::<LockActor, _, _>(&name(lock), build)).await.unwrap()
    }

    fn follow(&self, lock: &str, known: u64) -> impl Future<Output = Option<Holder>> + use<> {
        let (runtime, name) = (self.runtime.clone(), name(lock));
        async move {
            let known = Vec::from_iter(Some(known).filter(|known| *known > 0));
            let follow = runtime.watch::<LockActor, _, _>(&name, |reply, _| Follow { known, reply });
            follow.await.unwrap().into_iter().next()
        }
    }
}

fn lost(held: &Place) -> Error {
    Error::Lost { lock: "x".into(), ticket: held.ticket() }
}

#[tokio::test]
async fn l4_a_renewed_lease_lasts_its_whole_time_again() {
    let world = World::new();
    let held = world.hold("x").await;
    world.clock.advance(TTL / 2);
    assert_eq!(held.remaining(), TTL / 2, "by its own clock");
    world.renew(&held).await.unwrap();
    assert_eq!(held.remaining(), TTL);
    world.clock.advance(TTL);
    assert!(held.remaining().is_zero());
    assert_eq!(world.renew(&held).await, Err(lost(&held)));
    assert_eq!(world.holder("x"), None, "and it changed nothing");
}

#[tokio::test]
async fn l3_whoever_holds_a_lock_that_is_broken_is_told_and_the_next_one_has_it() {
    let world = World::new();
    assert!(!world.break_lock("x").await, "nobody holds it");
    let held = world.hold("x").await;
    let loss = begun(world.loss(&held));
    let next = world.in_line("x").await;
    world.arrived().await;
    assert!(world.break_lock("x").await);
    let next = soon(next).await.unwrap().unwrap();
    soon(loss).await.unwrap();
    assert_eq!(world.renew(&held).await, Err(lost(&held)));
    assert_eq!(world.release(held).await, Err(Error::Lost { lock: "x".into(), ticket: next.ticket() - 1 }));
    assert_eq!(world.holder("x"), Some(next.ticket()));
}

#[tokio::test]
async fn l3_a_lock_that_is_broken_by_another_process_is_lost() {
    let world = World::new();
    let mut foreigner = world.foreigner();
    let held = world.hold("x").await;
    let loss = begun(world.loss(&held));
    world.arrived().await;
    let lock = millpond_actors::storage::Target { name: name("x"), id: None };
    assert!(foreigner.write(Break { lock }).taken.len() == 1);
    soon(loss).await.unwrap();
    assert_eq!(world.renew(&held).await, Err(lost(&held)));
}

#[tokio::test]
async fn whoever_follows_a_lock_learns_of_every_new_holder() {
    let world = World::new();
    let mut followed = begun(world.follow("x", 0));
    world.arrived().await;
    assert!(!followed.is_answered(), "nobody holds it, as is known");
    // In this process, where neither grant nor release passes through the actor ...
    let held = world.hold("x").await;
    let leader = soon(followed).await.unwrap();
    assert_eq!(leader.grant.ticket, held.ticket());
    let followed = begun(world.follow("x", leader.grant.token));
    world.arrived().await;
    world.release(held).await.unwrap();
    assert_eq!(soon(followed).await, None);
    // ... and in another one.
    let followed = begun(world.follow("x", 0));
    world.arrived().await;
    let mut foreigner = world.foreigner();
    let grant = foreigner.take("x", TTL);
    assert_eq!(soon(followed).await.map(|holder| holder.grant), Some(grant));
    // One that waits in line and is granted later.
    let waiter = world.in_line("x").await;
    let followed = begun(world.follow("x", grant.token));
    world.arrived().await;
    foreigner.write(Leave { lock: grant.lock, ticket: grant.ticket });
    let held = soon(waiter).await.unwrap().unwrap();
    assert_eq!(soon(followed).await.map(|holder| holder.grant.ticket), Some(held.ticket()));
    // A holder that dies, or is stopped past its lease, leads no more.
    world.release(held).await.unwrap();
    let grant = foreigner.take("x", TTL);
    let followed = begun(world.follow("x", grant.token));
    world.arrived().await;
    drop(foreigner);
    assert_eq!(soon(followed).await, None);
}

#[tokio::test]
async fn whoever_knows_no_better_is_told_at_once() {
    let world = World::new();
    let held = world.hold("x").await;
    assert_eq!(soon(world.follow("x", 0)).await.map(|holder| holder.grant.ticket), Some(held.ticket()));
    assert_eq!(soon(world.follow("y", 7)).await, None, "never used");
    assert!(world.clock.now().boot_ms > 0);
}

#[tokio::test]
async fn a_follower_that_goes_away_is_forgotten() {
    let world = World::with(|settings| settings.idle = std::time::Duration::from_millis(10));
    let follower = begun(world.follow("x", 0));
    world.arrived().await;
    assert_eq!(world.runtime.actors().await, 1, "it stays for its follower");
    world.abandon("x", follower);
    until(async || world.runtime.actors().await == 0).await;
}

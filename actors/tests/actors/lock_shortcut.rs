//! The short way to a lock, past its actor.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::lock::{Acquire, LockActor, Place, Shape, Shortcut, Wait};
use millpond_actors::runtime::Settings;

use crate::lock::TTL;
use crate::world::{World, begun, name, soon, until};

/// Actors leave after 10 ms, or a little later.
fn hasty(settings: &mut Settings) {
    settings.idle = Duration::from_millis(10);
}

/// What a handle does that has a shortcut; with whether that led anywhere.
fn acquire(
    world: &World,
    shortcut: &Arc<Shortcut>,
    lock: &str,
    wait: Wait,
) -> impl Future<Output = (Result<Option<Place>>, bool)> + Send + use<> {
    let (runtime, shortcut, name) = (Arc::clone(&world.runtime), Arc::clone(shortcut), name(lock));
    async move {
        let mut short = true;
        let place = runtime.enter_and(|reply, passage| {
            let acquire = Acquire { shape: Shape::EXCLUSIVE, ttl: TTL, wait, reply, passage };
            if let Some(acquire) = shortcut.send(runtime.writer(), acquire) {
                short = false;
                runtime.tell::<LockActor, _>(&name, acquire);
            }
        });
        let place = place.await;
        if let Ok(Some(place)) = &place {
            shortcut.learn(place);
        }
        (place, short)
    }
}

async fn until_left(world: &World, left: usize) {
    until(async || world.runtime.actors().await == left).await;
}

#[tokio::test]
async fn r2_the_short_way_leads_where_the_long_one_does() {
    let world = World::new();
    let shortcut = Arc::default();
    for round in 0..3 {
        let (held, short) = soon(acquire(&world, &shortcut, "x", Wait::No)).await;
        let held = held.unwrap().expect("it is free");
        assert_eq!((world.holder("x"), short), (Some(held.ticket()), round > 0));
        let (busy, short) = soon(acquire(&world, &shortcut, "x", Wait::No)).await;
        assert!(busy.unwrap().is_none() && short);
        world.release(held).await.unwrap();
    }
}

#[tokio::test]
async fn r2_a_shortcut_keeps_no_actor() {
    let world = World::with(hasty);
    let shortcut = Arc::default();
    for _ in 0..3 {
        let (held, short) = soon(acquire(&world, &shortcut, "x", Wait::No)).await;
        assert!(!short);
        world.release(held.unwrap().unwrap()).await.unwrap();
        until_left(&world, 0).await;
    }
}

#[tokio::test]
async fn r1_whoever_waits_by_the_short_way_keeps_the_actor_and_is_served_in_order() {
    let world = World::with(hasty);
    let shortcut = Arc::default();
    let (held, _) = soon(acquire(&world, &shortcut, "x", Wait::No)).await;
    let held = held.unwrap().unwrap();
    let mut waiters = Vec::new();
    for waiting in 1..=4 {
        // All know the short way. Only the first takes it: behind him there is a line.
        waiters.push(begun(acquire(&world, &shortcut, "x", Wait::Forever)));
        until(async || world.waiting("x") == waiting).await;
        world.arrived().await;
    }
    world.release(held).await.unwrap();
    for (number, waiter) in waiters.into_iter().enumerate() {
        // Others come and go meanwhile: by their going the idle time has passed.
        soon(world.number_of("other")).await.unwrap();
        until_left(&world, 1).await;
        let (next, short) = soon(waiter).await;
        let next = next.unwrap().expect("granted");
        assert_eq!((world.holder("x"), short), (Some(next.ticket()), number == 0));
        world.release(next).await.unwrap();
    }
    until_left(&world, 0).await;
}

#[tokio::test]
async fn g10_a_shortcut_to_an_actor_that_failed_is_not_taken() {
    let world = World::new();
    let shortcut = Arc::default();
    let (held, _) = soon(acquire(&world, &shortcut, "x", Wait::No)).await;
    let held = held.unwrap().unwrap();
    world.clock.panic_on_the_arbiter();
    // It asks for the time.
    let (failed, _) = soon(acquire(&world, &Arc::default(), "x", Wait::For(TTL))).await;
    assert!(failed.is_err());
    // Whoever comes before the actor is gone may still be told that it failed.
    world.arrived().await;
    let waiter = begun(acquire(&world, &shortcut, "x", Wait::Forever));
    until(async || world.waiting("x") == 1).await;
    world.release(held).await.unwrap();
    let (next, short) = soon(waiter).await;
    assert!(next.unwrap().is_some() && !short);
}

#[tokio::test]
async fn r1_a_shortcut_taken_in_the_moment_of_the_actors_going_loses_nothing() {
    let world = World::with(|settings| settings.idle = Duration::ZERO);
    let cycles = (0..4).map(|_| {
        let (shortcut, lock) = (Arc::default(), "x");
        let once = {
            let (runtime, world) = (Arc::clone(&world.runtime), &world);
            move || {
                let (acquired, runtime) =
                    (acquire(world, &shortcut, lock, Wait::Forever), Arc::clone(&runtime));
                async move {
                    let held = acquired.await.0.unwrap().expect("it waits until it is granted");
                    runtime
                        .enter_and(|reply, passage| held.leave(runtime.writer(), reply, passage))
                        .await
                        .unwrap();
                }
            }
        };
        async move {
            for _ in 0..150 {
                once().await;
            }
        }
    });
    soon(futures_of(cycles)).await;
    assert_eq!((world.holder("x"), world.waiting("x")), (None, 0));
}

/// All at once.
async fn futures_of<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut open: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        open.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if open.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

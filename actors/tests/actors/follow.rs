//! Following events on the waist: who is told of what, and who looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use millpond_actors::error::Error;
use millpond_actors::follow::Follower;

use crate::world::{World, foreign_append, soon, until};

/// Counts how often somebody was woken.
#[derive(Default)]
struct Rung(AtomicU32);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn is_waiting(follower: &Follower, seen: u64) -> bool {
    follower.poll_beyond(seen, &Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn a_commit_here_is_told_without_a_look() {
    let world = World::without_lookout();
    let follower = world.runtime.follow().begin().unwrap();
    let rung = Arc::new(Rung::default());
    let waker = Waker::from(Arc::clone(&rung));
    assert!(follower.poll_beyond(0, &Context::from_waker(&waker)).is_pending());
    soon(world.append("s")).await.unwrap();
    // Told before whoever has appended is answered.
    assert_eq!(rung.0.load(Ordering::SeqCst), 1);
    assert_eq!(follower.poll_beyond(0, &Context::from_waker(&waker)), Poll::Ready(Ok(())));
    assert_eq!(follower.horizon(), 1);
    assert!(is_waiting(&follower, 1));
    // What is no event wakes nobody.
    drop(soon(world.hold("lock")).await);
    assert_eq!(rung.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_was_committed_while_nobody_followed_is_not_told_of() {
    let world = World::without_lookout();
    drop(world.runtime.follow().begin().unwrap());
    soon(world.append("s")).await.unwrap();
    let follower = world.runtime.follow().begin().unwrap();
    // It is in what he reads: all that comes behind that is told.
    assert_eq!(follower.horizon(), 0);
    assert!(is_waiting(&follower, 0));
    soon(world.append("s")).await.unwrap();
    assert_eq!(follower.horizon(), 2);
}

#[tokio::test]
async fn a_commit_elsewhere_is_found_by_a_look() {
    let world = World::new();
    let (first, second) = (world.runtime.follow().begin().unwrap(), world.runtime.follow().begin().unwrap());
    world.foreigner().write(foreign_append("s", "foreign"));
    until(async || !is_waiting(&first, 0)).await;
    assert!(!is_waiting(&second, 0));
    drop(first);
    world.foreigner().write(foreign_append("s", "foreign"));
    until(async || !is_waiting(&second, 1)).await;
}

#[tokio::test]
async fn whoever_waits_is_told_when_the_store_is_closed() {
    let world = World::new();
    let follower = world.runtime.follow().begin().unwrap();
    let rung = Arc::new(Rung::default());
    let waker = Waker::from(Arc::clone(&rung));
    assert!(follower.poll_beyond(0, &Context::from_waker(&waker)).is_pending());
    soon(world.runtime.close()).await.unwrap();
    assert_eq!(rung.0.load(Ordering::SeqCst), 1);
    assert_eq!(follower.poll_beyond(0, &Context::from_waker(&waker)), Poll::Ready(Err(Error::Closed)));
}

//! The ends of feeds: reading that is shared, followers that fall behind, news from other processes, the end.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use millpond_actors::channel::{ChannelActor, Seat, Subscribe};
use millpond_actors::error::{Error, Result};
use millpond_actors::feed::{Append, Follower, From, Tail};
use millpond_actors::limits;
use millpond_actors::storage::feed::{self, Appended, Kind, NewMessage, Retain, Retention};
use millpond_actors::storage::{Data, Target};

use crate::world::{World, begun, broken, name, soon, until};

fn message(number: u64) -> NewMessage {
    NewMessage { data: Data::Json(number.to_string()), schema: 1, key: None, at: None }
}

fn tail(world: &World) -> Arc<Tail> {
    world.runtime.feeds().tail(Kind::Channel, &name("c"))
}

/// Publishes so many messages at once. The last sequence.
async fn publish(world: &World, count: u64) -> Result<u64> {
    let messages = (0..count).map(message).collect();
    let append = |reply, passage| {
        let append = Append { messages, fence: None, reply, passage };
        world.runtime.feeds().append(Kind::Channel, &name("c"), append);
    };
    match soon(world.runtime.enter_and(append)).await? {
        Appended::Done { last, .. } => Ok(last),
        Appended::Fenced => panic!("there is no fence"),
    }
}

/// What another process publishes.
fn foreign(count: u64) -> feed::Append {
    let feed = Target { name: name("c"), id: None };
    let messages = (0..count).map(message).collect();
    feed::Append { kind: Kind::Channel, feed, messages, fence: None }
}

/// The sequence of the next message, or what has happened to it.
async fn next(follower: &mut Follower) -> Result<u64> {
    let found = soon(poll_fn(|context| follower.poll_next(context))).await;
    found.expect("the store is open").map(|seen| seen.sequence)
}

fn is_waiting(follower: &mut Follower) -> bool {
    follower.poll_next(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn c3_a_burst_to_ten_thousand_is_read_once() {
    let world = World::new();
    let (tail, mut foreigner) = (tail(&world), world.foreigner());
    let mut followers: Vec<Follower> =
        (0..10_000).map(|_| Follower::new(Arc::clone(&tail), 1).unwrap()).collect();
    assert!(followers.iter_mut().all(is_waiting));
    foreigner.write(foreign(5));
    for follower in &mut followers {
        for sequence in 1..=5 {
            assert_eq!(next(follower).await, Ok(sequence));
        }
    }
    assert_eq!(tail.pages(), (1, 0), "nobody reads by himself");
}

#[tokio::test]
async fn c3_what_is_published_here_is_handed_to_all_and_read_by_nobody() {
    let world = World::new();
    let tail = tail(&world);
    let mut followers: Vec<Follower> =
        (0..1_000).map(|_| Follower::new(Arc::clone(&tail), 1).unwrap()).collect();
    let mut last = 0;
    for count in [5, 1, 1, 3] {
        assert!(followers.iter_mut().all(is_waiting));
        let from = last + 1;
        last = publish(&world, count).await.unwrap();
        for follower in &mut followers {
            for sequence in from..=last {
                assert_eq!(next(follower).await, Ok(sequence));
            }
        }
    }
    assert_eq!(tail.pages(), (0, 0));
}

#[tokio::test]
async fn c3_what_is_published_here_leaves_out_nothing_that_others_have_published() {
    let world = World::new();
    let (tail, mut foreigner) = (tail(&world), world.foreigner());
    let mut followers: Vec<Follower> =
        [1, 1, 4].map(|next| Follower::new(Arc::clone(&tail), next).unwrap()).into();
    for round in 0..20 {
        assert!(followers.iter_mut().all(is_waiting), "round {round}");
        foreigner.begin();
        foreigner.apply(foreign(2));
        foreigner.commit_quietly();
        publish(&world, 2).await.unwrap();
        for (follower, first) in followers.iter_mut().zip([1, 1, 4]) {
            for sequence in (4 * round + 1).max(first)..=4 * round + 4 {
                assert_eq!(next(follower).await, Ok(sequence));
            }
        }
    }
    assert_eq!(tail.pages().1, 0, "what was left out is read for all, and by nobody for himself");
}

#[tokio::test]
async fn g9_a_follower_that_waits_is_small() {
    assert!(std::mem::size_of::<Follower>() + std::mem::size_of::<Seat>() <= 512);
}

#[tokio::test]
async fn g9_those_who_follow_are_bounded() {
    let world = World::new();
    let tail = tail(&world);
    let mut followers: Vec<Follower> =
        (0..limits::FOLLOWERS).map(|_| Follower::new(Arc::clone(&tail), 1).unwrap()).collect();
    assert!(matches!(Follower::new(Arc::clone(&tail), 1), Err(Error::Overloaded { .. })));
    followers.pop();
    Follower::new(tail, 1).unwrap();
}

#[tokio::test]
async fn c3_whoever_has_fallen_behind_the_others_reads_on_from_the_store() {
    let world = World::new();
    let tail = tail(&world);
    let (mut slow, mut fast) =
        (Follower::new(Arc::clone(&tail), 1).unwrap(), Follower::new(Arc::clone(&tail), 1).unwrap());
    let all = 2 * limits::WINDOW_ROWS as u64 + 500;
    let mut sent = 0;
    while sent < all {
        assert!(is_waiting(&mut fast));
        sent = publish(&world, 100).await.unwrap();
        for sequence in sent - 99..=sent {
            assert_eq!(next(&mut fast).await, Ok(sequence));
        }
    }
    let (pages, _) = tail.pages();
    for sequence in 1..=sent {
        assert_eq!(next(&mut slow).await, Ok(sequence));
    }
    assert_eq!(tail.pages().0, pages, "nobody else has anything to do with it");
    assert!(is_waiting(&mut slow));
    publish(&world, 1).await.unwrap();
    assert_eq!((next(&mut slow).await, next(&mut fast).await), (Ok(sent + 1), Ok(sent + 1)));
}

#[tokio::test]
async fn c3_lagging_is_told_exactly_wherever_one_stands() {
    let world = World::new();
    let keep = Retention { count: Some(10), ..Retention::default() };
    let feed = Target { name: name("c"), id: None };
    soon(world.runtime.write(Retain { kind: Kind::Channel, feed, retention: keep })).await.unwrap();
    let tail = tail(&world);
    let mut followers: Vec<Follower> =
        [1, 100, 2_990].map(|next| Follower::new(Arc::clone(&tail), next).unwrap()).into();
    for _ in 0..3 {
        publish(&world, 1_000).await.unwrap();
    }
    for (follower, missed) in followers.iter_mut().zip([2_990, 2_891, 1]) {
        let lagged = next(follower).await.unwrap_err();
        assert!(
            matches!(lagged, Error::Lagged { missed: found, .. } if found == missed),
            "{missed}: {lagged:?}"
        );
        for sequence in 2_991..=3_000 {
            assert_eq!(next(follower).await, Ok(sequence));
        }
        assert!(is_waiting(follower));
    }
}

#[tokio::test]
async fn c6_what_another_process_publishes_comes_with_the_bell() {
    let world = World::new();
    let (mut follower, mut foreigner) = (Follower::new(tail(&world), 1).unwrap(), world.foreigner());
    for sequence in 1..=20 {
        assert!(is_waiting(&mut follower));
        foreigner.write(foreign(1));
        assert_eq!(next(&mut follower).await, Ok(sequence));
    }
}

#[tokio::test]
async fn c6_a_lost_notification_costs_time_and_no_message() {
    let world = World::new();
    let (mut follower, mut foreigner) = (Follower::new(tail(&world), 1).unwrap(), world.foreigner());
    for sequence in 1..=3 {
        assert!(is_waiting(&mut follower));
        foreigner.begin();
        foreigner.apply(foreign(1));
        foreigner.commit_quietly();
        assert_eq!(next(&mut follower).await, Ok(sequence), "by the slow poll");
    }
}

#[tokio::test]
async fn drawer_e1_messages_cross_processes_both_ways() {
    let (here, mut subscriptions) = (World::new(), Vec::new());
    let there = here.another();
    for world in [&here, &there] {
        subscriptions.push(Follower::new(tail(world), 1).unwrap());
    }
    for sequence in 1..=10 {
        let world = if sequence % 2 == 0 { &here } else { &there };
        publish(world, 1).await.unwrap();
        for follower in &mut subscriptions {
            assert_eq!(next(follower).await, Ok(sequence));
        }
    }
}

#[tokio::test]
async fn c3_what_a_failed_commit_published_comes_or_never_was() {
    let world = World::new();
    let mut follower = Follower::new(tail(&world), 1).unwrap();
    for applied in [true, false] {
        assert!(is_waiting(&mut follower));
        world.memory.faults().fail_commit(broken(), applied);
        let published = publish(&world, 1).await;
        assert_eq!(published.is_ok(), applied, "{published:?}");
        if applied {
            assert_eq!(next(&mut follower).await, Ok(1));
        }
    }
    publish(&world, 1).await.unwrap();
    assert_eq!(next(&mut follower).await, Ok(2));
}

/// An executor that panics when it is woken.
struct Fragile(AtomicBool);

impl Wake for Fragile {
    fn wake(self: Arc<Fragile>) {
        self.0.store(true, Ordering::SeqCst);
        panic!("woken");
    }
}

#[tokio::test]
async fn g10_an_executor_that_panics_when_it_is_woken_keeps_nobody_from_his_message() {
    let world = World::new();
    let tail = tail(&world);
    let (mut first, mut second) =
        (Follower::new(Arc::clone(&tail), 1).unwrap(), Follower::new(tail, 1).unwrap());
    let fragile = Arc::new(Fragile(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&fragile));
    assert!(first.poll_next(&mut Context::from_waker(&waker)).is_pending());
    let waiting = tokio::spawn(async move { next(&mut second).await });
    world.arrived().await;
    publish(&world, 1).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap(), Ok(1));
    until(async || fragile.0.load(Ordering::SeqCst)).await;
    assert_eq!(next(&mut first).await, Ok(1), "its message is there all the same");
    assert_eq!(publish(&world, 1).await, Ok(2), "and the store lives");
}

#[tokio::test]
async fn drawer_c8_a_close_ends_those_who_follow() {
    let world = World::new();
    let mut waiting = Follower::new(tail(&world), 1).unwrap();
    assert!(is_waiting(&mut waiting));
    let (closed, told) = tokio::join!(world.runtime.close(), next(&mut waiting));
    assert_eq!((closed, told), (Ok(()), Err(Error::Closed)));
    assert!(matches!(waiting.poll_next(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
    let mut late = Follower::new(tail(&world), 1).unwrap();
    assert_eq!(next(&mut late).await, Err(Error::Closed), "one that comes later, too");
}

#[tokio::test]
async fn drawer_c1_while_nobody_follows_nobody_looks() {
    let world = World::new();
    let tail = tail(&world);
    let known = Arc::downgrade(&tail);
    let follower = Follower::new(tail, 1).unwrap();
    assert!(known.upgrade().is_some());
    drop(follower);
    assert!(known.upgrade().is_none(), "with the last who follows it is gone");
    publish(&world, 1).await.unwrap();
}

#[tokio::test]
async fn drawer_c1_a_message_comes_by_its_commit_and_not_by_a_poll() {
    let world = World::without_lookout();
    let mut followers = [1, 1, 1].map(|next| Follower::new(tail(&world), next).unwrap());
    for sequence in 1..=100 {
        assert!(followers.iter_mut().all(is_waiting));
        publish(&world, 1).await.unwrap();
        for follower in &mut followers {
            assert_eq!(next(follower).await, Ok(sequence));
        }
    }
}

#[tokio::test]
async fn drawer_c4_g2_nothing_comes_before_its_commit() {
    let world = World::new();
    let mut follower = Follower::new(tail(&world), 1).unwrap();
    let mut committed = 0;
    for fails in [false, true, false] {
        assert!(is_waiting(&mut follower));
        if fails {
            world.memory.faults().fail_commit(broken(), false);
        }
        let gate = world.memory.faults().hold_commits();
        let mut published = begun(publish(&world, 1));
        gate.wait_until_held();
        world.arrived().await;
        assert!(is_waiting(&mut follower) && !published.is_answered(), "it is written and not committed");
        gate.open();
        assert_eq!(soon(published).await.is_err(), fails);
        if !fails {
            committed += 1;
            assert_eq!(next(&mut follower).await, Ok(committed));
        }
    }
}

#[tokio::test]
async fn drawer_g5_a_thousand_tails_look_at_nothing() {
    let world = World::without_lookout();
    let tail = tail(&world);
    let mut followers: Vec<Follower> =
        (0..1_000).map(|_| Follower::new(Arc::clone(&tail), 1).unwrap()).collect();
    for sequence in 1..=10 {
        assert!(followers.iter_mut().all(is_waiting));
        publish(&world, 1).await.unwrap();
        for follower in &mut followers {
            assert_eq!(next(follower).await, Ok(sequence));
        }
    }
    assert_eq!(
        tail.pages(),
        (0, 0),
        "what is published here is handed to all of them, and nobody reads or looks"
    );
}

#[tokio::test]
async fn r2_a_subscription_keeps_its_actor_and_lets_it_go() {
    let world = World::with(|settings| settings.idle = std::time::Duration::from_millis(20));
    let channel = name("c");
    let subscribe = |from| {
        let build = move |reply, passage| Subscribe { from, reply, passage };
        world.runtime.ask::<ChannelActor, _, _>(&channel, build)
    };
    let mut seat = soon(subscribe(From::Now)).await.unwrap();
    publish(&world, 1).await.unwrap();
    let found = soon(poll_fn(|context| seat.poll_next(context))).await;
    assert_eq!(found.unwrap().unwrap().sequence, 1);
    assert_eq!(world.runtime.actors().await, 1);
    drop(seat);
    until(async || world.runtime.actors().await == 0).await;
    assert_eq!(soon(subscribe(From::Start)).await.unwrap().next(), 1, "and comes again");
}

//! Durable subscriptions: cursors, and who may move them.

use millpond_actors::error::Expected;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::lock::Grant;
use millpond_actors::storage::subscription::{Move, Moved, Subscribe, Unsubscribe};

use super::queues::{new_job, push};
use super::stage::*;

fn begin(cursor: u64) -> Subscribe {
    Subscribe { kind: Kind::Channel, feed: target("c"), subscription: name("s"), cursor }
}

fn moved(grant: Grant, cursor: u64, back: bool) -> Move {
    let (feed, subscription, fence) = (target("c"), name("s"), fence("l", grant));
    Move { kind: Kind::Channel, feed, subscription, cursor, back, fence }
}

fn cursor(stage: &Stage<'_>) -> Option<u64> {
    let found = stage.view().subscriptions(Kind::Channel, &name("c")).unwrap();
    found.into_iter().find(|found| found.name == "s").map(|found| found.cursor)
}

pub(super) fn c2_a_cursor_begins_once(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(cursor(stage), None);
    assert_eq!(a.run(begin(7)), 7, "before the first message");
    assert_eq!(b.run(begin(9)), 7, "it is there already");
    let other = Subscribe { subscription: name("t"), ..begin(3) };
    assert_eq!(a.run(other), 3);
    let of_log = Subscribe { kind: Kind::Log, ..begin(1) };
    assert_eq!(a.run(of_log), 1, "a log of the same name has its own");
    let listed = stage.view().subscriptions(Kind::Channel, &name("c")).unwrap();
    let listed: Vec<_> = listed.iter().map(|found| (found.name.as_str(), found.cursor)).collect();
    assert_eq!(listed, [("s", 7), ("t", 3)]);
}

pub(super) fn c2_a_cursor_never_moves_back_unless_it_is_told_to(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(begin(0));
    let grant = a.hold("l", 1_000);
    for (to, back, stands) in
        [(3, false, 3), (2, false, 3), (3, false, 3), (1, true, 1), (5, true, 5), (0, true, 0)]
    {
        assert_eq!(a.run(moved(grant, to, back)), Moved::Done { cursor: stands });
        assert_eq!(cursor(stage), Some(stands));
    }
}

pub(super) fn c2_a_stale_token_moves_no_cursor(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.run(begin(0));
    let old = a.hold("l", 100);
    assert_eq!(a.run(moved(old, 1, false)), Moved::Done { cursor: 1 });
    stage.pass(100);
    let new = b.hold("l", 100);
    for back in [false, true] {
        assert_eq!(a.run(moved(old, 9, back)), Moved::Fenced);
    }
    assert_eq!(cursor(stage), Some(1));
    assert_eq!(b.run(moved(new, 2, false)), Moved::Done { cursor: 2 });
    b.release(new);
    assert_eq!(b.run(moved(new, 3, false)), Moved::Fenced, "after it was released, too");
}

pub(super) fn c2_a_cursor_outlives_its_consumer(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(begin(0));
    let grant = a.hold("l", 1_000);
    a.run(moved(grant, 4, false));
    drop(a);
    let mut b = stage.join();
    assert_eq!(b.run(begin(0)), 4);
}

pub(super) fn c2_what_is_rolled_back_was_not_acknowledged(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(begin(0));
    let grant = a.hold("l", 1_000);
    a.begin();
    a.apply(moved(grant, 4, false));
    a.apply(Unsubscribe { kind: Kind::Channel, feed: target("c"), subscription: name("s") });
    assert_eq!(cursor(stage), Some(0), "nobody sees what is not committed");
    a.rollback();
    assert_eq!(cursor(stage), Some(0));
}

/// What is done because of a message - another message, a job, an event - and that it was done, in one group.
pub(super) fn c5_effects_and_cursor_are_one_transaction(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(append_to(Kind::Channel, "c", &[1, 2]));
    a.run(begin(0));
    let grant = a.hold("l", 1_000);
    let effects = |player: &mut Player<'_, '_>, grant| {
        player.apply(append_to(Kind::Channel, "out", &[1]));
        player.apply(push("q", vec![new_job(1)]));
        player.apply(append("s", Expected::Any, &[1]));
        player.apply(moved(grant, 1, false));
    };
    let stands = || {
        let mut view = stage.view();
        let sent = view.feed(Kind::Channel, &name("out")).unwrap().map_or(0, |head| head.last);
        let pushed = view.queue(&name("q")).unwrap().map_or(0, |numbers| numbers.ready);
        (sent, pushed, stage.version("s"), cursor(stage))
    };
    a.begin();
    effects(&mut a, grant);
    assert_eq!(stands(), (0, 0, 0, Some(0)), "nobody sees a part of it");
    a.rollback();
    a.begin();
    a.session.savepoint().unwrap();
    effects(&mut a, grant);
    a.session.end_savepoint(false).unwrap();
    a.commit();
    a.begin();
    effects(&mut a, grant);
    // It dies in the middle of it.
    drop(a);
    assert_eq!(stands(), (0, 0, 0, Some(0)));
    let mut b = stage.join();
    let grant = b.hold("l", 1_000);
    b.begin();
    effects(&mut b, grant);
    b.commit();
    assert_eq!(stands(), (1, 1, 1, Some(1)));
}

pub(super) fn a_subscription_that_is_ended_is_forgotten(stage: &Stage<'_>) {
    let mut a = stage.join();
    let end = || Unsubscribe { kind: Kind::Channel, feed: target("c"), subscription: name("s") };
    assert!(!a.run(end()), "there is no such channel");
    a.run(begin(7));
    let grant = a.hold("l", 1_000);
    assert!(a.run(end()));
    assert!(!a.run(end()));
    assert_eq!(cursor(stage), None);
    assert_eq!(a.run(moved(grant, 9, false)), Moved::Fenced, "nothing is left to be moved");
    assert_eq!(a.run(begin(2)), 2);
}

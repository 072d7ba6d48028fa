//! Durable subscriptions: cursors, and who may move them.

use millpond_actors::error::Expected;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::feed::Trim;
use millpond_actors::storage::lock::Grant;
use millpond_actors::storage::subscription::{
    Acknowledge, Acknowledged, Move, Moved, PassOver, Span, Subscribe, Unsubscribe,
};

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

fn acknowledge(grant: Grant, sequence: u64) -> Acknowledge {
    let (feed, subscription, fence) = (target("c"), name("s"), fence("l", grant));
    Acknowledge { kind: Kind::Channel, feed, subscription, sequence, fence }
}

fn pass_over() -> PassOver {
    PassOver { kind: Kind::Channel, feed: target("c"), subscription: name("s") }
}

fn acknowledged(stage: &Stage<'_>, first: u64, last: u64) -> Acknowledged {
    let within = Span { first, last };
    stage.view().acknowledged(Kind::Channel, &name("c"), &name("s"), within).unwrap().unwrap()
}

fn spans(spans: &[(u64, u64)]) -> Vec<Span> {
    spans.iter().map(|(first, last)| Span { first: *first, last: *last }).collect()
}

pub(super) fn c2_messages_are_acknowledged_in_any_order(stage: &Stage<'_>) {
    let mut a = stage.join();
    let nothing =
        stage.view().acknowledged(Kind::Channel, &name("c"), &name("s"), Span { first: 1, last: 9 });
    assert_eq!(nothing, Ok(None));
    a.run(begin(2));
    let grant = a.hold("l", 1_000);
    // What is acknowledged, where the cursor is then, and what there is beyond it.
    let steps = [
        (5, 2, &[(5, 5)][..]),
        (7, 2, &[(5, 5), (7, 7)]),
        (7, 2, &[(5, 5), (7, 7)]),
        (1, 2, &[(5, 5), (7, 7)]),
        (6, 2, &[(5, 7)]),
        (8, 2, &[(5, 8)]),
        (4, 2, &[(4, 8)]),
        (11, 2, &[(4, 8), (11, 11)]),
        (3, 8, &[(11, 11)]),
        (9, 9, &[(11, 11)]),
        (10, 11, &[]),
    ];
    for (sequence, reached, beyond) in steps {
        assert_eq!(a.run(acknowledge(grant, sequence)), Moved::Done { cursor: reached }, "{sequence}");
        assert_eq!(cursor(stage), Some(reached));
        let found = acknowledged(stage, 1, u64::MAX);
        assert_eq!(found, Acknowledged { cursor: reached, beyond: spans(beyond) }, "{sequence}");
    }
    for sequence in [20, 21, 22, 30] {
        a.run(acknowledge(grant, sequence));
    }
    assert_eq!(acknowledged(stage, 21, 21).beyond, spans(&[(21, 21)]), "as far as it was asked for");
    assert_eq!(acknowledged(stage, 22, 40).beyond, spans(&[(22, 22), (30, 30)]));
    assert_eq!(acknowledged(stage, 23, 29).beyond, []);
    let all = acknowledged(stage, 1, 40);
    let contained: Vec<u64> = (0..40).filter(|sequence| all.contains(*sequence)).collect();
    assert_eq!(contained, (0..=11).chain(20..=22).chain([30]).collect::<Vec<u64>>());
}

pub(super) fn c2_a_stale_token_acknowledges_nothing(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.run(begin(0));
    let old = a.hold("l", 100);
    a.run(acknowledge(old, 2));
    stage.pass(100);
    let new = b.hold("l", 100);
    assert_eq!(a.run(acknowledge(old, 1)), Moved::Fenced);
    assert_eq!(acknowledged(stage, 1, 9), Acknowledged { cursor: 0, beyond: spans(&[(2, 2)]) });
    assert_eq!(b.run(acknowledge(new, 1)), Moved::Done { cursor: 2 });
    // What is forgotten is forgotten whole.
    b.run(acknowledge(new, 9));
    b.run(Unsubscribe { kind: Kind::Channel, feed: target("c"), subscription: name("s") });
    assert_eq!(b.run(acknowledge(new, 3)), Moved::Fenced);
    b.run(begin(7));
    assert_eq!(b.run(acknowledge(new, 8)), Moved::Done { cursor: 8 });
}

pub(super) fn c4_what_was_removed_is_passed_over_and_counted_once(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(append_to(Kind::Channel, "c", &[1; 20]));
    a.run(begin(1));
    let grant = a.hold("l", 1_000);
    let trim = |before| Trim { kind: Kind::Channel, feed: target("c"), before };
    assert_eq!(a.run(pass_over()), 0);
    for sequence in [3, 4, 8, 9, 10, 15] {
        a.run(acknowledge(grant, sequence));
    }
    a.run(trim(6));
    assert_eq!(a.run(pass_over()), 2, "2 and 5");
    assert_eq!(acknowledged(stage, 1, 99), Acknowledged { cursor: 5, beyond: spans(&[(8, 10), (15, 15)]) });
    assert_eq!(a.run(pass_over()), 0, "once");
    a.run(trim(9));
    assert_eq!(a.run(pass_over()), 2, "6 and 7");
    assert_eq!(acknowledged(stage, 1, 99), Acknowledged { cursor: 10, beyond: spans(&[(15, 15)]) });
    a.run(trim(15));
    assert_eq!(a.run(pass_over()), 4, "11 to 14");
    assert_eq!(acknowledged(stage, 1, 99), Acknowledged { cursor: 15, beyond: Vec::new() });
    a.run(trim(99));
    assert_eq!(a.run(pass_over()), 5);
    assert_eq!(cursor(stage), Some(20));
    assert_eq!(a.run(PassOver { subscription: name("t"), ..pass_over() }), 0, "there is no such one");
}

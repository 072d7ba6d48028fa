//! Batches: operations of any primitives, all or none of them.

use millpond_actors::error::Expected::{self, Any};
use millpond_actors::storage::batch::{self, Applied, Batch};
use millpond_actors::storage::feed::{self, Kind};
use millpond_actors::storage::lock::Grant;
use millpond_actors::storage::queue::{Finished, How, Key, NewJob, Scope, State};
use millpond_actors::storage::stream::{Appended, Check, Checked};
use millpond_actors::storage::subscription::{Move, Moved, Subscribe};
use millpond_actors::storage::{Apply, Operation, Outcome, Summary};

use super::queues;
use super::stage::*;

fn batch(parts: impl IntoIterator<Item = Operation>) -> Batch {
    Batch { parts: parts.into_iter().collect() }
}

fn event_to(stream: &str, expected: Expected, number: u128) -> Operation {
    append(stream, expected, &[number]).into_operation()
}

fn message_to(kind: Kind, feed: &str, number: u64) -> Operation {
    append_to(kind, feed, &[number]).into_operation()
}

fn job_to(queue: &str, number: u64) -> Operation {
    queues::push(queue, vec![queues::new_job(number)]).into_operation()
}

fn check(lock: &str, grant: Grant) -> Operation {
    batch::Check { fence: fence(lock, grant) }.into_operation()
}

/// The part that was refused, and why.
fn refused(applied: Applied) -> (usize, Outcome) {
    match applied {
        Applied::Refused { part, outcome } => (part, *outcome),
        done => panic!("it was not refused: {done:?}"),
    }
}

fn outcomes(applied: Applied) -> Vec<Outcome> {
    match applied {
        Applied::Done(outcomes) => outcomes,
        refused => panic!("{refused:?}"),
    }
}

/// The store in numbers that do not depend on files.
fn numbers(stage: &Stage<'_>) -> Summary {
    Summary { file_bytes: 0, log_bytes: 0, schema: 0, ..stage.view().summary(stage.now()).unwrap() }
}

pub(super) fn g2_a_batch_is_whole(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    let parts = [
        event_to("s", Expected::NoStream, 1),
        job_to("q", 7),
        message_to(Kind::Channel, "c", 8),
        message_to(Kind::Log, "c", 9),
        event_to("s", Expected::Version(1), 2),
    ];
    let outcomes = outcomes(a.apply(batch(parts)));
    assert_eq!(stage.version("s"), 0, "nothing is to be seen before the commit");
    a.commit();
    assert_eq!(stage.numbers(&of_stream("s")), [1, 2], "a part sees what those before it have done");
    assert_eq!(stage.counts("q"), [1, 0, 0, 0, 0]);
    let last = |kind| stage.view().feed(kind, &name("c")).unwrap().unwrap().last;
    assert_eq!((last(Kind::Channel), last(Kind::Log)), (1, 1));
    assert!(matches!(outcomes[0], Outcome::StreamAppend(Appended::Done { version: 1, position: 1, .. })));
    assert!(matches!(&outcomes[1], Outcome::QueuePush(pushed) if pushed.places[0].sequence == 1));
    assert!(matches!(outcomes[2], Outcome::FeedAppend(feed::Appended::Done { last: 1, .. })));
    assert!(matches!(outcomes[4], Outcome::StreamAppend(Appended::Done { version: 2, position: 2, .. })));
}

pub(super) fn g2_a_part_that_is_refused_undoes_them_all(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    a.push_numbers("q", &[1]);
    let (receipt, _) = a.claim_one("q", 100_000);
    let before = numbers(stage);
    a.begin();
    assert_eq!(done(a.apply(append("t", Any, &[2]))), (1, 2));
    let parts = [
        event_to("s", Any, 3),
        event_to("new", Any, 4),
        job_to("q", 2),
        job_to("new", 3),
        message_to(Kind::Channel, "new", 1),
        queues::finish(receipt, How::Done).into_operation(),
        event_to("s", Expected::Version(1), 5),
    ];
    let conflict = Outcome::StreamAppend(Appended::Conflict { actual: 2 });
    assert_eq!(refused(a.apply(batch(parts))), (6, conflict));
    assert_eq!(done(a.apply(append("t", Any, &[6]))), (2, 3), "what is not of it goes on, without a gap");
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 2, 6]);
    assert_eq!(stage.counts("q"), [0, 0, 1, 0, 0]);
    assert_eq!(stage.view().queue(&name("new")), Ok(None));
    assert_eq!(stage.view().feed(Kind::Channel, &name("new")), Ok(None));
    let after = numbers(stage);
    assert_eq!((after.queues, after.channels, after.jobs), (before.queues, before.channels, before.jobs));
    assert_eq!((after.streams, after.events, after.head), (2, 3, 3));
    assert_eq!(a.push_numbers("q", &[9]), [2], "no sequence was used up");
    assert_eq!(a.finish(receipt, How::Done), Finished::Done);
}

pub(super) fn g4_what_was_done_before_is_not_refused(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    let keyed = |number| {
        let key = Key { text: "k".into(), scope: Scope::Live };
        let job = NewJob { key: Some(key), ..queues::new_job(number) };
        queues::push("q", vec![job]).into_operation()
    };
    outcomes(a.run(batch([keyed(1)])));
    let again = outcomes(a.run(batch([event_to("s", Any, 1), keyed(2), event_to("s", Any, 2)])));
    assert!(matches!(again[0], Outcome::StreamAppend(Appended::Done { repeated: true, version: 1, .. })));
    assert!(matches!(&again[1], Outcome::QueuePush(pushed) if pushed.places[0].existed));
    assert_eq!(stage.numbers(&of_stream("s")), [1, 2]);
}

pub(super) fn q2_a_stale_claim_takes_its_batch_with_it(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.push_numbers("q", &[1]);
    let (old, _) = a.claim_one("q", 100);
    stage.pass(100);
    let (new, _) = b.claim_one("q", 100);
    let with = |receipt, number| {
        batch([message_to(Kind::Log, "effects", number), queues::finish(receipt, How::Done).into_operation()])
    };
    assert_eq!(refused(a.run(with(old, 1))), (1, Outcome::QueueFinish(Finished::Stale)));
    outcomes(b.run(with(new, 2)));
    let (part, _) = refused(b.run(with(new, 3)));
    assert_eq!(part, 1, "it is done already");
    let effects = stage.view().feed_page(&of_feed(Kind::Log, "effects")).unwrap();
    assert_eq!(effects.messages.len(), 1, "the effect is there once");
    assert_eq!(stage.jobs("q", Some(State::Ready)), []);
}

pub(super) fn l3_a_batch_under_a_lost_lock_is_refused(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let old = a.hold("l", 100);
    outcomes(a.run(batch([check("l", old), event_to("s", Any, 1)])));
    stage.pass(200);
    let new = b.hold("l", 100);
    for late in [[check("l", old), event_to("s", Any, 2)], [event_to("s", Any, 2), check("l", old)]] {
        let part = late.iter().position(|part| matches!(part, Operation::LockCheck(_))).unwrap();
        assert_eq!(refused(a.run(batch(late))), (part, Outcome::LockCheck(false)));
    }
    outcomes(b.run(batch([check("l", new), event_to("s", Any, 3)])));
    assert_eq!(stage.numbers(&of_stream("s")), [1, 3]);
}

pub(super) fn a1_a_stream_that_is_not_as_expected_refuses_its_batch(stage: &Stage<'_>) {
    let mut a = stage.join();
    let stands = |expected| Check { stream: target("s"), expected }.into_operation();
    let conflict = |actual| Outcome::StreamCheck(Checked::Conflict { actual });
    outcomes(a.run(batch([stands(Expected::NoStream), stands(Any), job_to("q", 1)])));
    let too_early = [job_to("q", 2), stands(Expected::Exists)];
    assert_eq!(refused(a.run(batch(too_early))), (1, conflict(0)));
    a.append("s", &[1, 2]);
    outcomes(a.run(batch([stands(Expected::Version(2)), stands(Expected::Exists), job_to("q", 3)])));
    for other in [Expected::Version(1), Expected::Version(3), Expected::NoStream] {
        assert_eq!(refused(a.run(batch([job_to("q", 4), stands(other)]))), (1, conflict(2)));
    }
    let own = [event_to("s", Any, 3), stands(Expected::Version(3)), job_to("q", 5)];
    outcomes(a.run(batch(own)));
    assert_eq!(a.claim_numbers("q"), [1, 3, 5]);
}

pub(super) fn c5_an_effect_and_its_cursor_are_one(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let subscription = name("s");
    a.run(Subscribe {
        kind: Kind::Channel,
        feed: target("c"),
        subscription: subscription.clone(),
        cursor: 0,
    });
    let old = a.hold("l", 100);
    let with = |grant, cursor, number| {
        let (feed, subscription, fence) = (target("c"), subscription.clone(), fence("l", grant));
        let moved = Move { kind: Kind::Channel, feed, subscription, cursor, back: false, fence };
        batch([event_to("effects", Any, number), moved.into_operation()])
    };
    let moved = outcomes(a.run(with(old, 1, 1)));
    assert_eq!(moved[1], Outcome::SubscriptionMove(Moved::Done { cursor: 1 }));
    stage.pass(200);
    let new = b.hold("l", 100);
    assert_eq!(refused(a.run(with(old, 2, 2))), (1, Outcome::SubscriptionMove(Moved::Fenced)));
    outcomes(b.run(with(new, 2, 3)));
    assert_eq!(stage.numbers(&of_stream("effects")), [1, 3]);
    let cursors = stage.view().subscriptions(Kind::Channel, &name("c")).unwrap();
    assert_eq!(cursors[0].cursor, 2);
}

pub(super) fn g6_a_batch_is_a_part_within_a_part(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    let stale = || batch([event_to("s", Any, 90), event_to("s", Expected::NoStream, 91)]);
    let broken = || batch([event_to("s", Any, 92), append("s", Any, &[]).into_operation()]);
    a.begin();
    a.session.savepoint().unwrap();
    a.apply(append("s", Any, &[2]));
    refused(a.apply(stale()));
    outcomes(a.apply(batch([event_to("s", Any, 3)])));
    a.session.end_savepoint(true).unwrap();
    a.session.savepoint().unwrap();
    outcomes(a.apply(batch([event_to("s", Any, 93)])));
    a.session.end_savepoint(false).unwrap();
    a.session.savepoint().unwrap();
    assert!(a.session.apply(&broken().into_operation()).is_err(), "that is no refusal");
    a.session.end_savepoint(false).unwrap();
    refused(a.apply(stale()));
    a.apply(append("s", Any, &[4]));
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 2, 3, 4]);
    assert_eq!(done(a.append("s", &[5])), (5, 5), "no position was used up");
}

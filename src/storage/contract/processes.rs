//! Processes: who is registered, who lives, whose turn it is, and the store in numbers.

use millpond_actors::error::{Error, Occupant};
use millpond_actors::limits;
use millpond_actors::storage::{Pulse, Standing};

use super::stage::*;

pub(super) fn processes_are_listed_with_what_they_said(stage: &Stage<'_>) {
    let mut a = stage.join_as(&identity("one", "boot"));
    let joined = stage.now().wall_ms;
    stage.pass(30);
    let b = stage.join_as(&identity("two", "boot"));
    let list = stage.view().processes(stage.now()).unwrap();
    let (ids, shown): (Vec<_>, Vec<_>) = list.iter().map(|process| (process.id, process.silent_ms)).unzip();
    assert_eq!(ids, [a.session.process(), b.session.process()]);
    assert_eq!(shown, [30, 0]);
    assert_eq!(list[0].identity, identity("one", "boot"));
    assert_eq!((list[0].joined_wall_ms, list[1].joined_wall_ms), (joined, joined + 30));
    assert!(list.iter().all(|process| process.alive));
    a.beat();
    assert_eq!(stage.view().processes(stage.now()).unwrap()[0].silent_ms, 0);
}

pub(super) fn a_dead_process_is_seen_at_once(stage: &Stage<'_>) {
    let (a, b) = (stage.join(), stage.join());
    let (a_id, b_id) = (a.session.process(), b.session.process());
    let mut view = stage.view();
    let before = view.pulse(0).unwrap();
    assert_eq!(before.living, [a_id, b_id]);
    drop(a);
    let after = view.pulse(0).unwrap();
    assert_eq!(after.living, [b_id]);
    let list = view.processes(stage.now()).unwrap();
    assert!(list.iter().all(|process| process.alive == (process.id == b_id)));
}

pub(super) fn process_ids_are_never_given_twice(stage: &Stage<'_>) {
    let mut last = 0;
    for _ in 0..5 {
        let mut a = stage.join();
        assert!(a.session.process() > last);
        last = a.session.process();
        a.beat();
    }
}

pub(super) fn a_newcomer_buries_the_dead(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.hold("l", 1_000_000);
    let (_, ticket) = b.wait("l", 1_000_000);
    drop(a);
    let mut c = stage.join();
    c.beat();
    let ids: Vec<u64> =
        stage.view().processes(stage.now()).unwrap().iter().map(|process| process.id).collect();
    assert_eq!(ids, [b.session.process(), c.session.process()]);
    assert_eq!(stage.line("l"), (Some(ticket), 0), "what it held was passed on");
}

pub(super) fn leaving_ends_a_process(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.beat();
    assert!(a.session.take_turn(false).unwrap());
    a.session.leave(stage.now()).unwrap();
    a.session.leave_turn();
    let mut view = stage.view();
    assert_eq!(view.processes(stage.now()), Ok(Vec::new()));
    assert_eq!(view.pulse(0).unwrap().living, [0; 0]);
}

pub(super) fn a_pulse_changes_with_every_commit_that_is_more_than_events(stage: &Stage<'_>) {
    let mut a = stage.join();
    let mut view = stage.view();
    let mut last = view.pulse(0).unwrap();
    assert_eq!(view.pulse(0).unwrap(), last, "and only then");
    for number in 1..=3 {
        a.begin();
        a.apply(append("s", millpond_actors::error::Expected::Any, &[number]));
        a.apply(try_acquire("l", 100));
        a.commit();
        let Pulse { groups, living, joined } = view.pulse(0).unwrap();
        assert_ne!(groups, last.groups);
        assert_eq!(living, [a.session.process()]);
        assert_eq!(view.pulse(a.session.process()).unwrap().groups, 0, "one's own do not count");
        last = Pulse { groups, living, joined };
    }
    a.begin();
    a.apply(append("s", millpond_actors::error::Expected::Any, &[9]));
    assert_eq!(view.pulse(0).unwrap(), last);
    a.rollback();
}

pub(super) fn d8_a_pulse_never_comes_back(stage: &Stage<'_>) {
    let mut view = stage.view();
    let mut seen = Vec::new();
    let mut looked = |pulse: Pulse| {
        assert!(!seen.contains(&pulse), "{pulse:?} again, after {seen:?}");
        seen.push(pulse);
    };
    let own = stage.join();
    looked(view.pulse(own.session.process()).unwrap());
    for _ in 0..3 {
        // Each takes the place of the one before, does as much, and dies, all between two looks.
        let mut other = stage.join();
        other.beat();
        drop(other);
        looked(view.pulse(own.session.process()).unwrap());
    }
}

pub(super) fn g8_one_has_the_turn_at_a_time(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert!(a.session.take_turn(false).unwrap());
    assert!(a.session.take_turn(true).unwrap(), "twice is the same as once");
    assert!(!b.session.take_turn(false).unwrap());
    a.session.leave_turn();
    assert!(b.session.take_turn(false).unwrap());
    assert!(!a.session.take_turn(false).unwrap());
}

pub(super) fn g8_whose_turn_it_is_is_known(stage: &Stage<'_>) {
    let who = identity("one", "boot");
    let (mut a, mut b) = (stage.join_as(&who), stage.join());
    let mut view = stage.view();
    assert_eq!((a.session.turn_holder(), view.turn_holder()), (None, Ok(None)));
    assert!(a.session.take_turn(false).unwrap());
    assert_eq!(a.session.turn_holder(), None, "one's own is not somebody else's");
    let first = b.session.turn_holder().unwrap();
    assert_eq!(first.occupant, Occupant::Process(who.named(a.session.process())));
    assert_eq!(view.turn_holder(), Ok(Some(first.clone())));
    a.session.leave_turn();
    assert_eq!((b.session.turn_holder(), view.turn_holder()), (None, Ok(None)));
    assert!(a.session.take_turn(false).unwrap());
    let second = b.session.turn_holder().unwrap();
    assert_eq!(second.occupant, first.occupant);
    assert_ne!(second.number, first.number, "another turn of the same process");
    drop(a);
    b.begin_behind_the_dead();
    b.rollback();
    assert_eq!((b.session.turn_holder(), view.turn_holder()), (None, Ok(None)), "its death ends it");
}

pub(super) fn g8_the_dead_leave_the_turn(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.begin();
    a.apply(append("s", millpond_actors::error::Expected::Any, &[1]));
    drop(a);
    assert_eq!(b.begin_behind_the_dead(), Standing::Good);
    assert_eq!(done(b.apply(append("s", millpond_actors::error::Expected::Any, &[2]))), (1, 1), "undone");
    b.commit();
}

pub(super) fn two_transactions_are_busy(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.begin();
    assert!(matches!(b.session.begin(stage.now()), Err(Error::Busy { .. })), "without the turn");
    assert!(!b.session.in_transaction());
    a.commit();
    assert_eq!(b.beat(), Standing::Good);
}

pub(super) fn a_waiting_bell_is_rung(stage: &Stage<'_>) {
    let (a, b) = (stage.join(), stage.join());
    let bell = b.session.bell();
    let (rang, ring) = std::sync::mpsc::channel();
    let rang = std::sync::Mutex::new(rang);
    bell.listen(Box::new(move || rang.lock().unwrap().send(()).unwrap_or(()))).unwrap();
    bell.waiting(true).unwrap();
    a.session.ring();
    let patience = std::time::Duration::from_secs(10);
    assert!(ring.recv_timeout(patience).is_ok(), "whoever waits is rung for");
    bell.waiting(false).unwrap();
}

pub(super) fn a_summary_counts_everything(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.append("a-1", &[1, 2]);
    a.append("a-2", &[3]);
    a.append("b", &[4]);
    let held = a.hold("l", 1_000);
    b.wait("l", 1_000);
    b.wait("l", 1_000);
    let free = b.hold("m", 1_000);
    b.release(free);
    let summary = stage.view().summary(stage.now()).unwrap();
    assert_eq!((summary.streams, summary.events, summary.head, summary.snapshots), (3, 4, 4, 0));
    assert_eq!(summary.categories, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!((summary.locks, summary.locks_held, summary.tickets_waiting), (2, 1, 2));
    a.release(held);
    assert_eq!(stage.view().summary(stage.now()).unwrap().tickets_waiting, 1);
}

pub(super) fn what_has_ended_does_not_count_as_held(stage: &Stage<'_>) {
    let counted = || {
        let summary = stage.view().summary(stage.now()).unwrap();
        let list = stage.view().processes(stage.now()).unwrap();
        let each: Vec<_> = list.iter().map(|process| (process.holds, process.waits)).collect();
        ((summary.locks_held, summary.tickets_waiting), each)
    };
    let (mut a, mut b, mut c) = (stage.join(), stage.join(), stage.join());
    a.hold("short", 100);
    a.hold("long", 1_000_000);
    b.hold("other", 1_000_000);
    b.wait("short", 1_000_000);
    c.wait("long", 1_000_000);
    assert_eq!(counted(), ((3, 2), vec![(2, 0), (1, 1), (0, 1)]));
    stage.pass(101);
    assert_eq!(counted(), ((2, 2), vec![(1, 0), (1, 1), (0, 1)]), "by time");
    drop((a, c));
    assert_eq!(counted(), ((1, 1), vec![(0, 0), (1, 1), (0, 0)]), "by death");
}

pub(super) fn a_grant_that_is_not_taken_up_is_soon_not_counted_any_more(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let held = a.hold("l", 1_000_000);
    b.wait("l", 1_000_000);
    stage.pass(10);
    a.release(held).unwrap();
    let counted = || {
        let list = stage.view().processes(stage.now()).unwrap();
        (stage.view().summary(stage.now()).unwrap().locks_held, list[1].holds)
    };
    let take_up = u64::try_from(limits::TAKE_UP.as_millis()).unwrap();
    stage.pass(take_up - 1);
    assert_eq!(counted(), (1, 1));
    stage.pass(1);
    assert_eq!(counted(), (0, 0), "its process has been silent since before the grant");
}

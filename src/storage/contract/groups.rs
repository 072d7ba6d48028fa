//! Groups: whole or not at all, a part undone alone, and the last group that is known.

use millpond_actors::error::Expected::Any;
use millpond_actors::storage::Summary;
use millpond_actors::storage::lock::Acquired;

use super::stage::*;

/// The store in numbers that do not depend on files.
fn numbers(stage: &Stage<'_>) -> Summary {
    Summary { file_bytes: 0, log_bytes: 0, schema: 0, ..stage.view().summary(stage.now()).unwrap() }
}

pub(super) fn g2_a_rollback_leaves_no_trace(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    let held = a.hold("l", 1_000);
    let before = numbers(stage);
    a.begin();
    a.apply(append("s", Any, &[2]));
    a.apply(append("t", Any, &[3, 4]));
    a.apply(acquire("m", 1_000));
    a.apply(acquire("l", 1_000));
    a.apply(leave(held.lock, held.ticket));
    assert!(a.session.in_transaction());
    a.rollback();
    assert!(!a.session.in_transaction());
    assert_eq!(numbers(stage), before);
    assert_eq!(stage.line("l"), (Some(held.ticket), 0));
    assert_eq!(stage.view().stream(&name("t")), Ok(None));
    assert_eq!(stage.view().lock(&name("m"), stage.now()), Ok(None));
    assert_eq!(done(a.append("s", &[2])), (2, 2), "no position, version or id was used up");
    assert_eq!(done(a.append("t", &[3, 4])), (2, 4));
    assert_eq!(a.hold("m", 1_000).token, held.token + 1, "nor a token");
    assert!(matches!(a.run(try_acquire("l", 1_000)), Acquired::Held));
}

pub(super) fn g2_what_was_rolled_back_never_surfaces(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    a.begin();
    a.apply(append("s", Any, &[1]));
    a.rollback();
    b.append("s", &[2]);
    a.beat();
    assert_eq!(stage.numbers(&all()), [2]);
    assert_eq!(stage.numbers(&of_stream("s")), [2]);
    assert_eq!(stage.numbers(&of_category("s")), [2]);
}

pub(super) fn g6_a_savepoint_is_undone_alone(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    assert_eq!(done(a.apply(append("s", Any, &[1]))), (1, 1));
    a.session.savepoint().unwrap();
    a.apply(append("s", Any, &[2, 3]));
    a.apply(acquire("l", 1_000));
    a.session.end_savepoint(false).unwrap();
    assert!(a.session.in_transaction());
    assert_eq!(done(a.apply(append("s", Any, &[4]))), (2, 2));
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 4]);
    assert_eq!(stage.view().lock(&name("l"), stage.now()), Ok(None));
}

pub(super) fn g6_savepoints_follow_one_another(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.begin();
    for (number, keep) in [(1, true), (2, false), (3, true), (4, false)] {
        a.session.savepoint().unwrap();
        a.apply(append("s", Any, &[number]));
        a.session.end_savepoint(keep).unwrap();
    }
    a.commit();
    assert_eq!(stage.numbers(&all()), [1, 3]);
}

pub(super) fn g2_a_rollback_undoes_kept_savepoints_too(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.append("s", &[1]);
    a.begin();
    a.apply(append("s", Any, &[2]));
    a.session.savepoint().unwrap();
    a.apply(append("s", Any, &[3]));
    a.session.end_savepoint(true).unwrap();
    a.session.savepoint().unwrap();
    a.apply(append("s", Any, &[4]));
    a.rollback();
    assert_eq!(stage.numbers(&all()), [1]);
    assert_eq!(done(a.append("s", &[5])), (2, 2));
}

pub(super) fn g4_the_last_group_is_known(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    let last_group = |player: &mut Player<'_, '_>| {
        player.begin();
        let group = player.session.last_group().unwrap();
        player.rollback();
        group
    };
    assert_eq!(last_group(&mut a), 0, "none yet");
    a.beat();
    a.beat();
    assert_eq!(last_group(&mut a), 2);
    assert_eq!(last_group(&mut b), 0, "each has its own");
    a.begin();
    a.apply(append("s", Any, &[1]));
    a.rollback();
    assert_eq!(last_group(&mut a), 2, "a rollback is no group");
    a.session.reopen().unwrap();
    assert_eq!(last_group(&mut a), 2, "it outlives the connection");
    b.beat();
    assert_eq!((last_group(&mut a), last_group(&mut b)), (2, 1));
}

pub(super) fn reopening_undoes_the_open_group_and_keeps_the_process(stage: &Stage<'_>) {
    let mut a = stage.join();
    let process = a.session.process();
    let held = a.hold("l", 1_000);
    a.begin();
    a.apply(append("s", Any, &[1]));
    a.session.reopen().unwrap();
    assert!(!a.session.in_transaction());
    assert_eq!(a.session.process(), process);
    a.session.leave_turn();
    assert_eq!(stage.line("l"), (Some(held.ticket), 0));
    assert_eq!(stage.view().pulse(0).unwrap().living, [process]);
    assert_eq!(done(a.append("s", &[1])), (1, 1));
}

pub(super) fn many_groups_stay_whole(stage: &Stage<'_>) {
    let mut a = stage.join();
    let mut expected = Vec::new();
    for number in 1..=300_u128 {
        a.begin();
        a.apply(append("s", Any, &[number * 2]));
        a.apply(append(&format!("t-{}", number % 7), Any, &[number * 2 + 1]));
        if number.is_multiple_of(3) {
            a.rollback();
        } else {
            a.commit();
            expected.extend([number * 2, number * 2 + 1]);
        }
    }
    assert_eq!(stage.numbers(&all()), expected);
}

/// How far a process came before it died.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Death {
    WithTheTurn,
    InTheGroup,
    InAPart,
    AfterAPart,
    AfterTheCommit,
    AfterPassingTheTurnOn,
    AfterACheckpoint,
    AfterAWholeCheckpoint,
    AfterLeaving,
}

impl Death {
    const ALL: [Death; 9] = [
        Death::WithTheTurn,
        Death::InTheGroup,
        Death::InAPart,
        Death::AfterAPart,
        Death::AfterTheCommit,
        Death::AfterPassingTheTurnOn,
        Death::AfterACheckpoint,
        Death::AfterAWholeCheckpoint,
        Death::AfterLeaving,
    ];

    /// Two events and a lock in one group, as far as it comes.
    fn of(self, stage: &Stage<'_>, first: u128) {
        let mut dying = stage.join();
        assert!(dying.session.take_turn(false).unwrap(), "{self:?}: whoever died before left the turn");
        if self == Death::WithTheTurn {
            return;
        }
        dying.session.begin(stage.now()).unwrap();
        dying.apply(append("s", Any, &[first]));
        if self >= Death::InAPart && self <= Death::AfterAPart {
            dying.session.savepoint().unwrap();
        }
        dying.apply(append("s", Any, &[first + 1]));
        dying.apply(acquire("l", 1_000));
        if self == Death::AfterAPart {
            dying.session.end_savepoint(true).unwrap();
        }
        if self < Death::AfterTheCommit {
            return;
        }
        dying.session.commit(1).unwrap();
        match self {
            Death::AfterPassingTheTurnOn => dying.session.leave_turn(),
            Death::AfterACheckpoint => dying.session.checkpoint(false).unwrap(),
            Death::AfterAWholeCheckpoint => dying.session.checkpoint(true).unwrap(),
            Death::AfterLeaving => dying.session.leave(stage.now()).unwrap(),
            _ => {}
        }
    }
}

pub(super) fn g7_wherever_a_process_dies_its_group_is_whole_or_absent(stage: &Stage<'_>) {
    let mut expected = Vec::new();
    for (number, death) in (0_u128..).map(|number| 10 * number + 1).zip(Death::ALL) {
        death.of(stage, number);
        if death >= Death::AfterTheCommit {
            expected.extend([number, number + 1]);
        }
        // The next one opens without help, sees what was committed and nothing else, and can write at once; what the
        // dead one held is free.
        let mut next = stage.join();
        assert_eq!(stage.numbers(&of_stream("s")), expected, "{death:?}");
        let held = next.hold("l", 1_000);
        next.append("s", &[number + 2]);
        next.release(held);
        expected.push(number + 2);
        assert_eq!(stage.numbers(&of_stream("s")), expected, "{death:?}");
        assert_eq!(stage.view().stream(&name("s")).unwrap().unwrap().version, expected.len() as u64);
    }
}

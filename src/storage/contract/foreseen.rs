//! What comes of operations that were foreseen: what would have come of them.

use millpond_actors::storage::lock::{Acquired, Grant, Leave, Left};
use millpond_actors::storage::{Apply as _, Operation, Outcome};

use super::stage::*;

/// Two families of locks see the same: of one each group is foreseen. Groups that are undone are half applied.
pub(super) fn g2_what_was_foreseen_comes_to_what_it_would_have(stage: &Stage<'_>) {
    let mut a = stage.join();
    let names = ["x", "y"].map(|family| [0, 1].map(|n| format!("{family}{n}")));
    let ids = names.each_ref().map(|names| {
        names.each_ref().map(|name| {
            let first = a.hold(name, 100_000);
            assert_eq!(a.release(first), None);
            first.lock
        })
    });
    // All tickets so far, by family.
    let mut tickets: [Vec<Leave>; 2] = Default::default();
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for round in 0..100 {
        let plan: Vec<_> = (0..=next(8)).map(|_| (next(5), next(2), next(9))).collect();
        let told = [0, 1].map(|family| {
            let (names, ids) = (&names[family], ids[family]);
            let known = tickets[family].clone();
            let operation = |&(what, lock, which): &(usize, usize, usize)| match known.iter().rev().nth(which)
            {
                Some(&ticket) if what < 3 => ticket.into_operation(),
                _ => {
                    let mut wanted = if which < 4 {
                        acquire(&names[lock], 100_000)
                    } else {
                        try_acquire(&names[lock], 100_000)
                    };
                    wanted.lock.id = (what > 0).then_some(ids[lock]);
                    wanted.into_operation()
                }
            };
            let operations: Vec<Operation> = plan.iter().map(operation).collect();
            a.begin();
            if family == 0 {
                a.session.foresee(&operations.iter().collect::<Vec<_>>());
            }
            let undone = round % 4 == 3;
            let applied =
                operations.iter().take(if undone { operations.len() / 2 } else { operations.len() });
            let told: Vec<String> = applied
                .map(|operation| shape(&mut tickets[family], a.session.apply(operation).unwrap()))
                .collect();
            if undone {
                a.rollback();
                tickets[family] = known;
            } else {
                a.commit();
            }
            told
        });
        assert_eq!(told[0], told[1], "{round}");
    }
    for lock in [0, 1] {
        let [(x, x_waiting), (y, y_waiting)] = names.each_ref().map(|names| stage.line(&names[lock]));
        let nth =
            |family: usize, ticket| tickets[family].iter().position(|known| Some(known.ticket) == ticket);
        assert_eq!((nth(0, x), x_waiting), (nth(1, y), y_waiting));
    }
}

/// What an outcome says, with tickets as how many of the family there were before.
fn shape(tickets: &mut Vec<Leave>, outcome: Outcome) -> String {
    let (lock, ticket, what) = match outcome {
        Outcome::LockAcquire(Acquired::Granted(grant)) => (grant.lock, grant.ticket, "granted"),
        Outcome::LockAcquire(Acquired::Waiting { lock, ticket }) => (lock, ticket, "waiting"),
        Outcome::LockLeave(Left { was, next }) => {
            let nth = |grant: &Grant| tickets.iter().position(|known| known.ticket == grant.ticket);
            return format!("{was:?} {:?}", next.iter().map(nth).collect::<Vec<_>>());
        }
        other => return format!("{other:?}"),
    };
    assert!(tickets.last().is_none_or(|last| last.ticket < ticket), "they increase");
    tickets.push(leave(lock, ticket));
    what.to_owned()
}

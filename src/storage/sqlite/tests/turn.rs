//! The writers' turn goes to whoever waits for it, and waits for nobody who was stopped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::sync::Sidecar;
use super::super::turn::TURNS_IN_A_ROW;
use super::Fixture;

#[test]
fn g8_after_some_turns_in_a_row_whoever_waits_is_waited_for_but_not_for_long() {
    let fixture = Fixture::new();
    let [here, stopped] = [(); 2].map(|()| Sidecar::open(&fixture.backend.place).unwrap());
    let turn = || {
        let gave_way = here.give_way().unwrap();
        assert!(here.take_turn(7, false).unwrap());
        here.leave_turn();
        gave_way
    };
    for _ in 0..4 * TURNS_IN_A_ROW {
        assert!(!turn(), "nobody waits");
    }
    // Of a process that waits and was stopped, this is all that the others see.
    stopped.want_turn(true).unwrap();
    let turns = (0..TURNS_IN_A_ROW + 1).map(|_| turn());
    assert_eq!(turns.filter(|gave_way| *gave_way).count(), 1);
    for _ in 0..4 * TURNS_IN_A_ROW {
        assert!(!turn(), "who did not take it is not waited for each time");
    }
}

#[test]
fn g8_of_two_who_always_want_the_turn_none_has_it_many_times_in_a_row() {
    const TURNS: usize = 200;
    let fixture = Fixture::new();
    let (taken, one_is_done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    // Both are there before one of them has the turn.
    let sessions = [fixture.join(0), fixture.join(0)];
    std::thread::scope(|scope| {
        for (who, mut session) in sessions.into_iter().enumerate() {
            let (taken, one_is_done) = (&taken, &one_is_done);
            let others = Sidecar::open(&fixture.backend.place).unwrap();
            scope.spawn(move || {
                for _ in 0..TURNS {
                    session.give_way();
                    assert!(session.take_turn(true).unwrap());
                    taken.lock().unwrap().push(who);
                    while !others.turn_is_wanted().unwrap() && !one_is_done.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    session.leave_turn();
                }
                one_is_done.store(true, Ordering::SeqCst);
            });
        }
    });
    let taken = taken.into_inner().unwrap();
    let both = [0, 1].map(|who| taken.iter().rposition(|it| *it == who).unwrap()).into_iter().min().unwrap();
    let rows: Vec<usize> = taken[..both].chunk_by(|a, b| a == b).map(<[_]>::len).collect();
    // One whom the system does not let run for some milliseconds is taken for one who was stopped.
    let too_many: usize = rows.iter().map(|row| row.saturating_sub(TURNS_IN_A_ROW as usize)).sum();
    assert!(too_many * 2 < both, "{too_many} of {both} turns were the other one's: {rows:?}");
}

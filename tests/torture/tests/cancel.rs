//! The short form of callers who go away, and what each oracle must notice. Threads are counted: nothing else is here.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::time::Duration;

use serde_json::json;
use torture::cancel::{Mutant, Settings, run};

#[test]
fn g3_g7_l6_r1_q1_nothing_is_left_of_callers_who_go_away() {
    let settings = Settings { rounds: 60, ..Settings::default() };
    let report = run(&settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.cancelled > 100 && report.pops > 10 && report.acked > 100, "{shown}");
}

#[test]
fn whatever_is_left_of_a_caller_is_noticed() {
    for mutant in Mutant::ALL {
        let patience = Duration::from_millis(if mutant == Mutant::Halved { 20_000 } else { 700 });
        // Who loses his patience, and what he has then, depends on the threads too.
        let is_noticed = |seed| {
            let settings =
                Settings { seed, rounds: 4, patience, mutant: Some(mutant), ..Settings::default() };
            let report = run(&settings).unwrap();
            mutant.breaks().iter().all(|(broken, words)| report.violations.complain(*broken, words))
        };
        assert!((1..=8).any(is_noticed), "{mutant:?}");
    }
}

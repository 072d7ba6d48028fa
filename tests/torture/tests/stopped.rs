//! The short form of a process that is stopped inside a write transaction, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::stopped::{Mutant, Settings, run};

/// The program whose children are stopped and killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g3_g8_who_stands_still_inside_a_commit_is_named_and_nobody_waits_for_ever() {
    let settings = Settings { rounds: 3, timed: false, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.rounds == 3 && report.busy == 9 && report.reads > 9, "{shown}");
}

#[test]
fn every_lie_about_a_process_that_stands_still_is_noticed() {
    for mutant in Mutant::ALL {
        let settings = Settings { rounds: 1, timed: false, mutant: Some(mutant), ..Settings::default() };
        let report = run(program(), &settings).unwrap();
        let (broken, words) = mutant.breaks();
        assert!(report.violations.complain(broken, words), "{mutant:?}: {}", json!(report));
    }
}

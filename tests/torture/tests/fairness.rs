//! The short form of processes that all want to write, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::fairness::{Mutant, Settings, run};

/// The program whose children write and are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g8_everybody_is_served_whoever_is_killed_with_the_turn() {
    let settings = Settings { seconds: 3, timed: false, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.kills > 0 && report.writes > 100, "{shown}");
}

#[test]
fn who_is_never_served_and_what_is_lost_is_noticed() {
    for mutant in [Mutant::Starved, Mutant::Forgetful] {
        let settings = Settings { seconds: 2, timed: false, mutant: Some(mutant), ..Settings::default() };
        let report = run(program(), &settings).unwrap();
        assert!(report.violations.count(&[mutant.breaks()]) > 0, "{mutant:?}: {}", json!(report));
    }
}

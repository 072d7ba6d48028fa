//! The short form of the schedules whose keepers are killed, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::schedules::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn q5_each_time_of_a_schedule_is_done_for_once_while_its_keepers_die() {
    let report = run(program(), &Settings { seconds: 3, ..Settings::default() }).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.due == 24 && report.pushed > 24 && report.kills > 0, "{shown}");
}

#[test]
fn every_lie_about_a_schedule_is_noticed() {
    let noticed = noticed(program(), &Settings { seconds: 1, ..Settings::default() }).unwrap();
    assert_eq!(noticed, Mutant::ALL);
}

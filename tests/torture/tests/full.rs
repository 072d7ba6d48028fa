//! The short form of a disk that is full, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::full::{Mutant, Settings, run};

/// The program whose children have a small disk of their own, where that is permitted.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g3_g13_a_full_disk_is_said_to_be_full_and_all_goes_on_when_there_is_room() {
    let settings = Settings { writes: 16, stride: 3, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.runs > 30 && report.refused > 500 && report.acked > 2_000, "{shown}");
    assert!(report.mounted == 6 || report.skipped.is_some(), "{shown}");
}

#[test]
fn every_lie_about_a_full_disk_is_noticed() {
    for mutant in Mutant::ALL {
        let settings = Settings { writes: 4, mutant: Some(mutant), ..Settings::default() };
        let report = run(program(), &settings).unwrap();
        let (broken, words) = mutant.breaks();
        assert!(report.violations.complain(broken, words), "{mutant:?}: {}", json!(report));
    }
}

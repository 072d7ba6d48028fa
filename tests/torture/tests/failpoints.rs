//! Every failpoint in every way once, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use millpond::failpoint::Point;
use serde_json::json;
use torture::failpoints::{How, Mutant, Settings, run};

/// The program in whose children something happens.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g1_g2_g3_g7_g10_whatever_happens_at_any_point_promises_are_kept() {
    let settings = Settings { rounds: 1, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert_eq!(report.runs, (Point::ALL.len() * How::ALL.len()) as u64, "{shown}");
    assert!(report.words.acked > 1_000 && report.words.refused > 0 && report.unopened > 0, "{shown}");
}

#[test]
fn every_lie_about_a_failpoint_is_noticed() {
    for mutant in Mutant::ALL {
        let settings = Settings { rounds: 1, mutant: Some(mutant), ..Settings::default() };
        let report = run(program(), &settings).unwrap();
        assert!(report.violations.count(&[mutant.breaks()]) > 0, "{mutant:?}: {}", json!(report));
    }
}

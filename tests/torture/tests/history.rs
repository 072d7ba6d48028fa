//! The short form of the histories, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::history::{Mutant, Settings, run};

/// The program whose children are killed and stopped.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g5_a2_l1_l2_one_order_explains_every_answer() {
    let settings = Settings { rounds: 24, seconds: Some(12), ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty() && report.undecided == 0, "{shown}");
    assert!(report.histories > 20 && report.kills > 0 && report.unknown > 0, "{shown}");
}

#[test]
fn every_order_that_cannot_be_is_noticed() {
    for (seed, mutant) in (1..).zip(Mutant::ALL) {
        let settings = Settings { seed, rounds: 3, mutant: Some(mutant), ..Settings::default() };
        let report = run(program(), &settings).unwrap();
        let complaints: Vec<_> = report.violations.iter().map(|(broken, _)| *broken).collect();
        assert!(complaints.contains(&mutant.breaks()), "{mutant:?}: {}", json!(report));
    }
}

//! The short form of the kill test, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::kill::{Mutant, Settings, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g1_g2_q1_q6_c1_c2_lg1_nothing_acknowledged_is_lost_or_torn_by_kills() {
    let settings = Settings { kills: 40, seed: 7, seconds: Some(12), timed: false, mutant: None };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.kills >= 4 && report.acked > 0 && report.reads > 0, "{shown}");
}

#[test]
fn every_oracle_complains_of_its_mutant() {
    // Those of the primitives are tried without any kill.
    for (seed, name) in (1..).zip(["lost", "shrunk", "other"]) {
        let mutant = Mutant::all().find(|mutant| mutant.name() == name);
        let settings = Settings { kills: 4, seed, mutant, timed: false, seconds: None };
        let report = run(program(), &settings).unwrap();
        let complaints: Vec<_> = report.violations.iter().map(|(broken, _)| *broken).collect();
        assert!(complaints.contains(&mutant.unwrap().breaks()), "{mutant:?}: {complaints:?}");
    }
}

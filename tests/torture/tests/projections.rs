//! The short form of the projections whose processes are killed, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::projections::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn a7_each_event_is_projected_once_while_projectors_die() {
    let report = run(program(), &Settings { events: 6_000, kills: 4, ..Settings::default() }).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.events > 6_000 && report.kills_live == 4 && report.reactions > 500, "{shown}");
}

#[test]
fn every_lie_about_a_projection_is_noticed() {
    let noticed = noticed(program(), &Settings { events: 2_000, kills: 1, ..Settings::default() }).unwrap();
    assert_eq!(noticed, Mutant::ALL);
}

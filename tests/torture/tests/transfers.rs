//! The short form of the transfers whose processes are killed, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::transfers::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn a3_transfers_conserve_the_sum_while_their_processes_die() {
    let report = run(program(), &Settings { transfers: 150, ..Settings::default() }).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.done > 50 && report.undone > 0 && report.kills > 0, "{shown}");
}

#[test]
fn every_lie_about_a_transfer_is_noticed() {
    let noticed = noticed(program(), &Settings { transfers: 60, ..Settings::default() }).unwrap();
    assert_eq!(noticed, Mutant::ALL);
}

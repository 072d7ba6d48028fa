//! The short form of the large blob whose writers are killed, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::blobs::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn b4_b8_a_blob_whose_writer_is_killed_was_never_there_and_nobody_takes_much_memory() {
    let report = run(program(), &Settings { mib: 12, kills: 2, ..Settings::default() }).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.kills == 2 && report.killed_chunks > 2 * 12, "{shown}");
}

#[test]
fn every_lie_about_a_large_blob_is_noticed() {
    let noticed = noticed(program(), &Settings { mib: 3, kills: 1, ..Settings::default() }).unwrap();
    assert_eq!(noticed, Mutant::ALL);
}

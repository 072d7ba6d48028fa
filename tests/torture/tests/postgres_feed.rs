//! The short form of the feed of a store on a server, and a mutant for every oracle. Skipped, which is said, if there is no server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::postgres_feed::{Mutant, Settings, noticed, run};

/// The program whose children write and follow.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

fn short() -> Settings {
    Settings { writers: 4, events: 100, timed: false, ..Settings::default() }
}

#[test]
fn g16_lg2_whoever_follows_is_given_everything_once_and_in_one_order() {
    let report = run(program(), &short()).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.skipped || report.events == 400 && report.shared > 0, "{shown}");
    assert!(report.skipped || report.came == 2 * 400 + 2 * report.shared_events, "{shown}");
}

#[test]
fn what_was_skipped_doubled_or_lost_is_noticed() {
    if let Some(noticed) = noticed(program(), &short()).unwrap() {
        assert_eq!(noticed, Mutant::ALL);
    }
}

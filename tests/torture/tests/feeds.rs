//! The short form of the channel and the log that are followed while publishers and subscribers die, and a mutant for every
//! oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::feeds::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn c1_c2_c3_c4_lg1_lg3_what_comes_is_in_a_row_while_publishers_and_subscribers_die() {
    let settings = Settings { messages: 6_000, every_ms: 300, timed: false, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.messages > 3_000 && report.records > 0 && report.kills > 0, "{shown}");
    assert!(report.came > 0 && report.acked > 0, "{shown}");
}

#[test]
fn every_lie_about_what_came_is_noticed() {
    // Who was slow enough to miss something, and who had which turn, depends on the machine too.
    let mut left = Mutant::ALL.to_vec();
    for seed in 1..=8 {
        let settings = Settings { seed, messages: 6_000, every_ms: 300, timed: false, ..Settings::default() };
        let noticed = noticed(program(), &settings).unwrap();
        left.retain(|mutant| !noticed.contains(mutant));
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:?}");
}

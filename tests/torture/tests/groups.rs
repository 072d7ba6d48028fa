//! The short form of the group whose consumers are killed and stopped, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::groups::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn c2_each_message_comes_to_one_of_a_group_in_the_order_of_its_key_while_consumers_die() {
    let settings = Settings { messages: 2_000, every_ms: 200, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.messages > 1_000 && report.acked > 1_000 && report.members > 8, "{shown}");
    assert!(report.handled > report.messages && report.kills > 0, "{shown}");
}

#[test]
fn every_lie_about_a_group_is_noticed() {
    let mut left = Mutant::ALL.to_vec();
    for seed in 1..=4 {
        let settings = Settings { seed, messages: 2_000, every_ms: 200, ..Settings::default() };
        let noticed = noticed(program(), &settings).unwrap();
        left.retain(|mutant| !noticed.contains(mutant));
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:?}");
}

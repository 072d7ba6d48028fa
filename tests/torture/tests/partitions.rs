//! The short form of reactors that share partitions and are killed and stopped, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::partitions::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn c2_partitions_change_hands_and_each_event_comes_in_the_order_of_its_stream() {
    let settings = Settings { hands: 30, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.hands >= 30 && report.reacted >= report.events && report.events > 100, "{shown}");
}

#[test]
fn every_lie_about_partitions_is_noticed() {
    let mut left = Mutant::ALL.to_vec();
    for seed in 1..=4 {
        let settings = Settings { seed, hands: 10, ..Settings::default() };
        let noticed = noticed(program(), &settings).unwrap();
        left.retain(|mutant| !noticed.contains(mutant));
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:?}");
}

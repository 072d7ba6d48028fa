//! The short form of the queue that is worked on while its workers die, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::jobs::{Mutant, Settings, noticed, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn q1_q2_q3_q4_q5_q6_each_job_is_done_once_while_workers_die() {
    let settings = Settings { jobs: 800, every_ms: 200, timed: false, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert_eq!(report.jobs, report.done + report.dead, "{shown}");
    assert!(report.done > 100 && report.dead > 0 && report.kills > 0, "{shown}");
}

#[test]
fn every_lie_about_a_job_is_noticed() {
    // There may be no poison among so few, or nobody whose job was tried again.
    let mut left = Mutant::ALL.to_vec();
    for seed in 1..=8 {
        let settings = Settings { seed, jobs: 600, every_ms: 300, timed: false, ..Settings::default() };
        let noticed = noticed(program(), &settings).unwrap();
        left.retain(|mutant| !noticed.contains(mutant));
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:?}");
}

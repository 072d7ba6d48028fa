//! The short form of virtual time: promises kept for a while, the same trace for the same seed wherever it is run, and what
//! each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::process::Command;

use torture::sim::{Mutant, Settings, run};

#[test]
fn t17_promises_are_kept_in_virtual_time() {
    let settings = Settings { minutes: 8, ..Settings::default() };
    let report = run(&settings).unwrap();
    let shown = report.json(&settings).unwrap();
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.sum(|f| f.answers) > 1_000 && report.sum(|f| f.grants) > 100, "{shown}");
    assert!(
        report.sum(|f| f.kills) > 2 && report.sum(|f| f.stops) > 5 && report.sum(|f| f.panics) > 5,
        "{shown}"
    );
    assert!(report.sum(|f| f.fenced) > 10 && report.sum(|f| f.taken_over) > 5, "{shown}");
}

#[test]
fn t17_the_same_seed_gives_the_same_trace_in_every_process() {
    let trace = |seed: &str| {
        let program = env!("CARGO_BIN_EXE_torture");
        let ran = Command::new(program).args(["sim", "--minutes", "2", "--seed", seed]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let said: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        said.get("trace").and_then(|trace| trace.as_str().map(str::to_owned)).unwrap()
    };
    let first = trace("7");
    assert_eq!(trace("7"), first);
    assert_ne!(trace("8"), first);
}

#[test]
fn every_oracle_complains_of_its_mutants() {
    for mutant in Mutant::ALL.iter().copied() {
        let is_noticed = |seed| {
            let settings = Settings { seed, minutes: 4, mutant: Some(mutant), ..Settings::default() };
            let report = run(&settings).unwrap();
            report.violations.iter().any(|(broken, _)| mutant.breaks().contains(broken))
        };
        assert!((1..=4).any(is_noticed), "{mutant:?}");
    }
}

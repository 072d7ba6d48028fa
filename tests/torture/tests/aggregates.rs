//! The short form of the hot aggregates and the bank that are used while their processes die, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::aggregates::{Mutant, Part, Settings, noticed, run};
use torture::report::Complaint as _;

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

fn settings() -> Settings {
    Settings { commands: 3_000, tasks: 32, processes: 4, every_ms: 200, ..Settings::default() }
}

#[test]
fn a1_a2_a3_a4_a5_aggregates_are_what_their_events_make_them_while_processes_die() {
    let report = run(program(), &settings()).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.acked > 1_000 && report.rejected > 0 && report.fell > 0, "{shown}");
    assert!(report.repeated > 0, "{shown}");
    assert!(report.letters > 0 && report.damaged > 0 && report.kills > 0, "{shown}");
}

#[test]
fn every_lie_about_a_command_is_noticed() {
    let mut left: Vec<Mutant> = Mutant::ALL.into_iter().filter(|mutant| !mutant.spoils_the_store()).collect();
    // Of so few there may be none to be spoilt in some way.
    for seed in 1..=8 {
        let bank = Settings { seed, commands: 1_500, part: Some(Part::Bank), ..settings() };
        let noticed = noticed(program(), &bank).unwrap();
        left.retain(|mutant| !noticed.contains(mutant));
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:?}");
}

#[test]
fn decisions_on_what_was_seen_outside_and_forged_snapshots_and_lost_ids_are_noticed() {
    for mutant in Mutant::ALL.into_iter().filter(|mutant| mutant.spoils_the_store()) {
        let bank = Settings { commands: 3_000, part: Some(Part::Bank), mutant: Some(mutant), ..settings() };
        let is_noticed = |seed: u64| {
            let report = run(program(), &Settings { seed, ..bank.clone() }).unwrap();
            mutant.breaks().is_among(&report.violations)
        };
        assert!((1..=8).any(is_noticed), "{mutant:?}");
    }
}

//! The short forms of the lock tests, and a mutant for every oracle.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::sections::Broken;
use torture::{clocks, locks, zombies};

/// The program whose children are killed and stopped.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

fn line(mutant: Option<locks::Mutant>) -> (locks::Report, String) {
    let settings = locks::Settings {
        processes: 4,
        lanes: 2,
        grants: if mutant.is_some() { 60 } else { 250 },
        seconds: Some(6),
        mutant,
        timed: false,
        ..locks::Settings::default()
    };
    let report = locks::run(program(), &settings).unwrap();
    let shown = json!(report).to_string();
    (report, shown)
}

#[test]
fn l1_l5_one_at_a_time_in_order_while_holders_are_killed() {
    let (report, shown) = line(None);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.grants > 10 && report.kills > 4, "{shown}");
}

#[test]
fn the_judge_of_the_line_complains_of_its_mutants() {
    for mutant in locks::Mutant::ALL {
        let (report, shown) = line(Some(mutant));
        assert!(report.violations.iter().any(|(broken, _)| *broken == mutant.breaks()), "{shown}");
    }
}

#[test]
fn l3_nothing_of_a_zombie_lands() {
    let settings = zombies::Settings { rounds: 6, timed: false, ..zombies::Settings::default() };
    let report = zombies::run(program(), &settings).unwrap();
    assert!(report.violations.is_empty(), "{}", json!(report));
    assert!(report.landed > 0 && report.refused > 0, "{}", json!(report));
}

#[test]
fn the_judge_of_zombies_complains_of_its_mutants() {
    for mutant in zombies::Mutant::ALL {
        let settings = zombies::Settings { seed: 2, rounds: 3, mutant: Some(mutant), timed: false };
        let report = zombies::run(program(), &settings).unwrap();
        let landed = report.violations.iter().any(|(broken, _)| *broken == Broken::Landed);
        assert!(landed, "{}", json!(report));
    }
}

#[test]
fn l1_who_asked_first_and_wrote_later_is_not_a_second_holder() {
    let settings = clocks::Settings { rounds: 6, timed: false, ..clocks::Settings::default() };
    let report = clocks::run_delayed(program(), &settings).unwrap();
    assert!(report.violations.is_empty(), "{}", json!(report));
    let settings = clocks::Settings { rounds: 1, mutant: Some(clocks::Mutant::Unlocked), ..settings };
    let report = clocks::run_delayed(program(), &settings).unwrap();
    let overlap = report.violations.iter().any(|(broken, _)| *broken == Broken::Overlap);
    assert!(overlap, "{}", json!(report));
}

/// Needs libfaketime, and to be built with the feature `faketime`.
#[test]
#[cfg_attr(not(feature = "faketime"), ignore = "cargo test -p torture --features faketime")]
fn g12_leases_do_not_notice_a_wall_clock_that_jumps() {
    let settings = clocks::Settings { rounds: 6, timed: false, ..clocks::Settings::default() };
    let report = clocks::run(program(), &settings).unwrap();
    assert!(report.violations.is_empty(), "{}", json!(report));
    for mutant in clocks::Mutant::ALL {
        let settings = clocks::Settings { rounds: 3, mutant: Some(mutant), ..settings };
        let report = clocks::run(program(), &settings).unwrap();
        let caught = report.violations.iter().any(|(broken, _)| *broken == mutant.breaks());
        assert!(caught, "{mutant:?}: {}", json!(report));
    }
}

//! The short form of the power cuts, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use serde_json::json;
use torture::power::{Mutant, Settings, run};

#[test]
fn g1_g2_g7_q1_q6_c1_c2_lg1_nothing_acknowledged_is_lost_when_the_power_fails() {
    let settings = Settings { rounds: 16, images: 1_200, every: 2, ..Settings::default() };
    let report = run(&settings).unwrap();
    let shown = json!(report);
    assert!(report.figures.violations.is_empty(), "{shown}");
    assert!(report.acked > 50 && report.figures.written > 20, "{shown}");
    // Callers shared their groups.
    assert!(report.operations > report.groups, "{shown}");
}

#[test]
fn every_mistake_of_store_disk_or_reader_is_noticed() {
    for mutant in Mutant::ALL {
        // Which groups there are depends on the threads too, so that one run may have none that it shows in.
        let noticed = |seed| {
            let settings = Settings {
                seed,
                rounds: 8,
                images: 400,
                every: 3,
                mutant: Some(mutant),
                ..Settings::default()
            };
            let figures = run(&settings).unwrap().figures;
            mutant.breaks().iter().all(|broken| figures.violations.count(&[*broken]) > 0)
        };
        assert!((1..=8).any(noticed), "{mutant:?}");
    }
}

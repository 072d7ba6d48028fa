//! The short form of the serial order, and what its oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::serial::{Mutant, Settings, run};

/// The program whose children are killed.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g2_g5_the_positions_are_one_order_that_explains_every_read() {
    let settings = Settings { writes: 2_000, images: 0, seconds: Some(8), ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.answered > 50 && report.reads > 50 && report.kills > 0, "{shown}");
}

#[test]
fn g1_what_a_reader_was_shown_is_there_when_the_power_is_back() {
    let settings = Settings { writes: 0, images: 500, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.shown > 10 && report.images >= 500, "{shown}");
}

#[test]
fn every_read_that_fits_no_order_is_noticed() {
    for mutant in Mutant::ALL {
        let (writes, images) = if mutant == Mutant::Unsynced { (0, 400) } else { (400, 0) };
        // Which groups there are depends on the threads too, so that one run may have none that it shows in.
        let is_noticed = |seed| {
            let settings = Settings { seed, writes, images, mutant: Some(mutant), ..Settings::default() };
            let report = run(program(), &settings).unwrap();
            report.violations.iter().any(|(broken, _)| *broken == mutant.breaks())
        };
        assert!((1..=4).any(is_noticed), "{mutant:?}");
    }
}

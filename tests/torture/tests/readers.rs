//! The short form of the slow readers, and what their oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::readers::{Mutant, Report, Settings, run};

/// Runs a program whose child reads and is stopped.
fn readers(mutant: Option<Mutant>) -> (Report, String) {
    let growing = !matches!(mutant, Some(Mutant::Hole | Mutant::Twice));
    let settings = Settings {
        writes: if growing { 1_600 } else { 200 },
        readers: 2,
        left: 20,
        stops: u64::from(mutant.is_none()),
        checkpoint_pages: 200,
        mutant,
        timed: false,
        ..Settings::default()
    };
    let report = run(Path::new(env!("CARGO_BIN_EXE_torture")), &settings).unwrap();
    let shown = json!(report).to_string();
    (report, shown)
}

#[test]
fn g5_g13_slow_readers_keep_the_log_short_and_miss_nothing() {
    let (report, shown) = readers(None);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.read > 0 && report.stopped_inside == 1 && report.anew_after > 0, "{shown}");
    // Otherwise nobody was in the way.
    assert!(report.log_bytes[2] > report.log_bytes[1], "{shown}");
}

#[test]
fn a_log_that_grows_and_a_reader_that_misses_something_are_noticed() {
    for mutant in Mutant::ALL {
        let (report, shown) = readers(Some(mutant));
        assert!(report.violations.iter().any(|(broken, _)| *broken == mutant.breaks()), "{shown}");
    }
}

//! The short form of processes that count one number up, and what the oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::counters::{Mutant, Settings, run};

/// The program whose children count.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

fn short() -> Settings {
    Settings { times: 200, lanes: 2, processes: 4, timed: false, ..Settings::default() }
}

#[test]
fn a4_every_time_is_counted_whoever_counts_at_once() {
    let report = run(program(), &short()).unwrap();
    assert!(report.violations.is_empty(), "{}", json!(report));
    assert_eq!(report.sum, 800);
}

#[test]
fn what_is_counted_once_or_twice_too_often_is_noticed() {
    for mutant in Mutant::ALL {
        let report = run(program(), &Settings { mutant: Some(mutant), ..short() }).unwrap();
        assert!(report.violations.count(&[mutant.breaks()]) > 0, "{mutant:?}: {}", json!(report));
    }
}

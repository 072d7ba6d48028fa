//! The short forms of the I/O sweep and of syncs that fail, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use serde_json::json;
use torture::workload::told::Counts;
use torture::{fsync, io};

#[test]
fn g3_g6_g13_a_call_that_fails_is_told_and_nothing_else_is_lost() {
    let settings = io::Settings { rounds: 4, stride: 2, ..io::Settings::default() };
    let report = io::run(&settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    let Counts { refused, unknown, settled, .. } = report.words;
    assert!(refused > 0 && unknown > 0 && settled > 0 && report.unopened > 0, "{shown}");
    assert!(report.spilled > 0, "no group was too large for the cache: {shown}");
}

#[test]
fn every_lie_about_a_failed_call_is_noticed() {
    for mutant in io::Mutant::ALL {
        let is_noticed = |seed| {
            let settings =
                io::Settings { seed, rounds: 3, stride: 1, mutant: Some(mutant), ..io::Settings::default() };
            io::run(&settings).unwrap().violations.count(&[mutant.breaks()]) > 0
        };
        assert!((1..=8).any(is_noticed), "{mutant:?}");
    }
}

#[test]
fn g1_g3_what_a_failed_sync_dropped_was_not_acknowledged() {
    // Every sync and what comes at once; some syncs and what comes of it later.
    for (stride, every, images_a_run) in [(1, 1, 42), (4, 4, 140)] {
        let settings = fsync::Settings {
            rounds: 6,
            images: 700,
            images_a_run,
            every,
            stride,
            ..fsync::Settings::default()
        };
        let report = fsync::run(&settings).unwrap();
        let shown = json!(report);
        assert!(report.figures.violations.is_empty(), "{shown}");
        assert!(report.runs > 3 && report.words.acked > 0 && report.words.refused > 0, "{shown}");
    }
}

#[test]
fn every_lie_about_a_failed_sync_is_noticed() {
    for mutant in fsync::Mutant::ALL {
        // Which groups there are depends on the threads too, so that one run may have no group that it shows in.
        let is_noticed = |seed| {
            let settings = fsync::Settings {
                seed,
                rounds: 6,
                images: 1_000,
                images_a_run: 210,
                every: 3,
                stride: 3,
                mutant: Some(mutant),
                ..fsync::Settings::default()
            };
            fsync::run(&settings).unwrap().figures.violations.count(&[mutant.breaks()]) > 0
        };
        assert!((1..=8).any(is_noticed), "{mutant:?}");
    }
}

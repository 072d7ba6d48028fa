//! The short form of harmed files, and what its judge must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use serde_json::json;
use torture::files;

#[test]
fn g14_what_is_read_from_harmed_files_is_what_was_written_or_an_error() {
    let settings = files::Settings { flips: 150, contents: 3, stride: 7, ..files::Settings::default() };
    let report = files::run(&settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.in_contents > 50 && report.missed_by_sqlite == report.in_contents, "{shown}");
    assert!(
        report.harms.len() >= 6 && report.refused.len() >= 2 && report.corrupt >= report.in_contents,
        "{shown}"
    );
}

#[test]
fn every_lie_about_harmed_files_is_noticed() {
    for mutant in files::Mutant::ALL {
        let settings = files::Settings {
            flips: 0,
            contents: 1,
            stride: 9,
            lanes: 1,
            mutant: Some(mutant),
            ..files::Settings::default()
        };
        let report = files::run(&settings).unwrap();
        assert!(report.violations.count(&[mutant.breaks()]) > 0, "{mutant:?}");
    }
}

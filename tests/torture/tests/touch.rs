//! Foreign hands on a store in use, and what their judge must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::touch;

fn run(only: &str, mutant: Option<touch::Mutant>) -> (touch::Report, String) {
    let settings = touch::Settings { only: only.to_owned(), mutant, ..touch::Settings::default() };
    let report = touch::run(Path::new(env!("CARGO_BIN_EXE_torture")), &settings).unwrap();
    let shown = json!(report).to_string();
    (report, shown)
}

#[test]
fn g14_foreign_hands_are_survived_or_refused_and_nothing_is_lost_silently() {
    let (report, shown) = run("", None);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.cases >= 25 && report.refused >= 8, "{shown}");
}

#[test]
fn every_lie_about_foreign_hands_is_noticed() {
    for (only, mutant) in [
        ("removed", touch::Mutant::Deaf),
        ("checkpointed", touch::Mutant::Forgetful),
        ("an event deleted", touch::Mutant::Silent),
        ("vacuumed", touch::Mutant::Timid),
    ] {
        let (report, shown) = run(only, Some(mutant));
        assert!(report.violations.count(&[mutant.breaks()]) > 0, "{mutant:?}: {shown}");
    }
    assert_eq!(touch::Mutant::ALL.len(), 4);
}

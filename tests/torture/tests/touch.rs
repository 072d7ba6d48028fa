//! Foreign hands on a store in use, and what their judge must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use torture::touch;

fn run(only: &str, mutant: Option<touch::Mutant>) -> touch::Report {
    let settings = touch::Settings { only: only.to_owned(), mutant };
    touch::run(Path::new(env!("CARGO_BIN_EXE_torture")), &settings).unwrap()
}

#[test]
fn g14_foreign_hands_are_survived_or_refused_and_nothing_is_lost_silently() {
    let report = run("", None);
    assert!(report.violations.is_empty(), "{}", report.json());
    assert!(report.cases >= 25 && report.refused >= 8, "{}", report.json());
}

#[test]
fn every_lie_about_foreign_hands_is_noticed() {
    for (only, mutant) in [
        ("removed", touch::Mutant::Deaf),
        ("checkpointed", touch::Mutant::Forgetful),
        ("an event deleted", touch::Mutant::Silent),
        ("vacuumed", touch::Mutant::Timid),
    ] {
        let report = run(only, Some(mutant));
        assert!(report.count(mutant.breaks()) > 0, "{mutant:?}: {}", report.json());
    }
    assert_eq!(touch::Mutant::ALL.len(), 4);
}

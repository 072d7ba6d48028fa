//! The short form of code that falls over, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::time::Duration;

use serde_json::json;
use torture::panics::{Mutant, Place, Settings, run};

#[test]
fn g3_g10_a5_r1_a_panic_is_the_affair_of_whose_code_it_was() {
    for place in Place::ALL {
        let settings = Settings { rounds: 40, place: Some(place), ..Settings::default() };
        let report = run(&settings).unwrap();
        let shown = json!(report);
        assert!(report.violations.is_empty(), "{place:?}: {shown}");
        assert!(report.panics > 0, "{place:?} is never reached: {shown}");
    }
}

#[test]
fn whoever_suffers_from_anothers_panic_is_noticed() {
    for mutant in Mutant::ALL {
        let patience = Duration::from_millis(if mutant == Mutant::Silent { 500 } else { 20_000 });
        let settings = Settings { rounds: 12, patience, mutant: Some(mutant), ..Settings::default() };
        let report = run(&settings).unwrap();
        assert!(report.violations.count(&[mutant.breaks()]) > 0, "{mutant:?}: {}", json!(report));
    }
}

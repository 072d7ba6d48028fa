//! The short form of a store whose server is taken from it, and a mutant for every oracle. Skipped, which is said, if there is no
//! server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use serde_json::json;
use torture::postgres_loss::{Mutant, Settings, noticed, run};

fn short() -> Settings {
    Settings { times: 1, timed: false, ..Settings::default() }
}

#[test]
fn g16_every_answer_is_true_while_the_server_is_taken_away_and_comes_back() {
    let report = run(&short()).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.skipped || report.acked > 0 && report.followed > 0 && report.reads > 0, "{shown}");
    assert!(report.skipped || report.harms.values().all(|times| *times == 1), "{shown}");
}

#[test]
fn every_lie_about_what_became_of_a_call_is_noticed() {
    if let Some(noticed) = noticed(&short()).unwrap() {
        assert_eq!(noticed, Mutant::ALL);
    }
}

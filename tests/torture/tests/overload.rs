//! The short form of a store that is offered more than it can take, and what each oracle must notice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::path::Path;

use serde_json::json;
use torture::overload::{Mutant, Settings, run};

/// The program whose child is overloaded.
fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_torture"))
}

#[test]
fn g3_g9_more_than_it_can_take_is_refused_and_takes_no_memory() {
    let settings = Settings { waves: 6, timed: false, ..Settings::default() };
    let report = run(program(), &settings).unwrap();
    let shown = json!(report);
    assert!(report.violations.is_empty(), "{shown}");
    assert!(report.overloaded > 100 && report.acked > 1_000 && report.cancelled > 1_000, "{shown}");
}

#[test]
fn what_an_overloaded_store_must_not_do_is_noticed() {
    for mutant in Mutant::ALL {
        // Without a gate it takes many to fill the memory, with one it shows at once.
        let waves = if mutant == Mutant::Ungated { 14 } else { 1 };
        // How many are inside at once depends on the machine too.
        let is_noticed = |seed| {
            let settings = Settings { seed, waves, timed: false, mutant: Some(mutant) };
            let (broken, words) = mutant.breaks();
            run(program(), &settings).unwrap().violations.complain(broken, words)
        };
        assert!((1..=6).any(is_noticed), "{mutant:?}");
    }
}

//! What every primitive of the workload must do: be used, be judged, and notice each of its mutants.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that is wrong about this should fail")]

use std::collections::BTreeSet;

use futures_executor::block_on;
use millpond::Store;
use torture::look::{Seen, look};
use torture::recording::folder;
use torture::workload::{ALL, Line, Told, Word, Workload, mutants};

/// What callers were told of a store, and what is in it.
fn used(seed: u64) -> (Vec<Word>, Seen) {
    let folder = folder().unwrap();
    let file = folder.path().join("used.db");
    let told = Told::default();
    let store = block_on(Store::open(&file)).unwrap();
    let mut workload = Workload::new(&told, seed);
    for _ in 0..6 {
        workload.each(&store);
        workload.round(&store);
    }
    block_on(store.close()).unwrap();
    let seen = look(&file, true);
    (told.take(), seen)
}

#[test]
fn each_is_used_and_its_mutants_are_noticed() {
    let mut left: Vec<_> = mutants().collect();
    let names: BTreeSet<_> = left.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), left.len());
    // Of so little there may be nothing to be spoilt in some way.
    for seed in 1..=8 {
        let (words, seen) = used(seed);
        let unsound: Vec<_> = seen.violations.iter().chain(&seen.accuse(&words)).cloned().collect();
        assert!(unsound.is_empty(), "{unsound:?}");
        for primitive in ALL {
            let acked = words.iter().filter(|word| word.is_acked()).filter_map(Word::fact);
            assert!(acked.filter(|fact| fact.of == primitive.name()).count() > 5, "{primitive:?}");
            assert!(!primitive.mutants().is_empty(), "{primitive:?}");
        }
        left.retain(|mutant| {
            let (mut words, mut seen) = (words.clone(), seen.clone());
            let is_spoilt = (mutant.spoil)(&mut words, &mut seen);
            seen.index();
            let complaints = seen.check().into_iter().chain(seen.accuse(&words));
            let noticed: BTreeSet<_> = complaints.map(|(broken, _)| broken).collect();
            assert!(!is_spoilt || noticed.contains(&mutant.breaks), "{mutant:?}: {noticed:?}");
            !is_spoilt
        });
        if left.is_empty() {
            return;
        }
    }
    panic!("{left:?}");
}

#[test]
fn the_same_seed_asks_for_the_same() {
    let facts = |seed| {
        let facts = used(seed).0.into_iter().filter_map(|word| word.fact().cloned());
        // A ledger has tokens in it, which depend on who was faster, and so does who consumes or works on what.
        let open = facts.filter(|fact| ["events", "aggregate", "log"].contains(&fact.of));
        open.map(|fact| (fact.stream, fact.content)).collect::<BTreeSet<_>>()
    };
    assert_eq!(facts(3), facts(3));
    assert_ne!(facts(3), facts(4));
}

#[test]
fn a_word_arrives_as_it_was_said() {
    for word in used(2).0.into_iter().filter(|word| !matches!(word, Word::Saw(_))) {
        let line = serde_json::to_string(&Line::of(&word).unwrap()).unwrap();
        assert!(line.len() < 1_000, "{line}");
        let heard = serde_json::from_str::<Line>(&line).unwrap().word().unwrap();
        assert_eq!(format!("{heard:?}"), format!("{word:?}"));
    }
}

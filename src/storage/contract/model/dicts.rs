//! What may happen to dicts.

use millpond_actors::storage::dict::{
    Clear, DropIndex, Expected, Increment, Kept, MakeIndex, Query, Remove, Seal, Set,
};
use millpond_actors::storage::filter::Path;
use millpond_actors::storage::{Data, Operation};
use proptest::prelude::*;

use super::super::stage::*;
use super::Pair;
use crate::Where;

const DICTS: [&str; 3] = ["d", "e", "s"];
const KEYS: [&str; 6] = ["a", "a1", "a2", "b", "ab", "ä"];
const PATHS: [&str; 3] = [".", "a", "a[0]"];
/// What is put there beside numbers, of all types.
const VALUES: [&str; 9] = [
    "null",
    "true",
    "\"1\"",
    "1.0",
    "{\"a\":1}",
    "{\"a\":[\"x\"]}",
    "{\"a\":\"xy\"}",
    "[2]",
    "{\"a\":10e-1}",
];
const FILTERS: [&str; 9] = [
    ". = 1",
    "a = 1 and . exists",
    "a >= \"x\" and a < \"y\"",
    "not a exists",
    "a in (1, \"xy\", null)",
    "a[0] begins with \"x\"",
    ". > -3 and . <= 4",
    ". != 2 or a = 1",
    "a = 1 and . = 1",
];
const PREFIXES: [&str; 4] = ["", "a", "a1", "x"];

/// One operation on a dict.
#[derive(Clone, Debug)]
pub(super) enum DictStep {
    Set { at: (usize, usize), value: i64, life_ms: Option<u64>, expected: Expected },
    Remove { at: (usize, usize), expected: Expected },
    Increment { at: (usize, usize), by: i64 },
    Clear { dict: usize, prefix: usize, limit: u32 },
    Seal { dict: usize },
    SetValue { at: (usize, usize), value: usize, life_ms: Option<u64> },
    Index { dict: usize, paths: Vec<usize>, limit: u32 },
    Unindex { dict: usize, path: usize, limit: u32 },
}

pub(super) fn dict_steps() -> impl Strategy<Value = DictStep> {
    let at = || (0..DICTS.len(), 0..KEYS.len());
    let expected = || {
        prop_oneof![
            4 => Just(Expected::Any),
            2 => Just(Expected::Absent),
            2 => Just(Expected::Present),
            2 => (1..9_u64).prop_map(Expected::Version),
        ]
    };
    let life = prop::option::weighted(0.4, prop_oneof![Just(1_u64), Just(20), Just(500), Just(20_000)]);
    let value = prop_oneof![4 => -9..9_i64, 1 => Just(i64::MAX)];
    let paths = prop::sample::subsequence((0..PATHS.len()).collect::<Vec<_>>(), 1..=PATHS.len());
    prop_oneof![
        6 => (at(), 0..VALUES.len(), life.clone()).prop_map(|(at, value, life_ms)| {
            DictStep::SetValue { at, value, life_ms }
        }),
        1 => (0..DICTS.len()).prop_map(|dict| DictStep::Seal { dict }),
        2 => (0..DICTS.len(), paths, 1..5_u32).prop_map(|(dict, paths, limit)| {
            DictStep::Index { dict, paths, limit }
        }),
        1 => (0..DICTS.len(), 0..PATHS.len(), 1..3_u32).prop_map(|(dict, path, limit)| {
            DictStep::Unindex { dict, path, limit }
        }),
        6 => (at(), value, life, expected()).prop_map(|(at, value, life_ms, expected)| {
            DictStep::Set { at, value, life_ms, expected }
        }),
        3 => (at(), expected()).prop_map(|(at, expected)| DictStep::Remove { at, expected }),
        3 => (at(), -3..9_i64).prop_map(|(at, by)| DictStep::Increment { at, by }),
        1 => (0..DICTS.len(), 0..PREFIXES.len(), 1..4_u32).prop_map(|(dict, prefix, limit)| {
            DictStep::Clear { dict, prefix, limit }
        }),
    ]
}

/// A step as an operation.
pub(super) fn operation(step: &DictStep) -> Operation {
    let place = |at: &(usize, usize)| (name(DICTS[at.0]), KEYS[at.1].into());
    match step {
        DictStep::Set { at, value, life_ms, expected } => {
            let ((dict, key), data) = (place(at), Data::Json(value.to_string()));
            Operation::DictSet(Set { dict, key, data, schema: 1, life_ms: *life_ms, expected: *expected })
        }
        DictStep::Remove { at, expected } => {
            let (dict, key) = place(at);
            Operation::DictRemove(Remove { dict, key, sealed: false, expected: *expected })
        }
        DictStep::Increment { at, by } => {
            let (dict, key) = place(at);
            Operation::DictIncrement(Increment { dict, key, by: *by })
        }
        DictStep::Seal { dict } => {
            Operation::DictSeal(Seal { dict: name(DICTS[*dict]), seal: Box::from(&b"seal"[..]) })
        }
        // In most dicts what is sealed is refused; one that is sealed in time takes nothing else.
        DictStep::SetValue { at, value: 0, life_ms } => {
            let ((dict, key), data) = (place(at), Data::Sealed(b"sealed".to_vec()));
            let (life_ms, expected) = (*life_ms, Expected::Any);
            Operation::DictSet(Set { dict, key, data, schema: 1, life_ms, expected })
        }
        DictStep::SetValue { at, value, life_ms } => {
            let ((dict, key), data) = (place(at), Data::Json(VALUES[*value].to_owned()));
            let (life_ms, expected) = (*life_ms, Expected::Any);
            Operation::DictSet(Set { dict, key, data, schema: 1, life_ms, expected })
        }
        DictStep::Index { dict, paths, limit } => {
            let paths = paths.iter().map(|at| Path::parse(PATHS[*at]).unwrap()).collect();
            Operation::DictIndex(MakeIndex { dict: name(DICTS[*dict]), paths, limit: *limit })
        }
        DictStep::Unindex { dict, path, limit } => {
            let paths = vec![Path::parse(PATHS[*path]).unwrap()];
            Operation::DictUnindex(DropIndex { dict: name(DICTS[*dict]), paths, limit: *limit })
        }
        DictStep::Clear { dict, prefix, limit } => {
            let (dict, prefix) = (name(DICTS[*dict]), PREFIXES[*prefix].into());
            Operation::DictClear(Clear { dict, prefix, sealed: false, limit: *limit })
        }
    }
}

/// All of them, on both sides.
pub(super) fn compare(pair: &mut Pair) {
    let now = pair.now;
    pair.compare(|view| view.dicts(None, 9, now));
    for dict in DICTS {
        for (prefix, backward, limit) in [("", false, 99), ("a", true, 2), ("a", false, 1)] {
            let query =
                Query { dict: name(dict), prefix: prefix.into(), after: None, backward, filter: None, limit };
            pair.compare(|view| view.dict_page(&query, now));
        }
        pair.compare(|view| view.dict_indexes(&name(dict)));
        let kept = pair.compare(|view| view.dict_kept(&name(dict)));
        for (at, text) in FILTERS.into_iter().enumerate() {
            let (prefix, backward, limit) =
                [("", false, 99), ("a", true, 1), ("", true, 99), ("a", false, 2)][at % 4];
            let filter = Some(text.parse::<Where>().unwrap().filter().unwrap());
            let query =
                Query { dict: name(dict), prefix: prefix.into(), after: None, backward, filter, limit };
            if matches!(kept, Some(Kept::Sealed(_))) {
                let found = pair.both(|side| (side.view.dict_page(&query, now), side.view.dict_ways(&query)));
                assert!(found.0.is_err() && found.1.is_err(), "nothing of it can be looked into");
                continue;
            }
            pair.compare(|view| view.dict_page(&query, now));
            pair.compare(|view| view.dict_ways(&query));
        }
        pair.compare(|view| view.dict_entry(&name(dict), "a1", now));
    }
}

//! What may happen to dicts.

use millpond_actors::storage::dict::{Clear, Expected, Increment, Query, Remove, Set};
use millpond_actors::storage::{Data, Operation};
use proptest::prelude::*;

use super::super::stage::*;
use super::Pair;

const DICTS: [&str; 2] = ["d", "e"];
const KEYS: [&str; 6] = ["a", "a1", "a2", "b", "ab", "ä"];
const PREFIXES: [&str; 4] = ["", "a", "a1", "x"];

/// One operation on a dict.
#[derive(Clone, Debug)]
pub(super) enum DictStep {
    Set { at: (usize, usize), value: i64, life_ms: Option<u64>, expected: Expected },
    Remove { at: (usize, usize), expected: Expected },
    Increment { at: (usize, usize), by: i64 },
    Clear { dict: usize, prefix: usize, limit: u32 },
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
    prop_oneof![
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
            Operation::DictRemove(Remove { dict, key, expected: *expected })
        }
        DictStep::Increment { at, by } => {
            let (dict, key) = place(at);
            Operation::DictIncrement(Increment { dict, key, by: *by })
        }
        DictStep::Clear { dict, prefix, limit } => {
            let (dict, prefix) = (name(DICTS[*dict]), PREFIXES[*prefix].into());
            Operation::DictClear(Clear { dict, prefix, limit: *limit })
        }
    }
}

/// All of them, on both sides.
pub(super) fn compare(pair: &mut Pair) {
    let now = pair.now;
    pair.compare(|view| view.dicts(None, 9, now));
    for dict in DICTS {
        for (prefix, backward, limit) in [("", false, 99), ("a", true, 2), ("a", false, 1)] {
            let query = Query { dict: name(dict), prefix: prefix.into(), after: None, backward, limit };
            pair.compare(|view| view.dict_page(&query, now));
        }
        pair.compare(|view| view.dict_entry(&name(dict), "a1", now));
    }
}

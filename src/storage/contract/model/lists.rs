//! What may happen to lists.

use millpond_actors::storage::list::{At, End, Insert, Move, NewItem, Query, Remove, Replace, Take, Trim};
use millpond_actors::storage::{Data, Operation};
use proptest::prelude::*;

use super::super::stage::*;
use super::Pair;

const LISTS: [&str; 2] = ["l", "m"];

/// One operation on a list.
#[derive(Clone, Debug)]
pub(super) enum ListStep {
    Insert { list: usize, at: At, values: Vec<i64> },
    Take { list: usize, end: End, most: u32 },
    Remove { list: usize, index: i64, expected: Option<u64> },
    Replace { list: usize, index: i64, value: i64, expected: Option<u64> },
    Move { list: usize, index: i64, to: usize, at: At },
    Trim { list: usize, from: i64, to: Option<i64>, limit: u32 },
}

pub(super) fn list_steps() -> impl Strategy<Value = ListStep> {
    let list = || 0..LISTS.len();
    let index = || -4..6_i64;
    let end = || prop_oneof![Just(End::Front), Just(End::Back)];
    let at = || prop_oneof![2 => end().prop_map(At::End), 1 => index().prop_map(At::Index)];
    let expected = || prop::option::weighted(0.3, 1..9_u64);
    // Some are more than a node holds.
    let values =
        prop_oneof![9 => prop::collection::vec(0..9_i64, 1..4), 1 => prop::collection::vec(0..9_i64, 200)];
    prop_oneof![
        6 => (list(), at(), values).prop_map(|(list, at, values)| ListStep::Insert { list, at, values }),
        3 => (list(), end(), 1..90_u32).prop_map(|(list, end, most)| ListStep::Take { list, end, most }),
        2 => (list(), index(), expected()).prop_map(|(list, index, expected)| {
            ListStep::Remove { list, index, expected }
        }),
        2 => (list(), index(), 0..9_i64, expected()).prop_map(|(list, index, value, expected)| {
            ListStep::Replace { list, index, value, expected }
        }),
        2 => (list(), index(), list(), at()).prop_map(|(list, index, to, at)| {
            ListStep::Move { list, index, to, at }
        }),
        1 => (list(), index(), prop::option::of(index()), 1..90_u32).prop_map(|(list, from, to, limit)| {
            ListStep::Trim { list, from, to, limit }
        }),
    ]
}

/// A step as an operation.
pub(super) fn operation(step: &ListStep) -> Operation {
    let named = |list: &usize| name(LISTS[*list]);
    let item = |value: &i64| NewItem { data: Data::Json(value.to_string()), schema: 1 };
    match step {
        ListStep::Insert { list, at, values } => {
            let items = values.iter().map(item).collect();
            Operation::ListInsert(Insert { list: named(list), at: *at, items })
        }
        ListStep::Take { list, end, most } => {
            Operation::ListTake(Take { list: named(list), end: *end, most: *most })
        }
        ListStep::Remove { list, index, expected } => {
            Operation::ListRemove(Remove { list: named(list), index: *index, expected: *expected })
        }
        ListStep::Replace { list, index, value, expected } => {
            let (list, item) = (named(list), item(value));
            Operation::ListReplace(Replace { list, index: *index, item, expected: *expected })
        }
        ListStep::Move { list, index, to, at } => {
            let (list, to) = (named(list), named(to));
            Operation::ListMove(Move { list, index: *index, to, at: *at, expected: None })
        }
        ListStep::Trim { list, from, to, limit } => {
            Operation::ListTrim(Trim { list: named(list), from: *from, to: *to, limit: *limit })
        }
    }
}

/// All of them, on both sides.
pub(super) fn compare(pair: &mut Pair) {
    pair.compare(|view| view.lists(None, 9));
    for list in LISTS {
        for (from, limit) in [(0, 999), (-2, 9)] {
            let query = Query { list: name(list), from, limit };
            pair.compare(|view| view.list_page(&query));
        }
    }
}

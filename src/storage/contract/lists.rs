//! Lists: an order of their own, in which items are put, read and taken anywhere.

use millpond_actors::name::Name;
use millpond_actors::storage::batch::{Applied, Batch};
use millpond_actors::storage::list::{
    At, End, Insert, Inserted, Item, Move, Moved, NewItem, Page, Query, Remove, Removed, Replace, Replaced,
    Take, Taken, Trim, clamped, within,
};
use millpond_actors::storage::{Apply, Data};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::stage::*;

const FRONT: At = At::End(End::Front);
const BACK: At = At::End(End::Back);

fn new(number: u64) -> NewItem {
    NewItem { data: Data::Json(number.to_string()), schema: 1 }
}

fn insert(list: &str, at: At, numbers: impl IntoIterator<Item = u64>) -> Insert {
    Insert { list: name(list), at, items: numbers.into_iter().map(new).collect() }
}

fn take(end: End, most: u32) -> Take {
    Take { list: name("l"), end, most }
}

fn remove(index: i64, expected: Option<u64>) -> Remove {
    Remove { list: name("l"), index, expected }
}

fn replace(index: i64, number: u64, expected: Option<u64>) -> Replace {
    Replace { list: name("l"), index, item: new(number), expected }
}

fn step(index: i64, to: &str, at: At) -> Move {
    Move { list: name("l"), index, to: name(to), at, expected: None }
}

fn trim(from: i64, to: Option<i64>, limit: u32) -> Trim {
    Trim { list: name("l"), from, to, limit }
}

fn page(stage: &Stage<'_>, list: &Name, from: i64, limit: u32) -> Page {
    stage.view().list_page(&Query { list: list.clone(), from, limit }).unwrap()
}

fn number(item: &Item) -> u64 {
    std::str::from_utf8(item.data.bytes()).unwrap().parse().unwrap()
}

/// All of it, page after page of so many.
fn numbers(stage: &Stage<'_>, list: &str, limit: u32) -> Vec<u64> {
    let (list, mut all) = (name(list), Vec::new());
    loop {
        let page = page(stage, &list, all.len() as i64, limit);
        assert_eq!(page.first, all.len() as u64);
        if page.items.is_empty() {
            assert_eq!(page.count, all.len() as u64);
            return all;
        }
        all.extend(page.items.iter().map(|item| number(item.as_ref().unwrap())));
    }
}

pub(super) fn items_are_put_at_both_ends_and_between(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(stage.view().list(&name("l")), Ok(None));
    assert_eq!(page(stage, &name("l"), 0, 9), Page::default());
    let Inserted::Done { list, index: 0, version: 2, count: 2 } = a.run(insert("l", BACK, [1, 2])) else {
        panic!("it is new")
    };
    assert_eq!(b.run(insert("l", FRONT, [3, 4])), Inserted::Done { list, index: 0, version: 4, count: 4 });
    assert_eq!(
        a.run(insert("l", At::Index(-1), [5])),
        Inserted::Done { list, index: 3, version: 5, count: 5 }
    );
    assert_eq!(
        a.run(insert("l", At::Index(5), [6])),
        Inserted::Done { list, index: 5, version: 6, count: 6 }
    );
    assert_eq!(a.run(insert("l", At::Index(7), [7])), Inserted::Missing { count: 6 });
    assert_eq!(a.run(insert("l", At::Index(-7), [7])), Inserted::Missing { count: 6 });
    assert_eq!(a.run(insert("x", At::Index(1), [7])), Inserted::Missing { count: 0 });
    assert_eq!(stage.view().list(&name("x")), Ok(None), "nothing came into being");
    for limit in [1, 2, 100] {
        assert_eq!(numbers(stage, "l", limit), [3, 4, 1, 5, 2, 6]);
    }
    let last = page(stage, &name("l"), -2, 9);
    assert_eq!((last.first, last.items.len(), last.count), (4, 2, 6));
    let first = page(stage, &name("l"), -100, 1);
    assert_eq!((first.first, first.items.len()), (0, 1));
    let bytes = NewItem { data: Data::Bincode(vec![0, 255]), schema: 7 };
    a.run(Insert { list: name("L"), at: BACK, items: vec![bytes] });
    let item = Item { version: 1, data: Data::Bincode(vec![0, 255]), schema: 7 };
    assert_eq!(page(stage, &name("L"), 0, 9).items, [Ok(item)]);
    let heads = stage.view().lists(None, 9).unwrap();
    assert_eq!(heads.iter().map(|head| head.name.as_str()).collect::<Vec<_>>(), ["L", "l"]);
    assert_eq!((heads[1].id, heads[1].version, heads[1].count), (list, 6, 6));
    assert_eq!(stage.view().lists(Some("L"), 9).unwrap(), heads[1..]);
}

pub(super) fn items_are_taken_from_either_end_the_outermost_first(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(a.run(take(End::Front, 1)), Taken { list: None, items: vec![], left: 0 });
    a.run(insert("l", BACK, 1..=6));
    let taken = b.run(take(End::Front, 2));
    assert_eq!((taken.items.iter().map(number).collect::<Vec<_>>(), taken.left), (vec![1, 2], 4));
    let taken = a.run(take(End::Back, 3));
    assert_eq!((taken.items.iter().map(number).collect::<Vec<_>>(), taken.left), (vec![6, 5, 4], 1));
    assert_eq!(taken.list.unwrap().1, 8);
    assert_eq!(a.run(take(End::Back, 9)).items.len(), 1);
    assert_eq!(a.run(take(End::Back, 9)), Taken { list: Some((1, 9)), items: vec![], left: 0 });
    a.run(insert("l", FRONT, [7]));
    assert_eq!(numbers(stage, "l", 9), [7], "it is used again");
}

pub(super) fn a4_an_item_that_is_meant_by_its_version_is_that_one(stage: &Stage<'_>) {
    let (mut a, mut b) = (stage.join(), stage.join());
    assert_eq!(a.run(remove(0, None)), Removed::Missing { count: 0 });
    assert_eq!(a.run(replace(0, 1, None)), Replaced::Missing { count: 0 });
    a.run(insert("l", BACK, 1..=3));
    assert_eq!(a.run(remove(-1, Some(2))), Removed::Conflict { actual: 3 });
    b.run(take(End::Front, 1));
    assert_eq!(a.run(remove(0, Some(1))), Removed::Conflict { actual: 2 }, "the first is another one now");
    assert_eq!(a.run(replace(0, 9, Some(1))), Replaced::Conflict { actual: 2 });
    assert_eq!(a.run(replace(0, 9, Some(2))), Replaced::Done { list: 1, version: 5 });
    assert_eq!(a.run(replace(2, 9, None)), Replaced::Missing { count: 2 });
    assert_eq!(a.run(replace(-1, 8, None)), Replaced::Done { list: 1, version: 6 });
    let Removed::Done { index: 1, version: 7, item, .. } = b.run(remove(-1, Some(6))) else { panic!() };
    assert_eq!((number(&item), item.version), (8, 6));
    assert_eq!(numbers(stage, "l", 9), [9]);
    assert_eq!(a.run(remove(1, None)), Removed::Missing { count: 1 });
}

pub(super) fn an_item_is_moved_within_its_list_and_to_another_one(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(insert("l", BACK, 1..=5));
    let moved = |index, item| Moved::Done { lists: [(1, 6); 2], index, item };
    assert_eq!(a.run(step(0, "l", At::Index(2))), moved(2, None));
    assert_eq!(numbers(stage, "l", 9), [2, 3, 1, 4, 5]);
    a.run(step(-1, "l", FRONT));
    a.run(step(1, "l", BACK));
    assert_eq!(numbers(stage, "l", 9), [5, 3, 1, 4, 2]);
    let items = page(stage, &name("l"), 0, 9).items;
    let versions: Vec<u64> = items.iter().map(|item| item.as_ref().unwrap().version).collect();
    assert_eq!(versions, [5, 3, 1, 4, 2], "whoever has read one knows it again");
    assert_eq!(a.run(step(5, "l", BACK)), Moved::Missing { list: name("l"), index: 5, count: 5 });
    assert_eq!(a.run(step(0, "l", At::Index(5))), Moved::Missing { list: name("l"), index: 5, count: 4 });
    let meant = Move { expected: Some(4), ..step(0, "l", BACK) };
    assert_eq!(a.run(meant), Moved::Conflict { actual: 5 });

    assert_eq!(a.run(step(0, "m", At::Index(1))), Moved::Missing { list: name("m"), index: 1, count: 0 });
    assert_eq!(stage.view().list(&name("m")), Ok(None), "nothing came into being");
    let Moved::Done { lists: [(1, 9), (2, 1)], index: 0, item: Some(item) } = a.run(step(0, "m", BACK))
    else {
        panic!()
    };
    assert_eq!((number(&item), item.version), (5, 1));
    a.run(step(-1, "m", FRONT));
    assert_eq!((numbers(stage, "l", 9), numbers(stage, "m", 9)), (vec![3, 1, 4], vec![2, 5]));
    let none = Move { list: name("none"), ..step(0, "l", BACK) };
    assert_eq!(a.run(none), Moved::Missing { list: name("none"), index: 0, count: 0 });
}

pub(super) fn what_is_not_to_be_kept_is_removed_a_few_at_a_time(stage: &Stage<'_>) {
    let mut a = stage.join();
    let trimmed = a.run(trim(0, Some(0), 9));
    assert_eq!((trimmed.list, trimmed.removed, trimmed.more), (None, 0, false));
    a.run(insert("l", BACK, 1..=10));
    assert_eq!(a.run(trim(0, None, 9)).list, Some((1, 10)), "nothing was to do");
    let trimmed = a.run(trim(2, Some(5), 6));
    assert_eq!((trimmed.list, trimmed.removed, trimmed.kept), (Some((1, 11)), 6, (1, 4)));
    let next = trim(2, Some(5), 6).next(&trimmed).unwrap();
    assert_eq!(a.run(next).removed, 1);
    assert_eq!(numbers(stage, "l", 9), [3, 4, 5]);
    a.run(trim(-2, None, 9));
    assert_eq!(numbers(stage, "l", 9), [4, 5]);
    a.run(trim(0, Some(0), 9));
    assert_eq!(stage.view().list(&name("l")).unwrap().unwrap().count, 0);
}

pub(super) fn g2_a_list_is_a_part_of_its_batch(stage: &Stage<'_>) {
    let mut a = stage.join();
    a.run(insert("l", BACK, 1..=3));
    let both = |index| Batch {
        parts: vec![
            insert("l", BACK, [9]).into_operation(),
            take(End::Front, 1).into_operation(),
            remove(index, None).into_operation(),
        ],
    };
    assert!(matches!(a.run(both(3)), Applied::Refused { part: 2, .. }));
    assert_eq!(numbers(stage, "l", 9), [1, 2, 3], "nothing of it was written");
    assert!(matches!(a.run(both(1)), Applied::Done(_)));
    assert_eq!(numbers(stage, "l", 9), [2, 9]);
    a.begin();
    a.apply(insert("l", BACK, 0..500));
    a.apply(take(End::Front, 400));
    a.rollback();
    assert_eq!(numbers(stage, "l", 9), [2, 9]);
    a.run(insert("l", BACK, [7]));
    assert_eq!(numbers(stage, "l", 9), [2, 9, 7]);
}

/// What happens to the list and to a vector beside it.
#[derive(Clone, Debug)]
enum Happens {
    Insert(i64, u64),
    Push(bool, u64),
    Take(bool, u32),
    Remove(i64),
    Replace(i64),
    Move(i64, i64),
    Trim(i64, Option<i64>, u32),
}

fn happens() -> impl Strategy<Value = Happens> {
    let many = prop_oneof![5 => 1..5_u64, 1 => 100..400_u64];
    let index = || prop_oneof![3 => -6..12_i64, 1 => -300..300_i64];
    prop_oneof![
        4 => (index(), many.clone()).prop_map(|(at, n)| Happens::Insert(at, n)),
        4 => (any::<bool>(), many.clone()).prop_map(|(back, n)| Happens::Push(back, n)),
        3 => (any::<bool>(), many).prop_map(|(back, n)| Happens::Take(back, n as u32)),
        3 => index().prop_map(Happens::Remove),
        2 => index().prop_map(Happens::Replace),
        3 => (index(), index()).prop_map(|(from, to)| Happens::Move(from, to)),
        1 => (index(), prop::option::of(index()), 1..200_u32).prop_map(|(a, b, n)| Happens::Trim(a, b, n)),
    ]
}

pub(super) fn li1_a_list_does_what_a_vector_does(stage: &Stage<'_>) {
    let mut a = stage.join();
    let mut runner = TestRunner::deterministic();
    for round in 0..12 {
        let list = format!("l{round}");
        let steps = prop::collection::vec(happens(), 60).new_tree(&mut runner).unwrap().current();
        let (mut model, mut last) = (Vec::<u64>::new(), 0_u64);
        for happened in steps {
            let count = model.len() as u64;
            let mut fresh = |n: u64| {
                last += n;
                last - n + 1..=last
            };
            let named = name(&list);
            let refused = |index: i64| format!("{happened:?} of {count}: no {index}");
            match happened {
                Happens::Insert(index, n) => {
                    let done = a.run(insert(&list, At::Index(index), fresh(n)));
                    match At::Index(index).within(count) {
                        Some(at) => drop(model.splice(at as usize..at as usize, last - n + 1..=last)),
                        None => assert_eq!(done, Inserted::Missing { count }, "{}", refused(index)),
                    }
                }
                Happens::Push(back, n) => {
                    a.run(insert(&list, if back { BACK } else { FRONT }, fresh(n)));
                    let at = if back { model.len() } else { 0 };
                    drop(model.splice(at..at, last - n + 1..=last));
                }
                Happens::Take(back, most) => {
                    let end = if back { End::Back } else { End::Front };
                    let taken = a.run(Take { list: named, end, most });
                    let n = u64::from(most).min(count) as usize;
                    let expected: Vec<u64> = if back {
                        model.drain(model.len() - n..).rev().collect()
                    } else {
                        model.drain(..n).collect()
                    };
                    assert_eq!(taken.items.iter().map(number).collect::<Vec<_>>(), expected);
                    assert_eq!(taken.left, model.len() as u64);
                }
                Happens::Remove(index) => {
                    match (a.run(Remove { list: named, ..remove(index, None) }), within(index, count)) {
                        (Removed::Done { item, .. }, Some(at)) => {
                            assert_eq!(number(&item), model.remove(at as usize));
                        }
                        (done, at) => {
                            assert_eq!((done, at), (Removed::Missing { count }, None), "{}", refused(index));
                        }
                    }
                }
                Happens::Replace(index) => {
                    let number = *fresh(1).start();
                    let done = a.run(Replace { list: named, ..replace(index, number, None) });
                    match within(index, count) {
                        Some(at) => model[at as usize] = number,
                        None => assert_eq!(done, Replaced::Missing { count }, "{}", refused(index)),
                    }
                }
                Happens::Move(index, to) => {
                    let moved = a.run(Move { list: named, ..step(index, &list, At::Index(to)) });
                    let from = within(index, count);
                    let place = from.and_then(|_| At::Index(to).within(count - 1));
                    match (from, place) {
                        (Some(from), Some(place)) => {
                            let item = model.remove(from as usize);
                            model.insert(place as usize, item);
                        }
                        _ => assert!(matches!(moved, Moved::Missing { .. }), "{}", refused(index)),
                    }
                }
                Happens::Trim(from, to, limit) => {
                    let mut next = Some(Trim { list: named, from, to, limit });
                    while let Some(trim) = next {
                        let trimmed = a.run(trim.clone());
                        assert!(trimmed.removed <= u64::from(limit));
                        next = trim.next(&trimmed);
                    }
                    let from = clamped(from, count);
                    let to = to.map_or(count, |to| clamped(to, count)).max(from);
                    model.truncate(to as usize);
                    model.drain(..from as usize);
                }
            }
            assert_eq!(numbers(stage, &list, 150), model);
        }
    }
}

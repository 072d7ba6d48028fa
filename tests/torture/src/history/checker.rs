//! Whether there is an order of the operations on one name that explains all answers.
//!
//! Linearizability (Herlihy and Wing, 1990): every operation can be thought of as done in one moment between its call
//! and its return. The search is the one of Wing and Gong ("Testing and verifying concurrent objects", 1993): take any
//! operation that no other one has to come before, do it in the model, go on, and come back if that leads nowhere. With
//! the improvement of Lowe ("Testing for linearizability", 2017): a set of done operations that has led to the same state
//! before is not looked at again.
//!
//! An operation without an answer (its process was killed) may have been done at any time after its call, or never. So
//! the search has come to its end when all those with an answer are done.

use std::collections::HashSet;

use super::Operation;
use super::model::State;

/// Sets of operations that are looked at before the search gives up.
const MOST: usize = 300_000;

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is an order.
    Explained,
    /// There is none. This is the furthest state it came to, and what could have come next and does not fit.
    Impossible(State, Vec<Operation>),
    /// It was given up.
    Undecided,
}

/// Which operations are done, a bit for each.
type Done = Vec<u64>;

/// Looks for an order of operations on one name that begins with `state`.
#[must_use]
pub(super) fn check(operations: &[Operation], state: &State) -> Verdict {
    let none: Done = vec![0; operations.len().div_ceil(64)];
    let mut seen = HashSet::from([(none.clone(), state.clone())]);
    let mut open = vec![(none, state.clone())];
    let (mut furthest, mut stuck) = (0, (state.clone(), Vec::new()));
    while let Some((done, state)) = open.pop() {
        let next = next(operations, &done);
        if ended(operations, &done) {
            return Verdict::Explained;
        }
        let count = done.iter().map(|bits| bits.count_ones()).sum();
        if count >= furthest {
            furthest = count;
            stuck = (state.clone(), next.iter().map(|(_, operation)| (*operation).clone()).collect());
        }
        // The first called is tried first: it lies on top.
        for (at, operation) in next.into_iter().rev() {
            let answer = operation.answer.as_ref().map(|(answer, _)| answer);
            let Some(after) = state.after(operation.process, &operation.call, answer) else { continue };
            let mut done = done.clone();
            if let Some(bits) = done.get_mut(at / 64) {
                *bits |= 1 << (at % 64);
            }
            if seen.insert((done.clone(), after.clone())) {
                open.push((done, after));
            }
        }
        if seen.len() > MOST {
            return Verdict::Undecided;
        }
    }
    Verdict::Impossible(stuck.0, stuck.1)
}

fn is_done(done: &Done, at: usize) -> bool {
    done.get(at / 64).is_some_and(|bits| bits & (1 << (at % 64)) != 0)
}

fn ended(operations: &[Operation], done: &Done) -> bool {
    operations.iter().enumerate().all(|(at, operation)| operation.answer.is_none() || is_done(done, at))
}

/// Those that can come next: called before any that is not done has returned.
fn next<'a>(operations: &'a [Operation], done: &Done) -> Vec<(usize, &'a Operation)> {
    let waiting = || operations.iter().enumerate().filter(|(at, _)| !is_done(done, *at));
    let returns = waiting().filter_map(|(_, operation)| operation.answer.as_ref().map(|(_, at)| *at)).min();
    waiting().filter(|(_, operation)| returns.is_none_or(|returns| operation.called <= returns)).collect()
}

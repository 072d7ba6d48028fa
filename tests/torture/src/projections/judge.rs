//! What must be true of what was projected and reacted to.

use std::collections::{BTreeMap, BTreeSet};

use super::child::{CLOSED, MODULUS};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// An event was not projected, or not reacted to (A7, C2).
        Lost,
        /// An event was projected twice (A7).
        Twice,
        /// Events of a stream were not projected, or not reacted to, in their order (A7).
        Order,
        /// There is another generation than the one that is read, or the checkpoint tells another tale than the rows.
        Lie,
        /// It did not come to its end.
        Stuck,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// By stream: how many events, and the number that tells their order.
pub(super) type Tallies = BTreeMap<String, (u64, u64)>;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// The events: stream, type, position.
    pub(super) events: Vec<(String, String, u64)>,
    /// What was projected.
    pub(super) tallies: Tallies,
    /// So many events are said to have been.
    pub(super) handled: u64,
    /// Generations of which there are tables, and the one that is read.
    pub(super) tables: BTreeSet<u64>,
    pub(super) generation: u64,
    /// What was reacted to, in the order of saying so.
    pub(super) reactions: Vec<(String, u64)>,
}

/// The same, projected in one go.
pub(super) fn in_one_go(events: &[(String, String, u64)]) -> Tallies {
    let mut tallies = Tallies::new();
    for (stream, _, position) in events {
        tallies
            .entry(stream.clone())
            .and_modify(|(count, told)| (*count, *told) = (*count + 1, (*told * 31 + position) % MODULUS))
            .or_insert((1, *position));
    }
    tallies
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut projected = evidence.tallies.clone();
    for (stream, (count, told)) in in_one_go(&evidence.events) {
        let (found, said) = projected.remove(&stream).unwrap_or_default();
        let words = format!("{stream}: {found} of {count} events");
        match found {
            found if found < count => violations.push((Broken::Lost, words)),
            found if found > count => violations.push((Broken::Twice, words)),
            _ if said != told => violations.push((Broken::Order, format!("{stream}: not in their order"))),
            _ => {}
        }
    }
    violations.extend(projected.keys().map(|stream| (Broken::Twice, format!("of no stream: {stream}"))));
    let all = evidence.events.len() as u64;
    if evidence.handled != all {
        let words = format!("{} of {all} events are said to have been projected", evidence.handled);
        violations.push((Broken::Lie, words));
    }
    if evidence.tables != BTreeSet::from([evidence.generation]) {
        let words = format!("tables of {:?}, and {} is read", evidence.tables, evidence.generation);
        violations.push((Broken::Lie, words));
    }
    violations.extend(reacted(evidence));
    violations
}

/// Each at least once, and for the first time in the order of its stream.
fn reacted(evidence: &Evidence) -> Vec<Violation> {
    let (mut violations, mut open) = (Vec::new(), BTreeMap::<&str, Vec<u64>>::new());
    for (stream, _, position) in evidence.events.iter().filter(|(_, kind, _)| kind == CLOSED).rev() {
        open.entry(stream).or_default().push(*position);
    }
    let mut seen = BTreeSet::new();
    for (stream, position) in &evidence.reactions {
        if !seen.insert(*position) {
            continue;
        }
        match open.get_mut(stream.as_str()).and_then(Vec::pop) {
            Some(next) if next == *position => {}
            next => {
                let words = format!("{stream}: reacted to {position}, and {next:?} was next");
                violations.push((Broken::Order, words));
            }
        }
    }
    let left = open.iter().filter(|(_, left)| !left.is_empty());
    violations
        .extend(left.map(|(stream, left)| (Broken::Lost, format!("{stream}: no reaction to {left:?}"))));
    violations
}

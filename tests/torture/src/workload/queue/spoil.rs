//! Evidence of queues that is spoilt on purpose.

use std::collections::{BTreeMap, BTreeSet};

use super::{ATTEMPTS, Jobs, key_of};
use crate::look::{Found, Seen};
use crate::workload::Primitive as _;
use crate::workload::part::{last_of_many, together};
use crate::workload::told::{Fact, Word, unsay};

/// The jobs that were found.
fn jobs(seen: &mut Seen) -> Option<&mut Vec<Found>> {
    seen.rest.get_mut(Jobs.name())
}

/// Facts of acknowledged words about jobs of this sort: `claim`, `end`; pushes if it is nothing.
fn acked<'w>(words: &'w [Word], what: &str) -> impl Iterator<Item = &'w Fact> {
    let all = words.iter().filter(|word| word.is_acked()).filter_map(Word::fact);
    all.filter(move |fact| {
        fact.of == Jobs.name() && fact.stream.split_once('/').map_or("", |(_, of)| of) == what
    })
}

/// They stand in a row again.
fn renumber(found: &mut [Found]) {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for found in found {
        let last = last.entry(found.stream.clone()).or_default();
        *last += 1;
        (found.version, found.position) = (*last, *last);
    }
}

/// An acknowledged push is gone.
pub(super) fn lose(words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(id) = acked(words, "").last().map(|fact| fact.id) else { return false };
    let Some(found) = jobs(seen) else { return false };
    let Some(lost) = found.iter().find(|found| found.id == id).cloned() else { return false };
    for at in together(found, &lost).into_iter().rev() {
        found.remove(at);
    }
    renumber(found);
    true
}

/// The last of a push is gone, of which nobody was told.
pub(super) fn tear(words: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = jobs(seen) else { return false };
    let Some(at) = last_of_many(found) else { return false };
    let torn = found.remove(at);
    unsay(words, &torn);
    renumber(found);
    true
}

/// Another state for a job of which somebody was told so.
fn change(words: &[Word], seen: &mut Seen, what: &str, state: &str) -> bool {
    let ids: Vec<_> = acked(words, what).map(|fact| fact.id).collect();
    let Some(found) = jobs(seen) else { return false };
    let Some(changed) = found.iter_mut().find(|found| ids.contains(&found.id)) else { return false };
    changed.state = state.into();
    true
}

/// A job that was said to be at its end waits to be done.
pub(super) fn undo(words: &mut [Word], seen: &mut Seen) -> bool {
    change(words, seen, "end", "Ready 1")
}

/// An attempt does not count.
pub(super) fn uncount(words: &mut [Word], seen: &mut Seen) -> bool {
    change(words, seen, "claim", "Ready 0")
}

/// A job is tried once more than it may be.
pub(super) fn overwork(words: &mut [Word], seen: &mut Seen) -> bool {
    change(words, seen, "", &format!("Claimed {}", ATTEMPTS + 1))
}

/// Two are told that they have finished the same job.
pub(super) fn repeat(words: &mut [Word], _: &mut Seen) -> bool {
    let Some(again) = acked(words, "end").next().cloned() else { return false };
    let other = words.iter_mut().rfind(|word| matches!(word, Word::Granted(_)));
    other.map(|word| *word = Word::Acked(again)).is_some()
}

/// All jobs of the press live, also those of the same key.
pub(super) fn revive(_: &mut [Word], seen: &mut Seen) -> bool {
    let Some(found) = jobs(seen) else { return false };
    found.iter_mut().for_each(|found| found.state = "Ready 0".into());
    let keys: Vec<_> = found.iter().filter_map(key_of).collect();
    keys.len() > keys.iter().collect::<BTreeSet<_>>().len()
}

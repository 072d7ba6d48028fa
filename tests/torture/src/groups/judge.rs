//! What must be true of what was handed out, noted and acknowledged.

use std::collections::BTreeMap;

use super::child::{Letter, Note};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// A message that was published is not there or another, or was acknowledged and came to nobody (G1, C2).
        Lost,
        /// A message came again after it had been acknowledged (C2).
        Twice,
        /// Messages of one key came out of their order, or one before those before it were acknowledged (C2).
        Order,
        /// Somebody acknowledged a message that another one had been given (C2).
        Unfenced,
        /// The cursor went back (C2).
        Back,
        /// What nobody has acknowledged comes to nobody (C2).
        Unanswered,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// A note, and where it stands among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handled {
    pub(super) position: u64,
    pub(super) note: Note,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// What publishers were told.
    pub(super) published: Vec<(Letter, u64)>,
    /// What is there, with its keys.
    pub(super) letters: BTreeMap<u64, (Letter, Option<String>)>,
    /// In the order of their commits.
    pub(super) notes: Vec<Handled>,
    /// Of what somebody was told that it is acknowledged.
    pub(super) acked: Vec<Note>,
    /// Where the cursor stood, from time to time.
    pub(super) cursors: Vec<u64>,
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    published(evidence, &mut violations);
    order(evidence, &mut violations);
    acknowledged(evidence, &mut violations);
    let back = evidence.cursors.windows(2).find(|pair| !pair.is_sorted());
    violations.extend(back.map(|pair| (Broken::Back, format!("the cursor went from {pair:?}"))));
    let (end, last) = (evidence.letters.len() as u64, evidence.cursors.last().copied().unwrap_or(0));
    if last != end {
        violations.push((Broken::Unanswered, format!("the cursor is at {last} of {end}")));
    }
    violations
}

/// What was published is there, and what the cursor has passed came to somebody.
fn published(evidence: &Evidence, violations: &mut Vec<Violation>) {
    for (letter, sequence) in &evidence.published {
        let found = evidence.letters.get(sequence);
        if found != Some(&(*letter, letter.key())) {
            violations.push((Broken::Lost, format!("{letter:?} as {sequence} is {found:?}")));
        }
    }
    let mut handled: BTreeMap<u64, Letter> = BTreeMap::new();
    for Handled { note, .. } in &evidence.notes {
        handled.insert(note.sequence, note.letter);
        let found = evidence.letters.get(&note.sequence).map(|(letter, _)| letter);
        if found != Some(&note.letter) {
            violations.push((Broken::Lost, format!("{note:?} is of {found:?}")));
        }
    }
    let last = evidence.cursors.last().copied().unwrap_or(0);
    for (sequence, (letter, _)) in evidence.letters.range(..=last) {
        if !handled.contains_key(sequence) {
            violations.push((Broken::Lost, format!("{letter:?}, {sequence}, came to nobody")));
        }
    }
}

/// Whoever has the larger token is the one; by him messages of a key come in their order, each after the one before it was
/// acknowledged, so that none comes again behind a later one.
fn order(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let mut keys: BTreeMap<&str, Note> = BTreeMap::new();
    for Handled { note, .. } in &evidence.notes {
        let key = evidence.letters.get(&note.sequence).and_then(|(_, key)| key.as_deref());
        let Some(key) = key else { continue };
        match keys.get(key) {
            Some(before) if note.token < before.token => {}
            Some(before) if note.sequence < before.sequence => {
                violations.push((Broken::Order, format!("{note:?} after {before:?} of {key}")));
            }
            _ => drop(keys.insert(key, *note)),
        }
    }
}

/// What was acknowledged comes to nobody any more; and whoever acknowledged it still had it.
fn acknowledged(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let mut by_sequence: BTreeMap<u64, Vec<&Handled>> = BTreeMap::new();
    for handled in &evidence.notes {
        by_sequence.entry(handled.note.sequence).or_default().push(handled);
    }
    for acked in &evidence.acked {
        let handled = by_sequence.get(&acked.sequence).map(Vec::as_slice).unwrap_or_default();
        let Some(at) = handled.iter().position(|handled| handled.note == *acked) else {
            violations.push((Broken::Lost, format!("the note of {acked:?} is gone")));
            continue;
        };
        let (before, behind) = handled.split_at(at);
        let later = before.iter().find(|handled| handled.note.token > acked.token);
        violations.extend(later.map(|later| (Broken::Unfenced, format!("{acked:?} after {later:?}"))));
        let again = behind.iter().skip(1).find(|handled| handled.note.token >= acked.token);
        violations.extend(again.map(|again| (Broken::Twice, format!("{again:?} after {acked:?}"))));
    }
}

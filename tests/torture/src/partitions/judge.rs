//! What must be true of what was reacted to.

use std::collections::{BTreeMap, HashMap, HashSet};

use millpond_actors::storage::partition::Partition;

use super::child::{CATEGORY, Note, PARTITIONS};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// An event came to nobody.
        Lost,
        /// An event came again to whoever had dealt with it.
        Twice,
        /// An event came before one that is before it in its stream.
        Order,
        /// What is of no interest came.
        Foreign,
        /// The checkpoint went back.
        Back,
        /// Not all was dealt with, however long one waits.
        Unanswered,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// What is of interest: position, stream and version.
    pub(super) events: BTreeMap<u64, (String, u64)>,
    /// In the order of their commits.
    pub(super) notes: Vec<Note>,
    /// Where the projection stood, from time to time.
    pub(super) positions: Vec<u64>,
    /// The position of the last event that was appended, notes apart.
    pub(super) last: u64,
}

impl Evidence {
    /// How often a partition has come to somebody else.
    pub(super) fn hands(&self) -> u64 {
        let tokens: HashSet<(Option<usize>, u64)> =
            self.notes.iter().map(|note| (partition(&note.stream), note.token)).collect();
        (tokens.len() as u64).saturating_sub(u64::from(PARTITIONS))
    }
}

fn partition(stream: &str) -> Option<usize> {
    Partition::each(PARTITIONS).position(|partition| partition.holds(stream))
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    lost(evidence, &mut violations);
    order(evidence, &mut violations);
    let back = evidence.positions.windows(2).find(|pair| !pair.is_sorted());
    violations.extend(back.map(|pair| (Broken::Back, format!("the checkpoint went from {pair:?}"))));
    let stands = evidence.positions.last().copied().unwrap_or(0);
    if stands < evidence.last {
        violations.push((Broken::Unanswered, format!("the checkpoint is at {stands} of {}", evidence.last)));
    }
    violations
}

/// Each event of interest came, and nothing else did.
fn lost(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let noted: HashMap<u64, &Note> = evidence.notes.iter().map(|note| (note.position, note)).collect();
    for (position, event) in &evidence.events {
        if !noted.contains_key(position) {
            violations.push((Broken::Lost, format!("{event:?} of {CATEGORY} at {position} came to nobody")));
        }
    }
    for note in &evidence.notes {
        let event = evidence.events.get(&note.position);
        if event.is_none_or(|(stream, version)| (stream, version) != (&note.stream, &note.version)) {
            violations.push((Broken::Foreign, format!("{note:?} is of {event:?}")));
        }
    }
}

/// In the eyes of a world outside that looks at tokens: each event of a stream comes behind the one before it, and to one who
/// has dealt with it it does not come again.
fn order(evidence: &Evidence, violations: &mut Vec<Violation>) {
    // Of each stream the largest token, and the last version.
    let mut streams: HashMap<&str, (u64, u64)> = HashMap::new();
    let mut dealt_with: HashSet<(u64, u64)> = HashSet::new();
    for note in &evidence.notes {
        let (token, last) = streams.entry(&note.stream).or_default();
        if note.token < *token {
            continue;
        }
        *token = note.token;
        if note.version > *last + 1 {
            violations.push((Broken::Order, format!("{note:?} came behind version {last}")));
        }
        *last = note.version.max(*last);
        if !dealt_with.insert((note.token, note.position)) {
            violations.push((Broken::Twice, format!("{note:?} came again")));
        }
    }
}

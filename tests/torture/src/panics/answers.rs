//! What the callers of a round heard, and whether they should have.

use std::collections::BTreeMap;

use millpond::{Error, WriteOutcome};

use super::fall::Place;
use crate::report::{Broken, Violation};

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Somebody who wants a number noted by the aggregate that falls over.
    Note {
        /// Events that it leads to.
        parts: u64,
    },
    /// Somebody who wants the same and is refused.
    Refused,
    /// Somebody who looks at it.
    Look,
    /// A neighbour: another aggregate, an append, also to the very stream, a lock.
    Neighbour,
}

/// What one of them heard.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) who: Who,
    /// `None` is that all is well.
    pub(super) error: Option<Error>,
}

/// Whether whoever heard an error was to blame for it, or had to do with a state that could not be made.
pub(super) fn check(answers: &[Answer], fell: Option<(Place, u64)>) -> Vec<Violation> {
    let is_blamed = |number| answers.iter().any(|it| it.number == number && it.error.is_some());
    let may_suffer = |answer: &Answer| {
        let Some((place, number)) = fell else { return false };
        answer.who != Who::Neighbour
            && match place {
                Place::Decide | Place::Encode => answer.number == number,
                // An event that is not of a command of now was read, and nobody on that aggregate can be answered.
                Place::Evolve => answer.number == number || !is_blamed(number),
                Place::Fresh | Place::Decode => true,
                Place::Copy => answer.who == Who::Look,
                Place::Freeze
                | Place::Thaw
                | Place::DropCommand
                | Place::DropEvent
                | Place::DropState
                | Place::DropRejection
                | Place::Wake => false,
            }
    };
    let mut violations = Vec::new();
    for answer in answers {
        let Some(error) = &answer.error else { continue };
        if !may_suffer(answer) || !matches!(error, Error::Panicked { .. }) {
            violations.push((Broken::Apart, format!("{answer:?} although {fell:?}")));
        }
    }
    violations
}

/// Whether all that was noted is there, whole, and nothing else; `found` is how many events each number has.
pub(super) fn compare(answers: &[Answer], found: &BTreeMap<u64, u64>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for answer in answers {
        let there = found.get(&answer.number).copied().unwrap_or(0);
        let broken = match (&answer.error, answer.who) {
            (None, Who::Note { parts }) if there == 0 && parts > 0 => Broken::Lost,
            (None, Who::Note { parts }) if there != parts => Broken::Torn,
            (Some(error), _) if there > 0 && error.outcome() == WriteOutcome::NotApplied => Broken::Lie,
            (_, Who::Refused | Who::Look) if there > 0 => Broken::Lie,
            _ => continue,
        };
        violations.push((broken, format!("{answer:?}, and {there} of its events are there")));
    }
    violations
}

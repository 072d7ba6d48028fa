//! Evidence spoilt on purpose: each mutant must be complained of.

use super::callers::{Answer, Deed};
use super::judge::Evidence;
use crate::report::Broken;

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A job that was acknowledged is not there.
    Lost,
    /// An item is there twice.
    Twice,
    /// One is counted that nobody counted.
    Counted,
    /// What is there was said not to have been written.
    Lie,
    /// A call was not answered.
    Silent,
    /// What was unknown is not settled by asking again.
    Unsettled,
    /// The last event did not come to one who follows.
    Deaf,
    /// The store takes an hour to go on.
    Slow,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 8] = [
        Mutant::Lost,
        Mutant::Twice,
        Mutant::Counted,
        Mutant::Lie,
        Mutant::Silent,
        Mutant::Unsettled,
        Mutant::Deaf,
        Mutant::Slow,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Lost => Broken::Lost,
            Mutant::Twice | Mutant::Counted => Broken::Twice,
            Mutant::Lie => Broken::Lie,
            Mutant::Silent => Broken::Unanswered,
            Mutant::Unsettled => Broken::Unsettled,
            Mutant::Deaf => Broken::Hole,
            Mutant::Slow => Broken::Starved,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        match self {
            Mutant::Lost => drop(evidence.found.jobs.pop()?),
            Mutant::Twice => {
                let item = evidence.found.items.first()?.clone();
                evidence.found.items.push(item);
            }
            Mutant::Counted => *evidence.found.sums.get_mut(&0)? += 1,
            Mutant::Lie => *answer(evidence)? = Answer::Refused("nothing was written".into()),
            Mutant::Silent => *answer(evidence)? = Answer::None,
            Mutant::Unsettled => {
                *answer(evidence)? = Answer::Unknown { words: String::new(), there: None };
            }
            Mutant::Deaf => drop(evidence.followed.pop()?),
            Mutant::Slow => evidence.interruptions_us.first_mut()?.1 = 3_600_000_000,
        }
        Some(())
    }
}

/// What somebody was told of an event.
fn answer(evidence: &mut Evidence) -> Option<&mut Answer> {
    let mut calls = evidence.calls.iter_mut();
    let is_it = |call: &&mut super::callers::Call| {
        call.deed == Deed::Append && matches!(call.answer, Answer::Done(_))
    };
    calls.find(is_it).map(|call| &mut call.answer)
}

//! Evidence spoilt on purpose: each mutant must be complained of.

use super::judge::Evidence;
use crate::report::Broken;

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An event did not come to one who follows: it was committed when he had read further.
    Skipped,
    /// One came twice.
    Twice,
    /// Two came in another order.
    Swapped,
    /// What was acknowledged is not there.
    Lost,
    /// Positions have a hole, as numbers that a sequence gives have.
    Sequence,
    /// An event takes an hour to come.
    Late,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 6] =
        [Mutant::Skipped, Mutant::Twice, Mutant::Swapped, Mutant::Lost, Mutant::Sequence, Mutant::Late];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Skipped | Mutant::Sequence => Broken::Hole,
            Mutant::Twice => Broken::Twice,
            Mutant::Swapped => Broken::Order,
            Mutant::Lost => Broken::Lost,
            Mutant::Late => Broken::Starved,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        let lane = &mut evidence.lanes.first_mut()?.came;
        let middle = lane.len() / 2;
        let one = lane.get(middle)?.clone();
        match self {
            Mutant::Skipped => drop(lane.remove(middle)),
            Mutant::Twice => lane.insert(middle, one),
            Mutant::Swapped => {
                lane.remove(middle);
                lane.insert(middle + 1, one);
            }
            Mutant::Lost => drop(evidence.found.pop()?),
            Mutant::Sequence => {
                evidence.found.iter_mut().skip(middle).for_each(|came| came.position += 1);
            }
            Mutant::Late => {
                let last = evidence.appends.iter().map(|append| append.position).max()?;
                lane.iter_mut().find(|(came, _)| came.position == last)?.1 += 3_600_000_000;
            }
        }
        Some(())
    }
}

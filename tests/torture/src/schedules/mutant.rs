//! Evidence spoilt on purpose: each mutant must be complained of.

use super::child::Chime;
use super::judge::{Broken, Evidence};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A job is not there.
    Lost,
    /// A job is there twice.
    Twice,
    /// What comes in every second came in one of them again and again.
    Often,
    /// A job came before its time.
    Early,
    /// A schedule does not know what was done.
    Forgetful,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] =
        [Mutant::Lost, Mutant::Twice, Mutant::Often, Mutant::Early, Mutant::Forgetful];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Lost => Broken::Lost,
            Mutant::Twice | Mutant::Often => Broken::Twice,
            Mutant::Early => Broken::Early,
            Mutant::Forgetful => Broken::Lie,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        let is_own = |(chime, _): &(Chime, i64)| *chime != Chime::STEADY;
        let at = evidence.jobs.iter().rposition(is_own)?;
        match self {
            Mutant::Lost => drop(evidence.jobs.remove(at)),
            Mutant::Twice => {
                let again = *evidence.jobs.get(at)?;
                evidence.jobs.push(again);
            }
            Mutant::Often => {
                let often = evidence.chimes.len();
                evidence.jobs.extend(std::iter::repeat_n((Chime::STEADY, 0), often));
            }
            Mutant::Early => {
                let (chime, pushed_at) = evidence.jobs.get_mut(at)?;
                *pushed_at = chime.at * 1_000 - 1;
            }
            Mutant::Forgetful => {
                let (chime, _) = *evidence.jobs.get(at)?;
                evidence.schedules.get_mut(&chime.name())?.1 = None;
            }
        }
        Some(())
    }
}

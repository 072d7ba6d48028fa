//! Evidence spoilt on purpose: each mutant must be complained of.

use super::child::Step;
use super::judge::{Broken, Evidence};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A deposit did not come about.
    Undone,
    /// A command took effect twice.
    Twice,
    /// A transfer says of itself what is not so.
    Mistaken,
    /// A transfer did not end.
    Unended,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 4] = [Mutant::Undone, Mutant::Twice, Mutant::Mistaken, Mutant::Unended];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Undone => Broken::Lost,
            Mutant::Twice => Broken::Twice,
            Mutant::Mistaken => Broken::Lie,
            Mutant::Unended => Broken::Stuck,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        let deposit = evidence.bookings.iter().rposition(|it| it.command.is_some() && it.cents > 0)?;
        let done = evidence.tales.values_mut().find(|tale| tale.step == Step::Done)?;
        match self {
            Mutant::Undone => drop(evidence.bookings.remove(deposit)),
            Mutant::Twice => {
                let again = evidence.bookings.get(deposit)?.clone();
                evidence.bookings.push(again);
            }
            Mutant::Mistaken => done.step = Step::Undone,
            Mutant::Unended => done.step = Step::Depositing,
        }
        Some(())
    }
}

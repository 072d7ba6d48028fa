//! Evidence spoilt on purpose: each mutant must be complained of.

use super::child::MODULUS;
use super::judge::{Broken, Evidence};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An event was not projected.
    Unprojected,
    /// An event was projected twice.
    Again,
    /// Two events were projected in the wrong order.
    Swapped,
    /// The checkpoint counts what is not there.
    Boastful,
    /// A generation was left behind.
    Left,
    /// An event was not reacted to.
    Unreacted,
    /// A reaction was before its time.
    Overtaken,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 7] = [
        Mutant::Unprojected,
        Mutant::Again,
        Mutant::Swapped,
        Mutant::Boastful,
        Mutant::Left,
        Mutant::Unreacted,
        Mutant::Overtaken,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Unprojected | Mutant::Unreacted => Broken::Lost,
            Mutant::Again => Broken::Twice,
            Mutant::Swapped | Mutant::Overtaken => Broken::Order,
            Mutant::Boastful | Mutant::Left => Broken::Lie,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        let (count, told) = evidence.tallies.values_mut().next_back()?;
        match self {
            Mutant::Unprojected => *count -= 1,
            Mutant::Again => *count += 1,
            Mutant::Swapped => *told = (*told + 1) % MODULUS,
            Mutant::Boastful => evidence.handled += 1,
            Mutant::Left => {
                evidence.tables.insert(evidence.generation + 1);
            }
            Mutant::Unreacted => {
                let (_, last) = evidence.reactions.last()?.clone();
                evidence.reactions.retain(|(_, position)| *position != last);
            }
            Mutant::Overtaken => {
                let (stream, last) = evidence.reactions.last()?.clone();
                let first = evidence.reactions.iter().position(|(other, _)| *other == stream)?;
                if evidence.reactions.get(first)?.1 == last {
                    return None;
                }
                evidence.reactions.insert(first, (stream, last));
            }
        }
        Some(())
    }
}

//! Evidence spoilt on purpose: each mutant must be complained of.

use super::child::Beginning;
use crate::look::Seen;
use crate::report::Broken;
use crate::workload::{self, Word, mutants};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mutant {
    /// What was told or seen of a primitive.
    Of(&'static workload::Mutant),
    /// A reader sees less than before.
    Shrunk,
    /// A reader sees something else than what is there.
    Other,
}

impl Mutant {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Mutant> {
        mutants().map(Mutant::Of).chain([Mutant::Shrunk, Mutant::Other])
    }

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mutant::Of(mutant) => mutant.name,
            Mutant::Shrunk => "shrunk",
            Mutant::Other => "other",
        }
    }

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Of(mutant) => mutant.breaks,
            Mutant::Shrunk | Mutant::Other => Broken::Order,
        }
    }

    /// Spoils the evidence; `false` if there is nothing in it to be spoilt in this way.
    pub(super) fn spoil(
        self,
        words: &mut [Word],
        seen: &mut Seen,
        readings: &mut [(usize, Beginning)],
    ) -> bool {
        match self {
            Mutant::Of(mutant) => (mutant.spoil)(words, seen),
            Mutant::Shrunk => {
                let first = readings.first().copied();
                let later = |(role, read): &&mut (usize, Beginning)| {
                    first.is_some_and(|(who, before)| who == *role && before.count < read.count)
                };
                let (Some(first), Some(later)) = (first, readings.iter_mut().find(later)) else {
                    return false;
                };
                let grown = std::mem::replace(later, first);
                readings.iter_mut().take(1).for_each(|reading| *reading = grown);
                true
            }
            Mutant::Other => {
                let Some((_, read)) = readings.last_mut() else { return false };
                read.hash ^= 1;
                true
            }
        }
    }
}

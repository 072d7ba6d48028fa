//! Evidence spoilt on purpose: as it would be if there were no one order.

use super::deed::Shown;
use super::judge::{Read, Written};
use crate::look::Found;
use crate::report::Broken;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The positions of two writes are not in the order in which they were made.
    Swapped,
    /// A reader saw half of a write.
    Half,
    /// A reader did not see what had been acknowledged before.
    Stale,
    /// The store does not sync its commits, so a reader sees what the power takes away.
    Unsynced,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 4] = [Mutant::Swapped, Mutant::Half, Mutant::Stale, Mutant::Unsynced];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        if self == Mutant::Unsynced { Broken::Lost } else { Broken::Order }
    }

    /// Spoils the evidence; `false` if there is nothing in it to be spoilt in this way.
    pub(super) fn spoil(self, found: &mut [Found], written: &[Written], reads: &mut [Read]) -> bool {
        match self {
            Mutant::Swapped => {
                let place = |written: &Written| {
                    let parts = written.write.parts();
                    let [(stream, content)] = parts.as_slice() else { return None };
                    found.iter().position(|found| (&found.stream, &found.content) == (stream, content))
                };
                let placed: Vec<(usize, &Written)> =
                    written.iter().filter_map(|written| Some((place(written)?, written))).collect();
                let ends = placed.iter().flat_map(|one| placed.iter().map(move |other| (one, other)));
                let mut ends =
                    ends.filter(|(one, other)| one.1.returned.is_some_and(|at| at < other.1.called));
                let Some(((one, _), (other, _))) = ends.next() else { return false };
                found.swap(*one, *other);
                for (at, found) in found.iter_mut().enumerate() {
                    found.position = at as u64 + 1;
                }
                true
            }
            Mutant::Half => reads.iter_mut().any(|read| {
                let Shown::Tail(tail) = &mut read.shown else { return false };
                let is_of = |at: u64| {
                    let found = found.get(at as usize - 1)?;
                    written.iter().position(|written| {
                        let parts = written.write.parts();
                        parts.iter().any(|part| (&part.0, &part.1) == (&found.stream, &found.content))
                    })
                };
                let [.., (before, ..), (last, ..)] = tail.as_slice() else { return false };
                let half = is_of(*before).is_some_and(|it| is_of(*last) == Some(it));
                if half {
                    tail.pop();
                }
                half
            }),
            Mutant::Stale => reads.iter_mut().any(|read| {
                let Shown::Tail(tail) = &mut read.shown else { return false };
                let Some((last, ..)) = tail.last() else { return false };
                let Some(found) = found.get(*last as usize - 1) else { return false };
                let is_old = |written: &Written| {
                    let parts = written.write.parts();
                    written.returned.is_some_and(|at| at < read.called)
                        && matches!(parts.as_slice(), [(stream, content)]
                            if (stream, content) == (&found.stream, &found.content))
                };
                let old = written.iter().any(is_old);
                if old {
                    tail.pop();
                }
                old
            }),
            Mutant::Unsynced => true,
        }
    }
}

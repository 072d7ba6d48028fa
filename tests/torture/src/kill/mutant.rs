//! Evidence spoilt on purpose: each mutant must be complained of by its oracle.

use super::child::{ENTER, LEAVE, LEDGER};
use super::oracle::{Acked, Broken, Found};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An acknowledged event is gone, and all numbers close ranks.
    Lost,
    /// A position is left out.
    Hole,
    /// An event stands a second time at the end.
    Twice,
    /// One enters before the other has left.
    Overlap,
    /// The last event of a call is gone that was not acknowledged.
    Torn,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] = [Mutant::Lost, Mutant::Hole, Mutant::Twice, Mutant::Overlap, Mutant::Torn];

    /// By the name on the command line.
    #[must_use]
    pub fn named(name: &str) -> Option<Mutant> {
        Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}").eq_ignore_ascii_case(name))
    }

    /// What the oracle must say of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Lost => Broken::Lost,
            Mutant::Hole => Broken::Hole,
            Mutant::Twice => Broken::Twice,
            Mutant::Overlap => Broken::Overlap,
            Mutant::Torn => Broken::Torn,
        }
    }

    /// Spoils the evidence; `false` if there is nothing in it to be spoilt in this way.
    pub fn spoil(self, acked: &mut Vec<Acked>, found: &mut Vec<Found>) -> bool {
        match self {
            Mutant::Lost => {
                let Some(acked) = acked.get(acked.len() / 2) else { return false };
                found.retain(|found| found.id != acked.id);
                renumber(found);
            }
            Mutant::Hole => {
                let middle = found.len() / 2;
                found.iter_mut().skip(middle).for_each(|found| found.position += 1);
                acked.iter_mut().for_each(|acked| acked.place = None);
            }
            Mutant::Twice => {
                let Some(again) = found.get(found.len() / 2).cloned() else { return false };
                found.push(again);
                renumber(found);
            }
            Mutant::Overlap => {
                let ledger: Vec<usize> = (0..)
                    .zip(&*found)
                    .filter(|(_, found)| found.stream == LEDGER)
                    .map(|(at, _)| at)
                    .collect();
                let is =
                    |at: &usize, kind: &str| found.get(*at).is_some_and(|found| found.event_type == kind);
                let next = |pair: &&[usize]| matches!(pair, [a, b] if is(a, LEAVE) && is(b, ENTER));
                let Some([leave, enter]) = ledger.windows(2).find(next) else { return false };
                found.swap(*leave, *enter);
                acked.iter_mut().for_each(|acked| acked.place = None);
                renumber(found);
            }
            Mutant::Torn => {
                let is_last_of_many = |found: &Found| {
                    let of = |n: u64| found.content.ends_with(&format!(r#""part":{},"of":{n}}}"#, n - 1));
                    found.stream != LEDGER && (2..=4).any(of)
                };
                let Some(at) = found.iter().rposition(is_last_of_many) else { return false };
                let torn = found.remove(at);
                acked.retain(|acked| acked.id != torn.id);
                acked.iter_mut().for_each(|acked| acked.place = None);
                renumber(found);
            }
        }
        true
    }
}

/// Dense numbers again, so that nothing but the thing itself gives it away.
fn renumber(found: &mut [Found]) {
    let mut versions = std::collections::HashMap::new();
    for (before, found) in (0..).zip(found) {
        let version = versions.entry(found.stream.clone()).or_insert(0);
        *version += 1;
        (found.position, found.version) = (before + 1, *version);
    }
}

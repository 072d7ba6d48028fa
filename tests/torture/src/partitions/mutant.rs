//! Evidence spoilt on purpose: each mutant must be complained of.

use super::child::Note;
use super::judge::{Broken, Evidence};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The last event of a stream came to nobody.
    Unheard,
    /// An event came again to the same one.
    Again,
    /// An event came before the one before it.
    Overtaken,
    /// Something came that is of no interest.
    Foreign,
    /// The checkpoint went back.
    Back,
    /// The checkpoint did not come to the end.
    Short,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 6] =
        [Mutant::Unheard, Mutant::Again, Mutant::Overtaken, Mutant::Foreign, Mutant::Back, Mutant::Short];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Unheard => Broken::Lost,
            Mutant::Again => Broken::Twice,
            Mutant::Overtaken => Broken::Order,
            Mutant::Foreign => Broken::Foreign,
            Mutant::Back => Broken::Back,
            Mutant::Short => Broken::Unanswered,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        match self {
            Mutant::Unheard => {
                let last = *evidence.events.keys().next_back()?;
                evidence.notes.retain(|note| note.position != last);
            }
            Mutant::Again => {
                let last = evidence.notes.last()?.clone();
                evidence.notes.push(last);
            }
            Mutant::Overtaken => {
                let next = |at: usize, note: &Note| {
                    let behind =
                        evidence.notes.iter().skip(at + 1).position(|it| it.stream == note.stream)?;
                    let next = evidence.notes.get(at + 1 + behind)?;
                    (next.token == note.token && next.version == note.version + 1).then_some(at + 1 + behind)
                };
                // From where the stream had not come so far before.
                let first = |at: usize, note: &Note| {
                    let before = evidence.notes.iter().take(at).filter(|it| it.stream == note.stream);
                    before.map(|it| it.version).max().unwrap_or(0) + 1 == note.version
                };
                let mut notes = evidence.notes.iter().enumerate().filter(|(at, note)| first(*at, note));
                let (one, other) = notes.find_map(|(at, note)| Some((at, next(at, note)?)))?;
                evidence.notes.swap(one, other);
            }
            Mutant::Foreign => evidence.notes.last_mut()?.position += 1_000_000,
            Mutant::Back => *evidence.positions.first_mut()? = u64::MAX,
            Mutant::Short => *evidence.positions.last_mut()? = evidence.last.checked_sub(1)?,
        }
        Some(())
    }
}

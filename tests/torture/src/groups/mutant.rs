//! Evidence spoilt on purpose: each mutant must be complained of.

use super::judge::{Broken, Evidence, Handled};

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A message that somebody was told to be published is not there.
    Unpublished,
    /// A message was acknowledged by whoever, and came to nobody.
    Unhandled,
    /// A message came again after it had been acknowledged.
    Again,
    /// A message came after a later one of its key.
    Overtaken,
    /// Somebody acknowledged what another one had been given.
    Unfenced,
    /// The cursor went back.
    Back,
    /// The last message comes to nobody.
    Deaf,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 7] = [
        Mutant::Unpublished,
        Mutant::Unhandled,
        Mutant::Again,
        Mutant::Overtaken,
        Mutant::Unfenced,
        Mutant::Back,
        Mutant::Deaf,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Unpublished | Mutant::Unhandled => Broken::Lost,
            Mutant::Again => Broken::Twice,
            Mutant::Overtaken => Broken::Order,
            Mutant::Unfenced => Broken::Unfenced,
            Mutant::Back => Broken::Back,
            Mutant::Deaf => Broken::Unanswered,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        match self {
            Mutant::Unpublished => {
                let (_, sequence) = *evidence.published.last()?;
                evidence.letters.get_mut(&sequence)?.0.number += 1;
            }
            Mutant::Unhandled => {
                let sequence = evidence.acked.first()?.sequence;
                evidence.notes.retain(|handled| handled.note.sequence != sequence);
                evidence.acked.retain(|acked| acked.sequence != sequence);
            }
            Mutant::Again => {
                let without_key =
                    |sequence: &u64| evidence.letters.get(sequence).is_some_and(|(_, key)| key.is_none());
                let mut note = *evidence.acked.iter().find(|acked| without_key(&acked.sequence))?;
                note.token += 1_000_000;
                put_last(evidence, note);
            }
            Mutant::Overtaken => {
                // Nobody had acknowledged it, so that nothing but the order gives it away.
                let last = evidence.notes.last()?.note;
                let key = |sequence: u64| evidence.letters.get(&sequence)?.1.as_ref();
                let all = evidence.notes.iter().filter(|handled| key(handled.note.sequence).is_some());
                let first = all.clone().next()?.note;
                let behind = all.filter(|handled| key(handled.note.sequence) == key(first.sequence));
                behind.max_by_key(|handled| handled.note.sequence).filter(|max| max.note != first)?;
                evidence.acked.retain(|acked| acked.sequence != first.sequence);
                put_last(evidence, super::Note { token: last.token + 1_000_000, ..first });
            }
            Mutant::Unfenced => {
                let acked = *evidence.acked.last()?;
                let at = evidence.notes.iter().position(|handled| handled.note == acked)?;
                let position = evidence.notes.get(at)?.position;
                let note = super::Note { token: acked.token + 1, hand: 0, ..acked };
                evidence.notes.insert(at, Handled { position, note });
            }
            Mutant::Back => *evidence.cursors.first_mut()? = u64::MAX,
            Mutant::Deaf => *evidence.cursors.last_mut()? -= 1,
        }
        Some(())
    }
}

fn put_last(evidence: &mut Evidence, note: super::Note) {
    let position = evidence.notes.last().map_or(1, |last| last.position + 1);
    evidence.notes.push(Handled { position, note });
}

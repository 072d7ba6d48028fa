//! Evidence spoilt on purpose: each mutant must be complained of.

use super::child::Of;
use super::evidence::{Came, Evidence, Follower};
use super::judge::Broken;

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What was acknowledged last is not there.
    Lost,
    /// A message that came is another.
    Other,
    /// A message did not come.
    Gap,
    /// Messages came twice.
    Twice,
    /// More was missed than is said.
    Vague,
    /// Something was missed that nobody had removed.
    Careless,
    /// A subscriber begins too late.
    Late,
    /// A message came before it was published.
    Early,
    /// The cursor went back.
    Back,
    /// Who was no consumer any more has moved the cursor.
    Unfenced,
    /// What is acknowledged came to nobody.
    Unread,
    /// A subscriber does not come to the end.
    Deaf,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 12] = [
        Mutant::Lost,
        Mutant::Other,
        Mutant::Gap,
        Mutant::Twice,
        Mutant::Vague,
        Mutant::Careless,
        Mutant::Late,
        Mutant::Early,
        Mutant::Back,
        Mutant::Unfenced,
        Mutant::Unread,
        Mutant::Deaf,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Lost => Broken::Lost,
            Mutant::Other => Broken::Other,
            Mutant::Gap | Mutant::Twice | Mutant::Vague => Broken::Gap,
            Mutant::Careless => Broken::Lagged,
            Mutant::Late => Broken::Start,
            Mutant::Early => Broken::Early,
            Mutant::Back | Mutant::Unfenced => Broken::Cursor,
            Mutant::Unread => Broken::Unread,
            Mutant::Deaf => Broken::Deaf,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        match self {
            Mutant::Lost => {
                evidence.kept.get_mut(&Of::Log)?.pop()?;
            }
            Mutant::Other => *messages(evidence)?.1.first_mut()? += 1,
            Mutant::Gap => {
                let (from, numbers) = messages(evidence)?;
                numbers.remove(0);
                *from += 1;
            }
            Mutant::Twice => {
                let is_full = |follower: &&mut Follower| follower.came.len() > 1;
                let follower = evidence.followers.iter_mut().find(is_full)?;
                let at = follower.came.iter().position(|came| matches!(came, Came::Messages { .. }))?;
                let again = follower.came.get(at)?.clone();
                follower.came.insert(at, again);
            }
            Mutant::Vague => *missed(evidence)? -= 1,
            Mutant::Careless => {
                // As if he had read nothing of the newest.
                let follower = evidence.followers.iter_mut().rfind(|follower| {
                    follower.token.is_none()
                        && follower.of == Of::Channel
                        && matches!(follower.came.last(), Some(Came::Messages { .. }))
                })?;
                let Some(Came::Messages { numbers, .. }) = follower.came.pop() else { return None };
                follower.came.push(Came::Missed(numbers.len() as u64));
            }
            Mutant::Late => {
                let follower = evidence.followers.iter_mut().find(|follower| {
                    follower.of == Of::Channel && follower.token.is_none() && !follower.came.is_empty()
                })?;
                follower.next = u64::MAX / 2;
            }
            Mutant::Early => {
                let acked: std::collections::HashSet<u64> =
                    evidence.publishes.iter().flat_map(super::evidence::Publish::numbers).collect();
                let mut came = evidence.followers.iter_mut().flat_map(|follower| &mut follower.came);
                came.find_map(|came| match came {
                    Came::Messages { numbers, at, .. } if numbers.iter().any(|it| acked.contains(it)) => {
                        *at = 0;
                        Some(())
                    }
                    _ => None,
                })?;
            }
            Mutant::Back => evidence.cursor = 0,
            Mutant::Unfenced => {
                let mut turns = evidence.followers.iter_mut().filter(|it| it.token.is_some());
                let acked = turns.find_map(|turn| {
                    turn.came.iter_mut().find_map(|came| match came {
                        Came::Acked { begun, well: true, .. } => Some(begun),
                        _ => None,
                    })
                })?;
                *acked = u64::MAX;
            }
            Mutant::Unread => {
                let mut turns = evidence.followers.iter_mut().filter(|it| it.token.is_some());
                turns.find_map(|turn| {
                    let is_acked = |came: &Came| matches!(came, Came::Acked { well: true, .. });
                    let acked = turn.came.iter().position(is_acked)?;
                    turn.came.drain(..acked);
                    Some(())
                })?;
            }
            Mutant::Deaf => {
                evidence.current()?.came.pop()?;
            }
        }
        Some(())
    }
}

/// What came to somebody, of which others know more.
fn messages(evidence: &mut Evidence) -> Option<(&mut u64, &mut Vec<u64>)> {
    let known = evidence.kept.get(&Of::Log)?.iter().map(|(sequence, _)| *sequence).min()?;
    let logs = evidence.followers.iter_mut().filter(|follower| follower.of == Of::Log);
    logs.flat_map(|follower| &mut follower.came).find_map(|came| match came {
        Came::Messages { from, numbers, .. } if *from >= known && numbers.len() > 1 => Some((from, numbers)),
        _ => None,
    })
}

/// How many somebody has missed, before something came.
fn missed(evidence: &mut Evidence) -> Option<&mut u64> {
    evidence.followers.iter_mut().find_map(|follower| {
        let is_before = |pair: &[Came]| matches!(pair, [Came::Missed(_), Came::Messages { .. }]);
        let at = follower.came.windows(2).position(is_before)?;
        match follower.came.get_mut(at) {
            Some(Came::Missed(count)) => Some(count),
            _ => None,
        }
    })
}

//! Evidence spoilt on purpose: each mutant must be complained of.

use millpond::JobState;

use super::evidence::{Answer, Claim, End, Evidence, How};
use super::judge::Broken;
use super::spec::Kind;

/// A way to spoil the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A job that was pushed is gone.
    Lost,
    /// A job is claimed once more when it was done.
    Again,
    /// Whoever had lost his job is told that it is done, as if the job's number were enough for that.
    Careless,
    /// What was said to be done is dead.
    Undone,
    /// A job is claimed while one with a lower priority number is there.
    Swapped,
    /// An attempt does not count.
    Uncounted,
    /// Poison is done.
    Immune,
    /// A delayed job is claimed at once.
    Early,
    /// A job is pushed while another of its key lives.
    Crowded,
    /// A job waits for ever.
    Stuck,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 10] = [
        Mutant::Lost,
        Mutant::Again,
        Mutant::Careless,
        Mutant::Undone,
        Mutant::Swapped,
        Mutant::Uncounted,
        Mutant::Immune,
        Mutant::Early,
        Mutant::Crowded,
        Mutant::Stuck,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Lost => Broken::Lost,
            Mutant::Again | Mutant::Careless => Broken::Twice,
            Mutant::Undone => Broken::Lie,
            Mutant::Swapped => Broken::Order,
            Mutant::Uncounted => Broken::Attempts,
            Mutant::Immune => Broken::Undead,
            Mutant::Early => Broken::Early,
            Mutant::Crowded => Broken::Key,
            Mutant::Stuck => Broken::Stuck,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        match self {
            Mutant::Lost => {
                let lost = evidence.pushes.last()?.sequence;
                evidence.found.retain(|found| found.sequence != lost);
            }
            Mutant::Again => {
                let done = last_done(evidence)?;
                let (token, _) = evidence.claims.last_key_value()?;
                let token = token + 1;
                let again = Claim { token, attempt: done.attempt + 1, end: None, ..done };
                evidence.claims.insert(token, again);
            }
            Mutant::Careless => {
                // The one before the last claim of a job that was tried again.
                let last = evidence.claims_by_job().into_values().find_map(|claims| {
                    let [.., before, _] = claims.as_slice() else { return None };
                    Some(before.token)
                })?;
                let claim = evidence.claims.get_mut(&last)?;
                let (how, answer, stamp) = (How::Done, Answer::Well, claim.got);
                claim.end = Some(End { how, answer, begun: stamp, acked: stamp });
            }
            Mutant::Undone => {
                let done = last_done(evidence)?.sequence;
                evidence.found.iter_mut().find(|found| found.sequence == done)?.state = JobState::Dead;
            }
            Mutant::Swapped => return swap(evidence),
            Mutant::Uncounted => {
                let claim = evidence.claims.values().last().copied()?;
                let found = evidence.found.iter_mut().find(|found| found.sequence == claim.sequence)?;
                found.attempts = claim.attempt - 1;
            }
            Mutant::Immune => {
                let seed = evidence.seed;
                let is_poison = |number| super::spec::Spec::of(seed, number).kind == Kind::Poison;
                evidence.found.iter_mut().find(|found| is_poison(found.number))?.state = JobState::Done;
            }
            Mutant::Early => {
                let pushed = evidence.pushed();
                let delayed =
                    |claim: &&Claim| evidence.spec(claim.number).delay_ms > 60 && claim.attempt == 1;
                let early = *evidence.claims.values().filter(delayed).find(|claim| {
                    let push = pushed.get(&claim.sequence);
                    push.is_some_and(|push| push.acked - push.begun < 1_000_000)
                })?;
                let begun = pushed.get(&early.sequence)?.begun;
                evidence.claims.get_mut(&early.token)?.got = begun + 1;
            }
            Mutant::Crowded => return crowd(evidence),
            Mutant::Stuck => evidence.found.last_mut()?.state = JobState::Ready,
        }
        Some(())
    }
}

/// The last claim that was told that its job is done.
fn last_done(evidence: &Evidence) -> Option<Claim> {
    let is_done = |claim: &&Claim| claim.well().is_some_and(|end| end.how == How::Done);
    evidence.claims.values().rfind(is_done).copied()
}

/// Two first claims of jobs that were both there change their tokens.
fn swap(evidence: &mut Evidence) -> Option<()> {
    let pushed = evidence.pushed();
    let rank = |claim: &Claim| (evidence.spec(claim.number).priority, claim.sequence);
    let is_first = |claim: &&Claim| claim.attempt == 1 && evidence.spec(claim.number).delay_ms == 0;
    let firsts: Vec<Claim> = evidence.claims.values().filter(is_first).copied().collect();
    let there = |claim: &Claim, asked: u64| pushed.get(&claim.sequence).is_some_and(|it| it.acked < asked);
    let (one, two) = firsts.windows(2).find_map(|pair| {
        let [one, two] = pair else { return None };
        // The later one asks as early as the other, and both were there.
        (rank(one) < rank(two) && there(one, one.asked) && there(two, one.asked)).then_some((*one, *two))
    })?;
    let earlier = Claim { token: one.token, asked: one.asked, got: one.got, ..two };
    let later = Claim { token: two.token, asked: two.asked, got: two.got, ..one };
    evidence.claims.insert(one.token, earlier);
    evidence.claims.insert(two.token, later);
    Some(())
}

/// The second of two jobs of a key was pushed before the first was at its end.
fn crowd(evidence: &mut Evidence) -> Option<()> {
    let mut last = std::collections::BTreeMap::new();
    let with_key = evidence.found.iter().filter_map(|found| {
        let key = evidence.spec(found.number).key?;
        Some((last.insert(key, found.sequence)?, found.sequence))
    });
    let pairs: Vec<(u64, u64)> = with_key.collect();
    let claims = evidence.claims_by_job();
    let (second, stamp) = pairs.into_iter().find_map(|(first, second)| {
        let end = claims.get(&first)?.last()?.well()?;
        evidence.pushes.iter().find(|push| push.sequence == second && !push.existed)?;
        Some((second, end.begun))
    })?;
    let push = evidence.pushes.iter_mut().find(|push| push.sequence == second && !push.existed)?;
    push.acked = stamp - 1;
    push.begun = push.begun.min(push.acked);
    Some(())
}

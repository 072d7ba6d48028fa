//! What the workers have said, and what was found in the end.

use std::collections::BTreeMap;

use millpond::JobState;
use serde::{Deserialize, Serialize};

use super::child::Said;
use super::spec::Spec;

/// How an attempt is meant to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    /// The job is done.
    Done,
    /// It is tried again after so many milliseconds.
    Retry(u64),
    /// It goes to the dead letters.
    Bury,
}

/// What was said to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// So it is.
    Well,
    /// The claim was not the current one any more.
    Stale,
}

/// A push of one job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Push {
    pub(super) number: u64,
    pub(super) sequence: u64,
    /// There was one of its key already: this one.
    pub(super) existed: bool,
    pub(super) begun: u64,
    pub(super) acked: u64,
}

/// A claim that somebody has heard of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) token: u64,
    pub(super) sequence: u64,
    pub(super) number: u64,
    pub(super) attempt: u32,
    pub(super) asked: u64,
    pub(super) got: u64,
    /// Its end, unless its worker died before he could tell, or said nothing.
    pub(super) end: Option<End>,
}

/// How a claim has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) how: How,
    pub(super) begun: u64,
    pub(super) acked: u64,
    pub(super) answer: Answer,
}

impl Claim {
    /// Its end, if that is what was acknowledged.
    pub(super) fn well(&self) -> Option<End> {
        self.end.filter(|end| end.answer == Answer::Well)
    }
}

/// A job as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) sequence: u64,
    pub(super) number: u64,
    pub(super) state: JobState,
    pub(super) attempts: u32,
    pub(super) reason: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) seed: u64,
    pub(super) pushes: Vec<Push>,
    /// By their tokens, which is the order of their commits.
    pub(super) claims: BTreeMap<u64, Claim>,
    /// By their numbers.
    pub(super) found: Vec<Found>,
    /// Tokens that were given twice.
    pub(super) again: Vec<u64>,
}

impl Evidence {
    /// The spec of a number.
    pub(super) fn spec(&self, number: u64) -> Spec {
        Spec::of(self.seed, number)
    }

    /// Takes in what was said of jobs.
    pub(super) fn take_in(&mut self, said: &Said) {
        match *said {
            Said::Pushed { ref places, begun, acked } => {
                let push = |(number, sequence, existed)| Push { number, sequence, existed, begun, acked };
                self.pushes.extend(places.iter().copied().map(push));
            }
            Said::Claimed { token, sequence, number, attempt, asked, got } => {
                let claim = Claim { token, sequence, number, attempt, asked, got, end: None };
                if self.claims.insert(token, claim).is_some() {
                    self.again.push(token);
                }
            }
            Said::Ended { token, how, begun, acked, answer } => {
                if let Some(claim) = self.claims.get_mut(&token) {
                    claim.end = Some(End { how, begun, acked, answer });
                }
            }
            Said::Open | Said::Pushing(..) | Said::Closed | Said::Failed(_) => {}
        }
    }

    /// The claims of each job, in their order.
    pub(super) fn claims_by_job(&self) -> BTreeMap<u64, Vec<&Claim>> {
        let mut jobs: BTreeMap<u64, Vec<&Claim>> = BTreeMap::new();
        for claim in self.claims.values() {
            jobs.entry(claim.sequence).or_default().push(claim);
        }
        jobs
    }

    /// The pushes that made a job, by its place.
    pub(super) fn pushed(&self) -> BTreeMap<u64, &Push> {
        let made = self.pushes.iter().filter(|push| !push.existed);
        made.map(|push| (push.sequence, push)).collect()
    }
}

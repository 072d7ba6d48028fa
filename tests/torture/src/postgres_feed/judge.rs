//! What must be true of what was appended, what came to whom, and what is there in the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::child::{ALL, CATEGORY, Came, Said};
use crate::report::{Broken, Violation};

/// The longest time that an event may take to come to one who waits for it, in microseconds.
const DELAY_US: u64 = 5_000_000;

/// An append that was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Appended {
    pub(super) stream: String,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) version: u64,
    pub(super) position: u64,
    pub(super) acked: u64,
}

/// One who follows, and what came to him, at which stamps.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    of: String,
    begun: u64,
    pub(super) came: Vec<(Came, u64)>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) appends: Vec<Appended>,
    numbers: BTreeMap<u64, usize>,
    pub(super) lanes: Vec<Lane>,
    /// What is there in the end, and the head of it.
    pub(super) found: Vec<Came>,
    pub(super) head: u64,
}

impl Evidence {
    /// Takes in what was said.
    pub(super) fn take_in(&mut self, said: Said) {
        match said {
            Said::Appended { stream, first, count, version, position, acked } => {
                self.appends.push(Appended { stream, first, count, version, position, acked });
            }
            Said::Following { lane, of, begun } => {
                self.numbers.insert(lane, self.lanes.len());
                self.lanes.push(Lane { of, begun, came: Vec::new() });
            }
            Said::Got { lane, came, at } => {
                let at_lane = self.numbers.get(&lane).copied();
                if let Some(lane) = at_lane.and_then(|lane| self.lanes.get_mut(lane)) {
                    lane.came.extend(came.into_iter().map(|came| (came, at)));
                }
            }
            Said::Done | Said::Failed(_) => {}
        }
    }

    /// Events that were acknowledged.
    pub(super) fn appended(&self) -> u64 {
        self.appends.iter().map(|append| append.count).sum()
    }

    fn of(&self, of: &str) -> u64 {
        let wanted = self.appends.iter().filter(|append| of == ALL || append.stream.starts_with(CATEGORY));
        wanted.map(|append| append.count).sum()
    }

    /// How much came to whom.
    pub(super) fn come(&self) -> Vec<(&str, usize)> {
        self.lanes.iter().map(|lane| (lane.of.as_str(), lane.came.len())).collect()
    }

    /// Everybody who follows has all that there is for him.
    pub(super) fn all_has_come(&self) -> bool {
        self.lanes.len() == 4 && self.lanes.iter().all(|lane| lane.came.len() as u64 >= self.of(&lane.of))
    }

    /// The longest time from an acknowledgement to the event's coming to one who was there from the beginning: who comes late has to
    /// read first what there was.
    pub(super) fn longest_delay_us(&self) -> u64 {
        let acked: HashMap<u64, u64> =
            self.appends.iter().map(|append| (append.position, append.acked)).collect();
        let first = acked.values().copied().min().unwrap_or(0);
        let early = self.lanes.iter().filter(|lane| lane.begun < first);
        let came = early.flat_map(|lane| &lane.came);
        let delays = came.filter_map(|(came, at)| Some(at.saturating_sub(*acked.get(&came.position)?)));
        delays.max().unwrap_or(0)
    }
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence, timed: bool) -> Vec<Violation> {
    let mut violations = dense(evidence);
    violations.extend(evidence.appends.iter().filter_map(|append| lost(evidence, append)));
    let (found, appended) = (evidence.found.len() as u64, evidence.appended());
    if found > appended {
        violations.push((Broken::Twice, format!("{found} events of {appended}")));
    }
    evidence.lanes.iter().for_each(|lane| follows(evidence, lane, &mut violations));
    let delay = evidence.longest_delay_us();
    if timed && delay > DELAY_US {
        violations.push((Broken::Starved, format!("an event took {} ms to come", delay / 1_000)));
    }
    violations
}

/// Positions are dense from 1, and the versions of each stream.
fn dense(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut versions: HashMap<&str, u64> = HashMap::new();
    for (position, came) in (1..).zip(&evidence.found) {
        let version = versions.entry(&came.stream).or_default();
        *version += 1;
        if came.position != position || came.version != *version {
            violations.push((Broken::Hole, format!("{came:?}, for position {position}, version {version}")));
            break;
        }
    }
    if evidence.head != evidence.found.len() as u64 {
        violations.push((Broken::Hole, format!("the head is {}", evidence.head)));
    }
    violations
}

/// An append that is not where it was said to be, or not whole.
fn lost(evidence: &Evidence, append: &Appended) -> Option<Violation> {
    let last = append.first + append.count;
    let is_there = (append.first..last).rev().zip(0..).all(|(number, back)| {
        let position = append.position.checked_sub(back);
        let found = position.and_then(|position| evidence.found.get(position.checked_sub(1)? as usize));
        found.is_some_and(|found| {
            found.number == number && found.stream == append.stream && found.version + back == append.version
        })
    });
    (!is_there).then(|| (Broken::Lost, format!("{append:?}")))
}

/// What came to one who follows is what there is for him, each once, in the one order.
fn follows(evidence: &Evidence, lane: &Lane, violations: &mut Vec<Violation>) {
    let is_his = |came: &&Came| lane.of == ALL || came.stream.starts_with(CATEGORY);
    let expected: Vec<&Came> = evidence.found.iter().filter(is_his).collect();
    let came: Vec<&Came> = lane.came.iter().map(|(came, _)| came).collect();
    if came == expected {
        return;
    }
    let (all, once): (BTreeSet<&Came>, BTreeSet<&Came>) =
        (expected.iter().copied().collect(), came.iter().copied().collect());
    let (skipped, twice) = (all.difference(&once).count(), came.len() - once.len());
    let of = if lane.of == ALL { "everything" } else { &lane.of };
    if skipped > 0 {
        violations.push((Broken::Hole, format!("who follows {of} was not given {skipped}")));
    }
    if twice > 0 {
        violations.push((Broken::Twice, format!("who follows {of} was given {twice} again")));
    }
    if !came.is_sorted_by_key(|came| came.position) {
        violations.push((Broken::Order, format!("who follows {of} was given them in another order")));
    }
    if once.difference(&all).next().is_some() {
        violations.push((Broken::Lost, format!("who follows {of} was given what is not there")));
    }
}

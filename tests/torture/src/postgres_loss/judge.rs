//! What must be true of what the callers were told.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::callers::{Answer, Call, Deed};
use crate::report::{Broken, Violation};

/// The longest time that the store may take to go on when its server is there, in microseconds.
const GOES_ON_US: u64 = 10_000_000;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) calls: Vec<Call>,
    /// The positions that came to one who follows.
    pub(super) followed: Vec<u64>,
    /// Reads, those that failed, and the longest.
    pub(super) reads: (u64, u64, u64),
    pub(super) follow_errors: u64,
    pub(super) visits: u64,
    /// What was done last; whether somebody has the lock, as far as he knows, and how often it was taken from him, by harm.
    pub(super) harm: String,
    pub(super) holds: bool,
    pub(super) robbed: BTreeMap<String, u64>,
    /// How long it took until the store went on, after each harm.
    pub(super) interruptions_us: Vec<(String, u64)>,
    pub(super) found: Found,
}

/// What is there in the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Events in the order of their positions: id and version in the stream.
    pub(super) events: Vec<(u64, Uuid, String, u64)>,
    /// Jobs: key and number.
    pub(super) jobs: Vec<(String, u64)>,
    pub(super) sums: BTreeMap<u64, u64>,
    pub(super) items: Vec<String>,
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence, timed: bool) -> Vec<Violation> {
    let mut violations = holes(evidence);
    let Found { events, jobs, items, .. } = &evidence.found;
    let events = places(events.iter().map(|(position, id, ..)| (*id, *position)));
    let jobs = places(jobs.iter().map(|(key, number)| (key.clone(), *number)));
    let items = places(items.iter().map(|item| (item.clone(), 0)));
    for call in &evidence.calls {
        let found = match call.deed {
            Deed::Append => events.get(&call.id()),
            Deed::Push => jobs.get(&call.mark()),
            Deed::Item => items.get(&call.mark()),
            Deed::Increment => continue,
        };
        violations.extend(hold(call, found.map_or(&[], Vec::as_slice)));
    }
    // All that was taken from them was there again long before a call had to be answered.
    let refused = evidence.calls.iter().filter(|call| matches!(call.answer, Answer::Refused(_)));
    violations.extend(refused.map(|call| (Broken::Failed, format!("it could have waited: {call:?}"))));
    if evidence.reads.1 > 0 {
        violations
            .push((Broken::Failed, format!("{} reads failed that could have waited", evidence.reads.1)));
    }
    let silent = evidence.calls.iter().filter(|call| call.answer == Answer::None);
    violations.extend(silent.map(|call| (Broken::Unanswered, format!("{call:?}"))));
    violations.extend(sums(evidence));
    if timed {
        let late = evidence.interruptions_us.iter().filter(|(_, time)| *time > GOES_ON_US);
        let words = |(harm, time): &(String, u64)| format!("after {harm} for {} ms", time / 1_000);
        violations.extend(late.map(|late| (Broken::Starved, words(late))));
    }
    violations
}

fn places<K: std::hash::Hash + Eq>(all: impl Iterator<Item = (K, u64)>) -> HashMap<K, Vec<u64>> {
    let mut places: HashMap<K, Vec<u64>> = HashMap::new();
    all.for_each(|(key, place)| places.entry(key).or_default().push(place));
    places
}

/// One answer against what is there.
fn hold(call: &Call, found: &[u64]) -> Option<Violation> {
    let has_id = call.deed != Deed::Item;
    match (&call.answer, found) {
        (_, [_, _, ..]) => Some((Broken::Twice, format!("{found:?}: {call:?}"))),
        (Answer::Done(_), []) => Some((Broken::Lost, format!("{call:?}"))),
        (Answer::Done(place), [at]) if has_id && place != at => {
            Some((Broken::Lost, format!("at {at}: {call:?}")))
        }
        (Answer::Refused(_), [_]) => Some((Broken::Lie, format!("it is there: {call:?}"))),
        (Answer::Unknown { there: Some(_), .. }, []) => {
            Some((Broken::Lost, format!("asked again: {call:?}")))
        }
        (Answer::Unknown { there: None, .. }, _) if has_id => {
            Some((Broken::Unsettled, format!("asked again and again: {call:?}")))
        }
        _ => None,
    }
}

/// What each lane has counted, answer by answer and in the end.
fn sums(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    // The least and the most that there may be.
    let mut bounds: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for call in evidence.calls.iter().filter(|call| call.deed == Deed::Increment) {
        let (least, most) = bounds.entry(call.lane).or_default();
        match call.answer {
            Answer::Done(sum) => {
                (*least, *most) = (*least + 1, *most + 1);
                violations.extend(misses(call.lane, sum, (*least, *most)));
                (*least, *most) = (sum, sum);
            }
            Answer::Unknown { .. } | Answer::None => *most += 1,
            Answer::Refused(_) => {}
        }
    }
    for (lane, bounds) in bounds {
        let sum = evidence.found.sums.get(&lane).copied().unwrap_or(0);
        violations.extend(misses(lane, sum, bounds));
    }
    violations
}

fn misses(lane: u64, sum: u64, (least, most): (u64, u64)) -> Option<Violation> {
    let words = || format!("lane {lane} has counted to {sum}, and not to {least}..={most}");
    match sum {
        _ if sum < least => Some((Broken::Lost, words())),
        _ if sum > most => Some((Broken::Twice, words())),
        _ => None,
    }
}

/// Positions, versions, and what came to one who follows: each is dense from 1.
fn holes(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut versions: HashMap<&str, u64> = HashMap::new();
    for (expected, (position, _, stream, version)) in (1..).zip(&evidence.found.events) {
        let last = versions.entry(stream).or_default();
        *last += 1;
        if *position != expected || version != last {
            let words =
                format!("position {position} for {expected}, version {version} for {last} of {stream}");
            violations.push((Broken::Hole, words));
            break;
        }
    }
    let all = evidence.found.events.len() as u64;
    let came = evidence.followed.iter().copied();
    if let Some((expected, came)) = (1..).zip(came).find(|(expected, came)| expected != came) {
        violations.push((Broken::Hole, format!("{came} came to one who follows, and not {expected}")));
    } else if evidence.followed.len() as u64 != all {
        let words = format!("{} of {all} came to one who follows", evidence.followed.len());
        violations.push((Broken::Hole, words));
    }
    violations
}

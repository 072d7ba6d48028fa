//! What must be true of what the workers have said and what was found.

use std::collections::{BTreeMap, BTreeSet};

use millpond::JobState;

use super::evidence::{Answer, Claim, Evidence, Found, How};
use super::order;
use super::spec::{DOSES, Kind};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// A job is gone that was pushed, or is another, or nobody pushed it (Q1).
        Lost,
        /// A job was done twice, or worked on after its end, or a token was given twice (Q2).
        Twice,
        /// Somebody was told another end than there is (Q1, Q2).
        Lie,
        /// Another job was claimed than the one whose turn it was (Q3).
        Order,
        /// Attempts are not counted, or there were too many or too few (Q4).
        Attempts,
        /// Poison is not among the dead letters, with a reason (Q4).
        Undead,
        /// A job was claimed before its time (Q5).
        Early,
        /// Two jobs of a key lived at once, or one kept another out that it should not (Q6).
        Key,
        /// What was to be done is not done in the end.
        Stuck,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// Delays are counted in whole milliseconds.
pub(super) const MARGIN_US: u64 = 2_000;

/// They are counted from the beginning of the group that takes the push, and that may have begun before it was asked for:
/// on a machine that does other things too, by so much at most.
pub(super) const GROUP_US: u64 = 50_000;

/// Claims out of order that are named.
const SOME: usize = 3;

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence, margin_us: u64) -> Vec<Violation> {
    let mut violations = Vec::new();
    let claims = evidence.claims_by_job();
    lost(evidence, &mut violations);
    again(evidence, &claims, &mut violations);
    for found in &evidence.found {
        let none = Vec::new();
        ended(evidence, found, claims.get(&found.sequence).unwrap_or(&none), &mut violations);
    }
    for (early_us, words) in early(evidence, &claims) {
        if early_us > margin_us {
            violations.push((Broken::Early, words));
        }
    }
    keys(evidence, &claims, &mut violations);
    for (claim, better) in order::overtaken(evidence, SOME) {
        violations.push((Broken::Order, format!("job {better} was there before {claim:?}")));
    }
    violations
}

/// What was pushed is there as it was pushed, each in its place, once.
fn lost(evidence: &Evidence, violations: &mut Vec<Violation>) {
    let by_place: BTreeMap<u64, &Found> =
        evidence.found.iter().map(|found| (found.sequence, found)).collect();
    for push in &evidence.pushes {
        match by_place.get(&push.sequence) {
            None => violations.push((Broken::Lost, format!("gone: {push:?}"))),
            Some(found) if !push.existed && found.number != push.number => {
                violations.push((Broken::Lost, format!("{push:?} is {found:?}")));
            }
            Some(_) => {}
        }
    }
    let mut numbers = BTreeSet::new();
    for (place, found) in (1..).zip(&evidence.found) {
        if found.sequence != place {
            violations.push((Broken::Lost, format!("{found:?} is number {place}")));
            break;
        }
        if !numbers.insert(found.number) {
            violations.push((Broken::Twice, format!("pushed once: {found:?}")));
        }
    }
    for claim in evidence.claims.values() {
        if by_place.get(&claim.sequence).is_none_or(|found| found.number != claim.number) {
            violations.push((Broken::Lost, format!("claimed, and not there: {claim:?}")));
        }
    }
}

/// A token is given once; what is at its end is not worked on again; each attempt counts.
fn again(evidence: &Evidence, claims: &BTreeMap<u64, Vec<&Claim>>, violations: &mut Vec<Violation>) {
    violations.extend(evidence.again.iter().map(|token| (Broken::Twice, format!("token {token}"))));
    for claims in claims.values() {
        for pair in claims.windows(2) {
            let [before, claim] = pair else { continue };
            if before.well().is_some_and(|end| matches!(end.how, How::Done | How::Bury)) {
                violations.push((Broken::Twice, format!("{claim:?} after {before:?}")));
            }
            if claim.attempt <= before.attempt {
                violations.push((Broken::Attempts, format!("{claim:?} after {before:?}")));
            }
        }
    }
}

/// A job is done or dead in the end, and as whoever had it last was told.
fn ended(evidence: &Evidence, found: &Found, claims: &[&Claim], violations: &mut Vec<Violation>) {
    let spec = evidence.spec(found.number);
    let told = claims.last();
    if told.is_some_and(|told| told.attempt > found.attempts) || found.attempts > spec.max_attempts() {
        violations.push((Broken::Attempts, format!("{found:?} after {told:?}")));
    }
    match told.and_then(|told| told.well()).map(|end| end.how) {
        Some(How::Done) if found.state != JobState::Done => {
            violations.push((Broken::Lie, format!("{found:?} was said to be done")));
        }
        Some(How::Bury) if found.state != JobState::Dead => {
            violations.push((Broken::Lie, format!("{found:?} was said to be buried")));
        }
        _ => {}
    }
    // One whose worker has died before he could say what he heard, or was killed before he could ask.
    let untold = |how: How| {
        claims.iter().any(|claim| match claim.end {
            Some(end) => end.how == how && end.answer == Answer::Well,
            None => true,
        })
    };
    match found.state {
        JobState::Done if !untold(How::Done) => {
            violations.push((Broken::Lie, format!("nobody has done {found:?}")));
        }
        JobState::Dead if spec.kind == Kind::Poison => {
            let has_died = found.reason.as_ref().is_some_and(|reason| !reason.is_empty());
            if found.attempts != DOSES || !has_died {
                violations.push((Broken::Undead, format!("{found:?}")));
            }
        }
        JobState::Dead if found.attempts < spec.max_attempts() && !untold(How::Bury) => {
            violations.push((Broken::Attempts, format!("nobody has buried {found:?}")));
        }
        JobState::Done | JobState::Dead => {}
        _ => violations.push((Broken::Stuck, format!("{found:?}"))),
    }
    if spec.kind == Kind::Poison && found.state != JobState::Dead {
        violations.push((Broken::Undead, format!("{found:?}")));
    }
}

/// No attempt begins before its time: so long after its push, or its retry, had begun.
/// Those that do, by how many microseconds.
fn early(evidence: &Evidence, claims: &BTreeMap<u64, Vec<&Claim>>) -> Vec<(u64, String)> {
    let mut early = Vec::new();
    let pushed = evidence.pushed();
    for (sequence, claims) in claims {
        let push = pushed.get(sequence).map(|push| (push.begun, evidence.spec(push.number).delay_ms));
        let first = claims.first().map(|first| (push, *first));
        let others = claims.windows(2).filter_map(|pair| {
            let [before, claim] = pair else { return None };
            let end = before.well()?;
            let How::Retry(delay_ms) = end.how else { return None };
            Some((Some((end.begun, delay_ms)), *claim))
        });
        for (asked, claim) in first.into_iter().chain(others) {
            let Some((begun, delay_ms)) = asked else { continue };
            let due = begun + delay_ms * 1_000;
            if claim.got < due {
                early.push((due - claim.got, format!("{claim:?}: {delay_ms} ms after {begun}")));
            }
        }
    }
    early
}

/// By how much the earliest attempt was before its time.
pub(super) fn early_max_us(evidence: &Evidence) -> u64 {
    early(evidence, &evidence.claims_by_job()).into_iter().map(|(early_us, _)| early_us).max().unwrap_or(0)
}

/// Of a key there is one living job at a time, and that alone keeps others out.
fn keys(evidence: &Evidence, claims: &BTreeMap<u64, Vec<&Claim>>, violations: &mut Vec<Violation>) {
    let key = |number| evidence.spec(number).key;
    let last = |sequence: u64| claims.get(&sequence).and_then(|claims| claims.last());
    let end = |sequence: u64| last(sequence).and_then(|claim| claim.well());
    let mut living: BTreeMap<u64, &Found> = BTreeMap::new();
    let pushed = evidence.pushed();
    for found in &evidence.found {
        let Some(before) = key(found.number).and_then(|key| living.insert(key, found)) else { continue };
        // It lived when it was claimed, and when its worker began to end that.
        let begun = last(before.sequence).map(|claim| claim.well().map_or(claim.got, |end| end.begun));
        let acked = pushed.get(&found.sequence).map(|push| push.acked);
        if acked.zip(begun).is_some_and(|(acked, begun)| acked < begun) {
            violations.push((Broken::Key, format!("{found:?} while {before:?} lived")));
        }
    }
    let by_place: BTreeMap<u64, &Found> =
        evidence.found.iter().map(|found| (found.sequence, found)).collect();
    for push in evidence.pushes.iter().filter(|push| push.existed) {
        let alike = by_place.get(&push.sequence).is_some_and(|it| key(it.number) == key(push.number));
        let over = end(push.sequence).filter(|end| matches!(end.how, How::Done | How::Bury));
        if !alike || over.is_some_and(|end| end.acked < push.begun) {
            violations.push((Broken::Key, format!("kept out by one that is no such job: {push:?}")));
        }
    }
}

//! What must be true of what was planned and pushed.

use std::collections::BTreeMap;

use super::child::Chime;
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// A time was left out (Q5).
        Lost,
        /// A time was done for twice (Q5).
        Twice,
        /// A job came before its time (Q5).
        Early,
        /// A schedule says that something else was done last, or there is a job of none (Q5).
        Lie,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// By name: when each is due next, and the last time that was done for.
pub(super) type Schedules = BTreeMap<String, (Option<i64>, Option<i64>)>;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// Each time that was to come.
    pub(super) chimes: Vec<Chime>,
    /// When the one was due first that comes in every second.
    pub(super) steady: Option<i64>,
    /// The jobs that are there, and when they were pushed.
    pub(super) jobs: Vec<(Chime, i64)>,
    /// How they stand in the end.
    pub(super) schedules: Schedules,
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut pushed: BTreeMap<Chime, Vec<i64>> = BTreeMap::new();
    for (chime, at) in &evidence.jobs {
        pushed.entry(*chime).or_default().push(*at);
    }
    let steady = pushed.remove(&Chime::STEADY).unwrap_or_default();
    for chime in &evidence.chimes {
        let (due, times) = (chime.at * 1_000, pushed.remove(chime).unwrap_or_default());
        match times.as_slice() {
            [] => violations.push((Broken::Lost, format!("{chime:?} never came"))),
            [at] if *at < due => violations.push((Broken::Early, format!("{chime:?} came at {at}"))),
            [_] => {}
            _ => violations.push((Broken::Twice, format!("{chime:?} came at {times:?}"))),
        }
        let last = evidence.schedules.get(&chime.name()).and_then(|(_, last)| *last);
        if !times.is_empty() && last != Some(due) {
            violations.push((Broken::Lie, format!("{chime:?} is said to have come for {last:?}")));
        }
    }
    violations.extend(pushed.keys().map(|chime| (Broken::Lie, format!("of no schedule: {chime:?}"))));
    violations.extend(every_second(evidence, &steady));
    violations
}

/// What comes in every second has not come more often than there were seconds: those that nobody was there for are done for
/// together.
fn every_second(evidence: &Evidence, pushed: &[i64]) -> Option<Violation> {
    let last = evidence.schedules.get(&Chime::STEADY.name()).and_then(|(_, last)| *last);
    let (Some(first), Some(last)) = (evidence.steady, last) else {
        return Some((Broken::Lost, "what comes in every second never came".into()));
    };
    let seconds = (last - first) / 1_000 + 1;
    let count = pushed.len();
    let too_many = count as u64 > seconds.unsigned_abs();
    too_many.then(|| (Broken::Twice, format!("{count} times in {seconds} seconds: {pushed:?}")))
}

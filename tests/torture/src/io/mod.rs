//! The n-th call to a file fails, once or for good, for every n and every kind of call: what is a store worth then?
//!
//! Promises: G1, G3, G6, G13. A store is made and used by a few callers while one call fails. Afterwards the disk is well
//! again, and what callers were told is held against what is there: nothing acknowledged is lost, nothing that was said
//! not to be applied is found, what was unknown is settled, the same handle can be used again unless it has said that it
//! is closed for writing, and figures or answers have told of every write that failed.
//!
//! `group` is the same for groups of many that are too large for the cache, so that the log is written while their
//! operations are applied: all of a group fail alike.

mod group;
pub(crate) mod script;

use serde::Serialize;

use self::script::Ran;
use crate::report::{Broken, Violations};
use crate::vfs::{Call, Fault, File, Harm};
use crate::workload::told::Counts;
use crate::{Result, clock};

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Rounds of callers in a run.
    pub rounds: u64,
    /// An end in time.
    pub seconds: Option<u64>,
    /// How the number of the failing call grows: by 1, and by one more for each `stride` that it has reached. 0 is
    /// never, so every call fails once.
    pub stride: u64,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 14, seconds: None, stride: 0, mutant: None }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An event that was applied is said not to have been.
    Sure,
    /// An acknowledged event is gone.
    Forgetful,
    /// What was settled is the other way round.
    Fickle,
    /// The disk does not get well.
    Sick,
    /// Nobody tells that a write failed.
    Silent,
    /// One of a group that failed is told that all is well.
    Apart,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 6] =
        [Mutant::Sure, Mutant::Forgetful, Mutant::Fickle, Mutant::Sick, Mutant::Silent, Mutant::Apart];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Sure => Broken::Lie,
            Mutant::Forgetful => Broken::Lost,
            Mutant::Fickle => Broken::Unsettled,
            Mutant::Sick => Broken::Wedged,
            Mutant::Silent => Broken::Hidden,
            Mutant::Apart => Broken::Apart,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Runs in which a call failed.
    pub runs: u64,
    /// Of them, with one group of many.
    pub groups: u64,
    /// Of them, in which the call failed before the commit, in the middle of the group.
    pub spilled: u64,
    /// Calls that failed.
    pub fired: u64,
    /// What callers heard.
    #[serde(flatten)]
    pub words: Counts,
    /// Stores that could not be opened or made while the fault lasted.
    pub unopened: u64,
    /// Handles that said that nothing more is written through them.
    pub poisoned: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

impl Report {
    fn add(&mut self, fault: &Fault, ran: Ran) {
        self.runs += 1;
        self.fired += ran.fired;
        self.unopened += u64::from(ran.unopened);
        self.poisoned += u64::from(ran.poisoned);
        self.words.add(&ran.words);
        let named = |(broken, words)| (broken, format!("{fault:?}: {words}"));
        self.violations.extend(ran.violations.into_iter().map(named));
    }
}

/// What can go wrong with a call.
fn harms(call: Call) -> &'static [Harm] {
    match call {
        Call::Write => &[Harm::Error, Harm::Full, Harm::Short],
        Call::Map => &[Harm::Error, Harm::Full],
        Call::Sync => &[Harm::Error, Harm::Dropped],
        Call::Open | Call::Read | Call::Truncate | Call::Delete => &[Harm::Error],
    }
}

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let start = clock::now();
    let mut report = Report::default();
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    let goes_on = |report: &Report| {
        in_time() && settings.mutant.is_none_or(|mutant| report.violations.count(&[mutant.breaks()]) == 0)
    };
    for call in Call::ALL {
        for harm in harms(call) {
            for for_good in [false, true] {
                let mut nth = 1;
                loop {
                    let fault = Fault { call, file: None, nth, for_good, again: 0, harm: *harm };
                    let ran = script::run(settings, fault)?;
                    if ran.fired == 0 || !goes_on(&report) {
                        break;
                    }
                    report.add(&fault, ran);
                    nth += 1 + nth.checked_div(settings.stride).unwrap_or(0);
                }
            }
        }
    }
    sweep_groups(settings, &goes_on, &mut report)?;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// How the writes of a group fail: once, in the first attempt; again while it is done anew under savepoints; for good.
const STROKES: [(Harm, bool, u64); 7] = [
    (Harm::Error, false, 0),
    (Harm::Full, false, 0),
    (Harm::Error, false, 1),
    (Harm::Error, false, 6),
    (Harm::Full, false, 15),
    (Harm::Error, true, 0),
    (Harm::Short, true, 0),
];

fn sweep_groups(settings: &Settings, goes_on: &impl Fn(&Report) -> bool, report: &mut Report) -> Result<()> {
    let _small = group::SmallCache::new()?;
    for callers in [2, 8, 64] {
        for (harm, for_good, again) in STROKES {
            let mut nth = 1;
            loop {
                let fault = Fault { call: Call::Write, file: Some(File::Log), nth, for_good, again, harm };
                let (ran, spilled) = group::run(settings, callers, fault)?;
                if ran.fired == 0 || !goes_on(report) {
                    break;
                }
                report.groups += 1;
                report.spilled += u64::from(spilled);
                report.add(&fault, ran);
                nth += 1 + nth.checked_div(settings.stride).unwrap_or(0);
            }
        }
    }
    Ok(())
}

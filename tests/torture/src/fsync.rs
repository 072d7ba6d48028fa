//! The n-th sync fails, and what it should have brought to disk is dropped, for every n; then the power fails.
//!
//! Every other time it fails once, and the process goes on. In between it is the first of those that fail until the
//! process ends, without having settled anything, and another one opens the store.
//!
//! Promises: G1, G3. This is what Linux does: it says once that a sync has failed, and takes the pages for clean. They can
//! still be read, so a store that goes on as if the next sync had brought them to disk loses them with the power. What
//! had been answered as not applied must not be there either, and what was unknown is settled by the next success.

use millpond::Durability;

use serde::Serialize;

use crate::cuts::{self, Figures};
use crate::look::Seen;
use crate::recording::{Life, Recording};
use crate::report::Broken;
use crate::vfs::{Call, Entry, Fault, Harm};
use crate::workload::told::{Counts, deny};
use crate::{Result, clock};

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from; when every sync has failed, the next one follows.
    pub seed: u64,
    /// Rounds of callers in a run.
    pub rounds: u64,
    /// Runs are made until so many images have been looked at.
    pub images: u64,
    /// Of them, so many of each run at most: those soon after the failure.
    pub images_a_run: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// Threads that look at images.
    pub lanes: u64,
    /// Of so many calls to a file one is looked at.
    pub every: u64,
    /// Of so many syncs one fails.
    pub stride: u64,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 1,
            rounds: 12,
            images: 5_000,
            images_a_run: 350,
            seconds: None,
            lanes: 2,
            every: 1,
            stride: 1,
            mutant: None,
        }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The store does not notice that the sync failed.
    Deaf,
    /// Whoever opens the store does not see what of the log is missing on disk.
    Blind,
    /// The store does not sync its commits.
    Unsynced,
    /// Whoever was told that all is well is told that nothing was applied.
    Hasty,
    /// An event is not seen after the power cut.
    Hole,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] = [Mutant::Deaf, Mutant::Blind, Mutant::Unsynced, Mutant::Hasty, Mutant::Hole];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Deaf | Mutant::Blind | Mutant::Unsynced | Mutant::Hole => Broken::Lost,
            Mutant::Hasty => Broken::Lie,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Workloads in which a sync failed.
    pub runs: u64,
    /// What was seen.
    #[serde(flatten)]
    pub figures: Figures,
    /// What callers heard.
    #[serde(flatten)]
    pub words: Counts,
    /// How long it took.
    pub seconds: u64,
}

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let start = clock::now();
    let mut report = Report::default();
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    // The syncs that make a store are not those that a mutant spoils.
    let first = if settings.mutant.is_some() { 12 } else { 1 };
    let (mut seed, mut nth) = (settings.seed, first);
    let caught = |report: &Report| {
        settings.mutant.is_some_and(|mutant| report.figures.violations.count(&[mutant.breaks()]) > 0)
    };
    while report.figures.images < settings.images && in_time() && !caught(&report) {
        let dies = match settings.mutant {
            Some(mutant) => mutant == Mutant::Blind,
            None => report.runs % 2 == 1,
        };
        let mut recording = record(settings, seed, nth, dies)?;
        if recording.fired == 0 {
            if nth == first {
                return Err("nothing is ever synced".into());
            }
            (seed, nth) = (seed + 1, first);
            continue;
        }
        let failing = nth;
        nth += settings.stride;
        report.runs += 1;
        report.words.add(&recording.words);
        // The last of them: what comes then is built on what they left.
        let failed =
            recording.journal.iter().rposition(|entry| matches!(entry, Entry::Dropped(_))).unwrap_or(0);
        if settings.mutant == Some(Mutant::Hasty) {
            deny(&mut recording.words, &millpond::Error::Closed);
        }
        let seen = |seen: &mut Seen| drop(seen.found.pop());
        let cuts = cuts::Settings {
            name: format!("seed {seed}, sync {failing}"),
            seed,
            lanes: settings.lanes,
            every: settings.every,
            from: failed,
            beginning: false,
            image: None,
            seen: (settings.mutant == Some(Mutant::Hole)).then_some(seen),
        };
        let most = settings.images_a_run.min(settings.images - report.figures.images);
        report.figures.add(cuts::look_at_all(&recording, &cuts, most, &in_time)?);
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

fn record(settings: &Settings, seed: u64, nth: u64, dies: bool) -> Result<Recording> {
    let harm = if settings.mutant == Some(Mutant::Deaf) { Harm::Unheard } else { Harm::Dropped };
    let durability = match settings.mutant {
        Some(Mutant::Unsynced) => Durability::ProcessCrash,
        _ => Durability::PowerLoss,
    };
    let boasts = settings.mutant == Some(Mutant::Blind);
    let fault = Fault { call: Call::Sync, file: None, nth, for_good: dies, again: 0, harm };
    let (rounds, fault) = (settings.rounds, Some(fault));
    Recording::of(&Life { seed, rounds, durability, fault, dies, readers: 0, boasts })
}

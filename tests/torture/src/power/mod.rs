//! The power fails at any moment of a store's life: is everything acknowledged there when it is back?
//!
//! Promises: G1, G2, G7, G14, A1, A2, L2, Q1, Q6, C1, C2, LG1. A store is used as `workload` says while its disk keeps a journal. Then, for
//! every call to a file and every pattern of what may be left of unsynced writes, the files are made as they would be
//! found, and Millpond opens them: by itself, with all that was acknowledged, in a state that is a beginning of what
//! there was at the end, undamaged; and some of them are written to.

mod mutant;

use millpond::Durability;

pub use self::mutant::Mutant;
use serde::Serialize;

use crate::cuts::{self, Figures};
use crate::recording::{Life, Recording};
use crate::workload::Word;
use crate::{Result, clock};

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from; the second run has the next one.
    pub seed: u64,
    /// Rounds of callers in a run.
    pub rounds: u64,
    /// Runs are made until so many images have been looked at.
    pub images: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// Threads that look at images.
    pub lanes: u64,
    /// Of so many calls to a file one is looked at.
    pub every: u64,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 40, images: 20_000, seconds: None, lanes: 2, every: 1, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Workloads that were run.
    pub runs: u64,
    /// What was seen.
    #[serde(flatten)]
    pub figures: Figures,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Operations, and the groups that they were committed in.
    pub operations: u64,
    /// As `operations`.
    pub groups: u64,
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
    while report.figures.images < settings.images && in_time() {
        let seed = settings.seed + report.runs;
        let durability = match settings.mutant {
            Some(Mutant::Unsynced) => Durability::ProcessCrash,
            _ => Durability::PowerLoss,
        };
        let life = Life {
            seed,
            rounds: settings.rounds,
            durability,
            fault: None,
            dies: false,
            readers: 0,
            boasts: false,
        };
        let mut recording = Recording::of(&life)?;
        report.runs += 1;
        report.acked += recording.count(Word::is_acked);
        report.operations += recording.operations.0;
        report.groups += recording.operations.1;
        if let Some(mutant) = settings.mutant {
            mutant.spoil_journal(&mut recording);
        }
        let cuts = cuts::Settings {
            name: format!("seed {seed}"),
            seed,
            lanes: settings.lanes,
            every: settings.every,
            // What a mutant spoils lies behind the making of the store.
            from: if settings.mutant.is_some() { recording.born } else { 0 },
            beginning: true,
            image: settings.mutant.and_then(Mutant::image),
            seen: settings.mutant.and_then(Mutant::seen),
        };
        let most = settings.images - report.figures.images;
        report.figures.add(cuts::look_at_all(&recording, &cuts, most, &in_time)?);
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

//! The power fails at any moment of a store's life: is everything acknowledged there when it is back?
//!
//! Promises: G1, G2, G7, G14, A1, A2, L2. A store is used as `workload` says while its disk keeps a journal. Then, for
//! every call to a file and every pattern of what may be left of unsynced writes, the files are made as they would be
//! found, and Millpond opens them: by itself, with all that was acknowledged, in a state that is a beginning of what
//! there was at the end, undamaged; and some of them are written to.

mod images;
mod mutant;
mod recording;

use std::collections::BTreeMap;

pub use self::mutant::Mutant;
use self::images::Images;
use crate::kill::{Broken, Violation};
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
#[derive(Debug, Default)]
pub struct Report {
    /// Workloads that were run.
    pub runs: u64,
    /// Calls to a file after which the power failed.
    pub calls: u64,
    /// Images that were looked at.
    pub images: u64,
    /// Of them, those that no other was equal to: these were opened.
    pub opened: u64,
    /// Of them, those that were written to.
    pub written: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Operations, and the groups that they were committed in.
    pub operations: (u64, u64),
    /// How long it took, in milliseconds.
    pub millis: u128,
    /// What was broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// How often a promise was broken.
    #[must_use]
    pub fn count(&self, which: &[Broken]) -> usize {
        self.violations.iter().filter(|(broken, _)| which.contains(broken)).count()
    }

    /// One line of figures.
    #[must_use]
    pub fn json(&self, settings: &Settings) -> serde_json::Value {
        let words: Vec<&str> = self.violations.iter().take(10).map(|(_, words)| words.as_str()).collect();
        let patterns = crate::medium::Pattern::ALL.len();
        serde_json::json!({
            "name": "power", "seed": settings.seed, "runs": self.runs, "calls": self.calls,
            "patterns": patterns, "images": self.images, "opened": self.opened, "written": self.written,
            "acked": self.acked, "operations": self.operations.0, "groups": self.operations.1,
            "acked_lost": self.count(&[Broken::Lost]), "corrupt": self.count(&[Broken::Corrupt]),
            "holes": self.count(&[Broken::Hole, Broken::Torn, Broken::Twice, Broken::Overlap]),
            "wedged": self.count(&[Broken::Wedged, Broken::Failed]), "seconds": self.millis / 1_000,
            "images_a_second": u128::from(self.images) * 1_000 / self.millis.max(1), "violations": words,
        })
    }
}

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let start = clock::now();
    let (mut report, mut seed) = (Report::default(), settings.seed);
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    while report.images < settings.images && in_time() {
        let recording = recording::record(settings, seed)?;
        report.runs += 1;
        report.acked += recording.acked();
        report.operations.0 += recording.operations.0;
        report.operations.1 += recording.operations.1;
        let images = Images::of(settings, seed, &recording)?;
        let most = settings.images - report.images;
        images.look_at_all(most, &in_time, &mut report)?;
        seed += 1;
    }
    report.millis = start.elapsed().as_millis();
    Ok(report)
}

/// The violations of an image say which image it was.
fn about(violations: Vec<Violation>, image: &str) -> impl Iterator<Item = Violation> {
    // The first of each kind is enough: an image that lost something has mostly lost many.
    let mut kinds: BTreeMap<String, Violation> = BTreeMap::new();
    for (broken, words) in violations {
        kinds.entry(format!("{broken:?}")).or_insert_with(|| (broken, format!("{image}: {words}")));
    }
    kinds.into_values()
}

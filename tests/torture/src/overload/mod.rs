//! Ten times as many callers as are let in, with much more than fits into memory, while nobody can write: are they
//! refused, does the memory keep its bound, is all well afterwards?
//!
//! Promise: G9. Wave after wave of callers comes while the turn is taken, asks and goes away again; what they have
//! brought along must go with them, for only those who were let in leave anything inside. The last wave waits and hears
//! that the store is overloaded, or busy. Then the turn is left, everybody comes again and is served, and one caller
//! alone is served as it was before. Nothing that was acknowledged is lost, nothing of a refused call is there.

pub mod child;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crew::Crew;
use crate::recording::folder;
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "overload-child";

/// Calls that may be inside.
const INSIDE: usize = 64;

/// Callers at once.
const CALLERS: u64 = 10 * INSIDE as u64;

/// Bytes that come with each of a call's events, of which there are two on average.
const PAD: usize = 16_000;

/// What a wave brings along, on average.
const WAVE_KIB: u64 = CALLERS * 2 * PAD as u64 / 1_024;

/// What the process may need beyond what it had: its callers' events, a copy of those, what is inside, and the caches.
const BOUND_KIB: u64 = 2 * WAVE_KIB + (32 << 10);

/// No child takes this long.
const PATIENCE: Duration = Duration::from_secs(170);

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Waves of callers who go away.
    pub waves: u64,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
    /// Whether slow service afterwards is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, waves: 60, mutant: None, timed: true }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Everybody is let in.
    Ungated,
    /// There is no load.
    Idle,
    /// The load never ends.
    Stuck,
    /// Who was told that all is well is told that nothing was applied.
    Sure,
    /// Acknowledged events are gone.
    Forgetful,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] =
        [Mutant::Ungated, Mutant::Idle, Mutant::Stuck, Mutant::Sure, Mutant::Forgetful];

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Mutant> {
        Mutant::ALL.into_iter().find(|mutant| mutant.name() == name)
    }

    fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// What must be said of it, in words that begin so.
    #[must_use]
    pub fn breaks(self) -> &'static str {
        match self {
            Mutant::Ungated => "Leaked: it has grown",
            Mutant::Idle => "Hidden",
            Mutant::Stuck => "Wedged",
            Mutant::Sure => "Lie",
            Mutant::Forgetful => "Lost",
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Callers, all waves together.
    pub callers: u64,
    /// Of them, those that went away.
    pub cancelled: u64,
    /// Events that were refused because too many were inside.
    pub overloaded: u64,
    /// Events that were inside and could not be written in time.
    pub busy: u64,
    /// Acknowledged events.
    pub acked: u64,
    /// Most calls that were seen inside after a wave.
    pub most_inside: u64,
    /// Waves that were not served as a whole after the load had ended.
    pub returns: u64,
    /// The most memory at once, before the load and with it.
    pub base_kib: u64,
    /// As `base_kib`.
    pub peak_kib: u64,
    /// What a single caller's append takes, before and after: the middle, in microseconds.
    pub before_us: u64,
    /// As `before_us`.
    pub after_us: u64,
    /// What was broken.
    pub violations: Vec<String>,
}

impl Report {
    /// Whether something was broken, and said in words that begin so.
    #[must_use]
    pub fn complains(&self, start: &str) -> bool {
        self.violations.iter().any(|words| words.starts_with(start))
    }

    /// One line of figures.
    #[must_use]
    pub fn json(&self, settings: &Settings) -> serde_json::Value {
        let count = |start: &str| self.violations.iter().filter(|words| words.starts_with(start)).count();
        serde_json::json!({
            "name": "overload", "seed": settings.seed, "callers": self.callers, "cancelled": self.cancelled,
            "inside_limit": INSIDE, "most_inside": self.most_inside, "overloaded": self.overloaded,
            "busy": self.busy, "acked": self.acked, "returns": self.returns,
            "offered_mib": ((settings.waves + 1) * WAVE_KIB) >> 10, "base_kib": self.base_kib,
            "peak_kib": self.peak_kib, "bound_kib": self.base_kib + BOUND_KIB, "before_us": self.before_us,
            "after_us": self.after_us, "acked_lost": count("Lost"), "lies": count("Lie"),
            "wedged": count("Wedged") + count("Failed"),
            "violations": self.violations.iter().take(6).collect::<Vec<_>>(),
        })
    }
}

/// Runs it with a child of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let folder = folder()?;
    let file = folder.path().join("overload.db");
    let mut crew = Crew::new(program, 1);
    let arguments = [
        CHILD.to_owned(),
        file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
        settings.seed.to_string(),
        settings.waves.to_string(),
        settings.mutant.map_or_else(|| "none".to_owned(), Mutant::name),
    ];
    crew.start(0, &arguments, &[])?;
    let end = clock::now() + PATIENCE;
    let (_, line) = crew.hear(end.saturating_duration_since(clock::now())).ok_or("the child says nothing")?;
    let mut report: Report = serde_json::from_str(&line.ok_or("the child ended by itself")?)?;
    let grown = report.peak_kib.saturating_sub(report.base_kib);
    if grown > BOUND_KIB {
        report.violations.push(format!("Leaked: it has grown by {grown} KiB; the bound is {BOUND_KIB}"));
    }
    if report.most_inside > INSIDE as u64 {
        report.violations.push(format!("Leaked: {} were inside", report.most_inside));
    }
    if settings.timed && report.after_us > 10 * report.before_us {
        let (before, after) = (report.before_us, report.after_us);
        report.violations.push(format!("Wedged: an append took {before} us before, and {after} after"));
    }
    Ok(report)
}

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
use crate::report::{Broken, Violation, Violations};
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
    pub fn breaks(self) -> (Broken, &'static str) {
        match self {
            Mutant::Ungated => (Broken::Leaked, "it has grown"),
            Mutant::Idle => (Broken::Hidden, ""),
            Mutant::Stuck => (Broken::Wedged, ""),
            Mutant::Sure => (Broken::Lie, ""),
            Mutant::Forgetful => (Broken::Lost, ""),
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
    /// All that was offered, and what the process may need at most.
    pub offered_mib: u64,
    /// As `offered_mib`.
    pub bound_kib: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken; a child says so beside its figures.
    #[serde(flatten, skip_deserializing)]
    pub violations: Violations,
}

/// Runs it with a child of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, folder) = (clock::now(), folder()?);
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
    let (_, line) = crew.hear(PATIENCE).ok_or("the child says nothing")?;
    let said = serde_json::from_str(&line.ok_or("the child ended by itself")?)?;
    let (mut report, violations): (Report, Vec<Violation>) = said;
    report.violations = violations.into();
    let grown = report.peak_kib.saturating_sub(report.base_kib);
    if grown > BOUND_KIB {
        let words = format!("it has grown by {grown} KiB; the bound is {BOUND_KIB}");
        report.violations.push((Broken::Leaked, words));
    }
    if report.most_inside > INSIDE as u64 {
        report.violations.push((Broken::Leaked, format!("{} were inside", report.most_inside)));
    }
    if settings.timed && report.after_us > 10 * report.before_us {
        let (before, after) = (report.before_us, report.after_us);
        let words = format!("an append took {before} us before, and {after} after");
        report.violations.push((Broken::Wedged, words));
    }
    report.offered_mib = ((settings.waves + 1) * WAVE_KIB) >> 10;
    report.bound_kib = report.base_kib + BOUND_KIB;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

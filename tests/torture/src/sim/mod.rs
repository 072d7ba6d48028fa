//! Virtual time (T17): several processes of one store on one thread, whose every step, and all that is done to them, comes
//! from a seed. The same seed gives the same trace, and a promise that is broken is broken again.
//!
//! A process is a whole runtime of its own: supervisor, actors, writer, watcher and reader, built where there are no threads.
//! Files in reading order:
//! - `seams`: the clock, ids and workers of such a machine; `trace`: what has happened, as one number;
//! - `judge`, `line`, `truth`: what must not happen; locks as a model; what is in the store, judged commit by commit;
//! - `ground`: what all of them share; `storage`, `bell`: a session that fails, and tells the truth; `mutant`, `spoil`: and what is done
//!   to it on purpose;
//! - `process`, `caller`, `account`: a process, who calls in it, and what is called;
//! - `world`: the scheduler; `deed`: what it does to them.

mod account;
mod caller;
mod commands;
mod deed;
mod ground;
mod judge;
mod line;
mod mutant;
mod process;
mod rope;
mod seams;
mod spoil;
mod storage;
mod trace;
mod truth;
mod window;
mod world;

use std::fs::File;
use std::panic::{set_hook, take_hook};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use actix_rt::System;

pub use self::ground::Figures;
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use self::trace::Trace;
use self::world::{Outcome, World};
use crate::random::Random;
use crate::{Result, clock, report};

/// How long a world lasts, in minutes; then the next one begins, from nothing.
const WORLD_MINUTES: u64 = 30;

/// What is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// For how long, by the clocks of the simulation.
    pub minutes: u64,
    /// One world in so many is lived twice, to see that it comes out the same; the first one always is.
    pub again: u64,
    /// Only the world with this seed, in place of all that `seed` leads to: one that a violation names.
    pub world: Option<u64>,
    /// Where the trace of the first world goes, to be read.
    pub trace: Option<PathBuf>,
    /// What is spoilt on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, minutes: 60, again: 20, world: None, trace: None, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Worlds, and those of them that were lived twice.
    pub worlds: (u64, u64),
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// Lines of the traces.
    pub lines: u64,
    /// All traces as one number.
    pub trace: u64,
    /// What was done, and what came of it.
    pub figures: Vec<Figures>,
    /// How long it took, in milliseconds.
    pub millis: u128,
    /// What was broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// A figure over all worlds.
    #[must_use]
    pub fn sum(&self, figure: fn(&Figures) -> u64) -> u64 {
        self.figures.iter().map(figure).sum()
    }

    /// One line of figures.
    ///
    /// # Errors
    /// None that can happen.
    pub fn json(&self, settings: &Settings) -> Result<serde_json::Value> {
        let sum = |figure| self.sum(figure);
        let hours = self.simulated_ms / 3_600_000;
        let pace = u128::from(self.simulated_ms) / self.millis.max(1);
        let samples: Vec<_> =
            self.violations.iter().take(5).map(|(what, why)| format!("{what:?}: {why}")).collect();
        // What a mutant breaks may have several faces here: one of them.
        let said = |mutant: Mutant| self.violations.iter().any(|(what, _)| mutant.breaks().contains(what));
        let figures = serde_json::json!({
            "simulated_hours": hours, "worlds": self.worlds.0,
            "lived_twice": self.worlds.1, "trace": format!("{:016x}", self.trace), "lines": self.lines,
            "hours_an_hour": u64::try_from(pace).unwrap_or(u64::MAX),
            "calls": sum(|f| f.calls), "answers": sum(|f| f.answers), "dropped": sum(|f| f.dropped),
            "commits": sum(|f| f.commits), "events": sum(|f| f.events),
            "grants": sum(|f| f.grants), "taken_over": sum(|f| f.taken_over),
            "fenced": sum(|f| f.fenced), "conflicts": sum(|f| f.conflicts), "lost_leases": sum(|f| f.refused),
            "rejected": sum(|f| f.rejected), "unknown": sum(|f| f.unknown),
            "kills": sum(|f| f.kills), "stops": sum(|f| f.stops), "closes": sum(|f| f.closes),
            "panics": sum(|f| f.panics), "failed_commits": sum(|f| f.failed_commits),
            "failed_operations": sum(|f| f.failed_operations), "foreign_turns": sum(|f| f.foreign_turns),
            "lost_rings": sum(|f| f.lost_rings), "put_off": sum(|f| f.put_off), "steps": sum(|f| f.steps),
            "violations": samples,
            "seconds": self.millis / 1_000,
        });
        report::line("sim", settings.seed, &figures, settings.mutant.map(said))
    }
}

/// Failpoints are the process's, so there is one simulation at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = take_hook();
    // Most panics here are asked for, and where the others lead to is seen.
    set_hook(Box::new(|_| ()));
    let report = worlds(settings);
    set_hook(hook);
    report
}

fn worlds(settings: &Settings) -> Result<Report> {
    let (start, mut seeds) = (clock::now(), Random::new(settings.seed));
    let (mut report, mut left) = (Report::default(), settings.minutes);
    while left > 0 && report.violations.is_empty() {
        let minutes = left.min(WORLD_MINUTES);
        let seed = settings.world.unwrap_or_else(|| seeds.below(u64::MAX));
        left = if settings.world.is_some() { 0 } else { left - minutes };
        let kept = settings.trace.as_ref().filter(|_| report.worlds.0 == 0);
        let kept = kept.map(File::create).transpose()?;
        let outcome = world(seed, minutes, settings.mutant, kept)?;
        if report.worlds.0.is_multiple_of(settings.again.max(1)) {
            report.worlds.1 += 1;
            let again = world(seed, minutes, settings.mutant, None)?;
            if again.hash != outcome.hash {
                let words = format!("world {seed}: {:016x}, and then {:016x}", outcome.hash, again.hash);
                report.violations.push((Broken::Differs, words));
            }
        }
        report.worlds.0 += 1;
        report.simulated_ms += outcome.millis;
        report.lines += outcome.lines;
        report.trace = report.trace.rotate_left(7) ^ outcome.hash;
        report.figures.push(outcome.figures);
        let of_world = |(broken, words)| (broken, format!("world {seed}, {words}"));
        report.violations.extend(outcome.violations.into_iter().map(of_world));
    }
    report.millis = start.elapsed().as_millis();
    Ok(report)
}

/// One world, on this thread.
fn world(seed: u64, minutes: u64, mutant: Option<Mutant>, kept: Option<File>) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let system = System::with_tokio_rt(|| runtime);
    system.block_on(World::live(seed, minutes * 60_000, mutant, Trace::new(kept)))
}

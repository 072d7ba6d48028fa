//! The disk is full, for as long as it is, and then it has room again.
//!
//! Promise: G13. `io` lets single calls fail; here every write fails from the n-th on, with large and small events, so
//! that it is now the first write of a commit, now one in its middle, now the log's move into the main file; and it goes
//! on for longer than a writer bears failures. Callers hear that the disk is full and nothing was applied, what was
//! acknowledged can be read meanwhile and afterwards, and the first write after there is room succeeds through the same
//! handle. The same on a real small disk with some bytes left, where one may be mounted.

mod mount;
mod round;

use std::path::Path;

use serde::Serialize;

use self::mount::LEFT;
pub use self::mount::live;
use self::round::{Ran, Round, judge};
use crate::io::script::Stage;
use crate::look::look;
use crate::report::{Broken, Violations};
use crate::vfs::{Call, Fault, Harm};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "full-child";

/// Bytes that come with each event.
const PADS: [usize; 3] = [0, 5_000, 60_000];

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Most writes that succeed before the disk is full.
    pub writes: u64,
    /// How the number of writes that succeed grows: by 1, and by one more for each `stride` that it has reached. 0 is
    /// never, so the disk is full at every one of them.
    pub stride: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, writes: 120, stride: 0, seconds: None, mutant: None }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An event that was applied is said not to have been.
    Sure,
    /// An acknowledged event is gone.
    Forgetful,
    /// It is not said that the disk is full.
    Vague,
    /// Nothing can be read while it is.
    Blind,
    /// There is never room again.
    Sick,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] =
        [Mutant::Sure, Mutant::Forgetful, Mutant::Vague, Mutant::Blind, Mutant::Sick];

    /// What must be said of it, in words that begin so.
    #[must_use]
    pub fn breaks(self) -> (Broken, &'static str) {
        match self {
            Mutant::Sure => (Broken::Lie, ""),
            Mutant::Forgetful => (Broken::Lost, "gone"),
            Mutant::Vague => (Broken::Hidden, ""),
            Mutant::Blind => (Broken::Lost, "while it is full"),
            Mutant::Sick => (Broken::Wedged, "there is room again"),
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Disks that were full at some write.
    pub runs: u64,
    /// Real small disks.
    pub mounted: u64,
    /// Why there were none.
    pub skipped: Option<String>,
    /// Acknowledged events.
    pub acked: u64,
    /// Refused ones, and locks.
    pub refused: u64,
    /// Events of unknown fate.
    pub unknown: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

impl Report {
    fn add(&mut self, what: &str, ran: Ran) {
        self.acked += ran.acked;
        self.refused += ran.refused;
        self.unknown += ran.unknown;
        let named = |(broken, words)| (broken, format!("{words} ({what})"));
        self.violations.extend(ran.violations.into_iter().map(named));
    }
}

/// Runs it; `program` calls [`live`] for the real small disks.
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let start = clock::now();
    let mut report = Report::default();
    let goes_on = |report: &Report| {
        let in_time = settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
        let caught = settings
            .mutant
            .map(Mutant::breaks)
            .is_some_and(|(what, part)| report.violations.complain(what, part));
        in_time && !caught
    };
    for harm in [Harm::Full, Harm::Short] {
        for pad in PADS {
            let mut nth = 1;
            while nth <= settings.writes && goes_on(&report) {
                let fault = Fault { call: Call::Write, file: None, nth, for_good: true, again: 0, harm };
                let ran = fill(settings, fault, pad)?;
                report.runs += 1;
                report.add(&format!("events of {pad} bytes, {fault:?}"), ran);
                nth += 1 + nth.checked_div(settings.stride).unwrap_or(0);
            }
        }
    }
    for left in LEFT.into_iter().filter(|_| settings.mutant.is_none()) {
        match mount::run(program, settings.seed, left)? {
            Ok(ran) => {
                report.mounted += 1;
                report.add("a real disk", ran);
            }
            Err(reason) => report.skipped = Some(reason),
        }
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// A store is used until a write fails, while every one does, and when all is well again.
fn fill(settings: &Settings, fault: Fault, pad: usize) -> Result<Ran> {
    let stage = Stage::new()?;
    let store = stage.open()?;
    let mut round = Round::new(settings, settings.seed, pad, &store, &stage.told);
    round.settle_in();
    stage.disk.fail(fault);
    if !round.fill() {
        return Err(format!("{fault:?} strikes nobody").into());
    }
    round.endure()?;
    if settings.mutant != Some(Mutant::Sick) {
        stage.disk.heal();
    }
    round.recover()?;
    let mut ran = round.end()?;
    stage.disk.heal();
    stage.disk.forget();
    judge(settings, &stage.told, look(&stage.file(), true), &mut ran);
    Ok(ran)
}

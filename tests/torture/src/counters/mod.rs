//! Processes that all count one number of one dict up: is every time counted, and are several of them as fast as one?
//!
//! Promise: A4; row L11 of what the reference store gets wrong, in which two processes on one dict fall to a hundredth of the speed of
//! one. One, two, and as many as are asked for, each phase on a file of its own; mostly by `increment`, now and then by `update`.

pub mod child;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use serde::Serialize;

use crate::crew::Crew;
use crate::report::{Broken, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "counters-child";

/// The dict, and the key in it.
const DICT: &str = "counters";
const KEY: &str = "n";

/// One time in so many by reading and replacing, which is tried again if somebody else was faster.
const UPDATES: u64 = 1_000;

/// How long a phase may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Two processes together do at least what one does, where each has many callers; of lone ones each waits for the other's turn.
const SHARE: f64 = 1.0;

/// How many and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For what is common to all programs; here nothing is left to chance but what the machine does.
    pub seed: u64,
    /// How many times each counts.
    pub times: u64,
    /// How many threads of each count at once.
    pub lanes: u64,
    /// How many processes there are in the last phase.
    pub processes: usize,
    /// How the run or its evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether speeds are judged; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, times: 20_000, lanes: 64, processes: 8, mutant: None, timed: true }
    }
}

/// A way to spoil the run or its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// They read the number and write one that is larger.
    Careless,
    /// One is counted that nobody counted.
    Twice,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 2] = [Mutant::Careless, Mutant::Twice];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Careless => Broken::Lost,
            Mutant::Twice => Broken::Twice,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// What stood there at the end of the last phase.
    pub sum: i64,
    /// Times a second, phase by phase.
    pub per_second: Vec<u64>,
    /// What two do together against what one does.
    pub two_against_one: f64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, folder) = (clock::now(), tempfile::tempdir()?);
    let (mut report, mut speeds) = (Report::default(), Vec::new());
    for (phase, processes) in [1, 2, settings.processes].into_iter().enumerate() {
        let file = folder.path().join(format!("counters-{phase}.db"));
        let seconds = count(program, settings, processes, &file)?;
        let expected = settings.times.cast_signed() * processes as i64;
        report.sum = sum(&file, settings)?;
        if report.sum != expected {
            let broken = if report.sum < expected { Broken::Lost } else { Broken::Twice };
            let words = format!("{processes} processes have counted to {} and not to {expected}", report.sum);
            report.violations.push((broken, words));
        }
        speeds.push(expected as f64 / seconds);
    }
    report.per_second = speeds.iter().map(|speed| speed.round() as u64).collect();
    if let [one, two, ..] = speeds[..] {
        report.two_against_one = (two / one * 100.0).round() / 100.0;
    }
    if settings.timed && report.two_against_one < SHARE {
        let words = format!("two do {} of what one does", report.two_against_one);
        report.violations.push((Broken::Starved, words));
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// How long so many processes take.
fn count(program: &Path, settings: &Settings, processes: usize, file: &Path) -> Result<f64> {
    let mut crew = Crew::new(program, processes);
    let arguments = [
        CHILD.to_owned(),
        file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
        settings.times.to_string(),
        settings.lanes.to_string(),
        (settings.mutant == Some(Mutant::Careless)).to_string(),
    ];
    let hear = |crew: &Crew, word: &str| -> Result<()> {
        match crew.hear(PATIENCE).ok_or("a child says nothing")? {
            (_, Some(line)) if line == word => Ok(()),
            (who, line) => Err(format!("child {who} said {line:?}").into()),
        }
    };
    for who in 0..processes {
        crew.start(who, &arguments, &[])?;
        hear(&crew, "open")?;
    }
    let begun = clock::now();
    for who in 0..processes {
        crew.tell(who, "go")?;
    }
    let mut ended = 0;
    while ended < processes {
        match crew.hear(PATIENCE).ok_or("a child says nothing")? {
            (_, Some(line)) if line == "done" => ended += 1,
            // One that has said so ends.
            (_, None) => {}
            (who, Some(line)) => return Err(format!("child {who} said {line:?}").into()),
        }
    }
    Ok(begun.elapsed().as_secs_f64())
}

fn sum(file: &Path, settings: &Settings) -> Result<i64> {
    let store = Store::open(file)?;
    let dict = store.dict::<i64>(DICT);
    if settings.mutant == Some(Mutant::Twice) {
        dict.increment(KEY, 1)?;
    }
    let sum = dict.get(KEY)?.map_or(0, |entry| *entry);
    store.close()?;
    Ok(sum)
}

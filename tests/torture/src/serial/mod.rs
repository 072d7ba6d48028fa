//! Two processes write to several lists at once and read them: do the positions give one order that explains every read,
//! also when processes are killed and the power fails?
//!
//! Promises: G1, G2, G5, A1. What is written in one transaction is an import over several streams, or the events of one
//! command or append; what is read is a list, the lists of a category, the whole store, or the state of an aggregate.
//! When the power fails, also what a reader was shown must be there afterwards, whoever wrote it.

pub mod child;
mod deed;
mod judge;
mod mutant;

use std::collections::BTreeMap;
use std::path::Path;

use millpond::Durability;
use millpond::blocking::Store;

use serde::Serialize;

use self::deed::Said;
pub use self::deed::{Scope, Shown, Write};
pub use self::judge::{Read, Written, judge};
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::cuts;
use crate::look::Seen;
use crate::random::Random;
use crate::recording::{Life, Recording, folder};
use crate::report::{Broken, Violation, Violations};
use crate::workload::Word;
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "serial-child";

/// Processes.
const PROCESSES: usize = 2;

/// Lines that are heard between two kills, at most.
const LINES: u64 = 1_500;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random choices come from.
    pub seed: u64,
    /// Writes that two processes make before they are judged.
    pub writes: usize,
    /// Files after a power cut that are looked at.
    pub images: u64,
    /// An end in time as well, for each of the two parts.
    pub seconds: Option<u64>,
    /// Threads of a process.
    pub lanes: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, writes: 10_000, images: 5_000, seconds: None, lanes: 2, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Writes that were asked for, and of them those that were answered.
    pub writes: usize,
    /// As `writes`.
    pub answered: usize,
    /// Reads.
    pub reads: usize,
    /// Events at the end.
    pub events: usize,
    /// Processes killed.
    pub kills: u64,
    /// Files after a power cut that were looked at.
    pub images: u64,
    /// Reads whose events had to be there after a power cut.
    pub shown: u64,
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
    let start = clock::now();
    let mut report = Report::default();
    if settings.writes > 0 {
        kill(program, settings, &mut report)?;
    }
    if settings.images > 0 {
        cut(settings, &mut report)?;
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Two processes, one of which is killed now and then.
fn kill(program: &Path, settings: &Settings, report: &mut Report) -> Result<()> {
    let (start, folder) = (clock::now(), folder()?);
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    let file = folder.path().join("serial.db");
    let mut lists = Lists {
        crew: Crew::new(program, PROCESSES),
        file: &file,
        settings,
        random: Random::new(settings.seed),
        written: BTreeMap::new(),
        reads: Vec::new(),
        violations: Vec::new(),
    };
    for role in 0..PROCESSES {
        lists.start(role)?;
    }
    while lists.written.len() < settings.writes && in_time() && lists.violations.is_empty() {
        for _ in 0..lists.random.below(LINES) {
            lists.hear()?;
        }
        let role = lists.random.below(PROCESSES as u64) as usize;
        lists.kill(role)?;
        report.kills += 1;
        lists.start(role)?;
    }
    (0..PROCESSES).try_for_each(|role| lists.kill(role))?;
    let Lists { written, mut reads, violations, .. } = lists;
    let written: Vec<Written> = written.into_values().collect();
    let store = Store::open(&file)?;
    let seen = Seen::read(&store)?;
    store.close()?;
    report.violations.extend(violations);
    report.violations.extend(seen.check());
    let Seen { mut found, violations, .. } = seen;
    report.violations.extend(violations);
    if let Some(mutant) = settings.mutant
        && !mutant.spoil(&mut found, &written, &mut reads)
    {
        return Err("there is nothing to be spoilt".into());
    }
    report.violations.extend(judge(&found, &written, &reads));
    let answered = written.iter().filter(|written| written.returned.is_some()).count();
    (report.writes, report.answered) = (written.len(), answered);
    (report.reads, report.events) = (reads.len(), found.len());
    Ok(())
}

/// Writers and readers of one process, under whom the power fails.
fn cut(settings: &Settings, report: &mut Report) -> Result<()> {
    let start = clock::now();
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    let mut seed = settings.seed;
    while report.images < settings.images && in_time() {
        let durability = match settings.mutant {
            Some(Mutant::Unsynced) => Durability::ProcessCrash,
            _ => Durability::PowerLoss,
        };
        let life = Life { seed, rounds: 12, durability, fault: None, dies: false, readers: 3, boasts: false };
        let mut recording = Recording::of(&life)?;
        // What was acknowledged is for `torture power`; here it is what was read.
        for word in &mut recording.words {
            if !matches!(word, Word::Saw(_)) {
                *word = Word::Saw(Vec::new());
            }
        }
        report.shown += recording.count(|word| matches!(word, Word::Saw(shown) if !shown.is_empty()));
        let cuts = cuts::Settings {
            name: format!("seed {seed}"),
            seed,
            lanes: 2,
            every: 3,
            from: if settings.mutant.is_some() { recording.born } else { 0 },
            beginning: true,
            image: None,
            seen: None,
        };
        let most = settings.images - report.images;
        let mut figures = cuts::look_at_all(&recording, &cuts, most, &in_time)?;
        report.images += figures.images;
        report.violations.append(&mut figures.violations);
        seed += 1;
    }
    Ok(())
}

struct Lists<'a> {
    crew: Crew,
    file: &'a Path,
    settings: &'a Settings,
    random: Random,
    /// By who wrote and their number.
    written: BTreeMap<(u64, u64), Written>,
    reads: Vec<Read>,
    violations: Vec<Violation>,
}

impl Lists<'_> {
    fn start(&mut self, role: usize) -> Result<()> {
        // What was asked for before is not asked for again: it may be there.
        let first = self.written.keys().map(|(_, number)| *number).max().unwrap_or(0) + 1;
        let arguments = [
            CHILD.to_owned(),
            role.to_string(),
            self.file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
            self.settings.lanes.to_string(),
            first.to_string(),
            self.random.below(1 << 40).to_string(),
        ];
        self.crew.start(role, &arguments, &[])
    }

    fn kill(&mut self, role: usize) -> Result<()> {
        self.crew.kill(role)?;
        loop {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (_, Some(line)) => self.take_in(&line)?,
                (dead, None) if dead == role => return Ok(()),
                (other, None) => return Err(format!("child {other} ended by itself").into()),
            }
        }
    }

    fn hear(&mut self) -> Result<()> {
        match self.crew.hear(PATIENCE) {
            Some((_, Some(line))) => self.take_in(&line),
            other => Err(format!("a child is silent: {other:?}").into()),
        }
    }

    fn take_in(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line)? {
            Said::Open => {}
            Said::Writes { who, number, at, write } => {
                self.written.insert((who, number), Written { write, called: at, returned: None });
            }
            Said::Wrote { who, number, at } => {
                if let Some(written) = self.written.get_mut(&(who, number)) {
                    written.returned = Some(at);
                }
            }
            Said::Read { called, returned, scope, shown } => {
                self.reads.push(Read { called, returned, scope, shown });
            }
            Said::Failed(error) => self.violations.push((Broken::Failed, error)),
        }
        Ok(())
    }
}

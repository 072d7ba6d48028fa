//! Six processes on one file, killed at random moments: is everything acknowledged there, once, whole, in order?
//!
//! Promises: G1, G2, G4, G5, G7, A1, A2, L1, L2, L3, Q1, Q6, C1, C2, LG1. Four children do what `workload` has, two read. The parent kills one,
//! or all at once, with SIGKILL, also while they make the file, open it, move its log or close it; hears what they had been
//! told, and starts them again where they were. What readers have read is a beginning of what is there, and none sees less
//! than before. Of some group kills the file and its log are copied, without the log's index, and the copy is judged too.
//!
//! There is one schema so far, so there is no migration to be killed in but the making of a file, which is one.

pub mod child;
mod children;
mod mutant;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use self::child::Beginning;
use self::children::{ALL, Children, Killed};
pub use self::mutant::Mutant;
use crate::look::{Found, Seen, look};
use crate::random::Random;
use crate::report::{Broken, Violation, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "kill-child";

/// A start that takes longer than this is a violation of the soak.
pub const OPEN_LIMIT_MS: u64 = 1_000;

/// Kills on one file; then a new one is begun, for all that was acknowledged is read again and again.
const KILLS_A_FILE: u64 = 300;

/// Of so many group kills one is followed by a copy.
const COPIES: u64 = 5;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// SIGKILLs.
    pub kills: u64,
    /// Where the random moments come from.
    pub seed: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a slow open is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { kills: 300, seed: 1, seconds: None, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// SIGKILLs.
    pub kills: u64,
    /// Of them, while the child was opening the store.
    pub opening: u64,
    /// While it was closing it.
    pub closing: u64,
    /// While it was making a new one.
    pub making: u64,
    /// Times that all were killed at once.
    pub group_kills: u64,
    /// Of them, those after which a copy was judged.
    pub copies: u64,
    /// Deeds that were acknowledged.
    pub acked: u64,
    /// Events that were, and those in the store that were not.
    pub events: u64,
    /// As `events`.
    pub unacked_present: u64,
    /// Times that a reader had read everything.
    pub reads: u64,
    /// Starts of children that opened the store.
    pub opens: u64,
    /// The longest of them.
    pub max_ready_ms: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations,
}

impl Report {
    fn add(&mut self, killed: Killed) {
        self.kills += killed.all;
        self.opening += killed.opening;
        self.closing += killed.closing;
    }
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let start = clock::now();
    let mut run = Run { program, settings, random: Random::new(settings.seed), report: Report::default() };
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    while run.report.kills < settings.kills && in_time() && run.report.violations.is_empty() {
        run.one_file(&in_time)?;
    }
    let Run { mut report, .. } = run;
    if settings.timed && report.max_ready_ms > OPEN_LIMIT_MS {
        report.violations.push((Broken::Failed, format!("an open took {} ms", report.max_ready_ms)));
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

struct Run<'a> {
    program: &'a Path,
    settings: &'a Settings,
    random: Random,
    report: Report,
}

impl Run<'_> {
    /// Kills on one file, until there are enough for it.
    fn one_file(&mut self, in_time: &impl Fn() -> bool) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("kill.db");
        let mut children = Children::new(self.program, &file);
        let end = self.settings.kills.min(self.report.kills + KILLS_A_FILE);
        let mut last = 0;
        while self.report.kills < end && in_time() && children.violations.is_empty() {
            children.start(&ALL)?;
            match self.random.below(10) {
                0 | 1 => self.kill_all(&file, &mut children)?,
                2 => self.make()?,
                // Whoever was killed last opens the store, or has done so a moment ago.
                3 | 4 => self.kill_within(&mut children, last, 30_000)?,
                5 | 6 => {
                    last = self.role();
                    children.listen(self.random.below(60_000))?;
                    children.close(&[last])?;
                    self.kill_within(&mut children, last, 2_000)?;
                }
                _ => {
                    last = self.role();
                    self.kill_within(&mut children, last, 200_000)?;
                }
            }
        }
        // What was started last may be at work: some time for it, then the end.
        children.start(&ALL)?;
        children.listen(300_000)?;
        children.kill(&ALL)?;
        self.report.acked += children.acked;
        self.report.reads += children.readings.len() as u64;
        self.report.opens += children.opens.0;
        self.report.max_ready_ms = self.report.max_ready_ms.max(children.opens.1.div_ceil(1_000));
        let seen = self.judge(look(&file, true), &children, self.settings.mutant)?;
        self.report.events += children.words.iter().filter(|word| word.is_acked()).count() as u64;
        let acked = children.words.iter().filter(|word| word.is_acked()).filter_map(|word| word.fact());
        let found = acked.filter(|fact| fact.is_event()).filter_map(|fact| seen.place(fact));
        // Of what was asked for again somebody was told twice.
        let acked: BTreeSet<u64> = found.map(|found| found.position).collect();
        self.report.unacked_present += (seen.found.len() - acked.len()) as u64;
        self.report.violations.append(&mut children.violations);
        Ok(())
    }

    fn role(&mut self) -> usize {
        self.random.below(ALL.len() as u64) as usize
    }

    fn kill_within(&mut self, children: &mut Children<'_>, role: usize, micros: u64) -> Result<()> {
        children.listen(self.random.below(micros))?;
        let killed = children.kill(&[role])?;
        self.report.add(killed);
        Ok(())
    }

    /// All at once, while they work or while they close the store.
    fn kill_all(&mut self, file: &Path, children: &mut Children<'_>) -> Result<()> {
        children.listen(self.random.below(200_000))?;
        if self.random.below(3) == 0 {
            children.close(&ALL)?;
            children.listen(self.random.below(4_000))?;
        }
        let killed = children.kill(&ALL)?;
        self.report.add(killed);
        if self.report.group_kills.is_multiple_of(COPIES) {
            self.report.copies += 1;
            let elsewhere = tempfile::tempdir()?;
            let copy = elsewhere.path().join("copy.db");
            std::fs::copy(file, &copy)?;
            let log = |file: &Path| file.with_extension("db-wal");
            if log(file).exists() {
                std::fs::copy(log(file), log(&copy))?;
            }
            // Not written to: nobody knows there who is dead, so that locks are held for their time to live.
            self.judge(look(&copy, false), children, None)?;
        }
        self.report.group_kills += 1;
        self.judge(look(file, false), children, None)?;
        Ok(())
    }

    /// Several at once make one file, and are killed about then.
    fn make(&mut self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("new.db");
        let mut children = Children::new(self.program, &file);
        children.start(&[0, 1])?;
        children.listen(self.random.below(25_000))?;
        let killed = children.kill(&[0, 1])?;
        self.report.kills += killed.all;
        self.report.making += killed.opening;
        self.report.acked += children.acked;
        self.judge(look(&file, true), &children, None)?;
        self.report.violations.append(&mut children.violations);
        Ok(())
    }

    /// Holds what is there against what was told and read.
    fn judge(&mut self, mut seen: Seen, children: &Children<'_>, mutant: Option<Mutant>) -> Result<Seen> {
        let violations = &mut self.report.violations;
        violations.append(&mut seen.violations);
        if let Some(mutant) = mutant {
            let (mut words, mut spoilt) = (children.words.clone(), seen.clone());
            let mut readings = children.readings.clone();
            if !mutant.spoil(&mut words, &mut spoilt, &mut readings) {
                return Err(format!("there is nothing to be spoilt by {mutant:?}").into());
            }
            spoilt.index();
            violations.extend(spoilt.check());
            violations.extend(spoilt.accuse(&words));
            violations.extend(misread(&spoilt.found, &readings));
        } else {
            violations.extend(seen.accuse(&children.words));
            violations.extend(misread(&seen.found, &children.readings));
        }
        Ok(seen)
    }
}

/// Readings that are no beginning of what is there, or shorter than one before of the same reader.
fn misread(found: &[Found], readings: &[(usize, Beginning)]) -> Vec<Violation> {
    let mut beginnings = vec![Beginning::default()];
    for found in found {
        let mut read = beginnings.last().copied().unwrap_or_default();
        read.add(found);
        beginnings.push(read);
    }
    let mut longest = [0; ALL.len()];
    let mut violations = Vec::new();
    for (role, read) in readings {
        if beginnings.get(read.count as usize) != Some(read) {
            violations.push((Broken::Order, format!("reader {role} has read what is not there: {read:?}")));
        }
        for longest in longest.iter_mut().skip(*role).take(1) {
            if read.count < *longest {
                violations
                    .push((Broken::Order, format!("reader {role} saw {longest} events, then {read:?}")));
            }
            *longest = read.count;
        }
    }
    violations
}

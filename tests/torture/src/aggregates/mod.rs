//! Hot aggregates, and a bank: many callers in several processes, which are killed, give commands to the same aggregates.
//! What were they told, and what is there?
//!
//! Promises: A1 to A5, and G1, G4 and G5 for aggregates. Three parts: one aggregate and many callers in one process; the same
//! in several processes, one of which is killed every second; and accounts between which money is moved, in two commands or in
//! a batch of two appends that expect what was seen, by processes that are killed. Some commands are refused, some panic in
//! `decide` or in `evolve`, some push a job and publish a message in the same commit. Half of those that have events have an
//! id: they are given again, at once, and by whoever comes after a process that was killed meanwhile, and take effect once.
//! Each caller says what he was told. Held
//! against what is there: each command has come to its end; versions are dense; an event is there if and only if it may be,
//! once, and was decided on the state that it stands on; a refusal and a look were true; jobs and messages are as many as the
//! events that led to them; no money has come from nowhere. How the accounts stand is folded from the events once more, and is
//! what the store says: from its snapshots, and when these were damaged.

mod account;
mod bank;
pub mod child;
mod evidence;
mod harm;
mod judge;
mod mutant;
mod replay;
mod spec;

use std::path::Path;

use serde::Serialize;

use self::bank::{Bank, Plan};
use self::evidence::{Answer, Evidence};
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "aggregates-child";

/// Accounts of a bank.
const ACCOUNTS: u64 = 16;

/// Times that the processes of a file end, and what is there is looked at.
const ROUNDS: u64 = 3;

/// Most deeds on one file: all of it is judged after each round.
const DEEDS_A_FILE: u64 = 150_000;

/// What is done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One aggregate, one process.
    Alone,
    /// One aggregate, half of the processes; one is killed now and then.
    Raced,
    /// Many aggregates, all processes; one is killed now and then.
    Bank,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::Alone, Part::Raced, Part::Bank];

    /// Its share of the deeds, in quarters.
    fn share(self) -> u64 {
        if self == Part::Bank { 2 } else { 1 }
    }

    fn plan(self, settings: &Settings) -> Plan {
        let Settings { processes, tasks, .. } = *settings;
        match self {
            Part::Alone => Plan { accounts: 1, processes: 1, tasks, kills: false },
            Part::Raced => Plan { accounts: 1, processes: processes.div_ceil(2), tasks, kills: true },
            Part::Bank => Plan { accounts: ACCOUNTS, processes, tasks: tasks.div_ceil(8), kills: true },
        }
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Deeds: commands, transfers, looks.
    pub commands: u64,
    /// Callers in each process that uses one aggregate; of a bank an eighth of that.
    pub tasks: u64,
    /// Processes of a bank; half as many use one aggregate.
    pub processes: usize,
    /// Milliseconds between kills.
    pub every_ms: u64,
    /// Only this.
    pub part: Option<Part>,
    /// How the evidence is spoilt, or the store.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        let (part, mutant) = (None, None);
        Settings { seed: 1, commands: 20_000, tasks: 64, processes: 8, every_ms: 1_000, part, mutant }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Deeds that have come to their end, but for those whose process was killed.
    pub commands: u64,
    /// Commands whose caller was told that they are on disk.
    pub acked: u64,
    /// That there is too little.
    pub rejected: u64,
    /// That its code has panicked.
    pub fell: u64,
    /// Deeds whose process was killed meanwhile, and which were not done again.
    pub unknown: u64,
    /// Answers to commands that had been carried out before.
    pub repeated: u64,
    /// Events that are there.
    pub events: u64,
    /// Jobs, and as many messages, that are there.
    pub letters: u64,
    /// How often somebody was told that a command was overtaken too often, and gave it again: of the processes that were not
    /// killed.
    pub overtaken: u64,
    /// Groups that were committed by the processes that were not killed.
    pub groups: u64,
    /// Commands that were acknowledged for each group, if nobody was killed.
    pub merged: Option<f64>,
    /// Processes killed.
    pub kills: u64,
    /// Snapshots damaged.
    pub damaged: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, mut report, mut spoilt) = (clock::now(), Report::default(), false);
    gather(program, settings, &mut report, |evidence| {
        let mutant = settings.mutant.filter(|mutant| !mutant.spoils_the_store());
        let mut other = evidence.clone();
        let spoils = mutant.is_some_and(|mutant| mutant.spoil(&mut other).is_some());
        spoilt |= spoils;
        judge::judge(if spoils { &other } else { evidence })
    })?;
    match settings.mutant {
        Some(mutant) if !spoilt && !mutant.spoils_the_store() => {
            return Err(format!("there is nothing to be spoilt by {mutant:?}").into());
        }
        _ => report.seconds = start.elapsed().as_secs(),
    }
    Ok(report)
}

/// Runs it once, and spoils what came of it in each way: the mutants of the evidence that are noticed. A small run may have
/// nothing to be spoilt by some of them.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let (mut noticed, mut report) = (Vec::new(), Report::default());
    gather(program, settings, &mut report, |evidence| {
        noticed.extend(report::noticed(Mutant::ALL, evidence, Mutant::spoil, judge::judge, Mutant::breaks));
        Vec::new()
    })?;
    Ok(noticed)
}

/// Has all parts done, and what came of each judged, after each round.
fn gather(
    program: &Path,
    settings: &Settings,
    report: &mut Report,
    mut judge: impl FnMut(&Evidence) -> Vec<Violation>,
) -> Result<()> {
    let parts: Vec<Part> =
        Part::ALL.into_iter().filter(|part| settings.part.is_none_or(|only| only == *part)).collect();
    let shares: u64 = parts.iter().map(|part| part.share()).sum();
    for part in parts {
        let mut left = (settings.commands * part.share()).div_ceil(shares);
        while left > 0 && report.violations.is_empty() {
            let deeds = left.min(DEEDS_A_FILE);
            left -= deeds;
            let (folder, plan) = (tempfile::tempdir()?, part.plan(settings));
            let file = folder.path().join("aggregates.db");
            let most = deeds.div_ceil(plan.processes as u64 * plan.tasks);
            let (before, mut bank) = (report.groups, Bank::new(program, &file, settings, plan));
            for round in 1..=ROUNDS {
                let failed = bank.round((most * round).div_ceil(ROUNDS), report)?;
                report.violations.extend(failed);
                if report.violations.is_empty() {
                    report.violations.extend(judge(&bank.evidence));
                }
                if !report.violations.is_empty() {
                    break;
                }
            }
            figures(&bank.evidence, report);
            let groups = report.groups - before;
            if part == Part::Alone {
                let acked = bank.evidence.told.iter().filter(|told| !told.placed().is_empty()).count();
                report.merged = Some((acked as f64 * 10.0 / groups.max(1) as f64).round() / 10.0);
            }
        }
    }
    Ok(())
}

fn figures(evidence: &Evidence, report: &mut Report) {
    let told = |is: fn(&Answer) -> bool| evidence.told.iter().filter(|told| is(&told.answer)).count() as u64;
    report.acked += told(|answer| matches!(answer, Answer::Done(_)));
    report.rejected += told(|answer| matches!(answer, Answer::Rejected(..)));
    report.fell += told(|answer| matches!(answer, Answer::Fell));
    let all = evidence.told.iter().chain(&evidence.again);
    report.repeated += all.filter(|told| told.repeated).count() as u64;
    report.unknown += evidence.unknown.len() as u64;
    report.commands += evidence.next.iter().sum::<u64>() - evidence.unknown.len() as u64;
    report.events += evidence.events.len() as u64;
    report.letters += evidence.jobs.len() as u64;
}

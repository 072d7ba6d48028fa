//! Schedules whose time is kept by several processes, which are killed when it comes: is each time done for once?
//!
//! Promise: Q5. For every second there are some schedules that come in that second and then in a year, each with a job of
//! its own, and one comes in every second. Some processes keep the time and do nothing else, the others wait for jobs; each
//! says some of the schedules again when it begins. One of them is killed just when a second begins, or all are; they are
//! started again. In the end each time has its job, once, not before its time, and its schedule knows it as the last.

pub mod child;
mod judge;
mod mutant;

use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use futures_util::future::try_join_all;
use millpond::blocking::Store;
use serde::Serialize;

use self::child::{Chime, QUEUE};
use self::judge::Evidence;
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "schedules-child";

/// Processes: every second one keeps the time, and the others wait for jobs.
const PROCESSES: usize = 4;

/// Schedules that come in one second.
const A_SECOND: u64 = 8;

/// Most seconds on one file: a queue has no more than 1,000 schedules.
const SECONDS_A_FILE: u64 = 100;

/// Kills when a second begins, one after the other.
const KILLS: u64 = 2;

/// All that is due is pushed within this time.
const DRAIN: Duration = Duration::from_secs(60);

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Seconds with schedules.
    pub seconds: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, seconds: 20, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Times that were due.
    pub due: u64,
    /// Jobs that were pushed for them.
    pub pushed: u64,
    /// Of them, those that were pushed more than a tenth of a second late.
    pub late: u64,
    /// The latest, in milliseconds.
    pub latest_ms: u64,
    /// Processes killed.
    pub kills: u64,
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
    let (start, mut report, mut left) = (clock::now(), Report::default(), settings.seconds);
    while left > 0 && report.violations.is_empty() {
        let seconds = left.min(SECONDS_A_FILE);
        left -= seconds;
        let mut evidence = gather(program, settings.seed + left, seconds, &mut report)?;
        if let Some(mutant) = settings.mutant {
            let spoilt = mutant.spoil(&mut evidence);
            spoilt.ok_or_else(|| format!("there is nothing to be spoilt by {mutant:?}"))?;
        }
        report.violations.extend(judge::judge(&evidence));
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Runs it once, and spoils what came of it in each way: the mutants that are noticed.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let evidence = gather(program, settings.seed, settings.seconds, &mut Report::default())?;
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge::judge, Mutant::breaks))
}

/// One file: what was planned, and what is there in the end.
fn gather(program: &Path, seed: u64, seconds: u64, report: &mut Report) -> Result<Evidence> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("schedules.db");
    let store = Store::open(&file)?;
    // The first is a whole second away.
    let first = clock::wall_ms()? / 1_000 + 2;
    let chimes: Vec<Chime> = (first..).take(seconds as usize).flat_map(Chime::all).collect();
    let asynchronous = store.asynchronous();
    let queue = asynchronous.queue(QUEUE);
    let set = chimes.iter().chain([&Chime::STEADY]).map(async |chime| -> Result<bool> {
        let every = chime.cron()?;
        chime.say(&queue, &every).await.map_err(Into::into)
    });
    block_on(try_join_all(set))?;
    let mut tower = Tower {
        crew: Crew::new(program, PROCESSES),
        file: &file,
        first,
        seconds,
        random: Random::new(seed),
        report,
    };
    let mut evidence = Evidence { chimes, ..Evidence::default() };
    evidence.steady = schedules(&store)?.remove(&Chime::STEADY.name()).and_then(|(due, _)| due);
    (0..PROCESSES).try_for_each(|process| tower.start(process))?;
    while clock::wall_ms()? < (first + seconds.cast_signed()) * 1_000 && tower.report.violations.is_empty() {
        tower.until_a_second_begins()?;
        for _ in 0..KILLS {
            let pause = Duration::from_micros(tower.random.below(4_000));
            tower.listen(pause)?;
            tower.kill()?;
        }
    }
    let begun = clock::now();
    let is_open = |all: &judge::Schedules| {
        evidence.chimes.iter().any(|chime| all.get(&chime.name()).is_none_or(|(_, last)| last.is_none()))
    };
    while is_open(&schedules(&store)?) && begun.elapsed() < DRAIN {
        tower.listen(Duration::from_millis(10))?;
    }
    (0..PROCESSES).try_for_each(|process| tower.end(process))?;
    look(&store, &mut evidence)?;
    store.close()?;
    figures(&evidence, report);
    Ok(evidence)
}

/// The run.
struct Tower<'a> {
    crew: Crew,
    file: &'a Path,
    first: i64,
    seconds: u64,
    random: Random,
    report: &'a mut Report,
}

impl Tower<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        let keeps = process.is_multiple_of(2).to_string();
        let (first, seconds) = (self.first.to_string(), self.seconds.to_string());
        let run = self.report.kills.to_string();
        self.crew.start(process, &[CHILD.to_owned(), file, keeps, first, seconds, run], &[])
    }

    /// Until a moment before.
    fn until_a_second_begins(&mut self) -> Result<()> {
        let left = 999 - clock::wall_ms()? % 1_000;
        self.listen(Duration::from_millis(left.unsigned_abs()))
    }

    /// Who says something says what should not be.
    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(heard);
        }
        Ok(())
    }

    fn take_in(&mut self, (process, line): (usize, Option<String>)) {
        let words = line.unwrap_or_else(|| "it ended by itself".to_owned());
        self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
    }

    /// Kills one of them or all, and starts them again.
    fn kill(&mut self) -> Result<()> {
        let victim = self.random.below(PROCESSES as u64 + 1) as usize;
        let all = if victim < PROCESSES { victim..victim + 1 } else { 0..PROCESSES };
        for process in all.clone() {
            self.report.kills += 1;
            self.end(process)?;
        }
        all.into_iter().try_for_each(|process| self.start(process))
    }

    /// Kills it, and hears it out.
    fn end(&mut self, process: usize) -> Result<()> {
        self.crew.end(process)?.into_iter().for_each(|heard| self.take_in(heard));
        Ok(())
    }
}

/// When each schedule is due next, and for which time something was done last.
fn schedules(store: &Store) -> Result<judge::Schedules> {
    let all = store.queue::<Chime>(QUEUE).schedules()?.into_iter();
    let all = all.map(|schedule| schedule.map(|schedule| (schedule.name, (schedule.due, schedule.last))));
    Ok(all.collect::<millpond::Result<_>>()?)
}

/// What is there in the end.
fn look(store: &Store, evidence: &mut Evidence) -> Result<()> {
    evidence.schedules = schedules(store)?;
    let (queue, mut next) = (store.queue::<Chime>(QUEUE), Some(1));
    while let Some(from) = next {
        let page = queue.page(None, from, 1_000)?;
        for job in page.jobs {
            let job = job?;
            evidence.jobs.push((queue.decode(&job)?, job.pushed_at));
        }
        next = page.next;
    }
    Ok(())
}

fn figures(evidence: &Evidence, report: &mut Report) {
    report.due += evidence.chimes.len() as u64;
    report.pushed += evidence.jobs.len() as u64;
    let own = evidence.jobs.iter().filter(|(chime, _)| *chime != Chime::STEADY);
    for late in own.map(|(chime, pushed_at)| (pushed_at - chime.at * 1_000).max(0).unsigned_abs()) {
        report.late += u64::from(late > 100);
        report.latest_ms = report.latest_ms.max(late);
    }
}

//! Eight processes push jobs and work on them; some jobs kill their process, one process is killed every second, and now and
//! then one is stopped past the lease of its job: what becomes of the jobs?
//!
//! Promises: Q1 to Q6. Jobs have priorities, delays, keys, and ends of all kinds. Each process says what it has pushed,
//! claimed and ended, with stamps of the machine's monotonic clock; jobs that are done are kept. When all are done or
//! dead, what was said and what is there is held against each other: pushed is done or dead, none was done twice, and
//! nobody who had lost his job was told that it is done; poison is among the dead letters; claims were made in the order
//! of priorities; none came before its time; of a key one job lived at a time.

pub mod child;
mod evidence;
mod judge;
mod mutant;
mod order;
mod spec;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use serde::Serialize;

use self::child::Said;
use self::evidence::{Answer, Evidence, Found};
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use self::spec::{Kind, batch};
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "jobs-child";

/// Processes.
pub const PROCESSES: usize = 8;

/// Threads in each.
pub const LANES: u64 = 2;

/// The queue.
const QUEUE: &str = "works";

/// How long a stopped process keeps its jobs.
const LEASE: Duration = Duration::from_millis(600);

/// How long one is stopped.
const STOP: Duration = Duration::from_millis(900);

/// One turn in so many has a process that is stopped before another is killed.
const STOPS: u64 = 3;

/// What is left when all are pushed is done within this time.
const DRAIN: Duration = Duration::from_secs(120);

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Jobs to be pushed.
    pub jobs: u64,
    /// Milliseconds between kills.
    pub every_ms: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a job that was begun a little before its time is a violation; not in a test, which asserts nothing about
    /// the clock.
    pub timed: bool,
}

impl Settings {
    /// So much before its time no job may begin.
    fn margin_us(&self) -> u64 {
        if self.timed { judge::MARGIN_US } else { judge::GROUP_US }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, jobs: 20_000, every_ms: 1_000, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Jobs in the queue, all of which were pushed.
    pub jobs: u64,
    /// Of them, those whose push was acknowledged.
    pub acked: u64,
    /// Pushes that found a job of their key.
    pub kept_out: u64,
    /// Jobs that are done.
    pub done: u64,
    /// Jobs that are dead.
    pub dead: u64,
    /// Attempts that somebody has heard of.
    pub claims: u64,
    /// Of them, those whose worker was told that he has lost the job.
    pub stale: u64,
    /// Processes killed.
    pub kills: u64,
    /// Processes stopped past the lease.
    pub stops: u64,
    /// Processes that a job has aborted.
    pub aborts: u64,
    /// By how many microseconds the earliest attempt was before its time, counted from when it was asked for.
    pub early_max_us: u64,
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
    let start = clock::now();
    let (mut evidence, mut report) = gather(program, settings)?;
    if let Some(mutant) = settings.mutant {
        let spoilt = mutant.spoil(&mut evidence);
        spoilt.ok_or_else(|| format!("there is nothing to be spoilt by {mutant:?}"))?;
    }
    report.violations.extend(judge::judge(&evidence, settings.margin_us()));
    report.early_max_us = judge::early_max_us(&evidence);
    report.acked = evidence.pushed().len() as u64;
    report.kept_out = evidence.pushes.iter().filter(|push| push.existed).count() as u64;
    report.claims = evidence.claims.len() as u64;
    let stale = |claim: &&evidence::Claim| claim.end.is_some_and(|end| end.answer == Answer::Stale);
    report.stale = evidence.claims.values().filter(stale).count() as u64;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Runs it once, and spoils what came of it in each way: the mutants that are noticed. A small run may have nothing to be
/// spoilt by some of them.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let (evidence, _) = gather(program, settings)?;
    let judge = |evidence: &Evidence| judge::judge(evidence, settings.margin_us());
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge, Mutant::breaks))
}

/// What the workers say, and what is there in the end.
fn gather(program: &Path, settings: &Settings) -> Result<(Evidence, Report)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("jobs.db");
    let lanes = PROCESSES as u64 * LANES;
    let mut works = Works {
        crew: Crew::new(program, PROCESSES),
        file: &file,
        seed: settings.seed,
        most: settings.jobs.div_ceil(lanes),
        random: Random::new(settings.seed),
        next: vec![0; lanes as usize],
        holding: vec![Vec::new(); PROCESSES],
        evidence: Evidence { seed: settings.seed, ..Evidence::default() },
        report: Report::default(),
    };
    for process in 0..PROCESSES {
        works.start(process)?;
    }
    while works.is_pushing() && works.report.violations.is_empty() {
        let mut left = Duration::from_millis(settings.every_ms);
        if works.random.below(STOPS) == 0 {
            let victim = works.victim();
            works.stop(victim)?;
            left = left.saturating_sub(STOP);
        }
        works.listen(left)?;
        let victim = works.victim();
        works.kill(victim)?;
    }
    works.drain()?;
    works.close()?;
    let Works { mut evidence, mut report, .. } = works;
    look(&file, &mut evidence, &mut report)?;
    Ok((evidence, report))
}

/// The run.
struct Works<'a> {
    crew: Crew,
    file: &'a Path,
    seed: u64,
    /// Jobs that each lane pushes.
    most: u64,
    random: Random,
    /// The next job of each lane, among its own.
    next: Vec<u64>,
    /// The claims of each process that it has not said the end of: token and number.
    holding: Vec<Vec<(u64, u64)>>,
    evidence: Evidence,
    report: Report,
}

impl Works<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        let lanes = self.next.iter().skip(process * LANES as usize).take(LANES as usize);
        let first: Vec<String> = lanes.map(u64::to_string).collect();
        let arguments = [
            CHILD.to_owned(),
            self.seed.to_string(),
            self.file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
            process.to_string(),
            first.join(","),
            self.most.to_string(),
        ];
        self.holding.iter_mut().skip(process).take(1).for_each(Vec::clear);
        self.crew.start(process, &arguments, &[])
    }

    fn is_pushing(&self) -> bool {
        self.next.iter().any(|next| *next < self.most)
    }

    /// Whoever has a job that it is slow with, or has had one for the longest; else anybody.
    fn victim(&mut self) -> usize {
        let slow = |held: &[(u64, u64)]| {
            held.iter().any(|(_, number)| self.evidence.spec(*number).kind == Kind::Slow)
        };
        let busy = self.holding.iter().position(|held| slow(held));
        busy.unwrap_or_else(|| self.random.below(PROCESSES as u64) as usize)
    }

    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            match heard {
                (process, Some(line)) => self.take_in(process, &line)?,
                (process, None) => self.ended_by_itself(process)?,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, process: usize, line: &str) -> Result<()> {
        let said: Said = serde_json::from_str(line)?;
        self.evidence.take_in(&said);
        let holding = self.holding.get_mut(process).ok_or("no such process")?;
        match said {
            Said::Pushing(lane, own) => {
                // Whether they are pushed or not, they are not pushed again.
                *self.next.get_mut(lane as usize).ok_or("no such lane")? = own + batch(own);
            }
            Said::Claimed { token, number, .. } => holding.push((token, number)),
            Said::Ended { token, .. } => holding.retain(|(held, _)| *held != token),
            Said::Failed(words) => {
                self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
            }
            Said::Open | Said::Pushed { .. } | Said::Closed => {}
        }
        Ok(())
    }

    /// One that has a job which kills its process; or that should not have ended.
    fn ended_by_itself(&mut self, process: usize) -> Result<()> {
        let held = self.holding.get(process).ok_or("no such process")?;
        if held.iter().any(|(_, number)| self.evidence.spec(*number).kind == Kind::Poison) {
            self.report.aborts += 1;
        } else {
            self.report.violations.push((Broken::Failed, format!("process {process} ended by itself")));
        }
        self.crew.kill(process)?;
        self.start(process)
    }

    fn kill(&mut self, process: usize) -> Result<()> {
        self.crew.kill(process)?;
        self.report.kills += 1;
        // What it said before it died is in the pipe, and counts.
        loop {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (speaker, Some(line)) => self.take_in(speaker, &line)?,
                (dead, None) if dead == process => break,
                (other, None) => self.ended_by_itself(other)?,
            }
        }
        self.start(process)
    }

    /// Stops one for longer than its lease, while the others go on.
    fn stop(&mut self, process: usize) -> Result<()> {
        self.crew.stop(process)?;
        self.report.stops += 1;
        self.listen(STOP)?;
        self.crew.go_on(process)
    }

    /// Until nothing is left to be done.
    fn drain(&mut self) -> Result<()> {
        let store = Store::open(self.file)?;
        let (queue, begun) = (store.queue::<u64>(QUEUE), clock::now());
        loop {
            self.listen(Duration::from_millis(100))?;
            let numbers = queue.numbers()?.ok_or("nothing was ever pushed")?;
            if numbers.ready + numbers.delayed + numbers.claimed == 0 || begun.elapsed() > DRAIN {
                return Ok(store.close()?);
            }
        }
    }

    /// Hears all out.
    fn close(&mut self) -> Result<()> {
        for process in 0..PROCESSES {
            self.crew.tell(process, "end")?;
        }
        let mut open = PROCESSES;
        while open > 0 {
            match self.crew.hear(PATIENCE) {
                Some((process, Some(line))) => self.take_in(process, &line)?,
                Some((_, None)) => open -= 1,
                None => {
                    self.report.violations.push((Broken::Failed, format!("{open} processes do not end")));
                    break;
                }
            }
        }
        Ok(())
    }
}

/// What is in the queue.
fn look(file: &Path, evidence: &mut Evidence, report: &mut Report) -> Result<()> {
    let store = Store::open(file)?;
    let (queue, mut next) = (store.queue::<u64>(QUEUE), Some(1));
    while let Some(from) = next {
        let page = queue.page(None, from, 1_000)?;
        for job in page.jobs {
            let job = job?;
            let (number, reason) = (queue.decode(&job)?, job.reason.map(String::from));
            let (sequence, state, attempts) = (job.sequence, job.state, job.attempts);
            evidence.found.push(Found { sequence, number, state, attempts, reason });
        }
        next = page.next;
    }
    let numbers = queue.numbers()?.ok_or("nothing was ever pushed")?;
    (report.jobs, report.done, report.dead) = (numbers.pushed, numbers.done, numbers.dead);
    if numbers.pushed != evidence.found.len() as u64 {
        let words = format!("{} of {} jobs are there", evidence.found.len(), numbers.pushed);
        report.violations.push((Broken::Lost, words));
    }
    Ok(store.close()?)
}

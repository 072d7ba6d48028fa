//! Reactors that share the partitions of a projection, in several processes, which are killed and stopped, and leave and join:
//! does each event come to one of them, in the order of its stream?
//!
//! Promises: A7 and C2 for reactors. Whoever is given an event writes a note of it with its token, as an outside world that looks
//! at tokens would. One process is killed every now and then, or stopped for longer than its lease. When all is appended, the
//! partitions have changed hands so often, and the checkpoint has come to the end, the notes are held against the events.

pub mod child;
mod judge;
mod mutant;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{Event, Expected};
use serde::Serialize;

use self::child::{CATEGORY, NOTES, Note, REACTION};
use self::judge::Evidence;
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use crate::crew::{Crew, Heard};
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "partitions-child";

/// Processes, each with a reactor.
const PROCESSES: usize = 4;

/// Streams of what is of interest; and as many of what is not.
const STREAMS: u64 = 40;

/// Events that are appended at a time, and between which there is a rest of so long.
const STRETCH: u64 = 12;
const REST: Duration = Duration::from_millis(2);

/// How long one is stopped: for longer than its lease.
const STOP: Duration = Duration::from_millis(900);

/// Of so many turns one has a process that is stopped, the others one that is killed.
const STOPS: u64 = 4;

/// All is dealt with within this time.
const DRAIN: Duration = Duration::from_secs(120);

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Partitions come to others at least so often.
    pub hands: u64,
    /// Milliseconds between kills.
    pub every_ms: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, hands: 200, every_ms: 300, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Events of interest.
    pub events: u64,
    /// How often one came to somebody.
    pub reacted: u64,
    /// How often a partition came to somebody else.
    pub hands: u64,
    /// Processes killed.
    pub kills: u64,
    /// Processes stopped.
    pub stops: u64,
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
    report.violations.extend(judge::judge(&evidence));
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Runs it once, and spoils what came of it in each way: the mutants that are noticed.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let (evidence, _) = gather(program, settings)?;
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge::judge, Mutant::breaks))
}

/// What reactors have noted, and what there was.
fn gather(program: &Path, settings: &Settings) -> Result<(Evidence, Report)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("partitions.db");
    let store = Store::open(&file)?;
    let mut run = Run {
        crew: Crew::new(program, PROCESSES),
        file: &file,
        store: &store,
        random: Random::new(settings.seed),
        next: 0,
        evidence: Evidence::default(),
        report: Report::default(),
    };
    (0..PROCESSES).try_for_each(|process| run.start(process))?;
    while run.evidence.hands() < settings.hands && run.report.violations.is_empty() {
        run.go_on(Duration::from_millis(settings.every_ms))?;
        let victim = run.random.below(PROCESSES as u64) as usize;
        if run.random.below(STOPS) == 0 {
            run.report.stops += 1;
            run.crew.stop(victim)?;
            run.listen(STOP)?;
            run.crew.go_on(victim)?;
        } else {
            run.report.kills += 1;
            run.end(victim)?;
            run.start(victim)?;
        }
        run.read_notes()?;
    }
    run.drain()?;
    (0..PROCESSES).try_for_each(|process| run.end(process))?;
    run.read_notes()?;
    let Run { mut evidence, mut report, .. } = run;
    for event in store.events().read_category(CATEGORY) {
        let event = event?;
        evidence.events.insert(event.position(), (event.stream().to_owned(), event.version()));
    }
    store.close()?;
    (report.events, report.reacted) = (evidence.events.len() as u64, evidence.notes.len() as u64);
    report.hands = evidence.hands();
    Ok((evidence, report))
}

/// The run.
struct Run<'a> {
    crew: Crew,
    file: &'a Path,
    store: &'a Store,
    random: Random,
    /// The number of the next process.
    next: u64,
    evidence: Evidence,
    report: Report,
}

impl Run<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        self.next += 1;
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        self.crew.start(process, &[CHILD.to_owned(), file, self.next.to_string()], &[])
    }

    /// Appends for a while.
    fn go_on(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while clock::now() < end {
            for _ in 0..STRETCH {
                let kind = if self.random.below(3) == 0 { "noise" } else { CATEGORY };
                let stream = format!("{kind}-{}", self.random.below(STREAMS));
                let appended =
                    self.store.events().append(stream, Expected::Any, [Event::new("Moved", &1)?])?;
                self.evidence.last = appended.position;
            }
            self.listen(REST)?;
        }
        Ok(())
    }

    /// Appends nothing: whoever is stopped may have the writers' turn.
    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(heard);
        }
        let progress = self.store.projection(REACTION).progress()?;
        self.evidence.positions.push(progress.map_or(0, |progress| progress.position));
        Ok(())
    }

    fn take_in(&mut self, (process, line): Heard) {
        let words = line.unwrap_or_else(|| "it ended by itself".to_owned());
        self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
    }

    /// Kills it, and hears it out.
    fn end(&mut self, process: usize) -> Result<()> {
        self.crew.end(process)?.into_iter().for_each(|heard| self.take_in(heard));
        Ok(())
    }

    /// Those notes that are not known yet.
    fn read_notes(&mut self) -> Result<()> {
        let known = self.evidence.notes.len() as u64;
        for event in self.store.events().read_stream(NOTES).after(known) {
            let event = event?;
            let note: Note = serde_json::from_str(event.json().ok_or("a note is no JSON")?)?;
            self.evidence.notes.push(note);
        }
        Ok(())
    }

    /// Until all is dealt with, or never will be.
    fn drain(&mut self) -> Result<()> {
        let begun = clock::now();
        while self.evidence.positions.last() < Some(&self.evidence.last) && begun.elapsed() < DRAIN {
            self.listen(REST)?;
        }
        Ok(())
    }
}

//! Consumers of a group, in several processes, which are killed and stopped: does each message come to one of them, in the
//! order of its key, until it was acknowledged, and then to nobody?
//!
//! Promises: C2 and G1 for groups. Every process publishes, and has consumers of one group. Whoever has been handed a message
//! writes a note of it with its token, as an outside world that looks at tokens would; then he acknowledges it, drops it now
//! and then, and leaves and joins again after some. One process is killed every now and then, or stopped for longer than its
//! lease. When all is published and the cursor has come to the end, notes are held against what was acknowledged.

pub mod child;
mod judge;
mod mutant;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;
use serde::Serialize;

use self::child::{CHANNEL, GROUP, Letter, NOTES, Note, Said};
pub use self::judge::{Broken, Violation};
use self::judge::{Evidence, Handled};
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "groups-child";

/// Processes, each with a publisher and some consumers.
const PROCESSES: usize = 4;

/// How long one is stopped: for longer than its lease.
const STOP: Duration = Duration::from_millis(900);

/// Of so many turns one has a process that is stopped, the others one that is killed.
const STOPS: u64 = 4;

/// All messages are acknowledged within this time.
const DRAIN: Duration = Duration::from_secs(120);

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Messages to be published.
    pub messages: u64,
    /// Milliseconds between kills.
    pub every_ms: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, messages: 20_000, every_ms: 500, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Messages that there are.
    pub messages: u64,
    /// How often one was handed to somebody.
    pub handled: u64,
    /// Acknowledgements that somebody was told of, and those that were refused.
    pub acked: u64,
    /// As `acked`.
    pub fenced: u64,
    /// Turns of consumers that were handed something.
    pub members: u64,
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

/// Runs it once, and spoils what came of it in each way: the mutants that are noticed. A small run may have nothing to be
/// spoilt by some of them.
///
/// # Errors
/// As [`run`].
pub fn noticed(program: &Path, settings: &Settings) -> Result<Vec<Mutant>> {
    let (evidence, _) = gather(program, settings)?;
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge::judge, Mutant::breaks))
}

/// What publishers and consumers say, and what is there in the end.
fn gather(program: &Path, settings: &Settings) -> Result<(Evidence, Report)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("groups.db");
    let store = Store::open(&file)?;
    let mut post = Post {
        crew: Crew::new(program, PROCESSES),
        file: &file,
        store: &store,
        most: settings.messages.div_ceil(PROCESSES as u64),
        next: [0; PROCESSES],
        random: Random::new(settings.seed),
        evidence: Evidence::default(),
        report: Report::default(),
    };
    (0..PROCESSES).try_for_each(|process| post.start(process))?;
    while post.is_publishing() && post.report.violations.is_empty() {
        post.listen(Duration::from_millis(settings.every_ms))?;
        let victim = post.random.below(PROCESSES as u64) as usize;
        if post.random.below(STOPS) == 0 {
            post.stop(victim)?;
        } else {
            post.report.kills += 1;
            post.end(victim)?;
            post.start(victim)?;
        }
    }
    post.drain()?;
    (0..PROCESSES).try_for_each(|process| post.end(process))?;
    let Post { mut evidence, mut report, .. } = post;
    look(&store, &mut evidence)?;
    store.close()?;
    report.messages = evidence.letters.len() as u64;
    report.handled = evidence.notes.len() as u64;
    report.acked = evidence.acked.len() as u64;
    let hands: std::collections::BTreeSet<u64> =
        evidence.notes.iter().map(|handled| handled.note.hand >> child::HANDS).collect();
    report.members = hands.len() as u64;
    Ok((evidence, report))
}

/// The run.
struct Post<'a> {
    crew: Crew,
    file: &'a Path,
    store: &'a Store,
    /// Messages of each publisher.
    most: u64,
    /// The next message of each.
    next: [u64; PROCESSES],
    random: Random,
    evidence: Evidence,
    report: Report,
}

impl Post<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        let next = self.next.get(process).copied().unwrap_or_default();
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        let run = self.report.kills + self.report.stops;
        let arguments = [process as u64, run, next, self.most].map(|number| number.to_string());
        self.crew.start(process, &[&[CHILD.to_owned(), file], &arguments[..]].concat(), &[])
    }

    fn is_publishing(&self) -> bool {
        self.next.iter().any(|next| *next < self.most)
    }

    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some(heard) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(heard)?;
        }
        let cursor = self.store.channel::<Letter>(CHANNEL).group(GROUP).cursor()?;
        self.evidence.cursors.push(cursor.unwrap_or(0));
        Ok(())
    }

    fn take_in(&mut self, (process, line): (usize, Option<String>)) -> Result<()> {
        let Some(line) = line else {
            self.report.violations.push((Broken::Failed, format!("process {process} ended by itself")));
            return Ok(());
        };
        match serde_json::from_str(&line)? {
            Said::Publishes(number) => {
                // Whether it was published or not, it is not published again.
                self.next.iter_mut().skip(process).take(1).for_each(|next| *next = number + 1);
            }
            Said::Published(letter, sequence) => self.evidence.published.push((letter, sequence)),
            Said::Acked(note) => self.evidence.acked.push(note),
            Said::Fenced => self.report.fenced += 1,
            Said::Failed(words) => {
                self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
            }
        }
        Ok(())
    }

    /// Kills it, and hears it out: what it said before it died is in the pipe, and counts.
    fn end(&mut self, process: usize) -> Result<()> {
        self.crew.end(process)?.into_iter().try_for_each(|heard| self.take_in(heard))
    }

    fn stop(&mut self, process: usize) -> Result<()> {
        self.report.stops += 1;
        self.crew.stop(process)?;
        self.listen(STOP)?;
        self.crew.go_on(process)
    }

    /// Until all is acknowledged, or nobody ever will.
    fn drain(&mut self) -> Result<()> {
        let begun = clock::now();
        let last = || Ok::<_, millpond::Error>(self.store.channel::<Letter>(CHANNEL).extent()?.last);
        let mut end = last()?;
        while self.evidence.cursors.last() != Some(&end) && begun.elapsed() < DRAIN {
            self.listen(Duration::from_millis(20))?;
            end = self.store.channel::<Letter>(CHANNEL).extent()?.last;
        }
        Ok(())
    }
}

/// What is there in the end.
fn look(store: &Store, evidence: &mut Evidence) -> Result<()> {
    for letter in store.channel::<Letter>(CHANNEL).history() {
        let letter = letter?;
        evidence.letters.insert(letter.sequence(), (*letter, letter.key().map(str::to_owned)));
    }
    for event in store.events().read_stream(NOTES) {
        let event = event?;
        let note: Note = serde_json::from_str(event.json().ok_or("a note is no JSON")?)?;
        evidence.notes.push(Handled { position: event.position(), note });
    }
    Ok(())
}

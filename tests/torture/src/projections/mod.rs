//! A projection and a reactor whose processes are killed while they catch up and while events come: is each event projected
//! once, reacted to at least once, and all in order?
//!
//! Promises: A7, C2. A file is filled with events. Two processes stand in line to project them into tables, and two to react to
//! some of them, by a line that they say. One of them is killed again and again, or all are, first while they catch up, then
//! while more events come; meanwhile the projection is paused, resumed, and rebuilt beside the one that is read. In the end the
//! tables must be those that are made of the events in one go.

pub mod child;
mod judge;
mod mutant;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use millpond::blocking::{Projection, Store};
use millpond::{Event, Expected, From};
use serde::Serialize;
use uuid::Uuid;

use self::child::{CATEGORY, CLOSED, PROJECTION, REACTION, Role};
use self::judge::Evidence;
pub use self::judge::{Broken, Violation};
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::random::Random;
use crate::report::{self, Violations};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "projections-child";

/// Who does what.
const ROLES: [Role; 4] = [Role::Projects, Role::Reacts, Role::Projects, Role::Reacts];

/// Events of one import.
const CHUNK: u64 = 5_000;

/// Events of one stream, about.
const A_STREAM: u64 = 600;

/// All is dealt with within this time after the last kill.
const DRAIN: Duration = Duration::from_secs(120);

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Events that are there in the beginning.
    pub events: u64,
    /// Kills while they are caught up with, and as many while more come.
    pub kills: u64,
    /// So long between kills, at most.
    pub every_ms: u64,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, events: 20_000, kills: 6, every_ms: 120, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Events that were projected.
    pub events: u64,
    /// Times that a process was killed while the events of the beginning were caught up with.
    pub kills_catching_up: u64,
    /// And while more came.
    pub kills_live: u64,
    /// Reactions, and how many of them were to an event that there had been a reaction to.
    pub reactions: u64,
    /// See there.
    pub reactions_again: u64,
    /// The generation that is read in the end.
    pub generation: u64,
    /// How long it took to project all, from the last kill on, in milliseconds.
    pub drained_ms: u64,
    /// How long all of it took.
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
    let (start, mut report) = (clock::now(), Report::default());
    let mut evidence = gather(program, settings, &mut report)?;
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
    let evidence = gather(program, settings, &mut Report::default())?;
    Ok(report::noticed(Mutant::ALL, &evidence, Mutant::spoil, judge::judge, Mutant::breaks))
}

fn gather(program: &Path, settings: &Settings, report: &mut Report) -> Result<Evidence> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("projections.db");
    let store = Store::open(&file)?;
    let streams = settings.events / A_STREAM + 1;
    for first in (0..settings.events).step_by(CHUNK as usize) {
        let chunk = first..(first + CHUNK).min(settings.events);
        store.events().import(chunk.map(|n| made(n, streams)).collect::<Result<Vec<_>>>()?)?;
    }
    let mut field = Field {
        crew: Crew::new(program, ROLES.len()),
        file: &file,
        random: Random::new(settings.seed),
        every_ms: settings.every_ms,
        reactions: Vec::new(),
        report,
    };
    (0..ROLES.len()).try_for_each(|process| field.start(process))?;
    let projection = store.projection(PROJECTION);
    while field.report.kills_catching_up < settings.kills && position(&projection)? < settings.events {
        field.listen_a_while()?;
        field.kill()?;
        field.report.kills_catching_up += 1;
    }
    let mut next = settings.events;
    while field.report.kills_live < settings.kills {
        for n in next..next + 20 {
            let (stream, event) = made(n, streams)?;
            store.events().append(stream, Expected::Any, [event])?;
        }
        next += 20;
        match field.random.below(4) {
            0 => drop(projection.pause()?),
            1 if field.report.kills_live.is_multiple_of(3) => drop(projection.rebuild(From::Start)?),
            _ => drop(projection.resume()?),
        }
        field.listen_a_while()?;
        field.kill()?;
        field.report.kills_live += 1;
    }
    projection.resume()?;
    let begun = clock::now();
    let reaction = store.projection(REACTION);
    loop {
        let is_rebuilt = projection.progress()?.is_some_and(|progress| progress.rebuilding.is_none());
        if is_rebuilt && position(&projection)? == next && position(&reaction)? == next {
            break;
        }
        if begun.elapsed() > DRAIN {
            let words = format!("{:?}, {:?}", projection.progress()?, reaction.progress()?);
            field.report.violations.push((Broken::Stuck, words));
            break;
        }
        field.listen(Duration::from_millis(5))?;
    }
    field.report.drained_ms = begun.elapsed().as_millis() as u64;
    (0..ROLES.len()).try_for_each(|process| field.end(process))?;
    let reactions = std::mem::take(&mut field.reactions);
    let evidence = look(&store, &file, reactions)?;
    store.close()?;
    let different: BTreeSet<u64> = evidence.reactions.iter().map(|(_, position)| *position).collect();
    (report.events, report.generation) = (evidence.events.len() as u64, evidence.generation);
    report.reactions = evidence.reactions.len() as u64;
    report.reactions_again = report.reactions - different.len() as u64;
    Ok(evidence)
}

/// The `n`th event, and its stream.
fn made(n: u64, streams: u64) -> Result<(String, Event)> {
    let kind = if n.is_multiple_of(11) { CLOSED } else { "Moved" };
    // Neighbours are of different streams, and streams are of different lengths.
    let stream = (n * 7 + n / 13) % streams;
    let event = Event::new(kind, &serde_json::json!({ "n": n, "what": "a case of a municipality" }))?;
    Ok((format!("{CATEGORY}-{stream}"), event.id(Uuid::from_u128(u128::from(n) + 1))))
}

/// The run.
struct Field<'a> {
    crew: Crew,
    file: &'a Path,
    random: Random,
    every_ms: u64,
    reactions: Vec<(String, u64)>,
    report: &'a mut Report,
}

impl Field<'_> {
    fn start(&mut self, process: usize) -> Result<()> {
        let file = self.file.to_str().ok_or("the folder's name is not a text")?.to_owned();
        let role = ROLES.get(process).ok_or("no role")?.name().to_owned();
        self.crew.start(process, &[CHILD.to_owned(), file, role], &[])
    }

    fn listen_a_while(&mut self) -> Result<()> {
        let while_ms = self.random.below(self.every_ms) + 1;
        self.listen(Duration::from_millis(while_ms))
    }

    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some((process, line)) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(process, line)?;
        }
        Ok(())
    }

    fn take_in(&mut self, process: usize, line: Option<String>) -> Result<()> {
        let line = line.unwrap_or_else(|| "! it ended by itself".to_owned());
        match line.split_once(' ').ok_or("half a line")? {
            ("!", words) => {
                self.report.violations.push((Broken::Failed, format!("process {process}: {words}")));
            }
            (stream, position) => self.reactions.push((stream.to_owned(), position.parse()?)),
        }
        Ok(())
    }

    /// Kills one of them or all, and starts them again.
    fn kill(&mut self) -> Result<()> {
        let victim = self.random.below(ROLES.len() as u64 + 1) as usize;
        let all = if victim < ROLES.len() { victim..victim + 1 } else { 0..ROLES.len() };
        all.clone().try_for_each(|process| self.end(process))?;
        all.into_iter().try_for_each(|process| self.start(process))
    }

    /// Kills it, and hears it out. Its last line may be half a line.
    fn end(&mut self, process: usize) -> Result<()> {
        self.crew.kill(process)?;
        let mut last = None;
        loop {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (dead, None) if dead == process => {
                    let whole = last
                        .filter(|line: &String| line.split_once(' ').is_some_and(|(_, it)| !it.is_empty()));
                    return whole.map_or(Ok(()), |line| self.take_in(process, Some(line)));
                }
                (dead, Some(line)) if dead == process => {
                    if let Some(before) = last.replace(line) {
                        self.take_in(process, Some(before))?;
                    }
                }
                (other, line) => self.take_in(other, line)?,
            }
        }
    }
}

/// What is there in the end.
fn look(store: &Store, file: &Path, reactions: Vec<(String, u64)>) -> Result<Evidence> {
    let mut evidence = Evidence { reactions, ..Evidence::default() };
    for event in store.events().read_category(CATEGORY) {
        let event = event?;
        evidence.events.push((event.stream().to_owned(), event.event_type().to_owned(), event.position()));
    }
    let progress = store.projection(PROJECTION).progress()?.ok_or("there is no such projection")?;
    (evidence.handled, evidence.generation) = (progress.handled, progress.generation);
    let reader = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut rows = reader.prepare("SELECT stream, count, told FROM tally")?;
    let rows = rows.query_map([], |row| {
        let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
        Ok((row.get(0)?, (number(1)?, number(2)?)))
    })?;
    evidence.tallies = rows.collect::<rusqlite::Result<_>>()?;
    let mut names = reader.prepare(
        "SELECT substr(name, 7) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tally^_%' ESCAPE '^'",
    )?;
    let tables = names.query_map([], |row| row.get::<_, String>(0))?;
    for table in tables {
        evidence.tables.insert(table?.parse()?);
    }
    Ok(evidence)
}

fn position(projection: &Projection) -> Result<u64> {
    Ok(projection.progress()?.map_or(0, |progress| progress.position))
}

//! Processes that all want to write all the time: does each get its share, and nobody wait for long?
//!
//! Promise: G8 (T12). Two, four and eight of them, first in peace, and then while whoever has the turn is killed every
//! 100 ms and started again. On a real disk: where a sync costs nothing, everybody is served well by chance.

pub mod child;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::crew::Crew;
use crate::look::look;
use crate::random::Random;
use crate::report::{Broken, Violations};
use crate::sidecar::Turn;
use crate::workload::told::forget;
use crate::workload::{Call, Told, Word};
use crate::zombies::has_turn;
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "fairness-child";

/// How many there are, phase by phase.
const PROCESSES: [usize; 3] = [2, 4, 8];

/// Each has at least this part of what it would have if all had the same.
const SHARE: f64 = 0.5;

/// Nobody waits longer for one write.
const LONGEST_US: u64 = 1_000_000;

/// So often whoever has the turn is killed.
const EVERY: Duration = Duration::from_millis(100);

/// How long a child may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// So often somebody is stopped until it is one who has the turn.
const STOPS: u64 = 500;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random moments come from.
    pub seed: u64,
    /// Seconds of all phases together.
    pub seconds: u64,
    /// How the run or its evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether shares and waits are judged; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, seconds: 12, mutant: None, timed: true }
    }
}

/// A way to spoil the run or its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// There are no turns: SQLite's own handler decides who is next.
    Plain,
    /// One of them was never served.
    Starved,
    /// An acknowledged event is gone.
    Forgetful,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 3] = [Mutant::Plain, Mutant::Starved, Mutant::Forgetful];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Plain | Mutant::Starved => Broken::Starved,
            Mutant::Forgetful => Broken::Lost,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Acknowledged writes.
    pub writes: u64,
    /// Of the phases in peace: the smallest part that one of them had of the mean.
    pub least_share: f64,
    /// The same of the phases with kills.
    pub least_share_killed: f64,
    /// The longest that a write took, in microseconds.
    pub longest_us: u64,
    /// Processes killed, all of them while they had the turn.
    pub kills: u64,
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
    let mut random = Random::new(settings.seed);
    // The smaller of a number and none is the number.
    let mut report = Report { least_share: f64::NAN, least_share_killed: f64::NAN, ..Report::default() };
    // Six phases. One that starts with everybody's first write is fair by then.
    let time = Duration::from_millis(settings.seconds * 1_000 / 6);
    for processes in PROCESSES {
        for kills in [false, true] {
            if kills && settings.mutant == Some(Mutant::Plain) {
                continue; // It has no turn by which one could be found.
            }
            let file = folder.path().join(format!("fairness-{processes}-{kills}.db"));
            let seats = (0..processes).map(|_| Seat::default()).collect();
            let (crew, words) = (Crew::new(program, processes), Vec::new());
            let mut phase =
                Phase { settings, file, crew, seats, words, kills: 0, violations: Violations::default() };
            phase.live(time, kills, &mut random)?;
            phase.judge(kills, &mut report);
        }
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// A process and what it was served.
#[derive(Debug, Default)]
struct Seat {
    writes: u64,
    longest_us: u64,
    /// The number of the last of its writes that was heard of.
    last: u64,
    ready: bool,
}

struct Phase<'a> {
    settings: &'a Settings,
    file: PathBuf,
    crew: Crew,
    seats: Vec<Seat>,
    words: Vec<Word>,
    kills: u64,
    violations: Violations,
}

impl Phase<'_> {
    fn live(&mut self, time: Duration, kills: bool, random: &mut Random) -> Result<()> {
        for who in 0..self.seats.len() {
            self.start(who)?;
        }
        for who in 0..self.seats.len() {
            self.crew.tell(who, "go")?;
        }
        let (end, turn) = (clock::now() + time, kills.then(|| Turn::of(&self.file)).transpose()?);
        while clock::now() < end && self.violations.is_empty() {
            self.listen(EVERY.min(end.saturating_duration_since(clock::now())))?;
            if let Some(turn) = &turn {
                let victim = self.stop_one_with(turn, random)?;
                self.kill(&[victim])?;
                self.kills += 1;
                self.start(victim)?;
                self.crew.tell(victim, "go")?;
            }
        }
        let all: Vec<usize> = (0..self.seats.len()).collect();
        self.kill(&all)
    }

    fn start(&mut self, who: usize) -> Result<()> {
        // Whoever was killed may have written once more than was heard of.
        let seat = self.seats.get_mut(who).ok_or("no such child")?;
        seat.ready = false;
        let arguments = [
            CHILD.to_owned(),
            self.file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
            who.to_string(),
            (seat.last + 10).to_string(),
            (self.settings.mutant == Some(Mutant::Plain)).to_string(),
        ];
        self.crew.start(who, &arguments, &[])?;
        let end = clock::now() + PATIENCE;
        while !self.seats.get(who).is_some_and(|seat| seat.ready) {
            let left = end.saturating_duration_since(clock::now());
            let (speaker, line) = self.crew.hear(left).ok_or_else(|| format!("child {who} is not ready"))?;
            self.take_in(speaker, &line.ok_or_else(|| format!("child {speaker} ended by itself"))?);
        }
        Ok(())
    }

    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some((speaker, line)) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(speaker, &line.ok_or_else(|| format!("child {speaker} ended by itself"))?);
        }
        Ok(())
    }

    /// Stops one after the other by chance until one stands still while it has the turn.
    fn stop_one_with(&mut self, turn: &Turn, random: &mut Random) -> Result<usize> {
        for _ in 0..STOPS {
            let who = random.below(self.seats.len() as u64) as usize;
            self.crew.stop(who)?;
            if has_turn(turn)? {
                return Ok(who);
            }
            self.crew.go_on(who)?;
            self.listen(Duration::from_micros(random.below(1_000)))?;
        }
        Err(format!("{STOPS} stops, and none of them inside a transaction").into())
    }

    /// Kills them, and hears all that they had said.
    fn kill(&mut self, all: &[usize]) -> Result<()> {
        self.crew.kill_at_once(all)?;
        let mut dying = all.to_vec();
        while !dying.is_empty() {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (speaker, Some(line)) => self.take_in(speaker, &line),
                (dead, None) if dying.contains(&dead) => dying.retain(|who| *who != dead),
                (other, None) => return Err(format!("child {other} ended by itself").into()),
            }
        }
        Ok(())
    }

    fn take_in(&mut self, who: usize, line: &str) {
        let Some(seat) = self.seats.get_mut(who) else { return };
        let mut words = line.split(' ');
        let said = words.next();
        let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        match (said, numbers.as_slice()) {
            (Some("open"), _) => seat.ready = true,
            (Some("acked"), [number, version, position, took_us]) => {
                (seat.last, seat.writes) = (*number, seat.writes + 1);
                seat.longest_us = seat.longest_us.max(*took_us);
                if self.settings.mutant != Some(Mutant::Plain) {
                    let told = Told::default();
                    let facts = Call::appending(who as u64, *number).facts();
                    told.answer(facts, &Ok(Some((*version, *position))));
                    self.words.extend(told.take());
                }
            }
            _ => self.violations.push((Broken::Failed, format!("child {who}: {line}"))),
        }
    }

    /// Adds what came of it to the report.
    fn judge(mut self, kills: bool, report: &mut Report) {
        if let (Some(Mutant::Starved), Some(seat)) = (self.settings.mutant, self.seats.first_mut()) {
            seat.writes = 0;
        }
        if self.settings.mutant == Some(Mutant::Forgetful) {
            forget(&mut self.words, 1);
        }
        let all: u64 = self.seats.iter().map(|seat| seat.writes).sum();
        let least = self.seats.iter().map(|seat| seat.writes).min().unwrap_or(0);
        let share = least as f64 * self.seats.len() as f64 / all.max(1) as f64;
        let longest_us = self.seats.iter().map(|seat| seat.longest_us).max().unwrap_or(0);
        let of = if kills { &mut report.least_share_killed } else { &mut report.least_share };
        *of = of.min(share);
        report.longest_us = report.longest_us.max(longest_us);
        report.writes += all;
        report.kills += self.kills;
        let starved = least == 0 || self.settings.timed && (share < SHARE || longest_us > LONGEST_US);
        if starved {
            let served: Vec<u64> = self.seats.iter().map(|seat| seat.writes).collect();
            let words = format!("writes {served:?}, kills {}, the longest took {longest_us} us", self.kills);
            self.violations.push((Broken::Starved, words));
        }
        if self.settings.mutant != Some(Mutant::Plain) {
            let mut seen = look(&self.file, true);
            self.violations.append(&mut seen.violations);
            self.violations.extend(seen.accuse(&self.words));
        }
        report.violations.append(&mut self.violations);
    }
}

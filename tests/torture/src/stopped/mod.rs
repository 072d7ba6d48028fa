//! Four processes, and one of them is stopped inside a write transaction: what do the others hear, and do they go on?
//!
//! Promise: G8. One process writes large events without a rest until it is stopped by SIGSTOP in the middle of a commit.
//! The others write and read: their writes end at their deadline, with the name of the process that is stopped and
//! without a trace, and their reads go on. Then it goes on, or is killed, in turns, and everybody's next write succeeds.

pub mod child;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::look::look;
use crate::random::Random;
use crate::recording::folder;
use crate::report::{Broken, Violations};
use crate::sidecar::Turn;
use crate::workload::told::{Counts, deny, forget};
use crate::workload::{Call, Told, Word};
use crate::zombies::has_turn;
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "stopped-child";

/// Processes.
const PROCESSES: usize = 4;

/// What a call may take in them.
const TIMEOUT_MS: u64 = 1_000;

/// By so much a deadline may be missed.
const LATE_US: u64 = 500_000;

/// So soon after it goes on or was killed the others have written.
const RECOVERY_US: u64 = 500_000;

/// So often somebody is stopped until it is inside.
const STOPS: u64 = 500;

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random moments come from.
    pub seed: u64,
    /// Stops inside a write transaction.
    pub rounds: u64,
    /// How the run or its evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a missed deadline is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 20, mutant: None, timed: true }
    }
}

/// A way to spoil the run or its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Another process is named.
    Misnamed,
    /// Nobody could read.
    Blind,
    /// The stopped one neither goes on nor is it killed.
    Frozen,
    /// Who was told that all is well is told that nothing was applied.
    Sure,
    /// An acknowledged event is gone.
    Forgetful,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 5] =
        [Mutant::Misnamed, Mutant::Blind, Mutant::Frozen, Mutant::Sure, Mutant::Forgetful];

    /// What must be said of it, in words that begin so.
    #[must_use]
    pub fn breaks(self) -> (Broken, &'static str) {
        match self {
            Mutant::Misnamed => (Broken::Hidden, ""),
            Mutant::Blind => (Broken::Wedged, "nothing was read"),
            Mutant::Frozen => (Broken::Wedged, "it is over"),
            Mutant::Sure => (Broken::Lie, ""),
            Mutant::Forgetful => (Broken::Lost, "gone"),
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Stops inside a write transaction.
    pub rounds: u64,
    /// Stops altogether.
    pub stops: u64,
    /// Writes that were refused because of them.
    pub busy: u64,
    /// Reads meanwhile.
    pub reads: u64,
    /// Acknowledged events.
    pub acked: u64,
    /// The longest that such a write took, in microseconds.
    pub busy_max_us: u64,
    /// The longest until all had written again, in microseconds: after the stopped one went on, and after its death.
    pub recovery_max_us: u64,
    /// As `recovery_max_us`.
    pub recovery_killed_max_us: u64,
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
    let (start, folder) = (clock::now(), folder()?);
    let file = folder.path().join("stopped.db");
    let mut run = Run {
        settings,
        crew: Crew::new(program, PROCESSES),
        file,
        random: Random::new(settings.seed),
        heard: vec![VecDeque::new(); PROCESSES],
        numbers: [0; PROCESSES],
        words: Vec::new(),
        report: Report::default(),
    };
    for who in 0..PROCESSES {
        run.start(who)?;
    }
    let turn = Turn::of(&run.file)?;
    for round in 0..settings.rounds {
        if !run.report.violations.is_empty() {
            break;
        }
        run.round(round, &turn)?;
    }
    let Run { crew, file, mut words, mut report, .. } = run;
    drop(crew);
    match settings.mutant {
        Some(Mutant::Sure) => deny(&mut words, &millpond::Error::Closed),
        Some(Mutant::Forgetful) => forget(&mut words, 1),
        Some(Mutant::Misnamed | Mutant::Blind | Mutant::Frozen) | None => {}
    }
    let mut seen = look(&file, true);
    report.violations.append(&mut seen.violations);
    report.violations.extend(seen.accuse(&words));
    report.acked = Counts::of(&words).acked;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

struct Run<'a> {
    settings: &'a Settings,
    crew: Crew,
    file: PathBuf,
    random: Random,
    /// What each has said that was not waited for yet.
    heard: Vec<VecDeque<String>>,
    /// The highest number of each that was heard of.
    numbers: [u64; PROCESSES],
    words: Vec<Word>,
    report: Report,
}

impl Run<'_> {
    fn start(&mut self, who: usize) -> Result<()> {
        // Whoever was killed may have written once more than was heard of.
        let next = self.numbers.get(who).copied().unwrap_or(0) + 10;
        let arguments = [
            CHILD.to_owned(),
            self.file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
            who.to_string(),
            next.to_string(),
            TIMEOUT_MS.to_string(),
        ];
        self.crew.start(who, &arguments, &[])?;
        self.expect(who, "open").map(drop)
    }

    fn round(&mut self, round: u64, turn: &Turn) -> Result<()> {
        let victim = (round % PROCESSES as u64) as usize;
        self.crew.tell(victim, "spin")?;
        self.expect(victim, "acked")?;
        self.stop_inside(victim, turn)?;
        self.report.rounds += 1;
        let others: Vec<usize> = (0..PROCESSES).filter(|who| *who != victim).collect();
        self.all_are_refused(victim, &others)?;
        let (since, dies) = (clock::stamp()?, round % 2 == 1);
        if self.settings.mutant != Some(Mutant::Frozen) {
            if dies { self.kill(victim)? } else { self.crew.go_on(victim)? }
        }
        self.all_write(&others)?;
        let took = clock::stamp()?.saturating_sub(since);
        let Report { recovery_max_us: going_on, recovery_killed_max_us: killed, .. } = &mut self.report;
        let longest = if dies { killed } else { going_on };
        *longest = took.max(*longest);
        if self.settings.timed && took > RECOVERY_US {
            self.report.violations.push((Broken::Wedged, format!("all had written {took} us after it")));
        }
        if self.settings.mutant == Some(Mutant::Frozen) {
            return Ok(());
        }
        if dies {
            return self.start(victim);
        }
        self.crew.tell(victim, "rest")?;
        self.expect(victim, "rested").map(drop)
    }

    /// Stops it until it stands still while it has the turn.
    fn stop_inside(&mut self, who: usize, turn: &Turn) -> Result<()> {
        for _ in 0..STOPS {
            let micros = self.random.below(5_000);
            self.listen(Duration::from_micros(micros))?;
            self.crew.stop(who)?;
            self.report.stops += 1;
            if has_turn(turn)? {
                return Ok(());
            }
            self.crew.go_on(who)?;
        }
        Err(format!("{STOPS} stops, and none of them inside a transaction").into())
    }

    /// Nobody else can write, everybody hears who is to blame, and everybody reads.
    fn all_are_refused(&mut self, victim: usize, others: &[usize]) -> Result<()> {
        let pid = match self.settings.mutant {
            Some(Mutant::Misnamed) => 1,
            _ => self.crew.id(victim)?,
        };
        for who in others {
            self.crew.tell(*who, "try")?;
        }
        for who in others {
            self.expect(*who, "tries")?;
        }
        let since = clock::stamp()?;
        for who in others {
            let said = self.expect(*who, "")?;
            let took = clock::stamp()?.saturating_sub(since);
            self.report.busy_max_us = self.report.busy_max_us.max(took);
            if self.settings.timed && took > TIMEOUT_MS * 1_000 + LATE_US {
                self.report.violations.push((Broken::Wedged, format!("a refusal took {took} us")));
            }
            let named = said.split(' ').nth(2).and_then(|pid| pid.parse::<u32>().ok());
            if !said.starts_with("busy") || named != Some(pid) {
                let words = format!("child {who} said {said:?} while {pid} is stopped");
                self.report.violations.push((Broken::Hidden, words));
            }
            self.report.busy += 1;
            let said = self.expect(*who, "read")?;
            let reads = match self.settings.mutant {
                Some(Mutant::Blind) => 0,
                _ => said.split(' ').nth(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0),
            };
            self.report.reads += reads;
            if reads == 0 {
                self.report.violations.push((Broken::Wedged, format!("nothing was read: {said}")));
            }
        }
        Ok(())
    }

    fn all_write(&mut self, others: &[usize]) -> Result<()> {
        for who in others {
            self.crew.tell(*who, "try")?;
        }
        for who in others {
            self.expect(*who, "tries")?;
            let said = self.expect(*who, "")?;
            if !said.starts_with("acked") {
                self.report.violations.push((Broken::Wedged, format!("it is over, and {who} says {said:?}")));
            }
            self.expect(*who, "read")?;
        }
        Ok(())
    }

    /// Kills it, and hears all that it had said.
    fn kill(&mut self, who: usize) -> Result<()> {
        self.crew.kill(who)?;
        loop {
            match self.crew.hear(PATIENCE).ok_or("a pipe has no end")? {
                (speaker, Some(line)) => self.take_in(speaker, line),
                (dead, None) if dead == who => break,
                (other, None) => return Err(format!("child {other} ended by itself").into()),
            }
        }
        self.heard.get_mut(who).ok_or("no such child")?.clear();
        Ok(())
    }

    /// Waits until it says something that begins so; what it says before is passed over.
    fn expect(&mut self, who: usize, start: &str) -> Result<String> {
        let end = clock::now() + PATIENCE;
        loop {
            while let Some(said) = self.heard.get_mut(who).and_then(VecDeque::pop_front) {
                if said.starts_with("failed ") {
                    return Err(format!("child {who}: {said}").into());
                }
                if said.starts_with(start) {
                    return Ok(said);
                }
            }
            let left = end.saturating_duration_since(clock::now());
            let (speaker, line) = self.crew.hear(left).ok_or_else(|| format!("child {who}: no {start:?}"))?;
            let line = line.ok_or_else(|| format!("child {speaker} ended by itself"))?;
            self.take_in(speaker, line);
        }
    }

    fn listen(&mut self, time: Duration) -> Result<()> {
        let end = clock::now() + time;
        while let Some((speaker, line)) = self.crew.hear(end.saturating_duration_since(clock::now())) {
            self.take_in(speaker, line.ok_or_else(|| format!("child {speaker} ended by itself"))?);
        }
        Ok(())
    }

    fn take_in(&mut self, who: usize, line: String) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        if let Some(highest) = self.numbers.get_mut(who) {
            *highest = number(1).filter(|_| line.starts_with("acked")).unwrap_or(0).max(*highest);
        }
        match (words.first().copied(), number(1), number(2), number(3)) {
            (Some("acked"), Some(number), Some(version), Some(position)) => {
                self.hold_against(who, number, Some((version, position)));
            }
            (Some("busy"), Some(number), ..) => self.hold_against(who, number, None),
            (Some("failed"), ..) => {
                self.report.violations.push((Broken::Failed, format!("child {who}: {line}")));
            }
            _ => {}
        }
        if let Some(heard) = self.heard.get_mut(who) {
            heard.push_back(line);
        }
    }

    /// A call was acknowledged, and its last event has this place; or it was refused.
    fn hold_against(&mut self, who: usize, number: u64, last: Option<(u64, u64)>) {
        let call = Call::appending(who as u64, number);
        let told = Told::default();
        told.answer(call.facts(), &last.map(Some).ok_or(millpond::Error::Closed));
        self.words.extend(told.take());
    }
}

//! Eight processes under one lock, and one of them is killed every 50 ms: one at a time, first come, first served.
//!
//! Promises: L1, L2, L5, L6. Each section tells when it began and ended by the machine's monotonic clock, its token
//! and its ticket. A holder that was killed counts as inside until just before the kill, no longer.

pub mod child;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;

use serde::Serialize;

use crate::crew::Crew;
use crate::random::Random;
use crate::report::Violations;
use crate::sections::{self, Broken, Section, Violation};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "locks-child";

/// After the death of a holder the next one has the lock within this time.
pub const TAKEOVER_LIMIT_US: u64 = 250_000;

/// A way to spoil the run or its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Nobody takes the lock.
    Unlocked,
    /// Two grants change places.
    Swapped,
    /// A token is given a second time.
    Again,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 3] = [Mutant::Unlocked, Mutant::Swapped, Mutant::Again];

    /// What must be complained of.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Unlocked => Broken::Overlap,
            Mutant::Swapped => Broken::Order,
            Mutant::Again => Broken::Token,
        }
    }

    /// Spoils the evidence in its middle.
    fn spoil(self, sections: &mut [Section]) {
        sections.sort_by_key(|section| section.token);
        let middle = sections.len() / 2;
        let Some([one, two, ..]) = sections.get_mut(middle..) else { return };
        match self {
            Mutant::Unlocked => {}
            Mutant::Swapped => {
                one.ticket = one.ticket.or(Some(one.token));
                two.ticket = two.ticket.or(Some(two.token));
                std::mem::swap(&mut one.ticket, &mut two.ticket);
            }
            Mutant::Again => two.token = one.token,
        }
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random choices come from.
    pub seed: u64,
    /// Processes.
    pub processes: usize,
    /// Threads in each that want the lock.
    pub lanes: u64,
    /// Sections to be seen.
    pub grants: usize,
    /// Milliseconds between kills.
    pub every_ms: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// How the run is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a slow takeover is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        let (processes, lanes, grants) = (8, 1, 1_600);
        Settings { seed: 1, processes, lanes, grants, every_ms: 50, seconds: None, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Sections seen.
    pub grants: usize,
    /// Sections whose ticket is known.
    pub tickets: usize,
    /// Processes killed.
    pub kills: usize,
    /// Of them, those that were inside.
    pub holders_killed: usize,
    /// Waits that were given up.
    pub cancelled: usize,
    /// From the kill of a holder to the next section, in microseconds: the middle and the longest.
    pub takeover_p50_us: u64,
    /// As `takeover_p50_us`.
    pub takeover_max_us: u64,
    /// By how much the parent itself overslept at worst: a machine that does this explains a slow takeover.
    pub overslept_max_us: u64,
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
    let (start, folder) = (clock::now(), tempfile::tempdir()?);
    let file = folder.path().join("locks.db");
    let mut line = Line {
        crew: Crew::new(program, settings.processes),
        random: Random::new(settings.seed),
        file: &file,
        settings,
        sections: Vec::new(),
        killed: Vec::new(),
        cancelled: 0,
        late_us: 0,
        violations: Vec::new(),
    };
    for who in 0..settings.processes {
        line.start(who)?;
    }
    let limit = settings.seconds.map(Duration::from_secs);
    while line.sections.len() < settings.grants && limit.is_none_or(|limit| start.elapsed() < limit) {
        if !line.violations.is_empty() {
            break;
        }
        line.listen(settings.every_ms)?;
        let victim = line.victim();
        line.kill(victim)?;
        line.start(victim)?;
    }
    for who in 0..settings.processes {
        line.kill(who)?;
    }
    let mut report = line.judge();
    if settings.mutant.is_none() {
        look(&file, &mut report.violations)?;
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Nothing is left of those who died: the lock is free, and the next who wants it has it.
fn look(file: &Path, violations: &mut Vec<Violation>) -> Result<()> {
    let store = Store::open(file)?;
    match store.lock(child::LOCK).acquire_within(Duration::from_secs(5))? {
        Some(guard) => guard.release()?,
        None => violations.push((Broken::Late, "all are dead, and the lock is held".into())),
    }
    let left = store.inspect().locks(None, 2)?;
    if !left.is_empty() {
        violations.push((Broken::Failed, format!("left behind: {left:?}")));
    }
    Ok(store.close()?)
}

/// The run.
struct Line<'a> {
    crew: Crew,
    random: Random,
    file: &'a Path,
    settings: &'a Settings,
    sections: Vec<Section>,
    /// Who was killed, and just before when.
    killed: Vec<(usize, u64)>,
    cancelled: usize,
    /// By how much this process itself overslept at worst: what else the machine does hits it as well.
    late_us: u64,
    violations: Vec<Violation>,
}

impl Line<'_> {
    fn start(&mut self, who: usize) -> Result<()> {
        let locked = self.settings.mutant != Some(Mutant::Unlocked);
        let seed = self.random.below(1 << 40);
        let arguments = [
            CHILD.to_owned(),
            seed.to_string(),
            self.file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
            self.settings.lanes.to_string(),
            locked.to_string(),
        ];
        self.crew.start(who, &arguments, &[])
    }

    fn listen(&mut self, milliseconds: u64) -> Result<()> {
        let end = clock::now() + Duration::from_millis(milliseconds);
        loop {
            let left = end.saturating_duration_since(clock::now());
            match self.crew.hear(left) {
                Some((who, Some(line))) => self.take_in(who, &line),
                Some((who, None)) => return Err(format!("child {who} ended by itself").into()),
                None => break,
            }
        }
        let late = clock::now().saturating_duration_since(end).as_micros();
        self.late_us = self.late_us.max(late as u64);
        Ok(())
    }

    /// Two times in three whoever is inside as far as we know, else anybody.
    fn victim(&mut self) -> usize {
        let inside = self.sections.iter().rev().take(3).find(|section| section.end.is_none());
        let inside = inside.map(|section| section.who);
        let anybody = self.random.below(self.settings.processes as u64) as usize;
        inside.filter(|_| self.random.below(3) < 2).unwrap_or(anybody)
    }

    fn kill(&mut self, who: usize) -> Result<()> {
        let stamp = clock::stamp()?;
        self.crew.kill(who)?;
        self.killed.push((who, stamp));
        loop {
            match self.crew.hear(Duration::from_secs(10)).ok_or("a pipe has no end")? {
                (speaker, Some(line)) => self.take_in(speaker, &line),
                (dead, None) if dead == who => break,
                (other, None) => return Err(format!("child {other} ended by itself").into()),
            }
        }
        // Whatever it held it held until now, and its successor is another.
        for section in self.sections.iter_mut().filter(|section| section.who == who) {
            section.end = section.end.or(Some(stamp.max(section.enter)));
        }
        Ok(())
    }

    fn take_in(&mut self, who: usize, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
        match (words.first().copied(), number(1), number(2)) {
            (Some("open"), ..) => {}
            (Some("cancelled"), ..) => self.cancelled += 1,
            (Some("enter"), Some(token), Some(enter)) => {
                self.sections.push(Section { who, token, ticket: None, enter, end: None });
            }
            (Some("ticket"), Some(token), Some(ticket)) => self.of(who, token, |it| it.ticket = Some(ticket)),
            (Some("leave"), Some(token), Some(stamp)) => self.of(who, token, |it| it.end = Some(stamp)),
            _ => self.violations.push((Broken::Failed, format!("child {who}: {line}"))),
        }
    }

    fn of(&mut self, who: usize, token: u64, change: impl FnOnce(&mut Section)) {
        let mut latest = self.sections.iter_mut().rev();
        if let Some(section) = latest.find(|section| section.who == who && section.token == token) {
            change(section);
        }
    }

    fn judge(mut self) -> Report {
        if let Some(mutant) = self.settings.mutant {
            mutant.spoil(&mut self.sections);
        }
        let mut violations = self.violations;
        violations.extend(sections::overlaps(&self.sections));
        // Who only pretends has no tickets and no tokens.
        if self.settings.mutant != Some(Mutant::Unlocked) {
            violations.extend(sections::order(&self.sections));
        }
        // All are killed at the end; then nobody is left to take over.
        let others = self.killed.len().saturating_sub(self.settings.processes);
        let mut takeovers = takeovers(&self.sections, self.killed.get(..others).unwrap_or_default());
        takeovers.sort_unstable();
        let longest = takeovers.last().map_or(0, |(took, _)| *took);
        for (took, at) in
            takeovers.iter().filter(|(took, _)| self.settings.timed && *took > TAKEOVER_LIMIT_US)
        {
            let also: Vec<_> =
                self.killed.iter().filter(|(_, kill)| (*at..at + took).contains(kill)).collect();
            let next = self.sections.iter().find(|section| section.enter == at + took);
            violations
                .push((Broken::Late, format!("a takeover took {took} us: killed {also:?}, then {next:?}")));
        }
        Report {
            grants: self.sections.len(),
            tickets: self.sections.iter().filter(|section| section.ticket.is_some()).count(),
            kills: self.killed.len(),
            holders_killed: takeovers.len(),
            cancelled: self.cancelled,
            takeover_p50_us: takeovers.get(takeovers.len() / 2).map_or(0, |(took, _)| *took),
            takeover_max_us: longest,
            overslept_max_us: self.late_us,
            seconds: 0,
            violations: violations.into(),
        }
    }
}

/// For each kill of somebody inside: the time until the next came in, and when it was.
fn takeovers(sections: &[Section], killed: &[(usize, u64)]) -> Vec<(u64, u64)> {
    let mut entered: Vec<u64> = sections.iter().map(|section| section.enter).collect();
    entered.sort_unstable();
    let inside = |who: usize, at: u64| {
        let ends = |section: &&Section| section.who == who && section.end == Some(at);
        sections.iter().rev().find(ends).is_some()
    };
    killed
        .iter()
        .filter(|(who, at)| inside(*who, *at))
        .filter_map(|(_, at)| {
            let next = entered.get(entered.partition_point(|enter| enter <= at))?;
            Some((next - at, *at))
        })
        .collect()
}

//! Two processes whose wall clocks differ and jump by hours and years: leases must not notice.
//!
//! Promises: G12, L1, L4. Each round is one of three:
//!
//! - **stopped**: the holder is stopped; the other has the lock after the time to live, not before, and not never;
//! - **long**: the holder lives on past its time to live; nobody takes the lock from it;
//! - **delayed**: one asks for the free lock and is stopped before its request is written; the other gets the lock; the
//!   first goes on, and must not be granted before the other has left. (A lock that orders requests by when they were
//!   made, and not by when they were written, has two holders here, without any fault of a clock.)
//!
//! Without libfaketime only the third can be run, by [`run_delayed`].

pub mod fake;

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;

use serde::Serialize;

use self::fake::{Fake, OFFSETS};
use crate::crew::PATIENCE;
use crate::hands::child::{Fault, STREAM};
use crate::hands::{Hands, Said};
use crate::random::Random;
use crate::report::Violations;
use crate::sections::{self, Broken};
use crate::sidecar::Turn;
use crate::zombies::{Stopped, TTL_MS, check_time, stop};
use crate::{Result, clock};

/// Said when there is nothing to fake the time with.
pub const NOT_INSTALLED: &str = "libfaketime is not installed (Debian and Ubuntu: apt install faketime)";

/// Said when the store's clock is not reached by it.
pub const NOT_REACHED: &str =
    "the store does not see the fake time: build with `--features faketime`, so that it asks the C library";

/// A way to spoil the run or its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Nobody takes the lock.
    Unlocked,
    /// All clocks jump, also the one that leases are measured by.
    Settable,
    /// A lease ends before its time.
    Early,
    /// A lease lasts too long.
    Eternal,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 4] = [Mutant::Unlocked, Mutant::Settable, Mutant::Early, Mutant::Eternal];

    /// What must be complained of.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Unlocked => Broken::Overlap,
            Mutant::Early | Mutant::Settable => Broken::Early,
            Mutant::Eternal => Broken::Late,
        }
    }

    fn spoil(self, stopped: &mut [Stopped]) {
        for stopped in stopped {
            match self {
                Mutant::Unlocked | Mutant::Settable => {}
                Mutant::Early => stopped.lease_us = stopped.lease_us.saturating_sub(100_000),
                Mutant::Eternal => stopped.took_us += 1_000_000,
            }
        }
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random choices come from.
    pub seed: u64,
    /// Rounds.
    pub rounds: u64,
    /// How the run is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a slow takeover is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 30, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Rounds of each kind.
    pub stopped: u64,
    /// As `stopped`.
    pub long: u64,
    /// As `stopped`.
    pub delayed: u64,
    /// Times that a clock was set.
    pub jumps: u64,
    /// Times that a process had the lock.
    pub sections: usize,
    /// From the stop of a holder to the takeover, in microseconds: the longest.
    pub takeover_max_us: u64,
    /// From the last write of a stopped holder to the takeover, in microseconds: the shortest.
    pub lease_min_us: u64,
    /// The latest time in the store, in days from now: how far the clocks really jumped.
    pub latest_days: i64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// Runs all three kinds under fake clocks, with children of `program`, which calls [`crate::hands::child::live`].
///
/// # Errors
/// [`NOT_INSTALLED`], [`NOT_REACHED`], and what else kept the test from being carried out.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let library = fake::library().ok_or(NOT_INSTALLED)?;
    let (start, folder) = (clock::now(), tempfile::tempdir()?);
    let clocks = [("clock-0", "-3600"), ("clock-1", "+1y")]
        .map(|(name, offset)| Fake::new(folder.path().join(name), offset));
    let clocks = clocks.into_iter().collect::<Result<Vec<_>>>()?;
    let all = settings.mutant == Some(Mutant::Settable);
    let environments =
        clocks.iter().map(|fake| fake.environment(&library, all)).collect::<Result<Vec<_>>>()?;
    let mut run = Run::start(program, &folder.path().join("clock.db"), settings, clocks, &environments)?;
    run.check_reached()?;
    let kinds: &[Kind] = match settings.mutant {
        // With two holders at once nobody takes over from anybody.
        Some(Mutant::Unlocked) => &[Kind::Delayed],
        _ => &[Kind::Stopped, Kind::Long, Kind::Delayed],
    };
    for (_, kind) in (0..settings.rounds).zip(kinds.iter().cycle()) {
        if !run.hands.violations.is_empty() {
            break;
        }
        run.round(*kind)?;
    }
    let mut report = run.judge()?;
    if report.violations.is_empty() && report.latest_days < 300 {
        return Err(NOT_REACHED.into());
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Runs the delayed requests alone, under true clocks.
///
/// # Errors
/// What kept the test from being carried out.
pub fn run_delayed(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, folder) = (clock::now(), tempfile::tempdir()?);
    let environments = [Vec::new(), Vec::new()];
    let file = folder.path().join("delayed.db");
    let mut run = Run::start(program, &file, settings, Vec::new(), &environments)?;
    for _ in 0..settings.rounds {
        run.round(Kind::Delayed)?;
    }
    let mut report = run.judge()?;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Stopped,
    Long,
    Delayed,
}

/// The run. Between two rounds `holder` holds the lock, and the other does nothing.
struct Run<'a> {
    settings: &'a Settings,
    hands: Hands,
    turn: Turn,
    clocks: Vec<Fake>,
    random: Random,
    holder: usize,
    stopped: Vec<Stopped>,
    report: Report,
}

impl<'a> Run<'a> {
    fn start(
        program: &Path,
        file: &Path,
        settings: &'a Settings,
        clocks: Vec<Fake>,
        environments: &[Vec<(String, String)>],
    ) -> Result<Run<'a>> {
        let mut random = Random::new(settings.seed);
        let unlocked = settings.mutant == Some(Mutant::Unlocked);
        let fault = if unlocked { Fault::Unlocked } else { Fault::None };
        let mut hands = Hands::start(program, file, &mut random, fault, environments)?;
        let turn = Turn::of(file)?;
        hands.tell(0, &format!("take {TTL_MS}"))?;
        hands.expect_took(0)?;
        let report = Report::default();
        Ok(Run { settings, hands, turn, clocks, random, holder: 0, stopped: Vec::new(), report })
    }

    /// Both children must have joined at the time of their own clocks, and a clock that is set must be seen, or nothing
    /// is proved. How late it was is looked at in the end.
    fn check_reached(&mut self) -> Result<()> {
        let now = clock::wall_ms()?;
        for (who, off_ms) in [(0, -3_600_000), (1, 365 * 86_400_000)] {
            self.hands.tell(who, "wall")?;
            let said = self.hands.expect(who, "time", |said| matches!(said, Said::Wall(_)))?;
            match said {
                Said::Wall(wall) if (wall - now - off_ms).abs() < 600_000 => {}
                _ => return Err(NOT_REACHED.into()),
            }
        }
        if let Some(first) = self.clocks.first() {
            first.jump("+1y")?;
        }
        self.write_as_holder(0)
    }

    /// The holder writes, which must not be refused: it lives.
    fn write_as_holder(&mut self, holder: usize) -> Result<()> {
        self.hands.tell(holder, "write 1")?;
        let written = |said: &Said| matches!(said, Said::Wrote(..) | Said::Fenced(..));
        if let fenced @ Said::Fenced(..) = self.hands.expect(holder, "write", written)? {
            self.hands.violations.push((Broken::Early, format!("a living holder lost the lock: {fenced:?}")));
        }
        Ok(())
    }

    fn round(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Stopped => self.stopped(),
            Kind::Long => self.long(),
            Kind::Delayed => self.delayed(),
        }
    }

    fn stopped(&mut self) -> Result<()> {
        let (holder, other) = (self.holder, 1 - self.holder);
        self.report.jumps += jump(&self.clocks, &mut self.random)?;
        let mut jumps = self.random.clone();
        let clocks = &self.clocks;
        let meanwhile = || jump(clocks, &mut jumps).map(|_| ());
        let stopped = stop(&mut self.hands, &self.turn, holder, other, &mut self.random, meanwhile)?;
        self.report.jumps += clocks.len() as u64;
        self.stopped.push(stopped);
        self.holder = other;
        self.report.stopped += 1;
        Ok(())
    }

    fn long(&mut self) -> Result<()> {
        let (holder, other) = (self.holder, 1 - self.holder);
        self.ask(other)?;
        for _ in 0..4 {
            self.report.jumps += jump(&self.clocks, &mut self.random)?;
            self.hands.listen(Duration::from_millis(TTL_MS / 2))?;
        }
        self.write_as_holder(holder)?;
        self.hands.tell(holder, "leave")?;
        let left = self.hands.expect(holder, "leaving", |said| matches!(said, Said::Left(..)))?;
        if let Said::Left(_, _, false) = left {
            self.hands.violations.push((Broken::Early, format!("a living holder lost the lock: {left:?}")));
        }
        self.hands.expect_took(other)?;
        self.holder = other;
        self.report.long += 1;
        Ok(())
    }

    fn delayed(&mut self) -> Result<()> {
        let (late, other) = (self.holder, 1 - self.holder);
        self.leave(late)?;
        self.turn.take()?;
        self.ask(late)?;
        // Time enough to come as far as it can.
        self.hands.listen(Duration::from_millis(5 + self.random.below(10)))?;
        self.hands.crew.stop(late)?;
        self.turn.leave()?;
        self.report.jumps += jump(&self.clocks, &mut self.random)?;
        self.ask(other)?;
        self.hands.expect_took(other)?;
        self.hands.listen(Duration::from_millis(self.random.below(TTL_MS * 2)))?;
        self.hands.crew.go_on(late)?;
        self.report.jumps += jump(&self.clocks, &mut self.random)?;
        // Room for the mistake: what it says now is compared with when the other leaves.
        self.hands.listen(Duration::from_millis(30 + self.random.below(30)))?;
        self.leave(other)?;
        self.hands.expect_took(late)?;
        self.report.delayed += 1;
        Ok(())
    }

    fn ask(&mut self, who: usize) -> Result<()> {
        self.hands.tell(who, &format!("take {TTL_MS}"))?;
        self.hands.expect(who, "request", |said| matches!(said, Said::Asking(_))).map(|_| ())
    }

    fn leave(&mut self, who: usize) -> Result<()> {
        self.hands.tell(who, "leave")?;
        self.hands.expect(who, "leaving", |said| matches!(said, Said::Left(..))).map(|_| ())
    }

    fn judge(mut self) -> Result<Report> {
        self.leave(self.holder)?;
        let Run { settings, mut stopped, mut report, hands, .. } = self;
        if let Some(mutant) = settings.mutant {
            mutant.spoil(&mut stopped);
        }
        report.sections = hands.sections.len();
        report.violations = hands.violations.into();
        report.violations.extend(sections::overlaps(&hands.sections));
        if settings.timed || settings.mutant.is_some() {
            stopped.iter().for_each(|stopped| check_time(stopped, &mut report.violations));
        }
        let outside = || stopped.iter().filter(|stopped| !stopped.inside);
        report.takeover_max_us = outside().map(|stopped| stopped.took_us).max().unwrap_or(0);
        report.lease_min_us = stopped.iter().map(|stopped| stopped.lease_us).min().unwrap_or(0);
        drop(hands.crew);
        report.latest_days = latest_days(&hands.file)?;
        Ok(report)
    }
}

/// Sets every clock anew; how many there are.
fn jump(clocks: &[Fake], random: &mut Random) -> Result<u64> {
    for fake in clocks {
        let offset = OFFSETS.get(random.below(OFFSETS.len() as u64) as usize).unwrap_or(&"+0");
        fake.jump(offset)?;
    }
    Ok(clocks.len() as u64)
}

/// How many days from now the latest event was recorded: that time never goes back, so it shows the largest jump.
fn latest_days(file: &Path) -> Result<i64> {
    let store = Store::open(file)?;
    let last = store.events().read_stream(STREAM).last().transpose()?;
    store.close()?;
    let now = clock::wall_ms()?;
    Ok(last.map_or(0, |event| (event.recorded_at_ms() - now) / 86_400_000))
}

/// [`PATIENCE`] is longer than any lease here: what does not come within it does not come.
const _: () = assert!(PATIENCE.as_millis() > 10 * TTL_MS as u128);

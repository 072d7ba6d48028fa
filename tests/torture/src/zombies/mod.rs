//! A holder is stopped past its time to live, another takes over, the stopped one goes on: nothing of its may land.
//!
//! Promises: L1, L2, L3, L4. Two processes take turns: one holds the lock and writes under it until it is stopped at a
//! random moment, the other waits. What landed is judged by the stream itself: tokens never go back in it.
//!
//! A process that is stopped in the middle of a commit has the writers' turn, and nobody can write before it goes on
//! (G8). Such a round is counted as `inside`, and the takeover is measured from the moment when it went on.

use std::path::Path;
use std::time::Duration;

use millpond::blocking::Store;

use serde::Serialize;

use crate::hands::child::{Fault, STREAM};
use crate::hands::{Hands, Said};
use crate::random::Random;
use crate::report::Violations;
use crate::sections::{self, Broken, Violation};
use crate::sidecar::Turn;
use crate::{Result, clock};

/// The time to live of the leases.
pub const TTL_MS: u64 = 200;

/// After the time to live the next in line has the lock within this time (L4).
pub const GRACE_US: u64 = 200_000;

/// A lease may end this much before its time, for clocks that are read in whole milliseconds (G12).
pub const EARLY_US: u64 = 50_000;

/// A way to spoil the run or its evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Writes do not carry the token.
    Unguarded,
    /// A write of an earlier holder stands behind one of a later holder.
    Swapped,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 2] = [Mutant::Unguarded, Mutant::Swapped];

    /// What must be complained of.
    #[must_use]
    pub fn breaks(self) -> Broken {
        Broken::Landed
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random moments come from.
    pub seed: u64,
    /// Holders to be stopped.
    pub rounds: u64,
    /// How the run is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a slow takeover is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 50, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Holders stopped.
    pub rounds: u64,
    /// Of them, in the middle of a commit.
    pub inside: u64,
    /// Locks that were taken from a stopped holder.
    pub takeovers: u64,
    /// Writes that landed in the name of the current holder, and those that were refused.
    pub landed: u64,
    /// As `landed`.
    pub refused: u64,
    /// Writes that landed under an old token.
    pub stale_landed: usize,
    /// From the stop to the takeover, in microseconds: the middle, the longest.
    pub takeover_p50_us: u64,
    /// As `takeover_p50_us`.
    pub takeover_max_us: u64,
    /// From the moment when one stopped inside went on to the takeover, in microseconds: the longest.
    pub after_inside_max_us: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// Runs it with children of `program`, which calls [`crate::hands::child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, folder) = (clock::now(), tempfile::tempdir()?);
    let file = folder.path().join("zombies.db");
    let mut random = Random::new(settings.seed);
    let fault = match settings.mutant {
        Some(Mutant::Unguarded) => Fault::Unguarded,
        _ => Fault::None,
    };
    let mut hands = Hands::start(program, &file, &mut random, fault, &[Vec::new(), Vec::new()])?;
    let turn = Turn::of(&file)?;
    let mut report = Report::default();
    let mut measured = Vec::new();
    hands.tell(0, &format!("take {TTL_MS}"))?;
    hands.expect_took(0)?;
    for (holder, other) in (0..settings.rounds).map(|round| if round % 2 == 0 { (0, 1) } else { (1, 0) }) {
        let stopped = stop(&mut hands, &turn, holder, other, &mut random, || Ok(()))?;
        report.rounds += 1;
        report.takeovers += 1;
        if stopped.inside {
            report.inside += 1;
            report.after_inside_max_us = report.after_inside_max_us.max(stopped.took_us);
        } else {
            measured.push(stopped.took_us);
        }
        if settings.timed {
            check_time(&stopped, &mut hands.violations);
        }
        if hands.violations.iter().any(|(broken, _)| *broken == Broken::Failed) {
            break;
        }
    }
    (report.landed, report.refused) = hands.writes;
    report.violations = std::mem::take(&mut hands.violations).into();
    report.violations.extend(sections::overlaps(&hands.sections));
    report.violations.extend(sections::order(&hands.sections));
    drop(hands);
    measured.sort_unstable();
    (report.takeover_p50_us, report.takeover_max_us) =
        (measured.get(measured.len() / 2).copied().unwrap_or(0), measured.last().copied().unwrap_or(0));
    let landed = landed(&file, settings.mutant)?;
    report.stale_landed = landed.len();
    report.violations.extend(landed);
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// What became of a holder that was stopped.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// Whether it was stopped in the middle of a commit.
    pub inside: bool,
    /// From the stop, or from the going on of one stopped inside, to the takeover.
    pub took_us: u64,
    /// From the beginning of the last write that was acknowledged before the stop to the takeover.
    pub lease_us: u64,
}

/// The lease lasts its time to live, and not much longer.
pub fn check_time(stopped: &Stopped, violations: &mut Vec<Violation>) {
    let limit = if stopped.inside { GRACE_US } else { TTL_MS * 1_000 + GRACE_US };
    if stopped.took_us > limit {
        violations.push((Broken::Late, format!("{stopped:?}")));
    }
    if stopped.lease_us + EARLY_US < TTL_MS * 1_000 {
        violations.push((Broken::Early, format!("{stopped:?}")));
    }
}

/// `holder` holds the lock and writes, `other` asks for it; `holder` is stopped, `other` takes over and writes,
/// `holder` goes on and finds out. `meanwhile` is done while it stands still.
///
/// # Errors
/// What kept the round from being carried out.
pub fn stop(
    hands: &mut Hands,
    turn: &Turn,
    holder: usize,
    other: usize,
    random: &mut Random,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Stopped> {
    hands.tell(holder, "write 1000000")?;
    hands.tell(other, &format!("take {TTL_MS}"))?;
    hands.expect(other, "request", |said| matches!(said, Said::Asking(_)))?;
    hands.listen(Duration::from_micros(10_000 + random.below(40_000)))?;
    let mut since = clock::stamp()?;
    hands.crew.stop(holder)?;
    let inside = has_turn(turn)?;
    meanwhile()?;
    if inside {
        // Nobody can write, so nobody can take over.
        let took = |said: &Said| matches!(said, Said::Took(..));
        if hands.wait_for(other, Duration::from_millis(TTL_MS + 50), took)?.is_some() {
            hands.violations.push((Broken::Failed, "taken while the holder had the turn".into()));
        }
        since = clock::stamp()?;
        hands.crew.go_on(holder)?;
    }
    let took = hands.expect_took(other)?;
    let lease_us = took.saturating_sub(hands.last_wrote.get(holder).copied().unwrap_or(0));
    hands.tell(other, "write 1")?;
    hands.expect(other, "write", |said| *said == Said::Done)?;
    if !inside {
        hands.crew.go_on(holder)?;
    }
    hands.expect(holder, "end of writing", |said| *said == Said::Done)?;
    hands.tell(holder, "leave")?;
    hands.expect(holder, "leaving", |said| matches!(said, Said::Left(..)))?;
    Ok(Stopped { inside, took_us: took.saturating_sub(since), lease_us })
}

/// Whether whoever was just stopped has the turn: others pass it on, however long the disk takes for a commit.
///
/// # Errors
/// What the system said.
pub fn has_turn(turn: &Turn) -> Result<bool> {
    let first = turn.taken()?;
    for _ in 0..150 {
        if first.is_none() || turn.taken()? != first {
            return Ok(false);
        }
        clock::pause(1_000);
    }
    Ok(true)
}

/// Writes that landed behind one with a larger token.
///
/// # Errors
/// If the stream cannot be read.
pub fn landed(file: &Path, mutant: Option<Mutant>) -> Result<Vec<Violation>> {
    let store = Store::open(file)?;
    let mut tokens = Vec::new();
    for event in store.events().read_stream(STREAM) {
        tokens.push(event?.json().unwrap_or_default().parse::<u64>()?);
    }
    store.close()?;
    if mutant == Some(Mutant::Swapped) {
        let change = tokens.windows(2).position(|pair| matches!(pair, [one, two] if one < two));
        tokens.swap(change.ok_or("there is nothing to be spoilt")?, change.unwrap_or_default() + 1);
    }
    let mut newest = 0;
    let mut violations = Vec::new();
    for (version, token) in (1..).zip(tokens) {
        if token < newest {
            violations.push((Broken::Landed, format!("version {version}: token {token} after {newest}")));
        }
        newest = newest.max(token);
    }
    Ok(violations)
}

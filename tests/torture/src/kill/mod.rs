//! Four processes on one file, killed at random moments: is everything acknowledged there, once, whole, in order?
//!
//! Promises: G1, G2, G4, G7, A1, L1, L2, L3. Two children append and import events with ids of their own, two take
//! turns under one lock and write a ledger under its guard. The parent kills one, or all at once, with SIGKILL, also
//! while they open the store, hears what they had acknowledged, and starts them again where they were.

pub mod child;
mod children;
mod mutant;
pub(crate) mod oracle;

use std::path::Path;

use millpond::blocking::Store;

use self::children::Children;
pub use self::mutant::Mutant;
pub use self::oracle::{Acked, Broken, Found, Violation};
use crate::random::Random;
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "kill-child";

/// A start that takes longer than this is a violation of the soak.
pub const OPEN_LIMIT_MS: u64 = 1_000;

/// Every role.
const ALL: [usize; child::ROLES as usize] = [0, 1, 2, 3];

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// SIGKILLs.
    pub kills: u64,
    /// Where the random moments come from.
    pub seed: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// How the evidence is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a slow open is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { kills: 200, seed: 1, seconds: None, mutant: None, timed: true }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// SIGKILLs.
    pub kills: u64,
    /// Of them, while the child was opening the store.
    pub opening: u64,
    /// Times that all were killed at once.
    pub all_at_once: u64,
    /// Acknowledged events.
    pub acked: u64,
    /// Events in the store at the end.
    pub events: u64,
    /// Starts of children that opened the store.
    pub opens: u64,
    /// The longest of them.
    pub max_open_ms: u64,
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// One line of figures.
    #[must_use]
    pub fn json(&self, settings: &Settings) -> serde_json::Value {
        let count = |broken: Broken| self.violations.iter().filter(|(what, _)| *what == broken).count();
        let words: Vec<&str> = self.violations.iter().take(10).map(|(_, words)| words.as_str()).collect();
        serde_json::json!({
            "name": "kill", "seed": settings.seed, "kills": self.kills, "opening": self.opening,
            "all_at_once": self.all_at_once, "acked": self.acked, "events": self.events,
            "lost": count(Broken::Lost), "holes": count(Broken::Hole), "twice": count(Broken::Twice),
            "overlaps": count(Broken::Overlap), "torn": count(Broken::Torn), "failed": count(Broken::Failed),
            "opens": self.opens, "max_open_ms": self.max_open_ms, "seconds": self.seconds, "violations": words,
        })
    }
}

/// Runs it with children of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, folder) = (clock::now(), tempfile::tempdir()?);
    let file = folder.path().join("kill.db");
    let mut random = Random::new(settings.seed);
    let mut children = Children::new(program, &file);
    let mut report = Report::default();
    let in_time = |seconds: Option<u64>| seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    while report.kills < settings.kills && in_time(settings.seconds) && children.violations.is_empty() {
        children.start_all()?;
        // Every third kill comes while the child opens the store, or soon after; the others while it works.
        let micros = if random.below(3) == 0 { random.below(30_000) } else { random.below(200_000) };
        children.listen(micros)?;
        if random.below(10) == 0 {
            report.all_at_once += 1;
            report.kills += child::ROLES;
            report.opening += children.kill(&ALL)?;
            look(&file, &mut children, None)?;
        } else {
            report.kills += 1;
            report.opening += children.kill(&[random.below(child::ROLES) as usize])?;
        }
    }
    // What was started last may be at work: some time for it, then the end.
    children.start_all()?;
    children.listen(300_000)?;
    children.kill(&ALL)?;
    report.events = look(&file, &mut children, settings.mutant)?;
    check_file(&file, &mut children.violations)?;
    report.acked = children.acked.len() as u64;
    (report.opens, report.max_open_ms) = (children.opens.0, children.opens.1.div_ceil(1_000));
    if settings.timed && report.max_open_ms > OPEN_LIMIT_MS {
        children.violations.push((Broken::Failed, format!("an open took {} ms", report.max_open_ms)));
    }
    report.seconds = start.elapsed().as_secs();
    report.violations = std::mem::take(&mut children.violations);
    Ok(report)
}

/// Opens the store, reads everything and judges it; how many events there are.
fn look(file: &Path, children: &mut Children<'_>, mutant: Option<Mutant>) -> Result<u64> {
    let store = Store::open(file)?;
    let (mut found, violations) = oracle::collect(&store)?;
    let head = store.events().head()?;
    store.close()?;
    children.violations.extend(violations);
    if head != found.len() as u64 {
        children.violations.push((Broken::Hole, format!("the head is {head} of {} events", found.len())));
    }
    if let Some(mutant) = mutant {
        let mut acked = children.acked.clone();
        if !mutant.spoil(&mut acked, &mut found) {
            return Err(format!("there is nothing to be spoilt by {mutant:?}").into());
        }
        children.violations.extend(oracle::judge(&acked, &found));
    } else {
        children.violations.extend(oracle::judge(&children.acked, &found));
    }
    Ok(head)
}

/// SQLite's own opinion of the file.
fn check_file(file: &Path, violations: &mut Vec<Violation>) -> Result<()> {
    let connection = rusqlite::Connection::open(file)?;
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if said != "ok" {
        violations.push((Broken::Failed, format!("integrity_check: {said}")));
    }
    Ok(())
}

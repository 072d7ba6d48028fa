//! Foreign hands touch the files of a store that is in use: it refuses to go on, or it survives, and says so.
//!
//! Promise: G14. Nothing that was acknowledged is lost silently: what is acknowledged after the touch is there when the
//! store is opened again, and so is what was acknowledged before, unless the hand itself has destroyed it; then whoever
//! reads or opens it hears of it.

mod cases;
pub mod child;
mod stage;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use millpond::Error;

use serde::Serialize;

use self::cases::{Case, End, Expect, Home};
use self::stage::{Found, Stage};
use crate::random::Random;
use crate::report::{Violations, kinds};
use crate::{Result, clock, panicked};

/// The first argument of a child.
pub const CHILD: &str = "touch-child";

/// How.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the numbers of events come from.
    pub seed: u64,
    /// How often each hand is tried.
    pub rounds: u64,
    /// Only cases with this in their names.
    pub only: String,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 1, only: String::new(), mutant: None }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Who was refused is told that all is well.
    Deaf,
    /// An acknowledged event is not found afterwards.
    Forgetful,
    /// A reader is not told what is missing.
    Silent,
    /// The store does not survive what it should.
    Timid,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 4] = [Mutant::Deaf, Mutant::Forgetful, Mutant::Silent, Mutant::Timid];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Deaf | Mutant::Forgetful => Broken::Lost,
            Mutant::Silent => Broken::Silent,
            Mutant::Timid => Broken::Unexpected,
        }
    }
}

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// What was acknowledged is not there, or is elsewhere, and no hand has destroyed it.
        Lost,
        /// A hand has destroyed something, and nobody was told.
        Silent,
        /// Something else was said than should be.
        Unexpected,
        /// Something panicked.
        Panicked,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Hands.
    pub cases: u64,
    /// Of them, those after which the store refused to go on.
    pub refused: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Events that a hand destroyed, of which it was told.
    pub destroyed: u64,
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
    let mut report = Report::default();
    let mut random = Random::new(settings.seed);
    let cases = cases::all();
    let chosen = cases.iter().filter(|case| case.name.contains(&settings.only));
    for case in (0..settings.rounds).flat_map(|_| chosen.clone()) {
        let before = panicked::so_far();
        let mut touched = Stage::new(program, &mut random)
            .and_then(|stage| touch(case, stage, settings.mutant))
            .map_err(|error| format!("{}: {error}", case.name))?;
        if panicked::so_far() > before {
            touched.violations.push((Broken::Panicked, "something panicked".into()));
        }
        report.cases += 1;
        report.refused += u64::from(touched.refused);
        report.acked += touched.acked;
        report.destroyed += touched.destroyed;
        let named = |(broken, words)| (broken, format!("{}: {words}", case.name));
        report.violations.extend(touched.violations.into_iter().map(named));
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// What came of one hand.
#[derive(Debug, Default)]
struct Touched {
    refused: bool,
    acked: u64,
    destroyed: u64,
    violations: Vec<Violation>,
}

impl Touched {
    fn expect(&mut self, what: &str, expected: Expect, errors: &[Error], asked: usize) {
        let named =
            |error: &Error| format!("{error:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
        let is_so = match expected {
            Expect::Either => true,
            Expect::Well => errors.is_empty(),
            Expect::Error(name) => errors.len() == asked && errors.iter().all(|error| named(error) == name),
        };
        if !is_so {
            let words = format!("{what}: {expected:?} was expected, {errors:?} came");
            self.violations.push((Broken::Unexpected, words));
        }
    }
}

/// Events that are appended at a time.
const SOME: u64 = 6;

fn touch(case: &Case, mut stage: Stage, mutant: Option<Mutant>) -> Result<Touched> {
    let mut touched = Touched::default();
    (case.act)(&mut stage)?;
    let before = stage.acked.len();
    let mut meanwhile = stage.append(SOME)?;
    let mut read = stage.read()?;
    let known = stage.acked.clone();
    stage.let_go()?;
    let later = stage.append(SOME)?;
    match mutant {
        Some(Mutant::Deaf) => {
            let told =
                (1_000..).zip(&meanwhile).map(|(number, _)| stage::Acked { number, place: (number, number) });
            stage.acked.extend(told);
        }
        Some(Mutant::Timid) => meanwhile.push(Error::Closed),
        Some(Mutant::Silent) => read.error = None,
        Some(Mutant::Forgetful) | None => {}
    }
    match case.end {
        End::Closed => stage.close()?,
        End::Killed => stage.kill()?,
    }
    touched.expect("appends", case.appends[0], &meanwhile, SOME as usize);
    touched.expect("later appends", case.appends[1], &later, SOME as usize);
    touched.expect("reads", case.reads, read.error.as_slice(), 1);
    touched.refused = !later.is_empty();
    touched.acked = stage.acked.len() as u64;
    // Under two names it is refused.
    fs::remove_file(stage.at("second.db")).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let home = match case.home {
        Home::There | Home::Gone | Home::Spoilt => stage.file.clone(),
        Home::Moved(name) => stage.at(name),
    };
    let mut found = Stage::look(&home)?;
    if mutant == Some(Mutant::Forgetful) {
        found.events.clear();
    }
    if mutant == Some(Mutant::Silent) {
        found.error = None;
    }
    let told = !meanwhile.is_empty() || !later.is_empty() || read.error.is_some() || found.error.is_some();
    // Whoever is told of nothing has read everything.
    if read.error.is_none() && known.iter().any(|acked| read.events.get(&acked.number) != Some(&acked.place))
    {
        let words = format!("{} of {} were read", read.events.len(), known.len());
        touched.violations.push((Broken::Silent, words));
    }
    judge(case, &stage, before, &found, told, &mut touched);
    Ok(touched)
}

/// What was acknowledged and is not there.
fn judge(case: &Case, stage: &Stage, before: usize, found: &Found, told: bool, touched: &mut Touched) {
    for (at, acked) in stage.acked.iter().enumerate() {
        if found.events.get(&acked.number) == Some(&acked.place) {
            continue;
        }
        let by_hand = case.home == Home::Spoilt || (case.home == Home::Gone && at < before);
        if by_hand && told {
            touched.destroyed += 1;
        } else if by_hand {
            touched.violations.push((Broken::Silent, format!("{acked:?} was destroyed")));
        } else {
            touched
                .violations
                .push((Broken::Lost, format!("{acked:?} of {} is not there", stage.acked.len())));
        }
    }
}

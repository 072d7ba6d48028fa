//! At every named point of a store's life the process ends, the thread panics or the step fails: is every promise kept?
//!
//! Promises: G1 to G7, G10. For each of [`millpond::failpoint::Point::ALL`] and each [`How`] a child makes a store and
//! uses it, and what it had said until its end is held against what is there. A point that is never reached is a
//! violation, and so is a child that cannot go on after a panic or an error.

pub mod child;

use std::path::Path;
use std::time::Duration;

use millpond::failpoint::Point;

use serde::Serialize;

use crate::crew::Crew;
use crate::look::look;
use crate::random::Random;
use crate::recording::folder;
use crate::report::{Broken, Violation, Violations};
use crate::workload::Line;
use crate::workload::told::{Counts, deny, forget};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "failpoints-child";

/// No child takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The process ends.
    Abort,
    /// The thread panics.
    Panic,
    /// The step fails.
    Error,
    /// The thread waits for a moment.
    Delay,
}

impl How {
    /// All of them.
    pub const ALL: [How; 4] = [How::Abort, How::Panic, How::Error, How::Delay];

    /// By its name.
    #[must_use]
    pub fn named(name: &str) -> Option<How> {
        How::ALL.into_iter().find(|how| how.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            How::Abort => "abort",
            How::Panic => "panic",
            How::Error => "error",
            How::Delay => "delay",
        }
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything comes from.
    pub seed: u64,
    /// Times that all points are gone through, each with another seed.
    pub rounds: u64,
    /// What is done wrong on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 5, mutant: None }
    }
}

/// What is done wrong on purpose, and must be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An acknowledged event is gone.
    Forgetful,
    /// Who was told that all is well is told that nothing was applied.
    Sure,
    /// The points are passed so often first that none of them is reached.
    Unreached,
    /// A step that fails at a point fails again and again.
    Lasting,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 4] = [Mutant::Forgetful, Mutant::Sure, Mutant::Unreached, Mutant::Lasting];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Forgetful => Broken::Lost,
            Mutant::Sure => Broken::Lie,
            Mutant::Unreached => Broken::Hidden,
            Mutant::Lasting => Broken::Wedged,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Points.
    pub points: usize,
    /// Children.
    pub runs: u64,
    /// Of them, those that ended at their point.
    pub aborted: u64,
    /// What callers heard.
    #[serde(flatten)]
    pub words: Counts,
    /// Stores that could not be opened at the first time.
    pub unopened: u64,
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
    let start = clock::now();
    let mut report = Report { points: Point::ALL.len(), ..Report::default() };
    let mut random = Random::new(settings.seed);
    let caught =
        |report: &Report| settings.mutant.is_some_and(|it| report.violations.count(&[it.breaks()]) > 0);
    for round in 0..settings.rounds {
        for point in Point::ALL {
            for how in How::ALL {
                // A thread that panics again and again, and is started anew, never comes to its end, nor one that waits.
                let endless = settings.mutant == Some(Mutant::Lasting) && how != How::Error;
                if caught(&report) || endless {
                    continue;
                }
                let passed = if is_reached_often(*point) { random.below(3) } else { 0 };
                let named = |(broken, words)| (broken, format!("{point:?}, {how:?}: {words}"));
                let violations = one(program, settings, round, *point, how, passed, &mut report)?;
                report.violations.extend(violations.into_iter().map(named));
            }
        }
    }
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// Whether it may be passed a few times before it is struck.
fn is_reached_often(point: Point) -> bool {
    use Point::{
        AfterApply, AfterBegin, AfterCheckpoint, AfterCommit, AfterRead, AfterReply, AfterTurn, BeforeApply,
        BeforeBegin, BeforeCheckpoint, BeforeCommit, BeforeRead, BeforeReply, BeforeRing, Supervisor,
        ThreadAwake, WithinCommit,
    };
    matches!(
        point,
        AfterApply
            | AfterBegin
            | AfterCheckpoint
            | AfterCommit
            | AfterRead
            | AfterReply
            | AfterTurn
            | BeforeApply
            | BeforeBegin
            | BeforeCheckpoint
            | BeforeCommit
            | BeforeRead
            | BeforeReply
            | BeforeRing
            | Supervisor
            | ThreadAwake
            | WithinCommit
    )
}

/// A child, and what is there after its end.
fn one(
    program: &Path,
    settings: &Settings,
    round: u64,
    point: Point,
    how: How,
    passed: u64,
    report: &mut Report,
) -> Result<Vec<Violation>> {
    let folder = folder()?;
    let file = folder.path().join("failpoints.db");
    let passed = if settings.mutant == Some(Mutant::Unreached) { 1_000_000 } else { passed };
    let times = if settings.mutant == Some(Mutant::Lasting) { 1_000_000 } else { 1 };
    let mut crew = Crew::new(program, 1);
    let arguments = [
        CHILD.to_owned(),
        file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
        (settings.seed + round).to_string(),
        point.name().to_owned(),
        how.name().to_owned(),
        passed.to_string(),
        times.to_string(),
    ];
    crew.start(0, &arguments, &[])?;
    let (mut words, mut violations, mut fired) = (Vec::new(), Vec::new(), None);
    loop {
        let Some((_, line)) = crew.hear(PATIENCE) else {
            violations.push((Broken::Unanswered, "it does not end".to_owned()));
            break;
        };
        let Some(line) = line else { break };
        if let Some(count) = line.strip_prefix("fired ") {
            fired = count.parse::<u64>().ok();
        } else if line.starts_with("wedged ") {
            violations.push((Broken::Wedged, line));
        } else if line.starts_with("unopened ") {
            report.unopened += 1;
        } else {
            words.extend(serde_json::from_str::<Line>(&line).ok().and_then(Line::word));
        }
    }
    drop(crew);
    report.runs += 1;
    report.aborted += u64::from(fired.is_none());
    match (how, fired) {
        (How::Abort, None) | (How::Panic | How::Error | How::Delay, Some(1..)) => {}
        (_, Some(_)) => violations.push((Broken::Hidden, "it is never reached".into())),
        (_, None) => violations.push((Broken::Wedged, "the process did not get to its end".into())),
    }
    match settings.mutant {
        Some(Mutant::Sure) => deny(&mut words, &millpond::Error::Closed),
        Some(Mutant::Forgetful) => forget(&mut words, 1),
        Some(Mutant::Unreached | Mutant::Lasting) | None => {}
    }
    report.words.add(&words);
    let mut seen = look(&file, true);
    violations.append(&mut seen.violations);
    violations.extend(seen.accuse(&words));
    Ok(violations)
}

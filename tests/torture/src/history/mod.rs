//! Two processes with several threads use a few names at random: is there one order of what they did that explains
//! every answer, and agrees with the clock?
//!
//! Promises: G5, A1, A2, L1, L2. A round has names of its own: streams, locks and aggregates. Now and then one of the
//! processes stands still for a moment, or is killed in the middle of it. Every name's operations are then judged by
//! `checker`, against the `model` of what one name does; tokens, positions and versions of all rounds by `real_time`.

mod checker;
pub mod child;
mod deed;
mod model;
mod mutant;
mod till;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use self::checker::{Verdict, check};
use self::deed::Said;
pub use self::deed::{Answer, Call, Want};
pub use self::model::State;
pub use self::mutant::Mutant;
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::random::Random;
use crate::real_time::{Span, late};
use crate::recording::folder;
use crate::report::{Violations, kinds};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "history-child";

/// Processes.
const PROCESSES: usize = 2;

/// Something that was asked of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked: a process, and not the one that took its place when it was killed.
    pub process: u64,
    /// What was asked.
    pub call: Call,
    /// When.
    pub called: u64,
    /// What was answered, and when; nothing if the process was killed before.
    pub answer: Option<(Answer, u64)>,
}

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// No order of the operations on one name explains the answers (G5, A2, L1).
        Order,
        /// A token was not larger than one of an earlier grant (L2).
        Token,
        /// A position was not larger than one of an earlier append (G5).
        Position,
        /// A child got an error, or did not come to an end.
        Failed,
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random choices come from.
    pub seed: u64,
    /// Rounds, each on names of its own.
    pub rounds: u64,
    /// An end in time as well, whichever comes first.
    pub seconds: Option<u64>,
    /// Threads of a process.
    pub lanes: u64,
    /// Operations of each in a round.
    pub operations: u64,
    /// How the history is spoilt.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, rounds: 500, seconds: None, lanes: 2, operations: 40, mutant: None }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Rounds.
    pub rounds: u64,
    /// Names whose operations were judged.
    pub histories: u64,
    /// Operations on them.
    pub operations: u64,
    /// Of them, those without an answer.
    pub unknown: u64,
    /// Most operations on one name.
    pub longest: usize,
    /// Histories of which the search was given up.
    pub undecided: u64,
    /// Processes that were killed, and that stood still.
    pub kills: u64,
    /// As `kills`.
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
    let (start, folder) = (clock::now(), folder()?);
    let mut game = Game {
        crew: Crew::new(program, PROCESSES),
        file: folder.path().join("history.db"),
        settings,
        random: Random::new(settings.seed),
        processes: [0; PROCESSES],
        started: 0,
        grants: Vec::new(),
        appends: Vec::new(),
        spoilt: false,
        report: Report::default(),
    };
    for who in 0..PROCESSES {
        game.start(who)?;
    }
    let in_time = || settings.seconds.is_none_or(|limit| start.elapsed().as_secs() < limit);
    while game.report.rounds < settings.rounds && in_time() && game.report.violations.is_empty() {
        game.round()?;
    }
    if settings.mutant.is_some() && !game.spoilt {
        return Err("there is nothing to be spoilt".into());
    }
    game.judge_numbers();
    let mut report = game.report;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

/// What happens to a process in a round, after so many lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    None,
    Kill { who: usize, after: u64 },
    Stop { who: usize, after: u64 },
}

struct Game<'a> {
    crew: Crew,
    file: std::path::PathBuf,
    settings: &'a Settings,
    random: Random,
    /// Which process each child is.
    processes: [u64; PROCESSES],
    started: u64,
    /// Tokens and positions in time, of all rounds.
    grants: Vec<Span>,
    appends: Vec<Span>,
    spoilt: bool,
    report: Report,
}

impl Game<'_> {
    fn start(&mut self, who: usize) -> Result<()> {
        self.started += 1;
        if let Some(process) = self.processes.get_mut(who) {
            *process = self.started;
        }
        let arguments = [
            CHILD.to_owned(),
            who.to_string(),
            self.file.to_str().ok_or("the folder's name is not a text")?.to_owned(),
            self.settings.lanes.to_string(),
            self.settings.operations.to_string(),
        ];
        self.crew.start(who, &arguments, &[])?;
        match self.crew.hear(PATIENCE) {
            Some((_, Some(line))) if matches!(serde_json::from_str(&line)?, Said::Open) => Ok(()),
            other => Err(format!("a child does not open the store: {other:?}").into()),
        }
    }

    fn draw_harm(&mut self) -> Harm {
        let lines = 2 * self.settings.lanes * self.settings.operations * PROCESSES as u64;
        let (who, after) = (self.random.below(PROCESSES as u64) as usize, self.random.below(lines));
        match self.random.below(4) {
            0 => Harm::Kill { who, after },
            1 => Harm::Stop { who, after },
            _ => Harm::None,
        }
    }

    fn round(&mut self) -> Result<()> {
        self.report.rounds += 1;
        for who in 0..PROCESSES {
            let seed = self.random.below(1 << 40);
            self.crew.tell(who, &format!("{} {seed}", self.report.rounds))?;
        }
        let (mut harm, mut heard) = (self.draw_harm(), 0);
        let mut round = Round::default();
        let mut playing = [true; PROCESSES];
        let mut killed = None;
        while playing.contains(&true) {
            let Some((speaker, line)) = self.crew.hear(PATIENCE) else {
                self.report.violations.push((Broken::Failed, format!("nothing is said for {PATIENCE:?}")));
                return Ok(());
            };
            heard += 1;
            let (process, is_over) = (self.processes.get(speaker).copied(), playing.get_mut(speaker));
            let (Some(process), Some(is_playing)) = (process, is_over) else { continue };
            match line.map(|line| serde_json::from_str::<Said>(&line)).transpose()? {
                // The end of a killed one is the end of its pipe.
                Some(Said::Done) => *is_playing = killed == Some(speaker),
                Some(Said::Failed(error)) => self.report.violations.push((Broken::Failed, error)),
                Some(said) => round.take_in(process, said),
                None if killed == Some(speaker) => *is_playing = false,
                None => return Err(format!("child {speaker} ended by itself").into()),
            }
            match harm {
                Harm::Kill { who, after } if heard > after => {
                    // Its pipe's end is heard even if it had finished; then it is waited for again.
                    round.die(self.processes.get(who).copied().unwrap_or_default(), clock::stamp()?);
                    self.crew.kill(who)?;
                    self.report.kills += 1;
                    (killed, harm) = (Some(who), Harm::None);
                    if let Some(is_playing) = playing.get_mut(who) {
                        *is_playing = true;
                    }
                }
                Harm::Stop { who, after } if heard > after => {
                    self.crew.stop(who)?;
                    clock::pause(self.random.below(4_000));
                    self.crew.go_on(who)?;
                    self.report.stops += 1;
                    harm = Harm::None;
                }
                _ => {}
            }
        }
        if let Some(who) = killed {
            self.start(who)?;
        }
        self.judge(round.names());
        Ok(())
    }

    fn judge(&mut self, mut names: BTreeMap<u64, Vec<Operation>>) {
        if let Some(mutant) = self.settings.mutant.filter(|_| !self.spoilt) {
            self.spoilt = mutant.spoil(&mut names);
        }
        for (name, operations) in names {
            let Some(state) = operations.iter().find_map(|operation| State::before(&operation.call)) else {
                continue;
            };
            let report = &mut self.report;
            report.histories += 1;
            report.operations += operations.len() as u64;
            report.longest = report.longest.max(operations.len());
            report.unknown += operations.iter().filter(|operation| operation.answer.is_none()).count() as u64;
            match check(&operations, &state) {
                Verdict::Explained => {}
                Verdict::Undecided => report.undecided += 1,
                Verdict::Impossible(state, next) => {
                    let words =
                        format!("round {}, name {name}: after {state:?} none of {next:?}", report.rounds);
                    report.violations.push((Broken::Order, words));
                }
            }
            for operation in &operations {
                match operation.answer {
                    Some((Answer::Granted(token), at)) => {
                        self.grants.push(Span::at(operation.called, Some(at), token));
                    }
                    Some((Answer::Appended(_, position), at)) => {
                        self.appends.push(Span::at(operation.called, Some(at), position));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Tokens and positions are one sequence for all names, in the order of time.
    fn judge_numbers(&mut self) {
        for (spans, broken) in [(&self.grants, Broken::Token), (&self.appends, Broken::Position)] {
            for (at, known) in late(spans, true) {
                let words = format!("{:?} came after {known}", spans.get(at));
                self.report.violations.push((broken, words));
            }
            let mut numbers: Vec<u64> = spans.iter().map(|span| span.least).collect();
            numbers.sort_unstable();
            for pair in numbers.windows(2).filter(|pair| pair.first() == pair.last()) {
                self.report.violations.push((broken, format!("twice: {pair:?}")));
            }
        }
    }
}

/// What was said in a round.
#[derive(Debug, Default)]
struct Round {
    /// By process, lane and number: the name and the operation.
    said: BTreeMap<(u64, u64, u64), (u64, Operation)>,
    died: Vec<Operation>,
}

impl Round {
    fn take_in(&mut self, process: u64, said: Said) {
        match said {
            Said::Calls { lane, number, name, at, call } => {
                let operation = Operation { process, call, called: at, answer: None };
                self.said.insert((process, lane, number), (name, operation));
            }
            Said::Returns { lane, number, at, answer } => {
                if let Some((_, operation)) = self.said.get_mut(&(process, lane, number)) {
                    operation.answer = Some((answer, at));
                }
            }
            Said::Open | Said::Done | Said::Failed(_) => {}
        }
    }

    fn die(&mut self, process: u64, called: u64) {
        self.died.push(Operation { process, call: Call::Die, called, answer: None });
    }

    /// The operations on each name, by the time of their calls. A process dies on every lock.
    fn names(self) -> BTreeMap<u64, Vec<Operation>> {
        let mut names: BTreeMap<u64, Vec<Operation>> = BTreeMap::new();
        for (name, operation) in self.said.into_values() {
            names.entry(name).or_default().push(operation);
        }
        for operations in names.values_mut() {
            let first = operations.first().and_then(|operation| State::before(&operation.call));
            if matches!(first, Some(State::Lock(..))) {
                operations.extend(self.died.iter().cloned());
            }
            operations.sort_by_key(|operation| operation.called);
        }
        names
    }
}

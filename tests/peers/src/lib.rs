//! What the programs of all sides share: what they are asked for, how they measure it, and the line that they answer.
//!
//! A side is a program of its own that runs one workload on a fresh folder and prints one line; [`run`] is its `main`.

pub mod clock;
pub mod measure;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};

pub use clock::Stopwatch;
pub use measure::Measured;

/// What may go wrong is another crate's.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The queue, or kind of job, that all use.
pub const QUEUE: &str = "jobs";

/// The channel that all use.
pub const CHANNEL: &str = "orders";

/// What a job or a message holds: a hundred bytes, as text.
#[must_use]
pub fn payload() -> String {
    "x".repeat(100)
}

/// What one side is asked to do.
#[derive(Clone, Debug, Parser)]
pub struct Asked {
    /// An empty folder for its files.
    #[arg(long)]
    pub folder: PathBuf,
    /// As its maker ships it, though an answer may then be lost when the power fails. Otherwise what it was told is
    /// synced, if the peer can be told so at all.
    #[arg(long)]
    pub relaxed: bool,
    /// What to do.
    #[command(subcommand)]
    pub workload: Workload,
}

/// The workloads.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Workload {
    /// Callers push jobs, one at a time each, and wait for each answer.
    Push { callers: usize, seconds: f64 },
    /// Workers take empty jobs until there are none; each waits until the end of his is written.
    Drain { workers: usize, jobs: u64 },
    /// One claims a job and has it done, while so many others wait.
    Backlog { jobs: u64, rounds: usize },
    /// From a push to the job in the hands of who waits for one.
    PushToPop { rounds: usize },
    /// From a publish to the message in the hands of who listens.
    PublishToReceive { rounds: usize },
}

/// What one side answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Answer {
    /// Crate, its SQLite, journal and `synchronous`, as the running database says.
    pub settings: String,
    /// `None`: it has nothing of the kind.
    pub measured: Option<Measured>,
}

/// One side: a crate used as its documentation says.
pub trait Side {
    /// Opens a store in the folder and asks what it runs with.
    fn settings(&self, asked: &Asked) -> Outcome<String>;

    /// [`Workload::Push`].
    fn push(&self, asked: &Asked, callers: usize, seconds: f64) -> Outcome<Measured>;

    /// [`Workload::Drain`].
    fn drain(&self, asked: &Asked, workers: usize, jobs: u64) -> Outcome<Measured>;

    /// [`Workload::Backlog`].
    fn backlog(&self, asked: &Asked, jobs: u64, rounds: usize) -> Outcome<Measured>;

    /// [`Workload::PushToPop`].
    fn push_to_pop(&self, asked: &Asked, rounds: usize) -> Outcome<Measured>;

    /// [`Workload::PublishToReceive`].
    fn publish_to_receive(&self, asked: &Asked, rounds: usize) -> Outcome<Option<Measured>>;
}

impl Asked {
    /// The file of the store.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("peer.db")
    }

    /// A second one, so that what is asked about the settings does not touch what is measured.
    #[must_use]
    pub fn spare(&self) -> Asked {
        Asked { folder: self.folder.join("spare"), ..self.clone() }
    }
}

/// Does what the command line asks for, and prints the answer as a line of JSON.
pub fn run(side: &dyn Side) -> ExitCode {
    let asked = Asked::parse();
    match answer(side, &asked).and_then(|answer| Ok(serde_json::to_string(&answer)?)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(side: &dyn Side, asked: &Asked) -> Outcome<Answer> {
    make(&asked.folder)?;
    let measured = match asked.workload {
        Workload::Push { callers, seconds } => Some(side.push(asked, callers, seconds)?),
        Workload::Drain { workers, jobs } => Some(side.drain(asked, workers, jobs)?),
        Workload::Backlog { jobs, rounds } => Some(side.backlog(asked, jobs, rounds)?),
        Workload::PushToPop { rounds } => Some(side.push_to_pop(asked, rounds)?),
        Workload::PublishToReceive { rounds } => side.publish_to_receive(asked, rounds)?,
    };
    let spare = asked.spare();
    make(&spare.folder)?;
    Ok(Answer { settings: side.settings(&spare)?, measured })
}

fn make(folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder).map_err(Into::into)
}

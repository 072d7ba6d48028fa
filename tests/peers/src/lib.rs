//! What the programs of all sides share: what they are asked for, how they measure it, and the line that they answer.
//!
//! A side is a program of its own that runs one workload on a fresh folder and prints one line; [`run`] is its `main`. One
//! that is not written in Rust takes the same arguments and answers the same line.

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

/// What a job, a message or an event holds: a hundred bytes, as text.
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
    /// One appends to one stream, an event at a time, and waits for each answer.
    Append { seconds: f64 },
    /// Callers have commands executed, each of which leads to one event, and wait for each answer. The callers are spread
    /// over so many aggregates. Who is told of a conflict tries again until it is executed.
    Command { callers: usize, aggregates: usize, seconds: f64 },
    /// An aggregate of so many events is made from them.
    Load { events: u64, rounds: usize },
    /// All events are read, of a hundred streams.
    ReadAll { events: u64 },
    /// A new projection, whose handler has nothing to do, comes as far as the events of a thousand streams, and its place is
    /// saved. So many events at a time, or as many as there are by default.
    CatchUp { events: u64, batch: Option<u32> },
}

/// The streams that all events are read of.
pub const STREAMS: u64 = 100;

/// The streams whose events are projected.
pub const PROJECTED: u64 = 1_000;

/// The projection that catches up.
pub const PROJECTION: &str = "all";

/// Jobs or events that are written at once, where it is not the writing that is measured.
pub const CHUNK: u64 = 1_000;

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

    /// What it does with jobs, if it has any.
    fn jobs(&self) -> Option<&dyn Jobs> {
        None
    }

    /// What it does with events.
    fn events(&self) -> Option<&dyn Events> {
        None
    }
}

/// Queues and channels.
pub trait Jobs {
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

/// Streams of events, and aggregates.
pub trait Events {
    /// [`Workload::Append`].
    fn append(&self, asked: &Asked, seconds: f64) -> Outcome<Measured>;

    /// [`Workload::Command`].
    fn command(&self, asked: &Asked, callers: usize, aggregates: usize, seconds: f64) -> Outcome<Measured>;

    /// [`Workload::Load`].
    fn load(&self, asked: &Asked, events: u64, rounds: usize) -> Outcome<Measured>;

    /// [`Workload::ReadAll`].
    fn read_all(&self, asked: &Asked, events: u64) -> Outcome<Measured>;

    /// [`Workload::CatchUp`].
    fn catch_up(&self, asked: &Asked, events: u64, batch: Option<u32>) -> Outcome<Option<Measured>>;
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
    let measured = measure(side, asked)?;
    let spare = asked.spare();
    make(&spare.folder)?;
    Ok(Answer { settings: side.settings(&spare)?, measured })
}

fn measure(side: &dyn Side, asked: &Asked) -> Outcome<Option<Measured>> {
    let jobs = || side.jobs().ok_or("it has no jobs");
    let events = || side.events().ok_or("it has no events");
    Ok(Some(match asked.workload {
        Workload::Push { callers, seconds } => jobs()?.push(asked, callers, seconds)?,
        Workload::Drain { workers, jobs: count } => jobs()?.drain(asked, workers, count)?,
        Workload::Backlog { jobs: count, rounds } => jobs()?.backlog(asked, count, rounds)?,
        Workload::PushToPop { rounds } => jobs()?.push_to_pop(asked, rounds)?,
        Workload::PublishToReceive { rounds } => return jobs()?.publish_to_receive(asked, rounds),
        Workload::Append { seconds } => events()?.append(asked, seconds)?,
        Workload::Command { callers, aggregates, seconds } => {
            events()?.command(asked, callers, aggregates, seconds)?
        }
        Workload::Load { events: count, rounds } => events()?.load(asked, count, rounds)?,
        Workload::ReadAll { events: count } => events()?.read_all(asked, count)?,
        Workload::CatchUp { events: count, batch } => return events()?.catch_up(asked, count, batch),
    }))
}

fn make(folder: &Path) -> Outcome<()> {
    std::fs::create_dir_all(folder).map_err(Into::into)
}

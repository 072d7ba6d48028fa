//! Runs all sides one after the other, round by round, and prints what they came to.
//!
//! In each round every side runs every workload on a fresh folder of the same file system: A B C, B C A, C A B and so on, so
//! that what else the machine does is spread over all of them. What is printed are medians over the rounds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use clap::Parser;
use peers::{Answer, Outcome};

mod program;
mod table;

use program::Program;
use table::{Row, Runs};

/// Millpond beside its peers, in one run on one machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the stores are made: a disk, not memory. Where the programs are built if it is not said.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Where the JSON goes, a line for each workload and side; standard output behind the table if it is not said.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often all of it is done.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long callers push.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Jobs that are drained.
    #[arg(long, default_value_t = 20_000)]
    jobs: u64,
    /// Jobs that wait while one is claimed and done.
    #[arg(long, default_value_t = 100_000)]
    backlog: u64,
    /// Claims before that backlog.
    #[arg(long, default_value_t = 200)]
    claims: usize,
    /// Pushes and publishes of which it is measured how soon they arrive.
    #[arg(long, default_value_t = 300)]
    wakes: usize,
    /// Events of the aggregate that is loaded.
    #[arg(long, default_value_t = 10_000)]
    events: u64,
    /// How often it is loaded.
    #[arg(long, default_value_t = 20)]
    loads: usize,
    /// Events of the store that is read from its beginning to its end, and of that which a projection catches up with.
    #[arg(long, default_value_t = 100_000)]
    all_events: u64,
    /// The Python that eventsource-py is run with, 3.13 or later. It gets an environment of its own beside what is built.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// These workloads only, by the beginning of their names.
    #[arg(long)]
    only: Vec<String>,
    /// Also each crate as it is shipped or may be set, where an answer may be lost when the power fails.
    #[arg(long)]
    relaxed: bool,
}

/// One who takes part.
#[derive(Clone, Copy, Debug)]
struct Side {
    name: &'static str,
    /// How durable it is to be, it cannot be told.
    fixed: bool,
    relaxed: bool,
}

const fn side(name: &'static str, fixed: bool) -> Side {
    Side { name, fixed, relaxed: false }
}

/// Who does the work of queues and channels.
const JOBS: [Side; 3] = [side("millpond", false), side("effectum", true), side("honker", false)];

/// Who does that of streams and aggregates.
const EVENTS: [Side; 3] = [side("millpond", false), side("cqrs", false), side("eventsource", true)];

/// What is measured: how it is called in the table, and how the programs are asked for it.
type Workload = (String, String);

fn jobs(arguments: &Arguments) -> Vec<Workload> {
    let Arguments { seconds, jobs, backlog, claims, wakes, .. } = arguments;
    vec![
        ("push, 1 caller".to_owned(), format!("push 1 {seconds}")),
        ("push, 64 callers".to_owned(), format!("push 64 {seconds}")),
        (format!("drain of {jobs} empty jobs, 64 workers"), format!("drain 64 {jobs}")),
        (format!("claim and done before {backlog} jobs"), format!("backlog {backlog} {claims}")),
        ("wake: push to pop".to_owned(), format!("push-to-pop {wakes}")),
        ("wake: publish to receive".to_owned(), format!("publish-to-receive {wakes}")),
    ]
}

fn events(arguments: &Arguments) -> Vec<Workload> {
    let Arguments { seconds, events, loads, all_events, .. } = arguments;
    vec![
        ("append to one stream, 1 caller".to_owned(), format!("append {seconds}")),
        ("command on one aggregate, 1 caller".to_owned(), format!("command 1 1 {seconds}")),
        ("commands on one aggregate, 64 callers".to_owned(), format!("command 64 1 {seconds}")),
        ("commands on 64 aggregates, 64 callers".to_owned(), format!("command 64 64 {seconds}")),
        (format!("load an aggregate of {events} events"), format!("load {events} {loads}")),
        (format!("read all of {all_events} events"), format!("read-all {all_events}")),
        (format!("catch up with {all_events} events, by default"), format!("catch-up {all_events}")),
        (format!("catch up with {all_events} events, 1000 at a time"), format!("catch-up {all_events} 1000")),
    ]
}

/// Has one side run one workload on a fresh folder.
fn ask(program: &Program, folder: &Path, side: Side, workload: &str) -> Outcome<Answer> {
    let mut asked = program.command();
    asked.arg("--folder").arg(folder).args(side.relaxed.then_some("--relaxed")).args(workload.split(' '));
    let output = asked.stderr(Stdio::inherit()).output()?;
    fs::remove_dir_all(folder)?;
    if !output.status.success() {
        return Err(format!("{} {workload:?} has failed", side.name).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs the workloads that are wanted on these sides. Who cannot be run here at all is left out, and the table says so.
fn measure(arguments: &Arguments, mut sides: Vec<Side>, mut workloads: Vec<Workload>) -> Outcome<Runs> {
    let Arguments { only, folder, python, rounds, .. } = arguments;
    let mut runs = Runs::default();
    workloads.retain(|(name, _)| only.is_empty() || only.iter().any(|only| name.starts_with(only.as_str())));
    if workloads.is_empty() {
        return Ok(runs);
    }
    if arguments.relaxed {
        sides.extend(
            sides.clone().into_iter().filter(|side| !side.fixed).map(|side| Side { relaxed: true, ..side }),
        );
    }
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = folder.clone().unwrap_or_else(|| home.join("target/data"));
    let mut programs = Vec::new();
    for (at, side) in sides.iter().enumerate() {
        match program::make(home, side.name, python)? {
            Ok(program) => programs.push(Some(program)),
            Err(reason) => {
                runs.absent(at, format!("{}, not run: {reason}", side.name));
                programs.push(None);
            }
        }
    }
    for round in 0..*rounds {
        for (name, words) in &workloads {
            for turn in 0..sides.len() {
                let at = (turn + round) % sides.len();
                let (side, Some(program)) = (sides[at], &programs[at]) else { continue };
                let folder = data.join(format!("{}-{round}", side.name));
                let answer = ask(program, &folder, side, words)?;
                eprintln!("round {}: {name}: {}: {:?}", round + 1, answer.settings, answer.measured);
                runs.add(Row { workload: name.clone(), settings: answer.settings }, at, answer.measured);
            }
        }
    }
    Ok(runs)
}

/// Both tables, and the JSON of both.
fn compare(arguments: &Arguments) -> Outcome<()> {
    let mut json = String::new();
    for (sides, workloads) in [(JOBS, jobs(arguments)), (EVENTS, events(arguments))] {
        let runs = measure(arguments, sides.into(), workloads)?;
        if !runs.is_empty() {
            println!("{}\n", runs.table());
            json += &runs.json()?;
        }
    }
    match &arguments.json {
        Some(file) => fs::write(file, json)?,
        None => print!("{json}"),
    }
    Ok(())
}

fn main() -> ExitCode {
    match compare(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

//! Runs all sides one after the other, round by round, and prints what they came to.
//!
//! In each round every side runs every workload on a fresh folder of the same file system: A B C, B C A, C A B and so on, so
//! that what else the machine does is spread over all of them. What is printed are medians over the rounds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use peers::{Answer, Outcome};

mod table;

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
    /// These workloads only, by the beginning of their names.
    #[arg(long)]
    only: Vec<String>,
    /// Also each crate as it is shipped or may be set, where an answer may be lost when the power fails.
    #[arg(long)]
    relaxed: bool,
}

/// The programs, of which each has a package.
const SIDES: [&str; 3] = ["millpond", "effectum", "honker"];

/// The one that cannot be told how durable it is to be.
const FIXED: &str = "effectum";

/// One who takes part.
#[derive(Clone, Copy, Debug)]
struct Side {
    name: &'static str,
    relaxed: bool,
}

/// What is measured: how it is called in the table, and how the programs are asked for it.
fn workloads(arguments: &Arguments) -> Vec<(String, Vec<String>)> {
    let Arguments { seconds, jobs, backlog, claims, wakes, .. } = arguments;
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let all = [
        ("push, 1 caller".to_owned(), words(format!("push 1 {seconds}"))),
        ("push, 64 callers".to_owned(), words(format!("push 64 {seconds}"))),
        (format!("drain of {jobs} empty jobs, 64 workers"), words(format!("drain 64 {jobs}"))),
        (format!("claim and done before {backlog} jobs"), words(format!("backlog {backlog} {claims}"))),
        ("wake: push to pop".to_owned(), words(format!("push-to-pop {wakes}"))),
        ("wake: publish to receive".to_owned(), words(format!("publish-to-receive {wakes}"))),
    ];
    let wanted = |name: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| name.starts_with(only.as_str()))
    };
    all.into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// Builds a side's program, and says where it is.
fn build(home: &Path, name: &str) -> Outcome<PathBuf> {
    let (manifest, target) = (home.join(name).join("Cargo.toml"), home.join("target"));
    let built = Command::new("cargo")
        .args(["build", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !built.success() {
        return Err(format!("{name} cannot be built").into());
    }
    Ok(target.join("release").join(format!("peer-{name}")))
}

/// Has one side run one workload on a fresh folder.
fn ask(program: &Path, folder: &Path, side: Side, workload: &[String]) -> Outcome<Answer> {
    let mut asked = Command::new(program);
    asked.arg("--folder").arg(folder).args(side.relaxed.then_some("--relaxed")).args(workload);
    let output = asked.stderr(Stdio::inherit()).output()?;
    fs::remove_dir_all(folder)?;
    if !output.status.success() {
        return Err(format!("{} {workload:?} has failed", side.name).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn measure(arguments: &Arguments) -> Outcome<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sides: Vec<Side> = SIDES.map(|name| Side { name, relaxed: false }).into();
    if arguments.relaxed {
        let free = SIDES.into_iter().filter(|name| *name != FIXED);
        sides.extend(free.map(|name| Side { name, relaxed: true }));
    }
    let programs = sides.iter().map(|side| build(home, side.name)).collect::<Outcome<Vec<_>>>()?;
    let workloads = workloads(arguments);
    let data = arguments.folder.clone().unwrap_or_else(|| home.join("target/data"));
    let mut runs = Runs::default();
    for round in 0..arguments.rounds {
        for (name, words) in &workloads {
            for turn in 0..sides.len() {
                let at = (turn + round) % sides.len();
                let (side, program) = (sides[at], &programs[at]);
                let folder = data.join(format!("{}-{round}", side.name));
                let answer = ask(program, &folder, side, words)?;
                eprintln!("round {}: {name}: {}: {:?}", round + 1, answer.settings, answer.measured);
                runs.add(Row { workload: name.clone(), settings: answer.settings }, at, answer.measured);
            }
        }
    }
    println!("{}", runs.table());
    match &arguments.json {
        Some(file) => fs::write(file, runs.json()?)?,
        None => print!("{}", runs.json()?),
    }
    Ok(())
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

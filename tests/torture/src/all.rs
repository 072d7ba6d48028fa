//! All programs one after the other, each as long as a tier has time for; and their mutants.
//!
//! Each is a process of its own, so that what one leaves behind is no other's trouble. What they print makes a page,
//! which is written anew whenever one of them has come to its end: a night may be shorter than it was meant to be.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::{Result, clock, report};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// What a change can wait for: minutes.
    Pr,
    /// An hour or less.
    Night,
    /// Before a release: hours.
    Release,
}

impl Tier {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Tier); 3] =
        [("pr", Tier::Pr), ("night", Tier::Night), ("release", Tier::Release)];

    fn name(self) -> &'static str {
        Tier::ALL.iter().find(|(_, tier)| *tier == self).map_or("?", |(name, _)| name)
    }
}

/// A program, and the options that it is run with in each tier.
type Row = (&'static str, [&'static str; 3]);

/// What is run. `clock` needs libfaketime, so it is run only where that was built in.
const PROGRAMS: &[Row] = &[
    ("power", ["--images 6000", "--images 300000", "--images 5000000"]),
    ("fsync", ["--images 4000", "--images 50000", "--images 1000000"]),
    ("io", ["--rounds 3 --stride 5", "--rounds 6", "--rounds 20"]),
    ("kill", ["--kills 300", "--kills 10000", "--kills 100000"]),
    ("locks", ["--grants 4000", "--grants 100000", "--grants 1000000"]),
    ("jobs", ["--jobs 4000 --every-ms 400", "--jobs 100000", "--jobs 1000000"]),
    ("feeds", ["--messages 30000 --every-ms 400", "--messages 1000000", "--messages 10000000"]),
    (
        "projections",
        ["", "--events 857700 --kills 10 --every-ms 3000", "--events 857700 --kills 100 --every-ms 2000"],
    ),
    ("transfers", ["", "--transfers 20000 --processes 8", "--transfers 200000 --processes 8"]),
    ("schedules", ["--seconds 3", "--seconds 200", "--seconds 2000"]),
    ("partitions", ["--hands 25", "--hands 1000", "--hands 10000"]),
    ("blobs", ["--mib 64 --kills 3", "--gib 4", "--gib 16 --kills 10"]),
    ("groups", ["--messages 2500 --every-ms 200", "--messages 100000", "--messages 1000000"]),
    ("aggregates", ["--commands 8000 --every-ms 300", "--commands 500000", "--commands 10000000"]),
    ("history", ["--rounds 200", "--rounds 10000", "--rounds 100000"]),
    (
        "serial",
        ["--writes 5000 --images 1000", "--writes 200000 --images 20000", "--writes 1000000 --images 200000"],
    ),
    ("readers", ["--writes 10000 --stops 2", "--writes 50000 --stops 20", "--writes 100000 --stops 200"]),
    (
        "files",
        ["--flips 1500 --stride 3", "--flips 100000 --contents 500", "--flips 1000000 --contents 5000"],
    ),
    ("touch", ["--rounds 1", "--rounds 40", "--rounds 1000"]),
    ("zombies", ["--rounds 20", "--rounds 500", "--rounds 5000"]),
    ("cancel", ["--rounds 600", "--rounds 20000", "--rounds 500000"]),
    ("panics", ["--rounds 600", "--rounds 20000", "--rounds 500000"]),
    ("full", ["--writes 20 --stride 4", "--writes 120", "--writes 300"]),
    ("stopped", ["--rounds 6", "--rounds 100", "--rounds 1000"]),
    ("fairness", ["--seconds 9", "--seconds 120", "--seconds 1200"]),
    ("counters", ["--times 300 --lanes 4", "--times 10000", "--times 100000"]),
    ("overload", ["--waves 20", "--waves 300", "--waves 3000"]),
    ("sim", ["--hours 1", "--hours 120", "--hours 2000"]),
    ("postgres-feed", ["--events 300", "", "--events 24000"]),
    ("postgres-loss", ["--times 8", "--times 100", "--times 1000"]),
    ("failpoints", ["--rounds 1", "--rounds 20", "--rounds 200"]),
];

#[cfg(feature = "faketime")]
const CLOCK: &[Row] = &[("clock", ["--rounds 4", "--rounds 60", "--rounds 1000"])];
#[cfg(not(feature = "faketime"))]
const CLOCK: &[Row] = &[];

/// What judges how long things take. Not in the tier of a change: that runs beside other things, on whatever machine.
const TIMED: &[&str] =
    &["kill", "locks", "jobs", "readers", "zombies", "stopped", "fairness", "overload", "feeds", "counters"];

/// Seeds with which a mutant is tried before it counts as a survivor: which groups there are depends on the threads too.
const TRIES: u64 = 8;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much.
    pub tier: Tier,
    /// Where everything comes from.
    pub seed: u64,
    /// Only these programs; all if there are none.
    pub only: Vec<String>,
    /// Where the page goes.
    pub page: Option<PathBuf>,
    /// The commit that is tried, for the page.
    pub commit: String,
    /// So many at a time. What is asked of time is asked all the same, so no more than there are cores for.
    pub jobs: usize,
    /// The mutants are tried, not the store.
    pub mutants: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        let commit = String::from("unknown");
        Settings { tier: Tier::Pr, seed: 1, only: Vec::new(), page: None, commit, jobs: 1, mutants: false }
    }
}

/// A program that was run.
struct Run {
    name: &'static str,
    options: String,
    kept: bool,
    /// The line that it has printed.
    figures: Value,
    seconds: u64,
}

/// Runs them. Whether every promise was kept, or every mutant was noticed.
///
/// # Errors
/// If one of them could not be run.
pub fn run(program: &Path, settings: &Settings, usage: &str) -> Result<bool> {
    if settings.mutants {
        return mutants(program, settings, usage);
    }
    let wanted: Vec<Row> = rows(settings).collect();
    let (waiting, ended) = (Mutex::new(wanted.iter()), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next().copied();
    let work = || -> Result<()> {
        while let Some(row) = next() {
            let run = Run::of(program, row, settings);
            println!("{}", run.figures);
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.push(run);
            ended.sort_by_key(|run| wanted.iter().position(|(name, _)| *name == run.name));
            if let Some(page) = &settings.page {
                std::fs::write(page, write_page(settings, &ended)?)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..settings.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err("it panicked".into())))
    })?;
    let runs = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    for run in runs.iter().filter(|run| !run.kept) {
        eprintln!(
            "{} has broken a promise; again: torture {0} --seed {} {}",
            run.name, settings.seed, run.options
        );
    }
    Ok(runs.iter().all(|run| run.kept))
}

impl Run {
    /// Runs one of them in a tier. One that could not be run has kept nothing.
    fn of(program: &Path, (name, tiers): Row, settings: &Settings) -> Run {
        let options = options(&(name, tiers), settings.tier);
        let begun = clock::now();
        let said = start(program, name, &options, settings.seed, None);
        let figures = said.unwrap_or_else(
            |error| serde_json::json!({ "name": name, "could not be run": error.to_string() }),
        );
        let kept = report::is_kept(&figures);
        Run { name, options, kept, figures, seconds: begun.elapsed().as_secs() }
    }
}

fn rows(settings: &Settings) -> impl Iterator<Item = Row> {
    let wanted = |name: &str| settings.only.is_empty() || settings.only.iter().any(|only| only == name);
    PROGRAMS.iter().chain(CLOCK).copied().filter(move |(name, _)| wanted(name))
}

/// What one of them is run with.
fn options((name, tiers): &Row, tier: Tier) -> String {
    let options = tiers.get(tier as usize).copied().unwrap_or_default();
    let untimed = tier == Tier::Pr && TIMED.contains(name);
    format!("{options}{}", if untimed { " --timed false" } else { "" })
}

/// Runs one to its end: what it has printed.
fn start(program: &Path, name: &str, options: &str, seed: u64, mutant: Option<&str>) -> Result<Value> {
    let mut command = Command::new(program);
    command.arg(name).args(["--seed", &seed.to_string()]).args(options.split_whitespace());
    if let Some(mutant) = mutant {
        command.args(["--mutant", mutant]);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let printed = String::from_utf8(output.stdout)?;
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(format!("torture {name} --seed {seed} {options}: {}", output.status).into());
    }
    let line = printed.lines().last().unwrap_or_default();
    Ok(serde_json::from_str(line).map_err(|error| format!("{name} has printed {line:?}: {error}"))?)
}

/// Tries each mutant as its program is run in the tier of a change, until what it breaks is complained of, and says which was
/// not. Whatever else goes wrong meanwhile, also a run that comes to no end of its own, is not its being noticed.
fn mutants(program: &Path, settings: &Settings, usage: &str) -> Result<bool> {
    let (mut caught, mut total) = (0, 0);
    for row in rows(settings) {
        let (name, _) = row;
        let options = options(&row, Tier::Pr);
        for mutant in mutants_of(name, usage) {
            let seeds = settings.seed..settings.seed + TRIES;
            let noticed = |seed: &u64| {
                start(program, name, &options, *seed, Some(mutant)).is_ok_and(|line| report::is_caught(&line))
            };
            let by = seeds.clone().find(noticed);
            total += 1;
            caught += u64::from(by.is_some());
            match by {
                Some(seed) => println!("caught   {name} --mutant {mutant} --seed {seed}"),
                None => println!("SURVIVES {name} --mutant {mutant}"),
            }
        }
    }
    println!("{caught} of {total} mutants were caught");
    Ok(caught == total)
}

/// The mutants that a program knows, as its usage has them.
fn mutants_of<'a>(name: &str, usage: &'a str) -> Vec<&'a str> {
    let mut programs = usage.split("torture ").skip(1);
    let words = programs.find(|text| text.split_whitespace().next() == Some(name)).unwrap_or_default();
    let listed = words.split("[--mutant ").nth(1).and_then(|rest| rest.split(']').next());
    listed.map(|all| all.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// The page: what was run, on what, and what came of it.
fn write_page(settings: &Settings, runs: &[Run]) -> Result<String> {
    let mut page = String::new();
    writeln!(page, "# Torture: figures\n")?;
    writeln!(
        page,
        "Written by `cargo run --release -p torture -- all --tier {} --page FILE`.\n",
        settings.tier.name()
    )?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    writeln!(
        page,
        "Commit {}, seed {}, {threads} cores, {}.\n",
        settings.commit,
        settings.seed,
        std::env::consts::OS
    )?;
    let broken = runs.iter().filter(|run| !run.kept).count();
    writeln!(page, "{} programs, {broken} of them with a broken promise.\n", runs.len())?;
    for run in runs {
        let verdict = if run.kept { "every promise was kept" } else { "A PROMISE WAS BROKEN" };
        writeln!(
            page,
            "## {}\n\n`torture {0} --seed {} {}`: {verdict}, {} s.\n",
            run.name, settings.seed, run.options, run.seconds
        )?;
        writeln!(page, "| figure | |\n| --- | --- |")?;
        for (figure, value) in run.figures.as_object().into_iter().flatten() {
            let is_shown = !value.is_array() && !["name", "seed", "seconds"].contains(&figure.as_str());
            if is_shown {
                writeln!(page, "| {} | {} |", figure.replace('_', " "), shown(value))?;
            }
        }
        writeln!(page)?;
    }
    Ok(page)
}

/// A figure as it is read; what is made of several stands in one line.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(parts) => {
            let parts: Vec<String> =
                parts.iter().map(|(part, value)| format!("{part} {}", shown(value))).collect();
            parts.join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mutants_of_a_program_are_those_of_its_usage() {
        let usage =
            "usage:\n  torture one [--seed N]\n [--mutant a|b]\n  torture two [--mutant c]\n  torture three";
        assert_eq!(mutants_of("one", usage), ["a", "b"]);
        assert_eq!(mutants_of("two", usage), ["c"]);
        assert_eq!(mutants_of("three", usage), [""; 0]);
        assert_eq!(mutants_of("four", usage), [""; 0]);
    }
}

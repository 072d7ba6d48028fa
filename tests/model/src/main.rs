//! Explores the full model and prints one JSON line; exit code 1 if a promise is broken.

use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use model::mutant::Mutant;
use model::run::{FULL, explore};
use model::world::World;

const USAGE: &str = "usage: model [--ttl N] [--take-up N] [--numbers N] [--restarts N] [--mutant NAME] [--fair BOOL] [--threads N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((world, threads)) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = explore(world, None, threads);
    for (name, path) in &report.counterexamples {
        eprintln!("{name} is broken:\n{path}");
    }
    println!("{}", report.json());
    if report.broken().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn parse(arguments: &[String]) -> Option<(World, usize)> {
    let (mut bounds, mut threads) = (FULL, available_parallelism().map_or(1, NonZero::get));
    let mut fair = true;
    for option in arguments.chunks(2) {
        let [name, value] = option else { return None };
        match name.as_str() {
            "--ttl" => bounds.ttl = value.parse().ok()?,
            "--take-up" => bounds.take_up = value.parse().ok()?,
            "--numbers" => bounds.numbers = value.parse().ok()?,
            "--restarts" => bounds.restarts = value.parse().ok()?,
            "--mutant" => bounds.mutant = Mutant::named(value)?,
            "--fair" => fair = value.parse().ok()?,
            "--threads" => threads = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((World { bounds, fair }, threads))
}

//! The command line of the fuzzer.

use std::process::ExitCode;

use fuzz::{Settings, Target, corpus, run};
use peak_alloc::PeakAlloc;
use torture::Result;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const USAGE: &str = "usage: fuzz import|codec|store|dump [--seed N] [--seconds N] [--runs N]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match feed(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was found.
fn feed(arguments: &[String]) -> Result<bool> {
    let [name, options @ ..] = arguments else { return Err(USAGE.into()) };
    let target = Target::named(name).ok_or(USAGE)?;
    let mut settings = Settings { target, seed: 1, runs: u64::MAX, seconds: Some(60), timed: true };
    for pair in options.chunks(2) {
        match pair {
            [name, value] if name == "--seed" => settings.seed = value.parse()?,
            [name, value] if name == "--seconds" => settings.seconds = Some(value.parse()?),
            [name, value] if name == "--runs" => settings.runs = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    let inputs: Vec<Vec<u8>> = corpus(target)?.into_iter().map(|(_, input)| input).collect();
    let report = run(&settings, &inputs)?;
    println!("{}", report.json(&settings));
    Ok(report.violations.is_empty())
}

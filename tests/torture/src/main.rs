//! The command line of the torture programs.

use std::process::ExitCode;

use torture::Result;
use torture::kill::{self, Mutant, Settings};

const USAGE: &str =
    "usage: torture kill [--kills N] [--seed N] [--seconds N] [--mutant lost|hole|twice|overlap|torn]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("torture: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs one program; whether every promise was kept.
fn run(arguments: &[String]) -> Result<bool> {
    match arguments {
        [name, role, file, first] if name == kill::CHILD => {
            kill::child::live(role.parse()?, file.as_ref(), first)?;
            Ok(true)
        }
        [name, options @ ..] if name == "kill" => {
            let settings = settings(options)?;
            let report = kill::run(&std::env::current_exe()?, &settings)?;
            println!("{}", report.json(&settings));
            Ok(report.violations.is_empty())
        }
        _ => Err(USAGE.into()),
    }
}

fn settings(options: &[String]) -> Result<Settings> {
    let mut settings = Settings::default();
    for option in options.chunks(2) {
        let [name, value] = option else { return Err(USAGE.into()) };
        match name.as_str() {
            "--kills" => settings.kills = value.parse()?,
            "--seed" => settings.seed = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--mutant" => settings.mutant = Some(Mutant::named(value).ok_or(USAGE)?),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(settings)
}

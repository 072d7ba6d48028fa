//! The command line of the torture programs.

mod options;

use std::path::PathBuf;
use std::process::ExitCode;

use torture::hands::child::Fault;
use torture::{
    Result, all, cancel, clocks, failpoints, files, fsync, full, hands, history, io, kill, locks, overload,
    panics, power, readers, serial, sim, stopped, touch, zombies,
};

use crate::options::USAGE;

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
        [name, seed, file, lanes, locked] if name == locks::CHILD => {
            locks::child::live(seed.parse()?, file.as_ref(), lanes.parse()?, locked.parse()?)?;
            Ok(true)
        }
        [name, seed, file, fault] if name == hands::CHILD => {
            let fault = Fault::named(fault).ok_or(USAGE)?;
            hands::child::live(seed.parse()?, file.as_ref(), fault)?;
            Ok(true)
        }
        [name, who, file, lanes, operations] if name == history::CHILD => {
            history::child::live(who.parse()?, file.as_ref(), lanes.parse()?, operations.parse()?)?;
            Ok(true)
        }
        [name, role, file, lanes, first, seed] if name == serial::CHILD => {
            let (lanes, first) = (lanes.parse()?, first.parse()?);
            serial::child::live(role.parse()?, file.as_ref(), lanes, first, seed.parse()?)?;
            Ok(true)
        }
        [name, file] if name == readers::CHILD => {
            readers::child::live(file.as_ref())?;
            Ok(true)
        }
        [name, folder, seed, left] if name == full::CHILD => {
            full::live(folder.as_ref(), seed.parse()?, left.parse()?)?;
            Ok(true)
        }
        [name, file, who, next, timeout_ms] if name == stopped::CHILD => {
            stopped::child::live(file.as_ref(), who.parse()?, next.parse()?, timeout_ms.parse()?)?;
            Ok(true)
        }
        [name, file, seed, waves, spoilt] if name == overload::CHILD => {
            let mutant = overload::Mutant::named(spoilt);
            overload::child::live(file.as_ref(), seed.parse()?, waves.parse()?, mutant)?;
            Ok(true)
        }
        [name, file, seed, point, how, passed, times] if name == failpoints::CHILD => {
            let how = failpoints::How::named(how).ok_or(USAGE)?;
            let strikes = (passed.parse()?, times.parse()?);
            failpoints::child::live(file.as_ref(), seed.parse()?, point, how, strikes)?;
            Ok(true)
        }
        [name, file, sql] if name == touch::CHILD => {
            touch::child::live(file.as_ref(), sql)?;
            Ok(true)
        }
        [name, options @ ..] if name == "all" => {
            all::run(&std::env::current_exe()?, &options::all(options)?, USAGE)
        }
        [name, options @ ..] => torture(name, options),
        [] => Err(USAGE.into()),
    }
}

fn torture(name: &str, options: &[String]) -> Result<bool> {
    let program: PathBuf = std::env::current_exe()?;
    let (json, kept) = match name {
        "kill" => {
            let settings = options::kill(options)?;
            let report = kill::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "locks" => {
            let settings = options::locks(options)?;
            let report = locks::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "zombies" => {
            let settings = options::zombies(options)?;
            let report = zombies::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "power" => {
            let settings = options::power(options)?;
            let report = power::run(&settings)?;
            (report.json(&settings), report.figures.violations.is_empty())
        }
        "fsync" => {
            let settings = options::fsync(options)?;
            let report = fsync::run(&settings)?;
            (report.json(&settings), report.figures.violations.is_empty())
        }
        "io" => {
            let settings = options::io(options)?;
            let report = io::run(&settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "history" => {
            let settings = options::history(options)?;
            let report = history::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "serial" => {
            let settings = options::serial(options)?;
            let report = serial::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "readers" => {
            let settings = options::readers(options)?;
            let report = readers::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "files" => {
            let settings = options::files(options)?;
            let report = files::run(&settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "touch" => {
            let settings = options::touch(options)?;
            let report = touch::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "clock" => {
            let settings = options::clock(options)?;
            let report = clocks::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "cancel" => {
            let settings = options::cancel(options)?;
            let report = cancel::run(&settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "panics" => {
            let settings = options::panics(options)?;
            let report = panics::run(&settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "full" => {
            let settings = options::full(options)?;
            let report = full::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "stopped" => {
            let settings = options::stopped(options)?;
            let report = stopped::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "overload" => {
            let settings = options::overload(options)?;
            let report = overload::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "sim" => {
            let settings = options::sim(options)?;
            let report = sim::run(&settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        "failpoints" => {
            let settings = options::failpoints(options)?;
            let report = failpoints::run(&program, &settings)?;
            (report.json(&settings), report.violations.is_empty())
        }
        _ => return Err(USAGE.into()),
    };
    println!("{json}");
    Ok(kept)
}

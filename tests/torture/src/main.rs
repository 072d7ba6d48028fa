//! The command line of the torture programs.

mod options;

use std::path::PathBuf;
use std::process::ExitCode;

use torture::hands::child::Fault;
use torture::{
    Result, aggregates, all, blobs, cancel, clocks, counters, failpoints, fairness, feeds, files, fsync,
    full, groups, hands, history, io, jobs, kill, locks, overload, panics, partitions, postgres_feed,
    postgres_loss, power, projections, readers, report, schedules, serial, sim, stopped, touch, transfers,
    zombies,
};

use crate::options::usage;
use torture::report::Complaint as _;

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
            let fault = Fault::named(fault).ok_or_else(usage)?;
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
        [name, file, times, lanes, careless] if name == counters::CHILD => {
            counters::child::live(file.as_ref(), times.parse()?, lanes.parse()?, careless.parse()?)?;
            Ok(true)
        }
        [name, file, seed, waves, spoilt] if name == overload::CHILD => {
            let mutant = overload::Mutant::named(spoilt);
            overload::child::live(file.as_ref(), seed.parse()?, waves.parse()?, mutant)?;
            Ok(true)
        }
        [name, file, seed, point, how, passed, times] if name == failpoints::CHILD => {
            let how = failpoints::How::named(how).ok_or_else(usage)?;
            let strikes = (passed.parse()?, times.parse()?);
            failpoints::child::live(file.as_ref(), seed.parse()?, point, how, strikes)?;
            Ok(true)
        }
        [name, file, who, next, plain] if name == fairness::CHILD => {
            fairness::child::live(file.as_ref(), who.parse()?, next.parse()?, plain.parse()?)?;
            Ok(true)
        }
        [name, seed, file, process, first, most] if name == jobs::CHILD => {
            let process = process.parse()?;
            jobs::child::live(seed.parse()?, file.as_ref(), process, first, most.parse()?)?;
            Ok(true)
        }
        [name, file, role, first, most] if name == feeds::CHILD => {
            feeds::child::live(file.as_ref(), role.parse()?, first, most.parse()?)?;
            Ok(true)
        }
        [name, file, who] if name == partitions::CHILD => {
            partitions::child::live(file.as_ref(), who.parse()?)?;
            Ok(true)
        }
        [name, file, process, run, next, most] if name == groups::CHILD => {
            let (process, run) = (process.parse()?, run.parse()?);
            groups::child::live(file.as_ref(), process, run, next.parse()?, most.parse()?)?;
            Ok(true)
        }
        [name, file, keeps, first, seconds, run] if name == schedules::CHILD => {
            let (keeps, first) = (keeps.parse()?, first.parse()?);
            schedules::child::live(file.as_ref(), keeps, first, seconds.parse()?, run.parse()?)?;
            Ok(true)
        }
        [name, url, who, role, seed, events] if name == postgres_feed::CHILD => {
            let role = postgres_feed::child::Role::named(role).ok_or_else(usage)?;
            postgres_feed::child::live(url, who.parse()?, role, seed.parse()?, events.parse()?)?;
            Ok(true)
        }
        [name, file, role] if name == projections::CHILD => {
            let role = projections::child::Role::named(role).ok_or_else(usage)?;
            projections::child::live(file.as_ref(), role)?;
            Ok(true)
        }
        [name, file, role, seed, bytes] if name == blobs::CHILD => {
            blobs::child::live(file.as_ref(), role, seed.parse()?, bytes.parse()?)?;
            Ok(true)
        }
        [name, file] if name == transfers::CHILD => {
            transfers::child::live(file.as_ref())?;
            Ok(true)
        }
        [name, file, orders] if name == aggregates::CHILD => {
            aggregates::child::live(file.as_ref(), &orders.parse()?)?;
            Ok(true)
        }
        [name, file, sql] if name == touch::CHILD => {
            touch::child::live(file.as_ref(), sql)?;
            Ok(true)
        }
        [name, options @ ..] if name == "all" => {
            all::run(&std::env::current_exe()?, &options::all(options)?, &usage())
        }
        [name, options @ ..] => torture(name, options),
        [] => Err(usage().into()),
    }
}

/// The line of a program, named as its module, with or without children of this program, and with the part of its report that
/// has what was broken, if it is not all of it.
macro_rules! line {
    ($name:ident, $options:ident, $module:ident $(, $program:ident)? $(; $part:ident)?) => {{
        let settings = options::$module($options)?;
        let report = $module::run($(&$program,)? &settings)?;
        let caught = settings.mutant.map(|mutant| mutant.breaks().is_among(&report$(.$part)?.violations));
        report::line($name, settings.seed, &report, caught)?
    }};
}

fn torture(name: &str, options: &[String]) -> Result<bool> {
    let program: PathBuf = std::env::current_exe()?;
    let line = match name {
        "kill" => line!(name, options, kill, program),
        "jobs" => line!(name, options, jobs, program),
        "locks" => line!(name, options, locks, program),
        "zombies" => line!(name, options, zombies, program),
        "postgres-feed" => line!(name, options, postgres_feed, program),
        "postgres-loss" => line!(name, options, postgres_loss),
        "power" => line!(name, options, power; figures),
        "fsync" => line!(name, options, fsync; figures),
        "io" => line!(name, options, io),
        "history" => line!(name, options, history, program),
        "serial" => line!(name, options, serial, program),
        "readers" => line!(name, options, readers, program),
        "feeds" => line!(name, options, feeds, program),
        "schedules" => line!(name, options, schedules, program),
        "partitions" => line!(name, options, partitions, program),
        "groups" => line!(name, options, groups, program),
        "transfers" => line!(name, options, transfers, program),
        "projections" => line!(name, options, projections, program),
        "aggregates" => line!(name, options, aggregates, program),
        "blobs" => line!(name, options, blobs, program),
        "files" => line!(name, options, files),
        "touch" => line!(name, options, touch, program),
        "clock" => line!(name, options, clocks, program),
        "cancel" => line!(name, options, cancel),
        "panics" => line!(name, options, panics),
        "full" => line!(name, options, full, program),
        "stopped" => line!(name, options, stopped, program),
        "fairness" => line!(name, options, fairness, program),
        "counters" => line!(name, options, counters, program),
        "sim" => {
            let settings = options::sim(options)?;
            sim::run(&settings)?.json(&settings)?
        }
        "overload" => line!(name, options, overload, program),
        "failpoints" => line!(name, options, failpoints, program),
        _ => return Err(usage().into()),
    };
    println!("{line}");
    Ok(report::is_kept(&line))
}

//! What the programs are told on the command line.

use std::str::FromStr;

use torture::{
    Result, aggregates, all, blobs, cancel, clocks, counters, failpoints, fairness, feeds, files, fsync,
    full, groups, history, io, jobs, kill, locks, overload, panics, partitions, postgres_feed, postgres_loss,
    power, projections, readers, schedules, serial, sim, stopped, touch, transfers, zombies,
};

const USAGE: &str = "usage:
  torture all     [--tier pr|night|release] [--seed N] [--only NAME,NAME] [--jobs N]
                  [--page FILE] [--commit ID]
  torture all --mutants [--only NAME,NAME]
  (with --timed false, programs that ask for more than promises do not judge how long things take)
  torture kill    [--seed N] [--kills N] [--seconds N] [--mutant {kill}]
  torture locks   [--seed N] [--grants N] [--processes N] [--lanes N] [--every-ms N] [--seconds N]
                  [--mutant unlocked|swapped|again]
  torture jobs    [--seed N] [--jobs N] [--every-ms N]
                  [--mutant lost|again|careless|undone|swapped|uncounted|immune|early|crowded|stuck]
  torture feeds   [--seed N] [--messages N] [--every-ms N]
                  [--mutant lost|other|gap|twice|vague|careless|late|early|back|unfenced|unread|deaf]
  torture schedules [--seed N] [--seconds N] [--mutant lost|twice|often|early|forgetful]
  torture partitions [--seed N] [--hands N] [--every-ms N]
                  [--mutant unheard|again|overtaken|foreign|back|short]
  torture groups  [--seed N] [--messages N] [--every-ms N]
                  [--mutant unpublished|unhandled|again|overtaken|unfenced|back|deaf]
  torture projections [--seed N] [--events N] [--kills N] [--every-ms N]
                  [--mutant unprojected|again|swapped|boastful|left|unreacted|overtaken]
  torture transfers [--seed N] [--transfers N] [--processes N] [--every-ms N]
                  [--mutant undone|twice|mistaken|unended]
  torture aggregates [--seed N] [--commands N] [--tasks N] [--processes N] [--every-ms N] [--part alone|raced|bank]
                  [--mutant outside|snapshot|nameless|untold|other|hole|twice|rejected|panicked|torn|apart|stale|mistaken|
                  denied|short|order|effect|message|minted|unended|again|early]
  torture blobs   [--seed N] [--mib N] [--gib N] [--kills N] [--mutant greedy|wrong|half|left|grown]
  torture zombies [--seed N] [--rounds N] [--mutant unguarded|swapped]
  torture power   [--seed N] [--rounds N] [--images N] [--seconds N] [--lanes N]
                  [--mutant unsynced|early|liar|flipped|headless|hole|swapped]
  torture fsync   [--seed N] [--rounds N] [--images N] [--seconds N] [--lanes N] [--stride N]
                  [--mutant deaf|blind|unsynced|hasty|hole]
  torture io      [--seed N] [--rounds N] [--seconds N] [--stride N]
                  [--mutant sure|forgetful|fickle|sick|silent|apart]
  torture history [--seed N] [--rounds N] [--seconds N] [--lanes N] [--operations N]
                  [--mutant stale|cached|lost|holders|twice|back]
  torture serial  [--seed N] [--writes N] [--images N] [--seconds N] [--lanes N]
                  [--mutant swapped|half|stale|unsynced]
  torture readers [--seed N] [--writes N] [--lanes N] [--readers N] [--left N] [--stops N]
                  [--mutant endless|hole|twice]
  torture clock   [--seed N] [--rounds N] [--mutant unlocked|settable|early|eternal]
  torture cancel  [--seed N] [--rounds N] [--seconds N]
                  [--mutant forgotten|halved|boastful|stuck|lasting|crowded|silent]
  torture panics  [--seed N] [--rounds N] [--seconds N] [--place NAME]
                  [--mutant silent|selfish|liar|forgetful|torn|lasting]
  torture full    [--seed N] [--writes N] [--stride N] [--seconds N]
                  [--mutant sure|forgetful|vague|blind|sick]
  torture stopped [--seed N] [--rounds N] [--mutant misnamed|blind|frozen|sure|forgetful]
  torture fairness [--seed N] [--seconds N] [--mutant plain|starved|forgetful]
  torture counters [--seed N] [--times N] [--lanes N] [--processes N] [--mutant careless|twice]
  torture overload [--seed N] [--waves N] [--mutant ungated|idle|stuck|sure|forgetful]
  torture failpoints [--seed N] [--rounds N] [--mutant forgetful|sure|unreached|lasting]
  torture sim     [--seed N] [--hours N] [--minutes N] [--again N] [--world N] [--trace FILE]
                  [--mutant early|forgotten|liar|repeated|nameless|unexpecting|unguarded|buried|recycled|overtaken|refusing|
                  leaking|deaf|cut|forged|hurting|vague|silent|unseeded]
  torture files   [--seed N] [--flips N] [--contents N] [--stride N] [--seconds N] [--lanes N]
                  [--mutant blind|silent|touched|vague|fragile|forged|stuck]
  torture postgres-feed [--seed N] [--writers N] [--events N] [--mutant skipped|twice|swapped|lost|sequence|late]
  torture postgres-loss [--seed N] [--times N] [--mutant lost|twice|counted|lie|silent|unsettled|deaf|slow]
  torture touch   [--seed N] [--rounds N] [--only NAME] [--mutant deaf|forgetful|silent|timid]";

/// How it is called, with the mutants of the primitives.
pub(crate) fn usage() -> String {
    let mutants: Vec<&str> = kill::Mutant::all().map(kill::Mutant::name).collect();
    USAGE.replace("{kill}", &mutants.join("|"))
}

/// Settings from options in pairs, each of which `set` knows.
fn settings<S: Default>(options: &[String], set: impl Fn(&mut S, &str, &str) -> Result<()>) -> Result<S> {
    let mut settings = S::default();
    for pair in options.chunks(2) {
        let [name, value] = pair else { return Err(usage().into()) };
        set(&mut settings, name, value)?;
    }
    Ok(settings)
}

/// One of `all` by its name in lower case: a mutant, a place.
fn named<M: Copy + std::fmt::Debug>(name: &str, all: &[M]) -> Result<Option<M>> {
    let named = all.iter().find(|one| format!("{one:?}").eq_ignore_ascii_case(name));
    named.copied().map(Some).ok_or_else(|| usage().into())
}

/// A number of something that there must be at least one of.
fn some<N: FromStr + PartialEq + Default>(value: &str) -> Result<N>
where
    N::Err: std::error::Error + Send + Sync + 'static,
{
    let number = value.parse()?;
    if number == N::default() { Err(usage().into()) } else { Ok(number) }
}

pub(crate) fn all(options: &[String]) -> Result<all::Settings> {
    let (flags, options): (Vec<_>, Vec<_>) =
        options.iter().cloned().partition(|option| option == "--mutants");
    let settings = settings(&options, |settings: &mut all::Settings, name, value| {
        let tier = || all::Tier::ALL.iter().find(|(name, _)| *name == value).map(|(_, tier)| *tier);
        match name {
            "--tier" => settings.tier = tier().ok_or_else(usage)?,
            "--seed" => settings.seed = value.parse()?,
            "--only" => settings.only = value.split(',').map(str::to_owned).collect(),
            "--page" => settings.page = Some(value.into()),
            "--commit" => value.clone_into(&mut settings.commit),
            "--jobs" => settings.jobs = value.parse()?,
            _ => return Err(usage().into()),
        }
        Ok(())
    })?;
    Ok(all::Settings { mutants: !flags.is_empty(), ..settings })
}

pub(crate) fn kill(options: &[String]) -> Result<kill::Settings> {
    settings(options, |settings: &mut kill::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--kills" => settings.kills = value.parse()?,
            "--timed" => settings.timed = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--mutant" => {
                let named = kill::Mutant::all().find(|mutant| mutant.name() == value);
                settings.mutant = Some(named.ok_or_else(usage)?);
            }
            _ => return Err(usage().into()),
        }
        Ok(())
    })
}

/// What programs are told beside their seed and their mutant: the fields of their settings, and how what is not just
/// parsed is read.
macro_rules! options {
    ($($program:ident: $($field:ident $(= $read:expr)?),+;)+) => {$(
        pub(crate) fn $program(options: &[String]) -> Result<$program::Settings> {
            settings(options, |settings: &mut $program::Settings, name, value| {
                match name.trim_start_matches("--").replace('-', "_").as_str() {
                    "seed" => settings.seed = value.parse()?,
                    "mutant" => settings.mutant = named(value, &$program::Mutant::ALL)?,
                    $(stringify!($field) => settings.$field = options!(value $(, $read)?),)+
                    _ => return Err(usage().into()),
                }
                Ok(())
            })
        }
    )+};
    ($value:ident) => { $value.parse()? };
    ($value:ident, $read:expr) => { $read($value)? };
}

options! {
    locks: grants, processes, lanes, every_ms, seconds = limit, timed;
    jobs: jobs = some, every_ms = some, timed;
    feeds: messages = some, every_ms = some, timed;
    schedules: seconds;
    projections: events, kills, every_ms;
    transfers: transfers, processes = some, every_ms;
    partitions: hands, every_ms;
    groups: messages = some, every_ms = some;
    aggregates: commands = some, tasks = some, processes = some, every_ms = some, part = part;
    zombies: rounds, timed;
    power: rounds, images, seconds = limit, lanes = some;
    fsync: rounds, images, seconds = limit, lanes = some, stride = some;
    io: rounds, seconds = limit, stride;
    history: rounds, seconds = limit, lanes = some, operations = some;
    serial: writes, images, seconds = limit, lanes = some;
    readers: writes, lanes = some, readers, left, stops, timed;
    clocks: rounds;
    cancel: rounds, seconds = limit;
    panics: rounds, seconds = limit, place = place;
    full: writes, stride, seconds = limit;
    stopped: rounds, timed;
    fairness: seconds, timed;
    counters: times, lanes, processes, timed;
    overload: waves, timed;
    failpoints: rounds;
    postgres_feed: writers = some, events = some, timed;
    postgres_loss: times = some, timed;
    files: flips, contents, stride = some, seconds = limit, lanes = some;
    touch: rounds, only;
}

fn limit(value: &str) -> Result<Option<u64>> {
    Ok(Some(value.parse()?))
}

fn part(value: &str) -> Result<Option<aggregates::Part>> {
    named(value, &aggregates::Part::ALL)
}

fn place(value: &str) -> Result<Option<panics::Place>> {
    named(value, &panics::Place::ALL)
}

pub(crate) fn blobs(options: &[String]) -> Result<blobs::Settings> {
    settings(options, |settings: &mut blobs::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--mib" => settings.mib = some(value)?,
            "--gib" => settings.mib = some::<u64>(value)? << 10,
            "--kills" => settings.kills = value.parse()?,
            "--mutant" => settings.mutant = named(value, &blobs::Mutant::ALL)?,
            _ => return Err(usage().into()),
        }
        Ok(())
    })
}

pub(crate) fn sim(options: &[String]) -> Result<sim::Settings> {
    settings(options, |settings: &mut sim::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--hours" => settings.minutes = 60 * value.parse::<u64>()?,
            "--minutes" => settings.minutes = value.parse()?,
            "--again" => settings.again = value.parse()?,
            "--world" => settings.world = Some(value.parse()?),
            "--trace" => settings.trace = Some(value.into()),
            "--mutant" => settings.mutant = named(value, sim::Mutant::ALL)?,
            _ => return Err(usage().into()),
        }
        Ok(())
    })
}

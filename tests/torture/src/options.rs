//! What the programs are told on the command line.

use torture::{
    Result, all, cancel, clocks, failpoints, files, fsync, full, history, io, kill, locks, overload, panics,
    power, readers, serial, sim, stopped, touch, zombies,
};

pub(crate) const USAGE: &str = "usage:
  torture all     [--tier pr|night|release] [--seed N] [--only NAME,NAME] [--page FILE] [--commit ID]
  torture all --mutants [--only NAME,NAME]
  torture kill    [--seed N] [--kills N] [--seconds N] [--mutant lost|hole|twice|overlap|torn]
  torture locks   [--seed N] [--grants N] [--processes N] [--lanes N] [--every-ms N] [--seconds N]
                  [--mutant unlocked|swapped|again]
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
  torture overload [--seed N] [--waves N] [--mutant ungated|idle|stuck|sure|forgetful]
  torture failpoints [--seed N] [--rounds N] [--mutant forgetful|sure|unreached|lasting]
  torture sim     [--seed N] [--hours N] [--minutes N] [--again N] [--world N] [--trace FILE]
                  [--mutant early|forgotten|liar|repeated|unexpecting|unguarded|buried|recycled|overtaken|refusing|
                  leaking|deaf|cut|forged|hurting|vague|silent|unseeded]
  torture files   [--seed N] [--flips N] [--contents N] [--stride N] [--seconds N] [--lanes N]
                  [--mutant blind|silent|touched|vague|fragile|stuck]
  torture touch   [--seed N] [--rounds N] [--only NAME] [--mutant deaf|forgetful|silent|timid]";

/// Settings from options in pairs, each of which `set` knows.
fn settings<S: Default>(options: &[String], set: impl Fn(&mut S, &str, &str) -> Result<()>) -> Result<S> {
    let mut settings = S::default();
    for pair in options.chunks(2) {
        let [name, value] = pair else { return Err(USAGE.into()) };
        set(&mut settings, name, value)?;
    }
    Ok(settings)
}

/// One of `all` by its name in lower case: a mutant, a place.
fn mutant<M: Copy + std::fmt::Debug>(name: &str, all: &[M]) -> Result<Option<M>> {
    let named = all.iter().find(|mutant| format!("{mutant:?}").eq_ignore_ascii_case(name));
    named.copied().map(Some).ok_or_else(|| USAGE.into())
}

pub(crate) fn all(options: &[String]) -> Result<all::Settings> {
    let (flags, options): (Vec<_>, Vec<_>) =
        options.iter().cloned().partition(|option| option == "--mutants");
    let settings = settings(&options, |settings: &mut all::Settings, name, value| {
        let tier = || all::Tier::ALL.iter().find(|(name, _)| *name == value).map(|(_, tier)| *tier);
        match name {
            "--tier" => settings.tier = tier().ok_or(USAGE)?,
            "--seed" => settings.seed = value.parse()?,
            "--only" => settings.only = value.split(',').map(str::to_owned).collect(),
            "--page" => settings.page = Some(value.into()),
            "--commit" => value.clone_into(&mut settings.commit),
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })?;
    Ok(all::Settings { mutants: !flags.is_empty(), ..settings })
}

pub(crate) fn kill(options: &[String]) -> Result<kill::Settings> {
    settings(options, |settings: &mut kill::Settings, name, value| {
        match name {
            "--kills" => settings.kills = value.parse()?,
            "--seed" => settings.seed = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--mutant" => settings.mutant = mutant(value, &kill::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn locks(options: &[String]) -> Result<locks::Settings> {
    settings(options, |settings: &mut locks::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--grants" => settings.grants = value.parse()?,
            "--processes" => settings.processes = value.parse()?,
            "--lanes" => settings.lanes = value.parse()?,
            "--every-ms" => settings.every_ms = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--mutant" => settings.mutant = mutant(value, &locks::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn zombies(options: &[String]) -> Result<zombies::Settings> {
    settings(options, |settings: &mut zombies::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &zombies::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn power(options: &[String]) -> Result<power::Settings> {
    settings(options, |settings: &mut power::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--images" => settings.images = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--lanes" => settings.lanes = value.parse::<u64>()?.max(1),
            "--mutant" => settings.mutant = mutant(value, &power::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn fsync(options: &[String]) -> Result<fsync::Settings> {
    settings(options, |settings: &mut fsync::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--images" => settings.images = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--stride" => settings.stride = value.parse::<u64>()?.max(1),
            "--lanes" => settings.lanes = value.parse::<u64>()?.max(1),
            "--mutant" => settings.mutant = mutant(value, &fsync::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn io(options: &[String]) -> Result<io::Settings> {
    settings(options, |settings: &mut io::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--stride" => settings.stride = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &io::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn history(options: &[String]) -> Result<history::Settings> {
    settings(options, |settings: &mut history::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--lanes" => settings.lanes = value.parse::<u64>()?.max(1),
            "--operations" => settings.operations = value.parse::<u64>()?.max(1),
            "--mutant" => settings.mutant = mutant(value, &history::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn serial(options: &[String]) -> Result<serial::Settings> {
    settings(options, |settings: &mut serial::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--writes" => settings.writes = value.parse()?,
            "--images" => settings.images = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--lanes" => settings.lanes = value.parse::<u64>()?.max(1),
            "--mutant" => settings.mutant = mutant(value, &serial::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn readers(options: &[String]) -> Result<readers::Settings> {
    settings(options, |settings: &mut readers::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--writes" => settings.writes = value.parse()?,
            "--lanes" => settings.lanes = value.parse::<u64>()?.max(1),
            "--readers" => settings.readers = value.parse()?,
            "--left" => settings.left = value.parse()?,
            "--stops" => settings.stops = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &readers::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn files(options: &[String]) -> Result<files::Settings> {
    settings(options, |settings: &mut files::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--flips" => settings.flips = value.parse()?,
            "--contents" => settings.contents = value.parse()?,
            "--stride" => settings.stride = value.parse::<usize>()?.max(1),
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--lanes" => settings.lanes = value.parse::<usize>()?.max(1),
            "--mutant" => settings.mutant = mutant(value, &files::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn touch(options: &[String]) -> Result<touch::Settings> {
    settings(options, |settings: &mut touch::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--only" => settings.only = value.to_owned(),
            "--mutant" => settings.mutant = mutant(value, &touch::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn clock(options: &[String]) -> Result<clocks::Settings> {
    settings(options, |settings: &mut clocks::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &clocks::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn cancel(options: &[String]) -> Result<cancel::Settings> {
    settings(options, |settings: &mut cancel::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--mutant" => settings.mutant = mutant(value, &cancel::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn panics(options: &[String]) -> Result<panics::Settings> {
    settings(options, |settings: &mut panics::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--place" => settings.place = mutant(value, &panics::Place::ALL)?,
            "--mutant" => settings.mutant = mutant(value, &panics::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn full(options: &[String]) -> Result<full::Settings> {
    settings(options, |settings: &mut full::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--writes" => settings.writes = value.parse()?,
            "--stride" => settings.stride = value.parse()?,
            "--seconds" => settings.seconds = Some(value.parse()?),
            "--mutant" => settings.mutant = mutant(value, &full::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn stopped(options: &[String]) -> Result<stopped::Settings> {
    settings(options, |settings: &mut stopped::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &stopped::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn overload(options: &[String]) -> Result<overload::Settings> {
    settings(options, |settings: &mut overload::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--waves" => settings.waves = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &overload::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

pub(crate) fn failpoints(options: &[String]) -> Result<failpoints::Settings> {
    settings(options, |settings: &mut failpoints::Settings, name, value| {
        match name {
            "--seed" => settings.seed = value.parse()?,
            "--rounds" => settings.rounds = value.parse()?,
            "--mutant" => settings.mutant = mutant(value, &failpoints::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
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
            "--mutant" => settings.mutant = mutant(value, sim::Mutant::ALL)?,
            _ => return Err(USAGE.into()),
        }
        Ok(())
    })
}

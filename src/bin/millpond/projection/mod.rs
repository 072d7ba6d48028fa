//! `projection list` and `lag`, and what is wanted of one: `pause`, `resume`, `rebuild`, `reset` and `remove` are written
//! down in the store, and the process that runs it obeys. What it has gone past is in `dead`.

pub(crate) mod args;
mod dead;

use millpond::blocking::{Projection, Store};
use millpond::{Holder, Progress};
use serde_json::json;

use self::args::{Again, ProjectionCommand};
use crate::failure::{Done, Failure, code};
use crate::lock::name_holder;
use crate::pages;
use crate::show::{Show, count, grouped};

/// Projections that are asked for at once.
const PAGE: u32 = 200;

/// Those that are named to whoever asks for one that there is not.
const NAMED: usize = 10;

/// A projection, and who runs it at this moment: one, or several who share its partitions.
pub(crate) struct Seen {
    progress: Progress,
    runners: Vec<Holder>,
}

impl Seen {
    fn of(store: &Store, progress: Progress) -> Done<Seen> {
        let line = store.inspect().projector(&progress.name)?;
        let runners = line.map(|line| line.living().cloned().collect()).unwrap_or_default();
        Ok(Seen { progress, runners })
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// By whom it is run.
    fn named(&self) -> Option<String> {
        let (first, others) = self.runners.split_first()?;
        let first = name_holder(first);
        Some(match others.len() {
            0 => first,
            more => format!("{first} and {}", count(more as u64, "other", "others")),
        })
    }
}

/// They write, most of them, and yet there is nothing for them in a store that does not exist.
pub(crate) fn run(store: &Store, command: &ProjectionCommand, show: &mut Show) -> Done<u8> {
    match command {
        ProjectionCommand::List => list(store, show),
        ProjectionCommand::Lag { name } => lag(store, name, show),
        ProjectionCommand::Pause { name } => pause(store, name, show),
        ProjectionCommand::Resume { name } => resume(store, name, show),
        ProjectionCommand::Rebuild(again) => rebuild(store, again, show),
        ProjectionCommand::Reset(again) => reset(store, again, show),
        ProjectionCommand::Dead { name } => dead::dead(store, name, show),
        ProjectionCommand::Revive { name, letter } => dead::revive(store, name, *letter, show),
        ProjectionCommand::Remove { name } => remove(store, name, show),
    }
}

/// All projections.
pub(crate) fn lines(store: &Store) -> Done<Vec<Seen>> {
    let page = |after: Option<&str>| store.inspect().projections(after, PAGE);
    let all = pages::all(PAGE, |progress: &Progress| &progress.name, page)?;
    all.into_iter().map(|progress| Seen::of(store, progress)).collect()
}

fn list(store: &Store, show: &mut Show) -> Done<u8> {
    let lines = lines(store)?;
    if show.is_json() {
        for line in &lines {
            show.json(&as_json(line))?;
        }
    } else if lines.is_empty() {
        show.line("no projection has begun yet")?;
    } else {
        table(&lines, show)?;
    }
    Ok(code::DONE)
}

/// Projections for people, a row each.
pub(crate) fn table(lines: &[Seen], show: &mut Show) -> Done<()> {
    let row = |seen: &Seen| {
        let Progress { name, position, handled, failure, attempts, .. } = &seen.progress;
        let tries = |reason: &String| format!("{}: {reason}", count((*attempts).into(), "try", "tries"));
        vec![
            show.quarter(name),
            state(seen),
            grouped(*position),
            grouped(seen.progress.lag()),
            grouped(*handled),
            seen.named().unwrap_or_else(|| "nobody".to_owned()),
            failure.as_ref().map_or_else(|| of_newer(&seen.progress), tries),
        ]
    };
    let rows = lines.iter().map(row).collect();
    show.table(&["projection", "state", "position", "lag", "handled", "run by", "failure"], rows)?;
    Ok(())
}

/// What keeps the generation that is being made.
fn of_newer(progress: &Progress) -> String {
    let newer = progress.rebuilding.as_ref();
    let failure = newer.and_then(|newer| newer.failure.as_ref().map(|failure| (newer.generation, failure)));
    failure.map_or_else(String::new, |(generation, failure)| format!("generation {generation}: {failure}"))
}

/// What it does, or why it does nothing.
fn state(Seen { progress, runners }: &Seen) -> String {
    let newer = progress.rebuilding.as_ref();
    let state = match runners.first() {
        _ if progress.is_parked() || newer.is_some_and(|newer| newer.parked) => "parked",
        _ if progress.paused => "paused",
        Some(_) => "running",
        None => "waiting",
    };
    let Some(newer) = newer else { return state.to_owned() };
    // It takes over when it has come as far as the one that is read.
    let percent = newer
        .position
        .saturating_mul(100)
        .checked_div(progress.position)
        .map_or(100, |percent| percent.min(100));
    match state {
        "running" => format!("rebuilding {percent} %"),
        _ => format!("{state}, rebuilding {percent} %"),
    }
}

pub(crate) fn as_json(Seen { progress, runners }: &Seen) -> serde_json::Value {
    let runners = runners.iter().map(|runner| {
        let identity = runner.identity.as_ref();
        json!({
            "process": runner.grant.process,
            "pid": identity.map(|identity| identity.pid),
            "program": identity.map(|identity| identity.program.as_str()),
            "host": identity.map(|identity| identity.host.as_str()),
        })
    });
    json!({
        "projection": progress.name,
        "generation": progress.generation,
        "position": progress.position,
        "head": progress.head,
        "lag": progress.lag(),
        "handled": progress.handled,
        "paused": progress.paused,
        "parked": progress.is_parked(),
        "failure": progress.failure,
        "attempts": progress.attempts,
        "rebuilding": progress.rebuilding.as_ref().map(|newer| {
            json!({
                "generation": newer.generation,
                "position": newer.position,
                "failure": newer.failure,
                "parked": newer.parked,
            })
        }),
        "partitions": progress.partitions,
        "runners": runners.collect::<Vec<_>>(),
    })
}

fn lag(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let seen = known(store, name)?;
    if show.is_json() {
        show.json(&as_json(&seen))?;
    } else {
        show.line(&seen.progress.lag().to_string())?;
    }
    Ok(code::DONE)
}

fn pause(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let (_, now) = want(store, name, Projection::pause)?;
    let done = format!("projection \"{name}\" is paused at position {}", grouped(now.progress.position));
    tell(&now, &[done], show)
}

fn resume(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let (before, now) = want(store, name, Projection::resume)?;
    let position = grouped(now.progress.position);
    let mut done = vec![format!("projection \"{name}\" goes on behind position {position}")];
    if let Some(reason) = before.progress.failure {
        done.push(format!("what failed is tried again: {reason}"));
    }
    tell(&now, &done, show)
}

fn rebuild(store: &Store, Again { name, from }: &Again, show: &mut Show) -> Done<u8> {
    let (_, now) = want(store, name, |projection| projection.rebuild(*from))?;
    let read = now.progress.generation;
    let done = match &now.progress.rebuilding {
        Some(newer) => {
            let (generation, position) = (newer.generation, grouped(newer.position));
            format!(
                "projection \"{name}\" is made anew behind position {position}, as generation {generation}, \
                 while generation {read} is read"
            )
        }
        // Whoever runs it was faster than we have looked.
        None => format!("projection \"{name}\" was made anew, as generation {read}"),
    };
    tell_with_pause(&now, done, show)
}

fn reset(store: &Store, Again { name, from }: &Again, show: &mut Show) -> Done<u8> {
    let (_, now) = want(store, name, |projection| projection.reset(*from))?;
    let done = format!("projection \"{name}\" begins again, as generation {}", now.progress.generation);
    tell_with_pause(&now, done, show)
}

fn remove(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let before = known(store, name)?;
    if !store.projection(name).remove()? {
        return Err(unknown(store, name)?);
    }
    if show.is_json() {
        show.json(&json!({"projection": name, "removed": true}))?;
        return Ok(code::DONE);
    }
    show.line(&format!("projection \"{name}\" is forgotten; what it has written stays"))?;
    show.line(&match before.named() {
        Some(runners) => format!("it was run by {runners}, where that ends"),
        None => "nobody ran it".to_owned(),
    })?;
    Ok(code::DONE)
}

/// Says what is wanted; how it stood before, and how it stands now.
fn want(
    store: &Store,
    name: &str,
    wanted: impl FnOnce(&Projection) -> millpond::Result<bool>,
) -> Done<(Seen, Seen)> {
    let before = known(store, name)?;
    match wanted(&store.projection(name))? {
        true => Ok((before, known(store, name)?)),
        false => Err(unknown(store, name)?),
    }
}

/// What was done, and whether anybody runs it at this moment: who does obeys at once, and who does not has nobody obey.
fn tell(now: &Seen, done: &[String], show: &mut Show) -> Done<u8> {
    if show.is_json() {
        show.json(&as_json(now))?;
        return Ok(code::DONE);
    }
    for done in done {
        show.line(done)?;
    }
    show.line(&match now.named() {
        Some(runners) => format!("it is run by {runners}"),
        None => "nobody runs it at this moment".to_owned(),
    })?;
    Ok(code::DONE)
}

/// The same of what does not begin while it is paused.
fn tell_with_pause(now: &Seen, done: String, show: &mut Show) -> Done<u8> {
    let mut done = vec![done];
    if now.progress.paused {
        done.push("it is paused, and nothing of that is done before it is resumed".to_owned());
    }
    tell(now, &done, show)
}

/// What has not begun does not exist.
fn known(store: &Store, name: &str) -> Done<Seen> {
    match store.projection(name).progress()? {
        Some(progress) => Seen::of(store, progress),
        None => Err(unknown(store, name)?),
    }
}

/// That there is no such projection, and which there are.
fn unknown(store: &Store, name: &str) -> Done<Failure> {
    let mut there: Vec<String> = store
        .inspect()
        .projections(None, NAMED as u32 + 1)?
        .into_iter()
        .map(|progress| format!("\"{}\"", progress.name))
        .collect();
    if there.len() > NAMED {
        there.truncate(NAMED);
        there.push("more".to_owned());
    }
    let there = match there.split_last() {
        None => "no projection has begun yet".to_owned(),
        Some((one, [])) => format!("there is {one}"),
        Some((last, others)) => format!("there are {} and {last}", others.join(", ")),
    };
    Ok(Failure::Failed(format!("there is no projection \"{name}\"; {there}")))
}

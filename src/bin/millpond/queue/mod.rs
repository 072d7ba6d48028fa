//! `queue pop`, `list`, `show`, `dead`, `revive` and `purge`; `push`, `work` and the schedules are files of their own.

pub(crate) mod args;
mod push;
mod schedule;
mod work;

use std::time::Duration;

use millpond::blocking::{Queue, Store};
use millpond::{Error, JobRecord, JobState, QueueNumbers};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use self::args::{Pop, state_name};
pub(crate) use self::push::push;
pub(crate) use self::schedule::{every, schedules, unschedule};
pub(crate) use self::work::work;
use crate::failure::{Done, Failure, Unshown, code, complain};
use crate::input::{Json, compacted};
use crate::pages;
use crate::show::{Listing, Show, compact_json, count, grouped, span};
use crate::time::rfc3339;

/// Rows that are asked for at once.
const PAGE: u32 = 200;

/// Claims that are shown of one queue.
const CLAIMS: u32 = 100;

pub(crate) fn pop(store: &Store, pop: &Pop, show: &mut Show) -> Done<u8> {
    let queue = store.queue::<Json>(&pop.name);
    // A signal ends this process while it waits: nothing is claimed then.
    let job = match pop.wait {
        None => Some(queue.pop()?),
        Some(Duration::ZERO) => queue.try_pop()?,
        Some(time) => queue.pop_within(time)?,
    };
    let Some(job) = job else {
        let why = match pop.wait {
            Some(wait) if wait > Duration::ZERO => format!("gave no job within {wait:?}"),
            _ => "has no job that can be claimed".to_owned(),
        };
        complain("queue pop", &format!("queue \"{}\" {why}", pop.name));
        return Ok(code::NOT_ACQUIRED);
    };
    let printed = if show.is_json() {
        show.json(&Shown::of(&pop.name, job.record(), &job)?)
    } else {
        show.json(&compacted(&job)?)
    };
    if let Err(error) = printed.and_then(|()| show.flush()) {
        // Nobody has seen it. If it cannot be given back, it is when this process ends, and the attempt counts.
        let _ = job.release();
        return Err(error.into());
    }
    match job.done() {
        Err(error @ Error::StaleClaim { .. }) => {
            complain("queue pop", &format!("it was printed too late: {error}"));
            Ok(code::LEASE_LOST)
        }
        done => done.map(|()| code::DONE).map_err(Failure::from),
    }
}

/// All queues.
pub(crate) fn lines(store: &Store) -> Done<Vec<QueueNumbers>> {
    pages::all(PAGE, |line: &QueueNumbers| &line.name, |after| store.inspect().queues(after, PAGE))
}

pub(crate) fn list(store: &Store, show: &mut Show) -> Done<u8> {
    let lines = lines(store)?;
    if show.is_json() {
        for line in &lines {
            show.json(&numbers_as_json(line))?;
        }
    } else if lines.is_empty() {
        show.line("no queue was used yet")?;
    } else {
        table(&lines, show)?;
    }
    Ok(code::DONE)
}

/// Queues for people, a row each.
pub(crate) fn table(lines: &[QueueNumbers], show: &mut Show) -> Done<()> {
    let row = |line: &QueueNumbers| {
        let mut row = vec![show.quarter(&line.name)];
        let numbers = [line.ready, line.delayed, line.claimed, line.dead, line.done, line.pushed];
        row.extend(numbers.map(grouped));
        row.push(if line.options.paused { "paused" } else { "open" }.to_owned());
        row
    };
    let rows = lines.iter().map(row).collect();
    show.table(&["queue", "ready", "delayed", "claimed", "dead", "done", "pushed", "state"], rows)?;
    Ok(())
}

pub(crate) fn numbers_as_json(line: &QueueNumbers) -> serde_json::Value {
    json!({
        "queue": line.name,
        "ready": line.ready,
        "delayed": line.delayed,
        "claimed": line.claimed,
        "dead": line.dead,
        "done": line.done,
        "pushed": line.pushed,
        "paused": line.options.paused,
        "max_attempts": line.options.max_attempts,
        "keep_done_ms": line.options.keep_done_ms,
    })
}

pub(crate) fn show(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let queue = store.queue::<Json>(name);
    let numbers = known(&queue, name)?;
    let mut unshown = Unshown::new("queue show");
    let mut claims = Vec::new();
    for found in queue.page(Some(JobState::Claimed), 0, CLAIMS)?.jobs {
        claims.extend(unshown.sound(found)?);
    }
    if show.is_json() {
        let mut line = numbers_as_json(&numbers);
        let claims = claims.iter().map(
            |claim| json!({"sequence": claim.sequence, "attempt": claim.attempts, "process": claim.process}),
        );
        if let Some(facts) = line.as_object_mut() {
            facts.insert("claims".to_owned(), claims.collect());
        }
        show.json(&line)?;
        return Ok(unshown.code());
    }
    let options = numbers.options;
    let kept = match options.keep_done_ms {
        0 => "not kept".to_owned(),
        time => format!("{}, each kept for {}", grouped(numbers.done), span(time)),
    };
    let facts = [
        ("queue", numbers.name.clone()),
        ("state", if options.paused { "paused" } else { "open" }.to_owned()),
        ("pushed", count(numbers.pushed, "job", "jobs")),
        ("ready", grouped(numbers.ready)),
        ("delayed", grouped(numbers.delayed)),
        ("claimed", grouped(numbers.claimed)),
        ("dead", grouped(numbers.dead)),
        ("done", kept),
        ("attempts", format!("{} unless a job says so itself", options.max_attempts)),
    ];
    for (fact, value) in facts {
        show.line(&format!("{fact:<10}{value}"))?;
    }
    if !claims.is_empty() {
        show.line("")?;
        let row = |claim: &JobRecord| {
            let process = claim.process.map_or_else(String::new, |process| process.to_string());
            vec![claim.sequence.to_string(), attempts(claim), process, compact_json(&text(claim))]
        };
        show.table(&["job", "attempt", "process", "data"], claims.iter().map(row).collect())?;
    }
    Ok(unshown.code())
}

pub(crate) fn dead(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let queue = store.queue::<Json>(name);
    known(&queue, name)?;
    let mut unshown = Unshown::new("queue dead");
    let mut listing = Listing::new(&["job", "attempts", "dead since", "key", "reason", "data"]);
    let (mut from, mut any) = (Some(0), false);
    while let Some(start) = from {
        let page = queue.page(Some(JobState::Dead), start, PAGE)?;
        from = page.next;
        let mut rows = Vec::new();
        for found in page.jobs {
            let Some(job) = unshown.sound(found)? else { continue };
            if show.is_json() {
                if let Some(data) = unshown.sound(queue.decode(&job))? {
                    show.json(&Shown::of(name, &job, &data)?)?;
                }
                continue;
            }
            rows.push(vec![
                job.sequence.to_string(),
                attempts(&job),
                show.moment(job.ended_at.map_or_else(String::new, rfc3339)),
                show.quarter(job.key.as_deref().unwrap_or("")),
                show.quarter(job.reason.as_deref().unwrap_or("")),
                compact_json(&text(&job)),
            ]);
        }
        if !rows.is_empty() {
            show.rows(&mut listing, rows)?;
            any = true;
        }
    }
    if !any && !unshown.any() && !show.is_json() {
        show.line(&format!("queue \"{name}\" has no dead letters"))?;
    }
    Ok(unshown.code())
}

pub(crate) fn revive(store: &Store, name: &str, id: Option<u64>, show: &mut Show) -> Done<u8> {
    let queue = store.queue::<Json>(name);
    known(&queue, name)?;
    let (revived, kept_out) = match id {
        None => queue.revive_all()?,
        Some(id) if queue.revive(id)? => (1, 0),
        Some(id) => {
            let why = "is no dead letter, or a living job has its key";
            return Err(Failure::Failed(format!("job {id} of queue \"{name}\" {why}")));
        }
    };
    if show.is_json() {
        show.json(&json!({"queue": name, "revived": revived, "kept_out": kept_out}))?;
        return Ok(code::DONE);
    }
    let letters = |number| count(number, "dead letter", "dead letters");
    show.line(&format!("{} will be tried again", letters(revived)))?;
    if kept_out > 0 {
        show.line(&format!("{} stay, because a living job has the same key", letters(kept_out)))?;
    }
    Ok(code::DONE)
}

pub(crate) fn purge(store: &Store, name: &str, state: JobState, show: &mut Show) -> Done<u8> {
    let queue = store.queue::<Json>(name);
    known(&queue, name)?;
    let (removed, state) = (queue.purge(state)?, state_name(state));
    if show.is_json() {
        show.json(&json!({"queue": name, "state": state, "removed": removed}))?;
    } else {
        show.line(&format!("{} removed ({state})", count(removed, "job", "jobs")))?;
    }
    Ok(code::DONE)
}

/// What was never used does not exist.
fn known(queue: &Queue<Json>, name: &str) -> Done<QueueNumbers> {
    queue.numbers()?.ok_or_else(|| Failure::Failed(format!("there is no queue \"{name}\"")))
}

/// How often it was tried, and how often it is at most.
fn attempts(job: &JobRecord) -> String {
    format!("{} of {}", job.attempts, job.max_attempts)
}

/// What was pushed, for people: JSON, unless some other program has written what is none.
fn text(job: &JobRecord) -> String {
    String::from_utf8_lossy(job.data.bytes()).into_owned()
}

/// A job for programs: a line, whatever white space it was pushed with.
#[derive(Serialize)]
struct Shown<'a> {
    queue: &'a str,
    sequence: u64,
    state: &'static str,
    priority: i64,
    attempts: u32,
    max_attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    pushed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    schema: u32,
    data: Json,
}

impl<'a> Shown<'a> {
    fn of(queue: &'a str, job: &'a JobRecord, data: &RawValue) -> Done<Shown<'a>> {
        Ok(Shown {
            queue,
            sequence: job.sequence,
            state: state_name(job.state),
            priority: job.priority,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            key: job.key.as_deref(),
            pushed: rfc3339(job.pushed_at),
            ended: job.ended_at.map(rfc3339),
            reason: job.reason.as_deref(),
            schema: job.schema,
            data: compacted(data)?,
        })
    }
}

//! Queues in a dump: each with its schedules, then its jobs. A job that is claimed is dumped as one that waits: whoever works on
//! it does so in the original.

use std::borrow::Cow;

use millpond_actors::calendar;
use millpond_actors::clock::millis;
use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::storage::queue::{Job, Key, NewJob, Numbers, Options, Query, Scope, Start, State};
use millpond_actors::storage::record::Record;
use millpond_actors::storage::schedule::{Missed, Plan, Schedule};
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::payload::{From, Payload};
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, label, words};
use crate::codec::{from_line, to_json};

pub(super) struct Queues;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct QueueLine<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    sequence: u64,
    paused: bool,
    max_attempts: u32,
    keep_done_ms: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ScheduleLine<'a> {
    kind: Cow<'a, str>,
    queue: Cow<'a, str>,
    name: Cow<'a, str>,
    cron: Cow<'a, str>,
    zone: Cow<'a, str>,
    /// What becomes of missed times.
    missed: MissedWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<i64>,
    priority: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeWord>,
    schema: u32,
    #[serde(borrow)]
    data: Payload<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<From>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum MissedWord {
    Once,
    Skip,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ScopeWord {
    Live,
    Kept,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum StateWord {
    Ready,
    Delayed,
    Dead,
    Done,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct JobLine<'a> {
    kind: Cow<'a, str>,
    queue: Cow<'a, str>,
    sequence: u64,
    state: StateWord,
    priority: i64,
    attempts: u32,
    max_attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    pushed_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    schema: u32,
    #[serde(borrow)]
    data: Payload<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<From>,
}

impl Section for Queues {
    fn word(&self) -> &'static str {
        "queue"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = source.view.queues(after.as_deref(), limits::PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on("queue", &mut after, &last.name)?;
            for numbers in page {
                if source.wanted.wants(self.word(), &numbers.name) {
                    read_one(source, &numbers, sink)?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind {
            "queue" => {
                let QueueLine { name, sequence, paused, max_attempts, keep_done_ms, .. } = from_line(line)?;
                if keep_done_ms > millis(limits::DURATION_MAX) {
                    return Err(format!("it cannot keep what is done for {keep_done_ms} ms"));
                }
                let options = Options { paused, max_attempts, keep_done_ms };
                Ok(Record::Queue { name: Name::new(name).map_err(words)?, sequence, options })
            }
            "queue.schedule" => schedule(from_line(line)?),
            "queue.job" => job(from_line(line)?),
            _ => Err(format!("there is no kind \"{}\"", kind.escape_debug())),
        }
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(Jobs::default())
    }
}

fn read_one(source: &mut Source<'_>, numbers: &Numbers, sink: &mut Sink<'_>) -> Result<()> {
    let (queue, options) = (Name::new(&numbers.name)?, numbers.options);
    sink(Ok(Record::Queue { name: queue.clone(), sequence: numbers.pushed, options }))?;
    for schedule in source.view.schedules(&queue)? {
        let record = |schedule| Record::Schedule { queue: queue.clone(), schedule: Box::new(schedule) };
        sink(schedule.map(record))?;
    }
    let (state, limit) = (None, limits::PAGE_ROWS);
    let mut query = Query { queue: queue.clone(), state, from: 1, limit };
    loop {
        let page = source.view.jobs(&query)?;
        for job in page.jobs {
            let record = |job| Record::Job { queue: queue.clone(), job: Box::new(unclaimed(job)) };
            sink(job.map(record))?;
        }
        match page.next {
            Some(next) if next > query.from => query.from = next,
            Some(next) => {
                let (name, detail) =
                    (queue.to_string(), "it comes behind jobs that it should come before".into());
                return Err(Error::Corrupt { kind: "job", name, sequence: next, detail });
            }
            None => return Ok(()),
        }
    }
}

/// As if nobody had taken it.
fn unclaimed(job: Job) -> Job {
    if job.state != State::Claimed {
        return job;
    }
    let attempts = job.attempts.saturating_sub(1);
    Job { state: State::Ready, attempts, process: None, due: None, ..job }
}

fn schedule(line: ScheduleLine<'_>) -> Result<Record, String> {
    let ScheduleLine { due, last, priority, max_attempts, schema, .. } = line;
    let data = line.data.data()?;
    check_size("the data of a schedule in bytes", data.bytes().len(), limits::SCHEDULE_BYTES)?;
    let scope = match line.scope {
        Some(ScopeWord::Kept) => Scope::Kept,
        Some(ScopeWord::Live) | None => Scope::Live,
    };
    check_key(line.key.as_deref())?;
    let key = line.key.map(|text| Key { text: text.into(), scope });
    let (start, origin, dead) = (Start::Now, From::origin(line.origin)?, None);
    let job = NewJob { data, schema, priority, start, key, max_attempts, origin, dead };
    let missed = match line.missed {
        MissedWord::Once => Missed::Once,
        MissedWord::Skip => Missed::Skip,
    };
    let plan = Plan { cron: line.cron.into(), zone: line.zone.into(), missed, job };
    calendar::next(&plan.cron, &plan.zone, 0).map_err(words)?;
    let name = Name::new(line.name).map_err(words)?.to_string();
    let schedule = Box::new(Schedule { name, plan, revision: 0, due, last });
    Ok(Record::Schedule { queue: Name::new(line.queue).map_err(words)?, schedule })
}

fn job(line: JobLine<'_>) -> Result<Record, String> {
    let JobLine { sequence, priority, attempts, max_attempts, pushed_at, due, ended_at, schema, .. } = line;
    let data = line.data.data()?;
    check_size("the data of a job in bytes", data.bytes().len(), limits::JOB_BYTES)?;
    check_size("a reason in bytes", line.reason.as_deref().map_or(0, str::len), limits::REASON_BYTES)?;
    check_key(line.key.as_deref())?;
    let state = match line.state {
        StateWord::Ready => State::Ready,
        StateWord::Delayed => State::Delayed,
        StateWord::Dead => State::Dead,
        StateWord::Done => State::Done,
    };
    if due.is_some() != (state == State::Delayed) {
        return Err("a job has a time at which it is due if and only if it is delayed".into());
    }
    if ended_at.is_some() == state.is_live() {
        return Err("a job has an end if and only if it is dead or done".into());
    }
    let (key, reason) = (line.key.map(Into::into), line.reason.map(Into::into));
    let (process, origin) = (None, From::origin(line.origin)?);
    let job = Job {
        sequence,
        state,
        priority,
        attempts,
        max_attempts,
        key,
        pushed_at,
        due,
        process,
        ended_at,
        reason,
        schema,
        data,
        origin,
    };
    Ok(Record::Job { queue: Name::new(line.queue).map_err(words)?, job: Box::new(job) })
}

fn check_key(key: Option<&str>) -> Result<(), String> {
    let checked = key.map_or(Ok(()), |key| name::check("key of a job", key, limits::NAME_BYTES));
    checked.map_err(words)
}

/// The line of a queue, a schedule or a job.
pub(super) fn line(record: &Record) -> Result<String> {
    let (kind, queue) = label(record);
    let (kind, queue) = (Cow::Borrowed(kind), Cow::Borrowed(queue));
    match record {
        Record::Queue { sequence, options, .. } => {
            let (sequence, Options { paused, max_attempts, keep_done_ms }) = (*sequence, *options);
            let line = QueueLine { kind, name: queue, sequence, paused, max_attempts, keep_done_ms };
            to_json("a queue", &line)
        }
        Record::Schedule { schedule, .. } => {
            let Schedule { name, plan, due, last, .. } = &**schedule;
            let Plan { cron, zone, missed, job } = plan;
            let missed = match missed {
                Missed::Once => MissedWord::Once,
                Missed::Skip => MissedWord::Skip,
            };
            let scope = job.key.as_ref().map(|key| match key.scope {
                Scope::Live => ScopeWord::Live,
                Scope::Kept => ScopeWord::Kept,
            });
            let line = ScheduleLine {
                kind,
                queue,
                name: name.into(),
                cron: (&**cron).into(),
                zone: (&**zone).into(),
                missed,
                due: *due,
                last: *last,
                priority: job.priority,
                max_attempts: job.max_attempts,
                key: job.key.as_ref().map(|key| key.text.to_string()),
                scope,
                schema: job.schema,
                data: Payload::of(&job.data),
                origin: From::of(job.origin.as_deref()),
            };
            to_json("a schedule", &line)
        }
        Record::Job { job, .. } => {
            let state = match job.state {
                State::Ready | State::Claimed => StateWord::Ready,
                State::Delayed => StateWord::Delayed,
                State::Dead => StateWord::Dead,
                State::Done => StateWord::Done,
            };
            let line = JobLine {
                kind,
                queue,
                sequence: job.sequence,
                state,
                priority: job.priority,
                attempts: job.attempts,
                max_attempts: job.max_attempts,
                key: job.key.as_ref().map(ToString::to_string),
                pushed_at: job.pushed_at,
                due: job.due,
                ended_at: job.ended_at,
                reason: job.reason.as_ref().map(ToString::to_string),
                schema: job.schema,
                data: Payload::of(&job.data),
                origin: From::of(job.origin.as_deref()),
            };
            to_json("a job", &line)
        }
        _ => Ok(String::new()),
    }
}

/// Queues by name; in each, schedules by name and then jobs by their numbers, which may have gaps.
#[derive(Default)]
struct Jobs {
    queues: ByName,
    now: Option<Under>,
}

/// The queue whose jobs come.
struct Under {
    name: Name,
    schedules: ByName,
    sequence: u64,
    last: u64,
}

impl Order for Jobs {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Queue { name, sequence, .. } => {
                self.queues.step(name)?;
                if *sequence >= limits::LAST_SEQUENCE {
                    return Err(format!("no queue has had {sequence} jobs"));
                }
                let (name, schedules, last) = (name.clone(), ByName::default(), *sequence);
                self.now = Some(Under { name, schedules, sequence: 0, last });
                Ok(())
            }
            Record::Schedule { queue, schedule } => {
                let under = self.under(queue)?;
                if under.sequence > 0 {
                    return Err("a schedule comes behind jobs".into());
                }
                under.schedules.step(&Name::new(&schedule.name).map_err(words)?)
            }
            Record::Job { queue, job } => {
                let under = self.under(queue)?;
                if job.sequence <= under.sequence || job.sequence > under.last {
                    let (last, before) = (under.last, under.sequence);
                    return Err(format!("job {} comes behind job {before} of {last}", job.sequence));
                }
                under.sequence = job.sequence;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl Jobs {
    fn under(&mut self, queue: &Name) -> Result<&mut Under, String> {
        let under = self.now.as_mut().filter(|under| under.name == *queue);
        under.ok_or_else(|| format!("it is of queue \"{queue}\", which does not come before it"))
    }
}

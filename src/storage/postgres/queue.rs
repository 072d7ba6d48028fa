//! Queues, their jobs, and their schedules.

use std::sync::Arc;

use millpond_actors::engine::Store;
use millpond_actors::engine::gaps::Edge;
use millpond_actors::engine::job::{Content, Held, Row as Job, Spot};
use millpond_actors::engine::queue::Queue;
use millpond_actors::engine::schedule::Row as Schedule;
use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::queue::{Due, Key, NewJob, Options, Scope, Start, State};
use millpond_actors::storage::schedule::{Missed, Plan as Times};
use tokio_postgres::Row;

use super::error::odd;
use super::param::{Param, Reading, signed};
use super::shape::{Plan, Question, Shape};
use super::stream::check;

const QUEUE: &str =
    "SELECT q.id, q.name, q.sequence, q.paused, q.max_attempts, q.keep_done, q.boot FROM @queue q WHERE true";

pub(super) static QUEUES: Shape<u64, Queue> = Shape {
    select: QUEUE,
    keys: &["q.id"],
    table: |store| &mut store.queues,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_queue(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static QUEUE_NAMES: Shape<Name, u64> = Shape {
    select: QUEUE,
    keys: &["q.name"],
    table: |store| &mut store.queue_names,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| take_queue(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static QUEUE_PLAN: Plan<u64, Queue> = Plan {
    name: "queue",
    columns: &["id", "name", "sequence", "paused", "max_attempts", "keep_done", "boot"],
    keys: 1,
    table: |store| &store.queues,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, queue, columns| {
        let Options { paused, max_attempts, keep_done_ms } = queue.options;
        columns.number(*id).text(queue.name.as_str()).number(queue.sequence).flag(paused);
        columns.int(max_attempts.into()).number(keep_done_ms).text(&queue.boot);
    },
    appended: false,
};

fn take_queue(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let (id, name, sequence) = (row.number()?, Name::unchecked(row.next()?), row.number()?);
    let options = Options { paused: row.flag()?, max_attempts: row.small()?, keep_done_ms: row.number()? };
    store
        .queues
        .fetched(id, Queue { name: name.clone(), sequence, options, boot: Arc::from(row.next::<&str>()?) });
    store.queue_names.fetched(name.clone(), id);
    Ok((id, name))
}

/// The columns of a job, in the order in which they are read.
macro_rules! jobs {
    ($where:literal) => {
        concat!(
            "SELECT j.queue, j.sequence, j.state, j.priority, j.attempts, j.max_attempts, j.key, j.pushed_at, j.due,
            j.due_boot, j.token, j.process, j.granted_at, j.ttl, j.ended_at, j.reason, j.schema, j.format, j.crc, j.data,
            j.bytes, j.correlation, j.causation, j.actor, j.tenant FROM @job j WHERE ",
            $where
        )
    };
}

/// Jobs may be large.
const JOBS_AT_ONCE: usize = 1_024;

pub(super) static JOBS: Shape<(u64, u64), Job> = Shape {
    select: jobs!("true"),
    keys: &["j.queue", "j.sequence"],
    table: |store| &mut store.jobs,
    parts: |(queue, sequence)| vec![Param::number(*queue), Param::number(*sequence)],
    take: |store, row| take_job(store, row).map(|(key, _)| key),
    most: JOBS_AT_ONCE,
};

pub(super) static JOB_PLAN: Plan<(u64, u64), Job> = Plan {
    name: "job",
    columns: &[
        "queue",
        "sequence",
        "state",
        "rank",
        "by_boot",
        "priority",
        "attempts",
        "max_attempts",
        "key",
        "pushed_at",
        "due",
        "due_boot",
        "token",
        "process",
        "granted_at",
        "ttl",
        "ended_at",
        "reason",
        "schema",
        "format",
        "crc",
        "data",
        "bytes",
        "correlation",
        "causation",
        "actor",
        "tenant",
    ],
    keys: 2,
    table: |store| &store.jobs,
    parts: |(queue, sequence)| vec![Param::number(*queue), Param::number(*sequence)],
    write: |_, (queue, sequence), job, columns| {
        let (rank, by_boot) = match job.spot(*queue, *sequence) {
            Spot::Ready(_, rank, _) | Spot::Done(_, rank, _) => (rank, false),
            Spot::Delayed(_, by_boot, rank, _) => (rank, by_boot),
            Spot::Claimed(process, ..) => (signed(process), false),
            Spot::Dead(..) | Spot::Keyed(..) => (0, false),
        };
        let claim = job.claim.unwrap_or(Held { token: 0, process: 0, granted: 0, ttl_ms: 0 });
        let what = &*job.what;
        columns.number(*queue).number(*sequence).int(job.state as i64).int(rank).flag(by_boot);
        columns.int(what.priority).int(job.attempts.into()).int(what.max_attempts.into());
        columns.maybe_text(what.key.as_deref()).int(what.pushed_at);
        columns.maybe(job.due.map(|due| due.wall_ms)).maybe(job.due.and_then(|due| due.boot_ms).map(signed));
        columns.number(claim.token).number(claim.process).number(claim.granted).number(claim.ttl_ms);
        columns.maybe(job.ended_at).maybe_text(job.reason.as_deref()).int(what.schema.into());
        columns.int(what.data.format().into()).int(checksum_of(*queue, *sequence, what).into());
        columns.data(&what.data).origin(what.origin.as_deref());
    },
    appended: false,
};

fn checksum_of(queue: u64, sequence: u64, what: &Content) -> u32 {
    let queue = queue.to_string();
    let key = what.key.as_deref().unwrap_or_default();
    checksum::record(Kind::Job, &queue, sequence, key, what.data.format(), what.schema, what.data.bytes())
}

fn take_job(store: &mut Store, row: &Row) -> Result<((u64, u64), Spot)> {
    let mut row = Reading::of(row);
    let (queue, sequence) = (row.number()?, row.number()?);
    let state = row.small()?;
    let state = State::of(state as u8);
    let state = state.ok_or_else(|| odd("a job is in no state that there is"))?;
    let (priority, attempts, max_attempts) = (row.next()?, row.small()?, row.small()?);
    let (key, pushed_at): (Option<String>, i64) = (row.next()?, row.next()?);
    let (wall_ms, boot_ms): (Option<i64>, Option<u64>) = (row.next()?, row.maybe()?);
    let (token, process, granted, ttl_ms) = (row.number()?, row.number()?, row.number()?, row.number()?);
    let (ended_at, reason): (Option<i64>, Option<String>) = (row.next()?, row.next()?);
    let (schema, format, crc) = (row.small()?, row.small()?, row.small()?);
    let (data, origin) = (row.data(format)?, row.origin()?);
    let key = key.map(String::into_boxed_str);
    let what = Content { priority, max_attempts, key, pushed_at, schema, data, origin };
    check("queue", queue, sequence, checksum_of(queue, sequence, &what), crc)?;
    let due = wall_ms.map(|wall_ms| Due { wall_ms, boot_ms });
    let claim = (token > 0).then_some(Held { token, process, granted, ttl_ms });
    let (what, reason) = (Arc::new(what), reason.map(String::into_boxed_str));
    let job = Job { what, state, attempts, due, claim, ended_at, reason };
    let spot = job.spot(queue, sequence);
    store.spots.fetched(spot.clone(), ());
    if let Some(key) = &job.what.key {
        store.spots.fetched(Spot::Keyed(queue, key.clone(), sequence), ());
    }
    store.jobs.fetched((queue, sequence), job);
    Ok(((queue, sequence), spot))
}

/// Where jobs of a state are found, in their order.
macro_rules! spots {
    ($where:literal, $keys:expr, $take:expr) => {
        Shape {
            select: jobs!($where),
            keys: $keys,
            table: |store| &mut store.spots,
            parts: parts_of,
            take: $take,
            most: JOBS_AT_ONCE,
        }
    };
}

static READY: Shape<Spot, ()> = spots!(
    "j.state = 0 AND j.by_boot = 0",
    &["j.queue", "j.rank", "j.sequence"],
    |store, row| take_job(store, row).map(|(_, spot)| spot)
);
static DELAYED: Shape<Spot, ()> = spots!(
    "j.state = 1",
    &["j.queue", "j.by_boot", "j.rank", "j.sequence"],
    |store, row| take_job(store, row).map(|(_, spot)| spot)
);
static CLAIMED: Shape<Spot, ()> =
    spots!("j.state = 2", &["j.process", "j.queue", "j.sequence"], |store, row| take_job(store, row)
        .map(|(_, spot)| spot));
static DEAD: Shape<Spot, ()> =
    spots!("j.state = 3 AND j.rank = 0 AND j.by_boot = 0", &["j.queue", "j.sequence"], |store, row| {
        take_job(store, row).map(|(_, spot)| spot)
    });
static DONE: Shape<Spot, ()> = spots!(
    "j.state = 4 AND j.by_boot = 0",
    &["j.queue", "j.rank", "j.sequence"],
    |store, row| take_job(store, row).map(|(_, spot)| spot)
);
static KEYED: Shape<Spot, ()> =
    spots!("j.key IS NOT NULL", &["j.queue", "j.key", "j.sequence"], |store, row| {
        let ((queue, sequence), _) = take_job(store, row)?;
        let key: &str = Reading::at(row, 6).next()?;
        Ok(Spot::Keyed(queue, key.into(), sequence))
    });

fn parts_of(spot: &Spot) -> Vec<Param<'static>> {
    match spot {
        Spot::Ready(queue, rank, sequence) | Spot::Done(queue, rank, sequence) => {
            vec![Param::number(*queue), Param::Int(*rank), Param::number(*sequence)]
        }
        Spot::Delayed(queue, by_boot, rank, sequence) => {
            vec![
                Param::number(*queue),
                Param::Int((*by_boot).into()),
                Param::Int(*rank),
                Param::number(*sequence),
            ]
        }
        Spot::Claimed(process, queue, sequence) => {
            vec![Param::number(*process), Param::number(*queue), Param::number(*sequence)]
        }
        Spot::Dead(queue, sequence) => vec![Param::number(*queue), Param::number(*sequence)],
        Spot::Keyed(queue, key, sequence) => {
            vec![Param::number(*queue), Param::text(key), Param::number(*sequence)]
        }
    }
}

/// Ranges of spots begin and end among those of one sort.
pub(super) fn ask_spots(store: &mut Store, questions: &mut Vec<Question>) {
    for want in store.spots.wants() {
        let (Edge::Before(first) | Edge::After(first)) = &want.from else { continue };
        let shape = match first {
            Spot::Ready(..) => &READY,
            Spot::Delayed(..) => &DELAYED,
            Spot::Claimed(..) => &CLAIMED,
            Spot::Dead(..) => &DEAD,
            Spot::Done(..) => &DONE,
            Spot::Keyed(..) => &KEYED,
        };
        questions.push(shape.ask_range(want));
    }
}

pub(super) static SCHEDULES: Shape<(u64, Name), Schedule> = Shape {
    select: "SELECT s.queue, s.name, s.revision, s.due, s.last, s.cron, s.zone, s.missed, s.priority, s.max_attempts, s.key,
        s.scope, s.schema, s.format, s.data, s.bytes, s.correlation, s.causation, s.actor, s.tenant FROM @schedule s WHERE true",
    keys: &["s.queue", "s.name"],
    table: |store| &mut store.schedules,
    parts: |(queue, name)| vec![Param::number(*queue), Param::text(name.as_str())],
    take: take_schedule,
    most: 1_024,
};

pub(super) static SCHEDULE_PLAN: Plan<(u64, Name), Schedule> = Plan {
    name: "schedule",
    columns: &[
        "queue",
        "name",
        "revision",
        "due",
        "last",
        "cron",
        "zone",
        "missed",
        "priority",
        "max_attempts",
        "key",
        "scope",
        "schema",
        "format",
        "data",
        "bytes",
        "correlation",
        "causation",
        "actor",
        "tenant",
    ],
    keys: 2,
    table: |store| &store.schedules,
    parts: |(queue, name)| vec![Param::number(*queue), Param::text(name.as_str())],
    write: |_, (queue, name), schedule, columns| {
        let Times { cron, zone, missed, job } = &*schedule.plan;
        columns
            .number(*queue)
            .text(name.as_str())
            .number(schedule.revision)
            .maybe(schedule.due)
            .maybe(schedule.last);
        columns.text(cron).text(zone).int(*missed as i64).int(job.priority);
        columns.maybe(job.max_attempts.map(i64::from)).maybe_text(job.key.as_ref().map(|key| &*key.text));
        columns
            .int(job.key.as_ref().map_or(0, |key| (key.scope == Scope::Kept).into()))
            .int(job.schema.into());
        columns.int(job.data.format().into()).data(&job.data).origin(job.origin.as_deref());
    },
    appended: false,
};

fn take_schedule(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let key = (row.number()?, Name::unchecked(row.next()?));
    let (revision, due, last) = (row.number()?, row.next()?, row.next()?);
    let (cron, zone): (&str, &str) = (row.next()?, row.next()?);
    let missed = if row.flag()? { Missed::Skip } else { Missed::Once };
    let (priority, max_attempts) = (row.next()?, row.next::<Option<i64>>()?);
    let (text, is_kept): (Option<&str>, bool) = (row.next()?, row.flag()?);
    let (schema, format) = (row.small()?, row.small()?);
    let (data, origin) = (row.data(format)?, row.origin()?);
    let scope = if is_kept { Scope::Kept } else { Scope::default() };
    let job = NewJob {
        data,
        schema,
        priority,
        start: Start::Now,
        key: text.map(|text| Key { text: text.into(), scope }),
        max_attempts: max_attempts.and_then(|most| u32::try_from(most).ok()),
        origin,
        dead: None,
    };
    let plan = Arc::new(Times { cron: cron.into(), zone: zone.into(), missed, job });
    store.schedules.fetched(key.clone(), Schedule { plan, revision, due, last });
    Ok(key)
}

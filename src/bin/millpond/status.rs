//! `status`: what is in the store, who uses it, who holds what and who waits, and whether all is well.

use millpond::blocking::Store;
use millpond::{Location, LockLine, Process, Progress, QueueNumbers, Summary, WriterState};
use serde_json::json;

use crate::failure::{Done, code};
use crate::lock;
use crate::projection::{self, Seen};
use crate::queue;
use crate::show::{Show, bytes, count, grouped, span};

/// Categories that are shown: the largest.
const CATEGORIES: usize = 10;

/// Locks that are shown to people: the first by name.
const LOCKS: usize = 20;

/// Queues that are shown to people: the first by name.
const QUEUES: usize = 20;

/// Projections that are shown to people: the first by name.
const PROJECTIONS: usize = 20;

/// A log is moved into the main file at 8 MB. One that has grown so large is kept from it.
const LONG_LOG: u64 = 64 << 20;

/// Everything that is shown.
struct Status {
    file: String,
    summary: Summary,
    /// Without the one that asks: it is in the store for as long as it takes to ask, and that is no news.
    processes: Vec<Process>,
    locks: Vec<LockLine>,
    queues: Vec<QueueNumbers>,
    projections: Vec<Seen>,
    /// What is not as it should be, in words for a person.
    troubles: Vec<String>,
}

pub(crate) fn status(store: &Store, show: &mut Show) -> Done<u8> {
    let inspect = store.inspect();
    let summary = inspect.summary()?;
    let mut processes = inspect.processes()?;
    processes.retain(|process| process.id != inspect.process());
    let locks = lock::lines(store)?;
    let queues = queue::lines(store)?;
    let projections = projection::lines(store)?;
    let file = match store.location() {
        Location::File(path) => path.display().to_string(),
        Location::Postgres(url) => url.to_string(),
        _ => "memory".to_owned(),
    };
    let mut troubles = writer_troubles(store);
    troubles.extend(processes.iter().filter_map(|process| process_trouble(process, &locks)));
    if summary.log_bytes > LONG_LOG {
        let log = bytes(summary.log_bytes);
        troubles.push(format!(
            "the log has grown to {log}: a reader that does not end, or checkpoints that fail"
        ));
    }
    let status = Status { file, summary, processes, locks, queues, projections, troubles };
    if show.is_json() {
        show.json(&as_json(&status))?
    } else {
        print(&status, show)?
    }
    Ok(code::DONE)
}

/// What this process's own writer has met. A process that keeps the turn is met before, when the store is opened.
fn writer_troubles(store: &Store) -> Vec<String> {
    let health = store.health();
    if health.is_good() {
        return Vec::new();
    }
    let trouble = match health.writer {
        WriterState::WaitingForTurn { process, waited } => format!("{process}, for {waited:?} at least"),
        WriterState::InStorage { waited } => format!("the disk has not answered for {waited:?}"),
        WriterState::Poisoned { error } => error.to_string(),
        _ => "there is no room for calls".to_owned(),
    };
    vec![trouble]
}

/// A process that is not well, or not what it seems.
fn process_trouble(process: &Process, locks: &[LockLine]) -> Option<String> {
    let named = process.identity.named(process.id);
    if process.lent {
        let held = count(process.holds, "lock", "locks");
        return Some(format!("{named} has ended, and what it started goes on and keeps {held}"));
    }
    let holders = locks.iter().flat_map(|line| &line.holders);
    let ended = holders.filter(|holder| holder.void && holder.grant.process == process.id).count() as u64;
    (process.alive && ended > 0).then(|| {
        let leases = count(ended, "lease", "leases");
        let silent = span(process.silent_ms);
        format!(
            "{named} is alive and has let {leases} end, silent for {silent}: it is stopped, or its disk hangs"
        )
    })
}

fn largest(summary: &Summary) -> Vec<&(String, u64)> {
    let mut categories: Vec<_> = summary.categories.iter().collect();
    categories.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    categories.truncate(CATEGORIES);
    categories
}

fn as_json(status: &Status) -> serde_json::Value {
    let Status { file, summary, processes, locks, queues, projections, troubles } = status;
    let categories: Vec<_> = largest(summary)
        .into_iter()
        .map(|(category, streams)| json!({"category": category, "streams": streams}))
        .collect();
    let processes: Vec<_> = processes
        .iter()
        .map(|process| {
            json!({
                "id": process.id,
                "pid": process.identity.pid,
                "program": process.identity.program,
                "host": process.identity.host,
                "alive": process.alive,
                "lent": process.lent,
                "silent_ms": process.silent_ms,
                "holds": process.holds,
                "waits": process.waits,
            })
        })
        .collect();
    json!({
        "file": file,
        "file_bytes": summary.file_bytes,
        "log_bytes": summary.log_bytes,
        "schema": summary.schema,
        "streams": summary.streams,
        "events": summary.events,
        "head": summary.head,
        "snapshots": summary.snapshots,
        "logs": summary.logs,
        "channels": summary.channels,
        "dicts": summary.dicts,
        "lists": summary.lists,
        "blobs": summary.blobs,
        "blob_bytes": summary.blob_bytes,
        "blob_contents": summary.blob_contents,
        "queues": queues.iter().map(queue::numbers_as_json).collect::<Vec<_>>(),
        "projections": projections.iter().map(projection::as_json).collect::<Vec<_>>(),
        "locks_held": summary.locks_held,
        "tickets_waiting": summary.tickets_waiting,
        "categories": categories,
        "processes": processes,
        "locks": locks.iter().map(lock::as_json).collect::<Vec<_>>(),
        "health": {"good": troubles.is_empty(), "troubles": troubles},
    })
}

fn print(status: &Status, show: &mut Show) -> Done<()> {
    let Status { file, summary, processes, locks, queues, projections, troubles } = status;
    let log = bytes(summary.log_bytes);
    let facts = [
        ("store", file.to_owned()),
        ("size", format!("{}, and {log} in the log beside it", bytes(summary.file_bytes))),
        ("schema", summary.schema.to_string()),
        ("events", format!("{} in {}", grouped(summary.events), count(summary.streams, "stream", "streams"))),
        ("head", format!("position {}", summary.head)),
        ("snapshots", grouped(summary.snapshots)),
        (
            "feeds",
            format!(
                "{}, {}",
                count(summary.logs, "log", "logs"),
                count(summary.channels, "channel", "channels")
            ),
        ),
        ("dicts", grouped(summary.dicts)),
        ("lists", grouped(summary.lists)),
        ("blobs", blob_fact(summary)),
        ("queues", queue_fact(queues)),
        ("projections", projection_fact(projections)),
        ("locks", format!("{} held, {} waiting", summary.locks_held, summary.tickets_waiting)),
        (
            "processes",
            if processes.is_empty() { "none but this".into() } else { grouped(processes.len() as u64) },
        ),
        ("health", troubles.first().map_or("good", String::as_str).to_owned()),
    ];
    let more = troubles.iter().skip(1).map(|trouble| ("", trouble.clone()));
    for (name, fact) in facts.into_iter().chain(more) {
        show.line(&format!("{name:<13}{fact}"))?;
    }
    print_categories(summary, show)?;
    if !processes.is_empty() {
        show.line("")?;
        let rows = processes.iter().map(process_row).collect();
        let header = &["process", "program", "pid", "host", "state", "last heard of", "holds", "waits"];
        show.table(header, rows)?;
    }
    if !queues.is_empty() {
        show.line("")?;
        queue::table(queues.get(..QUEUES).unwrap_or(queues), show)?;
        let more = queues.len().saturating_sub(QUEUES);
        if more > 0 {
            show.line(&format!("and {}", count(more as u64, "more queue", "more queues")))?;
        }
    }
    if !projections.is_empty() {
        show.line("")?;
        projection::table(projections.get(..PROJECTIONS).unwrap_or(projections), show)?;
        let more = projections.len().saturating_sub(PROJECTIONS);
        if more > 0 {
            show.line(&format!("and {}", count(more as u64, "more projection", "more projections")))?;
        }
    }
    if !locks.is_empty() {
        show.line("")?;
        lock::table(locks.get(..LOCKS).unwrap_or(locks), show)?;
        let more = locks.len().saturating_sub(LOCKS);
        if more > 0 {
            show.line(&format!("and {}", count(more as u64, "more lock", "more locks")))?;
        }
    }
    Ok(())
}

/// All blobs in a few words.
fn blob_fact(summary: &Summary) -> String {
    let (all, size) = (grouped(summary.blobs), bytes(summary.blob_bytes));
    let unfinished = match summary.blob_contents {
        0 => String::new(),
        some => format!(", and {} being written or to be swept", grouped(some)),
    };
    format!("{all}, of {size}{unfinished}")
}

/// All queues in a few words.
fn queue_fact(queues: &[QueueNumbers]) -> String {
    let sum = |of: fn(&QueueNumbers) -> u64| grouped(queues.iter().map(of).sum());
    let (waiting, claimed) = (sum(|queue| queue.ready + queue.delayed), sum(|queue| queue.claimed));
    let dead = sum(|queue| queue.dead);
    format!("{}, with {waiting} waiting, {claimed} claimed, {dead} dead", grouped(queues.len() as u64))
}

/// All projections in a few words. One that is parked or paused is behind too, unless nothing has come since.
fn projection_fact(projections: &[Seen]) -> String {
    let number = |of: fn(&Progress) -> bool| {
        grouped(projections.iter().filter(|seen| of(seen.progress())).count() as u64)
    };
    let (parked, paused) = (number(Progress::is_parked), number(|progress| progress.paused));
    let (all, behind) = (grouped(projections.len() as u64), number(|progress| progress.lag() > 0));
    format!("{all}, with {parked} parked, {paused} paused, {behind} behind")
}

fn print_categories(summary: &Summary, show: &mut Show) -> Done<()> {
    if summary.categories.is_empty() {
        return Ok(());
    }
    let row = |(category, streams): &(String, u64)| vec![category.clone(), grouped(*streams)];
    show.line("")?;
    show.table(&["category", "streams"], largest(summary).into_iter().map(row).collect())?;
    let more = summary.categories.len().saturating_sub(CATEGORIES);
    if more > 0 {
        show.line(&format!("and {}", count(more as u64, "more category", "more categories")))?;
    }
    Ok(())
}

fn process_row(process: &Process) -> Vec<String> {
    let identity = &process.identity;
    let state = match (process.alive, process.lent) {
        (false, _) => "dead",
        (true, true) => "ended, outlived",
        (true, false) => "alive",
    };
    vec![
        process.id.to_string(),
        identity.program.clone(),
        identity.pid.to_string(),
        identity.host.clone(),
        state.to_owned(),
        format!("{} ago", span(process.silent_ms)),
        grouped(process.holds),
        grouped(process.waits),
    ]
}

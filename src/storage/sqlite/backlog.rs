//! What is read of queues: their numbers, what a claim would find, and jobs page by page.

use std::collections::HashMap;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::queue::{Job, Numbers, Options, Outlook, Page, Query};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::database;
use super::job::{columns, job};
use super::lease::{Judge, Lease};
use super::look_up::look_up;
use super::queue::{by_name, living_of};
use super::schedule;
use super::session::SqliteSession;

/// A queue's row and the numbers of its jobs, each from the index of their state.
macro_rules! numbers {
    ($($from:literal),+) => {
        concat!(
            "SELECT q.id, q.name, q.paused, q.max_attempts, q.keep_done, q.sequence,
            (SELECT count(*) FROM job INDEXED BY job_ready WHERE queue = q.id AND state = 0),
            (SELECT count(*) FROM job INDEXED BY job_delayed
                WHERE queue = q.id AND state = 1 AND due_boot IS NOT NULL)
            + (SELECT count(*) FROM job INDEXED BY job_timed
                WHERE queue = q.id AND state = 1 AND due_boot IS NULL),
            (SELECT count(*) FROM job INDEXED BY job_claimed WHERE state = 2 AND queue = q.id),
            (SELECT count(*) FROM job INDEXED BY job_dead WHERE queue = q.id AND state = 3),
            (SELECT count(*) FROM job INDEXED BY job_done WHERE queue = q.id AND state = 4)",
            $($from),+
        )
    };
}

const NUMBERS: &str =
    numbers!(", q.name = ?1 FROM queue i LEFT JOIN queue q ON q.id = i.id WHERE i.name = ?1");
const ALL_NUMBERS: &str = numbers!(" FROM queue q WHERE q.name > ?1 ORDER BY q.name LIMIT ?2");

/// One queue in numbers.
pub(super) fn numbers(connection: &Connection, name: &Name) -> Result<Option<Numbers>> {
    look_up(connection, NUMBERS, ("queue", name), [name.as_str()], read_numbers)
}

/// Queues in numbers, by name. No name is empty, so the empty one is before all.
pub(super) fn all_numbers(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<Numbers>> {
    let mut statement = connection.prepare_cached(ALL_NUMBERS).map_err(database)?;
    let rows = statement.query_map(params![after.unwrap_or(""), limit], read_numbers).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

fn read_numbers(row: &Row<'_>) -> rusqlite::Result<Numbers> {
    let (paused, max_attempts, keep_done_ms) = (row.get(2)?, row.get(3)?, row.get(4)?);
    Ok(Numbers {
        queue: row.get(0)?,
        name: row.get(1)?,
        options: Options { paused, max_attempts, keep_done_ms },
        pushed: row.get(5)?,
        ready: row.get(6)?,
        delayed: row.get(7)?,
        claimed: row.get(8)?,
        dead: row.get(9)?,
        done: row.get(10)?,
    })
}

const TOTALS: &str = "SELECT (SELECT count(*) FROM queue),
    (SELECT count(*) FROM job INDEXED BY job_ready WHERE state = 0)
    + (SELECT count(*) FROM job INDEXED BY job_delayed WHERE state = 1 AND due_boot IS NOT NULL)
    + (SELECT count(*) FROM job INDEXED BY job_timed WHERE state = 1 AND due_boot IS NULL)
    + (SELECT count(*) FROM job INDEXED BY job_claimed WHERE state = 2),
    (SELECT count(*) FROM job INDEXED BY job_dead WHERE state = 3)";

/// How many queues there are, how many jobs in them are to be done, and how many are dead.
pub(super) fn totals(connection: &Connection) -> Result<(u64, u64, u64)> {
    let mut statement = connection.prepare_cached(TOTALS).map_err(database)?;
    statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(database)
}

const CLAIMED_BY: &str =
    "SELECT process, count(*) FROM job INDEXED BY job_claimed WHERE state = 2 GROUP BY process";

/// How many jobs each process has claimed, be it dead.
pub(super) fn claimed_by(connection: &Connection) -> Result<HashMap<u64, u64>> {
    let mut statement = connection.prepare_cached(CLAIMED_BY).map_err(database)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

const IS_READY: &str =
    "SELECT EXISTS (SELECT 1 FROM job INDEXED BY job_ready WHERE queue = ?1 AND state = 0)";
const NEXT_DELAYED: &str = "SELECT min(due_boot) FROM job INDEXED BY job_delayed
    WHERE queue = ?1 AND state = 1 AND due_boot IS NOT NULL";
const NEXT_TIMED: &str = "SELECT min(due) FROM job INDEXED BY job_timed
    WHERE queue = ?1 AND state = 1 AND due_boot IS NULL";
const SHORTEST: &str = "SELECT min(ttl) FROM job INDEXED BY job_claimed
    WHERE state = 2 AND process = ?1 AND queue = ?2";

/// What a claim would find.
pub(super) fn outlook(judge: &Judge<'_>, name: &Name) -> Result<Option<Outlook>> {
    let connection = judge.connection;
    let Some(found) = by_name(connection, name.as_str())? else { return Ok(None) };
    let queue = found.id;
    let (fires, next_due_ms) = schedule::outlook(connection, queue, judge.now.wall_ms)?;
    if found.options.paused {
        return Ok(Some(Outlook { queue, claimable: false, next_ms: None, fires, next_due_ms }));
    }
    let now = judge.now;
    let number = |sql| -> Result<Option<i64>> {
        let mut statement = connection.prepare_cached(sql).map_err(database)?;
        statement.query_row([queue], |row| row.get(0)).map_err(database)
    };
    let mut waits_ms = Vec::new();
    if number(IS_READY)? == Some(1) {
        waits_ms.push(0);
    }
    if let Some(due) = number(NEXT_DELAYED)? {
        // Under another boot a claim has it go by the wall clock.
        let other_boot = judge.boot.is_some_and(|boot| boot != found.boot);
        waits_ms.push(if other_boot { 0 } else { due.unsigned_abs().saturating_sub(now.boot_ms) });
    }
    if let Some(due) = number(NEXT_TIMED)? {
        waits_ms.push(due.saturating_sub(now.wall_ms).max(0).unsigned_abs());
    }
    claims_end_in(judge, queue, &mut waits_ms)?;
    let next_ms = waits_ms.into_iter().min();
    let (claimable, next_ms) = (next_ms == Some(0), next_ms.filter(|ms| *ms > 0));
    Ok(Some(Outlook { queue, claimable, next_ms, fires, next_due_ms }))
}

/// When the first claim of each process ends unless that beats.
fn claims_end_in(judge: &Judge<'_>, queue: u64, waits_ms: &mut Vec<u64>) -> Result<()> {
    let mut next = judge.connection.prepare_cached(SqliteSession::NEXT_CLAIMANT).map_err(database)?;
    let mut shortest = judge.connection.prepare_cached(SHORTEST).map_err(database)?;
    let mut after = 0;
    loop {
        let process: Option<u64> = next.query_row([after], |row| row.get(0)).map_err(database)?;
        let Some(process) = process else { return Ok(()) };
        after = process;
        let ttl: Option<u64> =
            shortest.query_row([process, queue], |row| row.get(0)).optional().map_err(database)?.flatten();
        let Some(ttl) = ttl else { continue };
        let end = judge.beat(process)?.and_then(|beat| {
            // A claim is made in a commit of its process's own, so the beat is never older.
            judge.end(&Lease { process, granted_at: beat, ttl }, beat)
        });
        waits_ms.push(end.map_or(0, |end| end.saturating_sub(judge.now.boot_ms)));
    }
}

const JOBS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM job j WHERE queue = ?1 AND sequence >= ?2 AND (?3 IS NULL OR state = ?3) ORDER BY sequence LIMIT ?4"
);

/// One page of jobs by their numbers.
pub(super) fn page(connection: &Connection, query: &Query) -> Result<Page> {
    let mut page = Page::default();
    let Ok(from) = i64::try_from(query.from) else { return Ok(page) };
    let Some(found) = by_name(connection, query.queue.as_str())? else { return Ok(page) };
    let mut statement = connection.prepare_cached(JOBS).map_err(database)?;
    let state = query.state.map(|state| state as u8);
    // One more than wanted tells where the next page begins.
    let mut rows =
        statement.query(params![found.id, from, state, u64::from(query.limit) + 1]).map_err(database)?;
    let mut bytes = 0;
    while let Some(row) = rows.next().map_err(database)? {
        if page.jobs.len() >= query.limit as usize || bytes >= limits::PAGE_BYTES {
            page.next = Some(row.get(0).map_err(database)?);
            break;
        }
        let job: Result<Job> = job(query.queue.as_str(), row);
        bytes += job.as_ref().map_or(0, |job| job.data.bytes().len());
        page.jobs.push(job);
    }
    Ok(page)
}

/// The living job of a key.
pub(super) fn of_key(connection: &Connection, queue: &Name, key: &str) -> Result<Option<Job>> {
    let Some(found) = by_name(connection, queue.as_str())? else { return Ok(None) };
    let Some(from) = living_of(connection, found.id, key)? else { return Ok(None) };
    let query = Query { queue: queue.clone(), state: None, from, limit: 1 };
    page(connection, &query)?.jobs.into_iter().next().transpose()
}

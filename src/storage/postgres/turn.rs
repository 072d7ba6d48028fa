//! Whose turn it is to write, and who lives: advisory locks of the schema, number 0 for the turn and the id of each process for its
//! life. The turn's lock is the transaction's own, so that it is passed on by whatever ends that, and through a pooler too.

use std::collections::BTreeSet;

use millpond_actors::engine::Store;
use millpond_actors::error::{Occupant, Result};
use millpond_actors::storage::{Identity, Turn};
use tokio_postgres::Row;

use super::connection::{Connection, Step};
use super::error::odd;
use super::ground::Ground;
use super::param::{Param, Reading, signed};
use super::process::PROCESSES;
use super::settings;

/// What whoever has the turn reads first.
pub(super) struct Found {
    pub(super) generation: u64,
    pub(super) process: u64,
    pub(super) counters: Vec<i64>,
    /// How many processes there are.
    pub(super) processes: u64,
    pub(super) watched: bool,
    /// What the server's clock shows.
    pub(super) server_ms: i64,
}

/// How long a process has to come back to a server that was started anew, before it is taken for dead.
const RETURN_SECONDS: u64 = 5;

const FOUND: &str = "SELECT s.generation, s.process, s.counters, (SELECT count(*) FROM @process),
    EXISTS (SELECT 1 FROM @listener WHERE watching), (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM @store s";

/// How a transaction that writes is begun.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// Opens a transaction, takes the turn, and reads, at last the row of a process: each statement sees what was committed before it, so
/// the last ones see what whoever had the turn before has written.
pub(super) fn steps(ground: &Ground, wait: bool, process: u64) -> Vec<Step<'static>> {
    let (settings, oid) = (settings::writing(process, ground.careful), ground.place.oid);
    let take = if wait { "pg_advisory_xact_lock" } else { "pg_try_advisory_xact_lock" };
    let take = format!("SELECT {settings}, {take}({oid}, 0) AS got");
    let (begin, take) = (Step::new(BEGIN, Vec::new()), Step::new(take, Vec::new()));
    vec![begin, take, Step::new(FOUND, Vec::new()), PROCESSES.question(process).step]
}

/// Takes over the row of the process.
pub(super) fn take_own(store: &mut Store, answers: &[Vec<Row>], process: u64) -> Result<()> {
    let rows = answers.last().map_or(&[][..], Vec::as_slice);
    (PROCESSES.question(process).absorb)(store, rows)
}

/// Whether the turn was got, by whoever did not want to wait for it.
pub(super) fn got(answers: &[Vec<Row>]) -> Result<bool> {
    let row = answers.get(1).and_then(|rows| rows.first());
    let row = row.ok_or_else(|| odd("the server does not say whose turn it is"))?;
    row.try_get("got").map_err(|error| odd(&error.to_string()))
}

impl Found {
    pub(super) fn read(answers: &[Vec<Row>]) -> Result<Found> {
        let row = answers.get(2).and_then(|rows| rows.first());
        let mut row = Reading::of(row.ok_or_else(|| odd("the store has no row"))?);
        Ok(Found {
            generation: row.number()?,
            process: row.number()?,
            counters: row.next()?,
            processes: row.number()?,
            watched: row.next()?,
            server_ms: row.next()?,
        })
    }
}

/// The advisory locks of a schema.
fn locks(oid: i32) -> String {
    format!(
        "pg_locks l WHERE l.locktype = 'advisory' AND l.classid = {}::oid AND l.objsubid = 2 AND l.granted
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())",
        oid.cast_unsigned()
    )
}

/// Asks who lives: whoever has the lock of his id; and when the server of a store has just been started anew, whoever had come before
/// that, because it may be that he has not had the time to take his again.
pub(super) fn living(oid: i32) -> String {
    format!(
        "SELECT l.objid::bigint FROM {} AND l.objid <> 0::oid
        UNION SELECT p.id FROM @process p WHERE pg_postmaster_start_time() > now() - interval '{RETURN_SECONDS} s'
        AND p.came < pg_postmaster_start_time()",
        locks(oid)
    )
}

/// The same of those who are registered.
pub(super) fn registered(oid: i32) -> String {
    format!("SELECT l.id FROM ({}) AS l (id) WHERE l.id IN (SELECT id FROM @process)", living(oid))
}

pub(super) fn read_living(rows: &[Row]) -> Result<BTreeSet<u64>> {
    rows.iter().map(|row| Reading::of(row).number()).collect()
}

/// The turn that somebody else than this connection has.
pub(super) fn holder(line: &Connection, oid: i32) -> Result<Option<Turn>> {
    let held = locks(oid);
    let sql = format!(
        "SELECT h.transaction, h.process, p.pid, p.host, p.program, p.boot FROM (
            SELECT l.virtualtransaction AS transaction, (SELECT substring(a.application_name FROM '^millpond (\\d+)$')::bigint
                FROM pg_stat_activity a WHERE a.pid = l.pid) AS process
            FROM {held} AND l.objid = 0::oid AND l.pid <> pg_backend_pid()) h
        LEFT JOIN @process p ON p.id = h.process"
    );
    let rows = line.ask(&sql, Vec::new())?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut row = Reading::of(row);
    let (transaction, process): (&str, Option<u64>) = (row.next()?, row.maybe()?);
    let (pid, host, program, boot) = (
        row.maybe()?,
        row.next::<Option<String>>()?,
        row.next::<Option<String>>()?,
        row.next::<Option<String>>()?,
    );
    let known = process.zip(pid).zip(host.zip(program).zip(boot));
    let occupant = match (known, process) {
        (Some(((id, pid), ((host, program), boot))), _) => {
            let pid = u32::try_from(pid).unwrap_or_default();
            Occupant::Process(Identity { pid, host, program, boot }.named(id))
        }
        (None, None) => Occupant::Newcomer,
        (None, Some(_)) => Occupant::Unknown,
    };
    Ok(Some(Turn { occupant, number: number_of(transaction) }))
}

/// A transaction of a session, `3/217`, as a number.
fn number_of(transaction: &str) -> u64 {
    let (session, count) = transaction.split_once('/').unwrap_or_default();
    let (session, count): (u64, u64) = (session.parse().unwrap_or(0), count.parse().unwrap_or(0));
    session << 40 | count & ((1 << 40) - 1)
}

/// Rings where somebody waits. Only who rings is said, so that whoever looks for himself anyway need not be told of himself; what is
/// rung for in one transaction is heard once.
pub(super) fn ring(oid: i32, process: u64) -> Step<'static> {
    let sql = format!(
        "SELECT pg_notify('millpond_{}', $1::bigint::text) WHERE EXISTS (SELECT 1 FROM @listener WHERE waiting AND process <> $1::bigint)",
        oid.cast_unsigned()
    );
    Step::new(sql, vec![Param::Int(signed(process))])
}

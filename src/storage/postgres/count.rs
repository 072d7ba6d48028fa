//! What is counted by the server, so that what is counted need not be fetched.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::dict::Head;
use millpond_actors::storage::filter::Path;
use millpond_actors::storage::filter::plan::{MOST, Span};
use millpond_actors::storage::queue::{Numbers, State};
use millpond_actors::storage::{Moment, Summary, partition};
use tokio_postgres::Row;

use super::migrate::SCHEMA;
use super::param::{Blob, Param, Reading};
use super::transaction::Transaction;

/// The one number of an answer.
pub(super) fn of(rows: &[Row]) -> Result<u64> {
    rows.first().map_or(Ok(0), |row| Reading::of(row).number())
}

/// The rows of an index.
pub(super) const INDEXED: &str = "SELECT count(*) FROM @dict_indexed x JOIN @dict d ON d.id = x.dict
    WHERE d.name = $1 AND x.path = $2";

pub(super) fn indexed(dict: &Name, path: &Path) -> Vec<Param<'static>> {
    vec![Param::text(dict.as_str()), Param::text(&path.to_string())]
}

/// Those within a span, but not many more than are of interest.
pub(super) fn span(dict: &Name, path: &Path, span: &Span) -> (String, Vec<Param<'static>>) {
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM @dict_indexed x WHERE x.dict = (SELECT d.id FROM @dict d WHERE d.name = $1)
        AND x.path = $2 AND x.value >= $3 AND x.value <= $4 LIMIT {}) found",
        MOST + 1
    );
    let mut params = indexed(dict, path);
    params.extend([&span.low, &span.high].map(|key| Param::Bytes(Blob(key.bytes().to_vec().into()))));
    (sql, params)
}

/// Counts the entries of a dict that are there at a moment.
pub(super) fn entries(transaction: &Transaction<'_>, dict: Head, now: Moment) -> Result<Head> {
    let sql = "SELECT count(*) FROM @dict_entry WHERE dict = $1 AND (ends_at IS NULL
        OR CASE WHEN boot = $2 THEN ends_boot > $3 ELSE ends_at > $4 END)";
    let boot = Param::Int(partition::number(transaction.boot()).cast_signed());
    let moment = [Param::number(now.boot_ms), Param::Int(now.wall_ms)];
    let params = [Param::number(dict.id), boot].into_iter().chain(moment).collect();
    Ok(Head { count: of(&transaction.ask(sql, params)?)?, ..dict })
}

/// Counts the jobs of a queue, by their states.
pub(super) fn jobs(transaction: &Transaction<'_>, mut numbers: Numbers) -> Result<Numbers> {
    let sql = "SELECT state, count(*) FROM @job WHERE queue = $1 GROUP BY state";
    for row in &transaction.ask(sql, vec![Param::number(numbers.queue)])? {
        let mut row = Reading::of(row);
        let (state, count) = (row.small()?, row.number()?);
        match u8::try_from(state).ok().and_then(State::of) {
            Some(State::Ready) => numbers.ready = count,
            Some(State::Delayed) => numbers.delayed = count,
            Some(State::Claimed) => numbers.claimed = count,
            Some(State::Dead) => numbers.dead = count,
            Some(State::Done) => numbers.done = count,
            None => {}
        }
    }
    Ok(numbers)
}

/// What others have committed, and the last process that there was.
pub(super) const PULSE: &str =
    "SELECT coalesce((SELECT sum(last_group) FROM @process WHERE id <> $1), 0)::bigint, process FROM @store";

const SUMMARY: &str = "SELECT (SELECT count(*) FROM @stream), s.counters[1], (SELECT count(*) FROM @snapshot),
    (SELECT count(*) FROM @feed WHERE kind = 1), (SELECT count(*) FROM @feed WHERE kind = 2), (SELECT count(*) FROM @dict),
    (SELECT count(*) FROM @list), (SELECT coalesce(sum(count), 0)::bigint FROM @blobs),
    (SELECT coalesce(sum(bytes), 0)::bigint FROM @blobs), (SELECT count(*) FROM @blob_content), (SELECT count(*) FROM @lock),
    (SELECT count(*) FROM @queue), (SELECT count(*) FROM @job WHERE state < 3), (SELECT count(*) FROM @job WHERE state = 3),
    (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind = 'r') FROM @store s";

const CATEGORIES: &str = "SELECT split_part(name, '-', 1) COLLATE \"C\" AS category, count(*) FROM @stream
    GROUP BY category ORDER BY category LIMIT 100";

/// Counts all that lies in a schema.
pub(super) fn summary(transaction: &Transaction<'_>, schema: &str) -> Result<Summary> {
    let rows = transaction.ask(SUMMARY, vec![Param::text(schema)])?;
    let categories = transaction.ask(CATEGORIES, Vec::new())?;
    let Some(row) = rows.first() else { return Ok(Summary::default()) };
    let mut row = Reading::of(row);
    let category = |row: &Row| -> Result<(String, u64)> {
        let mut row = Reading::of(row);
        Ok((row.next()?, row.number()?))
    };
    let (streams, head) = (row.number()?, row.number()?);
    Ok(Summary {
        streams,
        // Positions have no gaps, and events are never removed.
        events: head,
        head,
        categories: categories.iter().map(category).collect::<Result<_>>()?,
        snapshots: row.number()?,
        logs: row.number()?,
        channels: row.number()?,
        dicts: row.number()?,
        lists: row.number()?,
        blobs: row.number()?,
        blob_bytes: row.number()?,
        blob_contents: row.number()?,
        locks: row.number()?,
        queues: row.number()?,
        jobs: row.number()?,
        jobs_dead: row.number()?,
        file_bytes: row.number()?,
        schema: SCHEMA,
        ..Summary::default()
    })
}

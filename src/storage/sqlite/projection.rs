//! Projections: a row a generation, or a partition of one, with its checkpoint and what is wanted of it.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::projection::{
    Advance, Advanced, Begin, Failure, Promote, Seen, Standing, Want, Wanted,
};
use rusqlite::{Connection, Params, Row, params};

use super::error::database;
use super::session::SqliteSession;

/// The columns that [`standing`] reads, in its order.
macro_rules! columns {
    () => {
        "name, generation, partition, partitions, revision, position, handled, begun, paused, reason, attempts,
         parked"
    };
}

fn standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let reason: Option<String> = row.get(9)?;
    let (attempts, parked) = (row.get(10)?, row.get(11)?);
    Ok(Standing {
        name: row.get(0)?,
        generation: row.get(1)?,
        partition: Partition { index: row.get(2)?, of: row.get(3)? },
        revision: row.get(4)?,
        position: row.get(5)?,
        handled: row.get(6)?,
        begun: row.get(7)?,
        paused: row.get(8)?,
        failure: reason.map(|reason| Failure { reason: reason.into(), attempts, parked }),
    })
}

fn standings(connection: &Connection, sql: &'static str, values: impl Params) -> Result<Vec<Standing>> {
    let mut statement = connection.prepare_cached(sql).map_err(database)?;
    let rows = statement.query_map(values, standing).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

const OF_NAME: &str =
    concat!("SELECT ", columns!(), " FROM projection WHERE name = ?1 ORDER BY generation, partition");

/// The generations of a projection, the one that is read first.
pub(super) fn find(connection: &Connection, name: &Name) -> Result<Vec<Standing>> {
    standings(connection, OF_NAME, [name.as_str()])
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM projection WHERE name IN (SELECT DISTINCT name FROM projection WHERE ?1 IS NULL OR name > ?1
        ORDER BY name LIMIT ?2) ORDER BY name, generation, partition"
);

/// Up to so many projections behind a name, each with all its generations.
pub(super) fn list(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<Standing>> {
    standings(connection, LIST, params![after, limit])
}

impl SqliteSession {
    const PUT_GENERATION: &str = "INSERT INTO projection
        (name, generation, partition, partitions, revision, position, handled, begun, paused, attempts, parked)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, 0, 0)";
    const ADVANCE: &str = "UPDATE projection SET position = ?4, handled = handled + ?5, begun = begun OR ?6,
        reason = ?7, attempts = ?8, parked = ?9 WHERE name = ?1 AND generation = ?2 AND partition = ?3";
    const FORGET_OLDER: &str = "DELETE FROM projection WHERE name = ?1 AND generation < ?2";
    const FORGET_NEWER: &str = "DELETE FROM projection WHERE name = ?1 AND generation > ?2";
    const PAUSE: &str = "UPDATE projection SET revision = ?2, paused = 1 WHERE name = ?1";
    const RESUME: &str =
        "UPDATE projection SET revision = ?2, paused = 0, reason = NULL, attempts = 0, parked = 0
        WHERE name = ?1";
    const REVISE: &str = "UPDATE projection SET revision = ?2 WHERE name = ?1";

    /// Makes a projection, or finds out how it stands.
    pub(super) fn begin_projection(&mut self, begin: &Begin) -> Result<Vec<Standing>> {
        let found = find(&self.connection, &begin.name)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let revision = self.take_ticket()?;
        self.put_generation(&begin.name, (1, begin.partitions), (revision, begin.position, false))?;
        find(&self.connection, &begin.name)
    }

    /// Moves a checkpoint.
    pub(super) fn advance(&mut self, advance: &Advance) -> Result<Advanced> {
        let Advance { seen, to, handled, begun, failure } = advance;
        if let Some(refused) = self.refused(seen)? {
            return Ok(refused);
        }
        if *to < seen.position {
            return Ok(Advanced::Stale);
        }
        let failure = failure.as_ref();
        let (reason, attempts) = (failure.map(|f| &*f.reason), failure.map_or(0, |f| f.attempts));
        let parked = failure.is_some_and(|f| f.parked);
        let values = params![
            seen.name.as_str(),
            seen.generation,
            seen.partition,
            to,
            handled,
            begun,
            reason,
            attempts,
            parked
        ];
        self.change_rows(Self::ADVANCE, values)?;
        Ok(Advanced::Done)
    }

    /// Has the newer generation be read.
    pub(super) fn promote(&mut self, promote: &Promote) -> Result<Advanced> {
        let seen = &promote.seen;
        if let Some(refused) = self.refused(seen)? {
            return Ok(refused);
        }
        let all = find(&self.connection, &seen.name)?;
        let is_newest = all.last().is_some_and(|last| last.generation == seen.generation);
        let is_ahead = all.iter().all(|other| other.position <= seen.position);
        let has_older = all.iter().any(|other| other.generation < seen.generation);
        if !is_newest || !is_ahead || !has_older {
            return Ok(Advanced::Stale);
        }
        self.change_rows(Self::FORGET_OLDER, params![seen.name.as_str(), seen.generation])?;
        Ok(Advanced::Done)
    }

    /// Writes down what is wanted.
    pub(super) fn want(&mut self, want: &Want) -> Result<bool> {
        let all = find(&self.connection, &want.name)?;
        let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(false) };
        let (name, revision) = (want.name.as_str(), self.take_ticket()?);
        let next = |position| (last.generation + 1, (revision, position, last.paused));
        let new = match want.wanted.of(last.partition.of) {
            Wanted::Pause => {
                self.change_rows(Self::PAUSE, params![name, revision])?;
                None
            }
            Wanted::Resume => {
                self.change_rows(Self::RESUME, params![name, revision])?;
                None
            }
            Wanted::Rebuild(position) => {
                self.change_rows(Self::FORGET_NEWER, params![name, first.generation])?;
                self.change_rows(Self::REVISE, params![name, revision])?;
                Some(next(position))
            }
            Wanted::Reset(position) => {
                self.change_rows(Self::FORGET_NEWER, params![name, 0])?;
                Some(next(position))
            }
            Wanted::Remove => {
                self.change_rows(Self::FORGET_NEWER, params![name, 0])?;
                None
            }
        };
        if let Some((generation, row)) = new {
            self.put_generation(&want.name, (generation, last.partition.of), row)?;
        }
        Ok(true)
    }

    /// Why a generation is not to be changed by whoever has seen it so.
    fn refused(&self, seen: &Seen) -> Result<Option<Advanced>> {
        if !self.fence_holds(&seen.fence)? {
            return Ok(Some(Advanced::Fenced));
        }
        let all = find(&self.connection, &seen.name)?;
        let is_it = |found: &&Standing| {
            (found.generation, found.partition.index) == (seen.generation, seen.partition)
        };
        let found = all.iter().find(is_it);
        let stands = found.is_some_and(|it| it.revision == seen.revision && it.position == seen.position);
        Ok((!stands).then_some(Advanced::Stale))
    }

    fn put_generation(
        &self,
        name: &Name,
        (generation, of): (u64, u32),
        (revision, position, paused): (u64, u64, bool),
    ) -> Result<()> {
        Partition::each(of).try_for_each(|Partition { index, of }| {
            let values = params![name.as_str(), generation, index, of, revision, position, paused];
            self.change_rows(Self::PUT_GENERATION, values)
        })
    }

    fn change_rows(&self, sql: &'static str, values: impl Params) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
        statement.execute(values).map_err(database)?;
        Ok(())
    }
}

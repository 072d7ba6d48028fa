//! Projections of a dump: how far they have come in the events, if those are there.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::projection::{Failure, Standing};
use millpond_actors::storage::record::{Onto, Put, Refusal};
use rusqlite::params;

use super::super::error::database;
use super::super::projection;
use super::super::session::SqliteSession;

impl SqliteSession {
    const PUT_PROJECTION: &str = "INSERT INTO projection (name, generation, partition, partitions, revision,
        position, handled, begun, paused, reason, attempts, parked)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    const FORGET_IT: &str = "DELETE FROM projection WHERE name = ?1";

    /// Puts a projection back. Generations only grow.
    pub(super) fn put_projection(
        &mut self,
        (onto, head): (Onto, u64),
        name: &Name,
        rows: &[Standing],
    ) -> Result<Put> {
        if rows.iter().any(|row| row.position.min(head) > self.counters.position) {
            return Ok(Put::Refused(Refusal::Beyond));
        }
        let before = projection::find(&self.connection, name)?;
        let last = match (before.last(), onto) {
            (Some(_), Onto::Nothing) => return Ok(Put::Refused(Refusal::Exists)),
            (Some(_), Onto::Append) => return Ok(Put::Known),
            (Some(last), Onto::Replace) => last.generation,
            (None, _) => 0,
        };
        let mut statement = self.connection.prepare_cached(Self::FORGET_IT).map_err(database)?;
        statement.execute([name.as_str()]).map_err(database)?;
        drop(statement);
        let revision = self.take_ticket()?;
        let mut statement = self.connection.prepare_cached(Self::PUT_PROJECTION).map_err(database)?;
        for row in rows {
            let Standing { generation, partition, position, handled, begun, paused, failure, .. } = row;
            let failure = failure.as_ref();
            let reason = failure.map(|Failure { reason, .. }| &**reason);
            let attempts = failure.map_or(0, |failure| failure.attempts);
            let parked = failure.is_some_and(|failure| failure.parked);
            let values = params![
                name.as_str(),
                last + generation,
                partition.index,
                partition.of,
                revision,
                position,
                handled,
                begun,
                paused,
                reason,
                attempts,
                parked,
            ];
            statement.execute(values).map_err(database)?;
        }
        Ok(Put::Written(None))
    }
}

//! Queues of a dump, with their schedules and jobs. Nobody has claimed any.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::Target;
use millpond_actors::storage::change::{Changed, Primitive};
use millpond_actors::storage::queue::{Job, Options};
use millpond_actors::storage::record::{self, Base, Onto, Put, Refusal};
use millpond_actors::storage::schedule::Schedule;
use rusqlite::params;

use super::super::data::data_column;
use super::super::error::database;
use super::super::job;
use super::super::origin::origin_columns;
use super::super::queue::{by_name, find, living_of};
use super::super::session::SqliteSession;

impl SqliteSession {
    const PUT_QUEUE: &str = "UPDATE queue SET sequence = ?2, paused = ?3, max_attempts = ?4, keep_done = ?5
        WHERE id = ?1";
    const EMPTY_QUEUE: [&str; 2] =
        ["DELETE FROM job WHERE queue = ?1", "DELETE FROM schedule WHERE queue = ?1"];

    /// Puts a queue back, without its jobs and schedules.
    pub(super) fn put_queue(
        &mut self,
        onto: Onto,
        name: &Name,
        sequence: u64,
        options: Options,
    ) -> Result<Put> {
        let target = Target { name: name.clone(), id: None };
        let is_new = find(&self.connection, &target)?.is_none();
        if !is_new && onto == Onto::Nothing {
            return Ok(Put::Refused(Refusal::Exists));
        }
        let found = self.queue_made(&target)?;
        if onto == Onto::Replace {
            for sql in Self::EMPTY_QUEUE {
                let mut statement = self.connection.prepare_cached(sql).map_err(database)?;
                statement.execute([found.id]).map_err(database)?;
            }
        }
        let kept = if is_new || onto == Onto::Replace { options } else { found.options };
        let last = record::behind(found.sequence, sequence, "the numbers of a queue's jobs")?;
        let mut statement = self.connection.prepare_cached(Self::PUT_QUEUE).map_err(database)?;
        let Options { paused, max_attempts, keep_done_ms } = kept;
        statement.execute(params![found.id, last, paused, max_attempts, keep_done_ms]).map_err(database)?;
        Ok(Put::Placed(Base { shift: found.sequence.cast_signed(), ..Base::NONE }))
    }

    const HOW_MANY: &str = "SELECT count(*) FROM schedule WHERE queue = ?1 AND name <> ?2";

    /// Puts a schedule back, in place of one that is there.
    pub(super) fn put_schedule_back(&mut self, queue: &Name, schedule: &Schedule) -> Result<Put> {
        let Some(found) = by_name(&self.connection, queue.as_str())? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        let mut statement = self.connection.prepare_cached(Self::HOW_MANY).map_err(database)?;
        let others: u64 =
            statement.query_row(params![found.id, schedule.name], |row| row.get(0)).map_err(database)?;
        drop(statement);
        if others >= limits::SCHEDULES as u64 {
            return Ok(Put::Refused(Refusal::Full));
        }
        let revision = self.take_ticket()?;
        self.put_schedule((found.id, queue.as_str()), &Schedule { revision, ..schedule.clone() })?;
        Ok(Put::Written(None))
    }

    const PUT_JOB: &str = "INSERT INTO job (queue, sequence, state, priority, attempts, max_attempts, key,
        pushed_at, due, due_boot, token, process, granted_at, ttl, ended_at, reason, schema, format, crc, data,
        correlation, causation, actor, tenant)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, 0, 0, 0, 0, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
        ?18, ?19)";

    /// Puts a job back, unless a living one has its key.
    pub(super) fn put_job_back(&mut self, queue: &Name, job: &Job) -> Result<Put> {
        let Some(found) = by_name(&self.connection, queue.as_str())? else {
            return Ok(Put::Refused(Refusal::Orphan));
        };
        if let Some(key) = &job.key
            && job.state.is_live()
            && living_of(&self.connection, found.id, key)?.is_some()
        {
            return Ok(Put::Known);
        }
        let [correlation, causation, actor, tenant] = origin_columns(job.origin.as_deref());
        let mut statement = self.connection.prepare_cached(Self::PUT_JOB).map_err(database)?;
        let values = params![
            found.id,
            job.sequence,
            job.state as u8,
            job.priority,
            job.attempts,
            job.max_attempts,
            job.key,
            job.pushed_at,
            job.due,
            job.ended_at,
            job.reason,
            job.schema,
            job.data.format(),
            job::sum(queue.as_str(), job),
            data_column(&job.data),
            correlation,
            causation,
            actor,
            tenant,
        ];
        statement.execute(values).map_err(database)?;
        drop(statement);
        // What is due already is not known to be shown any more.
        self.written.shown = None;
        let (row, sequence) = (found.id, Some(job.sequence));
        Ok(Put::Written(Some(Changed { primitive: Primitive::Queue, row, sequence, key: None })))
    }
}

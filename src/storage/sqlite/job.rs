//! The rows of jobs: how they are read and checked, and what is written when a job goes from one state to another.

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::queue::{
    DIED, Due, EXPIRED, Job, NewJob, Purge, Purged, Recall, Recalled, Receipt, Revive, Revived, State, What,
    Which,
};
use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension, Row, params};

use super::data::{data_column, data_from};
use super::error::{corrupt, database};
use super::origin::{origin_columns, origin_from};
use super::queue::{Found, find, living_of};
use super::session::SqliteSession;

/// The columns of a job that [`job`] reads, in its order.
macro_rules! columns {
    () => {
        "j.sequence, j.state, j.priority, j.attempts, j.max_attempts, j.key, j.pushed_at, j.due, j.process, j.ended_at,
        j.reason, j.schema, j.format, j.crc, j.data, j.correlation, j.causation, j.actor, j.tenant"
    };
}
pub(super) use columns;

/// The job of a row, if the row is sound.
pub(super) fn job(queue: &str, row: &Row<'_>) -> Result<Job> {
    let sequence: u64 = row.get(0).map_err(database)?;
    let odd = |detail: String| corrupt("job", queue, sequence, detail);
    let state = State::of(column(row, 1, queue, sequence)?).ok_or_else(|| odd("it has no state".into()))?;
    let format: u8 = column(row, 12, queue, sequence)?;
    let data = data_from(format, row.get_ref(14).map_err(database)?)
        .ok_or_else(|| odd("its data is not of its format".into()))?;
    let claimed = state == State::Claimed;
    let job = Job {
        sequence,
        state,
        priority: column(row, 2, queue, sequence)?,
        attempts: column(row, 3, queue, sequence)?,
        max_attempts: column(row, 4, queue, sequence)?,
        key: column::<Option<String>>(row, 5, queue, sequence)?.map(Into::into),
        pushed_at: column(row, 6, queue, sequence)?,
        due: column(row, 7, queue, sequence)?,
        process: Some(column(row, 8, queue, sequence)?).filter(|_| claimed),
        ended_at: column(row, 9, queue, sequence)?,
        reason: column::<Option<String>>(row, 10, queue, sequence)?.map(Into::into),
        schema: column(row, 11, queue, sequence)?,
        data,
        origin: origin_from(row, 15).map_err(|error| odd(error.to_string()))?,
    };
    let (stored, found): (u32, u32) = (column(row, 13, queue, sequence)?, sum(queue, &job));
    if found == stored {
        return Ok(job);
    }
    Err(odd(format!("its checksum is {found:08x}, stored is {stored:08x}")))
}

/// A column of the type that it was written with.
fn column<T: FromSql>(row: &Row<'_>, index: usize, queue: &str, sequence: u64) -> Result<T> {
    row.get(index).map_err(|error| corrupt("job", queue, sequence, error.to_string()))
}

/// What a job's checksum must be.
pub(super) fn sum(queue: &str, job: &Job) -> u32 {
    let (key, data) = (job.key.as_deref().unwrap_or(""), &job.data);
    checksum::record(Kind::Job, queue, job.sequence, key, data.format(), job.schema, data.bytes())
}

/// A job that this process has claimed.
#[derive(Debug)]
pub(super) struct Held {
    /// This is its last attempt.
    pub(super) is_last: bool,
    /// How long its queue keeps what is done.
    pub(super) keep_done_ms: u64,
}

impl SqliteSession {
    const PUT: &str =
        "INSERT INTO job (queue, sequence, state, priority, attempts, max_attempts, key, pushed_at,
        due, due_boot, token, process, granted_at, ttl, ended_at, reason, schema, format, crc, data, correlation,
        causation, actor, tenant)
        VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0, ?18, ?19, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

    /// Writes a new job under the last number of its queue.
    pub(super) fn put_job(&self, queue: &str, found: &Found, job: &NewJob, due: Option<Due>) -> Result<()> {
        let NewJob { data, schema, priority, key, max_attempts, .. } = job;
        let key = key.as_ref().map(|key| &*key.text);
        let (name, number, format) = (key.unwrap_or(""), found.sequence, data.format());
        let crc = checksum::record(Kind::Job, queue, number, name, format, *schema, data.bytes());
        let due = due.filter(|_| job.dead.is_none());
        let state = match due {
            _ if job.dead.is_some() => State::Dead,
            Some(_) => State::Delayed,
            None => State::Ready,
        };
        let [correlation, causation, actor, tenant] = origin_columns(job.origin.as_deref());
        let mut statement = self.connection.prepare_cached(Self::PUT).map_err(database)?;
        statement
            .execute(params![
                found.id,
                number,
                state as u8,
                priority,
                max_attempts.unwrap_or(found.options.max_attempts),
                key,
                self.now.wall_ms,
                due.map(|due| due.wall_ms),
                due.and_then(|due| due.boot_ms),
                schema,
                format,
                crc,
                data_column(data),
                correlation,
                causation,
                actor,
                tenant,
                job.dead.as_ref().map(|_| self.now.wall_ms),
                job.dead,
            ])
            .map(drop)
            .map_err(database)
    }

    // The row itself is asked whether it is where the index says; what is left of a lost one is its place in the index.
    const READY: &str = concat!(
        "SELECT ",
        columns!(),
        ", i.sequence, i.priority IS j.priority AND j.state IS 0
        FROM job i INDEXED BY job_ready LEFT JOIN job j ON j.queue = i.queue AND j.sequence = i.sequence
        WHERE i.queue = ?1 AND i.state = 0 ORDER BY i.priority, i.sequence LIMIT ?2"
    );

    /// The first jobs that an index says to be ready, each with its number; an error inside if it is damaged.
    pub(super) fn ready_jobs(&self, name: &str, queue: u64, most: u32) -> Result<Vec<(u64, Result<Job>)>> {
        let mut statement = self.connection.prepare_cached(Self::READY).map_err(database)?;
        let mut rows = statement.query(params![queue, most]).map_err(database)?;
        let mut ready = Vec::new();
        while let Some(row) = rows.next().map_err(database)? {
            let (sequence, is_there) = (row.get(19).map_err(database)?, row.get(20).map_err(database)?);
            // What the index says cannot be mended by another state.
            let elsewhere = || corrupt("job", name, sequence, "an index leads to it where it is not");
            ready.push((sequence, if is_there { job(name, row) } else { return Err(elsewhere()) }));
        }
        Ok(ready)
    }

    /// As its claimant sees it.
    pub(super) fn claimed(&self, job: Job) -> Job {
        let (state, attempts) = (State::Claimed, job.attempts.saturating_add(1));
        Job { state, attempts, process: Some(self.own.id), due: None, ..job }
    }

    const HOLD: &str = "UPDATE job SET state = 2, attempts = attempts + 1, token = ?3, process = ?4,
        granted_at = ?5, ttl = ?6 WHERE queue = ?1 AND sequence = ?2";

    /// Writes a claim. The attempt counts from now on.
    pub(super) fn hold_job(&self, receipt: &Receipt, ttl_ms: u64) -> Result<()> {
        let Receipt { queue, sequence, token } = *receipt;
        let mut statement = self.connection.prepare_cached(Self::HOLD).map_err(database)?;
        let values = [queue, sequence, token, self.own.id, self.now.boot_ms, ttl_ms];
        statement.execute(values).map(drop).map_err(database)
    }

    const HELD: &str = "SELECT j.attempts >= j.max_attempts, q.keep_done
        FROM job j JOIN queue q ON q.id = j.queue
        WHERE j.queue = ?1 AND j.sequence = ?2 AND j.state = 2 AND j.token = ?3 AND j.process = ?4";

    /// The job of a claim, if that is the current one. What of ours had ended was given up when we began.
    pub(super) fn held_job(&self, receipt: &Receipt) -> Result<Option<Held>> {
        let Receipt { queue, sequence, token } = *receipt;
        let mut statement = self.connection.prepare_cached(Self::HELD).map_err(database)?;
        let held = statement.query_row([queue, sequence, token, self.own.id], |row| {
            Ok(Held { is_last: row.get(0)?, keep_done_ms: row.get(1)? })
        });
        held.optional().map_err(database)
    }

    const DONE: &str = "DELETE FROM job
        WHERE queue = ?1 AND sequence = ?2 AND state = 2 AND token = ?3 AND process = ?4
        AND (SELECT keep_done FROM queue WHERE id = ?1) = 0";

    /// Removes the job of a claim, if that is the current one and its queue keeps nothing that is done. Whether it was so.
    pub(super) fn drop_done(&self, receipt: &Receipt) -> Result<bool> {
        let Receipt { queue, sequence, token } = *receipt;
        let mut statement = self.connection.prepare_cached(Self::DONE).map_err(database)?;
        Ok(statement.execute([queue, sequence, token, self.own.id]).map_err(database)? == 1)
    }

    const SHOW_AGAIN: &str =
        "UPDATE job SET state = ?3, attempts = attempts - ?4, reason = ifnull(?5, reason),
        due = ?6, due_boot = ?7, token = 0, process = 0 WHERE queue = ?1 AND sequence = ?2";

    /// Has a job tried again, now or when it is due, with so many attempts uncounted.
    pub(super) fn show_again(
        &self,
        (queue, sequence): (u64, u64),
        uncounted: u32,
        reason: Option<&str>,
        due: Option<Due>,
    ) -> Result<()> {
        let state = if due.is_some() { State::Delayed } else { State::Ready };
        let (wall, boot) = (due.map(|due| due.wall_ms), due.and_then(|due| due.boot_ms));
        let mut statement = self.connection.prepare_cached(Self::SHOW_AGAIN).map_err(database)?;
        let values = params![queue, sequence, state as u8, uncounted, reason, wall, boot];
        statement.execute(values).map(drop).map_err(database)
    }

    const BURY_JOB: &str =
        "UPDATE job SET state = 3, reason = ?3, ended_at = ?4, due = NULL, due_boot = NULL,
        token = 0, process = 0 WHERE queue = ?1 AND sequence = ?2";

    /// Puts a job among the dead letters.
    pub(super) fn bury_job(&self, (queue, sequence): (u64, u64), reason: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::BURY_JOB).map_err(database)?;
        statement.execute(params![queue, sequence, reason, self.now.wall_ms]).map(drop).map_err(database)
    }

    const KEEP_DONE: &str = "UPDATE job SET state = 4, ended_at = ?3, token = 0, process = 0
        WHERE queue = ?1 AND sequence = ?2";

    pub(super) fn keep_done(&self, (queue, sequence): (u64, u64)) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::KEEP_DONE).map_err(database)?;
        statement.execute(params![queue, sequence, self.now.wall_ms]).map(drop).map_err(database)
    }

    const DROP: &str = "DELETE FROM job WHERE queue = ?1 AND sequence = ?2";

    /// Removes a job; whether it was there.
    pub(super) fn drop_job(&self, (queue, sequence): (u64, u64)) -> Result<bool> {
        let mut statement = self.connection.prepare_cached(Self::DROP).map_err(database)?;
        Ok(statement.execute([queue, sequence]).map_err(database)? == 1)
    }

    const SWEEP_DONE: &str = "DELETE FROM job WHERE queue = ?1 AND sequence IN (SELECT sequence
        FROM job INDEXED BY job_done WHERE queue = ?1 AND state = 4 AND ended_at <= ?2
        ORDER BY ended_at, sequence LIMIT ?3)";

    /// Removes some of those that were kept for longer than they should. If there were none left, there are none until the
    /// transaction ends, which happens at one moment.
    pub(super) fn sweep_done(&mut self, queue: u64, keep_ms: u64) -> Result<()> {
        if self.written.swept == Some(queue) {
            return Ok(());
        }
        let last = self.now.wall_ms.saturating_sub_unsigned(keep_ms);
        let mut statement = self.connection.prepare_cached(Self::SWEEP_DONE).map_err(database)?;
        let swept = statement.execute(params![queue, last, limits::DONE_SWEPT]).map_err(database)?;
        self.written.swept = (swept < limits::DONE_SWEPT as usize).then_some(queue);
        Ok(())
    }

    const OWN_CLAIMS: &str = "SELECT sequence, token FROM job INDEXED BY job_claimed
        WHERE state = 2 AND process = ?1 AND queue = ?2 ORDER BY sequence";

    /// The claims of this process.
    pub(super) fn recall_claims(&self, recall: &Recall) -> Result<Recalled> {
        let Some(Found { id: queue, .. }) = find(&self.connection, &recall.queue)? else {
            return Ok(Recalled { claims: Vec::new() });
        };
        let mut statement = self.connection.prepare_cached(Self::OWN_CLAIMS).map_err(database)?;
        let rows = statement.query_map([self.own.id, queue], |row| {
            Ok(Receipt { queue, sequence: row.get(0)?, token: row.get(1)? })
        });
        let claims = rows.map_err(database)?.collect::<rusqlite::Result<_>>().map_err(database)?;
        Ok(Recalled { claims })
    }

    const DEAD: &str = "SELECT j.sequence, j.key FROM job i INDEXED BY job_dead
        JOIN job j ON j.queue = i.queue AND j.sequence = i.sequence AND j.state = 3
        WHERE i.queue = ?1 AND i.state = 3 AND i.sequence BETWEEN ?2 AND ?3 ORDER BY i.sequence LIMIT ?4";
    const REVIVE: &str = "UPDATE job SET state = 0, attempts = 0, ended_at = NULL, reason = NULL
        WHERE queue = ?1 AND sequence = ?2";

    /// Has dead letters tried again.
    pub(super) fn revive(&self, revive: &Revive) -> Result<Revived> {
        let mut revived = Revived::default();
        let Some(Found { id: queue, .. }) = find(&self.connection, &revive.queue)? else {
            return Ok(revived);
        };
        revived.queue = Some(queue);
        let (from, to) = match revive.which {
            Which::One(sequence) => (sequence, sequence),
            Which::From(sequence) => (sequence, limits::LAST_SEQUENCE),
        };
        let dead = self.dead_between(queue, from, to)?;
        if dead.len() == limits::JOBS_AT_ONCE as usize {
            revived.next = dead.last().map(|(last, _)| last + 1);
        }
        for (sequence, key) in dead {
            if let Some(text) = key
                && living_of(&self.connection, queue, &text)?.is_some()
            {
                revived.kept_out += 1;
                continue;
            }
            let mut statement = self.connection.prepare_cached(Self::REVIVE).map_err(database)?;
            statement.execute([queue, sequence]).map_err(database)?;
            revived.revived += 1;
        }
        Ok(revived)
    }

    fn dead_between(&self, queue: u64, from: u64, to: u64) -> Result<Vec<(u64, Option<Box<str>>)>> {
        let mut statement = self.connection.prepare_cached(Self::DEAD).map_err(database)?;
        let most = u64::from(limits::JOBS_AT_ONCE);
        let rows = statement.query_map([queue, from, to, most], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.map_err(database)?.collect::<rusqlite::Result<_>>().map_err(database)
    }

    const PURGE: &str = "DELETE FROM job WHERE queue = ?1 AND sequence IN
        (SELECT sequence FROM job WHERE queue = ?1 AND state = ?2 ORDER BY sequence LIMIT ?3)";

    /// Removes jobs.
    pub(super) fn purge(&self, purge: &Purge) -> Result<Purged> {
        let Some(Found { id: queue, .. }) = find(&self.connection, &purge.queue)? else {
            return Ok(Purged::default());
        };
        let one = match &purge.what {
            What::One(sequence) => Some(*sequence),
            What::Key(key) => living_of(&self.connection, queue, key)?,
            What::All(state) => return self.purge_all(queue, *state),
        };
        let removed = one.map_or(Ok(false), |sequence| self.drop_job((queue, sequence)))?;
        let one = one.filter(|_| removed);
        Ok(Purged { queue: Some(queue), removed: u64::from(removed), one, more: false })
    }

    fn purge_all(&self, queue: u64, state: State) -> Result<Purged> {
        let mut statement = self.connection.prepare_cached(Self::PURGE).map_err(database)?;
        let removed =
            statement.execute(params![queue, state as u8, limits::JOBS_AT_ONCE]).map_err(database)?;
        let more = removed == limits::JOBS_AT_ONCE as usize;
        Ok(Purged { queue: Some(queue), removed: removed as u64, one: None, more })
    }

    // With its last attempt a job goes to the dead letters.
    const GIVE_UP: &str = "UPDATE job SET state = iif(attempts < max_attempts, 0, 3), reason = ?2,
        ended_at = iif(attempts < max_attempts, NULL, ?3), token = 0, process = 0
        WHERE state = 2 AND process = ?1";

    /// Gives up all that a process has claimed.
    pub(super) fn give_up_of(&self, process: u64, reason: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::GIVE_UP).map_err(database)?;
        statement.execute(params![process, reason, self.now.wall_ms]).map(drop).map_err(database)
    }

    // A claim ends by the rule of all leases. It is never younger than its process's beat, but for one that this very
    // transaction has made; the index is asked for those that are short enough.
    const GIVE_UP_EXPIRED: &str = "UPDATE job SET state = iif(attempts < max_attempts, 0, 3), reason = ?2,
        ended_at = iif(attempts < max_attempts, NULL, ?3), token = 0, process = 0
        WHERE state = 2 AND process = ?1 AND ttl <= ?5 - ?4 AND max(granted_at, ?4) + ttl <= ?5";

    /// Gives up what a process has lost that beat last at `beat`.
    pub(super) fn give_up_expired_of(&self, process: u64, beat: u64) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::GIVE_UP_EXPIRED).map_err(database)?;
        let values = params![process, EXPIRED, self.now.wall_ms, beat, self.now.boot_ms];
        statement.execute(values).map(drop).map_err(database)
    }

    pub(super) const NEXT_CLAIMANT: &str =
        "SELECT min(process) FROM job INDEXED BY job_claimed WHERE state = 2 AND process > ?1";

    /// Gives up what others have lost, once a transaction: nobody's life changes in it.
    pub(super) fn give_up_void(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.written.gave_up, true) {
            return Ok(());
        }
        let mut after = 0;
        while let Some(process) = self.next_claimant(after)? {
            after = process;
            if process == self.own.id {
                continue;
            }
            match self.judge().beat(process)? {
                None => self.give_up_of(process, DIED)?,
                Some(beat) => self.give_up_expired_of(process, beat)?,
            }
        }
        Ok(())
    }

    fn next_claimant(&self, after: u64) -> Result<Option<u64>> {
        let mut statement = self.connection.prepare_cached(Self::NEXT_CLAIMANT).map_err(database)?;
        statement.query_row([after], |row| row.get(0)).map_err(database)
    }
}

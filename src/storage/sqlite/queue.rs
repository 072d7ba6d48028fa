//! Queues: pushing, claiming and finishing jobs. What is written to a job's row is in `job`.
//!
//! What a claim costs does not depend on how many jobs wait, are delayed, dead or done: each state has an index of its
//! own, and a claim looks at the first of those that are ready.

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::storage::Target;
use millpond_actors::storage::queue::{
    self, Claim, Claimed, Configure, Configured, Due, Finish, Finished, How, Key, NewJob, Options, Place,
    Push, Pushed, Receipt, Scope, Start,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::database;
use super::look_up::look_up;
use super::process::next;
use super::session::SqliteSession;

/// A queue's row.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: u64,
    /// The number of its last job.
    pub(super) sequence: u64,
    pub(super) options: Options,
    /// The boot whose clock the delays of its jobs go by.
    pub(super) boot: String,
}

const BY_ID: &str = "SELECT id, sequence, paused, max_attempts, keep_done, boot FROM queue WHERE id = ?1";
const BY_NAME: &str = "SELECT q.id, q.sequence, q.paused, q.max_attempts, q.keep_done, q.boot, q.name = ?1
    FROM queue i LEFT JOIN queue q ON q.id = i.id WHERE i.name = ?1";

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Found> {
        let (paused, max_attempts, keep_done_ms) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(Found {
            id: row.get(0)?,
            sequence: row.get(1)?,
            options: Options { paused, max_attempts, keep_done_ms },
            boot: row.get(5)?,
        })
    }
}

/// A queue, by its row if that is known.
pub(super) fn find(connection: &Connection, target: &Target) -> Result<Option<Found>> {
    match target.id {
        None => by_name(connection, target.name.as_str()),
        Some(id) => {
            let mut statement = connection.prepare_cached(BY_ID).map_err(database)?;
            statement.query_row([id], Found::read).optional().map_err(database)
        }
    }
}

pub(super) fn by_name(connection: &Connection, name: &str) -> Result<Option<Found>> {
    look_up(connection, BY_NAME, ("queue", &name), [name], Found::read)
}

// The index knows the key, and the row whether it is that of the job.
const LIVING_OF_KEY: &str = "SELECT i.sequence, j.key = ?2 AND j.state < 3
    FROM job i INDEXED BY job_of_key LEFT JOIN job j ON j.queue = i.queue AND j.sequence = i.sequence
    WHERE i.queue = ?1 AND i.key = ?2 AND i.state < 3 ORDER BY i.sequence LIMIT 1";
const FIRST_OF_KEY: &str = "SELECT i.sequence, j.key = ?2
    FROM job i INDEXED BY job_of_key LEFT JOIN job j ON j.queue = i.queue AND j.sequence = i.sequence
    WHERE i.queue = ?1 AND i.key = ?2 ORDER BY i.sequence LIMIT 1";

/// The job of this key that is neither done nor dead.
pub(super) fn living_of(connection: &Connection, queue: u64, key: &str) -> Result<Option<u64>> {
    of_key(connection, LIVING_OF_KEY, queue, key)
}

fn of_key(connection: &Connection, sql: &'static str, queue: u64, key: &str) -> Result<Option<u64>> {
    look_up(connection, sql, ("key of a job", &key), params![queue, key], |row| row.get(0))
}

impl SqliteSession {
    /// Pushes all jobs, but for those whose keys are taken.
    pub(super) fn push(&mut self, push: &Push) -> Result<Pushed> {
        queue::check(push)?;
        let mut found = self.queue_made(&push.queue)?;
        let before = found.sequence;
        let mut places = Vec::with_capacity(push.jobs.len());
        for job in &push.jobs {
            places.push(self.push_job(push.queue.name.as_str(), &mut found, job)?);
        }
        if found.sequence != before {
            self.count_jobs(&found)?;
        }
        Ok(Pushed { queue: found.id, places })
    }

    fn push_job(&self, name: &str, found: &mut Found, job: &NewJob) -> Result<Place> {
        if let Some(key) = &job.key
            && let Some(sequence) = self.holder_of(found.id, key)?
        {
            return Ok(Place { sequence, existed: true });
        }
        found.sequence = next(found.sequence, "the numbers of a queue's jobs")?;
        self.put_job(name, found, job, Due::of(job.start, self.now))?;
        Ok(Place { sequence: found.sequence, existed: false })
    }

    const COUNT_JOBS: &str = "UPDATE queue SET sequence = ?2 WHERE id = ?1";

    fn count_jobs(&self, found: &Found) -> Result<()> {
        let mut statement = self.connection.prepare_cached(Self::COUNT_JOBS).map_err(database)?;
        statement.execute([found.id, found.sequence]).map(drop).map_err(database)
    }

    /// The job that keeps another one of this key out: a living one, or else the first.
    fn holder_of(&self, queue: u64, key: &Key) -> Result<Option<u64>> {
        match (living_of(&self.connection, queue, &key.text)?, key.scope) {
            (None, Scope::Kept) => of_key(&self.connection, FIRST_OF_KEY, queue, &key.text),
            (living, _) => Ok(living),
        }
    }

    /// Claims what is visible, the most urgent first.
    pub(super) fn claim(&mut self, claim: &Claim) -> Result<Claimed> {
        let Some(found) = find(&self.connection, &claim.queue)? else {
            return Ok(Claimed { queue: None, jobs: Vec::new() });
        };
        let mut claimed = Claimed { queue: Some(found.id), jobs: Vec::new() };
        if found.options.paused {
            return Ok(claimed);
        }
        self.give_up_void()?;
        self.change_boot(&found)?;
        self.show_due(found.id)?;
        let mut damaged = 0;
        loop {
            let wanted = claim.most.saturating_sub(claimed.jobs.len() as u32).min(limits::JOBS_AT_ONCE);
            let ready = self.ready_jobs(claim.queue.name.as_str(), found.id, wanted)?;
            let seen = ready.len() as u32;
            for (sequence, job) in ready {
                match job {
                    Ok(job) => {
                        let token = self.take_ticket()?;
                        self.own.asked(claim.ttl_ms);
                        let receipt = Receipt { queue: found.id, sequence, token };
                        self.hold_job(&receipt, claim.ttl_ms)?;
                        claimed.jobs.push((receipt, self.claimed(job)));
                    }
                    // It stays where everybody can look at it, and holds up nobody.
                    Err(error @ Error::Corrupt { .. }) => {
                        damaged += 1;
                        self.bury_job((found.id, sequence), &error.to_string())?;
                    }
                    Err(error) => return Err(error),
                }
            }
            if seen < wanted || claimed.jobs.len() as u32 == claim.most || damaged >= limits::JOBS_AT_ONCE {
                return Ok(claimed);
            }
        }
    }

    /// Ends a claim, if it is the current one.
    pub(super) fn finish_job(&mut self, finish: &Finish) -> Result<Finished> {
        let Receipt { queue, sequence, .. } = finish.receipt;
        if finish.how == How::Done && self.drop_done(&finish.receipt)? {
            self.sweep_done(queue, 0)?;
            return Ok(Finished::Done);
        }
        let Some(held) = self.held_job(&finish.receipt)? else { return Ok(Finished::Stale) };
        let job = (queue, sequence);
        match &finish.how {
            How::Done => {
                self.keep_done(job)?;
                self.sweep_done(queue, held.keep_done_ms)?;
                return Ok(Finished::Done);
            }
            How::Retry { reason, .. } | How::Bury { reason }
                if held.is_last || matches!(finish.how, How::Bury { .. }) =>
            {
                self.bury_job(job, reason)?;
                return Ok(Finished::Dead);
            }
            How::Retry { delay_ms, reason } => {
                self.show_again(job, 0, Some(reason), Due::of(Start::After(*delay_ms), self.now))?;
            }
            How::GiveBack => self.show_again(job, 1, None, None)?,
            How::Bury { .. } => {}
        }
        Ok(Finished::Again)
    }

    const CONFIGURE: &str = "UPDATE queue SET paused = ?2, max_attempts = ?3, keep_done = ?4 WHERE id = ?1";

    /// Changes what is to be changed.
    pub(super) fn configure(&mut self, change: &Configure) -> Result<Configured> {
        let Found { id, options: before, .. } = self.queue_made(&change.queue)?;
        let options = Options {
            paused: change.paused.unwrap_or(before.paused),
            max_attempts: change.max_attempts.unwrap_or(before.max_attempts),
            keep_done_ms: change.keep_done_ms.unwrap_or(before.keep_done_ms),
        };
        let mut statement = self.connection.prepare_cached(Self::CONFIGURE).map_err(database)?;
        let values = params![id, options.paused, options.max_attempts, options.keep_done_ms];
        statement.execute(values).map_err(database)?;
        Ok(Configured { queue: id, options })
    }

    const MAKE_QUEUE: &str = "INSERT INTO queue (name, sequence, paused, max_attempts, keep_done, boot)
        VALUES (?1, 0, ?2, ?3, ?4, ?5)";

    /// The row of a queue that is about to be written to.
    pub(super) fn queue_made(&mut self, target: &Target) -> Result<Found> {
        if let Some(found) = find(&self.connection, target)? {
            self.change_boot(&found)?;
            return Ok(found);
        }
        let (options, boot) = (Options::default(), self.identity.boot.clone());
        let Options { paused, max_attempts, keep_done_ms } = options;
        let mut statement = self.connection.prepare_cached(Self::MAKE_QUEUE).map_err(database)?;
        let values = params![target.name.as_str(), paused, max_attempts, keep_done_ms, boot];
        let id = statement.insert(values).map_err(database)?.unsigned_abs();
        Ok(Found { id, sequence: 0, options, boot })
    }

    const CHANGE_BOOT: &str = "UPDATE queue SET boot = ?2 WHERE id = ?1";
    const GO_BY_WALL_CLOCK: &str = "UPDATE job SET due_boot = NULL
        WHERE queue = ?1 AND state = 1 AND due_boot IS NOT NULL";

    /// Whoever comes from another boot has what was delayed go by the wall clock.
    fn change_boot(&self, found: &Found) -> Result<()> {
        if found.boot == self.identity.boot {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(Self::GO_BY_WALL_CLOCK).map_err(database)?;
        statement.execute([found.id]).map_err(database)?;
        let mut statement = self.connection.prepare_cached(Self::CHANGE_BOOT).map_err(database)?;
        statement.execute(params![found.id, self.identity.boot]).map(drop).map_err(database)
    }

    const SHOW_DELAYED: &str = "UPDATE job SET state = 0, due = NULL, due_boot = NULL
        WHERE queue = ?1 AND sequence IN (SELECT sequence FROM job INDEXED BY job_delayed
            WHERE queue = ?1 AND state = 1 AND due_boot IS NOT NULL AND due_boot <= ?2
            ORDER BY due_boot, sequence LIMIT ?3)";
    const SHOW_TIMED: &str = "UPDATE job SET state = 0, due = NULL
        WHERE queue = ?1 AND sequence IN (SELECT sequence FROM job INDEXED BY job_timed
            WHERE queue = ?1 AND state = 1 AND due_boot IS NULL AND due <= ?2
            ORDER BY due, sequence LIMIT ?3)";

    /// Makes visible what is due. Once there is nothing more, there is none until the transaction ends: it happens at one
    /// moment, and what is due at that is never written as delayed.
    fn show_due(&mut self, queue: u64) -> Result<()> {
        if self.written.shown == Some(queue) {
            return Ok(());
        }
        let most = limits::JOBS_AT_ONCE;
        let mut statement = self.connection.prepare_cached(Self::SHOW_DELAYED).map_err(database)?;
        let delayed = statement.execute(params![queue, self.now.boot_ms, most]).map_err(database)?;
        let mut statement = self.connection.prepare_cached(Self::SHOW_TIMED).map_err(database)?;
        let timed = statement.execute(params![queue, self.now.wall_ms, most]).map_err(database)?;
        self.written.shown = (delayed.max(timed) < most as usize).then_some(queue);
        Ok(())
    }
}

//! Schedules: what is pushed to a queue again and again. A time is done for by whoever moves the schedule on.

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::queue::{Key, NewJob, Push, Scope, Start};
use millpond_actors::storage::schedule::{Fire, Fired, Missed, Placed, Plan, Remove, Schedule, Set};
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, params};

use super::data::{data_column, data_from};
use super::error::{corrupt, database};
use super::origin::{origin_columns, origin_from};
use super::queue::{by_name, find};
use super::session::SqliteSession;

/// The columns of a schedule that [`schedule`] reads, in its order.
macro_rules! columns {
    () => {
        "name, revision, due, last, cron, zone, missed, priority, max_attempts, key, scope, schema, format, crc, data,
        correlation, causation, actor, tenant"
    };
}

/// The schedule of a row, if the row is sound.
fn schedule(queue: &str, row: &Row<'_>) -> Result<Schedule> {
    let name: String = row.get(0).map_err(database)?;
    let odd = |detail: &str| corrupt("schedule", &shown(queue, &name), 0, detail);
    let format: u8 = column(row, 12, queue, &name)?;
    let data = data_from(format, row.get_ref(14).map_err(database)?);
    let missed = match column(row, 6, queue, &name)? {
        0 => Missed::Once,
        1 => Missed::Skip,
        _ => return Err(odd("it does not say what becomes of missed times")),
    };
    let scope = match column(row, 10, queue, &name)? {
        0 => Scope::Live,
        1 => Scope::Kept,
        _ => return Err(odd("its key has no scope")),
    };
    let key = column::<Option<String>>(row, 9, queue, &name)?.map(|text| Key { text: text.into(), scope });
    let job = NewJob {
        data: data.ok_or_else(|| odd("its data is not of its format"))?,
        schema: column(row, 11, queue, &name)?,
        priority: column(row, 7, queue, &name)?,
        start: Start::Now,
        key,
        max_attempts: column(row, 8, queue, &name)?,
        origin: origin_from(row, 15).map_err(|error| odd(&error.to_string()))?,
        dead: None,
    };
    let (cron, zone): (String, String) = (column(row, 4, queue, &name)?, column(row, 5, queue, &name)?);
    let plan = Plan { cron: cron.into(), zone: zone.into(), missed, job };
    let (stored, found): (u32, u32) = (column(row, 13, queue, &name)?, sum(queue, &name, &plan));
    if found != stored {
        return Err(odd(&format!("its checksum is {found:08x}, stored is {stored:08x}")));
    }
    let (revision, due, last) =
        (column(row, 1, queue, &name)?, column(row, 2, queue, &name)?, column(row, 3, queue, &name)?);
    Ok(Schedule { name, plan, revision, due, last })
}

/// A column of the type that it was written with.
fn column<T: FromSql>(row: &Row<'_>, index: usize, queue: &str, name: &str) -> Result<T> {
    row.get(index).map_err(|error| corrupt("schedule", &shown(queue, name), 0, error.to_string()))
}

fn shown(queue: &str, name: &str) -> String {
    format!("{name} of queue {queue}")
}

/// What a schedule's checksum must be. No text in it can hold a zero byte but the key, which is last.
fn sum(queue: &str, name: &str, plan: &Plan) -> u32 {
    let Plan { cron, zone, missed, job } = plan;
    let (scope, key) = job.key.as_ref().map_or((0, ""), |key| (1 + key.scope as u8, &*key.text));
    let numbers = format!("{} {} {:?} {scope}", *missed as u8, job.priority, job.max_attempts);
    let text = [name, cron, zone, &numbers, key].join("\0");
    checksum::record(Kind::Schedule, queue, 0, &text, job.data.format(), job.schema, job.data.bytes())
}

impl SqliteSession {
    const SCHEDULE: &str = concat!("SELECT ", columns!(), " FROM schedule WHERE queue = ?1 AND name = ?2");

    fn read_schedule(&self, (id, queue): (u64, &str), name: &Name) -> Result<Option<Schedule>> {
        let mut statement = self.connection.prepare_cached(Self::SCHEDULE).map_err(database)?;
        let mut rows = statement.query(params![id, name.as_str()]).map_err(database)?;
        rows.next().map_err(database)?.map(|row| schedule(queue, row)).transpose()
    }

    const HOW_MANY_SCHEDULES: &str = "SELECT count(*) FROM schedule WHERE queue = ?1";
    const PUT_SCHEDULE: &str = concat!(
        "INSERT OR REPLACE INTO schedule (queue, ",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
        ?20)"
    );

    /// Makes a schedule, or changes it. One that is damaged is replaced.
    pub(super) fn set_schedule(&mut self, set: &Set) -> Result<Placed> {
        let (queue, known) =
            (set.queue.name.as_str(), find(&self.connection, &set.queue)?.map(|found| found.id));
        let (before, is_new) = match known.map(|id| self.read_schedule((id, queue), &set.name)).transpose() {
            Ok(found) => (found.clone().flatten(), found.flatten().is_none()),
            Err(Error::Corrupt { kind: "schedule", .. }) => (None, false),
            Err(error) => return Err(error),
        };
        if before.as_ref().is_some_and(|before| before.plan == *set.plan) {
            return Ok(Placed::Same);
        }
        if let (Some(id), true) = (known, is_new) {
            let mut statement = self.connection.prepare_cached(Self::HOW_MANY_SCHEDULES).map_err(database)?;
            let all: u64 = statement.query_row([id], |row| row.get(0)).map_err(database)?;
            if all >= limits::SCHEDULES as u64 {
                return Ok(Placed::Full);
            }
        }
        let (id, revision) = (self.queue_made(&set.queue)?.id, self.take_ticket()?);
        let Plan { cron, zone, .. } = &*set.plan;
        let same_times = |before: &&Schedule| before.plan.cron == *cron && before.plan.zone == *zone;
        let due = before.as_ref().filter(same_times).map_or(set.due, |before| before.due);
        let last = before.as_ref().and_then(|before| before.last);
        let (name, plan) = (set.name.to_string(), set.plan.clone());
        self.put_schedule((id, queue), &Schedule { name, plan: *plan, revision, due, last })?;
        Ok(if is_new { Placed::New } else { Placed::Changed })
    }

    /// Writes a schedule, in place of what is there.
    pub(super) fn put_schedule(&self, (id, queue): (u64, &str), schedule: &Schedule) -> Result<()> {
        let Schedule { name, plan, revision, due, last } = schedule;
        let Plan { cron, zone, missed, job } = plan;
        let key = job.key.as_ref();
        let [correlation, causation, actor, tenant] = origin_columns(job.origin.as_deref());
        let mut statement = self.connection.prepare_cached(Self::PUT_SCHEDULE).map_err(database)?;
        let values = params![
            id,
            name,
            revision,
            due,
            last,
            cron,
            zone,
            *missed as u8,
            job.priority,
            job.max_attempts,
            key.map(|key| &*key.text),
            key.map_or(Scope::Live, |key| key.scope) as u8,
            job.schema,
            job.data.format(),
            sum(queue, name, plan),
            data_column(&job.data),
            correlation,
            causation,
            actor,
            tenant,
        ];
        statement.execute(values).map_err(database)?;
        Ok(())
    }

    const UNSCHEDULE: &str = "DELETE FROM schedule WHERE queue = ?1 AND name = ?2";

    /// Removes a schedule.
    pub(super) fn remove_schedule(&self, remove: &Remove) -> Result<bool> {
        let Some(found) = find(&self.connection, &remove.queue)? else { return Ok(false) };
        let mut statement = self.connection.prepare_cached(Self::UNSCHEDULE).map_err(database)?;
        let removed = statement.execute(params![found.id, remove.name.as_str()]).map_err(database)?;
        Ok(removed > 0)
    }

    const RESCHEDULE: &str =
        "UPDATE schedule SET revision = ?3, due = ?4, last = ?5 WHERE queue = ?1 AND name = ?2";

    /// Does for a time, if it is the one.
    pub(super) fn fire(&mut self, fire: &Fire) -> Result<Fired> {
        let queue = fire.queue.name.as_str();
        let Some(id) = find(&self.connection, &fire.queue)?.map(|found| found.id) else {
            return Ok(Fired::Stale);
        };
        let found = self.read_schedule((id, queue), &fire.name)?;
        let Some(schedule) = found.filter(|found| found.revision == fire.revision) else {
            return Ok(Fired::Stale);
        };
        let Some(due) = schedule.due.filter(|due| *due <= self.now.wall_ms) else { return Ok(Fired::Stale) };
        let revision = self.take_ticket()?;
        let mut statement = self.connection.prepare_cached(Self::RESCHEDULE).map_err(database)?;
        statement.execute(params![id, fire.name.as_str(), revision, fire.next, due]).map_err(database)?;
        drop(statement);
        if schedule.plan.missed.skips(due, self.now.wall_ms) {
            return Ok(Fired::Skipped);
        }
        let pushed = self.push(&Push { queue: fire.queue.clone(), jobs: vec![schedule.plan.job] })?;
        Ok(pushed.places.first().map_or(Fired::Stale, |place| Fired::Pushed { queue: id, place: *place }))
    }
}

const ALL: &str = concat!("SELECT ", columns!(), " FROM schedule WHERE queue = ?1 ORDER BY name");

/// The schedules of a queue; a damaged one is an error in its place.
pub(super) fn list(connection: &Connection, queue: &Name) -> Result<Vec<Result<Schedule>>> {
    let Some(found) = by_name(connection, queue.as_str())? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(ALL).map_err(database)?;
    let mut rows = statement.query([found.id]).map_err(database)?;
    let mut schedules = Vec::new();
    while let Some(row) = rows.next().map_err(database)? {
        schedules.push(schedule(queue.as_str(), row));
    }
    Ok(schedules)
}

const OUTLOOK: &str =
    "SELECT max(due <= ?2), min(CASE WHEN due > ?2 THEN due END) FROM schedule WHERE queue = ?1";

/// Whether one of them is due, and in how many milliseconds the next one is that is not.
pub(super) fn outlook(connection: &Connection, queue: u64, now_ms: i64) -> Result<(bool, Option<u64>)> {
    let mut statement = connection.prepare_cached(OUTLOOK).map_err(database)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, Option<bool>>(0)?, row.get::<_, Option<i64>>(1)?));
    let (due, next) = statement.query_row(params![queue, now_ms], read).map_err(database)?;
    Ok((due == Some(true), next.map(|next| next.saturating_sub(now_ms).unsigned_abs())))
}

//! Schedules in tables: rows by queue and name.

use std::sync::Arc;

use super::store::{Caller, Store};
use super::table::Rows;
use crate::error::Result;
use crate::limits;
use crate::name::Name;
use crate::storage::queue::Push;
use crate::storage::record::{Put, Refusal};
use crate::storage::schedule::{Fire, Fired, Placed, Plan, Remove, Schedule, Set};

/// A schedule.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is pushed, and when.
    pub plan: Arc<Plan>,
    /// New with whatever changes.
    pub revision: u64,
    /// The next time.
    pub due: Option<i64>,
    /// The last time that was done for.
    pub last: Option<i64>,
}

impl Row {
    fn shown(&self, name: &Name) -> Schedule {
        let Row { plan, revision, due, last } = self;
        Schedule {
            name: name.to_string(),
            plan: Plan::clone(plan),
            revision: *revision,
            due: *due,
            last: *last,
        }
    }
}

impl Store {
    /// Makes a schedule, or changes it.
    pub fn schedule_set(&mut self, me: &Caller, set: &Set) -> Placed {
        let known = self.queue_id(&set.queue);
        let before = known.and_then(|queue| self.schedules.get(&(queue, set.name.clone()))).cloned();
        if before.as_ref().is_some_and(|row| *row.plan == *set.plan) {
            return Placed::Same;
        }
        let all = known.map_or(0, |queue| self.schedules_of(queue).count());
        if before.is_none() && all >= limits::SCHEDULES {
            return Placed::Full;
        }
        let queue = self.queue_made(me, &set.queue);
        let revision = self.next_number();
        let times = |plan: &Plan| (plan.cron.clone(), plan.zone.clone());
        let kept = before.as_ref().filter(|row| times(&row.plan) == times(&set.plan)).map(|row| row.due);
        let last = before.as_ref().and_then(|row| row.last);
        let row =
            Row { plan: Arc::new(Plan::clone(&set.plan)), revision, due: kept.unwrap_or(set.due), last };
        self.schedules.put((queue, set.name.clone()), row);
        if before.is_some() { Placed::Changed } else { Placed::New }
    }

    /// Removes a schedule.
    pub fn schedule_remove(&mut self, remove: &Remove) -> bool {
        let key = self.queue_id(&remove.queue).map(|queue| (queue, remove.name.clone()));
        let known = key.filter(|key| self.schedules.get(key).is_some());
        known.inspect(|key| self.schedules.remove(key)).is_some()
    }

    /// Does for a time, if it is the one.
    pub fn schedule_fire(&mut self, me: &Caller, fire: &Fire) -> Result<Fired> {
        let Some(queue) = self.queue_id(&fire.queue) else { return Ok(Fired::Stale) };
        let key = (queue, fire.name.clone());
        let row = self.schedules.get(&key).cloned().filter(|row| row.revision == fire.revision);
        let due = |row: Row| row.due.filter(|due| *due <= me.now.wall_ms).map(|due| (due, row));
        let Some((due, row)) = row.and_then(due) else { return Ok(Fired::Stale) };
        let revision = self.next_number();
        let plan = Arc::clone(&row.plan);
        self.schedules.put(key, Row { revision, due: fire.next, last: Some(due), ..row });
        if plan.missed.skips(due, me.now.wall_ms) {
            return Ok(Fired::Skipped);
        }
        let push = Push { queue: fire.queue.clone(), jobs: vec![plan.job.clone()] };
        let pushed = self.queue_push(me, &push)?;
        Ok(pushed.places.first().map_or(Fired::Stale, |place| Fired::Pushed { queue, place: *place }))
    }

    /// Puts a schedule back, in place of one that is there.
    pub fn schedule_load(&mut self, queue: &Name, schedule: &Schedule) -> Put {
        let Some(queue) = self.queue_names.get(queue).copied() else { return Put::Refused(Refusal::Orphan) };
        let Ok(name) = Name::new(&schedule.name) else { return Put::Refused(Refusal::Orphan) };
        let all = self.schedules_of(queue).count();
        let key = (queue, name);
        if all >= limits::SCHEDULES && self.schedules.get(&key).is_none() {
            return Put::Refused(Refusal::Full);
        }
        let (revision, plan) = (self.next_number(), Arc::new(schedule.plan.clone()));
        self.schedules.put(key, Row { plan, revision, due: schedule.due, last: schedule.last });
        Put::Written(None)
    }

    pub(super) fn schedules_of(&self, queue: u64) -> Rows<'_, (u64, Name), Row> {
        self.schedules.range((queue, Name::least())..(queue + 1, Name::least()))
    }

    /// The schedules of a queue.
    pub fn schedule_list(&self, queue: &Name) -> Vec<Result<Schedule>> {
        let Some(queue) = self.queue_names.get(queue) else { return Vec::new() };
        self.schedules_of(*queue).map(|((_, name), row)| Ok(row.shown(name))).collect()
    }

    /// Whether one of them is due, and in how many milliseconds the next one is that is not.
    pub fn schedule_outlook(&self, queue: u64, now_ms: i64) -> (bool, Option<u64>) {
        let dues: Vec<i64> = self.schedules_of(queue).filter_map(|(_, row)| row.due).collect();
        let later = dues.iter().filter(|due| **due > now_ms).min();
        let next_ms = later.map(|due| due.saturating_sub(now_ms).unsigned_abs());
        (dues.iter().any(|due| *due <= now_ms), next_ms)
    }
}

//! The rows of jobs in memory, the one table that says in which order jobs of a state come, and what is read of both.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::process::Census;
use super::store::{Caller, Store};
use crate::limits;
use crate::name::Name;
use crate::storage::lock::lease_end;
use crate::storage::queue::{Due, Job, Numbers, Outlook, Page, Query, Start, State};
use crate::storage::{Data, Moment, Origin};

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) what: Arc<Content>,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) due: Option<Due>,
    /// Of a claimed job.
    pub(super) claim: Option<Held>,
    pub(super) ended_at: Option<i64>,
    pub(super) reason: Option<Box<str>>,
}

/// What never changes about a job.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) priority: i64,
    pub(super) max_attempts: u32,
    pub(super) key: Option<Box<str>>,
    pub(super) pushed_at: i64,
    pub(super) schema: u32,
    pub(super) data: Data,
    pub(super) origin: Option<Box<Origin>>,
}

/// A claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) token: u64,
    pub(super) process: u64,
    pub(super) granted: u64,
    pub(super) ttl_ms: u64,
}

/// Where a job stands among those of its state, each with its queue and number; and those of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// By priority.
    Ready(u64, i64, u64),
    /// By its time: those that go by the wall clock, those that go by the boot clock.
    Delayed(u64, bool, i64, u64),
    /// By the process.
    Claimed(u64, u64, u64),
    Dead(u64, u64),
    /// By its end.
    Done(u64, i64, u64),
    Keyed(u64, Box<str>, u64),
}

impl Spot {
    /// The job's number.
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Spot::Ready(.., sequence)
            | Spot::Delayed(.., sequence)
            | Spot::Claimed(.., sequence)
            | Spot::Dead(.., sequence)
            | Spot::Done(.., sequence)
            | Spot::Keyed(.., sequence) => *sequence,
        }
    }

    /// All of a state in a queue, but for those that are claimed.
    pub(super) fn all(queue: u64, state: State) -> Option<RangeInclusive<Spot>> {
        let (low, high, last) = (i64::MIN, i64::MAX, u64::MAX);
        Some(match state {
            State::Ready => Spot::Ready(queue, low, 0)..=Spot::Ready(queue, high, last),
            State::Delayed => Spot::Delayed(queue, false, low, 0)..=Spot::Delayed(queue, true, high, last),
            State::Claimed => return None,
            State::Dead => Spot::Dead(queue, 0)..=Spot::Dead(queue, last),
            State::Done => Spot::Done(queue, low, 0)..=Spot::Done(queue, high, last),
        })
    }

    /// All of a key.
    pub(super) fn keyed(queue: u64, key: &str) -> RangeInclusive<Spot> {
        Spot::Keyed(queue, key.into(), 0)..=Spot::Keyed(queue, key.into(), u64::MAX)
    }

    /// All claims of a process, or of all.
    pub(super) fn claims(processes: RangeInclusive<u64>) -> RangeInclusive<Spot> {
        Spot::Claimed(*processes.start(), 0, 0)..=Spot::Claimed(*processes.end(), u64::MAX, u64::MAX)
    }
}

impl Row {
    fn spot(&self, queue: u64, sequence: u64) -> Spot {
        match self.state {
            State::Ready => Spot::Ready(queue, self.what.priority, sequence),
            State::Delayed => {
                let by_boot = self.due.and_then(|due| due.boot_ms).map(u64::cast_signed);
                let by_wall = self.due.map_or(0, |due| due.wall_ms);
                Spot::Delayed(queue, by_boot.is_some(), by_boot.unwrap_or(by_wall), sequence)
            }
            State::Claimed => Spot::Claimed(self.claim.map_or(0, |claim| claim.process), queue, sequence),
            State::Dead => Spot::Dead(queue, sequence),
            State::Done => Spot::Done(queue, self.ended_at.unwrap_or(0), sequence),
        }
    }

    /// To be tried again or among the dead, after an attempt that came to nothing.
    pub(super) fn failed(self, me: &Caller, delay_ms: u64, reason: &str) -> Row {
        if self.attempts >= self.what.max_attempts {
            return self.ended(me, State::Dead, Some(reason));
        }
        let row = Row { claim: None, reason: Some(reason.into()), ..self };
        row.starting(Due::of(Start::After(delay_ms), me.now))
    }

    pub(super) fn starting(self, due: Option<Due>) -> Row {
        let state = if due.is_some() { State::Delayed } else { State::Ready };
        Row { state, due, claim: None, ..self }
    }

    pub(super) fn ended(self, me: &Caller, state: State, reason: Option<&str>) -> Row {
        let reason = reason.map(Box::from).or(self.reason);
        Row { state, due: None, claim: None, ended_at: Some(me.now.wall_ms), reason, ..self }
    }

    pub(super) fn shown(&self, sequence: u64) -> Job {
        let Content { priority, max_attempts, ref key, pushed_at, schema, ref data, ref origin } = *self.what;
        Job {
            sequence,
            state: self.state,
            priority,
            attempts: self.attempts,
            max_attempts,
            key: key.clone(),
            pushed_at,
            due: self.due.map(|due| due.wall_ms),
            process: self.claim.map(|claim| claim.process),
            ended_at: self.ended_at,
            reason: self.reason.clone(),
            schema,
            data: data.clone(),
            origin: origin.clone(),
        }
    }
}

impl Store {
    /// Writes a job's row, and where it stands.
    pub(super) fn put_job(&mut self, queue: u64, sequence: u64, row: Row) {
        if let Some(before) = self.jobs.get(&(queue, sequence)) {
            let spot = before.spot(queue, sequence);
            self.spots.remove(&spot);
        }
        self.spots.put(row.spot(queue, sequence), ());
        self.jobs.put((queue, sequence), row);
    }

    /// Removes it.
    pub(super) fn drop_job(&mut self, queue: u64, sequence: u64) {
        let Some(row) = self.jobs.get(&(queue, sequence)).cloned() else { return };
        self.spots.remove(&row.spot(queue, sequence));
        if let Some(key) = &row.what.key {
            self.spots.remove(&Spot::Keyed(queue, key.clone(), sequence));
        }
        self.jobs.remove(&(queue, sequence));
    }
}

/// The queue and the number of a claim.
pub(super) fn claim_of(spot: &Spot) -> Option<(u64, u64)> {
    if let Spot::Claimed(_, queue, sequence) = spot { Some((*queue, *sequence)) } else { None }
}

impl Held {
    /// Milliseconds until the claim ends; 0 means void.
    pub(super) fn remaining(&self, census: Census<'_>, now: Moment) -> u64 {
        census.living(self.process).map_or(0, |process| {
            let beat = self.granted.max(process.beat);
            lease_end(self.granted, beat, self.ttl_ms).saturating_sub(now.boot_ms)
        })
    }
}

/// What is read.
impl Store {
    /// A queue in numbers.
    pub(super) fn queue_numbers(&self, name: &Name) -> Option<Numbers> {
        let queue = *self.queue_names.committed().get(name)?;
        let row = self.queues.committed().get(&queue)?;
        let jobs = || self.jobs.committed().range((queue, 0)..=(queue, u64::MAX));
        let count = |state| jobs().filter(|(_, row)| row.state == state).count() as u64;
        Some(Numbers {
            queue,
            name: row.name.to_string(),
            options: row.options,
            pushed: row.sequence,
            ready: count(State::Ready),
            delayed: count(State::Delayed),
            claimed: count(State::Claimed),
            dead: count(State::Dead),
            done: count(State::Done),
        })
    }

    /// Queues in numbers, by name.
    pub(super) fn queues_numbers(&self, after: Option<&str>, limit: u32) -> Vec<Numbers> {
        let names = self.queue_names.committed().keys();
        let later = names.filter(|name| after.is_none_or(|after| name.as_str() > after));
        later.take(limit as usize).filter_map(|name| self.queue_numbers(name)).collect()
    }

    /// What a claim would find.
    pub(super) fn queue_outlook(&self, name: &Name, now: Moment) -> Option<Outlook> {
        let queue = *self.queue_names.committed().get(name)?;
        let row = self.queues.committed().get(&queue)?;
        let (fires, next_due_ms) = self.schedule_outlook(queue, now.wall_ms);
        if row.options.paused {
            return Some(Outlook { queue, claimable: false, next_ms: None, fires, next_due_ms });
        }
        let census = self.committed_census();
        let other_boot = !self.boot.is_empty() && *row.boot != *self.boot;
        let waits_ms = |row: &Row| match (row.state, row.due, row.claim) {
            (State::Ready, ..) => Some(0),
            (State::Delayed, Some(Due { boot_ms: Some(boot_ms), .. }), _) => {
                Some(if other_boot { 0 } else { boot_ms.saturating_sub(now.boot_ms) })
            }
            (State::Delayed, Some(Due { wall_ms, .. }), _) => {
                Some(wall_ms.saturating_sub(now.wall_ms).max(0).unsigned_abs())
            }
            (State::Claimed, _, Some(claim)) => Some(claim.remaining(census, now)),
            _ => None,
        };
        let jobs = self.jobs.committed().range((queue, 0)..=(queue, u64::MAX));
        let next_ms = jobs.filter_map(|(_, row)| waits_ms(row)).min();
        let (claimable, next_ms) = (next_ms == Some(0), next_ms.filter(|ms| *ms > 0));
        Some(Outlook { queue, claimable, next_ms, fires, next_due_ms })
    }

    /// One page of jobs.
    pub(super) fn job_page(&self, query: &Query) -> Page {
        let mut page = Page::default();
        let Some(queue) = self.queue_names.committed().get(&query.queue) else { return page };
        let rows = self.jobs.committed().range((*queue, query.from)..=(*queue, u64::MAX));
        let mut bytes = 0;
        for ((_, sequence), row) in rows.filter(|(_, row)| query.state.is_none_or(|state| state == row.state))
        {
            if page.jobs.len() >= query.limit as usize || bytes >= limits::PAGE_BYTES {
                page.next = Some(*sequence);
                break;
            }
            bytes += row.what.data.bytes().len();
            page.jobs.push(Ok(row.shown(*sequence)));
        }
        page
    }

    /// The living job of a key.
    pub(super) fn job_of_key(&self, queue: &Name, key: &str) -> Option<Job> {
        let queue = *self.queue_names.committed().get(queue)?;
        let of_key = self.spots.committed().range(Spot::keyed(queue, key));
        let jobs = of_key.filter_map(|(spot, ())| {
            let row = self.jobs.committed().get(&(queue, spot.sequence()))?;
            row.state.is_live().then(|| row.shown(spot.sequence()))
        });
        jobs.into_iter().next()
    }

    /// Jobs of a state, in all queues.
    pub(super) fn jobs_of(&self, is: impl Fn(State) -> bool) -> u64 {
        self.jobs.committed().values().filter(|row| is(row.state)).count() as u64
    }

    /// Jobs that a process has claimed.
    pub(super) fn claims_of(&self, process: u64) -> u64 {
        self.spots.committed().range(Spot::claims(process..=process)).count() as u64
    }
}

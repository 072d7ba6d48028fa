//! The rows of jobs, the one table that says in which order jobs of a state come, and what is read of both.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::process::Census;
use super::store::{Caller, Store};
use crate::limits;
use crate::name::{self, Name};
use crate::storage::lock::lease_end;
use crate::storage::queue::{Due, Job, Numbers, Outlook, Page, Query, Start, State};
use crate::storage::{Data, Moment, Origin};

/// A job.
#[derive(Clone, Debug)]
pub struct Row {
    /// What never changes.
    pub what: Arc<Content>,
    /// Where it is.
    pub state: State,
    /// A claim counts from its beginning.
    pub attempts: u32,
    /// When it is to be done.
    pub due: Option<Due>,
    /// Of a claimed job.
    pub claim: Option<Held>,
    /// When it was done or died.
    pub ended_at: Option<i64>,
    /// Why the last attempt came to nothing.
    pub reason: Option<Box<str>>,
}

/// What never changes about a job.
#[derive(Debug)]
pub struct Content {
    /// The lower, the sooner.
    pub priority: i64,
    /// After so many it is dead.
    pub max_attempts: u32,
    /// Which keeps others out.
    pub key: Option<Box<str>>,
    /// Milliseconds since 1970.
    pub pushed_at: i64,
    /// Of the data.
    pub schema: u32,
    /// What is to be done.
    pub data: Data,
    /// Where it comes from.
    pub origin: Option<Box<Origin>>,
}

/// A claim.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Of the claim.
    pub token: u64,
    /// Whose it is.
    pub process: u64,
    /// When, by the boot clock.
    pub granted: u64,
    /// For how long.
    pub ttl_ms: u64,
}

/// Where a job stands among those of its state, each with its queue and number; and those of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// By priority.
    Ready(u64, i64, u64),
    /// By its time: those that go by the wall clock, those that go by the boot clock.
    Delayed(u64, bool, i64, u64),
    /// By the process.
    Claimed(u64, u64, u64),
    /// By number.
    Dead(u64, u64),
    /// By its end.
    Done(u64, i64, u64),
    /// Of this key.
    Keyed(u64, Box<str>, u64),
}

impl Spot {
    /// The job's number.
    pub fn sequence(&self) -> u64 {
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
    pub fn all(queue: u64, state: State) -> Option<RangeInclusive<Spot>> {
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
    pub fn keyed(queue: u64, key: &str) -> RangeInclusive<Spot> {
        Spot::Keyed(queue, key.into(), 0)..=Spot::Keyed(queue, key.into(), u64::MAX)
    }

    /// All claims of a process, or of all.
    pub fn claims(processes: RangeInclusive<u64>) -> RangeInclusive<Spot> {
        Spot::Claimed(*processes.start(), 0, 0)..=Spot::Claimed(*processes.end(), u64::MAX, u64::MAX)
    }
}

impl Row {
    /// Where it stands.
    pub fn spot(&self, queue: u64, sequence: u64) -> Spot {
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
    pub fn put_job(&mut self, queue: u64, sequence: u64, row: Row) {
        if let Some(before) = self.jobs.get(&(queue, sequence)) {
            let spot = before.spot(queue, sequence);
            self.spots.remove(&spot);
        }
        self.spots.put(row.spot(queue, sequence), ());
        self.jobs.put((queue, sequence), row);
    }

    /// Removes it.
    pub fn drop_job(&mut self, queue: u64, sequence: u64) {
        let Some(row) = self.jobs.get(&(queue, sequence)).cloned() else { return };
        self.spots.remove(&row.spot(queue, sequence));
        if let Some(key) = &row.what.key {
            self.spots.remove(&Spot::Keyed(queue, key.clone(), sequence));
        }
        self.jobs.remove(&(queue, sequence));
    }
}

/// The queue and the number of a claim.
pub fn claim_of(spot: &Spot) -> Option<(u64, u64)> {
    if let Spot::Claimed(_, queue, sequence) = spot { Some((*queue, *sequence)) } else { None }
}

impl Held {
    /// Milliseconds until the claim ends; 0 means void.
    pub fn remaining(&self, census: Census<'_>, now: Moment) -> u64 {
        census.living(self.process).map_or(0, |process| {
            let beat = self.granted.max(process.beat);
            lease_end(self.granted, beat, self.ttl_ms).saturating_sub(now.boot_ms)
        })
    }
}

/// What is read.
impl Store {
    /// A queue, but for its jobs.
    pub fn queue_row(&self, name: &Name) -> Option<Numbers> {
        let queue = *self.queue_names.get(name)?;
        let row = self.queues.get(&queue)?;
        let (ready, delayed, claimed, dead, done) = (0, 0, 0, 0, 0);
        let (name, options, pushed) = (row.name.to_string(), row.options, row.sequence);
        Some(Numbers { queue, name, options, pushed, ready, delayed, claimed, dead, done })
    }

    /// Queues, but for their jobs, by name.
    pub fn queue_rows(&self, after: Option<&str>, limit: u32) -> Vec<Numbers> {
        let later = self.queue_names.range(name::behind(after));
        later.take(limit as usize).filter_map(|(name, _)| self.queue_row(name)).collect()
    }

    /// A queue in numbers.
    pub fn queue_numbers(&self, name: &Name) -> Option<Numbers> {
        let numbers = self.queue_row(name)?;
        let jobs = || self.jobs.range((numbers.queue, 0)..=(numbers.queue, u64::MAX));
        let count = |state| jobs().filter(|(_, row)| row.state == state).count() as u64;
        Some(Numbers {
            ready: count(State::Ready),
            delayed: count(State::Delayed),
            claimed: count(State::Claimed),
            dead: count(State::Dead),
            done: count(State::Done),
            ..numbers
        })
    }

    /// Queues in numbers, by name.
    pub fn queues_numbers(&self, after: Option<&str>, limit: u32) -> Vec<Numbers> {
        let later = self.queue_names.range(name::behind(after));
        later.take(limit as usize).filter_map(|(name, _)| self.queue_numbers(name)).collect()
    }

    /// What a claim would find.
    pub fn queue_outlook(&self, name: &Name, now: Moment) -> Option<Outlook> {
        let queue = *self.queue_names.get(name)?;
        let row = self.queues.get(&queue)?;
        let (fires, next_due_ms) = self.schedule_outlook(queue, now.wall_ms);
        if row.options.paused {
            return Some(Outlook { queue, claimable: false, next_ms: None, fires, next_due_ms });
        }
        let census = self.reader_census();
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
        // The first of each is the soonest; of claims, any may be.
        let delayed = |by_boot| {
            Spot::Delayed(queue, by_boot, i64::MIN, 0)..=Spot::Delayed(queue, by_boot, i64::MAX, u64::MAX)
        };
        let ready = Spot::Ready(queue, i64::MIN, 0)..=Spot::Ready(queue, i64::MAX, u64::MAX);
        let firsts = [ready, delayed(true), delayed(false)].map(|all| self.spots.range(all).next());
        let firsts = firsts.into_iter().flatten().map(|(spot, ())| (queue, spot.sequence()));
        let claims = self.spots.range(Spot::claims(0..=u64::MAX)).filter_map(|(spot, ())| claim_of(spot));
        let jobs = firsts.chain(claims.filter(|(of, _)| *of == queue));
        let next_ms = jobs.filter_map(|key| self.jobs.get(&key).and_then(waits_ms)).min();
        let (claimable, next_ms) = (next_ms == Some(0), next_ms.filter(|ms| *ms > 0));
        Some(Outlook { queue, claimable, next_ms, fires, next_due_ms })
    }

    /// One page of jobs.
    pub fn job_page(&self, query: &Query) -> Page {
        let mut page = Page::default();
        let Some(queue) = self.queue_names.get(&query.queue) else { return page };
        let rows = self.jobs.range((*queue, query.from)..=(*queue, u64::MAX));
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
    pub fn job_of_key(&self, queue: &Name, key: &str) -> Option<Job> {
        let queue = *self.queue_names.get(queue)?;
        let of_key = self.spots.range(Spot::keyed(queue, key));
        let jobs = of_key.filter_map(|(spot, ())| {
            let row = self.jobs.get(&(queue, spot.sequence()))?;
            row.state.is_live().then(|| row.shown(spot.sequence()))
        });
        jobs.into_iter().next()
    }

    /// Jobs of a state, in all queues.
    pub fn jobs_of(&self, is: impl Fn(State) -> bool) -> u64 {
        self.jobs.iter().filter(|(_, row)| is(row.state)).count() as u64
    }

    /// Jobs that a process has claimed.
    pub fn claims_of(&self, process: u64) -> u64 {
        self.spots.range(Spot::claims(process..=process)).count() as u64
    }
}

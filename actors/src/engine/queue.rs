//! Queues in tables: what is done to jobs. Their rows are in `job`.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::counter::Counter;
use super::job::{Content, Held, Row, Spot, claim_of};
use super::store::{Caller, Store};
use crate::error::Result;
use crate::limits;
use crate::name::Name;
use crate::storage::Target;
use crate::storage::change::{Changed, Primitive};
use crate::storage::queue::{
    self, Claim, Claimed, Configure, Configured, DIED, Due, EXPIRED, Finish, Finished, How, Job, Key, NewJob,
    Options, Place, Purge, Purged, Push, Pushed, Recall, Recalled, Receipt, Revive, Revived, Scope, State,
    What, Which,
};
use crate::storage::record::{self, Base, Onto, Put, Refusal};

/// A queue that was used at least once.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: Name,
    /// The number of the last job.
    pub sequence: u64,
    /// How it is set.
    pub options: Options,
    /// The boot whose clock the delays of its jobs go by.
    pub boot: Arc<str>,
}

/// What is written.
impl Store {
    /// Pushes all jobs, but for those whose keys are taken.
    pub fn queue_push(&mut self, me: &Caller, push: &Push) -> Result<Pushed> {
        queue::check(push)?;
        let queue = self.queue_made(me, &push.queue);
        let places = push.jobs.iter().map(|job| self.push_job(me, queue, job)).collect();
        Ok(Pushed { queue, places })
    }

    fn push_job(&mut self, me: &Caller, queue: u64, job: &NewJob) -> Place {
        if let Some(sequence) = job.key.as_ref().and_then(|key| self.holder_of(queue, key)) {
            return Place { sequence, existed: true };
        }
        let Some(mut row) = self.queues.get(&queue).cloned() else {
            return Place { sequence: 0, existed: false };
        };
        row.sequence += 1;
        let (sequence, max_attempts) = (row.sequence, job.max_attempts.unwrap_or(row.options.max_attempts));
        self.queues.put(queue, row);
        let what = Content {
            priority: job.priority,
            max_attempts,
            key: job.key.as_ref().map(|key| key.text.clone()),
            pushed_at: me.now.wall_ms,
            schema: job.schema,
            data: job.data.clone(),
            origin: job.origin.clone(),
        };
        if let Some(key) = &what.key {
            self.spots.put(Spot::Keyed(queue, key.clone(), sequence), ());
        }
        let what = Arc::new(what);
        let new = Row {
            what,
            state: State::Ready,
            attempts: 0,
            due: None,
            claim: None,
            ended_at: None,
            reason: None,
        };
        let new = match &job.dead {
            Some(reason) => new.ended(me, State::Dead, Some(reason)),
            None => new.starting(Due::of(job.start, me.now)),
        };
        self.put_job(queue, sequence, new);
        Place { sequence, existed: false }
    }

    /// The job that keeps another one of this key out: a living one, or else the first.
    fn holder_of(&self, queue: u64, key: &Key) -> Option<u64> {
        let first =
            || self.spots.range(Spot::keyed(queue, &key.text)).next().map(|(spot, ())| spot.sequence());
        self.living_of(queue, &key.text).or_else(|| first().filter(|_| key.scope == Scope::Kept))
    }

    /// The job of this key that is neither done nor dead.
    fn living_of(&self, queue: u64, key: &str) -> Option<u64> {
        let mut of_key = self.spots.range(Spot::keyed(queue, key)).map(|(spot, ())| spot.sequence());
        of_key.find(|sequence| self.jobs.get(&(queue, *sequence)).is_some_and(|row| row.state.is_live()))
    }

    /// Claims what is visible, the most urgent first.
    pub fn queue_claim(&mut self, me: &Caller, claim: &Claim) -> Claimed {
        let queue = self.queue_id(&claim.queue);
        let mut claimed = Claimed { queue, jobs: Vec::new() };
        let Some(queue) = queue else { return claimed };
        if self.queues.get(&queue).is_none_or(|row| row.options.paused) {
            return claimed;
        }
        self.give_up_void(me);
        self.show_due(me, queue);
        let ready = Spot::all(queue, State::Ready).into_iter().flat_map(|all| self.spots.range(all));
        let chosen: Vec<u64> = ready.take(claim.most as usize).map(|(spot, ())| spot.sequence()).collect();
        for sequence in chosen {
            let Some(row) = self.jobs.get(&(queue, sequence)).cloned() else { continue };
            let token = self.next_number();
            let Caller { process, now, .. } = *me;
            let held = Held { token, process, granted: now.boot_ms, ttl_ms: claim.ttl_ms };
            let row = Row {
                state: State::Claimed,
                attempts: row.attempts + 1,
                due: None,
                claim: Some(held),
                ..row
            };
            claimed.jobs.push((Receipt { queue, sequence, token }, row.shown(sequence)));
            self.put_job(queue, sequence, row);
        }
        claimed
    }

    /// Ends a claim, if it is the current one.
    pub fn queue_finish(&mut self, me: &Caller, finish: &Finish) -> Finished {
        let Receipt { queue, sequence, token } = finish.receipt;
        let row = self.jobs.get(&(queue, sequence)).cloned();
        let own = |claim: &Held| claim.token == token && claim.process == me.process;
        let Some(row) = row.filter(|row| row.claim.as_ref().is_some_and(own)) else { return Finished::Stale };
        let after = match &finish.how {
            How::Done => return self.done(me, (queue, sequence), row),
            How::Retry { delay_ms, reason } => row.failed(me, *delay_ms, reason),
            How::Bury { reason } => row.ended(me, State::Dead, Some(reason)),
            How::GiveBack => Row { attempts: row.attempts.saturating_sub(1), ..row }.starting(None),
        };
        let finished = if after.state == State::Dead { Finished::Dead } else { Finished::Again };
        self.put_job(queue, sequence, after);
        finished
    }

    fn done(&mut self, me: &Caller, (queue, sequence): (u64, u64), row: Row) -> Finished {
        let keep_ms = self.queues.get(&queue).map_or(0, |row| row.options.keep_done_ms).cast_signed();
        if keep_ms > 0 {
            self.put_job(queue, sequence, row.ended(me, State::Done, None));
        } else {
            self.drop_job(queue, sequence);
        }
        let last = me.now.wall_ms.saturating_sub(keep_ms);
        let old = self.spots.range(Spot::Done(queue, i64::MIN, 0)..=Spot::Done(queue, last, u64::MAX));
        let old: Vec<u64> = old.take(limits::DONE_SWEPT as usize).map(|(spot, ())| spot.sequence()).collect();
        old.into_iter().for_each(|sequence| self.drop_job(queue, sequence));
        Finished::Done
    }

    /// The caller's claims.
    pub fn queue_recall(&self, me: &Caller, recall: &Recall) -> Recalled {
        let Some(queue) = self.queue_id(&recall.queue) else { return Recalled { claims: Vec::new() } };
        let own = Spot::Claimed(me.process, queue, 0)..=Spot::Claimed(me.process, queue, u64::MAX);
        let claims = self.spots.range(own).filter_map(|(spot, ())| {
            let sequence = spot.sequence();
            let token = self.jobs.get(&(queue, sequence))?.claim?.token;
            Some(Receipt { queue, sequence, token })
        });
        Recalled { claims: claims.collect() }
    }

    /// Has dead letters tried again.
    pub fn queue_revive(&mut self, revive: &Revive) -> Revived {
        let mut revived = Revived::default();
        let Some(queue) = self.queue_id(&revive.queue) else { return revived };
        revived.queue = Some(queue);
        let (from, to) = match revive.which {
            Which::One(sequence) => (sequence, sequence),
            Which::From(sequence) => (sequence, u64::MAX),
        };
        let dead: Vec<u64> = if from > to { Vec::new() } else { self.dead_between(queue, from, to) };
        if dead.len() == limits::JOBS_AT_ONCE as usize {
            revived.next = dead.last().map(|last| last + 1);
        }
        for sequence in dead {
            let Some(row) = self.jobs.get(&(queue, sequence)).cloned() else { continue };
            if row.what.key.as_ref().is_some_and(|key| self.living_of(queue, key).is_some()) {
                revived.kept_out += 1;
                continue;
            }
            revived.revived += 1;
            let row = Row { attempts: 0, ended_at: None, reason: None, ..row };
            self.put_job(queue, sequence, row.starting(None));
        }
        revived
    }

    fn dead_between(&self, queue: u64, from: u64, to: u64) -> Vec<u64> {
        let dead = self.spots.range(Spot::Dead(queue, from)..=Spot::Dead(queue, to));
        dead.take(limits::JOBS_AT_ONCE as usize).map(|(spot, ())| spot.sequence()).collect()
    }

    /// Removes jobs.
    pub fn queue_purge(&mut self, purge: &Purge) -> Purged {
        let Some(queue) = self.queue_id(&purge.queue) else { return Purged::default() };
        let one = match &purge.what {
            What::One(sequence) => Some(*sequence).filter(|one| self.jobs.get(&(queue, *one)).is_some()),
            What::Key(key) => self.living_of(queue, key),
            What::All(state) => return self.purge_all(queue, *state),
        };
        one.into_iter().for_each(|sequence| self.drop_job(queue, sequence));
        Purged { queue: Some(queue), removed: u64::from(one.is_some()), one, more: false }
    }

    fn purge_all(&mut self, queue: u64, state: State) -> Purged {
        let those: Vec<u64> = match Spot::all(queue, state) {
            Some(all) => self
                .spots
                .range(all)
                .map(|(spot, ())| spot.sequence())
                .take(limits::JOBS_AT_ONCE as usize)
                .collect(),
            None => {
                let claims =
                    self.spots.range(Spot::claims(0..=u64::MAX)).filter_map(|(spot, ())| claim_of(spot));
                let own = claims.filter(|(of, _)| *of == queue).map(|(_, sequence)| sequence);
                own.take(limits::JOBS_AT_ONCE as usize).collect()
            }
        };
        let removed = those.len() as u64;
        those.into_iter().for_each(|sequence| self.drop_job(queue, sequence));
        let more = removed == u64::from(limits::JOBS_AT_ONCE);
        Purged { queue: Some(queue), removed, one: None, more }
    }

    /// Changes what is to be changed.
    pub fn queue_configure(&mut self, me: &Caller, change: &Configure) -> Configured {
        let queue = self.queue_made(me, &change.queue);
        let mut options = Options::default();
        if let Some(row) = self.queues.get(&queue).cloned() {
            options = Options {
                paused: change.paused.unwrap_or(row.options.paused),
                max_attempts: change.max_attempts.unwrap_or(row.options.max_attempts),
                keep_done_ms: change.keep_done_ms.unwrap_or(row.options.keep_done_ms),
            };
            self.queues.put(queue, Queue { options, ..row });
        }
        Configured { queue, options }
    }

    /// Gives up what this process had claimed and lost by its silence. Whether there was anything.
    pub fn give_up_expired(&mut self, me: &Caller) -> bool {
        let expired = self.void_claims(me, me.process..=me.process);
        let any = !expired.is_empty();
        expired.into_iter().for_each(|job| self.give_up(me, job, EXPIRED));
        any
    }

    /// Gives up all that a process has claimed.
    pub fn give_up_of(&mut self, me: &Caller, process: u64, reason: &str) {
        let claims = self.spots.range(Spot::claims(process..=process));
        let claims: Vec<(u64, u64)> = claims.filter_map(|(spot, ())| claim_of(spot)).collect();
        claims.into_iter().for_each(|job| self.give_up(me, job, reason));
    }

    /// Gives up what others have lost.
    fn give_up_void(&mut self, me: &Caller) {
        let void = self.void_claims(me, 0..=u64::MAX);
        for job in void {
            let process = self.jobs.get(&job).and_then(|row| row.claim).map_or(0, |claim| claim.process);
            let dead = self.census(me).living(process).is_none();
            self.give_up(me, job, if dead { DIED } else { EXPIRED });
        }
    }

    /// The claims that have ended. What is the caller's own and was not ended when it began is taken up by it.
    fn void_claims(&self, me: &Caller, processes: RangeInclusive<u64>) -> Vec<(u64, u64)> {
        let claims = self.spots.range(Spot::claims(processes)).filter_map(|(spot, ())| claim_of(spot));
        let void = |job: &(u64, u64)| {
            let claim = self.jobs.get(job).and_then(|row| row.claim);
            claim.is_some_and(|claim| claim.remaining(self.census(me), me.now) == 0)
        };
        claims.filter(void).collect()
    }

    fn give_up(&mut self, me: &Caller, (queue, sequence): (u64, u64), reason: &str) {
        if let Some(row) = self.jobs.get(&(queue, sequence)).cloned() {
            self.put_job(queue, sequence, row.failed(me, 0, reason));
        }
    }

    /// Makes visible what is due.
    fn show_due(&mut self, me: &Caller, queue: u64) {
        self.change_boot(me, queue);
        for (by_boot, now) in [(true, me.now.boot_ms.cast_signed()), (false, me.now.wall_ms)] {
            let due =
                Spot::Delayed(queue, by_boot, i64::MIN, 0)..=Spot::Delayed(queue, by_boot, now, u64::MAX);
            let due = self.spots.range(due).take(limits::JOBS_AT_ONCE as usize);
            let due: Vec<u64> = due.map(|(spot, ())| spot.sequence()).collect();
            for sequence in due {
                if let Some(row) = self.jobs.get(&(queue, sequence)).cloned() {
                    self.put_job(queue, sequence, row.starting(None));
                }
            }
        }
    }

    /// Whoever comes from another boot has what was delayed go by the wall clock.
    fn change_boot(&mut self, me: &Caller, queue: u64) {
        let Some(row) = self.queues.get(&queue).cloned().filter(|row| row.boot != me.boot) else { return };
        self.queues.put(queue, Queue { boot: Arc::clone(&me.boot), ..row });
        let all = Spot::Delayed(queue, true, i64::MIN, 0)..=Spot::Delayed(queue, true, i64::MAX, u64::MAX);
        let all: Vec<u64> = self.spots.range(all).map(|(spot, ())| spot.sequence()).collect();
        for sequence in all {
            if let Some(row) = self.jobs.get(&(queue, sequence)).cloned() {
                let due = row.due.map(|due| Due { boot_ms: None, ..due });
                self.put_job(queue, sequence, Row { due, ..row });
            }
        }
    }

    /// Puts a queue back, without its jobs and schedules.
    pub fn queue_load(
        &mut self,
        me: &Caller,
        onto: Onto,
        name: &Name,
        sequence: u64,
        options: Options,
    ) -> Result<Put> {
        let target = Target { name: name.clone(), id: None };
        if onto == Onto::Nothing && self.queue_id(&target).is_some() {
            return Ok(Put::Refused(Refusal::Exists));
        }
        let is_new = self.queue_id(&target).is_none();
        let id = self.queue_made(me, &target);
        let Some(row) = self.queues.get(&id).cloned() else { return Ok(Put::Refused(Refusal::Orphan)) };
        let last = record::behind(row.sequence, sequence, "the numbers of a queue's jobs")?;
        if onto == Onto::Replace {
            let jobs: Vec<u64> =
                self.jobs.range((id, 0)..=(id, u64::MAX)).map(|((_, sequence), _)| *sequence).collect();
            jobs.into_iter().for_each(|sequence| self.drop_job(id, sequence));
            let schedules: Vec<_> = self.schedules_of(id).map(|(key, _)| key.clone()).collect();
            schedules.iter().for_each(|key| self.schedules.remove(key));
        }
        let base = Base { shift: row.sequence.cast_signed(), ..Base::NONE };
        let options = if is_new || onto == Onto::Replace { options } else { row.options };
        self.queues.put(id, Queue { sequence: last, options, ..row });
        Ok(Put::Placed(base))
    }

    /// Puts a job back, unless a living one has its key.
    pub fn job_load(&mut self, queue: &Name, job: &Job) -> Put {
        let Some(id) = self.queue_names.get(queue).copied() else { return Put::Refused(Refusal::Orphan) };
        let Job { sequence, state, priority, attempts, max_attempts, ref key, pushed_at, .. } = *job;
        if let Some(key) = key {
            if state.is_live() && self.living_of(id, key).is_some() {
                return Put::Known;
            }
            self.spots.put(Spot::Keyed(id, key.clone(), sequence), ());
        }
        let (key, data, origin) = (key.clone(), job.data.clone(), job.origin.clone());
        let what = Content { priority, max_attempts, key, pushed_at, schema: job.schema, data, origin };
        let due = job.due.map(|wall_ms| Due { wall_ms, boot_ms: None });
        let (ended_at, reason) = (job.ended_at, job.reason.clone());
        let row = Row { what: Arc::new(what), state, attempts, due, claim: None, ended_at, reason };
        self.put_job(id, sequence, row);
        let sequence = Some(sequence);
        Put::Written(Some(Changed { primitive: Primitive::Queue, row: id, sequence, key: None }))
    }

    pub(super) fn queue_id(&self, target: &Target) -> Option<u64> {
        target.id.or_else(|| self.queue_names.get(&target.name).copied())
    }

    /// The row of a queue that is about to be written to.
    pub fn queue_made(&mut self, me: &Caller, target: &Target) -> u64 {
        if let Some(queue) = self.queue_id(target) {
            self.change_boot(me, queue);
            return queue;
        }
        let queue = self.next(Counter::Queue);
        let (name, boot) = (target.name.clone(), Arc::clone(&me.boot));
        self.queue_names.put(name.clone(), queue);
        self.queues.put(queue, Queue { name, sequence: 0, options: Options::default(), boot });
        queue
    }
}

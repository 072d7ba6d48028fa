//! What happens to a queue's outcomes where they are known first: on the thread that committed. And a job that is held,
//! which gives itself back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::WeakAddr;
use actix::prelude::*;

use super::line::Line;
use super::{Changed, Claimed, Doubt, FinishAgain, QueueActor, Waiter};
use crate::batch::Part;
use crate::error::{Error, Result, WriteOutcome};
use crate::gate::Passage;
use crate::name::Name;
use crate::reply::Reply;
use crate::storage::Target;
use crate::storage::queue::{
    Claim, Claimed as Outcome, Configure, Configured, Finish, Finished, How, Job, NewJob, Place, Purge,
    Purged, Push, Recall, Receipt, Revive, Revived, Start, What, Which,
};
use crate::storage::schedule::{Placed, Set};
use crate::supervisor::{House, Stay};
use crate::watcher::Watcher;
use crate::writer::Writer;

/// What is written to a queue and answered by its outcome.
#[derive(Debug)]
pub enum Write {
    /// Push jobs, at least one, all or none; a place for each.
    Push(Vec<NewJob>, Reply<Vec<Place>>, Passage),
    /// Have dead letters tried again.
    Revive(Which, Reply<Revived>, Passage),
    /// Remove jobs.
    Purge(What, Reply<Purged>, Passage),
    /// Make a schedule, or change it.
    Schedule(Set, Reply<Placed>, Passage),
    /// Change options: all that is not the queue's name counts.
    Configure(Configure, Reply<Configured>, Passage),
}

/// What is needed to deal with an outcome without the actor.
pub(super) struct Desk {
    pub(super) name: Name,
    /// The queue's row, or 0.
    id: AtomicU64,
    /// Somebody waits here for a job.
    waited_for: AtomicBool,
    pub(super) writer: Writer,
    watcher: Watcher,
    /// For whom claims are under way.
    pub(super) line: Line,
    /// Weak, or the actor would keep itself.
    actor: WeakAddr<QueueActor>,
}

impl Desk {
    pub(super) fn new(name: Name, house: &House, actor: WeakAddr<QueueActor>) -> Desk {
        let (writer, watcher, line) = (house.writer.clone(), house.watcher.clone(), Line::default());
        let (id, waited_for) = (AtomicU64::new(0), AtomicBool::new(false));
        Desk { name, id, waited_for, writer, watcher, line, actor }
    }

    fn target(&self) -> Target {
        let id = Some(self.id.load(Ordering::Relaxed)).filter(|id| *id > 0);
        Target { name: self.name.clone(), id }
    }

    /// Which row it is. That never changes.
    fn learn(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }

    /// Whether anybody here is to be told of jobs.
    pub(super) fn waited_for(&self, waited_for: bool) {
        self.waited_for.store(waited_for, Ordering::SeqCst);
    }

    /// There may be something for those who wait.
    pub(super) fn changed(&self, ready: bool) {
        if self.waited_for.load(Ordering::SeqCst) {
            self.tell(Changed { ready });
        }
    }

    /// Tells the actor. One that has failed has nobody waiting, but its successor may have: that one looks by itself.
    pub(super) fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        QueueActor: Handler<M>,
    {
        match self.actor.upgrade().filter(Addr::connected) {
            // Bounded by the gate, as every message is.
            Some(actor) => actor.do_send(message),
            None => self.watcher.call_all(),
        }
    }

    /// Claims for these, and answers as many of the line as there are jobs. A job that nobody takes is given back.
    pub(super) fn claim(self: &Arc<Self>, batch: VecDeque<Waiter>, most: u32, ttl_ms: u64) {
        let Some(stay) = batch.front().map(|first| first.stay.clone()) else { return };
        let waiters = batch.len();
        let claim = Claim { queue: self.target(), most, ttl_ms };
        self.line.join(batch);
        let desk = Arc::clone(self);
        self.writer.apply(claim, None, move |outcome| {
            let (mut timers, mut short) = (Vec::new(), true);
            match outcome {
                Ok(Outcome { queue, jobs }) => {
                    short = jobs.len() < most as usize;
                    queue.into_iter().for_each(|id| desk.learn(id));
                    let held =
                        |(receipt, job)| Held::new(Arc::clone(&desk), stay.clone(), receipt, ttl_ms, job);
                    desk.line.offer(jobs.into_iter().map(held).collect(), &mut timers);
                }
                Err(error) => {
                    if error.outcome() == WriteOutcome::Unknown {
                        desk.tell(Doubt(stay));
                    }
                    desk.line.refuse(waiters, &error, &mut timers);
                }
            }
            desk.tell(Claimed { timers, short });
        });
    }

    /// Ends a claim. Where that cannot be written the job is given up as soon as it can be.
    fn finish(
        self: &Arc<Self>,
        finish: Finish,
        (taken, stay): (bool, Stay),
        passage: Option<Passage>,
        then: impl FnOnce(Result<Finished>) + Send + 'static,
    ) {
        let (desk, receipt) = (Arc::clone(self), finish.receipt);
        let visible = match finish.how {
            How::Retry { delay_ms, .. } => Some(delay_ms == 0),
            How::GiveBack => Some(true),
            How::Done | How::Bury { .. } => None,
        };
        self.writer.apply(finish, passage, move |outcome| {
            desk.writer.let_go(receipt.token);
            then(match outcome {
                Ok(Finished::Stale) => {
                    let (queue, sequence) = (desk.name.to_string(), receipt.sequence);
                    Err(Error::StaleClaim { queue, sequence })
                }
                Ok(finished) => {
                    visible.into_iter().for_each(|ready| desk.changed(ready));
                    Ok(finished)
                }
                Err(error) => {
                    if error.may_pass() {
                        desk.tell(FinishAgain { receipt, taken, stay });
                    }
                    Err(error)
                }
            });
        });
    }

    /// Nobody works on it any more: an attempt that came to nothing if somebody had taken it.
    pub(super) fn drop_claim(self: &Arc<Self>, receipt: Receipt, taken: bool, stay: Stay) {
        let dropped = || How::Retry { delay_ms: 0, reason: "it was dropped".into() };
        let how = if taken { dropped() } else { How::GiveBack };
        self.finish(Finish { receipt, how }, (taken, stay), None, drop);
    }

    /// Gives back what a commit of unknown fate may have claimed here. What is held is known by then: outcomes are dealt
    /// with in the order of the commits.
    pub(super) fn recall(self: &Arc<Self>, stay: Stay) {
        let desk = Arc::clone(self);
        self.writer.apply(Recall { queue: self.target() }, None, move |recalled| match recalled {
            Ok(recalled) => {
                let unknown = |receipt: &Receipt| !desk.writer.holds(receipt.token);
                for receipt in recalled.claims.into_iter().filter(unknown) {
                    desk.drop_claim(receipt, false, stay.clone());
                }
            }
            Err(error) if error.may_pass() => desk.tell(Doubt(stay)),
            Err(_) => {}
        });
    }

    /// Writes, and answers with the outcome. Where a claim follows at once nobody has to be told that there may be jobs.
    pub(super) fn write(self: &Arc<Self>, write: Write, claim_follows: bool, stay: Stay) {
        let (desk, queue) = (Arc::clone(self), self.target());
        match write {
            Write::Push(jobs, reply, passage) => {
                let ready = is_ready(&jobs);
                self.writer.apply(Push { queue, jobs }, Some(passage), move |pushed| {
                    reply.answer(pushed.map(|pushed| {
                        desk.learn(pushed.queue);
                        if !claim_follows {
                            desk.changed(ready);
                        }
                        pushed.places
                    }));
                    drop(stay);
                });
            }
            Write::Revive(which, reply, passage) => {
                self.writer.apply(Revive { queue, which }, Some(passage), move |revived| {
                    desk.changed(true);
                    reply.answer(revived);
                    drop(stay);
                });
            }
            Write::Purge(what, reply, passage) => {
                self.writer.apply(Purge { queue, what }, Some(passage), move |purged| reply.answer(purged));
            }
            Write::Schedule(set, reply, passage) => {
                self.writer.apply(Set { queue, ..set }, Some(passage), move |placed| {
                    desk.tell(Changed { ready: false });
                    reply.answer(placed);
                    drop(stay);
                });
            }
            Write::Configure(change, reply, passage) => {
                self.writer.apply(Configure { queue, ..change }, Some(passage), move |configured| {
                    desk.changed(true);
                    reply.answer(configured);
                    drop(stay);
                });
            }
        }
    }
}

/// Whether one of them can be claimed at once.
pub(super) fn is_ready(jobs: &[NewJob]) -> bool {
    jobs.iter().any(|job| job.start == Start::Now)
}

/// A job that is claimed, and this process sees to the lease.
///
/// Whoever drops it gives it back, wherever that happens: in the hands of its worker, which counts as an attempt, or in a
/// reply that nobody took, which does not. While it exists, the queue's actor stays.
pub struct Held {
    desk: Arc<Desk>,
    stay: Stay,
    receipt: Receipt,
    ttl_ms: u64,
    /// Shared with whoever is told of the job and does not decide on its end.
    job: Arc<Job>,
    taken: bool,
    ended: bool,
}

impl Held {
    fn new(desk: Arc<Desk>, stay: Stay, receipt: Receipt, ttl_ms: u64, job: Job) -> Held {
        desk.writer.hold(receipt.token, ttl_ms);
        Held { desk, stay, receipt, ttl_ms, job: Arc::new(job), taken: false, ended: false }
    }

    /// Its caller has it: from now on it counts as an attempt.
    #[must_use]
    pub fn taken(mut self) -> Held {
        self.taken = true;
        self
    }

    /// The queue's name.
    #[must_use]
    pub fn queue(&self) -> &Name {
        &self.desk.name
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// The token of the claim.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.receipt.token
    }

    /// By this process's own clock: how long the lease lasts if it wrote no beat from now on.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        let writer = &self.desk.writer;
        let end_ms = writer.beat_ms().saturating_add(self.ttl_ms);
        Duration::from_millis(end_ms.saturating_sub(writer.now_ms()))
    }

    /// Ends the claim; [`Error::StaleClaim`] if it was not the current one any more.
    pub fn finish(mut self, how: How, reply: Reply<Finished>, passage: Passage) {
        self.ended = true;
        let finish = Finish { receipt: self.receipt, how };
        let whose = (self.taken, self.stay.clone());
        self.desk.finish(finish, whose, Some(passage), move |finished| reply.answer(finished));
    }

    /// That it is done, as a part of a batch. If that does not take effect it is dropped, and so given back.
    #[must_use]
    pub fn done_part(mut self) -> Part {
        let finish = Finish { receipt: self.receipt, how: How::Done };
        Part::new(finish, move |finished| {
            if finished.is_some() {
                self.ended = true;
                self.desk.writer.let_go(self.receipt.token);
            }
        })
    }

    /// The same, for one whom nobody waits for.
    pub fn finish_unasked(mut self, how: How) {
        self.ended = true;
        let finish = Finish { receipt: self.receipt, how };
        self.desk.finish(finish, (self.taken, self.stay.clone()), None, drop);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.ended {
            // Nobody wants to know what came of it.
            self.desk.drop_claim(self.receipt, self.taken, self.stay.clone());
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queue, sequence) = (&self.desk.name, self.receipt.sequence);
        f.debug_struct("Held").field("queue", queue).field("sequence", &sequence).finish_non_exhaustive()
    }
}

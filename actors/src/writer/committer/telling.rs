//! What a group has done, and how long that took, told to whoever watches over the program.
//!
//! It is found out from the operations and their outcomes, once a group: so nothing is counted where they are made or answered.

use super::Committer;
use crate::error::Result;
use crate::observe::{Written, target};
use crate::storage::batch::Applied;
use crate::storage::lock::Acquired;
use crate::storage::projection::Advanced;
use crate::storage::queue::{Finished, How};
use crate::storage::schedule::Fired;
use crate::storage::stream::{Appended, Checked, Imported};
use crate::storage::subscription::Moved;
use crate::storage::{Operation, Outcome, feed};

/// When what happened, in microseconds; all of it 0 if nobody wants to know.
#[derive(Debug, Default)]
pub(super) struct Timing {
    is_wanted: bool,
    asked_us: u64,
    turn_us: u64,
    commit_us: u64,
}

impl Committer {
    /// The turn is asked for.
    pub(super) fn begin_timing(&mut self) {
        let is_traced = tracing::enabled!(target: target::WRITER, tracing::Level::DEBUG);
        self.timing.is_wanted = self.stats.meter.is_told() || is_traced;
        self.timing.asked_us = self.now_us();
    }

    /// The turn was taken, if it was to be had.
    pub(super) fn has_turn(&mut self, waited: bool) {
        self.timing.turn_us = self.now_us();
        if waited {
            self.stats.meter.waited_for_turn(self.timing.turn_us.saturating_sub(self.timing.asked_us));
        }
    }

    /// All operations have been applied.
    pub(super) fn begin_commit(&mut self) {
        self.timing.commit_us = self.now_us();
    }

    pub(super) fn now_us(&self) -> u64 {
        if self.timing.is_wanted { self.clock.monotonic_us() } else { 0 }
    }

    /// The group was committed.
    pub(super) fn tell(&self, group: u64, answers: &[Result<Outcome>]) {
        let Timing { asked_us, turn_us, commit_us, .. } = self.timing;
        let (now_us, operations) = (self.now_us(), answers.len());
        let [turn_us, group_us, commit_us] = [(turn_us, asked_us), (now_us, turn_us), (now_us, commit_us)]
            .map(|(to, from)| to.saturating_sub(from));
        tracing::debug!(target: target::WRITER, group, operations, turn_us, group_us, commit_us, "committed");
        let meter = &self.stats.meter;
        if !meter.is_told() {
            return;
        }
        meter.committed(operations, group_us, commit_us);
        meter.log_pages(self.session.log_length());
        let mut written = Written::default();
        for (write, answer) in self.writes.iter().zip(answers) {
            if let Ok(outcome) = answer {
                add(&mut written, write.operation(), outcome);
            }
        }
        meter.wrote(&written);
    }
}

/// Adds what an operation has written, by its outcome.
fn add(written: &mut Written, operation: &Operation, outcome: &Outcome) {
    match (operation, outcome) {
        (Operation::StreamAppend(append), Outcome::StreamAppend(Appended::Done { repeated: false, .. })) => {
            written.events += append.events.len() as u64;
        }
        (_, Outcome::StreamAppend(Appended::Conflict { .. }))
        | (_, Outcome::StreamCheck(Checked::Conflict { .. })) => written.conflicts += 1,
        (_, Outcome::StreamAppend(Appended::Fenced))
        | (_, Outcome::FeedAppend(feed::Appended::Fenced))
        | (_, Outcome::SubscriptionMove(Moved::Fenced))
        | (_, Outcome::SubscriptionAcknowledge(Moved::Fenced))
        | (_, Outcome::ProjectionAdvance(Advanced::Fenced) | Outcome::ProjectionPromote(Advanced::Fenced))
        | (_, Outcome::LockCheck(false)) => written.fenced += 1,
        (Operation::ProjectionAdvance(advance), Outcome::ProjectionAdvance(Advanced::Done)) => {
            written.projected += advance.handled;
            written.projection_failures += u64::from(advance.failure.is_some());
        }
        (_, Outcome::StreamImport(Imported::Done { added, .. })) => written.events += added,
        (Operation::FeedAppend(append), Outcome::FeedAppend(feed::Appended::Done { .. })) => {
            let [log, channel] = &mut written.messages;
            let appended = match append.kind {
                feed::Kind::Log => log,
                feed::Kind::Channel => channel,
            };
            *appended += append.messages.len() as u64;
        }
        (_, Outcome::QueuePush(pushed)) => {
            written.jobs_pushed += pushed.places.iter().filter(|place| !place.existed).count() as u64;
        }
        (_, Outcome::ScheduleFire(Fired::Pushed { place, .. })) if !place.existed => written.jobs_pushed += 1,
        (_, Outcome::QueueClaim(claimed)) => written.jobs_claimed += claimed.jobs.len() as u64,
        (Operation::QueueFinish(finish), Outcome::QueueFinish(finished)) => {
            let [done, retried, dead, given_back, stale] = &mut written.jobs_ended;
            let end = match finished {
                Finished::Done => done,
                Finished::Again if finish.how == How::GiveBack => given_back,
                Finished::Again => retried,
                Finished::Dead => dead,
                Finished::Stale => stale,
            };
            *end += 1;
        }
        (_, Outcome::LockAcquire(Acquired::Granted(_))) => written.lock_grants += 1,
        (_, Outcome::LockLeave(left)) => written.lock_grants += left.next.len() as u64,
        (_, Outcome::LockSettle(settled)) => written.lock_grants += settled.next.len() as u64,
        (_, Outcome::LockBreak(broken)) => written.lock_grants += broken.next.len() as u64,
        (Operation::Batch(batch), Outcome::Batch(Applied::Done(outcomes))) => {
            batch.parts.iter().zip(outcomes).for_each(|(part, outcome)| add(written, part, outcome));
        }
        (Operation::Batch(batch), Outcome::Batch(Applied::Refused { part, outcome })) => {
            batch.parts.get(*part).into_iter().for_each(|part| add(written, part, outcome));
        }
        _ => {}
    }
}

//! What may happen to queues, and what the model knows of them.

use std::collections::BTreeSet;

use millpond_actors::storage::Operation::{
    QueueClaim, QueueConfigure, QueueFinish, QueuePurge, QueuePush, QueueRecall, QueueRevive, ScheduleFire,
    ScheduleRemove, ScheduleSet,
};
use millpond_actors::storage::queue::{
    Configure, Finish, Finished, How, Key, NewJob, Purge, Query, Recall, Receipt, Revive, Scope, Start,
    State, What, Which,
};
use millpond_actors::storage::schedule::{Fire, Fired, Missed, Plan, Remove, Schedule, Set};
use millpond_actors::storage::{Operation, Outcome};
use proptest::prelude::*;

use super::super::queues::{claim, new_job, push};
use super::super::stage::*;
use super::Pair;

pub(super) const QUEUES: [&str; 2] = ["q", "r-'\"😀"];
const SCHEDULES: [&str; 2] = ["s", "t-'\"😀"];

/// One operation on a queue. Which claim it ends ("the third back") is looked up when it is its turn.
#[derive(Clone, Debug)]
pub(super) enum JobStep {
    Push { queue: usize, jobs: Vec<NewJob> },
    Claim { queue: usize, most: u32, ttl_ms: u64 },
    Finish { back: usize, how: How },
    Recall { queue: usize },
    Revive { queue: usize, which: Which },
    Purge { queue: usize, what: What },
    Schedule { queue: usize, schedule: usize, plan: Plan, due: i64 },
    Unschedule { queue: usize, schedule: usize },
    Fire { queue: usize, back: usize, next: Option<i64> },
    Configure { queue: usize, paused: Option<bool>, max_attempts: Option<u32>, keep_done_ms: Option<u64> },
}

fn new_jobs() -> impl Strategy<Value = NewJob> {
    let start = prop_oneof![
        5 => Just(Start::Now),
        2 => prop_oneof![Just(1), Just(20), Just(500)].prop_map(Start::After),
        1 => (-1_000..30_000_i64).prop_map(|ms| Start::At(1_700_000_000_000 + ms)),
    ];
    let scope = prop_oneof![3 => Just(Scope::Live), 1 => Just(Scope::Kept)];
    let key = prop::option::weighted(0.3, (0..3_u8, scope));
    let dead = prop::option::weighted(0.1, Just("no use".into()));
    (0..99_u64, -2..3_i64, start, key, prop::option::of(1..4_u32), dead).prop_map(
        |(number, priority, start, key, max_attempts, dead)| NewJob {
            dead,
            priority,
            start,
            key: key.map(|(key, scope)| Key { text: format!("k{key}").into(), scope }),
            max_attempts,
            origin: odd_origin(number.into()).kept(),
            ..new_job(number)
        },
    )
}

pub(super) fn job_steps() -> impl Strategy<Value = JobStep> {
    let how = prop_oneof![
        4 => Just(How::Done),
        2 => prop_oneof![Just(0), Just(30), Just(499)]
            .prop_map(|delay_ms| How::Retry { delay_ms, reason: "no luck".into() }),
        1 => Just(How::Bury { reason: "no use".into() }),
        1 => Just(How::GiveBack),
    ];
    let which = prop_oneof![(1..30_u64).prop_map(Which::One), (0..20_u64).prop_map(Which::From)];
    let state = (0..State::ALL.len()).prop_map(|state| What::All(State::ALL[state]));
    let key = (0..3_u8).prop_map(|key| What::Key(format!("k{key}").into()));
    let what = prop_oneof![4 => (1..30_u64).prop_map(What::One), 4 => key, 1 => state];
    let ttl_ms = prop_oneof![Just(20), Just(50), Just(500), Just(20_000)];
    let queue = || 0..QUEUES.len();
    prop_oneof![
        5 => (queue(), prop::collection::vec(new_jobs(), 1..5))
            .prop_map(|(queue, jobs)| JobStep::Push { queue, jobs }),
        6 => (queue(), 0..5_u32, ttl_ms).prop_map(|(queue, most, ttl_ms)| JobStep::Claim { queue, most, ttl_ms }),
        6 => (0..9_usize, how).prop_map(|(back, how)| JobStep::Finish { back, how }),
        1 => queue().prop_map(|queue| JobStep::Recall { queue }),
        1 => (queue(), which).prop_map(|(queue, which)| JobStep::Revive { queue, which }),
        2 => (queue(), what).prop_map(|(queue, what)| JobStep::Purge { queue, what }),
        2 => (queue(), 0..SCHEDULES.len(), plans(), times())
            .prop_map(|(queue, schedule, plan, due)| JobStep::Schedule { queue, schedule, plan, due }),
        1 => (queue(), 0..SCHEDULES.len())
            .prop_map(|(queue, schedule)| JobStep::Unschedule { queue, schedule }),
        3 => (queue(), 0..4_usize, prop::option::weighted(0.8, times()))
            .prop_map(|(queue, back, next)| JobStep::Fire { queue, back, next }),
        1 => (queue(), prop::option::weighted(0.3, prop::bool::weighted(0.2)), prop::option::of(1..5_u32),
            prop::option::of(prop_oneof![Just(0), Just(400_u64)]))
            .prop_map(|(queue, paused, max_attempts, keep_done_ms)| JobStep::Configure {
                queue, paused, max_attempts, keep_done_ms,
            }),
    ]
}

/// Times around those that the clock shows; often one that is past, so that a schedule is due again at once.
fn times() -> impl Strategy<Value = i64> {
    prop_oneof![-1_000..0_i64, 0..30_000_i64].prop_map(|ms| 1_700_000_000_000 + ms)
}

fn plans() -> impl Strategy<Value = Plan> {
    let missed = prop_oneof![Just(Missed::Once), Just(Missed::Skip)];
    (0..2_u8, missed, new_jobs()).prop_map(|(cron, missed, job)| {
        let (cron, zone) = (format!("{cron} * * * *").into(), "UTC".into());
        Plan { cron, zone, missed, job: NewJob { start: Start::Now, dead: None, ..job } }
    })
}

/// What is known of jobs without asking either side.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    /// Every claim ever made, oldest first.
    claims: Vec<Receipt>,
    /// Jobs that are done.
    done: BTreeSet<(u64, u64)>,
    /// Every schedule that was ever seen, oldest first, and which of them have been done for.
    schedules: [Vec<Schedule>; QUEUES.len()],
    fired: BTreeSet<u64>,
}

impl Jobs {
    /// The step as an operation; `None` if what it refers to is not there yet.
    pub(super) fn operation(&self, step: &JobStep) -> Option<Operation> {
        let target = |queue: &usize| target(QUEUES[*queue]);
        Some(match step {
            JobStep::Push { queue, jobs } => QueuePush(push(QUEUES[*queue], jobs.clone())),
            JobStep::Claim { queue, most, ttl_ms } => QueueClaim(claim(QUEUES[*queue], *most, *ttl_ms)),
            JobStep::Finish { back, how } => {
                let receipt = *self.claims.iter().rev().nth(*back)?;
                QueueFinish(Finish { receipt, how: how.clone() })
            }
            JobStep::Recall { queue } => QueueRecall(Recall { queue: target(queue) }),
            JobStep::Revive { queue, which } => QueueRevive(Revive { queue: target(queue), which: *which }),
            JobStep::Purge { queue, what } => QueuePurge(Purge { queue: target(queue), what: what.clone() }),
            JobStep::Schedule { queue, schedule, plan, due } => {
                let (queue, name) = (target(queue), name(SCHEDULES[*schedule]));
                ScheduleSet(Set { queue, name, plan: Box::new(plan.clone()), due: Some(*due) })
            }
            JobStep::Unschedule { queue, schedule } => {
                ScheduleRemove(Remove { queue: target(queue), name: name(SCHEDULES[*schedule]) })
            }
            JobStep::Fire { queue, back, next } => {
                let seen = self.schedules[*queue].iter().rev().nth(*back)?;
                let (queue, name) = (target(queue), name(&seen.name));
                ScheduleFire(Fire { queue, name, revision: seen.revision, next: *next })
            }
            JobStep::Configure { queue, paused, max_attempts, keep_done_ms } => QueueConfigure(Configure {
                queue: target(queue),
                paused: *paused,
                max_attempts: *max_attempts,
                keep_done_ms: *keep_done_ms,
            }),
        })
    }

    /// Remembers claims and ends, and sees that they keep to what needs no yardstick: a job is done once at most and not
    /// claimed after, tokens grow, a claim goes by priority and then by number.
    pub(super) fn learn(&mut self, operation: &Operation, outcome: &Outcome) {
        match (operation, outcome) {
            (_, Outcome::QueueClaim(claimed)) => {
                let order: Vec<_> =
                    claimed.jobs.iter().map(|(_, job)| (job.priority, job.sequence)).collect();
                assert!(order.is_sorted(), "{order:?}");
                for (receipt, _) in &claimed.jobs {
                    assert!(
                        !self.done.contains(&(receipt.queue, receipt.sequence)),
                        "done, and claimed again"
                    );
                    let last = self.claims.last().map_or(0, |last| last.token);
                    assert!(receipt.token > last, "{} after {last}", receipt.token);
                    self.claims.push(*receipt);
                }
            }
            (QueueFinish(Finish { receipt, .. }), Outcome::QueueFinish(Finished::Done)) => {
                assert!(self.done.insert((receipt.queue, receipt.sequence)), "done twice");
            }
            (ScheduleFire(fire), Outcome::ScheduleFire(fired)) if *fired != Fired::Stale => {
                assert!(self.fired.insert(fire.revision), "a time was done for twice");
            }
            _ => {}
        }
    }
}

/// Everything that can be read of queues.
pub(super) fn compare(pair: &mut Pair) {
    let now = pair.now;
    pair.compare(|view| view.queues(None, 9));
    pair.compare(|view| view.queues(Some("q"), 1));
    for queue in QUEUES {
        pair.compare(|view| view.queue(&name(queue)));
        pair.compare(|view| view.queue_outlook(&name(queue), now));
        let query = |state, from, limit| Query { queue: name(queue), state, from, limit };
        pair.compare(|view| view.jobs(&query(None, 0, 99)));
        pair.compare(|view| view.jobs(&query(Some(State::Ready), 3, 2)));
        for key in 0..3 {
            pair.compare(|view| view.job_of_key(&name(queue), &format!("k{key}")));
        }
    }
    for (number, queue) in QUEUES.into_iter().enumerate() {
        let schedules = pair.compare(|view| view.schedules(&name(queue)));
        let seen = &mut pair.known.jobs.schedules[number];
        let new = schedules.into_iter().map(Result::unwrap).filter(|schedule| !seen.contains(schedule));
        seen.extend(new.collect::<Vec<_>>());
    }
}

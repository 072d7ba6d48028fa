//! Queues in the database: jobs that are pushed, claimed, and done, tried again or buried.
//!
//! A claim takes the visible job with the lowest priority number, and of equals the one that was pushed first: that is
//! judged inside its transaction. It counts the attempt in the same commit, so that a job that kills its process comes
//! to an end too. What it gives is a [`Receipt`] with a token of the store's one counter, and whoever finishes a job has
//! to show it: a token that is not the current one of a claim that lasts is refused, having changed nothing. So a job
//! is finished once at most, however often it runs.
//!
//! A claim is a lease: it ends as [`lease_end`](super::lock::lease_end) says, and at once when its process is known to
//! be dead. Since a process claims for itself alone, in a commit of its own, its beat is never older than its claims.
//! A claim that has ended is *void*: whoever claims next gives the job up for it, to be tried again, or, if that was its
//! last attempt, to the dead letters.
//!
//! A delay is counted by the boot clock, which nobody sets, as long as the machine runs; what was delayed under another
//! boot goes by the wall clock. A job for a certain time goes by the wall clock alone. Neither ever begins early by the
//! clock that it goes by.

use super::{Data, Origin, Target};

/// Why an attempt came to nothing whose process died.
pub const DIED: &str = "its process died";
/// Why an attempt came to nothing whose process was silent for longer than the lease.
pub const EXPIRED: &str = "its lease ended: its process was stopped";
/// Why an attempt came to nothing whose process has closed the store.
pub const LEFT: &str = "its process left the store";

/// A job to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// What is to be done.
    pub data: Data,
    /// The schema of the data.
    pub schema: u32,
    /// The lower, the sooner.
    pub priority: i64,
    /// When it becomes visible.
    pub start: Start,
    /// Under which key there may be one job only.
    pub key: Option<Key>,
    /// How often it is tried; as often as the queue says if `None`.
    pub max_attempts: Option<u32>,
    /// Where it comes from.
    pub origin: Option<Box<Origin>>,
    /// It is a dead letter from the beginning, for this reason. A job of a schedule never is.
    pub dead: Option<Box<str>>,
}

/// When a job becomes visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Now,
    /// So many milliseconds from now, and not before.
    After(u64),
    /// When the wall clock shows this, in milliseconds since 1970, or more.
    At(i64),
}

/// A key of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub text: Box<str>,
    /// Which jobs have it.
    pub scope: Scope,
}

/// Which jobs of the same key keep another one out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those that are neither done nor dead.
    #[default]
    Live,
    /// All that are kept: also the dead, and those that are done and retained.
    Kept,
}

/// Push jobs, all or none, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// The queue; its row is made on first use.
    pub queue: Target,
    /// The jobs, at least one.
    pub jobs: Vec<NewJob>,
}

impl Push {
    pub(super) fn has_delays(&self) -> bool {
        self.jobs.iter().any(|job| matches!(job.start, Start::After(1..)))
    }

    pub(super) fn put_off(&mut self, by_ms: u64) {
        for job in &mut self.jobs {
            if let Start::After(ms @ 1..) = &mut job.start {
                *ms = ms.saturating_add(by_ms);
            }
        }
    }
}

/// What became of [`Push`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The queue's row.
    pub queue: u64,
    /// A place for each job, in their order.
    pub places: Vec<Place>,
}

/// Where a job stands in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number in the queue. They are given from 1 on, without gaps.
    pub sequence: u64,
    /// Whether it was there already, under the key of the one that was pushed. Then nothing was pushed for that.
    pub existed: bool,
}

/// Claim up to so many jobs, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The queue. One that was never used has no jobs.
    pub queue: Target,
    /// How many at most.
    pub most: u32,
    /// The time to live of each claim, in milliseconds.
    pub ttl_ms: u64,
}

/// What became of [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The queue's row, if it was used before.
    pub queue: Option<u64>,
    /// What was claimed. Fewer than wanted: there are no more that are visible, or the queue is paused.
    pub jobs: Vec<(Receipt, Job)>,
}

/// The right to finish a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The queue's row.
    pub queue: u64,
    /// The job's number in it.
    pub sequence: u64,
    /// The token of the claim: larger than every token or ticket given before by this store.
    pub token: u64,
}

/// End a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Which.
    pub receipt: Receipt,
    /// How.
    pub how: How,
}

/// How a claim ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// The job is done, and is not run again.
    Done,
    /// The attempt came to nothing. If it was the last one, the job goes to the dead letters; else it is visible again
    /// after a while.
    Retry {
        /// The while, in milliseconds.
        delay_ms: u64,
        /// What went wrong.
        reason: Box<str>,
    },
    /// The job goes to the dead letters, whatever attempts it has left.
    Bury {
        /// Why.
        reason: Box<str>,
    },
    /// Nobody took the job: it is visible again at once, and the attempt does not count.
    GiveBack,
}

impl How {
    pub(super) fn delay(&self) -> Option<u64> {
        match self {
            How::Retry { delay_ms, .. } => Some(*delay_ms),
            How::Done | How::Bury { .. } | How::GiveBack => None,
        }
    }

    pub(super) fn put_off(&mut self, by_ms: u64) {
        if let How::Retry { delay_ms: delay_ms @ 1.., .. } = self {
            *delay_ms = delay_ms.saturating_add(by_ms);
        }
    }
}

/// What became of [`Finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It is done.
    Done,
    /// It will be tried again.
    Again,
    /// It is among the dead letters.
    Dead,
    /// The claim was not the current one, or its lease had ended. Nothing was changed.
    Stale,
}

/// Ask for the claims of this process. After a commit of unknown fate there may be some that nobody here knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// The queue.
    pub queue: Target,
}

/// What became of [`Recall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The claims, by the number of the job.
    pub claims: Vec<Receipt>,
}

/// Have dead letters tried again, as if they had never been. They keep their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revive {
    /// The queue.
    pub queue: Target,
    /// Which: one, or all from a number on, [`limits::JOBS_AT_ONCE`](crate::limits::JOBS_AT_ONCE) at most.
    pub which: Which,
}

/// Which jobs are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this number.
    One(u64),
    /// All from this number on.
    From(u64),
}

/// What became of [`Revive`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revived {
    /// The queue's row, if it has one.
    pub queue: Option<u64>,
    /// How many will be tried again.
    pub revived: u64,
    /// How many stay dead because a living job has their key.
    pub kept_out: u64,
    /// Where to go on, if there may be more.
    pub next: Option<u64>,
}

/// Remove jobs for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The queue.
    pub queue: Target,
    /// Which: one by its number, whatever its state is, or by its key, or all of a state,
    /// [`limits::JOBS_AT_ONCE`](crate::limits::JOBS_AT_ONCE) at most.
    pub what: What,
}

/// What is removed. Whoever works on it has a stale claim then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The job of this number.
    One(u64),
    /// The job of this key that is neither done nor dead.
    Key(Box<str>),
    /// Jobs of this state.
    All(State),
}

/// What became of [`Purge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// The queue's row, if it has one.
    pub queue: Option<u64>,
    /// How many were removed.
    pub removed: u64,
    /// The number of the one that was removed, if one was meant.
    pub one: Option<u64>,
    /// Whether there may be more.
    pub more: bool,
}

/// Change the options of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configure {
    /// The queue; its row is made on first use.
    pub queue: Target,
    /// Whether jobs can be claimed.
    pub paused: Option<bool>,
    /// How often jobs are tried that are pushed from now on and do not say so themselves.
    pub max_attempts: Option<u32>,
    /// For how many milliseconds jobs are kept that are done; 0: not at all.
    pub keep_done_ms: Option<u64>,
}

/// What became of [`Configure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The queue's row.
    pub queue: u64,
    /// Its options now.
    pub options: Options,
}

/// The options of a queue, which live in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether nothing can be claimed. What is claimed already can be finished.
    pub paused: bool,
    /// How often a job is tried that does not say so itself.
    pub max_attempts: u32,
    /// For how many milliseconds jobs are kept that are done; 0: not at all.
    pub keep_done_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { paused: false, max_attempts: crate::limits::MAX_ATTEMPTS, keep_done_ms: 0 }
    }
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It can be claimed.
    Ready = 0,
    /// It waits for its time.
    Delayed = 1,
    /// Somebody works on it, or has died or been stopped over it and is not known to have yet.
    Claimed = 2,
    /// It has used its attempts up, or was buried.
    Dead = 3,
    /// It is done, and kept for a while.
    Done = 4,
}

impl State {
    /// All of them.
    pub const ALL: [State; 5] = [State::Ready, State::Delayed, State::Claimed, State::Dead, State::Done];

    /// The state of this number in the file.
    #[must_use]
    pub fn of(number: u8) -> Option<State> {
        State::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// Whether the job is neither done nor dead.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, State::Ready | State::Delayed | State::Claimed)
    }
}

/// A job, as a reader or its claimant sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number in the queue.
    pub sequence: u64,
    /// How it stands.
    pub state: State,
    /// The lower, the sooner.
    pub priority: i64,
    /// How often it was tried; a claim counts from its beginning.
    pub attempts: u32,
    /// How often it is tried at most.
    pub max_attempts: u32,
    /// Its key.
    pub key: Option<Box<str>>,
    /// When it was pushed, by the wall clock.
    pub pushed_at: i64,
    /// Of a delayed job: when it becomes visible, as the wall clock was expected to show it.
    pub due: Option<i64>,
    /// Of a claimed job: the process that works on it.
    pub process: Option<u64>,
    /// Of a job that is done or dead: when that was, by the wall clock.
    pub ended_at: Option<i64>,
    /// Why it is dead, or why its last attempt came to nothing.
    pub reason: Option<Box<str>>,
    /// The schema of the data.
    pub schema: u32,
    /// What is to be done.
    pub data: Data,
    /// Where it comes from.
    pub origin: Option<Box<Origin>>,
}

/// Which jobs a page is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The queue.
    pub queue: crate::name::Name,
    /// Those of this state alone, or all.
    pub state: Option<State>,
    /// From this number on.
    pub from: u64,
    /// So many rows at most.
    pub limit: u32,
}

/// A page of jobs by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The jobs; a damaged one is an error in its place.
    pub jobs: Vec<crate::error::Result<Job>>,
    /// Where the next page begins, if there may be one.
    pub next: Option<u64>,
}

/// A queue in numbers, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The queue's row.
    pub queue: u64,
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: Options,
    /// How many jobs were ever pushed: the number of the last one.
    pub pushed: u64,
    /// Jobs that can be claimed.
    pub ready: u64,
    /// Jobs that wait for their time. Those whose time has come count here until somebody claims.
    pub delayed: u64,
    /// Jobs that are worked on. Those of the dead and the stopped count here until somebody claims.
    pub claimed: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs that are done and kept.
    pub done: u64,
}

/// What a claim would find, without counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The queue's row.
    pub queue: u64,
    /// Whether a claim made now would get a job. It never does while the queue is paused.
    pub claimable: bool,
    /// Otherwise in how many milliseconds it is worth to look again, though nobody writes anything until then: a job's
    /// time comes, or a claim ends unless its process beats.
    pub next_ms: Option<u64>,
    /// Whether a schedule of the queue is due, be it paused.
    pub fires: bool,
    /// In how many milliseconds one is due that is not yet.
    pub next_due_ms: Option<u64>,
}

/// What [`Push`] must be, whoever applies it.
///
/// # Errors
/// [`Error::InvalidArgument`](crate::error::Error::InvalidArgument) if it holds no job.
pub fn check(push: &Push) -> crate::error::Result<()> {
    if push.jobs.is_empty() {
        let what = format!("a push to queue \"{}\"", push.queue.name);
        return Err(crate::error::Error::InvalidArgument { what, reason: "it holds no job".into() });
    }
    Ok(())
}

/// When a job becomes visible that is not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// By the wall clock; of a delay, as that was expected to show it.
    pub wall_ms: i64,
    /// By the boot clock, of a delay: this one decides as long as the machine runs.
    pub boot_ms: Option<u64>,
}

impl Due {
    /// When a job begins that is pushed now; `None` if that is at once.
    #[must_use]
    pub fn of(start: Start, now: crate::clock::Moment) -> Option<Due> {
        match start {
            Start::Now | Start::After(0) => None,
            Start::After(ms) => {
                let ms = ms.min(crate::clock::millis(crate::limits::DURATION_MAX));
                let wall_ms = now.wall_ms.saturating_add(ms.cast_signed());
                Some(Due { wall_ms, boot_ms: Some(now.boot_ms.saturating_add(ms)) })
            }
            Start::At(wall_ms) => (wall_ms > now.wall_ms).then_some(Due { wall_ms, boot_ms: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Moment, millis};
    use crate::limits;

    #[test]
    fn q5_a_delay_goes_by_the_boot_clock_and_a_time_by_the_wall_clock() {
        let now = Moment { boot_ms: 1_000, wall_ms: -5 };
        let due = |start| Due::of(start, now).map(|due| (due.wall_ms, due.boot_ms));
        assert_eq!(due(Start::Now), None);
        assert_eq!(due(Start::After(0)), None);
        assert_eq!(due(Start::After(7)), Some((2, Some(1_007))));
        assert_eq!(due(Start::At(-5)), None, "it is now");
        assert_eq!(due(Start::At(-4)), Some((-4, None)));
        let most = millis(limits::DURATION_MAX);
        assert_eq!(due(Start::After(u64::MAX)), Some((most.cast_signed() - 5, Some(1_000 + most))));
        assert_eq!(due(Start::At(i64::MAX)), Some((i64::MAX, None)));
    }

    #[test]
    fn each_state_has_its_number() {
        for state in State::ALL {
            assert_eq!(State::of(state as u8), Some(state));
        }
        assert_eq!(State::of(5), None);
    }
}

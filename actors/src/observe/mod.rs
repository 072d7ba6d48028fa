//! What is told about a store to whoever watches over it: metrics, and the names of what is traced.
//!
//! - `metric` has the names of all metrics, and what they mean;
//! - `target` has those of what is traced;
//! - `told` is the facade `metrics`, where the feature of that name is on, and `untold` is nothing in its place;
//! - this file is what the rest of the code calls, by plain words. It is the only one with a `cfg`.
//!
//! A [`Meter`] belongs to one store, and tells the recorder that was installed when its settings were made. What many do is
//! counted once a group, by what its operations and outcomes say, and not once an operation.

pub mod metric;
pub mod target;

#[cfg_attr(feature = "metrics", path = "told.rs")]
#[cfg_attr(not(feature = "metrics"), path = "untold.rs")]
mod instruments;

use std::sync::Arc;

use self::instruments::{Counter, IS_TOLD, Level, Spread, describe};
use self::metric::*;
use crate::clock::Clock;
use crate::error::Error;
use crate::thread;

/// Which kind of error it is, of [`metric::KINDS`].
#[must_use]
pub fn kind(error: &Error) -> &'static str {
    match error {
        Error::Busy { .. } => "busy",
        Error::Overloaded { .. } => "overloaded",
        Error::CommitUnknown { .. } => "commit_unknown",
        Error::StorageFull { .. } => "storage_full",
        Error::Storage { .. } => "storage",
        Error::Poisoned { .. } | Error::FileReplaced { .. } | Error::ReadOnly { .. } => "poisoned",
        Error::Corrupt { .. } | Error::SealBroken { .. } => "corrupt",
        Error::Panicked { .. } => "panicked",
        Error::ActorFailed { .. } => "actor_failed",
        Error::Conflict { .. } => "conflict",
        Error::Lost { .. } => "lost",
        Error::StaleClaim { .. } => "stale_claim",
        Error::Closed | Error::Forked => "closed",
        _ => "refused",
    }
}

/// What was found when a snapshot was looked for, in the order of [`metric::FINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One that was used.
    Used,
    /// None.
    None,
    /// One of another schema.
    OtherSchema,
    /// One that is damaged, or could not be decoded.
    Unreadable,
}

/// What a group has written, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Events.
    pub events: u64,
    /// Appends and conditions that were refused because a stream had moved on.
    pub conflicts: u64,
    /// Writes and conditions that were refused because a lock was lost.
    pub fenced: u64,
    /// Events that projections have dealt with.
    pub projected: u64,
    /// Projections that do not get on.
    pub projection_failures: u64,
    /// Messages, by [`metric::FEEDS`].
    pub messages: [u64; 2],
    /// Jobs.
    pub jobs_pushed: u64,
    /// Jobs.
    pub jobs_claimed: u64,
    /// Claims, by [`metric::ENDS`].
    pub jobs_ended: [u64; 5],
    /// Locks and permits that somebody was given.
    pub lock_grants: u64,
}

/// How long things of a store take, how often they happen, and how much there is of them. Cheap to clone. The default is one
/// that tells nobody.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Instruments>);

#[derive(Debug, Default)]
struct Instruments {
    groups: Counter,
    group_operations: Spread,
    group_seconds: Spread,
    commit_seconds: Spread,
    turn_wait: Spread,
    redone: Counter,
    commits_failed: Counter,
    poisoned: Level,
    checkpoint_seconds: Spread,
    checkpoints_failed: Counter,
    log_pages: Level,
    requests: Level,
    errors: Vec<Counter>,
    actors: Level,
    actors_started: Counter,
    actors_failed: Counter,
    lock_grants: Counter,
    locks_lost: Counter,
    lapsed: Counter,
    jobs_pushed: Counter,
    jobs_claimed: Counter,
    jobs_ended: Vec<Counter>,
    job_seconds: Spread,
    handler_panics: Counter,
    events: Counter,
    conflicts: Counter,
    fenced: Counter,
    projected: Counter,
    projection_failures: Counter,
    replayed: Spread,
    snapshots: Vec<Counter>,
    messages: Vec<Counter>,
    read_seconds: Spread,
    read_wait: Spread,
    looks: Counter,
    looks_failed: Counter,
}

impl Meter {
    /// One that tells the recorder of this thread, if it has one, or else that of the program.
    #[must_use]
    pub fn here() -> Meter {
        thread::contain(|| "the recorder of metrics".into(), Meter::registered).unwrap_or_default()
    }

    fn registered() -> Meter {
        describe();
        let each = |name, label, values: &[&'static str]| {
            values.iter().map(|value| Counter::labelled(name, label, value)).collect()
        };
        Meter(Arc::new(Instruments {
            groups: Counter::new(GROUPS),
            group_operations: Spread::new(GROUP_OPERATIONS),
            group_seconds: Spread::new(GROUP_SECONDS),
            commit_seconds: Spread::new(COMMIT_SECONDS),
            turn_wait: Spread::new(TURN_WAIT_SECONDS),
            redone: Counter::new(GROUPS_REDONE),
            commits_failed: Counter::new(COMMITS_FAILED),
            poisoned: Level::new(POISONED),
            checkpoint_seconds: Spread::new(CHECKPOINT_SECONDS),
            checkpoints_failed: Counter::new(CHECKPOINTS_FAILED),
            log_pages: Level::new(LOG_PAGES),
            requests: Level::new(REQUESTS),
            errors: each(ERRORS, "kind", KINDS),
            actors: Level::new(ACTORS),
            actors_started: Counter::new(ACTORS_STARTED),
            actors_failed: Counter::new(ACTORS_FAILED),
            lock_grants: Counter::new(LOCK_GRANTS),
            locks_lost: Counter::new(LOCKS_LOST),
            lapsed: Counter::new(LEASES_LAPSED),
            jobs_pushed: Counter::new(JOBS_PUSHED),
            jobs_claimed: Counter::new(JOBS_CLAIMED),
            jobs_ended: each(JOBS_ENDED, "how", ENDS),
            job_seconds: Spread::new(JOB_SECONDS),
            handler_panics: Counter::new(HANDLER_PANICS),
            events: Counter::new(EVENTS),
            conflicts: Counter::new(CONFLICTS),
            fenced: Counter::new(FENCED),
            projected: Counter::new(PROJECTED_EVENTS),
            projection_failures: Counter::new(PROJECTION_FAILURES),
            replayed: Spread::new(REPLAYED_EVENTS),
            snapshots: each(SNAPSHOTS, "found", FINDS),
            messages: each(MESSAGES, "to", FEEDS),
            read_seconds: Spread::new(READ_SECONDS),
            read_wait: Spread::new(READ_WAIT_SECONDS),
            looks: Counter::new(LOOKS),
            looks_failed: Counter::new(LOOKS_FAILED),
        }))
    }

    /// Whether it is worth to find out what there is to tell.
    #[must_use]
    pub fn is_told(&self) -> bool {
        IS_TOLD
    }

    /// The time for what is timed, in microseconds; the clock is not looked at for nobody.
    #[must_use]
    pub fn now_us(&self, clock: &dyn Clock) -> u64 {
        if IS_TOLD { clock.monotonic_us() } else { 0 }
    }

    /// A group of so many operations was committed; it took so long from the turn on, and its commit so long.
    pub fn committed(&self, operations: usize, group_us: u64, commit_us: u64) {
        self.0.groups.add(1);
        self.0.group_operations.size(operations as u64);
        self.0.group_seconds.time(group_us);
        self.0.commit_seconds.time(commit_us);
    }

    /// What was in it.
    pub fn wrote(&self, written: &Written) {
        let Instruments {
            events,
            conflicts,
            fenced,
            projected,
            projection_failures,
            messages,
            jobs_pushed,
            jobs_claimed,
            jobs_ended,
            lock_grants,
            ..
        } = &*self.0;
        events.add(written.events);
        conflicts.add(written.conflicts);
        fenced.add(written.fenced);
        projected.add(written.projected);
        projection_failures.add(written.projection_failures);
        messages.iter().zip(written.messages).for_each(|(counter, count)| counter.add(count));
        jobs_pushed.add(written.jobs_pushed);
        jobs_claimed.add(written.jobs_claimed);
        jobs_ended.iter().zip(written.jobs_ended).for_each(|(counter, count)| counter.add(count));
        lock_grants.add(written.lock_grants);
    }

    /// The turn was waited for.
    pub fn waited_for_turn(&self, micros: u64) {
        self.0.turn_wait.time(micros);
    }

    /// A group was done again.
    pub fn redone(&self) {
        self.0.redone.add(1);
    }

    /// A commit failed.
    pub fn commit_failed(&self) {
        self.0.commits_failed.add(1);
    }

    /// Nothing is written any more.
    pub fn poisoned(&self) {
        self.0.poisoned.set(1);
    }

    /// This process was silent for too long.
    pub fn lapsed(&self) {
        self.0.lapsed.add(1);
    }

    /// The log was moved, or could not be.
    pub fn checkpointed(&self, micros: u64, well: bool) {
        match well {
            true => self.0.checkpoint_seconds.time(micros),
            false => self.0.checkpoints_failed.add(1),
        }
    }

    /// The log has so many pages.
    pub fn log_pages(&self, pages: u32) {
        self.0.log_pages.set(pages.into());
    }

    /// So many requests are inside.
    pub fn requests(&self, inside: usize) {
        self.0.requests.set(inside as u64);
    }

    /// A caller was given an error.
    pub fn failed(&self, error: &Error) {
        let kind = kind(error);
        let place = KINDS.iter().position(|known| *known == kind);
        place.and_then(|place| self.0.errors.get(place)).into_iter().for_each(|counter| counter.add(1));
    }

    /// An actor was started, in place of one that had failed or as another one.
    pub fn actor_started(&self, instead: bool) {
        self.0.actors_started.add(1);
        match instead {
            true => self.0.actors_failed.add(1),
            false => self.0.actors.up(),
        }
    }

    /// So many actors were let go.
    pub fn actors_left(&self, count: usize) {
        self.0.actors.down(count as u64);
    }

    /// The store is closed: what there was of it is there no more.
    pub fn ended(&self) {
        let Instruments { poisoned, log_pages, requests, actors, .. } = &*self.0;
        [poisoned, log_pages, requests, actors].into_iter().for_each(|level| level.set(0));
    }

    /// A holder had lost the lock.
    pub fn lock_lost(&self) {
        self.0.locks_lost.add(1);
    }

    /// A handler took so long for a job.
    pub fn handled(&self, micros: u64) {
        self.0.job_seconds.time(micros);
    }

    /// A handler panicked.
    pub fn handler_panicked(&self) {
        self.0.handler_panics.add(1);
    }

    /// An aggregate was loaded, by so many events.
    pub fn replayed(&self, events: u64) {
        self.0.replayed.size(events);
    }

    /// A snapshot was looked for.
    pub fn snapshot(&self, found: Found) {
        self.0.snapshots.get(found as usize).into_iter().for_each(|counter| counter.add(1));
    }

    /// A read waited for a reader, and took so long.
    pub fn read(&self, waited_us: u64, took_us: u64) {
        self.0.read_wait.time(waited_us);
        self.0.read_seconds.time(took_us);
    }

    /// It was looked what other processes have done.
    pub fn looked(&self, well: bool) {
        self.0.looks.add(1);
        if !well {
            self.0.looks_failed.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_tell_their_unit_and_labels_are_bounded() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name occurs twice");
        for Metric { name, kind, label, about } in ALL {
            assert!(name.starts_with("millpond_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(label.is_none_or(|(_, values)| values.len() <= 16), "{name}");
            assert!(about.trim().ends_with('.'), "{name}: {about}");
        }
    }

    #[test]
    fn each_kind_of_error_has_a_counter() {
        let error = Error::Storage { detail: "x".into() };
        assert_eq!(kind(&error), "storage");
        assert_eq!(kind(&Error::WouldDeadlock), "refused");
        let kinds: BTreeSet<&&str> = KINDS.iter().collect();
        assert_eq!(kinds.len(), KINDS.len());
    }
}

//! The names of all metrics, with what they mean. Nothing is counted under a name that does not stand here.
//!
//! They follow the conventions of Prometheus: the unit stands in the name, and what only grows ends in `_total`. Labels are few,
//! and each has a handful of values that are known beforehand; the name of a lock, a queue or a stream is never one. The guide
//! says how they are read and when to worry: `millpond::guide::observing`.

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down. All stores of the process together; what a store has added goes when it is dropped.
    Gauge,
    /// How often which values occurred.
    Histogram,
}

/// What there is to say of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its label and all values that this has, if it has one.
    pub label: Option<(&'static str, &'static [&'static str])>,
    /// What it means.
    pub about: &'static str,
}

/// The kinds of error that [`ERRORS`] tells apart: those that tell an operator something. "conflict" is an aggregate that was
/// overtaken too often. All others are "refused": what was asked for cannot be done, and that is the caller's affair.
pub const KINDS: &[&str] = &[
    "busy",
    "overloaded",
    "commit_unknown",
    "storage_full",
    "storage",
    "poisoned",
    "corrupt",
    "panicked",
    "actor_failed",
    "conflict",
    "lost",
    "stale_claim",
    "closed",
    "refused",
];

/// What becomes of a job whose claim ends. "stale": the claim was not the current one any more.
pub const ENDS: &[&str] = &["done", "retried", "dead", "given_back", "stale"];

/// What messages are appended to.
pub const FEEDS: &[&str] = &["log", "channel"];

/// What is found of a snapshot. All but "used" cost a replay of all events.
pub const FINDS: &[&str] = &["used", "none", "other_schema", "unreadable"];

/// Generates a constant a name, and the list of all of them.
macro_rules! metrics {
    ($( $(#[doc = $about:literal])+ $constant:ident: $kind:ident = $name:literal
        $([$label:literal: $values:expr])?; )+) => {
        $( $(#[doc = $about])+ pub const $constant: &str = $name; )+

        /// All metrics there are.
        pub const ALL: &[Metric] = &[$( Metric {
            name: $name,
            kind: Kind::$kind,
            label: metrics!(@label $($label: $values)?),
            about: metrics!(@text concat!($($about),+)),
        }, )+];
    };
    (@label) => { None };
    (@label $label:literal: $values:expr) => { Some(($label, $values)) };
    (@text $text:expr) => { $text };
}

metrics! {
    /// Groups of writes that were committed. Each cost one sync of the disk, unless it only prolonged leases.
    GROUPS: Counter = "millpond_groups_total";
    /// Writes in a group.
    GROUP_OPERATIONS: Histogram = "millpond_group_operations";
    /// From the writers' turn to the end of the commit; nobody else, in whatever process, could write meanwhile.
    GROUP_SECONDS: Histogram = "millpond_group_seconds";
    /// The commit alone, which is mostly the sync of the disk.
    COMMIT_SECONDS: Histogram = "millpond_commit_seconds";
    /// How long the writers' turn was waited for, each time that another process had it.
    TURN_WAIT_SECONDS: Histogram = "millpond_turn_wait_seconds";
    /// Groups that were done again, a write at a time, because a write in them failed.
    GROUPS_REDONE: Counter = "millpond_groups_redone_total";
    /// Commits that failed. What became of each group is then found out on a new connection.
    COMMITS_FAILED: Counter = "millpond_commits_failed_total";
    /// Stores of this process that are closed for writing, because commits failed again and again or the file was replaced.
    POISONED: Gauge = "millpond_poisoned";
    /// How long it took to move the log into the main file.
    CHECKPOINT_SECONDS: Histogram = "millpond_checkpoint_seconds";
    /// Checkpoints that failed; the log grows until one succeeds.
    CHECKPOINTS_FAILED: Counter = "millpond_checkpoints_failed_total";
    /// Pages in the log, of 8 KiB each in a store that Millpond has made.
    LOG_PAGES: Gauge = "millpond_log_pages";

    /// Requests that are inside: with an actor, the writer or a reader, not in the line of a lock or a queue. Looked at four times
    /// a second while something is written.
    REQUESTS: Gauge = "millpond_requests";
    /// Calls that ended with an error, and records that could not be read. What a write was refused for is counted apart:
    /// [`CONFLICTS`], [`FENCED`].
    ERRORS: Counter = "millpond_errors_total" ["kind": KINDS];

    /// Actors that live.
    ACTORS: Gauge = "millpond_actors";
    /// Actors that were started.
    ACTORS_STARTED: Counter = "millpond_actors_started_total";
    /// Actors that failed, and were started anew by the next request.
    ACTORS_FAILED: Counter = "millpond_actors_failed_total";

    /// Locks, and permits of semaphores, that were given to somebody by a commit of this process.
    LOCK_GRANTS: Counter = "millpond_lock_grants_total";
    /// Locks that had expired, or had been taken away, when their holder in this process released them.
    LOCKS_LOST: Counter = "millpond_locks_lost_total";
    /// How often this process was silent for longer than one of its leases lasts, or was taken for dead.
    LEASES_LAPSED: Counter = "millpond_leases_lapsed_total";

    /// Jobs that were pushed, by callers and by schedules.
    JOBS_PUSHED: Counter = "millpond_jobs_pushed_total";
    /// Jobs that were claimed.
    JOBS_CLAIMED: Counter = "millpond_jobs_claimed_total";
    /// Claims of jobs that ended, by what became of the job.
    JOBS_ENDED: Counter = "millpond_jobs_ended_total" ["how": ENDS];
    /// How long the handlers of workers took for a job.
    JOB_SECONDS: Histogram = "millpond_job_seconds";
    /// Handlers of workers and reactors that panicked; each is an attempt that came to nothing.
    HANDLER_PANICS: Counter = "millpond_handler_panics_total";

    /// Events that were appended or imported.
    EVENTS: Counter = "millpond_events_total";
    /// Appends that were refused because the stream had moved on, those included that an aggregate then decided anew.
    CONFLICTS: Counter = "millpond_conflicts_total";
    /// Writes and conditions that were refused because the lock that they were made under was lost.
    FENCED: Counter = "millpond_fenced_total";
    /// Events that were replayed to load an aggregate.
    REPLAYED_EVENTS: Histogram = "millpond_replayed_events";
    /// Snapshots that were looked for, by what was found.
    SNAPSHOTS: Counter = "millpond_snapshots_total" ["found": FINDS];
    /// Events that projections and reactors have dealt with, those that did not interest them not included.
    PROJECTED_EVENTS: Counter = "millpond_projected_events_total";
    /// How often it was written down that a projection or a reactor does not get on.
    PROJECTION_FAILURES: Counter = "millpond_projection_failures_total";
    /// Messages that were appended to logs and channels.
    MESSAGES: Counter = "millpond_messages_total" ["to": FEEDS];

    /// How long a reader took for a page, or another look at the store.
    READ_SECONDS: Histogram = "millpond_read_seconds";
    /// How long a read waited for a reader that is free.
    READ_WAIT_SECONDS: Histogram = "millpond_read_wait_seconds";
    /// Looks at what other processes have done, which are made while somebody here waits for them.
    LOOKS: Counter = "millpond_looks_total";
    /// Looks that failed. Whoever waits is told later what happened elsewhere.
    LOOKS_FAILED: Counter = "millpond_looks_failed_total";
}

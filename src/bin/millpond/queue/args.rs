//! What can be written behind `queue`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Subcommand;
use millpond::JobState;

use crate::time::parse_duration;

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Push a job, or a job a line
    Push(Push),
    /// Take a job and print it; it is done once that is printed
    Pop(Pop),
    /// Run a command for each job, until Ctrl-C
    Work(Work),
    /// Push a job again and again, at the times of a cron expression
    Every(Every),
    /// What is pushed again and again, and when next
    Schedules { name: String },
    /// Push it no more
    Unschedule {
        name: String,
        /// The schedule's name
        schedule: String,
    },
    /// The queues of the store
    List,
    /// How one queue stands, and who works on what
    Show { name: String },
    /// The dead letters of a queue, and why they are dead
    Dead { name: String },
    /// Have dead letters tried again, as if they had never been
    Revive {
        name: String,
        /// The job's number; all dead letters unless given
        id: Option<u64>,
    },
    /// Remove jobs for good: the dead letters, or those of another state
    Purge {
        name: String,
        /// Which jobs: ready, delayed, claimed, dead or done
        #[arg(long, value_name = "STATE", default_value = "dead", value_parser = parse_state)]
        state: JobState,
    },
}

impl QueueCommand {
    /// As a person calls it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            QueueCommand::Push(_) => "queue push",
            QueueCommand::Pop(_) => "queue pop",
            QueueCommand::Work(_) => "queue work",
            QueueCommand::Every(_) => "queue every",
            QueueCommand::Schedules { .. } => "queue schedules",
            QueueCommand::Unschedule { .. } => "queue unschedule",
            QueueCommand::List => "queue list",
            QueueCommand::Show { .. } => "queue show",
            QueueCommand::Dead { .. } => "queue dead",
            QueueCommand::Revive { .. } => "queue revive",
            QueueCommand::Purge { .. } => "queue purge",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    pub(crate) name: String,
    /// JSON, or - to read it from standard input; null unless given
    #[arg(allow_negative_numbers = true)]
    pub(crate) data: Option<String>,
    /// The lower number is claimed first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i64,
    /// Not before so long has passed: 500ms, 30s, 5m, 2h
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) delay: Option<Duration>,
    /// Push nothing while there is a job of this key that is neither done nor dead
    #[arg(long, value_name = "K")]
    pub(crate) key: Option<String>,
    /// A job for each line of standard input that is not empty
    ///
    /// Lines that come together are pushed together, at most 1,000 in one commit. It stops at the first bad line, says its
    /// number and how many jobs were pushed before, which are those of the lines above it.
    #[arg(long, conflicts_with = "key")]
    pub(crate) lines: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Pop {
    pub(crate) name: String,
    /// How long to wait for a job: 500ms, 30s, 5m; 0 only looks; without limit unless given
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Work {
    pub(crate) name: String,
    /// How many commands run at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) workers: u16,
    /// How long jobs are kept once nobody prolongs their claims; 30s unless given
    ///
    /// While this program runs, its jobs are its own, however long the commands take, and when it ends, others get them
    /// at once. The lease counts when it is stopped, and when it alone is killed (SIGKILL) and commands go on: then their
    /// jobs are kept from others until the commands end or the lease does, whichever is first. 10ms to 365 days.
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub(crate) lease: Option<Duration>,
    /// A job that has failed so often goes to the dead letters, even if it was pushed for more attempts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_attempts: Option<u32>,
    /// End when there is nothing to claim; jobs that wait for their time, or for another attempt, are left
    #[arg(long)]
    pub(crate) drain: bool,
    /// How long commands may take to end after Ctrl-C or SIGTERM
    ///
    /// When this time is over, or at a second signal, they are told to end by SIGTERM, and their jobs are handed back. Who
    /// has not ended five seconds later is killed.
    #[arg(long, value_name = "D", default_value = "10s", value_parser = parse_duration)]
    pub(crate) grace: Duration,
    /// The command. It has the job's JSON on standard input; 0 means done, anything else that it is to be tried again
    ///
    /// It finds MILLPOND_QUEUE_NAME, MILLPOND_JOB_SEQUENCE, MILLPOND_JOB_ATTEMPT and MILLPOND_JOB_TOKEN in its
    /// environment.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Every {
    pub(crate) name: String,
    /// The schedule's name in the queue; said again, it is changed
    pub(crate) schedule: String,
    /// When: '0 3 * * *', '30 8 * * MON-FRI', '@hourly'; with seconds before the minutes if there are six fields
    ///
    /// Each time comes once, whatever processes there are. They must be there: jobs are pushed while `queue work` runs, or
    /// `queue pop` waits. What was missed meanwhile comes once, when the next of them begins.
    pub(crate) cron: String,
    /// JSON, or - to read it from standard input; null unless given
    #[arg(allow_negative_numbers = true)]
    pub(crate) data: Option<String>,
    /// The time zone that is meant: Europe/Amsterdam
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: String,
    /// Leave out what was missed by more than a minute
    #[arg(long)]
    pub(crate) skip_missed: bool,
    /// The lower number is claimed first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i64,
    /// Push nothing while there is a job of this key that is neither done nor dead
    #[arg(long, value_name = "K")]
    pub(crate) key: Option<String>,
}

/// The states by name.
pub(crate) fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Ready => "ready",
        JobState::Delayed => "delayed",
        JobState::Claimed => "claimed",
        JobState::Dead => "dead",
        JobState::Done => "done",
    }
}

fn parse_state(text: &str) -> Result<JobState, String> {
    let found = JobState::ALL.into_iter().find(|state| state_name(*state) == text);
    found.ok_or_else(|| "not ready, delayed, claimed, dead or done".to_owned())
}

//! Schedules in the database: what is pushed to a queue again and again.
//!
//! A schedule knows the next time it is due. That time comes once: whoever finds it due pushes the job *and* moves the
//! schedule on to its next time, in one operation, which compares what he has read with what is there. So a time is done
//! for once over all processes, whoever dies, and whoever comes second is told that he is late.
//!
//! When a schedule is due next is told by whoever writes ([`calendar`](crate::calendar)): the database only compares
//! times. They are the wall clock's, because people mean that one.

use super::Target;
use super::queue::{NewJob, Place};
use crate::name::Name;

/// What is to be pushed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The times, in the words of cron.
    pub cron: Box<str>,
    /// The time zone that they are meant in, by its IANA name.
    pub zone: Box<str>,
    /// What becomes of times at which no process was there.
    pub missed: Missed,
    /// What is pushed. It starts at once.
    pub job: NewJob,
}

/// What becomes of times that were missed because no process kept them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// The job is pushed once for all of them, as soon as a process is there.
    #[default]
    Once = 0,
    /// They are left out: what is late by more than [`limits::SCHEDULE_LATE`](crate::limits::SCHEDULE_LATE) is not pushed.
    Skip = 1,
}

impl Missed {
    /// Whether nothing is pushed for a time, now.
    #[must_use]
    pub fn skips(self, due: i64, now: i64) -> bool {
        let late_ms = crate::clock::millis(crate::limits::SCHEDULE_LATE).cast_signed();
        self == Missed::Skip && now.saturating_sub(due) > late_ms
    }
}

/// Make a schedule, or change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// The queue; its row is made on first use.
    pub queue: Target,
    /// The schedule's name in it.
    pub name: Name,
    /// What it is to be. Boxed, because every write in the line has room for the largest operation, and this would be it by far.
    pub plan: Box<Plan>,
    /// When it is due first, in milliseconds since 1970. A schedule that is there already and has the same times keeps its
    /// own.
    pub due: Option<i64>,
}

/// What became of [`Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is new.
    New,
    /// It was there, and is another one now.
    Changed,
    /// It was there as it is. Nothing was written.
    Same,
    /// The queue has as many schedules as it can have, [`limits::SCHEDULES`](crate::limits::SCHEDULES).
    Full,
}

/// Remove a schedule. Comes back as whether it was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remove {
    /// The queue.
    pub queue: Target,
    /// The schedule's name in it.
    pub name: Name,
}

/// Push the job of a schedule that is due, and move it on to its next time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    /// The queue.
    pub queue: Target,
    /// The schedule's name in it.
    pub name: Name,
    /// What it was when its next time was worked out. If it is not that any more, nothing is done.
    pub revision: u64,
    /// Its next time; `None` if there is none.
    pub next: Option<i64>,
}

/// What became of [`Fire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// The job was pushed, unless one has its key.
    Pushed {
        /// The queue's row.
        queue: u64,
        /// Where the job is.
        place: Place,
    },
    /// The time was missed, and is left out. The schedule was moved on.
    Skipped,
    /// It was changed or moved on meanwhile, or is gone, or is not due. Nothing was written.
    Stale,
}

/// A schedule, as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// What is pushed, and when.
    pub plan: Plan,
    /// A number of the store's counter, new with whatever changes.
    pub revision: u64,
    /// When it is due next, in milliseconds since 1970; `None` if never again.
    pub due: Option<i64>,
    /// The last time that was done for.
    pub last: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q5_what_is_a_little_late_is_not_missed() {
        assert!(!Missed::Skip.skips(1_000, 61_000));
        assert!(Missed::Skip.skips(1_000, 61_001));
        assert!(!Missed::Once.skips(i64::MIN, i64::MAX));
        assert!(!Missed::Skip.skips(i64::MAX, i64::MIN));
    }
}

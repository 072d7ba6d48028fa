//! Commits that fail: what has become of one, and when it has been too many.

use super::Committer;
use crate::error::{Error, Result};
use crate::failpoint::{Point, reach};
use crate::limits;
use crate::observe::target;

/// Commits that fail within this time of each other count together.
const FAILURES_WITHIN_MS: u64 = 10 * 60 * 1_000;

/// How often it is asked what became of a commit, if the answer is lost.
const ASKS: u32 = 8;

impl Committer {
    /// After a failed commit: whether the group is in the database after all, once and for good.
    ///
    /// The new connection reads what group came last and then commits a group of its own. Without that one, the
    /// failed frames would still stand behind the log's end, and a crash could bring them back.
    pub(super) fn was_committed(&mut self, group: u64) -> Result<bool> {
        self.beats = false;
        let mut asked = 0;
        loop {
            self.suspect = true;
            let settled = self.ask_again(group);
            if settled.is_err() {
                // Whatever is half open must not keep other processes from writing.
                self.session.rollback();
            }
            asked += 1;
            // What was lost over the question can be asked for again.
            if asked == ASKS || !settled.as_ref().is_err_and(Error::is_away) {
                return settled;
            }
        }
    }

    fn ask_again(&mut self, group: u64) -> Result<bool> {
        self.open()?;
        let last = self.session.last_group()?;
        reach(Point::WithinSettle)?;
        self.groups += 1;
        let marked = self.session.commit(self.groups);
        self.suspect = marked.is_err();
        match marked {
            // There is no log behind whose end something could stand: a server that gives us the turn is done with what was before.
            Err(_) if self.far => Ok(last == group),
            marked => marked.map(|()| last == group),
        }
    }

    /// A disk that fails again and again is not written to any more; a full one may be emptied.
    pub(super) fn count_failure(&mut self, error: &Error) {
        if matches!(error, Error::StorageFull { .. }) || self.far {
            // A connection that is lost again and again says nothing of a disk.
            return;
        }
        let now = self.clock.now().boot_ms;
        self.failures.retain(|at| now.saturating_sub(*at) < FAILURES_WITHIN_MS);
        self.failures.push(now);
        if self.failures.len() >= limits::FAILED_COMMITS {
            let detail =
                format!("{} commits failed within 10 minutes, the last with: {error}", self.failures.len());
            self.poison(Error::Poisoned { detail });
        }
    }

    /// From now on nothing is written any more, and everybody is told why.
    pub(super) fn poison(&mut self, error: Error) {
        let _ = self.stats.poisoned.set(error.clone());
        self.stats.meter.poisoned();
        tracing::error!(target: target::WRITER, %error, "nothing is written any more");
        self.poisoned = Some(error);
        // Whoever waits would wait for ever.
        (self.told.call_all)();
    }
}

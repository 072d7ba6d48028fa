//! Answers on their way out, in the order of the commits.
//!
//! When the commit thread has the next group to commit, telling a thousand callers about the last one is left to the
//! arbiter; when it has not, it does so itself. Whoever commits puts its group here while it still has the committer, so the order is that of the commits,
//! whoever takes them out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::intake::Write;
use crate::error::Result;
use crate::storage::Outcome;
use crate::thread;

/// A group that has been committed, or has failed, with its answers.
pub(super) type Group = (Vec<Write>, Vec<Result<Outcome>>);

/// The groups whose callers have not been answered yet.
#[derive(Default)]
pub(super) struct Outbox {
    groups: Mutex<VecDeque<Group>>,
    /// Held while answers go out, so that two who deliver do not overtake each other.
    delivering: Mutex<()>,
}

impl Outbox {
    fn groups(&self) -> MutexGuard<'_, VecDeque<Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, group: Group) {
        self.groups().push_back(group);
    }

    /// Answers whoever is waiting for it.
    pub(super) fn deliver(&self) {
        let _delivering = self.delivering.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let next = self.groups().pop_front();
            let Some((writes, answers)) = next else { return };
            for (write, answer) in writes.into_iter().zip(answers) {
                // An answer that panics is a defect of ours; it must not take the rest of the group with it.
                if let Err(error) = thread::contain(|| "an answer".into(), || write.answer(answer)) {
                    tracing::error!(%error, "a caller was not answered");
                }
            }
        }
    }
}

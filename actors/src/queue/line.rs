//! Those for whom claims are under way, in the order in which they came.
//!
//! Several claims may be under way at once: whoever comes while one is may have a job in the same commit. What they bring
//! goes to the first in this line, whichever claim was made for him.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix::SpawnHandle;

use super::Waiter;
use super::desk::Held;
use crate::error::Error;

/// The line.
#[derive(Default)]
pub(super) struct Line(Mutex<VecDeque<Waiter>>);

impl Line {
    /// A claim is made for these.
    pub(super) fn join(&self, batch: VecDeque<Waiter>) {
        self.waiters().extend(batch);
    }

    /// Those for whom there was nothing, once no claim is under way any more.
    pub(super) fn leave(&self) -> VecDeque<Waiter> {
        std::mem::take(&mut *self.waiters())
    }

    /// Gives jobs to the first who take them, each as many as he wants. What nobody takes is dropped here, and so given back.
    /// The timers of all who are answered, or have gone away, are not needed any more.
    pub(super) fn offer(&self, mut jobs: Vec<Held>, timers: &mut Vec<SpawnHandle>) {
        while !jobs.is_empty()
            && let Some(Waiter { most, reply, timer, .. }) = self.first()
        {
            timers.extend(timer);
            let rest = jobs.split_off(jobs.len().min(most as usize));
            let mut back = reply.send(Ok(jobs)).err().and_then(Result::ok).unwrap_or_default();
            back.extend(rest);
            jobs = back;
        }
    }

    /// The claim for so many of them has failed.
    pub(super) fn refuse(&self, waiters: usize, error: &Error, timers: &mut Vec<SpawnHandle>) {
        for _ in 0..waiters {
            let Some(Waiter { reply, timer, .. }) = self.first() else { return };
            timers.extend(timer);
            reply.answer(Err(error.clone()));
        }
    }

    fn first(&self) -> Option<Waiter> {
        self.waiters().pop_front()
    }

    fn waiters(&self) -> MutexGuard<'_, VecDeque<Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

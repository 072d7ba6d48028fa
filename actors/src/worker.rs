//! Loops that work and rest. What a loop does stands with it; who runs it says the seam for threads
//! ([`Spawner`](crate::clock::Spawner)): a thread each, or a simulation that has one for all of them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::thread;

/// A loop: each turn of it is one piece of work, and waits for nothing but the storage.
pub trait Worker: Send {
    /// The next piece. `rested`: nobody has called for as long as it wanted to rest.
    fn work(&mut self, rested: bool) -> Rest;
}

/// What a worker does until its next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: there may be more to do.
    No,
    /// It waits until it is called.
    UntilCalled,
    /// It waits until it is called, but not longer.
    For(Duration),
    /// It has come to its end.
    End,
}

/// Ends a worker's rest. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Call(Arc<Called>);

#[derive(Debug, Default)]
struct Called {
    called: Mutex<bool>,
    changed: Condvar,
}

impl Call {
    /// Has the worker look what there is to do: now if it rests, and else as soon as it wants to.
    pub fn call(&self) {
        if !std::mem::replace(&mut *self.called(), true) {
            self.0.changed.notify_one();
        }
    }

    /// Whether it has been called since the last time it was asked.
    #[must_use]
    pub fn take(&self) -> bool {
        std::mem::take(&mut self.called())
    }

    /// Has this thread wait for a call, for so long at most. Whether there was one.
    fn wait(&self, time: Option<Duration>) -> bool {
        let called = self.called();
        let mut called = match time {
            None => {
                self.0.changed.wait_while(called, |called| !*called).unwrap_or_else(PoisonError::into_inner)
            }
            Some(time) => {
                let waited = self.0.changed.wait_timeout_while(called, time, |called| !*called);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        std::mem::take(&mut called)
    }

    fn called(&self) -> MutexGuard<'_, bool> {
        self.0.called.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of a thread that has one worker to run.
pub fn run(worker: &mut dyn Worker, call: &Call) {
    thread::mark_as_ours();
    let mut rested = false;
    loop {
        rested = match worker.work(rested) {
            Rest::No => false,
            Rest::UntilCalled => !call.wait(None),
            Rest::For(time) => !call.wait(Some(time)),
            Rest::End => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rests as it is told, and notes why it was woken.
    struct Told {
        rests: Vec<Rest>,
        woken: Vec<bool>,
    }

    impl Worker for Told {
        fn work(&mut self, rested: bool) -> Rest {
            self.woken.push(rested);
            self.rests.pop().unwrap_or(Rest::End)
        }
    }

    #[test]
    fn a_call_is_not_lost_and_not_heard_twice() {
        let call = Call::default();
        call.call();
        call.call();
        let rests = vec![Rest::No, Rest::For(Duration::ZERO), Rest::UntilCalled];
        let mut told = Told { rests, woken: Vec::new() };
        run(&mut told, &call);
        assert_eq!(told.woken, [false, false, true, false], "at first, called, rested, after no rest");
        assert!(!call.take());
    }
}

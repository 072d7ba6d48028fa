//! The lookout: a thread that looks whether other processes wrote, came or went, and says so only when they did.
//!
//! It has a view of its own and waits for the disk by itself: one that hangs keeps neither the arbiter nor a reader.
//! A look that finds nothing wakes nobody else. While nobody waits, the thread sleeps for good.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Result;
use crate::limits;
use crate::storage::{Backend, Pulse, View};
use crate::thread;

/// How often it is looked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// While somebody waits, whether the bell rang or not.
    pub(super) poll: Duration,
    /// After a ring once more, for a process that was just dying when it rang.
    pub(super) after_ring: Duration,
    /// Rings that follow one another faster than this are looked at together: processes that write without a pause
    /// ring at each of their commits.
    pub(super) between_rings: Duration,
}

impl Default for Rhythm {
    fn default() -> Rhythm {
        let (after_ring, between_rings) = (Duration::from_millis(5), Duration::from_millis(1));
        Rhythm { poll: limits::SLOW_POLL, after_ring, between_rings }
    }
}

/// What the thread is asked for.
#[derive(Debug, Default)]
struct State {
    /// Somebody waits.
    wanted: bool,
    /// The bell has rung since the last look began.
    rung: bool,
    closed: bool,
    /// The thread sleeps until somebody waits.
    parked: bool,
}

/// What the thread and those who call it have in common.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    rhythm: Rhythm,
    state: Mutex<State>,
    called: Condvar,
}

impl Lookout {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits from now on, or nobody does any more. Who begins to wait looks by himself.
    pub(super) fn want(&self, somebody: bool) {
        let mut state = self.state();
        state.wanted = somebody;
        // A thread that is not parked finds out at its next look, which is soon; so waits that come and go wake nobody.
        if somebody && state.parked {
            self.called.notify_one();
        }
    }

    /// The bell has rung. One that was not looked at yet stands for all that follow.
    pub(super) fn ring(&self) {
        let mut state = self.state();
        if state.wanted && !std::mem::replace(&mut state.rung, true) {
            self.called.notify_one();
        }
    }

    /// The thread ends.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.called.notify_one();
    }

    /// Sleeps until somebody waits, and then until `patience` is over or the bell rings. Whether it rang; `None` at the
    /// end.
    fn wait(&self, patience: Duration) -> Option<bool> {
        let mut state = self.state();
        loop {
            if !state.wanted {
                state.parked = true;
                let idle = |state: &mut State| !state.wanted && !state.closed;
                state = self.called.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
                state.parked = false;
            }
            state = self.doze(state, patience, |state| !state.rung);
            if state.closed {
                return None;
            }
            if state.wanted {
                return Some(std::mem::take(&mut state.rung));
            }
        }
    }

    /// Sleeps for `time`, or until it is closed, or as long as it is `quiet`.
    fn doze<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        time: Duration,
        quiet: fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let on = |state: &mut State| !state.closed && quiet(state);
        self.called.wait_timeout_while(state, time, on).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets `time` pass. Whoever rings meanwhile has committed already, and is looked at with those before.
    /// `false` at the end.
    fn rest(&self, time: Duration) -> bool {
        if time.is_zero() {
            return true;
        }
        let mut state = self.doze(self.state(), time, |_| true);
        state.rung = false;
        !state.closed
    }

    /// The thread: until it is closed, has it looked by `look`, and calls `tell` when something may have changed.
    pub(super) fn run(
        &self,
        clock: &dyn Clock,
        mut look: impl FnMut() -> Result<Pulse>,
        mut tell: impl FnMut(),
    ) {
        thread::mark_as_ours();
        let (mut last, mut looked_us, mut patience) = (None, None, self.rhythm.poll);
        while let Some(rung) = self.wait(patience) {
            if rung && let Some(looked_us) = looked_us {
                let since = Duration::from_micros(clock.monotonic_us().saturating_sub(looked_us));
                if !self.rest(self.rhythm.between_rings.saturating_sub(since)) {
                    return;
                }
            }
            patience = if rung { self.rhythm.after_ring } else { self.rhythm.poll };
            looked_us = Some(clock.monotonic_us());
            // An error tells nothing, and better one look too many than one too few.
            let pulse = look().ok();
            if pulse.is_none() || pulse != last {
                last = pulse;
                tell();
            }
        }
    }
}

/// What the thread looks with.
pub(super) struct Eye {
    pub(super) backend: Arc<dyn Backend>,
    /// Our own process, whose commits are no news.
    pub(super) own: u64,
    pub(super) view: Option<Box<dyn View>>,
}

impl Eye {
    /// Opens the view at the first look, and anew after one that failed.
    pub(super) fn look(&mut self) -> Result<Pulse> {
        let (kept, backend, own) = (self.view.take(), &self.backend, self.own);
        let look = || {
            let mut view = kept.map_or_else(|| backend.view(), Ok)?;
            view.pulse(own).map(|pulse| (pulse, view))
        };
        let (pulse, view) = thread::contain(|| "a look".into(), look).flatten()?;
        self.view = Some(view);
        Ok(pulse)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread::JoinHandle;

    use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

    use super::*;
    use crate::clock::{Spawner, SystemClock, SystemSpawner};
    use crate::error::Error;

    const NEVER: Duration = Duration::from_secs(3_600);
    const NO_TIME: Duration = Duration::ZERO;

    /// A lookout whose every look is a step of the test.
    struct Scene {
        lookout: Arc<Lookout>,
        looks: Receiver<()>,
        found: Sender<Result<Pulse>>,
        told: Arc<AtomicUsize>,
        thread: JoinHandle<()>,
    }

    impl Scene {
        fn new(rhythm: Rhythm) -> Scene {
            let lookout = Arc::new(Lookout { rhythm, ..Lookout::default() });
            let (look, looks) = unbounded();
            let (found, finds) = bounded(1);
            let told = Arc::new(AtomicUsize::new(0));
            let (here, tell) = (Arc::clone(&lookout), Arc::clone(&told));
            let body = move || {
                let look = || {
                    look.send(()).unwrap();
                    finds.recv().unwrap_or(Err(Error::Closed))
                };
                let tell = || _ = tell.fetch_add(1, SeqCst);
                here.run(&SystemClock, look, tell);
            };
            let thread = SystemSpawner.spawn("lookout", Box::new(body)).unwrap();
            Scene { lookout, looks, found, told, thread }
        }

        /// Only rings are a reason to look.
        fn with_bell_alone() -> Scene {
            let scene = Scene::new(Rhythm { poll: NEVER, after_ring: NEVER, between_rings: NO_TIME });
            scene.lookout.want(true);
            scene
        }

        fn begun(&self) {
            self.looks.recv_timeout(Duration::from_secs(20)).expect("a look");
        }

        fn finds(&self, groups: u64) {
            self.found.send(Ok(Pulse { groups, ..Pulse::default() })).unwrap();
        }

        /// Until the thread has come so far.
        fn until(&self, so: fn(&State) -> bool) {
            let mut looks = 0_u64;
            while !so(&self.lookout.state()) {
                std::thread::yield_now();
                looks += 1;
                assert!(looks < 5_000_000, "{:?}", self.lookout);
            }
        }

        /// Ends it. Looks that were begun and not waited for, and how often it told.
        fn end(self) -> (usize, usize) {
            self.lookout.close();
            drop(self.found);
            self.thread.join().unwrap();
            (self.looks.len(), self.told.load(SeqCst))
        }
    }

    #[test]
    fn d8_while_nobody_waits_it_sleeps_for_good() {
        let scene = Scene::new(Rhythm { poll: NO_TIME, after_ring: NO_TIME, between_rings: NO_TIME });
        scene.until(|state| state.parked);
        scene.lookout.ring();
        assert!(
            scene.lookout.state().parked && !scene.lookout.state().rung,
            "a ring is none of its business"
        );
        scene.lookout.want(true);
        scene.begun();
        scene.lookout.want(false);
        scene.finds(1);
        scene.until(|state| state.parked);
        assert_eq!(scene.end(), (0, 1));
    }

    #[test]
    fn d8_while_somebody_waits_it_looks_whether_the_bell_rang_or_not() {
        let scene = Scene::new(Rhythm { poll: NO_TIME, after_ring: NEVER, between_rings: NO_TIME });
        scene.lookout.want(true);
        for _ in 0..3 {
            scene.begun();
            scene.finds(1);
        }
        scene.begun();
        scene.lookout.close();
        scene.finds(1);
        assert_eq!(scene.end(), (0, 1), "told once: nothing has changed since");
    }

    #[test]
    fn d8_rings_during_a_look_are_looked_at_together_by_the_next() {
        let scene = Scene::with_bell_alone();
        scene.lookout.ring();
        scene.begun();
        for _ in 0..100 {
            scene.lookout.ring();
        }
        scene.finds(1);
        scene.begun();
        scene.finds(2);
        scene.lookout.ring();
        scene.begun();
        scene.lookout.close();
        scene.finds(3);
        assert_eq!(scene.end(), (0, 3));
    }

    #[test]
    fn d8_after_a_ring_it_looks_once_more_for_a_process_that_was_dying() {
        let scene = Scene::new(Rhythm { poll: NEVER, after_ring: NO_TIME, between_rings: NO_TIME });
        scene.lookout.want(true);
        scene.lookout.ring();
        scene.begun();
        scene.finds(1);
        scene.begun();
        scene.finds(1);
        assert_eq!(scene.end(), (0, 1));
    }

    #[test]
    fn g9_rings_that_follow_fast_are_looked_at_together() {
        let scene = Scene::new(Rhythm { poll: NEVER, after_ring: NEVER, between_rings: NEVER });
        scene.lookout.want(true);
        scene.lookout.ring();
        scene.begun();
        scene.lookout.ring();
        scene.finds(1);
        scene.until(|state| !state.rung);
        // It knows of the second ring, and looks in an hour.
        assert_eq!(scene.end(), (0, 1));
    }

    #[test]
    fn d8_a_look_that_failed_is_told_every_time() {
        let scene = Scene::with_bell_alone();
        for _ in 0..2 {
            scene.lookout.ring();
            scene.begun();
            scene.found.send(Err(Error::Storage { detail: "asked for".into() })).unwrap();
        }
        scene.lookout.ring();
        scene.begun();
        scene.lookout.close();
        scene.finds(1);
        assert_eq!(scene.end(), (0, 3));
    }
}

//! The lookout: a thread that looks whether other processes wrote, came or went, and has those look who want to know.
//!
//! It has a view of its own and waits for the disk by itself: one that hangs keeps neither the arbiter nor a reader.
//! A look that finds nothing wakes nobody else. While nobody watches, the thread sleeps for good.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Look;
use crate::clock::Clock;
use crate::error::Result;
use crate::failpoint::{Point, reach};
use crate::limits;
use crate::observe::{Meter, kind, target};
use crate::storage::{Backend, Pulse, View};
use crate::thread;
use crate::worker::{Call, Rest, Worker};

/// How often it is looked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// While somebody watches, whether the bell rang or not.
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
#[derive(Default)]
struct State {
    /// Who watches, by key: whoever came first looks first.
    watching: BTreeMap<usize, Watching>,
    reason: Reason,
    closed: bool,
    /// The thread sleeps until somebody watches.
    parked: bool,
}

/// One who watches.
struct Watching {
    look: Look,
    /// He looks each time: what he wants to know of may change without the pulse.
    each_time: bool,
}

/// Why a look is to be made before its time.
#[derive(Clone, Copy, Debug, Default)]
struct Reason {
    /// The bell has rung since the last look began.
    rung: bool,
    /// Something has happened in this process since then.
    here: bool,
}

/// What the thread and those who call it have in common.
#[derive(Default)]
pub(super) struct Lookout {
    rhythm: Rhythm,
    state: Mutex<State>,
    called: Call,
}

/// What is looked at, and with.
pub(super) trait Sight {
    /// What to compare with what was there before.
    fn pulse(&mut self) -> Result<Pulse>;

    /// Something may have changed: has all of them look.
    fn show(&mut self, watching: Vec<Look>);
}

impl Lookout {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody watches from now on. Whether he is the first.
    pub(super) fn add(&self, key: usize, look: Look, each_time: bool) -> bool {
        let mut state = self.state();
        if state.closed {
            // Nobody looks any more, and it would keep alive whoever keeps this alive.
            return false;
        }
        let first = state.watching.is_empty();
        state.watching.insert(key, Watching { look, each_time });
        // A thread that is not parked finds out at its next look, which is soon; so waits that come and go wake nobody.
        if state.parked {
            self.called.call();
        }
        first
    }

    /// He does so no more. Whether he was the last.
    pub(super) fn remove(&self, key: usize) -> bool {
        let mut state = self.state();
        state.watching.remove(&key).is_some() && state.watching.is_empty()
    }

    /// The bell has rung. One that was not looked at yet stands for all that follow.
    pub(super) fn ring(&self) {
        self.have_looked(|reason| std::mem::replace(&mut reason.rung, true));
    }

    /// Something has happened in this process: a look leads to another whatever it finds.
    pub(super) fn call_all(&self) {
        self.have_looked(|reason| std::mem::replace(&mut reason.here, true));
    }

    /// `enter` says whether the same reason is there already.
    fn have_looked(&self, enter: impl FnOnce(&mut Reason) -> bool) {
        let mut state = self.state();
        if !state.watching.is_empty() && !enter(&mut state.reason) {
            self.called.call();
        }
    }

    /// The thread ends.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.watching.clear();
        self.called.call();
    }

    /// Ends the thread's rest.
    pub(super) fn call(&self) -> Call {
        self.called.clone()
    }
}

/// The thread: until it is closed, looks, and has those who watch look when something may have changed.
pub(super) struct Rounds {
    lookout: Arc<Lookout>,
    clock: Arc<dyn Clock>,
    sight: Box<dyn Sight + Send>,
    last: Option<Pulse>,
    /// When it looked last, in microseconds of a clock that only goes forward.
    looked_us: Option<u64>,
    /// How long it waits for a call.
    patience: Duration,
    /// Why it is about to look. It lets a moment pass: whoever rings meanwhile has committed already, and is looked at
    /// with those before.
    due: Option<Reason>,
}

impl Rounds {
    pub(super) fn new(lookout: Arc<Lookout>, clock: Arc<dyn Clock>, sight: Box<dyn Sight + Send>) -> Rounds {
        let patience = lookout.rhythm.poll;
        Rounds { lookout, clock, sight, last: None, looked_us: None, patience, due: None }
    }

    /// Why to look now, or how to rest.
    fn wait(&mut self, rested: bool) -> std::result::Result<Reason, Rest> {
        let mut state = self.lookout.state();
        if state.closed {
            return Err(Rest::End);
        }
        if let Some(due) = self.due.take() {
            let left = self.left_between_rings();
            if !rested && !left.is_zero() {
                self.due = Some(due);
                return Err(Rest::For(left));
            }
            state.reason.rung = false;
            return Ok(due);
        }
        if state.watching.is_empty() {
            state.parked = true;
            return Err(Rest::UntilCalled);
        }
        let reason = std::mem::take(&mut state.reason);
        let was_parked = std::mem::take(&mut state.parked);
        if !reason.rung && !reason.here && (was_parked || !rested) {
            return Err(Rest::For(self.patience));
        }
        let left = self.left_between_rings();
        if reason.rung && !left.is_zero() {
            self.due = Some(reason);
            return Err(Rest::For(left));
        }
        Ok(reason)
    }

    fn left_between_rings(&self) -> Duration {
        let since = |us: u64| Duration::from_micros(self.clock.monotonic_us().saturating_sub(us));
        self.looked_us
            .map_or(Duration::ZERO, |us| self.lookout.rhythm.between_rings.saturating_sub(since(us)))
    }

    fn look(&mut self, Reason { rung, here }: Reason) {
        let Rhythm { poll, after_ring, .. } = self.lookout.rhythm;
        self.patience = if rung { after_ring } else { poll };
        self.looked_us = Some(self.clock.monotonic_us());
        // An error tells nothing, and better one look too many than one too few.
        let pulse = self.sight.pulse().ok();
        let is_news = here || pulse.is_none() || pulse != self.last;
        if is_news {
            self.last = pulse;
        }
        // Called without the lock: a look may take as long as the disk does.
        let state = self.lookout.state();
        let concerned = state.watching.values().filter(|watching| is_news || watching.each_time);
        let watching: Vec<Look> = concerned.map(|watching| Arc::clone(&watching.look)).collect();
        drop(state);
        if is_news || !watching.is_empty() {
            self.sight.show(watching);
        }
    }
}

impl Worker for Rounds {
    fn work(&mut self, rested: bool) -> Rest {
        match self.wait(rested) {
            Ok(reason) => self.look(reason),
            Err(rest) => return rest,
        }
        Rest::No
    }
}

impl fmt::Debug for Lookout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { watching, reason, closed, parked } = &*self.state();
        f.debug_struct("Lookout")
            .field("watching", &watching.len())
            .field("reason", reason)
            .field("closed", closed)
            .field("parked", parked)
            .finish_non_exhaustive()
    }
}

/// What the thread looks with.
pub(super) struct Eye {
    pub(super) backend: Arc<dyn Backend>,
    /// Our own process, whose commits are no news.
    pub(super) own: u64,
    pub(super) view: Option<Box<dyn View>>,
    pub(super) meter: Meter,
}

impl Sight for Eye {
    /// Opens the view at the first look, and anew after one that failed.
    fn pulse(&mut self) -> Result<Pulse> {
        let (kept, backend, own) = (self.view.take(), &self.backend, self.own);
        let look = || {
            reach(Point::BeforeLook)?;
            let mut view = kept.map_or_else(|| backend.view(), Ok)?;
            view.pulse(own).map(|pulse| (pulse, view))
        };
        let looked = thread::contain(|| "a look".into(), look).flatten();
        self.meter.looked(looked.is_ok());
        let (pulse, view) = looked.inspect_err(|error| {
            tracing::debug!(target: target::WATCH, kind = kind(error), "a look at the other processes failed");
        })?;
        self.view = Some(view);
        Ok(pulse)
    }

    fn show(&mut self, watching: Vec<Look>) {
        for look in watching {
            let view = self.view.as_deref_mut();
            if thread::contain(|| "a look".into(), || look(view.map(|view| view as &mut dyn View))).is_err() {
                // The view may be half way through something.
                self.view = None;
                let _ = thread::contain(|| "a look".into(), || look(None));
            }
        }
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

    /// What the test says is seen.
    struct Told {
        look: Sender<()>,
        finds: Receiver<Result<Pulse>>,
        told: Arc<AtomicUsize>,
    }

    impl Sight for Told {
        fn pulse(&mut self) -> Result<Pulse> {
            self.look.send(()).unwrap();
            self.finds.recv().unwrap_or(Err(Error::Closed))
        }

        fn show(&mut self, _: Vec<Look>) {
            self.told.fetch_add(1, SeqCst);
        }
    }

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
            let (here, shown) = (Arc::clone(&lookout), Arc::clone(&told));
            let sight = Box::new(Told { look, finds, told: shown });
            let call = here.call();
            let rounds = Box::new(Rounds::new(here, Arc::new(SystemClock), sight));
            let thread = SystemSpawner.employ("lookout", rounds, call).unwrap().unwrap();
            Scene { lookout, looks, found, told, thread }
        }

        /// Only rings are a reason to look.
        fn with_bell_alone() -> Scene {
            let scene = Scene::new(Rhythm { poll: NEVER, after_ring: NEVER, between_rings: NO_TIME });
            scene.watch();
            scene
        }

        fn watch(&self) {
            self.lookout.add(1, Arc::new(|_| {}), false);
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
            scene.lookout.state().parked && !scene.lookout.state().reason.rung,
            "a ring is none of its business"
        );
        scene.watch();
        scene.begun();
        scene.lookout.remove(1);
        scene.finds(1);
        scene.until(|state| state.parked);
        assert_eq!(scene.end(), (0, 1));
    }

    #[test]
    fn d8_while_somebody_waits_it_looks_whether_the_bell_rang_or_not() {
        let scene = Scene::new(Rhythm { poll: NO_TIME, after_ring: NEVER, between_rings: NO_TIME });
        scene.watch();
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
    fn d8_who_wants_to_know_of_events_looks_though_nothing_else_has_changed() {
        let scene = Scene::with_bell_alone();
        scene.lookout.add(2, Arc::new(|_| {}), true);
        for _ in 0..3 {
            scene.lookout.ring();
            scene.begun();
            scene.finds(1);
        }
        scene.lookout.ring();
        scene.begun();
        scene.lookout.close();
        scene.finds(2);
        assert_eq!(scene.end(), (0, 4));
    }

    #[test]
    fn d8_after_a_ring_it_looks_once_more_for_a_process_that_was_dying() {
        let scene = Scene::new(Rhythm { poll: NEVER, after_ring: NO_TIME, between_rings: NO_TIME });
        scene.watch();
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
        scene.watch();
        scene.lookout.ring();
        scene.begun();
        scene.lookout.ring();
        scene.finds(1);
        scene.until(|state| !state.reason.rung);
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

    #[test]
    fn l4_a_lapse_is_told_though_the_others_did_nothing() {
        let scene = Scene::with_bell_alone();
        for _ in 0..2 {
            scene.lookout.call_all();
            scene.begun();
            scene.finds(1);
        }
        // The first look is always news; a ring that leads to nothing new is not.
        scene.lookout.ring();
        scene.begun();
        scene.lookout.close();
        scene.finds(1);
        assert_eq!(scene.end(), (0, 2));
    }

    #[test]
    fn who_comes_when_it_is_closed_is_not_kept() {
        let (lookout, held) = (Lookout::default(), Arc::new(()));
        let look = |held: Arc<()>| -> Look { Arc::new(move |_| drop(Arc::clone(&held))) };
        assert!(lookout.add(1, look(Arc::clone(&held)), false));
        lookout.close();
        lookout.add(2, look(Arc::clone(&held)), false);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn g10_a_look_that_panics_is_told_to_look_elsewhere_and_the_others_look() {
        let (seen, looks) = unbounded();
        let look = |who: u32, panics: bool| -> Look {
            let seen = seen.clone();
            Arc::new(move |view| {
                seen.send((who, view.is_some())).unwrap();
                assert!(!panics || view.is_none(), "asked for");
            })
        };
        let backend = Arc::new(crate::memory::Memory::new());
        let mut eye = Eye { backend, own: 1, view: None, meter: Meter::default() };
        eye.pulse().unwrap();
        eye.show(vec![look(1, false), look(2, true), look(3, false)]);
        eye.pulse().unwrap();
        eye.show(vec![look(4, false)]);
        let all: Vec<_> = looks.try_iter().collect();
        assert_eq!(all, [(1, true), (2, true), (2, false), (3, false), (4, true)]);
    }
}

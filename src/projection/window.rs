//! The events that somebody who reacts has before him: which may begin, and how far all of them are dealt with.
//!
//! Events of one stream are dealt with one behind the other, those of different streams beside each other. The checkpoint can
//! only tell up to where *all* have been dealt with; so what is done behind one that is not comes again after a crash.

use std::collections::{HashSet, VecDeque};

use millpond_actors::storage::projection::Failure;

use super::track::at;
use crate::job::cut;
use crate::reading::Recorded;

/// How it stands with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    /// It has failed, for this reason, and is tried again after a while.
    Resting(String),
    /// It has failed too often.
    Parked(String),
    /// It is to be a dead letter.
    Dead(String),
    Done,
}

struct Entry {
    event: Recorded,
    state: State,
    attempts: u32,
    /// Why the last attempt came to nothing, as long as nothing else has come of it.
    failed: Option<String>,
}

/// Events in order of their positions.
#[derive(Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
}

impl Window {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn push(&mut self, event: Recorded) {
        self.entries.push_back(Entry { event, state: State::Waiting, attempts: 0, failed: None });
    }

    /// The first that may begin: nothing before it in its stream is not done. Which attempt it is.
    pub(super) fn begin(&mut self) -> Option<(Recorded, u32)> {
        let mut busy: HashSet<&str> = HashSet::new();
        let mut first = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let is_free = entry.state != State::Done && busy.insert(entry.event.stream());
            if is_free && entry.state == State::Waiting {
                first = Some(index);
                break;
            }
        }
        let entry = self.entries.get_mut(first?)?;
        (entry.state, entry.attempts) = (State::Running, entry.attempts + 1);
        Some((entry.event.clone(), entry.attempts))
    }

    /// It stands so with the event at this position.
    pub(super) fn set(&mut self, position: u64, state: State) {
        if let Some(entry) = self.at(position) {
            entry.failed = match &state {
                State::Resting(reason) | State::Parked(reason) => Some(reason.clone()),
                State::Waiting | State::Running => entry.failed.take(),
                State::Dead(_) | State::Done => None,
            };
            entry.state = state;
        }
    }

    /// It is tried again, if it still rests.
    pub(super) fn wake(&mut self, position: u64) {
        if let Some(entry) = self.at(position).filter(|entry| matches!(entry.state, State::Resting(_))) {
            entry.state = State::Waiting;
        }
    }

    fn at(&mut self, position: u64) -> Option<&mut Entry> {
        let found = self.entries.binary_search_by_key(&position, |entry| entry.event.position());
        self.entries.get_mut(found.ok()?)
    }

    /// It was not an attempt.
    pub(super) fn uncount(&mut self, position: u64) {
        if let Some(entry) = self.at(position) {
            entry.attempts -= 1;
        }
    }

    /// What has failed is tried again, as if it had never been tried.
    pub(super) fn try_again(&mut self) {
        for entry in &mut self.entries {
            entry.failed = None;
            if matches!(entry.state, State::Resting(_) | State::Parked(_) | State::Dead(_)) {
                (entry.state, entry.attempts) = (State::Waiting, 0);
            }
        }
    }

    /// So many of the first are done, and all of them if `read` is where reading has come to: the position up to which that is.
    pub(super) fn done(&self, read: u64) -> (u64, usize) {
        let done = self.entries.iter().take_while(|entry| entry.state == State::Done).count();
        let next = self.entries.get(done).map(|entry| entry.event.position() - 1);
        (next.unwrap_or(read), done)
    }

    /// Forgets so many of the first.
    pub(super) fn forget(&mut self, done: usize) {
        self.entries.drain(..done);
    }

    /// Those that are to be dead letters, and why.
    pub(super) fn dead(&self) -> Vec<(Recorded, String)> {
        let dead = |entry: &Entry| match &entry.state {
            State::Dead(reason) => Some((entry.event.clone(), reason.clone())),
            _ => None,
        };
        self.entries.iter().filter_map(dead).collect()
    }

    /// Why it does not get on, as it is told to others: what is parked, or else the first that has failed.
    pub(super) fn failure(&self) -> Option<Failure> {
        let failure = |entry: &Entry| {
            let parked = matches!(entry.state, State::Parked(_));
            let reason = cut(&at(&entry.event, entry.failed.as_ref()?));
            Some(Failure { reason, attempts: entry.attempts, parked })
        };
        let failures = || self.entries.iter().filter_map(failure);
        failures().find(|failure| failure.parked).or_else(|| failures().next())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::events::Event;

    fn window(streams: &[u8]) -> Window {
        let mut window = Window::default();
        for (position, stream) in (1..).zip(streams) {
            let event = Event::new("Happened", &()).unwrap();
            window.push(event.recorded(&format!("s-{stream}"), position, position, 0).unwrap());
        }
        window
    }

    proptest! {
        #[test]
        fn w19_each_stream_is_dealt_with_in_order_and_nothing_is_passed(
            streams in prop::collection::vec(0..4_u8, 0..40),
            outcomes in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..400),
        ) {
            let (mut window, all) = (window(&streams), streams.len() as u64);
            let (mut running, mut done, mut passed) = (Vec::<u64>::new(), Vec::<u64>::new(), 0);
            for (which, outcome) in outcomes {
                while let Some((event, attempt)) = window.begin() {
                    prop_assert!(attempt >= 1);
                    let of_stream = |position: &&u64| streams[**position as usize - 1] == streams[event.position() as usize - 1];
                    prop_assert!(!running.iter().any(|it| of_stream(&it)), "one of a stream at a time");
                    prop_assert!(done.iter().filter(of_stream).all(|it| *it < event.position()), "in order");
                    running.push(event.position());
                }
                if running.is_empty() {
                    window.try_again();
                    continue;
                }
                let position = running.remove(which.index(running.len()));
                match outcome {
                    0 => window.set(position, State::Resting("no".into())),
                    1 => window.set(position, State::Waiting),
                    _ => {
                        window.set(position, State::Done);
                        done.push(position);
                    }
                }
                let (to, count) = window.done(all);
                prop_assert!(to >= passed && (1..=to).all(|position| done.contains(&position)));
                window.forget(count);
                passed = to;
            }
        }
    }

    #[test]
    fn what_is_parked_is_told_before_what_is_tried_again() {
        let mut window = window(&[1, 2, 3]);
        assert_eq!((window.failure(), window.done(7)), (None, (0, 0)));
        while window.begin().is_some() {}
        window.set(1, State::Resting("later".into()));
        let told =
            |window: &Window| window.failure().map(|failure| (failure.reason.to_string(), failure.parked));
        assert_eq!(told(&window), Some(("event 1 (Happened of stream \"s-1\"): later".into(), false)));
        // Whatever keeps it from being tried again, and while it is.
        window.wake(1);
        assert!(told(&window).is_some());
        window.begin();
        assert!(told(&window).is_some());
        window.set(3, State::Parked("never".into()));
        assert_eq!(told(&window), Some(("event 3 (Happened of stream \"s-3\"): never".into(), true)));
        window.set(2, State::Dead("no use".into()));
        assert_eq!(window.dead().len(), 1);
        window.try_again();
        assert_eq!((window.failure(), window.dead().len()), (None, 0));
    }

    #[test]
    fn all_is_done_as_far_as_was_read() {
        let mut window = window(&[1, 1]);
        window.begin();
        window.set(1, State::Done);
        assert_eq!(window.done(9), (1, 1));
        window.begin();
        window.set(2, State::Done);
        assert_eq!(window.done(9), (9, 2));
        window.forget(2);
        assert_eq!(window.done(9), (9, 0));
    }
}

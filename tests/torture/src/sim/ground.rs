//! What everything in a simulated world stands on: the moment, the chances of what fails, what is true, what is traced, and
//! who waits for an answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::judge::{Broken, Violation};
use super::mutant::Mutant;
use super::seams::BOOT_MS;
use super::trace::Trace;
use super::truth::{Group, Truth};
use crate::random::Random;

/// What is odd for so long, and nothing has disturbed it, stays so.
const ODD_MS: u64 = 3_000;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says what was counted")]
pub struct Figures {
    pub calls: u64,
    pub answers: u64,
    pub dropped: u64,
    pub commits: u64,
    pub events: u64,
    pub grants: u64,
    pub taken_over: u64,
    pub fenced: u64,
    pub conflicts: u64,
    pub rejected: u64,
    pub refused: u64,
    pub unknown: u64,
    pub kills: u64,
    pub stops: u64,
    pub closes: u64,
    pub panics: u64,
    pub failed_commits: u64,
    pub failed_operations: u64,
    pub foreign_turns: u64,
    pub lost_rings: u64,
    pub put_off: u64,
    pub steps: u64,
}

/// A simulated process, from its start to its end.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// Whether it is there no more.
    pub(super) ended: bool,
    /// Since when it is stopped.
    stopped_ms: Option<u64>,
    /// For how long it was stopped before.
    rested_ms: u64,
    /// When code in it was last made to panic.
    panicked_ms: Option<u64>,
    /// How often it was.
    strikes: u64,
    /// When its storage was last made to fail.
    failed_ms: Option<u64>,
    /// Nobody is let in any more.
    pub(super) closing: bool,
    /// Its store is closed: with it its actors end.
    pub(super) closed: bool,
    /// Commits of it that failed.
    failed_commits: u64,
    /// Nothing is written any more, until it is started anew.
    pub(super) poisoned: bool,
}

impl Life {
    /// Whether it runs, and is going to.
    fn is_well(&self) -> bool {
        self.stopped_ms.is_none() && !self.closing && !self.poisoned
    }
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    what: &'static str,
    life: u64,
    /// Until when, by a clock that stands while the process is stopped.
    until_ms: Option<u64>,
}

/// The inside.
#[derive(Debug)]
pub(super) struct State {
    pub(super) now_ms: u64,
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) truth: Truth,
    pub(super) figures: Figures,
    pub(super) violations: Vec<Violation>,
    pub(super) mutant: Option<Mutant>,
    /// Nothing fails any more, and callers come to their end.
    pub(super) quiet: bool,
    pub(super) lives: BTreeMap<u64, Life>,
    /// When anything was last done to this world.
    pub(super) disturbed_ms: u64,
    /// Until when a foreign process has the writers' turn.
    pub(super) foreign_turn: Option<u64>,
    /// The last number given to an event, and to a call.
    numbers: (u64, u64),
    waiting: BTreeMap<u64, Waiting>,
    /// What was odd at the last looks, since when.
    odd: BTreeMap<(u64, u64), (u64, Broken, u64)>,
    /// Events that were said not to be there.
    never: Vec<u64>,
    /// Rings that are late.
    pub(super) rings: Vec<(u64, Ring)>,
}

/// A ring on its way.
#[derive(Clone)]
pub(super) struct Ring(pub(super) Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ring")
    }
}

/// The ground of one world. Never held while the store is called.
#[derive(Clone, Debug)]
pub(super) struct Ground(Arc<Mutex<State>>);

impl Ground {
    pub(super) fn new(seed: u64, truth: Truth, trace: Trace, mutant: Option<Mutant>) -> Ground {
        Ground(Arc::new(Mutex::new(State {
            now_ms: 0,
            random: Random::new(seed),
            trace,
            truth,
            figures: Figures::default(),
            violations: Vec::new(),
            mutant,
            quiet: false,
            lives: BTreeMap::new(),
            disturbed_ms: 0,
            foreign_turn: None,
            numbers: (0, 0),
            waiting: BTreeMap::new(),
            odd: BTreeMap::new(),
            never: Vec::new(),
            rings: Vec::new(),
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call, which must end in this time, if any, not counting what its process is stopped.
    pub(super) fn call(&self, life: u64, what: &'static str, limit_ms: Option<u64>) -> Calling {
        let mut state = self.state();
        state.numbers.1 += 1;
        let id = state.numbers.1;
        let until_ms = limit_ms.map(|limit| state.own_time(life) + limit);
        state.waiting.insert(id, Waiting { what, life, until_ms });
        state.figures.calls += 1;
        state.note(format_args!("call {id} life {life} {what}"));
        Calling { ground: self.clone(), id, since_ms: state.now_ms, answered: false }
    }
}

impl State {
    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        self.trace.note(self.now_ms, what);
    }

    pub(super) fn complain(&mut self, broken: Broken, words: impl Into<String>) {
        let words = format!("at {} ms: {}", self.now_ms, words.into());
        self.note(format_args!("{broken:?} {words}"));
        self.violations.push((broken, words));
    }

    /// One in `of`, unless nothing is to fail any more.
    pub(super) fn chance(&mut self, of: u64) -> bool {
        !self.quiet && self.random.below(of) == 0
    }

    /// A number for an event.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers.0 += 1;
        self.numbers.0
    }

    /// The time of a process: it stands while that is stopped.
    pub(super) fn own_time(&self, life: u64) -> u64 {
        let Some(life) = self.lives.get(&life) else { return self.now_ms };
        self.now_ms - life.rested_ms - life.stopped_ms.map_or(0, |since| self.now_ms - since)
    }

    pub(super) fn stop(&mut self, life: u64) {
        let now_ms = self.now_ms;
        if let Some(life) = self.lives.get_mut(&life) {
            life.stopped_ms.get_or_insert(now_ms);
        }
        self.disturbed_ms = now_ms;
    }

    pub(super) fn go_on(&mut self, life: u64) {
        let now_ms = self.now_ms;
        if let Some(life) = self.lives.get_mut(&life) {
            life.rested_ms += life.stopped_ms.take().map_or(0, |since| now_ms - since);
        }
        self.disturbed_ms = now_ms;
    }

    /// Code of this process was made to panic or to fail.
    pub(super) fn struck(&mut self, life: u64) {
        let now_ms = self.now_ms;
        if let Some(life) = self.lives.get_mut(&life) {
            (life.panicked_ms, life.failed_ms) = (Some(now_ms), Some(now_ms));
            life.strikes += 1;
        }
        self.disturbed_ms = now_ms;
        self.figures.panics += 1;
    }

    /// Its storage was made to fail.
    pub(super) fn failed(&mut self, life: u64) {
        let now_ms = self.now_ms;
        if let Some(life) = self.lives.get_mut(&life) {
            life.failed_ms = Some(now_ms);
        }
        self.disturbed_ms = now_ms;
    }

    /// A commit of it was made to fail.
    pub(super) fn failed_commit(&mut self, life: u64) {
        self.failed(life);
        self.figures.failed_commits += 1;
        if let Some(life) = self.lives.get_mut(&life) {
            life.failed_commits += 1;
        }
    }

    /// A caller was told that this process writes no more. Whether its storage has failed often enough for that.
    pub(super) fn is_poisoned(&mut self, life: u64) -> bool {
        let Some(life) = self.lives.get_mut(&life) else { return false };
        life.poisoned = true;
        life.failed_commits + life.strikes >= 3
    }

    /// Whether its code was made to panic since then.
    pub(super) fn has_panicked(&self, life: u64, since_ms: u64) -> bool {
        self.lives.get(&life).and_then(|life| life.panicked_ms).is_some_and(|at| at >= since_ms)
    }

    /// Whether its storage was made to fail since then.
    pub(super) fn has_failed(&self, life: u64, since_ms: u64) -> bool {
        self.lives.get(&life).and_then(|life| life.failed_ms).is_some_and(|at| at >= since_ms)
    }

    /// A life is over, if it is.
    pub(super) fn ended_if(&mut self, life: u64, is_over: bool) {
        if is_over {
            self.note(format_args!("life {life} is over"));
            self.ended(life);
        }
    }

    /// A life is over. Nobody in it waits any more.
    pub(super) fn ended(&mut self, life: u64) {
        if let Some(life) = self.lives.get_mut(&life) {
            life.ended = true;
        }
        self.disturbed_ms = self.now_ms;
    }

    /// A process of the store is dead.
    pub(super) fn gone(&mut self, process: Option<u64>) {
        let now_ms = self.now_ms + BOOT_MS;
        if let Some(process) = process {
            self.truth.line.gone(process, now_ms);
        }
    }

    /// A group is in the store.
    pub(super) fn commit(&mut self, group: &Group<'_>) {
        let said = self.truth.commit(group);
        self.note(format_args!(
            "commit process {} {:?} head {}",
            group.process,
            group.operations,
            self.truth.head()
        ));
        for (broken, words) in said {
            self.complain(broken, words);
        }
    }

    /// This event is said not to be in the store, now or ever.
    pub(super) fn never(&mut self, n: u64, why: &dyn fmt::Display) {
        self.never.push(n);
        if let Some((position, _)) = self.truth.event(n) {
            self.complain(Broken::Lied, format!("{n} is at {position}, and its caller was told: {why}"));
        }
    }

    /// Looks at everybody who waits, and at what is odd.
    pub(super) fn look_around(&mut self) {
        let late = |(_, waiting): &(&u64, &Waiting)| {
            waiting.until_ms.is_some_and(|until_ms| self.own_time(waiting.life) > until_ms)
        };
        let late: Vec<u64> = self.waiting.iter().filter(late).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(Waiting { what, life, until_ms }) = self.waiting.remove(&id) {
                self.complain(
                    Broken::Unanswered,
                    format!("call {id} of life {life}, {what}, until {until_ms:?}"),
                );
            }
        }
        self.look_at_the_odd();
    }

    fn look_at_the_odd(&mut self) {
        let boot_ms = self.now_ms + BOOT_MS;
        let before = std::mem::take(&mut self.odd);
        for (lock, life, broken, ticket) in self.truth.line.odd(boot_ms) {
            let running = self.lives.get(&life).is_some_and(|life| life.is_well());
            let since = before.get(&(lock, ticket)).filter(|(_, what, _)| *what == broken);
            let since_ms = since.map_or(self.now_ms, |(since_ms, ..)| *since_ms).max(self.disturbed_ms);
            if !running || self.foreign_turn.is_some() {
                continue;
            }
            if self.now_ms - since_ms > ODD_MS {
                self.complain(
                    broken,
                    format!("lock {lock}, ticket {ticket} of life {life}, since {since_ms}"),
                );
            } else {
                self.odd.insert((lock, ticket), (since_ms, broken, life));
            }
        }
    }

    /// Who waits at the end.
    pub(super) fn still_waiting(&self) -> Vec<String> {
        self.waiting.iter().map(|(id, waiting)| format!("{id}: {waiting:?}")).collect()
    }

    /// What was never to be there is not.
    pub(super) fn settle(&mut self) {
        for n in std::mem::take(&mut self.never) {
            if let Some((position, _)) = self.truth.event(n) {
                self.complain(Broken::Lied, format!("{n} is at {position}, and was never to be there"));
            }
        }
        self.figures.commits = self.truth.commits;
        self.figures.events = self.truth.head();
        (self.figures.grants, self.figures.taken_over) = self.truth.line.grants;
    }
}

/// A call that has not been answered. Dropped, it will not be.
#[derive(Debug)]
pub(super) struct Calling {
    ground: Ground,
    id: u64,
    pub(super) since_ms: u64,
    answered: bool,
}

impl Calling {
    /// It was answered so.
    pub(super) fn answered(&mut self, how: fmt::Arguments<'_>) {
        let mut state = self.ground.state();
        self.answered = true;
        state.figures.answers += 1;
        state.waiting.remove(&self.id);
        let id = self.id;
        state.note(format_args!("answer {id} {how}"));
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if !self.answered {
            let mut state = self.ground.state();
            state.waiting.remove(&self.id);
            state.figures.dropped += 1;
            let id = self.id;
            state.note(format_args!("dropped {id}"));
        }
    }
}

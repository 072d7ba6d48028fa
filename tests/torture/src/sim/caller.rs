//! What callers do, and what they have to say of the answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use millpond::{Error, Event, Expected, LockGuard, Result, Store, WriteOutcome};

use super::ground::{Calling, Ground, State};
use super::judge::Broken;
use super::mutant::Mutant;
use super::process::CALL_TIMEOUT_MS;
use super::truth::LOCKS;
use crate::random::Random;

/// Streams.
const STREAMS: u64 = 4;

/// Beyond what a call may take: it is given up on so much later, and parts of its process may be put off on its way.
const SLACK_MS: u64 = 3_000;

pub(super) const LIMIT: Option<u64> = Some(CALL_TIMEOUT_MS + SLACK_MS);

/// One who does something again and again.
pub(super) struct Lane {
    pub(super) ground: Ground,
    life: u64,
    pub(super) store: Store,
    random: RefCell<Random>,
}

impl Lane {
    pub(super) fn new(ground: &Ground, life: u64, store: &Store, seed: u64) -> Rc<Lane> {
        let random = RefCell::new(Random::new(seed));
        Rc::new(Lane { ground: ground.clone(), life, store: store.clone(), random })
    }

    /// Until the world becomes quiet, or the store is closed.
    pub(super) async fn live(self: Rc<Lane>) {
        loop {
            let pause = self.one_of(&[1, 30, 600, 6_000]);
            self.rest(pause).await;
            if self.is_to_end() {
                return;
            }
            self.something().await;
        }
    }

    fn is_to_end(&self) -> bool {
        let state = self.ground.state();
        let life = state.lives.get(&self.life);
        state.quiet || life.is_none_or(|life| life.closing || life.poisoned)
    }

    pub(super) fn below(&self, end: u64) -> u64 {
        self.random.borrow_mut().below(end)
    }

    fn one_of<T: Copy + Default>(&self, all: &[T]) -> T {
        all.get(self.below(all.len() as u64) as usize).copied().unwrap_or_default()
    }

    async fn rest(&self, most_ms: u64) {
        let time = Duration::from_millis(self.below(most_ms));
        tokio::time::timeout(time, std::future::pending::<()>()).await.unwrap_or(());
    }

    /// A call, which may be given up on by its caller.
    async fn something(&self) {
        let doing = async {
            match self.below(16) {
                0..=5 => self.lock().await,
                6..=9 => self.append(None).await,
                10..=12 => self.command().await,
                13 => self.look().await,
                14 => self.read().await,
                _ => self.break_lock().await,
            }
        };
        if self.below(6) > 0 {
            return doing.await;
        }
        let patience = self.one_of(&[0, 1, 30, 2_000]);
        let patience = Duration::from_millis(self.below(patience + 1));
        tokio::time::timeout(patience, doing).await.unwrap_or(());
    }

    pub(super) fn call(&self, what: &'static str, limit_ms: Option<u64>) -> Calling {
        self.ground.call(self.life, what, limit_ms)
    }

    async fn lock(&self) {
        let name = self.one_of(&LOCKS);
        let ttl_ms = self.one_of(&[500, 2_000, 10_000]);
        let lock = self.store.lock(name).ttl(Duration::from_millis(ttl_ms));
        let guard = match self.below(5) {
            0 => {
                let mut call = self.call("try_acquire", LIMIT);
                let taken = lock.try_acquire().await;
                self.acquired(&mut call, name, taken)
            }
            1 => {
                let wait_ms = self.below(3_000);
                let mut call = self.call("acquire_within", LIMIT.map(|limit| limit + wait_ms));
                let taken = lock.acquire_within(Duration::from_millis(wait_ms)).await;
                self.acquired(&mut call, name, taken)
            }
            _ => {
                let mut call = self.call("acquire", None);
                let taken = lock.acquire().await.map(Some);
                self.acquired(&mut call, name, taken)
            }
        };
        if let Some(held) = guard {
            self.hold(held).await;
        }
    }

    /// What an acquire was answered with.
    fn acquired(&self, call: &mut Calling, name: &str, taken: Result<Option<LockGuard>>) -> Option<Held> {
        match taken {
            Ok(Some(guard)) => {
                call.answered(format_args!("token {}", guard.token()));
                let mut state = self.ground.state();
                let (life, token) = (self.life, guard.token());
                let told = state.truth.line.lease(token).map(|lease| {
                    lease.kept = true;
                    (std::mem::replace(&mut lease.told, true), lease.process)
                });
                let whose = told.and_then(|(_, process)| state.truth.line.life_of(process));
                match told {
                    None => state.complain(Broken::Lost, format!("{name}: token {token} was never given")),
                    Some((true, _)) => {
                        state.complain(Broken::Overlap, format!("{name}: token {token} was given twice"));
                    }
                    Some(_) if whose.is_some_and(|whose| whose != life) => {
                        state.complain(
                            Broken::Overlap,
                            format!("{name}: token {token} is {whose:?}'s, not {life}'s"),
                        );
                    }
                    Some(_) => {}
                }
                drop(state);
                Some(Held { guard: Some(guard), token, ground: self.ground.clone() })
            }
            Ok(None) => {
                call.answered(format_args!("nothing"));
                None
            }
            Err(error) => {
                self.failed(call, &error, &[]);
                None
            }
        }
    }

    /// What a holder does.
    async fn hold(&self, mut held: Held) {
        for _ in 0..self.below(4) {
            let pause = self.one_of(&[5, 300, 3_000]);
            self.rest(pause).await;
            let Some(guard) = &held.guard else { return };
            if self.below(3) > 0 {
                self.append(Some(guard)).await;
                continue;
            }
            let mut call = self.call("renew", LIMIT);
            match guard.renew().await {
                Ok(()) => {
                    call.answered(format_args!("held"));
                    self.was_held(&call, held.token, "renew");
                }
                Err(error) => self.failed(&mut call, &error, &[]),
            }
        }
        let Some(guard) = held.let_go() else { return };
        if self.ground.state().mutant == Some(Mutant::Leaking) && self.below(10) == 0 {
            return std::mem::forget(guard);
        }
        if self.below(3) == 0 {
            return drop(guard);
        }
        let mut call = self.call("release", LIMIT);
        match guard.release().await {
            Ok(()) => {
                call.answered(format_args!("released"));
                self.was_held(&call, held.token, "release");
            }
            Err(error) => self.failed(&mut call, &error, &[]),
        }
    }

    /// Who was told that he held the lock held it at some moment of the call.
    fn was_held(&self, call: &Calling, token: u64, what: &str) {
        let mut state = self.ground.state();
        let ended_ms = state.truth.line.lease(token).and_then(|lease| lease.ended_ms);
        let since_ms = call.since_ms + super::seams::BOOT_MS;
        if ended_ms.is_some_and(|ended_ms| ended_ms < since_ms) {
            state.complain(Broken::Refused, format!("{what}: token {token} was lost at {ended_ms:?}"));
        }
    }

    async fn append(&self, guard: Option<&LockGuard>) {
        let stream = format!("log-{}", self.below(STREAMS));
        let version = self.ground.state().truth.version(&stream);
        let expected = match self.below(6) {
            0 => Expected::NoStream,
            1 => Expected::Exists,
            2 | 3 => Expected::Version(version),
            4 => Expected::Version(version.saturating_sub(1)),
            _ => Expected::Any,
        };
        let numbers: Vec<u64> = (0..=self.below(3)).map(|_| self.ground.state().number()).collect();
        let known = self.below(3) == 0;
        let events: Result<Vec<Event>> = numbers.iter().map(|n| event(*n, known)).collect();
        let Ok(events) = events else { return };
        let handle = self.store.events();
        let handle = guard.map_or(handle.clone(), |guard| handle.guarded_by(guard));
        // An append whose ids are its caller's may be sent again as often as it takes.
        for attempt in 0..if known { 3 } else { 1 } {
            let mut call = self.call(if guard.is_some() { "guarded append" } else { "append" }, LIMIT);
            match handle.append(&stream, expected, events.clone()).await {
                Ok(appended) => {
                    call.answered(format_args!("{appended:?}"));
                    let last = (appended.position, appended.version);
                    self.are_there(&stream, &numbers, last);
                    return;
                }
                Err(error) if known && error.outcome() == WriteOutcome::Unknown => {
                    self.failed(&mut call, &error, &[]);
                }
                // What is said of this attempt says nothing of the one before, whose fate is unknown.
                Err(error) => {
                    return self.failed(&mut call, &error, if attempt == 0 { &numbers } else { &[] });
                }
            }
        }
    }

    /// Acknowledged events are in the store, where the answer says.
    pub(super) fn are_there(&self, stream: &str, numbers: &[u64], (position, version): (u64, u64)) {
        let mut state = self.ground.state();
        for (behind, n) in numbers.iter().rev().enumerate() {
            let place = (position.saturating_sub(behind as u64), version.saturating_sub(behind as u64));
            let found =
                state.truth.event(*n).map(|(position, row)| (position, row.version, row.stream == stream));
            if found != Some((place.0, place.1, true)) {
                state.complain(Broken::Lost, format!("{n} of {stream} was put at {place:?}: {found:?}"));
            }
        }
    }

    async fn read(&self) {
        let stream = format!("log-{}", self.below(STREAMS));
        let first = self.ground.state().truth.version(&stream).saturating_sub(self.below(20)).max(1);
        let before = self.ground.state().truth.version(&stream);
        let mut call = self.call("read", LIMIT);
        let mut reading = self.store.events().read_stream(&stream).from(first);
        let mut next = first;
        loop {
            match reading.next().await {
                Some(Ok(recorded)) => {
                    let mut state = self.ground.state();
                    let row = state.truth.event_at(recorded.position());
                    let same = row.is_some_and(|row| row.stream == stream && row.version == next);
                    if !same || recorded.version() != next {
                        state.complain(Broken::Version, format!("{recorded:?} in place of version {next}"));
                    }
                    next += 1;
                }
                Some(Err(error)) => return self.failed(&mut call, &error, &[]),
                None => break,
            }
        }
        call.answered(format_args!("{stream} up to {next}"));
        if next <= before {
            self.ground.state().complain(Broken::Stale, format!("{stream} ends before {next}, not {before}"));
        }
    }

    async fn break_lock(&self) {
        let name = self.one_of(&LOCKS);
        let mut call = self.call("break", LIMIT);
        match self.store.lock(name).break_lock().await {
            Ok(broke) => call.answered(format_args!("{broke}")),
            Err(error) => self.failed(&mut call, &error, &[]),
        }
    }

    /// A call has failed: these events must not be in the store, or may be, as the error says; and it must be explained.
    pub(super) fn failed(&self, call: &mut Calling, error: &Error, numbers: &[u64]) {
        call.answered(format_args!("{error}"));
        let mut state = self.ground.state();
        match error.outcome() {
            WriteOutcome::NotApplied => numbers.iter().for_each(|n| state.never(*n, error)),
            _ => state.figures.unknown += 1,
        }
        if let Some(broken) = self.unexplained(&mut state, call.since_ms, error) {
            state.complain(broken, format!("life {}: {error:?}", self.life));
        }
    }

    /// What is wrong with an error, if nothing that was done to this process leads to it.
    fn unexplained(&self, state: &mut State, since_ms: u64, error: &Error) -> Option<Broken> {
        // What a storage does when it has failed may show only later.
        let lately = since_ms.saturating_sub(LINGERS_MS);
        let explained = match error {
            Error::Fenced { .. } => {
                state.figures.fenced += 1;
                true
            }
            Error::Conflict { .. } => {
                state.figures.conflicts += 1;
                true
            }
            Error::Lost { .. } => {
                state.figures.refused += 1;
                true
            }
            Error::Closed => state.lives.get(&self.life).is_some_and(|life| life.closing),
            Error::Panicked { .. } | Error::ActorFailed { .. } => {
                return (!state.has_panicked(self.life, since_ms) && !state.has_failed(self.life, since_ms))
                    .then_some(Broken::Hurt);
            }
            Error::Busy { .. } => state.disturbed_ms >= lately,
            Error::Poisoned { .. } => state.is_poisoned(self.life),
            _ => state.has_failed(self.life, lately),
        };
        (!explained).then_some(Broken::Failed)
    }
}

/// So long what was done to a process may have consequences in it.
const LINGERS_MS: u64 = 10_000;

fn event(n: u64, known: bool) -> Result<Event> {
    let event = Event::from_json("Happened", format!("{{\"n\":{n}}}"))?;
    Ok(if known { event.id(uuid::Uuid::from_u64_pair(1, n)) } else { event })
}

/// A lock in the hands of a caller, and nobody else's knowledge.
struct Held {
    guard: Option<LockGuard>,
    token: u64,
    ground: Ground,
}

impl Held {
    /// From now on nobody knows of it, and it must go.
    fn let_go(&mut self) -> Option<LockGuard> {
        if let Some(lease) = self.ground.state().truth.line.lease(self.token) {
            lease.kept = false;
        }
        self.guard.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.let_go());
    }
}

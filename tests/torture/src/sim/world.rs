//! One simulated world: processes on one thread, and a scheduler that decides by the seed what goes on next, how much time
//! passes, and what is done to whom.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millpond_actors::failpoint::fired;
use millpond_actors::memory::Memory;
use millpond_actors::storage::Backend;
use tokio::time::Instant;

use super::caller::Lane;
use super::deed::disarm;
use super::ground::{Figures, Ground, State};
use super::judge::{Broken, Violation};
use super::mutant::Mutant;
use super::process::{Alarm, Part, Process};
use super::seams::{BOOT_MS, Time};
use super::trace::Trace;
use super::truth::Truth;
use crate::random::Random;
use crate::{Result, clock};

/// Processes at once, and callers in each.
pub(super) const SEATS: usize = 4;
const LANES: u64 = 4;

/// How long the quiet at the end may take.
const QUIET_MS: u64 = 120_000;

/// How often it is looked for calls that are late.
const LOOK_MS: u64 = 1_000;

/// What came of a world.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) figures: Figures,
    pub(super) violations: Vec<Violation>,
    pub(super) hash: u64,
    pub(super) lines: u64,
    pub(super) millis: u64,
}

/// Where a process is, or will be again.
#[derive(Debug, Default)]
pub(super) struct Seat {
    pub(super) process: Option<Process>,
    again_ms: u64,
}

/// The world.
pub(super) struct World {
    pub(super) memory: Memory,
    pub(super) ground: Ground,
    pub(super) time: Arc<Time>,
    pub(super) alarm: Arc<Alarm>,
    pub(super) seats: Vec<Seat>,
    pub(super) random: Random,
    started: Instant,
    lives: u64,
    next_deed_ms: u64,
    next_look_ms: u64,
    end_ms: u64,
    wants: Vec<(u64, usize, Part)>,
}

impl World {
    /// Lives for so many milliseconds.
    pub(super) async fn live(
        seed: u64,
        length_ms: u64,
        mutant: Option<Mutant>,
        trace: Trace,
    ) -> Result<Outcome> {
        disarm();
        let memory = Memory::new();
        let truth = Truth::new(memory.view()?)?;
        let mut random = Random::new(seed);
        let ground = Ground::new(random.below(u64::MAX), truth, trace, mutant);
        let mut world = World {
            memory,
            ground,
            time: Arc::default(),
            alarm: Arc::default(),
            seats: (0..SEATS).map(|_| Seat::default()).collect(),
            random,
            started: clock::simulated(),
            lives: 0,
            next_deed_ms: 1_000,
            next_look_ms: LOOK_MS,
            end_ms: length_ms,
            wants: Vec::new(),
        };
        let lived = world.run().await;
        world.seats.clear();
        disarm();
        lived?;
        let mut state = world.ground.state();
        state.settle();
        let hash = state.trace.hash();
        let (figures, lines, millis) = (state.figures, state.trace.lines(), state.now_ms);
        Ok(Outcome { figures, violations: std::mem::take(&mut state.violations), hash, lines, millis })
    }

    async fn run(&mut self) -> Result<()> {
        loop {
            let now_ms = self.see_the_time();
            if self.turn_over(now_ms)? {
                return Ok(());
            }
            // Time passes only when nobody has anything to do.
            let next_ms = loop {
                match self.choose(now_ms) {
                    Ok((seat, part)) => self.step(seat, part, now_ms),
                    Err(next_ms) => break next_ms,
                }
            };
            self.wait(next_ms).await;
        }
    }

    fn see_the_time(&mut self) -> u64 {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.time.set(now_ms);
        self.ground.state().now_ms = now_ms;
        now_ms
    }

    /// What wants to go on now: one of them, by chance. If nothing does: when something will.
    fn choose(&mut self, now_ms: u64) -> std::result::Result<(usize, Part), u64> {
        let mut wants = std::mem::take(&mut self.wants);
        wants.clear();
        let mut parts = Vec::new();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let Some(process) = seat.process.as_mut().filter(|process| process.stopped_until_ms.is_none())
            else {
                continue;
            };
            process.parts(&mut parts);
            wants.extend(parts.drain(..).map(|(when, part)| (when, at, part)));
        }
        let next_ms = wants.iter().map(|(when, ..)| *when).min().unwrap_or(u64::MAX);
        let ready = wants.iter().filter(|(when, ..)| *when <= now_ms).count() as u64;
        let mut which = self.random.below(ready);
        if ready > 0 && self.ground.state().mutant == Some(Mutant::Unseeded) {
            which = RandomState::new().hash_one(which) % ready;
        }
        let chosen = wants.iter().filter(|(when, ..)| *when <= now_ms).nth(which as usize);
        let chosen = chosen.map(|(_, seat, part)| (*seat, *part)).ok_or(next_ms);
        self.wants = wants;
        chosen
    }

    /// A part goes on, or is put off.
    fn step(&mut self, at: usize, part: Part, now_ms: u64) {
        let put_off = !self.ground.state().quiet && self.random.below(400) == 0;
        let silent = self.ground.state().mutant == Some(Mutant::Silent) && matches!(part, Part::Caller(_));
        let Some(process) = self.seats.get_mut(at).and_then(|seat| seat.process.as_mut()) else { return };
        if put_off {
            let until_ms = now_ms + if silent { u64::MAX >> 1 } else { 1 + self.random.below(300) };
            process.put_off(part, until_ms);
            let mut state = self.ground.state();
            state.figures.put_off += 1;
            return state.note(format_args!("{at} {part:?} is put off until {until_ms}"));
        }
        let life = process.life;
        let mut state = self.ground.state();
        state.figures.steps += 1;
        state.note(format_args!("{at} {part:?}"));
        drop(state);
        let before = fired();
        process.go_on(part, now_ms);
        let mut state = self.ground.state();
        if fired() > before {
            state.struck(life);
            state.note(format_args!("{at} {part:?} was struck"));
        }
        let Some(seen) = state.lives.get_mut(&life) else { return };
        let (is_poisoned, closed) = (seen.poisoned && !seen.closing, std::mem::take(&mut seen.closed));
        let has_left = seen.ended || seen.closing && process.is_done();
        state.ended_if(life, has_left);
        drop(state);
        if closed {
            process.end_actors(&self.alarm);
        }
        if has_left {
            // One that could not write any more has not left in order; its end is a death to the others.
            let id = process.kin.process();
            self.ground.state().gone(id);
            self.empty(at, now_ms);
        } else if is_poisoned {
            self.close(at);
        }
    }

    /// The seat is free, and taken again after a while.
    pub(super) fn empty(&mut self, at: usize, now_ms: u64) {
        let again_ms = now_ms + self.random.below(3_000);
        if let Some(seat) = self.seats.get_mut(at) {
            seat.again_ms = again_ms;
            let process = seat.process.take();
            drop(process);
        }
    }

    /// Lets time pass until somebody is woken, or until then.
    async fn wait(&mut self, next_ms: u64) {
        let next_ms = next_ms.min(self.next_deed_ms).min(self.next_look_ms).min(self.next_of_seats());
        let rings = self.ground.state().rings.iter().map(|(at_ms, _)| *at_ms).min();
        let next_ms = next_ms.min(rings.unwrap_or(u64::MAX));
        let until = self.started + Duration::from_millis(next_ms);
        let mut late = std::pin::pin!(tokio::time::timeout_at(until, std::future::pending::<()>()));
        std::future::poll_fn(|context| {
            if self.alarm.has_rung(context.waker()) {
                return Poll::Ready(());
            }
            late.as_mut().poll(context).map(drop)
        })
        .await;
    }

    fn next_of_seats(&self) -> u64 {
        let quiet = self.ground.state().quiet;
        let next = |seat: &Seat| match &seat.process {
            Some(process) => process.stopped_until_ms,
            None => (!quiet).then_some(seat.again_ms),
        };
        self.seats.iter().filter_map(next).min().unwrap_or(u64::MAX)
    }

    /// What is due at this moment but what the processes do themselves. Whether all has come to its end.
    fn turn_over(&mut self, now_ms: u64) -> Result<bool> {
        let quiet = self.ground.state().quiet;
        for at in 0..self.seats.len() {
            let Some(seat) = self.seats.get_mut(at) else { continue };
            match &mut seat.process {
                Some(process) if process.stopped_until_ms.is_some_and(|until_ms| until_ms <= now_ms) => {
                    process.stopped_until_ms = None;
                    let mut state = self.ground.state();
                    state.go_on(process.life);
                    state.note(format_args!("{at} goes on"));
                }
                None if seat.again_ms <= now_ms && !quiet => self.start(at)?,
                _ => {}
            }
        }
        self.end_foreign_turn(now_ms);
        self.ring(now_ms);
        if self.next_look_ms <= now_ms {
            self.next_look_ms = now_ms + LOOK_MS;
            self.ground.state().look_around();
        }
        if quiet {
            return Ok(self.is_over(now_ms));
        }
        if self.next_deed_ms <= now_ms {
            self.next_deed_ms = now_ms + 100 + self.random.below(6_000);
            self.deed(now_ms);
        }
        if now_ms >= self.end_ms || !self.ground.state().violations.is_empty() {
            self.begin_quiet(now_ms);
        }
        Ok(false)
    }

    fn end_foreign_turn(&self, now_ms: u64) {
        let mut state = self.ground.state();
        if state.foreign_turn.is_some_and(|until_ms| until_ms <= now_ms) {
            state.foreign_turn = None;
            state.disturbed_ms = now_ms;
            state.note(format_args!("the foreign turn ends"));
            drop(state);
            self.memory.end_the_turn();
        }
    }

    /// Rings that are late.
    fn ring(&self, now_ms: u64) {
        let mut state = self.ground.state();
        if state.rings.is_empty() {
            return;
        }
        let rings = std::mem::take(&mut state.rings);
        let (due, rest) = rings.into_iter().partition(|(at_ms, _)| *at_ms <= now_ms);
        state.rings = rest;
        drop(state);
        let due: Vec<(u64, super::ground::Ring)> = due;
        due.iter().for_each(|(_, ring)| (ring.0)());
    }

    fn start(&mut self, at: usize) -> Result<()> {
        self.lives += 1;
        let (life, seed) = (self.lives, self.random.below(u64::MAX));
        let mut state = self.ground.state();
        state.lives.insert(life, super::ground::Life::default());
        state.disturbed_ms = state.now_ms;
        state.note(format_args!("{at} starts as {life}"));
        drop(state);
        let mut process = Process::start(life, seed, &self.memory, &self.ground, &self.time, &self.alarm)?;
        for _ in 0..LANES {
            let lane = Lane::new(&self.ground, life, &process.store, self.random.below(u64::MAX));
            process.add(Box::pin(lane.live()), &self.alarm);
        }
        if let Some(seat) = self.seats.get_mut(at) {
            seat.process = Some(process);
        }
        Ok(())
    }

    /// Nothing fails any more: those who are stopped go on, and all callers come to their end.
    fn begin_quiet(&mut self, now_ms: u64) {
        disarm();
        for seat in &mut self.seats {
            if let Some(process) = &mut seat.process {
                process.stopped_until_ms = process.stopped_until_ms.map(|_| now_ms);
            }
        }
        let mut state = self.ground.state();
        (state.quiet, state.disturbed_ms) = (true, now_ms);
        state.foreign_turn = state.foreign_turn.map(|_| now_ms);
        state.note(format_args!("quiet"));
        (self.end_ms, self.next_deed_ms) = (now_ms + QUIET_MS, u64::MAX);
    }

    /// Whether everybody has come to his end, or should have.
    fn is_over(&mut self, now_ms: u64) -> bool {
        let mut done = true;
        for at in 0..self.seats.len() {
            let Some(process) = self.process(at) else { continue };
            done = false;
            if process.is_done() {
                self.close(at);
            }
        }
        let mut state = self.ground.state();
        if now_ms >= self.end_ms && !done {
            let waiting = state.still_waiting();
            state.complain(Broken::Unanswered, format!("at the end: {waiting:?}"));
            return true;
        }
        if done {
            self.is_empty(&mut state);
        }
        done
    }

    /// Whoever has left has left nothing behind.
    fn is_empty(&self, state: &mut State) {
        let moment = millpond::Moment { boot_ms: BOOT_MS + state.now_ms, wall_ms: 0 };
        let left = self.memory.view().and_then(|mut view| view.processes(moment));
        match left {
            Ok(left) => {
                if let Some(process) = left.iter().find(|process| process.alive) {
                    state.complain(Broken::Leaked, format!("{process:?} is there, and has left"));
                }
            }
            Err(error) => state.complain(Broken::Failed, error.to_string()),
        }
    }
}

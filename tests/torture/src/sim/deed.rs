//! What is done to a simulated world: processes are stopped, killed and closed, a foreigner takes the turn, code panics, and
//! somebody sets the clock on the wall.

use std::sync::Arc;

use millpond_actors::failpoint::{Point, arm};
use millpond_actors::storage::Identity;

use super::mutant::Mutant;
use super::process::Process;
use super::seams::BOOT_MS;
use super::world::{SEATS, World};

/// At these points code is made to panic, or to fail.
const POINTS: [Point; 18] = [
    Point::BeforeBegin,
    Point::AfterTurn,
    Point::AfterBegin,
    Point::BeforeApply,
    Point::AfterApply,
    Point::BeforeCommit,
    Point::AfterCommit,
    Point::BeforeReply,
    Point::ThreadAwake,
    Point::Inline,
    Point::BeforeRead,
    Point::AfterRead,
    Point::BeforeLook,
    Point::Supervisor,
    Point::LockActor,
    Point::LockQueued,
    Point::AggregateActor,
    Point::BeforeLoad,
];

impl World {
    /// Something is done to somebody.
    pub(super) fn deed(&mut self, now_ms: u64) {
        let at = self.random.below(SEATS as u64) as usize;
        self.bury(now_ms);
        match self.random.below(11) {
            0..=3 => self.stop(at, now_ms),
            4 => self.kill(at, now_ms),
            5 => self.close(at),
            6 => self.take_turn(now_ms),
            7..=9 => self.strike(),
            _ => {
                let offset_ms = self.random.below(2 * YEAR_MS).cast_signed() - YEAR_MS.cast_signed();
                self.time.set_wall(offset_ms);
                self.ground.state().note(format_args!("the clock on the wall is set {offset_ms}"));
            }
        }
    }

    pub(super) fn process(&mut self, at: usize) -> Option<&mut Process> {
        self.seats.get_mut(at)?.process.as_mut()
    }

    fn one_of(&mut self, all: &[u64]) -> u64 {
        all.get(self.random.below(all.len() as u64) as usize).copied().unwrap_or_default()
    }

    fn stop(&mut self, at: usize, now_ms: u64) {
        let most_ms = self.one_of(&[50, 1_000, 6_000, 20_000]);
        let until_ms = now_ms + 1 + self.random.below(most_ms);
        let Some(process) = self.process(at).filter(|process| process.stopped_until_ms.is_none()) else {
            return;
        };
        process.stopped_until_ms = Some(until_ms);
        let life = process.life;
        let mut state = self.ground.state();
        state.figures.stops += 1;
        state.stop(life);
        state.note(format_args!("{at} is stopped until {until_ms}"));
    }

    fn kill(&mut self, at: usize, now_ms: u64) {
        let Some(process) = self.process(at) else { return };
        let (life, id) = (process.life, process.kin.process());
        let mut state = self.ground.state();
        state.figures.kills += 1;
        state.note(format_args!("{at} is killed"));
        state.ended(life);
        state.gone(id);
        drop(state);
        self.empty(at, now_ms);
    }

    /// A process closes its store, and ends.
    pub(super) fn close(&mut self, at: usize) {
        let (ground, alarm) = (self.ground.clone(), Arc::clone(&self.alarm));
        let Some(process) = self.process(at) else { return };
        let (life, store) = (process.life, process.store.clone());
        let mut state = ground.state();
        let closing =
            state.lives.get_mut(&life).is_some_and(|life| std::mem::replace(&mut life.closing, true));
        if closing {
            return;
        }
        state.figures.closes += 1;
        state.disturbed_ms = state.now_ms;
        state.note(format_args!("{at} closes"));
        drop(state);
        let closing = async move {
            // What is inside is waited for, and then the thread that commits.
            let mut call = ground.call(life, "close", Some(12_000));
            let closed = store.close().await;
            call.answered(format_args!("{closed:?}"));
            if let Some(life) = ground.state().lives.get_mut(&life) {
                life.closed = true;
            }
        };
        process.add(Box::pin(closing), &alarm);
    }

    /// A process that nobody sees takes the writers' turn, and keeps it for a while.
    fn take_turn(&mut self, now_ms: u64) {
        let most_ms = self.one_of(&[20, 500, 9_000]);
        let until_ms = now_ms + 1 + self.random.below(most_ms);
        let mut state = self.ground.state();
        if state.foreign_turn.is_some() {
            return;
        }
        state.foreign_turn = Some(until_ms);
        state.disturbed_ms = now_ms;
        state.figures.foreign_turns += 1;
        state.note(format_args!("a foreign turn until {until_ms}"));
        drop(state);
        let (host, program, boot) = ("sea".to_owned(), "ghost".to_owned(), "boot".to_owned());
        self.memory.pass_the_turn_to(Identity { pid: 1, host, program, boot }, 1 << 40);
    }

    /// Code panics, or fails, when it comes to a point for the so-manieth time.
    fn strike(&mut self) {
        let which = self.random.below(POINTS.len() as u64) as usize;
        let Some(point) = POINTS.get(which).copied() else { return };
        let how = if self.random.below(2) == 0 { "panic" } else { "error" };
        let passed = self.random.below(20);
        arm(point, how, passed, 1);
        self.ground.state().note(format_args!("{how} at {} after {passed}", point.name()));
    }

    /// A mutant's: a process that lives, and holds what others want, is taken for dead.
    fn bury(&mut self, now_ms: u64) {
        let ids: Vec<u64> = (self.seats.iter())
            .filter_map(|seat| seat.process.as_ref().and_then(|process| process.kin.process()))
            .collect();
        let state = self.ground.state();
        let moment = millpond::Moment { boot_ms: BOOT_MS + now_ms, wall_ms: 0 };
        let found = ids.into_iter().find(|id| state.truth.line.only_holds(*id, moment.boot_ms));
        let found = found.filter(|_| state.mutant == Some(Mutant::Buried) && state.foreign_turn.is_none());
        drop(state);
        if let Some(id) = found {
            self.memory.bury(id, moment);
        }
    }
}

const YEAR_MS: u64 = 365 * 86_400_000;

/// Nothing happens at any point any more.
pub(super) fn disarm() {
    for point in POINTS {
        arm(point, "error", 0, 0);
    }
}

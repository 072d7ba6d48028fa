//! A run in which from here on nothing goes wrong any more: nobody is killed or stopped, nothing fails, whoever holds
//! the lock gives it back, and time goes on. Everybody who waits and is not stopped is served then, or is told to ask
//! anew.
//!
//! Stopped processes stay stopped, but for the one that has the turn: with it, everything stops.

use stateright::Model;

use crate::state::{Caller, Life, SEATS, State};
use crate::world::{Step, Wish, World};

/// Steps of a seat before it is another's turn: to look, to begin and to commit, with somebody else's commit before it.
/// Who turns in a circle does not keep the others from going on.
const TURNS: usize = 8;

/// Rounds until everybody must be served: a lease may have to end for each who waits, and for the holder.
fn rounds(world: &World) -> usize {
    (SEATS + 1) * (usize::from(world.bounds.ttl) + 2)
}

/// Whether the run that goes well from here serves everybody who waits.
#[must_use]
pub fn who_waits_is_served(world: &World, state: &State) -> bool {
    if !world.fair || state.broken != 0 || !somebody_waits(state) {
        return true;
    }
    let mut state = state.clone();
    for _ in 0..rounds(world) {
        for seat in 0..SEATS {
            for _ in 0..TURNS {
                let Some(step) = step(world, &state, seat) else { break };
                state = world.next_state(&state, step).unwrap_or(state);
            }
        }
        if !somebody_waits(&state) {
            return true;
        }
        state = world.next_state(&state, Step::Tick).unwrap_or(state);
    }
    false
}

fn somebody_waits(state: &State) -> bool {
    state.processes.iter().any(|process| process.life == Life::Running && process.waits())
}

/// What a seat does next by itself.
fn step(world: &World, state: &State, seat: usize) -> Option<Step> {
    let process = state.processes.get(seat)?;
    if let Some(open) = &state.open {
        return match state.life(open.seat) {
            Life::Running => Some(Step::Commit),
            Life::Stopped => Some(Step::Continue(open.seat)),
            Life::Dead => None,
        };
    }
    if process.life != Life::Running {
        return None;
    }
    let mut woken = Vec::new();
    world.wakes(state, seat, process, &mut woken);
    match process.caller {
        Caller::Holding(..) => Some(Step::Begin(seat, Wish::Leave)),
        Caller::Waiting(_) if process.wake.settling => Some(Step::Begin(seat, Wish::Settle)),
        Caller::Waiting(_) => woken.first().copied(),
        Caller::Doubting => Some(Step::Begin(seat, Wish::Clear)),
        Caller::Idle => None,
    }
}

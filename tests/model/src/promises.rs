//! The promises, as properties of the model, each under its id in the design.
//!
//! "Eventually" is not among them: the checker does not follow it round a cycle, and this model has many. Liveness is
//! said as invariants instead: whoever may act has something that makes it act; and a run in which from here on nothing
//! goes wrong any more comes to its end (`fair`).

use stateright::{Expectation, Property};

use crate::fair;
use crate::judge::breach;
use crate::state::{Caller, Event, Life, Process, State};
use crate::transaction::has_ended;
use crate::world::World;

/// All of them.
#[must_use]
pub fn all() -> Vec<Property<World>> {
    vec![
        Property::always("l1_at_most_one_live_lease", |_, state: &State| state.file.leases.len() <= 1),
        Property::always("l2_tokens_only_grow", |_, state| kept(state, breach::L2)),
        Property::always("l3_no_write_with_a_stale_token_lands", |_, state| kept(state, breach::L3)),
        Property::always("l4_not_before_its_ttl", |_, state| kept(state, breach::L4_EARLY)),
        Property::always("l4_an_expired_lease_is_not_revived", |_, state| kept(state, breach::L4_REVIVED)),
        Property::always("l5_in_ticket_order_among_the_living", |_, state| kept(state, breach::L5_ORDER)),
        Property::always("l5_what_is_not_taken_up_in_time_goes_on", |_, state| {
            kept(state, breach::L5_TAKE_UP)
        }),
        Property::always("l5_no_free_lock_with_a_living_waiter", |_, state| {
            no_free_lock_is_waited_for(state)
        }),
        Property::always("l5_who_waits_is_woken", who_waits_is_woken),
        Property::always("l5_who_waits_is_in_the_line", |_, state| who_waits_is_in_the_line(state)),
        Property::always("l5_who_waits_is_served_in_the_end", fair::who_waits_is_served),
        Property::always("l6_a_crashed_holder_is_skipped_at_once", |_, state| kept(state, breach::L6)),
        Property::always("l6_no_ticket_without_a_caller", |_, state| no_ticket_is_nobodys(state)),
        Property::always("g8_a_dead_turn_holder_frees_the_turn", |_, state| turn_is_not_of_the_dead(state)),
        Property::sometimes("l4_expired_can_be_granted", |_, state: &State| {
            matches!(state.event, Event::TakenAfterStop | Event::TakenAfterSilence)
        }),
        Property::sometimes("a_zombie_is_fenced", |_, state| told(state, Event::ZombieFenced)),
        Property::sometimes("a_lock_is_taken_after_a_crash", |_, state| told(state, Event::TakenAfterCrash)),
        Property::sometimes("a_lock_is_taken_after_a_stop", |_, state| told(state, Event::TakenAfterStop)),
        Property::sometimes("a_dead_waiter_is_skipped", |_, state| told(state, Event::DeadWaiterSkipped)),
        Property::sometimes("a_stopped_waiter_loses_its_ticket", |_, state| told(state, Event::TicketLost)),
        Property::sometimes("a_stopped_writer_stops_all", |_, state| a_stopped_writer_stops_others(state)),
        Property::sometimes("two_wait_behind_a_holder", |_, state: &State| state.file.line.len() == 2),
    ]
}

/// Whether a discovery of this property is a broken promise, or one not made in the model at all.
#[must_use]
pub fn is_broken(property: &Property<World>, discovered: bool) -> bool {
    match property.expectation {
        Expectation::Sometimes => !discovered,
        Expectation::Always | Expectation::Eventually => discovered,
    }
}

fn told(state: &State, event: Event) -> bool {
    state.event == event
}

fn kept(state: &State, promise: u16) -> bool {
    state.broken & promise == 0
}

fn no_free_lock_is_waited_for(state: &State) -> bool {
    let lives = |id| state.processes.iter().any(|process| process.id == id && process.life != Life::Dead);
    state.file.holder.is_some() || !state.file.line.iter().any(|ticket| lives(ticket.process))
}

/// Whether a process is about to look or to act: nothing but its own being stopped can keep it from it.
fn is_up(state: &State, seat: usize) -> bool {
    let wake = state.processes.get(seat).map(|process| process.wake).unwrap_or_default();
    wake.news || wake.settling || state.open.as_ref().is_some_and(|open| open.seat == seat)
}

fn who_waits_is_woken(world: &World, state: &State) -> bool {
    state.processes.iter().enumerate().filter(|(_, process)| process.waits()).all(|(seat, process)| {
        // A timer serves a lease that goes on, and one that has just ended by time; not one that ended otherwise.
        let timed = process.wake.timer
            && (!world.is_concerned(state, seat)
                || state.file.holder.is_some_and(|holder| has_ended(world.bounds, &holder)));
        is_up(state, seat) || timed
    })
}

fn who_waits_is_in_the_line(state: &State) -> bool {
    (0..state.processes.len()).all(|seat| !state.is_bereft(seat) || is_up(state, seat))
}

fn no_ticket_is_nobodys(state: &State) -> bool {
    let wants = |process: &Process| process.life == Life::Dead || process.caller != Caller::Idle;
    state.processes.iter().all(|process| wants(process) || state.file.ticket_of(process.id).is_none())
}

fn turn_is_not_of_the_dead(state: &State) -> bool {
    let holder = state.open.as_ref().and_then(|open| state.processes.get(open.seat));
    holder.is_none_or(|process| process.life != Life::Dead)
}

fn a_stopped_writer_stops_others(state: &State) -> bool {
    let holder = state.open.as_ref().and_then(|open| state.processes.get(open.seat));
    let stopped = holder.is_some_and(|process| process.life == Life::Stopped);
    stopped && state.processes.iter().any(|process| process.life == Life::Running && process.wake.settling)
}

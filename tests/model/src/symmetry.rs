//! Seats and process ids are only names: states that differ by them alone are explored once.
//!
//! A representative that is not the same for all states that differ so costs states, not truth.

use crate::state::{Caller, File, Id, Process, SEATS, State};

/// The state under other names: seats in the order of what sits in them, ids in the order of the seats.
#[must_use]
pub fn representative(state: &State) -> State {
    let mut order: [usize; SEATS] = std::array::from_fn(|seat| seat);
    order.sort_by_key(|seat| key(state, *seat));
    let names = Names::of(state, order);
    let mut renamed = state.clone();
    for (to, from) in renamed.processes.iter_mut().zip(order) {
        if let Some(process) = state.processes.get(from) {
            *to = Process { id: names.renamed(process.id), ..*process };
        }
    }
    names.rename(&mut renamed.file, order);
    if let Some(open) = &mut renamed.open {
        names.rename(&mut open.file, order);
        open.seat = order.iter().position(|seat| *seat == open.seat).unwrap_or(open.seat);
    }
    renamed
}

/// What tells seats apart, but for their names.
fn key(state: &State, seat: usize) -> impl Ord + use<> {
    let process = state.processes.get(seat);
    let id = process.map_or(0, |process| process.id);
    let owns = |file: &File| {
        let holds = file.holder.is_some_and(|holder| holder.process == id);
        let waits = file.line.iter().find(|ticket| ticket.process == id).map(|ticket| ticket.number);
        let row = file.rows.get(seat).copied().unwrap_or(0);
        (holds, waits, row == id, row == 0)
    };
    let has_turn = state.open.as_ref().is_some_and(|open| open.seat == seat);
    let caller = process.map_or(Caller::Idle, |process| process.caller);
    let then = state.open.as_ref().map(|open| owns(&open.file));
    (has_turn, process.map(|process| (process.life, process.wake)), caller, owns(&state.file), then)
}

/// Ids, each at the place of its new name. Those that sit are 1 to 3, then come those of the past.
struct Names(Vec<Id>);

impl Names {
    fn of(state: &State, order: [usize; SEATS]) -> Names {
        let seated = order.iter().filter_map(|seat| state.processes.get(*seat)).map(|process| process.id);
        let mut names = Names(seated.collect());
        for file in [Some(&state.file), state.open.as_ref().map(|open| &open.file)].into_iter().flatten() {
            order.iter().filter_map(|seat| file.rows.get(*seat)).for_each(|id| names.meet(*id));
            file.holder.iter().for_each(|holder| names.meet(holder.process));
            file.line.iter().for_each(|ticket| names.meet(ticket.process));
            file.leases.iter().for_each(|(id, _)| names.meet(*id));
            names.meet(file.counter_in);
        }
        names
    }

    fn meet(&mut self, id: Id) {
        if id != 0 && !self.0.contains(&id) {
            self.0.push(id);
        }
    }

    fn renamed(&self, id: Id) -> Id {
        let known = self.0.iter().zip(1..).find(|(old, _)| **old == id);
        known.map_or(0, |(_, new)| new)
    }

    fn rename(&self, file: &mut File, order: [usize; SEATS]) {
        let rows = order.map(|seat| file.rows.get(seat).map_or(0, |id| self.renamed(*id)));
        file.rows = rows;
        file.holder.iter_mut().for_each(|holder| holder.process = self.renamed(holder.process));
        file.line.iter_mut().for_each(|ticket| ticket.process = self.renamed(ticket.process));
        file.leases.iter_mut().for_each(|(id, _)| *id = self.renamed(*id));
        file.leases.sort_unstable();
        file.counter_in = self.renamed(file.counter_in);
        // All that matters of the next id is that nobody has it.
        file.last_id = self.0.iter().zip(1..).map(|(_, new)| new).last().unwrap_or(0);
    }
}

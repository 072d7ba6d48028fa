//! The world: what can happen next, and what comes of it.
//!
//! A transaction is two steps, its begin and its commit, so that a process can be stopped or killed within it. Who
//! waits acts only when something wakes it, as in `actors/src/lock`.

use stateright::{Model, Property};

use crate::judge::{Case, Cause};
use crate::mutant::Mutant;
use crate::promises;
use crate::state::{
    Bounds, Caller, Event, File, Id, Life, Number, Open, Presence, Process, SEATS, State, Wake,
};
use crate::transaction::{Acquired, Transaction, has_ended, looks_void};

/// What a process wants of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A ticket, or the lock.
    Acquire,
    /// To leave: a release, or a caller that does not want to wait any longer.
    Leave,
    /// What is passed on, and perhaps the lock.
    Settle,
    /// To write under its token.
    Write,
    /// To leave with whatever ticket it may have.
    Clear,
    /// To say that it lives.
    Beat,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A tick of time.
    Tick,
    /// A process is killed.
    Kill(usize),
    /// A process is stopped.
    Stop(usize),
    /// A stopped process goes on.
    Continue(usize),
    /// A process starts in the place of a dead one: its first transaction begins.
    Start(usize),
    /// A process takes the turn, and a transaction begins.
    Begin(usize, Wish),
    /// The transaction commits, and the turn is given back.
    Commit,
    /// The transaction fails: nothing of it is in the file, and who wanted it is told.
    Fail,
    /// The transaction commits, but nobody can tell: whoever asked for the lock does not know whether he waits for it.
    CommitUnknown,
    /// Who waits looks how the lock stands.
    Look(usize),
    /// The timer to the end of the holder's lease goes off.
    Timer(usize),
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// How far it goes, and what is broken in it.
    pub bounds: Bounds,
    /// Whether the run that goes well is tried from every state, which takes most of the time.
    pub fair: bool,
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let born = |id| Process { id, life: Life::Running, caller: Caller::Idle, wake: Wake::default() };
        let file = File {
            counter: 0,
            counter_in: 0,
            holder: None,
            line: Vec::new(),
            rows: [1, 2, 3],
            last_id: 3,
            leases: Vec::new(),
            highest: 0,
        };
        let processes = [born(1), born(2), born(3)];
        let restarts = self.bounds.restarts;
        vec![State { file, processes, open: None, restarts, broken: 0, event: Event::None }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.broken != 0 {
            return;
        }
        steps.push(Step::Tick);
        if let Some(open) = state.open.as_ref().filter(|open| state.life(open.seat) == Life::Running) {
            steps.extend([Step::Commit, Step::Fail]);
            if open.caller != Caller::Idle && state.caller(open.seat) == Caller::Idle {
                steps.push(Step::CommitUnknown);
            }
        }
        for (seat, process) in state.processes.iter().enumerate() {
            match process.life {
                Life::Running => {
                    steps.extend([Step::Kill(seat), Step::Stop(seat)]);
                    self.wakes(state, seat, process, steps);
                    if state.open.is_none() {
                        self.wishes(state, seat, process, steps);
                    }
                }
                Life::Stopped => steps.extend([Step::Kill(seat), Step::Continue(seat)]),
                Life::Dead if state.restarts > 0 && state.open.is_none() => steps.push(Step::Start(seat)),
                Life::Dead => {}
            }
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = State { event: Event::None, ..state.clone() };
        match step {
            Step::Tick => self.tick(&mut next),
            Step::Kill(seat) => self.kill(&mut next, seat)?,
            Step::Stop(seat) => next.processes.get_mut(seat)?.life = Life::Stopped,
            Step::Continue(seat) => next.processes.get_mut(seat)?.life = Life::Running,
            Step::Start(seat) => self.start(&mut next, seat)?,
            Step::Begin(seat, wish) => self.begin(&mut next, seat, wish)?,
            Step::Commit => commit(&mut next)?,
            Step::CommitUnknown => {
                next.open.as_mut()?.caller = Caller::Doubting;
                commit(&mut next)?;
            }
            Step::Fail => self.fail(&mut next)?,
            Step::Look(seat) => self.look(&mut next, seat)?,
            Step::Timer(seat) => {
                let wake = &mut next.processes.get_mut(seat)?.wake;
                (wake.timer, wake.news) = (false, true);
            }
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<World>> {
        promises::all()
    }
}

impl World {
    /// What may wake a process that waits.
    pub(crate) fn wakes(&self, state: &State, seat: usize, process: &Process, steps: &mut Vec<Step>) {
        if process.waits() {
            if process.wake.news {
                steps.push(Step::Look(seat));
            }
            // One that goes off earlier, at an end that has been put off, only looks and is set again.
            if process.wake.timer && state.file.holder.is_none_or(|holder| has_ended(self.bounds, &holder)) {
                steps.push(Step::Timer(seat));
            }
        }
    }

    /// What a process may want of a transaction.
    fn wishes(&self, state: &State, seat: usize, process: &Process, steps: &mut Vec<Step>) {
        let mut wish = |wish| steps.push(Step::Begin(seat, wish));
        match process.caller {
            Caller::Idle if state.file.counter < self.bounds.numbers => wish(Wish::Acquire),
            Caller::Idle => {}
            Caller::Waiting(_) => {
                wish(Wish::Leave);
                if process.wake.settling {
                    wish(Wish::Settle);
                }
            }
            Caller::Doubting => wish(Wish::Clear),
            Caller::Holding(..) => [Wish::Leave, Wish::Write, Wish::Beat].into_iter().for_each(wish),
        }
    }

    fn tick(&self, next: &mut State) {
        next.file = next.file.older(self.bounds.ttl);
        if let Some(open) = &mut next.open {
            open.file = open.file.older(self.bounds.ttl);
        }
    }

    fn kill(&self, next: &mut State, seat: usize) -> Option<()> {
        let process = next.processes.get_mut(seat)?;
        let id = process.id;
        *process = Process { id, life: Life::Dead, caller: Caller::Idle, wake: Wake::default() };
        if self.bounds.mutant != Mutant::TurnOutlivesItsHolder {
            // The kernel frees the turn, and SQLite forgets what was not committed.
            next.open = next.open.take().filter(|open| open.seat != seat);
        }
        next.file.leases.retain(|(holder, _)| *holder != id);
        if let Some(open) = &mut next.open {
            open.file.leases.retain(|(holder, _)| *holder != id);
        }
        if self.bounds.mutant != Mutant::DeathIsNoNews {
            tell_those_who_wait(&mut next.processes, seat);
        }
        Some(())
    }

    fn start(&self, next: &mut State, seat: usize) -> Option<()> {
        next.restarts -= 1;
        let process = next.processes.get_mut(seat)?;
        let id = next.file.last_id + 1;
        *process = Process { id, life: Life::Running, ..*process };
        let presence = Presence(&next.processes);
        let transaction = Transaction::register(self.bounds, presence, seat, next.file.clone());
        let case = Case { bounds: self.bounds, before: &next.file, presence, own: id, cause: Cause::Start };
        next.open = Some(close(transaction, case, Outcome { seat, ..Outcome::default() }));
        Some(())
    }

    fn begin(&self, next: &mut State, seat: usize, wish: Wish) -> Option<()> {
        let process = next.processes.get_mut(seat)?;
        if wish == Wish::Settle {
            process.wake.settling = false;
        }
        let Process { id, caller, .. } = *process;
        let presence = Presence(&next.processes);
        let mut transaction = Transaction::begin(self.bounds, presence, id, next.file.clone());
        let (cause, outcome) = self.wish(&mut transaction, id, caller, wish);
        let case = Case { bounds: self.bounds, before: &next.file, presence, own: id, cause };
        next.open = Some(close(transaction, case, Outcome { seat, ..outcome }));
        Some(())
    }

    /// A process that could not start has not started. Who waits looks again, as he may have wanted to settle.
    fn fail(&self, next: &mut State) -> Option<()> {
        let seat = next.open.take()?.seat;
        let process = next.processes.get_mut(seat)?;
        if !next.file.rows.contains(&process.id) {
            process.life = Life::Dead;
        } else if process.waits() && self.bounds.mutant != Mutant::FailureIsForgotten {
            process.wake.news = true;
        }
        Some(())
    }

    /// Does what is wished, and what the caller makes of it.
    fn wish(
        &self,
        transaction: &mut Transaction<'_>,
        own: Id,
        caller: Caller,
        wish: Wish,
    ) -> (Cause, Outcome) {
        let none = Outcome { caller, ..Outcome::default() };
        match (wish, caller) {
            (Wish::Acquire, _) => {
                let (caller, look_again) = match transaction.acquire() {
                    Acquired::Granted(ticket, token) => (Caller::Holding(ticket, token), false),
                    Acquired::Waiting(ticket) => (Caller::Waiting(ticket), true),
                };
                (Cause::Acquire, Outcome { caller, look_again, ..none })
            }
            (Wish::Leave, Caller::Waiting(ticket) | Caller::Holding(ticket, _)) => {
                transaction.leave(ticket);
                (Cause::Leave, Outcome { caller: Caller::Idle, ..none })
            }
            (Wish::Clear, _) => {
                let holds = transaction.file.holder.is_some_and(|holder| holder.process == own);
                let sees = holds || self.bounds.mutant != Mutant::DoubtLooksOnce;
                if let Some(ticket) = transaction.file.ticket_of(own).filter(|_| sees) {
                    transaction.leave(ticket);
                }
                (Cause::Leave, Outcome { caller: Caller::Idle, ..none })
            }
            (Wish::Settle, Caller::Waiting(ticket)) => {
                transaction.settle();
                (Cause::Settle, self.settled(&transaction.file, own, ticket))
            }
            (Wish::Write, Caller::Holding(_, token)) if transaction.fence_holds(token) => {
                (Cause::Landed(token), none)
            }
            (Wish::Write, Caller::Holding(..)) => {
                (Cause::Other, Outcome { caller: Caller::Idle, event: Event::ZombieFenced, ..none })
            }
            _ => (Cause::Other, none),
        }
    }

    /// What somebody who waits makes of a settling.
    fn settled(&self, file: &File, own: Id, ticket: Number) -> Outcome {
        let waits = Outcome { caller: Caller::Waiting(ticket), ..Outcome::default() };
        let granted = file.holder.filter(|holder| (holder.ticket, holder.process) == (ticket, own));
        if let Some(holder) = granted {
            return Outcome { caller: Caller::Holding(ticket, holder.token), ..waits };
        }
        if !file.knows(ticket) && self.bounds.mutant != Mutant::VoidTicketWaitsOn {
            // It was granted and lost while this process was stopped: it has to ask anew.
            return Outcome { caller: Caller::Idle, event: Event::TicketLost, ..waits };
        }
        // The lock may have been given to another just now, whose lease nobody here has set a timer to.
        Outcome { look_again: self.bounds.mutant != Mutant::SettlingIsNoNews, ..waits }
    }

    fn look(&self, next: &mut State, seat: usize) -> Option<()> {
        let concerned = self.is_concerned(next, seat) || self.is_bereft(next, seat);
        let wake = &mut next.processes.get_mut(seat)?.wake;
        wake.news = false;
        if concerned {
            wake.settling = true;
        } else {
            wake.timer = true;
        }
        Some(())
    }

    /// Whether somebody who waits has to settle: nobody holds the lock, or nobody who may, or it is his.
    pub(crate) fn is_concerned(&self, state: &State, seat: usize) -> bool {
        let Caller::Waiting(ticket) = state.caller(seat) else { return false };
        let his = state.file.holder.is_none_or(|holder| holder.ticket == ticket);
        his || looks_void(self.bounds, Presence(&state.processes), &state.file)
    }

    /// Whether somebody waits with a ticket that is not in the line, as far as the protocol can tell.
    fn is_bereft(&self, state: &State, seat: usize) -> bool {
        self.bounds.mutant != Mutant::VoidTicketWaitsOn && state.is_bereft(seat)
    }
}

/// What the process makes of its transaction.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    seat: usize,
    caller: Caller,
    look_again: bool,
    event: Event,
}

impl Default for Outcome {
    fn default() -> Outcome {
        Outcome { seat: SEATS, caller: Caller::Idle, look_again: false, event: Event::None }
    }
}

fn close(transaction: Transaction<'_>, case: Case<'_>, outcome: Outcome) -> Open {
    let mut file = transaction.commit();
    let (broken, seen) = case.judged(&mut file);
    let Outcome { seat, caller, look_again, event } = outcome;
    let event = if event == Event::None { seen } else { event };
    Open { seat, file, caller, look_again, broken, event }
}

fn commit(next: &mut State) -> Option<()> {
    let Open { seat, file, caller, look_again, broken, event } = next.open.take()?;
    (next.file, next.broken, next.event) = (file, broken, event);
    let process = next.processes.get_mut(seat)?;
    process.caller = caller;
    process.wake.news |= look_again;
    if !matches!(caller, Caller::Waiting(_)) {
        process.wake = Wake::default();
    }
    tell_those_who_wait(&mut next.processes, seat);
    Some(())
}

/// A process's own commits and its own death are no news to itself.
fn tell_those_who_wait(processes: &mut [Process; SEATS], but: usize) {
    for (seat, process) in processes.iter_mut().enumerate() {
        process.wake.news |= seat != but && process.waits();
    }
}

impl State {
    pub(crate) fn life(&self, seat: usize) -> Life {
        self.processes.get(seat).map_or(Life::Dead, |process| process.life)
    }

    fn caller(&self, seat: usize) -> Caller {
        self.processes.get(seat).map_or(Caller::Idle, |process| process.caller)
    }

    /// Whether somebody waits with a ticket that is not in the line.
    pub(crate) fn is_bereft(&self, seat: usize) -> bool {
        match self.caller(seat) {
            Caller::Waiting(ticket) => !self.file.knows(ticket),
            _ => false,
        }
    }
}

//! What happens to the lock inside a transaction: the rules of `src/storage/sqlite/lock.rs` and `lease.rs`, line by
//! line, with a place for each mutant.
//!
//! Left out: names (one lock shows what several do, but for the counter they share), options, savepoints, and a
//! sidecar that is replaced.

use crate::mutant::Mutant;
use crate::state::{Age, Bounds, File, Holder, Id, Number, Presence, Ticket};

/// An open transaction of one process.
#[derive(Debug)]
pub struct Transaction<'a> {
    bounds: Bounds,
    presence: Presence<'a>,
    own: Id,
    /// Ticks since the time that this transaction takes for now.
    late: Age,
    /// The file as it is being changed.
    pub file: File,
}

/// What became of an acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It holds the lock.
    Granted(Number, Number),
    /// It waits.
    Waiting(Number),
}

/// Whether the lease has ended by time.
pub(crate) fn has_ended(bounds: Bounds, holder: &Holder) -> bool {
    let unlimited = holder.taken_up || bounds.mutant == Mutant::TakeUpHasNoLimit;
    let lasts = if unlimited { bounds.ttl } else { bounds.take_up };
    holder.age >= lasts && bounds.mutant != Mutant::NoExpiry
}

fn seems_alive(bounds: Bounds, presence: Presence<'_>, file: &File, process: Id) -> bool {
    file.rows.contains(&process) && (bounds.mutant == Mutant::DeadOnlyByTtl || presence.lives(process))
}

/// Whether a reader sees the lock held by somebody whose lease has ended.
#[must_use]
pub fn looks_void(bounds: Bounds, presence: Presence<'_>, file: &File) -> bool {
    let ended =
        |holder: Holder| !seems_alive(bounds, presence, file, holder.process) || has_ended(bounds, &holder);
    file.holder.is_some_and(ended)
}

impl<'a> Transaction<'a> {
    /// Begins. What the process had lost by its silence is freed before anything says that it lives.
    #[must_use]
    pub fn begin(bounds: Bounds, presence: Presence<'a>, own: Id, file: File) -> Transaction<'a> {
        let mut transaction = Transaction { bounds, presence, own, late: 0, file };
        if transaction.is(Mutant::BeatBeforeFreeing) {
            transaction.beat();
        }
        if transaction
            .file
            .holder
            .is_some_and(|holder| holder.process == own && transaction.has_ended(&holder))
        {
            transaction.pass_on();
        }
        transaction
    }

    /// A process that is only just starting: buries the dead, passes on what they held, and writes its row.
    #[must_use]
    pub fn register(bounds: Bounds, presence: Presence<'a>, seat: usize, file: File) -> Transaction<'a> {
        let own = file.last_id + 1;
        // Somebody may have kept the turn for longer than a time to live.
        let late = if bounds.mutant == Mutant::TimeBeforeTheTurn { bounds.ttl } else { 0 };
        let mut transaction = Transaction { bounds, presence, own, late, file };
        let dead: Vec<Id> =
            transaction.file.rows.into_iter().filter(|id| *id != 0 && !presence.lives(*id)).collect();
        for id in &dead {
            transaction.bury(*id);
        }
        if let Some(row) = transaction.file.rows.get_mut(seat) {
            *row = own;
        }
        transaction.file.last_id = own;
        // Only where somebody waits; the rest is void, and whoever wants it takes it.
        let waited_for = !transaction.file.line.is_empty();
        if waited_for && transaction.file.holder.is_some_and(|holder| dead.contains(&holder.process)) {
            transaction.pass_on();
        }
        transaction
    }

    fn bury(&mut self, id: Id) {
        for row in &mut self.file.rows {
            if *row == id {
                *row = 0;
            }
        }
        if self.file.counter_in == id && self.is(Mutant::CounterDiesWithItsRow) {
            // The other rows say what they said before; the worst of it is that they say nothing.
            self.file.counter = self.file.counter.saturating_sub(1);
        }
    }

    /// Commits: says that the process lives, and where the counter stands.
    #[must_use]
    pub fn commit(mut self) -> File {
        if !self.is(Mutant::BeatsDoNotCount) {
            self.beat();
        }
        if self.is(Mutant::CounterDiesWithItsRow) {
            self.file.counter_in = self.own;
        }
        self.file
    }

    /// What is one's own and was not taken up yet is taken up by this.
    fn has_ended(&self, holder: &Holder) -> bool {
        let taken_up = holder.taken_up || holder.process == self.own;
        has_ended(self.bounds, &Holder { taken_up, ..*holder })
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.bounds.mutant == mutant
    }

    fn beat(&mut self) {
        if let Some(holder) = &mut self.file.holder
            && holder.process == self.own
        {
            (holder.age, holder.taken_up) = (0, true);
        }
    }

    /// Whether a process may still take up what it is given.
    fn lives(&self, process: Id) -> bool {
        process == self.own || seems_alive(self.bounds, self.presence, &self.file, process)
    }

    fn is_void(&self) -> bool {
        let ended = |holder: Holder| !self.lives(holder.process) || self.has_ended(&holder);
        self.file.holder.is_some_and(ended)
    }

    fn number(&mut self) -> Number {
        self.file.counter += 1;
        self.file.counter
    }

    fn first_living(&self) -> Option<Ticket> {
        let mut living = self.file.line.iter().filter(|ticket| self.lives(ticket.process));
        if self.is(Mutant::GrantByNewestTicket) { living.next_back() } else { living.next() }.copied()
    }

    fn give(&mut self, ticket: Ticket) -> Number {
        let Ticket { number, process } = ticket;
        let is_newest = number == self.file.counter || self.is(Mutant::TokenFromMaxPlusNothing);
        let token = if is_newest { self.file.counter } else { self.number() };
        let taken_up = process == self.own;
        self.file.holder = Some(Holder { ticket: number, token, process, age: self.late, taken_up });
        token
    }

    fn pass_on(&mut self) {
        match self.first_living() {
            Some(ticket) if self.is(Mutant::GrantByNewestTicket) => {
                self.file.line.retain(|waiting| waiting.number != ticket.number);
                self.give(ticket);
            }
            Some(ticket) => {
                self.file.line.retain(|waiting| waiting.number > ticket.number);
                self.give(ticket);
            }
            None => {
                self.file.line.clear();
                self.file.holder = None;
            }
        }
    }

    /// Takes a ticket, or the lock itself if nobody living is before it.
    pub fn acquire(&mut self) -> Acquired {
        let takes_all = self.is(Mutant::TakeWhatIsHeld);
        let free = self.file.holder.is_none() && self.file.line.is_empty();
        let void =
            self.is_void() && (self.first_living().is_none() || self.is(Mutant::LateComerTakesTheVoid));
        let number = self.number();
        let ticket = Ticket { number, process: self.own };
        if free || void || takes_all {
            if void {
                self.file.line.clear();
            }
            return Acquired::Granted(number, self.give(ticket));
        }
        self.file.line.push(ticket);
        Acquired::Waiting(number)
    }

    /// Leaves the line, whatever the ticket is in it.
    pub fn leave(&mut self, ticket: Number) {
        let holds =
            self.file.holder.is_some_and(|holder| (holder.ticket, holder.process) == (ticket, self.own));
        if holds && self.is(Mutant::FreeWithoutPassingOn) {
            self.file.holder = None;
        } else if holds {
            self.pass_on();
        } else {
            let own = self.own;
            self.file.line.retain(|waiting| (waiting.number, waiting.process) != (ticket, own));
        }
    }

    /// Passes the lock on if its holder is void.
    pub fn settle(&mut self) {
        if self.is_void() {
            self.pass_on();
        }
    }

    /// Whether a write under this token may be applied.
    #[must_use]
    pub fn fence_holds(&self, token: Number) -> bool {
        let current = self.file.holder.is_some_and(|holder| holder.token == token) && !self.is_void();
        current || self.is(Mutant::NoTokenCheck)
    }
}

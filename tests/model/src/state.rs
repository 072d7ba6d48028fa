//! What a state of the model is: the file, the processes, the open transaction.
//!
//! Time is kept as ages that stop growing where they stop mattering, so the model has no end of time and is finite
//! all the same. Only the numbers (tickets and tokens) and the restarts are bounded.

use std::fmt;

use crate::mutant::Mutant;

/// Processes that run at once.
pub const SEATS: usize = 3;

/// A process's id in the store; 0 is nobody. A seat that is taken anew after a crash gets a new one.
pub type Id = u8;

/// A number of the store's one counter: a ticket, a token, or both.
pub type Number = u8;

/// Ticks, up to the time to live.
pub type Age = u8;

/// How far the model goes, and which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// A lease's time to live, in ticks.
    pub ttl: Age,
    /// How long a lease lasts that its process has not taken up.
    pub take_up: Age,
    /// Nobody takes a ticket once the counter stands here. Grants to those who wait still go on.
    pub numbers: Number,
    /// Processes that start in place of one that was killed.
    pub restarts: u8,
    /// The rule that is broken.
    pub mutant: Mutant,
}

/// A ticket that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Its number.
    pub number: Number,
    /// Whose it is.
    pub process: Id,
}

/// The head of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The ticket that was granted.
    pub ticket: Number,
    /// The token it was given.
    pub token: Number,
    /// Whose it is.
    pub process: Id,
    /// Ticks since the grant, or since the process's last beat after it.
    pub age: Age,
    /// Its process has committed since the grant, or by it.
    pub taken_up: bool,
}

/// The file, as one transaction leaves it to the next. All but `leases` and `highest` is in the real one too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct File {
    /// The last number given out.
    pub counter: Number,
    /// In whose row the counter stands; 0 is the store's own row. Only a mutant looks at it, and only for that one it
    /// is kept.
    pub counter_in: Id,
    /// Who holds the lock.
    pub holder: Option<Holder>,
    /// Who waits, in the order of the tickets.
    pub line: Vec<Ticket>,
    /// The processes registered, by seat; 0 if the row is gone.
    pub rows: [Id; SEATS],
    /// The last process id given out.
    pub last_id: Id,
    /// The judge's own account of the leases, by process: granted, and not yet at their end. It does not look at the
    /// rows above, so what they get wrong shows.
    pub leases: Vec<(Id, Age)>,
    /// The judge's own account of the highest token that was ever granted.
    pub highest: Number,
}

/// What the operating system knows about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Life {
    /// It goes on.
    Running,
    /// Stopped by a signal: it keeps what the kernel locked for it.
    Stopped,
    /// Killed: the kernel has freed its locks.
    Dead,
}

/// What the caller in a process believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// It wants nothing.
    Idle,
    /// It waits with this ticket.
    Waiting(Number),
    /// It holds the lock with this ticket and this token. It may be wrong.
    Holding(Number, Number),
    /// It asked for the lock and was told that nobody knows what became of it. It does not want it any more.
    Doubting,
}

/// What may still wake a caller that waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wake {
    /// There is news it has not looked at: a ring, or what the slow poll finds. The two are one here, because the
    /// bell is only a hint.
    pub news: bool,
    /// A timer runs to the end of the holder's lease.
    pub timer: bool,
    /// It has looked, and asks for a transaction that settles.
    pub settling: bool,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Its id in the store.
    pub id: Id,
    /// How it is.
    pub life: Life,
    /// What its caller believes.
    pub caller: Caller,
    /// What may wake its caller.
    pub wake: Wake,
}

impl Process {
    /// Whether its caller waits.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.caller, Caller::Waiting(_))
    }
}

/// A transaction that is open: what it will have done. It alone may change the file, so it can be thought through
/// when it begins; ages go on in it as they do in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// The seat that has the turn.
    pub seat: usize,
    /// The file after the commit.
    pub file: File,
    /// The caller after the commit.
    pub caller: Caller,
    /// Whether the caller should look again after the commit.
    pub look_again: bool,
    /// The promises that the commit breaks.
    pub broken: u16,
    /// What is worth telling of it.
    pub event: Event,
}

/// What is worth telling of the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Nothing.
    None,
    /// A write under an old token was refused.
    ZombieFenced,
    /// The lock went on from a holder that had been killed.
    TakenAfterCrash,
    /// The lock went on from a stopped holder whose lease had ended.
    TakenAfterStop,
    /// The lock went on from a holder that runs, but had been silent for too long.
    TakenAfterSilence,
    /// A ticket of a dead process was passed over.
    DeadWaiterSkipped,
    /// A process came back to find that its ticket had been granted and lost meanwhile.
    TicketLost,
}

/// A state of the model.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The file as it was last committed.
    pub file: File,
    /// The processes, by seat.
    pub processes: [Process; SEATS],
    /// The open transaction; whoever has it has the turn.
    pub open: Option<Open>,
    /// Restarts still to be had.
    pub restarts: u8,
    /// Promises broken by what led here: an end of the road.
    pub broken: u16,
    /// What the step that led here was worth telling.
    pub event: Event,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.file)?;
        for process in &self.processes {
            writeln!(f, "  {process:?}")?;
        }
        writeln!(f, "  open {:?} broken {:#b} {:?}", self.open, self.broken, self.event)
    }
}

/// The lives of processes by their ids: what the presence bytes tell.
#[derive(Clone, Copy, Debug)]
pub struct Presence<'a>(pub &'a [Process; SEATS]);

impl Presence<'_> {
    /// How the process with this id is. One whose seat was taken by another is dead.
    #[must_use]
    pub fn life(&self, id: Id) -> Life {
        self.0.iter().find(|process| process.id == id).map_or(Life::Dead, |process| process.life)
    }

    /// Whether it was not killed.
    #[must_use]
    pub fn lives(&self, id: Id) -> bool {
        self.life(id) != Life::Dead
    }
}

impl File {
    /// Time goes on by a tick.
    #[must_use]
    pub fn older(&self, ttl: Age) -> File {
        let mut file = self.clone();
        if let Some(holder) = &mut file.holder {
            holder.age = holder.age.saturating_add(1).min(ttl);
        }
        for (_, age) in &mut file.leases {
            *age += 1;
        }
        file.leases.retain(|(_, age)| *age < ttl);
        file
    }

    /// Whether the judge knows a lease of this process that has not ended.
    #[must_use]
    pub fn has_lease(&self, process: Id) -> bool {
        self.leases.iter().any(|(id, _)| *id == process)
    }

    /// The ticket of this process, in the line or at its head.
    #[must_use]
    pub fn ticket_of(&self, process: Id) -> Option<Number> {
        let holder = self.holder.filter(|holder| holder.process == process).map(|holder| holder.ticket);
        let waiting = self.line.iter().find(|ticket| ticket.process == process).map(|ticket| ticket.number);
        holder.or(waiting)
    }

    /// Whether this ticket waits or holds the lock.
    #[must_use]
    pub fn knows(&self, ticket: Number) -> bool {
        self.holder.is_some_and(|holder| holder.ticket == ticket)
            || self.line.iter().any(|waiting| waiting.number == ticket)
    }
}

//! The account that everybody uses. Each of its events says which deed it is of, and what it leaves: so it can be seen on which
//! state it was decided.

use millpond::{Aggregate, Decision, Snapshots};
use serde::{Deserialize, Serialize};

/// A task's deed: who, and its number among his.
pub(super) type Id = (u64, u64);

/// The queue that gets a job, and the channel that gets a message, for each letter.
pub(super) const LETTERS: &str = "letters";

/// The state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// Events so far.
    pub(super) version: u64,
    pub(super) cents: u64,
    /// Of all events, in their order.
    pub(super) sum: u64,
}

/// That money has come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) who: u64,
    pub(super) number: u64,
    /// Which of the events of one command.
    pub(super) part: u64,
    pub(super) cents: u64,
    /// What is there then.
    pub(super) left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Happened {
    Deposited(Entry),
    Withdrawn(Entry),
    /// Nobody can bear this one.
    Broken(Entry),
}

impl Happened {
    pub(super) fn entry(&self) -> &Entry {
        match self {
            Happened::Deposited(entry) | Happened::Withdrawn(entry) | Happened::Broken(entry) => entry,
        }
    }

    pub(super) fn entry_mut(&mut self) -> &mut Entry {
        match self {
            Happened::Deposited(entry) | Happened::Withdrawn(entry) | Happened::Broken(entry) => entry,
        }
    }

    /// Its type.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Happened::Deposited(_) => "Deposited",
            Happened::Withdrawn(_) => "Withdrawn",
            Happened::Broken(_) => "Broken",
        }
    }
}

/// A command, and of which deed it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) id: Id,
    pub(super) what: What,
}

/// What an account is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// In so many events, each of so many cents.
    Deposit { cents: u64, parts: u64 },
    /// Refused if there is too little.
    Withdraw { cents: u64 },
    /// A deposit that somebody is written to about.
    Letter { cents: u64 },
    /// Somebody is written to about nothing.
    Remind,
    /// `decide` panics.
    Fall,
    /// `evolve` panics, half way through the events.
    Break,
}

/// What was there when it was too little.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("only {0:?} is there")]
pub(super) struct TooLittle(pub(super) Account);

impl Account {
    /// So much comes or goes, as the deed's event of this number.
    fn entry(&self, (who, number): Id, part: u64, cents: u64, left: u64) -> Entry {
        Entry { who, number, part, cents, left }
    }

    pub(super) fn deposit(&self, id: Id, cents: u64) -> Happened {
        Happened::Deposited(self.entry(id, 0, cents, self.cents + cents))
    }

    pub(super) fn withdraw(&self, id: Id, cents: u64) -> Result<Happened, TooLittle> {
        let left = self.cents.checked_sub(cents).ok_or(TooLittle(*self))?;
        Ok(Happened::Withdrawn(self.entry(id, 0, cents, left)))
    }
}

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Command;
    type Event = Happened;
    type Rejection = TooLittle;

    /// At times, so that after a conflict both ways are gone: only what was written since is read, or everything.
    fn fork(&self) -> Option<Account> {
        self.version.is_multiple_of(2).then_some(*self)
    }

    fn decide(&self, &Command { id, what }: &Command) -> Result<Decision<Account>, TooLittle> {
        let written = |decision: Decision<Account>| decision.push(LETTERS, &id).publish(LETTERS, &id);
        Ok(match what {
            What::Deposit { cents, parts } => {
                let part = |part| self.entry(id, part, cents, self.cents + (part + 1) * cents);
                (0..parts).map(|number| Happened::Deposited(part(number))).collect::<Vec<_>>().into()
            }
            What::Withdraw { cents } => [self.withdraw(id, cents)?].into(),
            What::Letter { cents } => written([self.deposit(id, cents)].into()),
            What::Remind => written(Decision::nothing()),
            What::Fall => fall(),
            What::Break => {
                written([self.deposit(id, 1), Happened::Broken(self.entry(id, 1, 0, self.cents))].into())
            }
        })
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Deposited(entry) => self.cents += entry.cents,
            // One that was decided on another state may leave less than nothing; the judge sees that.
            Happened::Withdrawn(entry) => self.cents = self.cents.saturating_sub(entry.cents),
            Happened::Broken(_) => fall(),
        }
        let Entry { who, number, part, cents, .. } = event.entry();
        self.version += 1;
        self.sum = [who, number, part, cents]
            .iter()
            .fold(self.sum, |sum, word| sum.wrapping_mul(1_000_003).wrapping_add(**word + 1));
    }

    fn snapshots() -> Snapshots<Account> {
        Snapshots::every(10)
    }
}

/// Panics without a word on the terminal: there are thousands of them.
fn fall() -> ! {
    std::panic::resume_unwind(Box::new("on purpose"))
}

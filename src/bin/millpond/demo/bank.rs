//! The bank of the tour: accounts as aggregates, the ledger that a lock guards, and what is written to customers.

use millpond::{Aggregate, Decision};
use serde::{Deserialize, Serialize};

/// The lock that guards the ledger, and the ledger's stream.
pub(super) const LEDGER: &str = "ledger";

/// The queue of statements that are to be written, and the log of those that were.
pub(super) const STATEMENTS: &str = "statements";

/// The channel on which the end of each turn at the ledger is announced.
pub(super) const CLOSINGS: &str = "closings";

/// Entries between the start and the end of a turn at the ledger.
pub(super) const NOTES: u32 = 8;

/// An account: what it holds, and nothing that could be derived from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) cents: u64,
}

/// What can happen to an account. A transfer is two events, one in each account, with its number in both.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Happened {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
    Sent { cents: u64, transfer: u64 },
    Received { cents: u64, transfer: u64 },
}

/// What can be asked of it: the same, if there is enough.
#[derive(Debug)]
pub(super) enum Do {
    Deposit(u64),
    Withdraw(u64),
    Send { cents: u64, transfer: u64 },
    Receive { cents: u64, transfer: u64 },
}

#[derive(Debug, thiserror::Error)]
#[error("only {0} cents are left")]
pub(super) struct TooLittle(pub(super) u64);

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Do;
    type Event = Happened;
    type Rejection = TooLittle;

    fn decide(&self, command: &Do) -> Result<Decision<Account>, TooLittle> {
        let happened = match *command {
            Do::Withdraw(cents) | Do::Send { cents, .. } if cents > self.cents => {
                return Err(TooLittle(self.cents));
            }
            Do::Deposit(cents) => Happened::Deposited { cents },
            Do::Withdraw(cents) => Happened::Withdrawn { cents },
            Do::Send { cents, transfer } => Happened::Sent { cents, transfer },
            Do::Receive { cents, transfer } => Happened::Received { cents, transfer },
        };
        Ok([happened].into())
    }

    fn evolve(&mut self, event: &Happened) {
        match event {
            Happened::Deposited { cents } | Happened::Received { cents, .. } => self.cents += cents,
            Happened::Withdrawn { cents } | Happened::Sent { cents, .. } => self.cents -= cents,
        }
    }
}

/// The id of an account by its number.
pub(super) fn account_id(number: u32) -> String {
    format!("{number:03}")
}

/// A statement for a customer: a job until it is written, and then an entry of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Statement {
    pub(super) account: String,
    /// The account's version that it tells of: there is one statement of each.
    pub(super) version: u64,
}

/// An entry of the ledger: `Started`, `Noted` a few times, `Ended`, all with the token of that turn.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) token: u64,
}

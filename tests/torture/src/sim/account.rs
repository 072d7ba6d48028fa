//! The aggregate of a simulation: an account whose every event has a number, and whose every answer says on which state it
//! rests.

use millpond::{Aggregate, Decision, Snapshots};
use serde::{Deserialize, Serialize};

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) balance: u64,
    /// Events so far: its version.
    pub(super) count: u64,
}

/// What it can be asked for. `n` is the command's number.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Deposit {
        n: u64,
        cents: u64,
    },
    Withdraw {
        n: u64,
        cents: u64,
    },
    /// Falls over.
    Panic,
}

/// What happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Happened {
    Deposited { n: u64, cents: u64 },
    Withdrawn { n: u64, cents: u64 },
}

/// There is not so much in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has less")]
pub(super) struct TooLittle(pub(super) Account);

impl Aggregate for Account {
    const KIND: &'static str = "account";
    type Command = Command;
    type Event = Happened;
    type Rejection = TooLittle;

    #[allow(clippy::panic, reason = "asked for")]
    fn decide(&self, command: &Command) -> Result<Decision<Account>, TooLittle> {
        match *command {
            Command::Deposit { n, cents } => Ok([Happened::Deposited { n, cents }].into()),
            Command::Withdraw { n, cents } if cents <= self.balance => {
                Ok([Happened::Withdrawn { n, cents }].into())
            }
            Command::Withdraw { .. } => Err(TooLittle(self.clone())),
            Command::Panic => panic!("asked for"),
        }
    }

    fn evolve(&mut self, event: &Happened) {
        self.count += 1;
        match event {
            Happened::Deposited { cents, .. } => self.balance += cents,
            Happened::Withdrawn { cents, .. } => self.balance = self.balance.saturating_sub(*cents),
        }
    }

    fn snapshots() -> Snapshots<Account> {
        Snapshots::every(10)
    }
}

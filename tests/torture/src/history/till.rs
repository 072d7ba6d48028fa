//! An aggregate that holds one number: its commands read the state, and their answers tell what they read.

use millpond::{Aggregate, Decision, Snapshots};
use serde::{Deserialize, Serialize};

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Till {
    /// What it holds.
    pub(super) number: u64,
}

/// What it can be asked to do.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Set(u64),
    Swap(u64, u64),
    Ask,
}

/// What can happen to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Happened {
    Holds { number: u64 },
}

/// It holds another number, or was only asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it holds {number}")]
pub(super) struct Other {
    pub(super) number: u64,
}

impl Aggregate for Till {
    const KIND: &'static str = "till";
    type Command = Command;
    type Event = Happened;
    type Rejection = Other;

    fn decide(&self, command: &Command) -> Result<Decision<Till>, Other> {
        match *command {
            Command::Set(number) => Ok([Happened::Holds { number }].into()),
            Command::Swap(from, to) if from == self.number => Ok([Happened::Holds { number: to }].into()),
            Command::Swap(..) | Command::Ask => Err(Other { number: self.number }),
        }
    }

    fn evolve(&mut self, Happened::Holds { number }: &Happened) {
        self.number = *number;
    }

    fn snapshots() -> Snapshots<Till> {
        Snapshots::every(5)
    }
}

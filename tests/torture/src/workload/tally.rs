//! An aggregate whose state can be checked against its events: it counts them.

use millpond::{Aggregate, Decision, Snapshots};
use serde::{Deserialize, Serialize};

/// How often it was counted, and a sum that depends on what was counted and on its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events.
    pub count: u64,
    /// Of their numbers.
    pub sum: u64,
}

/// That somebody has counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Happened {
    /// Who, and their number.
    Counted {
        /// Who.
        who: u64,
        /// Their number.
        number: u64,
    },
}

/// It refuses nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("never")]
pub enum Never {}

impl Tally {
    /// The same state by another way: from the contents of all its events.
    #[must_use]
    pub fn of(contents: impl IntoIterator<Item = String>) -> Tally {
        let mut tally = Tally::default();
        for content in contents {
            let value: Option<serde_json::Value> = serde_json::from_str(&content).ok();
            tally.add(value.and_then(|value| value.get("number")?.as_u64()).unwrap_or(0));
        }
        tally
    }

    fn add(&mut self, number: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_mul(31).wrapping_add(number);
    }
}

impl Aggregate for Tally {
    const KIND: &'static str = "tally";
    type Command = Happened;
    type Event = Happened;
    type Rejection = Never;

    fn decide(&self, command: &Happened) -> Result<Decision<Tally>, Never> {
        Ok(Decision::from([command.clone()]))
    }

    fn evolve(&mut self, Happened::Counted { number, .. }: &Happened) {
        self.add(*number);
    }

    fn snapshots() -> Snapshots<Tally> {
        Snapshots::every(3)
    }
}

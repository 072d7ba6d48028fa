//! What must be true of transfers and accounts.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::child::{Step, Transfer};
use crate::report::kinds;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// There is less money than there was, or a step of a transfer was not done (A3, A7).
        Lost,
        /// There is more money than there was, or a command took effect twice (A3).
        Twice,
        /// An account tells another tale than its transfer.
        Lie,
        /// A transfer did not come to its end.
        Stuck,
        /// A child got an error, or ended by itself.
        Failed,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// What happened to an account: which account, by which command, and how many cents more it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Booking {
    pub(super) account: u64,
    pub(super) command: Option<Uuid>,
    pub(super) cents: i64,
}

/// A transfer, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Tale {
    pub(super) transfer: Transfer,
    /// The commands that were said to be done.
    pub(super) done: Vec<Uuid>,
    pub(super) step: Step,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// What there was in all accounts together.
    pub(super) sum: i64,
    pub(super) bookings: Vec<Booking>,
    pub(super) tales: BTreeMap<String, Tale>,
}

/// Holds all of it against all of it.
pub(super) fn judge(evidence: &Evidence) -> Vec<Violation> {
    let mut violations = Vec::new();
    let sum: i64 = evidence.bookings.iter().map(|booking| booking.cents).sum();
    if sum != evidence.sum {
        let broken = if sum < evidence.sum { Broken::Lost } else { Broken::Twice };
        violations.push((broken, format!("{sum} cents of {}", evidence.sum)));
    }
    let mut by_command: BTreeMap<Uuid, Vec<(u64, i64)>> = BTreeMap::new();
    for Booking { account, command, cents } in &evidence.bookings {
        if let Some(command) = command {
            by_command.entry(*command).or_default().push((*account, *cents));
        }
    }
    let twice = by_command.iter().filter(|(_, effects)| effects.len() > 1);
    violations.extend(twice.map(|(command, effects)| (Broken::Twice, format!("{command}: {effects:?}"))));
    let mut told = BTreeSet::new();
    for (name, Tale { transfer, done, step }) in &evidence.tales {
        let Transfer { from, to, cents } = *transfer;
        let right = match step {
            Step::Done => vec![(from, -cents), (to, cents)],
            Step::Undone => vec![(from, -cents), (from, cents)],
            Step::Refused => vec![],
            step => {
                violations.push((Broken::Stuck, format!("transfer {name} is {step:?}")));
                continue;
            }
        };
        told.extend(done.iter().copied());
        let effects = done.iter().flat_map(|command| by_command.get(command).cloned().unwrap_or_default());
        let effects: Vec<(u64, i64)> = effects.collect();
        if effects.len() < right.len() {
            violations
                .push((Broken::Lost, format!("transfer {name} is {step:?}: {effects:?}, not {right:?}")));
        } else if effects != right {
            violations
                .push((Broken::Lie, format!("transfer {name} is {step:?}: {effects:?}, not {right:?}")));
        }
    }
    let strange = by_command.keys().filter(|command| !told.contains(*command));
    violations.extend(strange.map(|command| (Broken::Lie, format!("nobody has told of command {command}"))));
    violations
}

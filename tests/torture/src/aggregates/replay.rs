//! How the accounts stand by their events: folded here once more, by nobody's code but the judge's.

use std::collections::BTreeMap;

use super::account::{Account, Happened};
use super::evidence::{Evidence, Found};
use super::judge::{Broken, Violation};

/// All accounts by their events.
pub(super) struct Replay<'a> {
    /// Of each account its state at each version, from 0 on.
    states: Vec<Vec<Account>>,
    events: BTreeMap<(u64, u64), &'a Found>,
}

impl Replay<'_> {
    /// Goes through all events. Positions are dense, and versions; and each event leaves what it says, so that it was decided on
    /// the state that it stands on.
    pub(super) fn of<'a>(evidence: &'a Evidence, violations: &mut Vec<Violation>) -> Replay<'a> {
        let mut states = vec![vec![Account::default()]; evidence.accounts as usize];
        let mut events = BTreeMap::new();
        for (position, found) in (1..).zip(&evidence.events) {
            if found.position != position {
                violations.push((Broken::Hole, format!("{found:?} is event {position} of the store")));
            }
            events.insert((found.account, found.version), found);
            let Some(line) = states.get_mut(found.account as usize) else {
                violations.push((Broken::Lie, format!("of no account: {found:?}")));
                continue;
            };
            let before = line.last().copied().unwrap_or_default();
            if found.version != before.version + 1 {
                violations.push((Broken::Hole, format!("{found:?} after version {}", before.version)));
            }
            match after(before, &found.event) {
                Some(after) if after.cents == found.event.entry().left => line.push(after),
                other => {
                    violations.push((Broken::Stale, format!("{found:?} was not decided on {before:?}")));
                    line.push(other.unwrap_or(Account { cents: 0, version: before.version + 1, ..before }));
                }
            }
        }
        Replay { states, events }
    }

    /// How an account stood at this version.
    pub(super) fn at(&self, account: u64, version: u64) -> Option<&Account> {
        self.states.get(account as usize)?.get(version as usize)
    }

    /// How it stands.
    pub(super) fn last(&self, account: u64) -> Option<&Account> {
        self.states.get(account as usize)?.last()
    }

    /// The event of this version.
    pub(super) fn event(&self, account: u64, version: u64) -> Option<&Found> {
        self.events.get(&(account, version)).copied()
    }
}

/// What an event makes of an account; `None` if it cannot.
fn after(before: Account, event: &Happened) -> Option<Account> {
    let cents = match event {
        Happened::Deposited(entry) => before.cents.checked_add(entry.cents)?,
        Happened::Withdrawn(entry) => before.cents.checked_sub(entry.cents)?,
        Happened::Broken(_) => return None,
    };
    let entry = event.entry();
    let mut sum = before.sum;
    for word in [entry.who, entry.number, entry.part, entry.cents] {
        sum = sum.wrapping_mul(1_000_003).wrapping_add(word + 1);
    }
    Some(Account { version: before.version + 1, cents, sum })
}

//! What a task does, by its number: whoever does it or judges it draws the same from it.

use super::account::{Id, What};
use crate::random::Random;

/// What is withdrawn now and then: nobody ever has it.
const PLENTY: u64 = 1 << 40;

/// A deed: one command, or a transfer, or a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A command of this account.
    One(u64, What),
    /// A transfer in two commands, the second of which is given if the first went well.
    Pair { from: u64, to: u64, cents: u64 },
    /// A transfer as a batch of two appends, each of which expects what was seen; and a letter about it.
    Batch { from: u64, to: u64, cents: u64 },
    /// A look at the state of this account.
    Look(u64),
}

/// An event that a deed leads to if it goes well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) account: u64,
    /// Of the deed's first command or of its second.
    pub(super) step: u64,
    pub(super) part: u64,
    pub(super) comes: bool,
    pub(super) cents: u64,
}

impl Deed {
    /// The one of this task and number, where there are so many accounts.
    pub(super) fn of(seed: u64, accounts: u64, (who, number): Id) -> Deed {
        let mut random = Random::new(seed.wrapping_mul(1_000_003) ^ (who << 40) ^ (number << 8));
        let account = random.below(accounts);
        let (kind, cents) = (random.below(100), 1 + random.below(1_000));
        let other = (account + 1 + random.below(accounts.max(2) - 1)) % accounts;
        match kind {
            0..=34 if accounts > 1 && kind < 15 => Deed::Pair { from: account, to: other, cents },
            0..=34 if accounts > 1 => Deed::Batch { from: account, to: other, cents },
            0..=49 => Deed::One(account, What::Deposit { cents, parts: 1 }),
            50..=54 => Deed::One(account, What::Deposit { cents, parts: 2 + random.below(3) }),
            55..=69 => Deed::One(account, What::Withdraw { cents: cents * (1 + random.below(2)) }),
            70..=74 => Deed::One(account, What::Withdraw { cents: PLENTY }),
            75..=76 => Deed::One(account, What::Fall),
            77 => Deed::One(account, What::Break),
            78..=85 => Deed::One(account, What::Letter { cents }),
            86..=89 => Deed::One(account, What::Remind),
            _ => Deed::Look(account),
        }
    }

    /// Its events if all goes well, in their order.
    pub(super) fn expected(self) -> Vec<Expected> {
        let event = |account, step, part, comes, cents| Expected { account, step, part, comes, cents };
        match self {
            Deed::One(account, What::Deposit { cents, parts }) => {
                (0..parts).map(|part| event(account, 0, part, true, cents)).collect()
            }
            Deed::One(account, What::Withdraw { cents }) => vec![event(account, 0, 0, false, cents)],
            Deed::One(account, What::Letter { cents }) => vec![event(account, 0, 0, true, cents)],
            Deed::One(_, What::Remind | What::Fall | What::Break) | Deed::Look(_) => Vec::new(),
            Deed::Pair { from, to, cents } => {
                vec![event(from, 0, 0, false, cents), event(to, 1, 0, true, cents)]
            }
            Deed::Batch { from, to, cents } => {
                vec![event(from, 0, 0, false, cents), event(to, 0, 0, true, cents)]
            }
        }
    }

    /// Whether somebody is written to about it, if it goes well.
    pub(super) fn is_written_about(self) -> bool {
        matches!(self, Deed::One(_, What::Letter { .. } | What::Remind) | Deed::Batch { .. })
    }

    /// Whether its commands have ids: so they are given again, at once, and by whoever comes after a process that was killed.
    /// What has effects and no events can have none.
    pub(super) fn has_ids(self, (who, number): Id) -> bool {
        let may = match self {
            Deed::One(_, what) => what != What::Remind,
            Deed::Pair { .. } => true,
            Deed::Batch { .. } | Deed::Look(_) => false,
        };
        may && (who + number).is_multiple_of(2)
    }

    /// Whether a panic is all that can come of it.
    pub(super) fn falls(self) -> bool {
        matches!(self, Deed::One(_, What::Fall | What::Break))
    }
}

//! What callers were told, and what was found in the end.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::account::{Account, Happened, Id};
use super::spec::Deed;

/// Events of one account that somebody was told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed {
    pub(super) account: u64,
    /// The account's version with them.
    pub(super) version: u64,
    /// Position of the last of them.
    pub(super) position: Option<u64>,
    pub(super) events: Vec<Happened>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is on disk: its events of each account.
    Done(Vec<Placed>),
    /// This account has too little, as it stands.
    Rejected(u64, Account),
    /// Its code has panicked.
    Fell,
    /// This account stands so.
    Saw(u64, Account),
}

/// A command that has come to its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) id: Id,
    /// The deed's first command, or its second.
    pub(super) step: u64,
    pub(super) answer: Answer,
    /// The store says that it had been carried out before.
    pub(super) repeated: bool,
    /// When it was given.
    pub(super) called: u64,
    /// When it was answered.
    pub(super) returned: u64,
}

impl Told {
    /// The events that it tells of.
    pub(super) fn placed(&self) -> &[Placed] {
        if let Answer::Done(placed) = &self.answer { placed } else { &[] }
    }
}

/// An event as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) account: u64,
    pub(super) version: u64,
    pub(super) event: Happened,
}

impl Found {
    /// The deed that it is of.
    pub(super) fn id(&self) -> Id {
        (self.event.entry().who, self.event.entry().number)
    }
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) seed: u64,
    pub(super) accounts: u64,
    /// The deed before which each task ends.
    pub(super) end: u64,
    /// Deeds of each task that have come to their end, or will never.
    pub(super) next: Vec<u64>,
    /// By task in the order in which it was told.
    pub(super) told: Vec<Told>,
    /// What was told of commands that were given again after somebody had been told that they are done.
    pub(super) again: Vec<Told>,
    /// The commands that are done, of those that can be given again.
    pub(super) done: BTreeSet<(Id, u64)>,
    /// Deeds whose process was killed meanwhile, and whose commands are given again.
    pub(super) begun: BTreeSet<Id>,
    /// Deeds whose process was killed meanwhile, if they were begun at all.
    pub(super) unknown: BTreeSet<Id>,
    /// By their positions.
    pub(super) events: Vec<Found>,
    /// The deeds that there are jobs and messages about.
    pub(super) jobs: Vec<Id>,
    /// As `jobs`.
    pub(super) messages: Vec<Id>,
    /// How accounts stand, as the store says after something was done to their snapshots.
    pub(super) states: Vec<(String, u64, Account)>,
}

impl Evidence {
    pub(super) fn deed(&self, id: Id) -> Deed {
        Deed::of(self.seed, self.accounts, id)
    }

    /// Takes in what a task was told.
    pub(super) fn take_in(&mut self, told: Told) {
        let goes_on = told.step == 0
            && matches!((self.deed(told.id), &told.answer), (Deed::Pair { .. }, Answer::Done(_)));
        if !goes_on {
            self.next.iter_mut().skip(told.id.0 as usize).take(1).for_each(|next| *next = told.id.1 + 1);
        }
        let (command, is_done) = ((told.id, told.step), matches!(told.answer, Answer::Done(_)));
        if self.done.contains(&command) {
            self.again.push(told);
            return;
        }
        if is_done && self.deed(told.id).has_ids(told.id) {
            self.done.insert(command);
        }
        self.told.push(told);
    }

    /// These tasks will hear nothing more of what they were at, unless it can be done again.
    pub(super) fn cut(&mut self, tasks: std::ops::Range<u64>) {
        for who in tasks {
            let Some(number) = self.next.get(who as usize).copied().filter(|next| *next < self.end) else {
                continue;
            };
            let id = (who, number);
            if self.deed(id).has_ids(id) {
                self.begun.insert(id);
            } else {
                self.unknown.insert(id);
                self.next.iter_mut().skip(who as usize).take(1).for_each(|next| *next += 1);
            }
        }
    }

    /// The events of each deed, in the order of their positions.
    pub(super) fn events_by_deed(&self) -> BTreeMap<Id, Vec<&Found>> {
        let mut deeds: BTreeMap<Id, Vec<&Found>> = BTreeMap::new();
        for found in &self.events {
            deeds.entry(found.id()).or_default().push(found);
        }
        deeds
    }
}

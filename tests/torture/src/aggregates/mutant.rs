//! Evidence or a store spoilt on purpose: each mutant must be complained of.

use std::collections::BTreeMap;

use super::account::{Account, Happened};
use super::evidence::{Answer, Evidence, Found, Placed, Told};
use super::judge::Broken;

/// A way to spoil the evidence, or the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// What a transfer rests on is looked at before the transaction, and not in it.
    Outside,
    /// Snapshots are wrong, and their checksums right.
    Snapshot,
    /// Commands are given again without their ids.
    Nameless,
    /// An event that somebody was told of is not there.
    Untold,
    /// An event that somebody was told of is another.
    Other,
    /// A version is left out.
    Hole,
    /// A command has its event twice.
    Twice,
    /// Whoever was refused is told that it is done.
    Rejected,
    /// A command that has panicked has an event.
    Panicked,
    /// Half of a batch is there.
    Torn,
    /// Something has come in between the events of one command.
    Apart,
    /// Somebody saw the account as it had been before somebody else was told of an event.
    Stale,
    /// Somebody saw the account as it never was.
    Mistaken,
    /// Whoever has his command on disk is told that it was refused.
    Denied,
    /// Somebody is told of less events than there are of his command.
    Short,
    /// A task's commands are there the other way round.
    Order,
    /// A job is lost.
    Effect,
    /// A message came of a command that was refused.
    Message,
    /// An account has a cent more than its events give it.
    Minted,
    /// A caller is still waiting.
    Unended,
    /// A command that is given again is told of another place than at first.
    Again,
    /// A command is said to have been carried out before it was ever given.
    Early,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 22] = [
        Mutant::Outside,
        Mutant::Snapshot,
        Mutant::Nameless,
        Mutant::Untold,
        Mutant::Other,
        Mutant::Hole,
        Mutant::Twice,
        Mutant::Rejected,
        Mutant::Panicked,
        Mutant::Torn,
        Mutant::Apart,
        Mutant::Stale,
        Mutant::Mistaken,
        Mutant::Denied,
        Mutant::Short,
        Mutant::Order,
        Mutant::Effect,
        Mutant::Message,
        Mutant::Minted,
        Mutant::Unended,
        Mutant::Again,
        Mutant::Early,
    ];

    /// Whether the store itself is another, and the evidence what it is.
    #[must_use]
    pub fn spoils_the_store(self) -> bool {
        matches!(self, Mutant::Outside | Mutant::Snapshot | Mutant::Nameless)
    }

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Outside | Mutant::Stale | Mutant::Mistaken => Broken::Stale,
            Mutant::Snapshot => Broken::State,
            Mutant::Untold | Mutant::Other | Mutant::Rejected => Broken::Lost,
            Mutant::Hole => Broken::Hole,
            Mutant::Twice | Mutant::Nameless | Mutant::Again => Broken::Twice,
            Mutant::Panicked | Mutant::Denied | Mutant::Short | Mutant::Early => Broken::Lie,
            Mutant::Torn | Mutant::Apart => Broken::Torn,
            Mutant::Order => Broken::Order,
            Mutant::Effect | Mutant::Message => Broken::Effect,
            Mutant::Minted => Broken::Sum,
            Mutant::Unended => Broken::Unanswered,
        }
    }

    /// Spoils the evidence; `None` if there is nothing to be spoilt in this way.
    pub(super) fn spoil(self, evidence: &mut Evidence) -> Option<()> {
        match self {
            Mutant::Outside | Mutant::Snapshot | Mutant::Nameless => return None,
            Mutant::Untold => {
                let placed = evidence.told.iter().rev().find_map(|told| told.placed().last())?;
                remove(&mut evidence.events, placed.account, placed.version);
            }
            Mutant::Other => {
                let placed = all_placed(evidence).find(|placed| !placed.events.is_empty())?;
                placed.events.last_mut()?.entry_mut().cents += 1;
            }
            Mutant::Hole => evidence.events.last_mut()?.version += 1,
            Mutant::Twice => {
                let again = evidence.events.last()?;
                let (account, mut event) = (again.account, again.event);
                let cents = event.entry().cents;
                match &mut event {
                    Happened::Deposited(entry) => entry.left += cents,
                    Happened::Withdrawn(entry) | Happened::Broken(entry) => entry.left -= cents,
                }
                append(evidence, account, event);
            }
            Mutant::Rejected => {
                let (told, account, seen) = refused(evidence)?;
                let event = seen.withdraw(told.id, 0).ok()?;
                let (version, position) = (seen.version + 1, Some(1));
                told.answer = Answer::Done(vec![Placed { account, version, position, events: vec![event] }]);
            }
            Mutant::Panicked => {
                let fell = evidence.told.iter().rfind(|told| told.answer == Answer::Fell)?.id;
                let (_, account, state) = evidence.states.last()?;
                let (account, event) = (*account, state.deposit(fell, 1));
                append(evidence, account, event);
            }
            Mutant::Torn => {
                let batch = evidence.told.iter().rfind(|told| told.placed().len() > 1)?;
                let placed = batch.placed().last()?;
                remove(&mut evidence.events, placed.account, placed.version);
            }
            Mutant::Apart => {
                let told = evidence.told.iter().rev().filter_map(|told| told.placed().first());
                let mut commands = told.filter(|placed| placed.events.len() > 1);
                let (last, behind) = commands.find_map(|placed| {
                    let at = |version| at(&evidence.events, placed.account, version);
                    at(placed.version).zip(at(placed.version + 1))
                })?;
                exchange(&mut evidence.events, last, behind)?;
            }
            Mutant::Stale => *last_seen(evidence)? = Account::default(),
            Mutant::Mistaken => last_seen(evidence)?.cents += 1,
            Mutant::Short => {
                let mut all = all_placed(evidence).filter(|placed| placed.events.len() > 1);
                all.next()?.events.remove(0);
            }
            Mutant::Denied => {
                let is_done = |told: &&mut Told| told.placed().iter().any(|placed| !placed.events.is_empty());
                let told = evidence.told.iter_mut().rfind(is_done)?;
                told.answer = Answer::Rejected(told.placed().first()?.account, Account::default());
            }
            Mutant::Order => return swap(evidence),
            Mutant::Effect => {
                evidence.jobs.pop()?;
            }
            Mutant::Message => {
                let id = refused(evidence)?.0.id;
                evidence.messages.push(id);
            }
            Mutant::Minted => evidence.states.last_mut()?.2.cents += 1,
            Mutant::Unended => {
                let id = evidence.told.last()?.id;
                evidence.told.retain(|told| told.id != id);
            }
            Mutant::Again => match &mut evidence.again.last_mut()?.answer {
                Answer::Done(placed) => placed.last_mut()?.version += 1,
                _ => return None,
            },
            Mutant::Early => {
                let begun = &evidence.begun;
                evidence.told.iter_mut().rfind(|told| !begun.contains(&told.id))?.repeated = true;
            }
        }
        Some(())
    }
}

fn at(events: &[Found], account: u64, version: u64) -> Option<usize> {
    events.iter().position(|found| (found.account, found.version) == (account, version))
}

fn remove(events: &mut Vec<Found>, account: u64, version: u64) {
    events.retain(|found| (found.account, found.version) != (account, version));
}

fn append(evidence: &mut Evidence, account: u64, event: Happened) {
    let before = evidence.events.iter().rfind(|found| found.account == account);
    let version = before.map_or(0, |found| found.version) + 1;
    evidence.events.push(Found { position: evidence.events.len() as u64 + 1, account, version, event });
}

/// Two events change their places.
fn exchange(events: &mut [Found], one: usize, other: usize) -> Option<()> {
    let event = events.get(one)?.event;
    let moved = std::mem::replace(&mut events.get_mut(other)?.event, event);
    events.get_mut(one)?.event = moved;
    Some(())
}

/// All that somebody was told to be there, the last first.
fn all_placed(evidence: &mut Evidence) -> impl Iterator<Item = &mut Placed> {
    let answers = evidence.told.iter_mut().rev().map(|told| &mut told.answer);
    answers.filter_map(|answer| if let Answer::Done(placed) = answer { placed.last_mut() } else { None })
}

/// The last that was refused, by which account, and how that stood.
fn refused(evidence: &mut Evidence) -> Option<(&mut Told, u64, Account)> {
    evidence.told.iter_mut().rev().find_map(|told| match told.answer {
        Answer::Rejected(account, seen) => Some((told, account, seen)),
        _ => None,
    })
}

/// What was seen last, of an account that there is.
fn last_seen(evidence: &mut Evidence) -> Option<&mut Account> {
    evidence.told.iter_mut().rev().find_map(|told| match &mut told.answer {
        Answer::Saw(_, seen) if seen.version > 0 => Some(seen),
        _ => None,
    })
}

/// Two commands of one task have each other's places, and it was told so.
fn swap(evidence: &mut Evidence) -> Option<()> {
    let mut last: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    let single = |told: &Told| match told.placed() {
        [placed] if placed.events.len() == 1 => Some((placed.account, placed.version)),
        _ => None,
    };
    let (one, other) = evidence.told.iter().enumerate().find_map(|(index, told)| {
        let (account, _) = single(told)?;
        last.insert((told.id.0, account), index).map(|before| (before, index))
    })?;
    let place = |index: usize| evidence.told.get(index).and_then(single);
    let ((account, first), (_, second)) = (place(one)?, place(other)?);
    let events = [at(&evidence.events, account, first)?, at(&evidence.events, account, second)?];
    exchange(&mut evidence.events, events[0], events[1])?;
    let mut positions = [one, other].map(|index| evidence.told.get(index)?.placed().first().cloned());
    positions.reverse();
    for (index, there) in [one, other].into_iter().zip(positions) {
        let (told, there) = (evidence.told.get_mut(index)?, there?);
        if let Answer::Done(placed) = &mut told.answer {
            let placed = placed.first_mut()?;
            (placed.version, placed.position) = (there.version, there.position);
        }
    }
    Some(())
}

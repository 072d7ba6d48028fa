//! Histories spoilt on purpose: as they would be if the store did what it must not.

use std::collections::BTreeMap;

use super::deed::{Answer, Call};
use super::{Broken, Operation};

/// A mistake of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A stream is read from a cache that does not know its last event.
    Stale,
    /// The state of an aggregate is one that another process has left behind.
    Cached,
    /// An event that was acknowledged is not in the stream.
    Lost,
    /// Two hold a lock.
    Holders,
    /// Two events have one version.
    Twice,
    /// A later grant has the smaller token.
    Back,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 6] =
        [Mutant::Stale, Mutant::Cached, Mutant::Lost, Mutant::Holders, Mutant::Twice, Mutant::Back];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        if self == Mutant::Back { Broken::Token } else { Broken::Order }
    }

    /// Spoils the operations of a round, by name; `false` if there is nothing in them to be spoilt in this way.
    pub(super) fn spoil(self, names: &mut BTreeMap<u64, Vec<Operation>>) -> bool {
        if self == Mutant::Back {
            // The second lock's first grants become those of the first's, and the other way.
            let tokens: Vec<u64> = names.values().flatten().filter_map(granted).collect();
            let (Some(least), Some(most)) = (tokens.iter().min(), tokens.iter().max()) else { return false };
            let swap = |token: &mut u64| match *token {
                other if other == *least => *token = *most,
                other if other == *most => *token = *least,
                _ => {}
            };
            names.values_mut().flatten().for_each(|operation| change_token(operation, swap));
            return least < most;
        }
        names.values_mut().any(|operations| self.spoil_name(operations))
    }

    fn spoil_name(self, operations: &mut [Operation]) -> bool {
        let all = operations.to_vec();
        // What had been answered before `later` was asked for.
        let before = |later: &Operation| {
            let called = later.called;
            all.iter().filter(move |one| one.answer.as_ref().is_some_and(|(_, at)| *at < called))
        };
        let appended =
            |one: &&Operation, content: u64| matches!(one.call, Call::Append(its, _) if its == content);
        match self {
            Mutant::Stale => operations.iter_mut().any(|read| {
                let last = contents(read).and_then(<[u64]>::last);
                if !last.is_some_and(|last| before(read).any(|one| appended(&one, *last))) {
                    return false;
                }
                if let Some((Answer::Contents(told), _)) = &mut read.answer {
                    told.pop();
                }
                true
            }),
            Mutant::Lost => {
                let known =
                    |read: &Operation, content: &u64| before(read).any(|one| appended(&one, *content));
                let lost = all
                    .iter()
                    .find_map(|read| contents(read)?.iter().copied().find(|content| known(read, content)));
                for operation in &mut *operations {
                    if let Some((Answer::Contents(told), _)) = &mut operation.answer {
                        told.retain(|content| Some(*content) != lost);
                    }
                }
                lost.is_some()
            }
            Mutant::Cached => operations.iter_mut().any(|look| {
                if look.call != Call::Look || look.answer.is_none() {
                    return false;
                }
                let set: Vec<&Operation> =
                    before(look).filter(|one| matches!(one.answer, Some((Answer::Done(_), _)))).collect();
                let old = set.iter().find(|one| set.iter().any(|newer| before(newer).any(|it| it == **one)));
                match (old.map(|old| &old.call), &mut look.answer) {
                    (Some(Call::Set(number) | Call::Swap(_, number)), Some((Answer::Value(told), _))) => {
                        *told = *number;
                        true
                    }
                    _ => false,
                }
            }),
            Mutant::Holders => {
                let holds = |grant: &Operation, refused: &Operation| {
                    let released = |token| all.iter().find(|one| one.call == Call::Release(token));
                    let until = granted(grant).and_then(released).map(|release| release.called);
                    let end = refused.answer.as_ref().map(|(_, at)| *at);
                    until.zip(end).is_some_and(|(until, end)| end < until)
                };
                let refused = operations.iter_mut().find(|one| {
                    let is_held = matches!(one.answer, Some((Answer::Held, _)));
                    is_held && before(one).any(|grant| holds(grant, one))
                });
                let Some((answer, _)) = refused.and_then(|one| one.answer.as_mut()) else { return false };
                *answer = Answer::Granted(u64::from(u32::MAX));
                true
            }
            Mutant::Twice => {
                let mut told = operations.iter_mut().filter_map(|one| match &mut one.answer {
                    Some((Answer::Appended(version, _), _)) => Some(version),
                    _ => None,
                });
                let (Some(one), Some(other)) = (told.next(), told.next()) else { return false };
                *other = *one;
                true
            }
            Mutant::Back => false,
        }
    }
}

fn contents(operation: &Operation) -> Option<&[u64]> {
    match &operation.answer {
        Some((Answer::Contents(contents), _)) => Some(contents),
        _ => None,
    }
}

fn granted(operation: &Operation) -> Option<u64> {
    match operation.answer {
        Some((Answer::Granted(token), _)) => Some(token),
        _ => None,
    }
}

fn change_token(operation: &mut Operation, change: impl Fn(&mut u64)) {
    if let Some((Answer::Granted(token), _)) = &mut operation.answer {
        change(token);
    }
    if let Call::Release(token) = &mut operation.call {
        change(token);
    }
}

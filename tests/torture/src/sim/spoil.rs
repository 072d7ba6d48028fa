//! What mutants do to a session and to a reader.

use millpond::{Error, Expected, Result};
use millpond_actors::storage::Data;
use millpond_actors::storage::lock::{Acquired, Leave, Renewed};
use millpond_actors::storage::stream::{Append, Appended, Page};
use millpond_actors::storage::{Operation, Outcome, Session as _};

use super::mutant::Mutant;
use super::storage::Moored;
use super::window::Window;

impl Moored {
    /// Whether this mutant strikes now, once in so many times.
    fn strikes(&self, mutant: Mutant, of: u64) -> bool {
        let mut state = self.state();
        state.mutant == Some(mutant) && state.chance(of)
    }

    /// Whether a group is only said to be committed.
    pub(super) fn owes(&mut self) -> bool {
        let owes = !self.pending.is_empty() && self.strikes(Mutant::Early, 20);
        if owes {
            self.owed = self.pending.drain(..).map(|(operation, _)| operation).collect();
            self.rollback();
        }
        owes
    }

    /// Whether it hides that what was committed last has taken effect.
    pub(super) fn lies(&mut self) -> bool {
        std::mem::take(&mut self.hides) && self.strikes(Mutant::Liar, 1)
    }

    /// What a mutant makes of an operation, if it does anything.
    pub(super) fn spoilt(&mut self, operation: &Operation) -> Option<Result<Outcome>> {
        if let Some(error) = self.fails_silently() {
            return Some(Err(error));
        }
        let spoilt = match operation {
            Operation::LockLeave(_) => {
                if self.strikes(Mutant::Overtaken, 8) {
                    self.overtake();
                }
                return None;
            }
            Operation::StreamAppend(append) => self.spoilt_append(append)?,
            Operation::LockRenew(renew) if self.strikes(Mutant::Refusing, 10) => self
                .with(|session| session.lock_renew(renew))
                .map(|_| Outcome::LockRenew(Renewed { held: false })),
            Operation::LockAcquire(acquire) if self.strikes(Mutant::Recycled, 10) => {
                let acquired = self.with(|session| session.lock_acquire(acquire));
                acquired.map(|mut acquired| {
                    if let Acquired::Granted(grant) = &mut acquired {
                        grant.token = 1;
                    }
                    Outcome::LockAcquire(acquired)
                })
            }
            _ => return None,
        };
        if let Ok(outcome) = &spoilt {
            self.pending.push((operation.clone(), outcome.clone()));
        }
        Some(spoilt)
    }

    /// An error that comes from nowhere; twice, or the redo of the group would mend it.
    fn fails_silently(&mut self) -> Option<Error> {
        let hurts = self.state().mutant == Some(Mutant::Hurting);
        if self.failing_silently == 0
            && (self.strikes(Mutant::Hurting, 100) || self.strikes(Mutant::Vague, 100))
        {
            self.failing_silently = 2;
        }
        self.failing_silently = self.failing_silently.checked_sub(1)?;
        Some(if hurts {
            Error::ActorFailed { what: "somebody else".to_owned() }
        } else {
            Error::Storage { detail: "nothing".to_owned() }
        })
    }

    fn spoilt_append(&mut self, append: &Append) -> Option<Result<Outcome>> {
        if self.strikes(Mutant::Forgotten, 50) {
            let stream = append.stream.name.to_string();
            let state = self.state();
            let count = append.events.len() as u64;
            let (version, position) = (state.truth.version(&stream) + count, state.truth.head() + count);
            let repeated = false;
            return Some(Ok(Outcome::StreamAppend(Appended::Done {
                stream: 1,
                version,
                position,
                repeated,
            })));
        }
        let mut spoilt = append.clone();
        if append.fence.is_some() && self.strikes(Mutant::Unguarded, 1) {
            spoilt.fence = None;
        } else if self.strikes(Mutant::Unexpecting, 1) {
            spoilt.expected = Expected::Any;
        } else if self.strikes(Mutant::Repeated, 50) {
            let id = uuid::Uuid::from_u64_pair(2, self.state().number());
            spoilt.expected = Expected::Any;
            spoilt.events.iter_mut().for_each(|event| event.id = id);
            spoilt.events.truncate(1);
            let first = self.with(|session| session.stream_append(append));
            if matches!(first, Ok(Appended::Done { .. })) {
                let _ = self.with(|session| session.stream_append(&spoilt));
            }
            return Some(first.map(Outcome::StreamAppend));
        } else {
            return None;
        }
        Some(self.with(|session| session.stream_append(&spoilt)).map(Outcome::StreamAppend))
    }

    /// Takes a ticket of this process that waits out of its line, and tells nobody.
    fn overtake(&mut self) {
        let process = self.process();
        let found = self.state().truth.line.waits_before_others(process);
        if let Some((lock, ticket)) = found {
            let _ = self.with(|session| session.lock_leave(&Leave { lock, ticket }));
        }
    }
}

impl Window {
    fn strikes(&self, mutant: Mutant, of: u64) -> bool {
        let mut state = self.shore.ground.state();
        state.mutant == Some(mutant) && state.chance(of)
    }

    /// Whether it sees nothing of what others do.
    pub(super) fn is_deaf(&self) -> bool {
        self.shore.ground.state().mutant == Some(Mutant::Deaf)
    }

    /// What a mutant makes of a page.
    pub(super) fn spoilt(&self, mut page: Page) -> Page {
        if self.strikes(Mutant::Cut, 10) && !page.more {
            page.events.pop();
        }
        if self.strikes(Mutant::Forged, 10) {
            let deposits = page.events.iter_mut().flatten().filter(|event| event.event_type == "Deposited");
            for event in deposits {
                event.data = Data::Json("{\"n\":0,\"cents\":1000}".to_owned());
            }
        }
        page
    }
}

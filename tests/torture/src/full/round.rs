//! A store on a disk that gets full while it is used, and has room again later.

use futures_executor::block_on;
use millpond::{Error, Store, WriteOutcome, WriterState};

use super::{Mutant, Settings};
use crate::Result;
use crate::look::Seen;
use crate::random::Random;
use crate::report::{Broken, Violation};
use crate::workload::told::{deny, forget};
use crate::workload::{Told, Word, Workload};

/// So many writes are tried while the disk is full: more than a writer gives up after.
const TRIES: u64 = 5;

/// Most groups until a disk is full.
const GROUPS: u64 = 400;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) acked: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    pub(super) violations: Vec<Violation>,
}

/// One store and its callers.
pub(super) struct Round<'a> {
    settings: &'a Settings,
    store: &'a Store,
    told: &'a Told,
    workload: Workload<'a>,
    random: Random,
    ran: Ran,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        seed: u64,
        pad: usize,
        store: &'a Store,
        told: &'a Told,
    ) -> Round<'a> {
        let (workload, random) = (Workload::new(told, seed).padded(pad), Random::new(seed));
        Round { settings, store, told, workload, random, ran: Ran::default() }
    }

    /// Its deeds have numbers behind this one.
    pub(super) fn after(self, number: u64) -> Round<'a> {
        Round { workload: self.workload.after(number), ..self }
    }

    /// Something is in the store, and a snapshot.
    pub(super) fn settle_in(&mut self) {
        for _ in 0..3 {
            self.workload.round(self.store);
        }
    }

    /// Writes until it is refused; `false` if it never is.
    pub(super) fn fill(&mut self) -> bool {
        for _ in 0..GROUPS {
            let callers = 1 + self.random.below(3);
            self.workload.group(self.store, callers);
            if self.told.so_far().last().is_some_and(|word| !matches!(word, Word::Acked(_))) {
                return true;
            }
        }
        false
    }

    /// The disk is full: it is said so again and again, and what was acknowledged can be read.
    pub(super) fn endure(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            self.workload.group(self.store, 1);
            self.workload.each(self.store);
            let mut seen = Seen::read(&self.store.blocking())?;
            if self.settings.mutant == Some(Mutant::Blind) {
                seen = Seen::default();
            }
            let words: Vec<Word> = self.told.so_far();
            let named = |(broken, words)| (broken, format!("while it is full: {words}"));
            self.ran.violations.extend(seen.accuse(&words).into_iter().map(named));
        }
        Ok(())
    }

    /// There is room again: the first write through the same handle succeeds, and all goes on.
    pub(super) fn recover(&mut self) -> Result<()> {
        self.workload.group(self.store, 1);
        match self.told.so_far().last() {
            Some(Word::Acked(_)) => {}
            last => self.ran.violations.push((Broken::Wedged, format!("there is room again: {last:?}"))),
        }
        self.workload.settle(self.store)?;
        self.workload.each(self.store);
        self.workload.round(self.store);
        // It may be moving the log at this moment; what it must not have done is to give up.
        let state = self.store.health().writer;
        if matches!(state, WriterState::Poisoned { .. }) {
            self.ran.violations.push((Broken::Wedged, format!("there is room again: {state:?}")));
        }
        Ok(())
    }

    /// Closes the store.
    pub(super) fn end(self) -> Result<Ran> {
        block_on(self.store.close())?;
        Ok(self.ran)
    }
}

/// What callers heard, held against what is there; and that they heard of a full disk and of nothing else.
pub(super) fn judge(settings: &Settings, told: &Told, mut seen: Seen, ran: &mut Ran) {
    let mut words = told.so_far();
    match settings.mutant {
        Some(Mutant::Sure) => deny(&mut words, &Error::StorageFull { detail: "it is not".into() }),
        Some(Mutant::Forgetful) => forget(&mut words, 1),
        Some(Mutant::Vague) => {
            for word in &mut words {
                if let Word::Refused(_, error) = word {
                    *error = Error::Storage { detail: "something".into() };
                }
            }
        }
        Some(Mutant::Blind | Mutant::Sick) | None => {}
    }
    ran.violations.append(&mut seen.violations);
    ran.violations.extend(seen.accuse(&words));
    for word in &words {
        match word {
            Word::Acked(_) => ran.acked += 1,
            Word::Unknown(..) => ran.unknown += 1,
            Word::Refused(_, error) | Word::Failed(error) => {
                ran.refused += 1;
                let is_full = matches!(error, Error::StorageFull { .. });
                if !is_full || error.outcome() != WriteOutcome::NotApplied {
                    ran.violations.push((Broken::Hidden, format!("the disk is full, and it said: {error}")));
                }
            }
            Word::Settled(..) | Word::Granted(_) | Word::Saw(_) => {}
        }
    }
}

//! Logs to which records are appended, some at once.

use std::pin::Pin;

use millpond::{Store, blocking};

use super::part::Part;
use super::told::Told;
use super::{Deed, Mutant, Primitive, Reading, feed};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Some logs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logs;

impl Primitive for Logs {
    fn name(&self) -> &'static str {
        "log"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    /// A record has no id.
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let name = feed::draw(random);
        Box::pin(async move {
            let parts = Part::all(deed);
            let done = store.log::<Part>(&name).append_all(&parts).await;
            told.answer(feed::facts(&Logs, &name, &parts), &done.map(|done| feed::last(&done)));
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for name in feed::names() {
                let log = store.log::<Part>(&name);
                readings.extend(feed::read(&Logs, &name, log.range(..), log.extent().await).await);
            }
            readings
        })
    }

    fn stays(&self) -> bool {
        true
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        feed::check(self, seen)
    }

    fn check_harmed(&self, seen: &Seen) -> Vec<Violation> {
        feed::check_harmed(self, seen)
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &super::Fact) -> Option<&'s Found> {
        seen.find_rest(fact)
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        feed::use_again(&Logs, seen, |name, part| store.log(name).append(part))
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant {
                name: "log-lost",
                breaks: Broken::Lost,
                spoil: |words, seen| feed::lose(&Logs, words, seen),
            },
            Mutant {
                name: "log-hole",
                breaks: Broken::Hole,
                spoil: |words, seen| feed::leave_out(&Logs, words, seen),
            },
            Mutant {
                name: "log-torn",
                breaks: Broken::Torn,
                spoil: |words, seen| feed::tear(&Logs, words, seen),
            },
        ]
    }
}

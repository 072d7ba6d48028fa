//! A semaphore under whose permits some at a time write to a ledger.

use std::pin::Pin;

use millpond::Store;

use super::told::Told;
use super::{Deed, Mutant, Primitive, ledger};
use crate::callers::Caller;
use crate::look::Seen;
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Its permits.
const ROOM: u32 = 3;

/// The semaphore "desk".
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk;

impl Primitive for Desk {
    fn name(&self) -> &'static str {
        "semaphore"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["ledger-desk"]
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let weight = 1 + random.below(2) as u32;
        Box::pin(async move {
            let guard = store.semaphore("desk", ROOM).weight(weight).acquire().await;
            ledger::turn(&Desk, deed, weight, guard, store, told).await;
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        ledger::crowds(&Desk, seen, ROOM.into())
    }

    fn take_all<'s>(&self, store: &'s Store) -> Pin<Box<dyn Future<Output = millpond::Result<bool>> + 's>> {
        Box::pin(async move {
            ledger::give_back(store.semaphore("desk", ROOM).weight(ROOM).try_acquire().await?).await
        })
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[Mutant {
            name: "crowded",
            breaks: Broken::Overlap,
            spoil: |words, seen| ledger::crowd(&Desk, ROOM.into(), words, seen),
        }]
    }
}

//! A lock for readers and writers, all of whom write to a ledger.

use std::pin::Pin;

use millpond::Store;

use super::told::Told;
use super::{Deed, Mutant, Primitive, ledger};
use crate::callers::Caller;
use crate::look::Seen;
use crate::random::Random;
use crate::report::{Broken, Violation};

/// As much as all readers together that there ever are: what a writer takes.
const ROOM: u32 = 1_000;

/// The lock "shelf".
#[derive(Clone, Copy, Debug)]
pub(super) struct Shelf;

impl Primitive for Shelf {
    fn name(&self) -> &'static str {
        "rw_lock"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["ledger-shelf"]
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let writes = random.below(2) == 0;
        Box::pin(async move {
            let lock = store.rw_lock("shelf");
            let guard = if writes { lock.write().await } else { lock.read().await };
            ledger::turn(&Shelf, deed, if writes { ROOM } else { 1 }, guard, store, told).await;
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        ledger::crowds(&Shelf, seen, ROOM.into())
    }

    fn take_all<'s>(&self, store: &'s Store) -> Pin<Box<dyn Future<Output = millpond::Result<bool>> + 's>> {
        Box::pin(async move { ledger::give_back(store.rw_lock("shelf").try_write().await?).await })
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[Mutant {
            name: "mixed",
            breaks: Broken::Overlap,
            spoil: |words, seen| ledger::crowd(&Shelf, ROOM.into(), words, seen),
        }]
    }
}

//! A lock under which one at a time writes to a ledger.

use std::pin::Pin;

use millpond::{Store, blocking};

use super::told::Told;
use super::{Deed, Mutant, Primitive, ledger};
use crate::Result;
use crate::callers::Caller;
use crate::look::Seen;
use crate::random::Random;
use crate::report::{Broken, Violation};

/// The lock "till".
#[derive(Clone, Copy, Debug)]
pub(super) struct Till;

impl Primitive for Till {
    fn name(&self) -> &'static str {
        "lock"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["ledger-till"]
    }

    fn ask<'s>(&self, deed: Deed, _: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        Box::pin(async move {
            let guard = store.lock("till").acquire().await;
            ledger::turn(&Till, deed, 1, guard, store, told).await;
        })
    }

    fn check(&self, seen: &Seen) -> Vec<Violation> {
        ledger::crowds(&Till, seen, 1).into_iter().chain(ledger::disorder(&Till, seen)).collect()
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        let guard = store.lock("till").acquire()?;
        seen.token = Some(guard.token());
        Ok(guard.release()?)
    }

    fn take_all<'s>(&self, store: &'s Store) -> Pin<Box<dyn Future<Output = millpond::Result<bool>> + 's>> {
        Box::pin(async move { ledger::give_back(store.lock("till").try_acquire().await?).await })
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[Mutant {
            name: "overlap",
            breaks: Broken::Overlap,
            spoil: |words, seen| ledger::crowd(&Till, 1, words, seen),
        }]
    }
}

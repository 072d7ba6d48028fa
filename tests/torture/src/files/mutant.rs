//! What is done wrong on purpose, and must be noticed.

use std::time::Duration;

use super::judge::Broken;
use super::look::Seen;
use super::original::{Original, Read};
use crate::within::within;

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Checksums are not looked at: a damaged record is given out.
    Blind,
    /// A damaged record is left out, and nobody is told.
    Silent,
    /// What cannot be opened is written to.
    Touched,
    /// What is damaged is said in words that name nothing.
    Vague,
    /// Damage makes it panic.
    Fragile,
    /// A state is returned that never was.
    Forged,
    /// A call waits for ever.
    Stuck,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 7] = [
        Mutant::Blind,
        Mutant::Silent,
        Mutant::Touched,
        Mutant::Vague,
        Mutant::Fragile,
        Mutant::Forged,
        Mutant::Stuck,
    ];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        match self {
            Mutant::Blind | Mutant::Forged => Broken::Wrong,
            Mutant::Silent => Broken::Short,
            Mutant::Touched => Broken::Touched,
            Mutant::Vague => Broken::Untyped,
            Mutant::Fragile => Broken::Panicked,
            Mutant::Stuck => Broken::Hung,
        }
    }

    /// Spoils what was seen.
    pub(super) fn spoil(self, seen: &mut Seen, original: &Original) {
        match self {
            Mutant::Blind => {
                for found in damaged(seen) {
                    if let Some(event) = original.events.first() {
                        let mut event: Read = event.clone();
                        event.body.content = event.body.content.map(|content| content.replace('1', "0"));
                        *found = Ok(event);
                    }
                }
            }
            Mutant::Silent => {
                seen.readings.iter_mut().for_each(|reading| reading.found.retain(Result::is_ok));
            }
            Mutant::Touched => {}
            Mutant::Vague => {
                for found in damaged(seen) {
                    *found = Err(millpond::Error::Storage { detail: "something is wrong".into() });
                }
            }
            Mutant::Fragile => seen.panics += 1,
            Mutant::Forged => {
                for found in seen.rest.iter_mut().filter_map(|(_, (_, read))| read.as_mut().ok()?.as_mut()) {
                    found.version += 1_000;
                }
            }
            Mutant::Stuck => {
                let never = within(Duration::from_millis(1), std::future::pending::<()>());
                seen.hung = never.is_none().then(|| "on purpose".to_owned());
            }
        }
    }
}

/// Records that were said to be damaged.
fn damaged(seen: &mut Seen) -> impl Iterator<Item = &mut Result<Read, millpond::Error>> {
    seen.readings.iter_mut().flat_map(|reading| &mut reading.found).filter(|found| found.is_err())
}

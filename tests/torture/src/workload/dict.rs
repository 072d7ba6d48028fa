//! Dicts into which values are put, some at once.
//!
//! Each value has a key of its own, and nothing is removed; so the versions of the entries are in a row as the sequences of a feed
//! are, and what must be true of a feed must be true of them. A field of theirs is indexed, sooner or later, and by that they are read.

use std::pin::Pin;

use millpond::{Put, Store, blocking, field};

use super::part::Part;
use super::told::Told;
use super::{Deed, Mutant, Primitive, Reading, feed};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Some dicts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dicts;

/// What is indexed of the values, at some time or other; all of them have it.
const FIELD: &str = "number";

fn key(part: &Part) -> String {
    format!("{}/{}/{}", part.who, part.number, part.part)
}

impl Primitive for Dicts {
    fn name(&self) -> &'static str {
        "dict"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    /// What is there already is a conflict.
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let (name, indexes) = (feed::draw(random), random.below(8) == 0);
        Box::pin(async move {
            let (parts, dict) = (Part::all(deed), store.dict::<Part>(&name));
            let put = async {
                if indexes {
                    dict.index([FIELD]).await?;
                }
                let mut batch = store.batch();
                let mut last = None;
                for part in &parts {
                    last = Some(batch.set_with(&dict, key(part), part, Put::new().absent())?);
                }
                let written = batch.commit().await?;
                Ok(last.and_then(|last| written.get(last).copied()).map(|version| (version, version)))
            };
            told.answer(feed::facts(&Dicts, &name, &parts), &put.await);
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for name in feed::names() {
                let stream = feed::stream(&Dicts, &name);
                // By an index, if it is complete: what it does not lead to is missing.
                let entries = store.dict::<Part>(&name).entries("");
                let (mut entries, mut found) = (entries.matching(field(FIELD).at_least(0)), Vec::new());
                while let Some(entry) = entries.next().await {
                    match entry {
                        Ok(entry) => found.push((entry.version(), entry.into_value())),
                        Err(error) => readings.push((format!("an entry of {stream}"), Err(error))),
                    }
                }
                found.sort_by_key(|(version, _)| *version);
                let shown = found.into_iter().map(|(version, part)| {
                    let what = format!("entry {} of {stream}", key(&part));
                    (what, Ok(Some(part.found(&stream, version))))
                });
                readings.extend(shown);
                let heads = store.inspect().dicts(None, 99).await;
                let version =
                    heads.map(|heads| heads.iter().find(|head| head.name == name).map(|head| head.version));
                let stands = version.map(|version| Some(feed::extent(&stream, 1, version.unwrap_or(0))));
                readings.push((format!("extent of {stream}"), stands));
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

    /// Nothing tells which keys there should be, if a tree has lost some.
    fn check_harmed(&self, _: &Seen) -> Vec<Violation> {
        Vec::new()
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &super::Fact) -> Option<&'s Found> {
        seen.find_rest(fact)
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        feed::use_again(&Dicts, seen, |name, part| store.dict(name).set(key(part), part))
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant {
                name: "dict-lost",
                breaks: Broken::Lost,
                spoil: |words, seen| feed::lose(&Dicts, words, seen),
            },
            Mutant {
                name: "dict-hole",
                breaks: Broken::Hole,
                spoil: |words, seen| feed::leave_out(&Dicts, words, seen),
            },
            Mutant {
                name: "dict-torn",
                breaks: Broken::Torn,
                spoil: |words, seen| feed::tear(&Dicts, words, seen),
            },
        ]
    }
}

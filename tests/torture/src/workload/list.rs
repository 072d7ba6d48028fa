//! Lists to which items are pushed, some at once, at either end.
//!
//! Nothing is taken; so the versions of the items are in a row as the sequences of a feed are, and what must be true of a feed must be
//! true of them. That they are found at all is up to the tree of their order.

use std::pin::Pin;

use millpond::{ListEnd, Store, blocking};

use super::part::Part;
use super::told::Told;
use super::{Deed, Mutant, Primitive, Reading, feed};
use crate::Result;
use crate::callers::Caller;
use crate::look::{Found, Seen};
use crate::random::Random;
use crate::report::{Broken, Violation};

/// Some lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists;

impl Primitive for Lists {
    fn name(&self) -> &'static str {
        "list"
    }

    fn streams(&self) -> &'static [&'static str] {
        &[]
    }

    /// An item has no id.
    fn is_idempotent(&self, _: u64) -> bool {
        false
    }

    fn ask<'s>(&self, deed: Deed, random: &mut Random, store: &'s Store, told: &'s Told) -> Caller<'s> {
        let name = feed::draw(random);
        let end = if random.below(2) == 0 { ListEnd::Front } else { ListEnd::Back };
        Box::pin(async move {
            let parts = Part::all(deed);
            let count = store.list::<Part>(&name).push_all(end, &parts).await;
            // Nothing is taken: there are as many as there are versions.
            told.answer(feed::facts(&Lists, &name, &parts), &count.map(|count| Some((count, count))));
        })
    }

    fn read<'s>(&self, store: &'s Store, _: &'s [Found]) -> Pin<Box<dyn Future<Output = Vec<Reading>> + 's>> {
        Box::pin(async move {
            let mut readings = Vec::new();
            for name in feed::names() {
                let stream = feed::stream(&Lists, &name);
                let (mut items, mut found) = (store.list::<Part>(&name).items(..), Vec::new());
                let said = readings.len();
                while let Some(item) = items.next().await {
                    match item {
                        Ok(item) => found.push((item.version(), item.into_value())),
                        Err(error) => readings.push((format!("an item of {stream}"), Err(error))),
                    }
                }
                if readings.len() > said {
                    // Their order is not that of their versions, so what was read says nothing of what was not.
                    found.clear();
                }
                found.sort_by_key(|(version, _)| *version);
                let shown = found.into_iter().map(|(version, part)| {
                    let what = format!("item {version} of {stream}");
                    (what, Ok(Some(part.found(&stream, version))))
                });
                readings.extend(shown);
                let heads = store.inspect().lists(None, 99).await;
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

    fn check_harmed(&self, seen: &Seen) -> Vec<Violation> {
        feed::check_harmed(self, seen)
    }

    fn find<'s>(&self, seen: &'s Seen, fact: &super::Fact) -> Option<&'s Found> {
        seen.find_rest(fact)
    }

    fn use_again(&self, store: &blocking::Store, seen: &mut Seen) -> Result<()> {
        feed::use_again(&Lists, seen, |name, part| store.list(name).push_back(part))
    }

    fn mutants(&self) -> &'static [Mutant] {
        &[
            Mutant {
                name: "list-lost",
                breaks: Broken::Lost,
                spoil: |words, seen| feed::lose(&Lists, words, seen),
            },
            Mutant {
                name: "list-hole",
                breaks: Broken::Hole,
                spoil: |words, seen| feed::leave_out(&Lists, words, seen),
            },
            Mutant {
                name: "list-torn",
                breaks: Broken::Torn,
                spoil: |words, seen| feed::tear(&Lists, words, seen),
            },
        ]
    }
}

//! What jobs, records and messages carry here: values that are written some at once, and each tells what else was.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::events::id;
use super::told::Fact;
use super::{Deed, Primitive};
use crate::look::Found;
use crate::report::{Broken, Violation};

/// One of the values that a deed writes at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) who: u64,
    pub(super) number: u64,
    /// Which of them it is, from 0 on.
    pub(super) part: u64,
    /// How many they are.
    pub(super) of: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) pad: String,
}

impl Part {
    /// So many at once.
    pub(super) fn some(Deed { who, number, pad }: Deed, of: u64) -> Vec<Part> {
        (0..of).map(|part| Part { who, number, part, of, pad: "x".repeat(pad) }).collect()
    }

    /// All of a deed: how many they are is drawn from its numbers.
    pub(super) fn all(deed: Deed) -> Vec<Part> {
        Part::some(deed, 1 + (deed.number + deed.who) % 3)
    }

    pub(super) fn id(&self) -> Uuid {
        id(self.who, self.number, self.part)
    }

    /// What is in it; of what fills it up only how much that is.
    pub(super) fn content(&self) -> String {
        let Part { who, number, part, of, pad } = self;
        let pad = pad.len();
        format!(r#"{{"who":{who},"number":{number},"part":{part},"of":{of},"bytes":{pad}}}"#)
    }

    /// It, as somebody is told about it.
    pub(super) fn fact(&self, of: &dyn Primitive, stream: &str) -> Fact {
        Fact::new(of, self.id(), stream, self.content())
    }

    /// It, as it is found in a place.
    pub(super) fn found(&self, stream: &str, place: u64) -> Found {
        Found {
            position: place,
            stream: stream.to_owned(),
            version: place,
            id: self.id(),
            event_type: PART.into(),
            content: self.content(),
            state: String::new(),
        }
    }

    /// The part that stands behind it, of those that were written at once.
    fn is_before(&self, next: &Part) -> bool {
        (self.who, self.number, self.of, self.part + 1) == (next.who, next.number, next.of, next.part)
    }
}

/// What is found of a part says so.
pub(super) const PART: &str = "part";

/// The part that was found.
fn part_of(found: &Found) -> Option<Part> {
    serde_json::from_str(&found.content).ok()
}

/// What was found of parts in one stream, in its order: places are dense and begin at 1, nothing is there twice, and
/// what was written at once stands side by side, or is not there.
pub(super) fn check(found: &[&Found]) -> Vec<Violation> {
    let mut violations = dense(found);
    if let Some(first) = found.first().filter(|first| first.version != 1) {
        violations.push((Broken::Hole, format!("it is the first: {first:?}")));
    }
    let mut ids = HashSet::new();
    let again = found.iter().filter(|found| !ids.insert(found.id));
    violations.extend(again.map(|found| (Broken::Twice, format!("{found:?}"))));
    let parts: Vec<Option<Part>> = found.iter().map(|found| part_of(found)).collect();
    let whole = |at: usize, part: &Part| {
        let next = parts.get(at + 1).and_then(Option::as_ref);
        let before = at.checked_sub(1).and_then(|before| parts.get(before)?.as_ref());
        let begins = part.part == 0 || before.is_some_and(|before| before.is_before(part));
        let goes_on = part.part + 1 == part.of || next.is_some_and(|next| part.is_before(next));
        begins && goes_on
    };
    let torn = found.iter().zip(&parts).enumerate().find(|(at, (_, part))| {
        // One that nobody can read has come from nobody.
        part.as_ref().is_none_or(|part| !whole(*at, part))
    });
    violations.extend(torn.map(|(_, (found, _))| (Broken::Torn, format!("{found:?} stands alone"))));
    violations
}

/// Each has the place behind the one before.
pub(super) fn dense(found: &[&Found]) -> Vec<Violation> {
    let gap = |pair: &[&Found]| {
        let [before, found] = pair else { return None };
        let words = || format!("{found:?} stands behind {}", before.version);
        (found.version != before.version + 1).then(|| (Broken::Hole, words()))
    };
    found.windows(2).filter_map(gap).collect()
}

/// Where the last part stands of a deed that had several.
pub(super) fn last_of_many(found: &[Found]) -> Option<usize> {
    found.iter().rposition(|found| part_of(found).is_some_and(|part| part.of > 1 && part.part + 1 == part.of))
}

/// Where the parts stand that were written at once with this one.
pub(super) fn together(found: &[Found], one: &Found) -> Vec<usize> {
    let call = |found: &Found| part_of(found).map(|part| (part.who, part.number));
    let is_with = |it: &Found| it.stream == one.stream && it.event_type == PART && call(it) == call(one);
    (0..).zip(found).filter(|(_, found)| is_with(found)).map(|(at, _)| at).collect()
}

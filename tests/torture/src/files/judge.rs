//! What must be true of whatever is read from files that have been harmed: it is what was written, or an error.

use std::collections::HashMap;

use millpond::Error;

use super::look::{Reading, Seen, Way};
use super::original::{Original, Read};
use crate::look::{self, Found};
use crate::report::kinds;
use crate::workload::ALL;

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// Something else than what was written was returned as if it were right.
        Wrong,
        /// Events are missing, there twice or in another order, or a number is another, and nobody says so.
        Short,
        /// A file that was refused is another one now.
        Touched,
        /// An error does not say what is damaged.
        Untyped,
        /// Something panicked.
        Panicked,
        /// A call did not come to an end.
        Hung,
    }
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// What was found in one store.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What was broken.
    pub(super) violations: Vec<Violation>,
    /// Records that were said to be damaged, in the readings of all.
    pub(super) corrupt: u64,
    /// Events whose position, id, times or metadata are not what was written. No checksum covers these.
    pub(super) others: u64,
    /// What is looked for by its name is not found, or by its category not whole: an index has lost it. Nothing tells how
    /// many there should be.
    pub(super) unseen: u64,
}

/// Judges what was seen; `cut` if an end of the log may be missing.
#[must_use]
pub(super) fn judge(original: &Original, seen: &Seen, cut: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let mut break_it = |broken, words: String| verdict.violations.push((broken, words));
    if seen.panics > 0 {
        break_it(Broken::Panicked, format!("{} panics", seen.panics));
    }
    if let Some(call) = &seen.hung {
        break_it(Broken::Hung, call.clone());
    }
    if let Some(error @ Error::Storage { .. }) = &seen.refused {
        break_it(Broken::Untyped, error.to_string());
    }
    let last = original.ends.last().copied().unwrap_or(0);
    let end = match &seen.head {
        Some(Ok(head)) if *head == last || (cut && original.ends.contains(head)) => *head,
        Some(Ok(head)) => {
            break_it(Broken::Short, format!("the head is {head} of {last}"));
            last
        }
        Some(Err(_)) | None => last,
    };
    let by_place: HashMap<(&str, u64), &Read> = original
        .events
        .iter()
        .map(|event| ((event.body.stream.as_str(), event.body.version), event))
        .collect();
    for reading in &seen.readings {
        judge_reading(original, reading, (end, cut), &by_place, &mut verdict);
    }
    for (stream, version) in &seen.versions {
        let right = original.up_to(end).filter(|event| event.body.stream == *stream).count() as u64;
        if *version == Ok(0) {
            verdict.unseen += u64::from(right > 0);
        } else if version.as_ref().is_ok_and(|version| *version != right) {
            verdict.violations.push((Broken::Short, format!("{stream} has version {version:?} of {right}")));
        }
    }
    judge_rest(original, seen, end, &mut verdict);
    verdict
}

/// Whatever else was read is what could once be read, however it stood, and fits together as far as nothing is missing
/// that was said to be.
fn judge_rest(original: &Original, seen: &Seen, end: u64, verdict: &mut Verdict) {
    let mut whole = look::Seen::of(original.up_to(end).map(Found::from).collect());
    for (primitive, (what, read)) in &seen.rest {
        match read {
            Ok(None) => verdict.unseen += 1,
            Ok(Some(found)) => {
                let is_it = |ever: &Found| ever.whatever_its_state() == found.whatever_its_state();
                if !original.rest.get(what).is_some_and(|ever| ever.iter().any(is_it)) {
                    verdict.violations.push((Broken::Wrong, format!("{what} was never {found:?}")));
                }
                whole.rest.entry(primitive).or_default().push(found.clone());
            }
            Err(_) => {}
        }
    }
    let is_whole = |name: &str| !seen.rest.iter().any(|(of, (_, read))| *of == name && read.is_err());
    let checked = ALL.iter().filter(|primitive| is_whole(primitive.name()));
    let wrong = checked.flat_map(|primitive| primitive.check_harmed(&whole));
    verdict.violations.extend(wrong.map(|(_, words)| (Broken::Wrong, words)));
}

fn judge_reading(
    original: &Original,
    reading: &Reading,
    (end, cut): (u64, bool),
    by_place: &HashMap<(&str, u64), &Read>,
    verdict: &mut Verdict,
) {
    let Reading { way, backward, found } = reading;
    let name = format!("{way:?}{}", if *backward { " backward" } else { "" });
    for found in found {
        match found {
            Ok(event) => match by_place.get(&(event.body.stream.as_str(), event.body.version)) {
                Some(right) if right.body == event.body && way.has(event) => {
                    verdict.others += u64::from(right.rest != event.rest);
                }
                // The deletion may have been cut off.
                Some(_) if cut && original.once_said(event) => {}
                right => {
                    let words =
                        format!("{name}: {:.200} is not {:.200}", format!("{event:?}"), format!("{right:?}"));
                    verdict.violations.push((Broken::Wrong, words));
                }
            },
            Err(Error::Corrupt { .. }) => verdict.corrupt += u64::from(*way == Way::All && !backward),
            Err(other) => verdict.violations.push((Broken::Untyped, format!("{name}: {other:?}"))),
        }
    }
    if found.iter().any(Result::is_err) {
        return;
    }
    let mut right: Vec<_> = original.up_to(end).filter(|event| way.has(event)).collect();
    if *backward {
        right.reverse();
    }
    let is_right = right.len() == found.len()
        && found.iter().zip(&right).all(|(found, right)| {
            found.as_ref().is_ok_and(|found| {
                (&found.body.stream, found.body.version) == (&right.body.stream, right.body.version)
            })
        });
    match way {
        _ if is_right => {}
        Way::Category(_) => verdict.unseen += 1,
        Way::Stream(_) if found.is_empty() => verdict.unseen += 1,
        Way::All | Way::Stream(_) => {
            let words = format!("{name}: {} of {} in their order", found.len(), right.len());
            verdict.violations.push((Broken::Short, words));
        }
    }
}

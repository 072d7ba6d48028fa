//! Whether the positions are one order that explains every read.
//!
//! The idea is Elle's (Kingsbury and Alvaro, "Elle: inferring isolation anomalies from experimental observations", 2020),
//! for transactions that append to lists: a list that is read tells which writes came before the read and in which
//! order, and what is not in it came after. Elle has to guess the order of the writes from what was read; here the store
//! says it, by the positions. So no cycles are searched for: every dependency (write before write, write before read,
//! read before write, and what was answered before something else was asked for) has to point forward in that one
//! order. For a read this means that there is a place between two transactions where it can have looked.

use std::collections::HashMap;

use super::deed::{Scope, Shown, Write, stream_of};
use crate::look::Found;
use crate::real_time::{Span, late};
use crate::report::{Broken, Violation};

/// A write, and when it was asked for and answered.
#[derive(Clone, Debug)]
pub struct Written {
    /// What was written.
    pub write: Write,
    /// When it was asked for.
    pub called: u64,
    /// When it was answered; `None` if its process was killed before.
    pub returned: Option<u64>,
}

/// A read.
#[derive(Clone, Debug)]
pub struct Read {
    /// When it was asked for.
    pub called: u64,
    /// When it was answered.
    pub returned: u64,
    /// Of what.
    pub scope: Scope,
    /// What was shown.
    pub shown: Shown,
}

/// The first and the last position of a write.
type Place = (u64, u64);

/// Compares what was done with what there is at the end, in the order of its positions.
#[must_use]
pub fn judge(found: &[Found], written: &[Written], reads: &[Read]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let (spans, wholes) = place(found, written, &mut violations);
    let mut spans: Vec<(Span, String)> =
        spans.into_iter().map(|(span, at)| (span, format!("{:?}", written.get(at)))).collect();
    let mut lists: HashMap<&str, Vec<&Found>> = HashMap::new();
    for found in found {
        lists.entry(&found.stream).or_default().push(found);
    }
    for read in reads {
        // A state is that of one list from its beginning; no other one need be looked through.
        let list = match &read.scope {
            Scope::State(tally) => lists.get(&*stream_of(*tally)).map_or(&[][..], Vec::as_slice),
            _ => &[],
        };
        match look(read, found, list, &wholes) {
            Ok(span) => spans.push((span, format!("{read:?}"))),
            Err(violation) => violations.push(violation),
        }
    }
    let only: Vec<Span> = spans.iter().map(|(span, _)| *span).collect();
    for (at, known) in late(&only, false) {
        let words = spans.get(at).map(|(span, words)| format!("{words} as {span:?} came after {known}"));
        violations.push((Broken::Order, words.unwrap_or_default()));
    }
    violations
}

/// Where the writes are: whole or not at all, one behind the other. The numbers of writes are twice their last
/// positions, so that a read can have one in between. Also the place of the write to which each position belongs.
fn place(
    found: &[Found],
    written: &[Written],
    violations: &mut Vec<Violation>,
) -> (Vec<(Span, usize)>, Vec<Place>) {
    let by_content: HashMap<(&str, &str), u64> =
        found.iter().map(|found| ((&*found.stream, &*found.content), found.position)).collect();
    let mut wholes = vec![(0, 0); found.len()];
    let mut spans = Vec::new();
    for (number, written) in written.iter().enumerate() {
        let parts = written.write.parts();
        let places: Vec<Option<u64>> =
            parts.iter().map(|(stream, content)| by_content.get(&(&**stream, &**content)).copied()).collect();
        let Some(Some(first)) = places.first().copied() else {
            if written.returned.is_some() {
                violations.push((Broken::Lost, format!("gone: {written:?}")));
            } else if places.iter().any(Option::is_some) {
                violations.push((Broken::Torn, format!("{written:?} is at {places:?}")));
            }
            continue;
        };
        let last = first + parts.len() as u64 - 1;
        if !places.iter().copied().eq((first..=last).map(Some)) {
            violations.push((Broken::Torn, format!("{written:?} is at {places:?}")));
            continue;
        }
        for whole in wholes.iter_mut().skip(first as usize - 1).take(parts.len()) {
            *whole = (first, last);
        }
        spans.push((Span::at(written.called, written.returned, 2 * last), number));
    }
    let nobodys = wholes.iter().position(|whole| *whole == (0, 0)).and_then(|at| found.get(at));
    if let Some(nobodys) = nobodys.filter(|_| violations.is_empty()) {
        violations.push((Broken::Lost, format!("nobody's: {nobodys:?}")));
    }
    (spans, wholes)
}

/// Between which two writes a read can have looked.
fn look(read: &Read, found: &[Found], list: &[&Found], wholes: &[Place]) -> Result<Span, Violation> {
    let is_in = |found: &&Found| read.scope.holds(&found.stream);
    let shown: Vec<&Found> = match &read.shown {
        Shown::Count(count) => list.iter().copied().take(*count as usize).collect(),
        Shown::Tail(tail) => {
            let mut shown = Vec::new();
            for (position, stream, version) in tail {
                match found.get((*position as usize).saturating_sub(1)) {
                    Some(found) if (&found.stream, found.version) == (stream, *version) => shown.push(found),
                    other => {
                        return Err((Broken::Order, format!("{read:?} has {position}, which is {other:?}")));
                    }
                }
            }
            shown
        }
    };
    if matches!(read.shown, Shown::Count(count) if count > shown.len() as u64) {
        return Err((Broken::Lost, format!("{read:?}: there are only {}", shown.len())));
    }
    let newest = shown.last().map_or(0, |found| found.position);
    // What a tail leaves out before its first event is taken to be known.
    let from = match read.shown {
        Shown::Tail(_) => shown.first().map_or(1, |found| found.position),
        Shown::Count(_) => 1,
    };
    let hidden = match read.shown {
        Shown::Count(count) => list.get(count as usize).copied(),
        Shown::Tail(_) => {
            let behind = found.iter().skip(from as usize - 1).filter(is_in);
            let mut behind = behind.zip(shown.iter().map(Some).chain(std::iter::repeat(None)));
            let hidden = behind.find(|(there, shown)| shown.is_none_or(|shown| shown != there));
            hidden.map(|(there, _)| there)
        }
    };
    let hidden = hidden.map_or(found.len() as u64 + 1, |there| there.position);
    // Whoever saw the last of a write in its lists saw all of it, wherever the rest is.
    let whole = |position: u64| wholes.get((position as usize).checked_sub(1)?).copied();
    let (_, newest) = whole(newest).unwrap_or((0, newest));
    let (hidden, _) = whole(hidden).filter(|whole| *whole != (0, 0)).unwrap_or((hidden, hidden));
    if newest >= hidden {
        let words = format!("{read:?} saw up to {newest}, and not what is at {hidden}");
        return Err((Broken::Order, words));
    }
    Ok(Span {
        called: read.called,
        returned: Some(read.returned),
        least: 2 * newest + 1,
        most: 2 * hidden - 1,
    })
}

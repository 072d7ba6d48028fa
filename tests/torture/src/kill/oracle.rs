//! What must be true of a store after any kills, given what was acknowledged.

use std::collections::{BTreeMap, HashMap, HashSet};

use millpond::blocking::Store;
use uuid::Uuid;

use super::child::{self, Call, ENTER, LEAVE, LEDGER};
use crate::Result;

/// An acknowledged event: which it is, and where it was said to be, if that was said.
#[derive(Clone, Debug)]
pub struct Acked {
    /// Its id.
    pub id: Uuid,
    /// Its stream.
    pub stream: String,
    /// Its content.
    pub content: String,
    /// Version and position.
    pub place: Option<(u64, u64)>,
}

/// An event that was found in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the store.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its place in it.
    pub version: u64,
    /// Its id.
    pub id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Its content.
    pub content: String,
}

impl From<&millpond::Recorded> for Found {
    fn from(event: &millpond::Recorded) -> Found {
        Found {
            position: event.position(),
            stream: event.stream().to_owned(),
            version: event.version(),
            id: event.id(),
            event_type: event.event_type().to_owned(),
            content: event.json().unwrap_or_default().to_owned(),
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// An acknowledged event is missing, elsewhere, or not what it was (G1).
    Lost,
    /// Versions or positions are not dense, or two ways of reading differ (G2, A1).
    Hole,
    /// An event is there twice (G4).
    Twice,
    /// Two held the lock at once, or a token went back (L1, L2, L3).
    Overlap,
    /// A call is there in part (G2).
    Torn,
    /// The file, or a record in it, is damaged (G14).
    Corrupt,
    /// The store cannot be opened or written (G7).
    Wedged,
    /// What was said not to have been applied is there (G3).
    Lie,
    /// What was unknown was settled, and is another now (G3).
    Unsettled,
    /// Of one group some failed and others did not (G6).
    Apart,
    /// A write failed, and neither an answer nor a figure tells of it (G13).
    Hidden,
    /// No one order of the commits explains what was read (G5).
    Order,
    /// Something is held, waited for or alive that belongs to nobody any more (L6, R1, G11).
    Leaked,
    /// A caller was not answered (G3, G10).
    Unanswered,
    /// A child got an error, or the file is damaged (G7).
    Failed,
}

/// What was broken, in words.
pub type Violation = (Broken, String);

/// Some of them in words: two of each kind.
pub(crate) fn samples<B: Copy + Ord + std::fmt::Debug>(violations: &[(B, String)]) -> Vec<String> {
    let mut counts: BTreeMap<B, u64> = BTreeMap::new();
    let mut samples = Vec::new();
    for (broken, words) in violations {
        let count = counts.entry(*broken).or_insert(0);
        *count += 1;
        if *count <= 2 {
            samples.push(format!("{broken:?}: {words}"));
        }
    }
    samples
}

/// Reads everything there is, in the order of positions, and by stream once more.
///
/// # Errors
/// What the store said: everything must be readable.
pub(crate) fn collect(store: &Store) -> Result<(Vec<Found>, Vec<Violation>)> {
    let mut all = Vec::new();
    for event in store.events().read_all() {
        all.push(Found::from(&event?));
    }
    let mut by_stream: BTreeMap<&str, Vec<Uuid>> = BTreeMap::new();
    for found in &all {
        by_stream.entry(&found.stream).or_default().push(found.id);
    }
    let mut violations = Vec::new();
    for (stream, ids) in by_stream {
        let read = store.events().read_stream(stream).map(|event| Ok(event?.id()));
        if read.collect::<Result<Vec<_>>>()? != ids || store.events().version(stream)? != ids.len() as u64 {
            violations.push((Broken::Hole, format!("{stream} read by itself is another than in the whole")));
        }
    }
    Ok((all, violations))
}

/// Compares what was found with what was acknowledged.
pub(super) fn judge(acked: &[Acked], found: &[Found]) -> Vec<Violation> {
    let mut violations = Vec::new();
    check_acked(acked, found, &mut violations);
    violations.extend(check_sound(found));
    violations
}

/// What must be true of any store, whatever was acknowledged.
pub(crate) fn check_sound(found: &[Found]) -> Vec<Violation> {
    let mut violations = Vec::new();
    check_dense(found, &mut violations);
    check_once(found, &mut violations);
    check_whole(found, &mut violations);
    check_ledger(found, &mut violations);
    violations
}

fn check_acked(acked: &[Acked], found: &[Found], violations: &mut Vec<Violation>) {
    let by_id: HashMap<Uuid, &Found> = found.iter().map(|found| (found.id, found)).collect();
    for acked in acked {
        let Some(found) = by_id.get(&acked.id) else {
            violations.push((Broken::Lost, format!("gone: {acked:?}")));
            continue;
        };
        let moved = acked.place.is_some_and(|place| place != (found.version, found.position));
        if moved || found.stream != acked.stream || found.content != acked.content {
            violations.push((Broken::Lost, format!("another: {acked:?} is {found:?}")));
        }
    }
}

fn check_dense(found: &[Found], violations: &mut Vec<Violation>) {
    let mut versions: HashMap<&str, u64> = HashMap::new();
    for (before, found) in (0..).zip(found) {
        let version = versions.entry(&found.stream).or_insert(0);
        *version += 1;
        if found.position != before + 1 || found.version != *version {
            violations.push((Broken::Hole, format!("{found:?} is number {} and {version}", before + 1)));
        }
    }
}

/// No id twice; and no content twice, which is unique as well: the same event under another id.
fn check_once(found: &[Found], violations: &mut Vec<Violation>) {
    let (mut ids, mut contents) = (HashSet::new(), HashSet::new());
    for found in found {
        let new_id = ids.insert(found.id);
        if !contents.insert((&found.stream, &found.content, &found.event_type)) || !new_id {
            violations.push((Broken::Twice, format!("{found:?}")));
        }
    }
}

/// Every call is there with all its events, side by side, or not at all.
fn check_whole(found: &[Found], violations: &mut Vec<Violation>) {
    let by_id: HashMap<Uuid, &Found> = found.iter().map(|found| (found.id, found)).collect();
    let of_calls = |found: &&Found| found.stream != LEDGER && !found.stream.starts_with(child::TALLIES);
    for first in found.iter().filter(of_calls) {
        let Some(call) = call_of(&first.content) else {
            violations.push((Broken::Lost, format!("nobody's: {first:?}")));
            continue;
        };
        let parts: Vec<_> = (0..call.events()).map(|part| by_id.get(&call.id(part))).collect();
        let start = parts.first().copied().flatten().map_or(0, |found| found.position);
        let together = (start..).zip((0..).zip(&parts)).all(|(position, (part, found))| {
            found.is_some_and(|found| {
                found.position == position
                    && found.stream == call.stream(part)
                    && found.content == call.content(part)
            })
        });
        if !together {
            violations.push((Broken::Torn, format!("{call:?}: {parts:?}")));
        }
    }
}

fn call_of(content: &str) -> Option<Call> {
    let value: serde_json::Value = serde_json::from_str(content).ok()?;
    Some(Call { who: value.get("who")?.as_u64()?, number: value.get("number")?.as_u64()? })
}

/// Who enters has a larger token than all before, and nobody else's event stands between enter and leave, unless
/// the one who entered was killed and never left.
fn check_ledger(found: &[Found], violations: &mut Vec<Violation>) {
    let (mut inside, mut last) = (None, 0);
    for found in found.iter().filter(|found| found.stream == LEDGER) {
        let token = serde_json::from_str::<serde_json::Value>(&found.content)
            .ok()
            .and_then(|value| value.get("token")?.as_u64());
        let right = match (found.event_type.as_str(), token) {
            (ENTER, Some(token)) => {
                let grows = token > last && found.id == child::ledger_id(token, 0);
                (inside, last) = (Some(token), last.max(token));
                grows
            }
            (LEAVE, Some(token)) => inside.take() == Some(token) && found.id == child::ledger_id(token, 1),
            _ => false,
        };
        if !right {
            violations.push((Broken::Overlap, format!("token {last} before {found:?}")));
        }
    }
}

//! An aggregate whose every piece can fall over: its code, its codec, and its values when they are dropped.

use millpond::{Aggregate, Decision, Snapshots};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fall::{Place, reach};
use crate::workload::Tally;

/// Notes numbers.
#[derive(Debug)]
pub(super) struct Fragile {
    pub(super) tally: Tally,
}

impl Default for Fragile {
    fn default() -> Fragile {
        reach(Place::Fresh, 0);
        Fragile { tally: Tally::default() }
    }
}

impl Clone for Fragile {
    fn clone(&self) -> Fragile {
        reach(Place::Copy, 0);
        Fragile { tally: self.tally.clone() }
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        reach(Place::DropState, 0);
    }
}

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reach(Place::Freeze, 0);
        self.tally.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fragile, D::Error> {
        reach(Place::Thaw, 0);
        Ok(Fragile { tally: Tally::deserialize(deserializer)? })
    }
}

/// Note this, or refuse to.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) number: u64,
    /// Events that it leads to.
    pub(super) parts: u64,
    pub(super) refuse: bool,
}

impl Drop for Note {
    fn drop(&mut self) {
        reach(Place::DropCommand, self.number);
    }
}

/// What happened.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Happened {
    Noted(Noted),
}

/// A part of a note.
#[derive(Debug)]
pub(super) struct Noted {
    number: u64,
    part: u64,
}

impl Drop for Noted {
    fn drop(&mut self) {
        reach(Place::DropEvent, self.number);
    }
}

impl Serialize for Noted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        reach(Place::Encode, self.number);
        (self.number, self.part).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Noted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Noted, D::Error> {
        let (number, part) = Deserialize::deserialize(deserializer)?;
        reach(Place::Decode, number);
        Ok(Noted { number, part })
    }
}

/// It was told to refuse.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
pub(super) struct Refused(u64);

impl Drop for Refused {
    fn drop(&mut self) {
        reach(Place::DropRejection, self.0);
    }
}

impl Aggregate for Fragile {
    const KIND: &'static str = "fragile";
    type Command = Note;
    type Event = Happened;
    type Rejection = Refused;

    fn decide(&self, note: &Note) -> Result<Decision<Fragile>, Refused> {
        reach(Place::Decide, note.number);
        if note.refuse {
            return Err(Refused(note.number));
        }
        let noted = |part| Happened::Noted(Noted { number: note.number, part });
        Ok((0..note.parts).map(noted).collect::<Vec<_>>().into())
    }

    fn evolve(&mut self, Happened::Noted(noted): &Happened) {
        reach(Place::Evolve, noted.number);
        self.tally.count += 1;
        self.tally.sum = self.tally.sum.wrapping_mul(31).wrapping_add(noted.number);
    }

    fn snapshots() -> Snapshots<Fragile> {
        Snapshots::every(5)
    }
}

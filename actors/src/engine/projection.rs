//! Projections in tables: rows by name, generation and partition.

use std::ops::{Bound, RangeInclusive};

use super::store::{Caller, Store};
use crate::name::Name;
use crate::storage::partition::Partition;
use crate::storage::projection::{Advance, Advanced, Begin, Failure, Promote, Seen, Standing, Want, Wanted};
use crate::storage::record::{Onto, Put, Refusal};

/// A partition of a generation of a projection.
#[derive(Clone, Debug)]
pub struct Row {
    /// How many there are.
    pub partitions: u32,
    /// New with whatever is wanted of it.
    pub revision: u64,
    /// All events up to here have been dealt with.
    pub position: u64,
    /// So many of them were of interest.
    pub handled: u64,
    /// What it is projected to is there.
    pub begun: bool,
    /// It is to stop where it is.
    pub paused: bool,
    /// Why it does not get on.
    pub failure: Option<Failure>,
}

/// Name, generation, and which partition.
pub type Key = (Name, u64, u32);

impl Row {
    fn new(partitions: u32, revision: u64, position: u64, paused: bool) -> Row {
        Row { partitions, revision, position, handled: 0, begun: false, paused, failure: None }
    }

    fn shown(&self, (name, generation, index): &Key) -> Standing {
        let Row { partitions: of, revision, position, handled, begun, paused, failure } = self.clone();
        let (name, generation, partition) = (name.to_string(), *generation, Partition { index: *index, of });
        Standing { name, generation, partition, revision, position, handled, begun, paused, failure }
    }
}

impl Store {
    /// Makes a projection, or finds out how it stands.
    pub fn projection_begin(&mut self, begin: &Begin) -> Vec<Standing> {
        if self.generations(&begin.name).is_empty() {
            let row = Row::new(begin.partitions, self.next_number(), begin.position, false);
            self.put_generation(&begin.name, 1, &row);
        }
        self.generations(&begin.name).iter().map(|(key, row)| row.shown(key)).collect()
    }

    /// Moves a checkpoint.
    pub fn projection_advance(&mut self, me: &Caller, advance: &Advance) -> Advanced {
        let row = match self.generation_seen(me, &advance.seen) {
            Ok(row) if advance.to >= row.position => row,
            Ok(_) => return Advanced::Stale,
            Err(refused) => return refused,
        };
        let (position, handled) = (advance.to, row.handled + advance.handled);
        let begun = row.begun || advance.begun;
        let row = Row { position, handled, begun, failure: advance.failure.clone(), ..row };
        self.projections.put(key_of(&advance.seen), row);
        Advanced::Done
    }

    /// Has the newer generation be read.
    pub fn projection_promote(&mut self, me: &Caller, promote: &Promote) -> Advanced {
        let Seen { name, generation, .. } = &promote.seen;
        let row = match self.generation_seen(me, &promote.seen) {
            Ok(row) => row,
            Err(refused) => return refused,
        };
        let (older, newer): (Vec<_>, Vec<_>) =
            self.generations(name).into_iter().partition(|((_, other, _), _)| other < generation);
        let is_newest = newer.len() == 1 && !older.is_empty();
        if !is_newest || older.iter().any(|(_, older)| older.position > row.position) {
            return Advanced::Stale;
        }
        older.iter().for_each(|(key, _)| self.projections.remove(key));
        Advanced::Done
    }

    /// Writes down what is wanted.
    pub fn projection_want(&mut self, want: &Want) -> bool {
        let all = self.generations(&want.name);
        let (Some(((_, first, _), _)), Some(((_, last, _), newest))) =
            (all.first().cloned(), all.last().cloned())
        else {
            return false;
        };
        let (revision, wanted) = (self.next_number(), want.wanted.of(newest.partitions));
        for (key, row) in all {
            let row = Row { revision, ..row };
            let kept = match wanted {
                Wanted::Pause => Some(Row { paused: true, ..row }),
                Wanted::Resume => Some(Row { paused: false, failure: None, ..row }),
                Wanted::Rebuild(_) => (key.1 == first).then_some(row),
                Wanted::Reset(_) | Wanted::Remove => None,
            };
            match kept {
                Some(row) => self.projections.put(key, row),
                None => self.projections.remove(&key),
            }
        }
        if let Wanted::Reset(position) | Wanted::Rebuild(position) = wanted {
            let row = Row::new(newest.partitions, revision, position, newest.paused);
            self.put_generation(&want.name, last + 1, &row);
        }
        true
    }

    /// Puts a projection back. Generations only grow.
    pub fn projection_load(&mut self, (onto, head): (Onto, u64), name: &Name, rows: &[Standing]) -> Put {
        if rows.iter().any(|row| row.position.min(head) > self.last_position()) {
            return Put::Refused(Refusal::Beyond);
        }
        let before = self.generations(name);
        let last = match (before.last(), onto) {
            (Some(_), Onto::Nothing) => return Put::Refused(Refusal::Exists),
            (Some(_), Onto::Append) => return Put::Known,
            (Some(((_, last, _), _)), Onto::Replace) => *last,
            (None, _) => 0,
        };
        before.iter().for_each(|(key, _)| self.projections.remove(key));
        let revision = self.next_number();
        for row in rows {
            let Standing { generation, partition, position, handled, begun, paused, ref failure, .. } = *row;
            let (partitions, failure) = (partition.of, failure.clone());
            let key = (name.clone(), last + generation, partition.index);
            let row = Row { partitions, revision, position, handled, begun, paused, failure };
            self.projections.put(key, row);
        }
        Put::Written(None)
    }

    /// A generation begins, with all its partitions.
    fn put_generation(&mut self, name: &Name, generation: u64, row: &Row) {
        for index in 0..row.partitions {
            self.projections.put((name.clone(), generation, index), row.clone());
        }
    }

    /// The generation, if it stands as somebody has seen it.
    fn generation_seen(&self, me: &Caller, seen: &Seen) -> Result<Row, Advanced> {
        if !self.fence_stands(me, &seen.fence) {
            return Err(Advanced::Fenced);
        }
        let row = self.projections.get(&key_of(seen));
        let stands = |row: &&Row| row.revision == seen.revision && row.position == seen.position;
        row.filter(stands).cloned().ok_or(Advanced::Stale)
    }

    fn generations(&self, name: &Name) -> Vec<(Key, Row)> {
        let all = self.projections.range(all_of(name));
        all.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// How a projection stands, for a reader.
    pub fn projection(&self, name: &Name) -> Vec<Standing> {
        let all = self.projections.range(all_of(name));
        all.map(|(key, row)| row.shown(key)).collect()
    }

    /// Up to so many projections behind a name.
    pub fn projection_list(&self, after: Option<&str>, limit: u32) -> Vec<Standing> {
        let from = after
            .map_or(Bound::Unbounded, |after| Bound::Excluded((Name::unchecked(after), u64::MAX, u32::MAX)));
        let behind = self.projections.range((from, Bound::Unbounded));
        let (mut names, mut found) = (0, Vec::<Standing>::new());
        for (key, row) in behind {
            names += u32::from(found.last().is_none_or(|last| last.name != key.0.as_str()));
            if names > limit {
                break;
            }
            found.push(row.shown(key));
        }
        found
    }
}

fn key_of(seen: &Seen) -> Key {
    (seen.name.clone(), seen.generation, seen.partition)
}

/// All of a name.
fn all_of(name: &Name) -> RangeInclusive<Key> {
    (name.clone(), 0, 0)..=(name.clone(), u64::MAX, u32::MAX)
}

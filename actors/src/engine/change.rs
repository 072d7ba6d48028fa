//! Changes in tables: the last so many, by their numbers.

use super::counter::Counter;
use super::store::Store;
use crate::limits;
use crate::storage::change::{Change, Primitive, Record, Written};

impl Store {
    /// Writes changes down, and forgets those that are too old.
    pub fn change_record(&mut self, record: &Record) -> Written {
        let mut last = self.counter(Counter::Change);
        for changed in &record.changes {
            last += 1;
            self.changes.put(last, changed.clone());
        }
        if !record.changes.is_empty() {
            self.counters.put(Counter::Change, last);
        }
        let old: Vec<u64> =
            self.changes.range(..=last.saturating_sub(limits::CHANGES)).map(|(number, _)| *number).collect();
        old.iter().for_each(|number| self.changes.remove(number));
        Written { last }
    }

    /// Changes after a number, for a reader.
    pub fn changes(&self, after: u64, limit: u32) -> Vec<Change> {
        let named = |primitive, row| match primitive {
            Primitive::Stream => self.streams.get(&row).map(|stream| stream.name.to_string()),
            Primitive::Lock => self.locks.get(&row).map(|lock| lock.name.to_string()),
            Primitive::Queue => self.queues.get(&row).map(|queue| queue.name.to_string()),
            Primitive::Dict => self.dicts.get(&row).map(|dict| dict.name.to_string()),
            Primitive::List => self.lists.get(&row).map(|list| list.name.to_string()),
            Primitive::Blob => self.blob_rows.get(&row).map(|blobs| blobs.name.to_string()),
            Primitive::Log | Primitive::Channel => self.feeds.get(&row).map(|feed| feed.name.to_string()),
        };
        let later = self.changes.range(after.saturating_add(1)..).take(limit as usize);
        let change = |(number, changed): (&u64, &crate::storage::change::Changed)| Change {
            number: *number,
            primitive: changed.primitive,
            name: named(changed.primitive, changed.row).unwrap_or_default(),
            sequence: changed.sequence,
            key: changed.key.as_deref().map(str::to_owned),
        };
        later.map(change).collect()
    }
}

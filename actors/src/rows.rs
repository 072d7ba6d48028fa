//! The rows of names that were written to lately.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::MutexGuard;

use crate::limits;
use crate::shards::{SHARDS, Shards};

/// Rows by name, of a bounded number of names. A row stays a name's for ever, so what is remembered stays right.
#[derive(Debug)]
pub(crate) struct Rows<K> {
    rows: Shards<HashMap<K, u64>>,
    hasher: RandomState,
}

impl<K> Default for Rows<K> {
    fn default() -> Rows<K> {
        Rows { rows: Shards::default(), hasher: RandomState::default() }
    }
}

impl<K: Hash + Eq> Rows<K> {
    fn shard(&self, name: &K) -> MutexGuard<'_, HashMap<K, u64>> {
        self.rows.of(self.hasher.hash_one(name))
    }

    /// The row of a name, if it is remembered.
    pub(crate) fn get(&self, name: &K) -> Option<u64> {
        self.shard(name).get(name).copied()
    }

    /// Remembers it.
    pub(crate) fn put(&self, name: K, row: u64) {
        let mut shard = self.shard(&name);
        if shard.len() >= limits::ROWS / SHARDS {
            // Which of them were used last is not worth knowing: each is found again by one look at an index.
            shard.clear();
        }
        shard.insert(name, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_rows_are_remembered_of_a_bounded_number_of_names() {
        let rows = Rows::default();
        for number in 0..4 * limits::ROWS as u64 {
            rows.put(number, number);
            assert_eq!(rows.get(&number), Some(number));
        }
        let kept = (0..SHARDS as u64).map(|shard| rows.rows.of(shard).len()).sum::<usize>();
        assert!(kept <= limits::ROWS && kept > limits::ROWS / 4, "{kept}");
    }
}

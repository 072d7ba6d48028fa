//! A collection in parts, with a mutex for each: callers on different threads seldom meet at one.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many parts.
pub(crate) const SHARDS: usize = 64;

/// The parts. Which of them something belongs to is told by a number: one that is spread evenly in its last bits.
#[derive(Debug)]
pub(crate) struct Shards<T>([Mutex<T>; SHARDS]);

impl<T: Default> Default for Shards<T> {
    fn default() -> Shards<T> {
        Shards(std::array::from_fn(|_| Mutex::default()))
    }
}

impl<T> Shards<T> {
    /// The part for a number.
    pub(crate) fn of(&self, number: u64) -> MutexGuard<'_, T> {
        let [first, ..] = &self.0;
        let shard = self.0.get(number as usize % SHARDS).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

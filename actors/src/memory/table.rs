//! A table in memory: what has been committed, what the open transaction sees, and how to get back.
//!
//! Both sides are whole maps, so that a reader and a transaction each look things up in the plainest way. A
//! transaction notes each row it changes; commit and rollback then copy these rows from one side to the other
//! and touch no others.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::RangeBounds;

/// Rows by key.
#[derive(Clone, Debug)]
pub(super) struct Table<K, V> {
    committed: BTreeMap<K, V>,
    working: BTreeMap<K, V>,
    /// Which rows the transaction changed and what stood there before, oldest first.
    undo: Vec<(K, Option<V>)>,
    /// How long `undo` was at each savepoint that is open, the innermost last.
    marks: Vec<usize>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { committed: BTreeMap::new(), working: BTreeMap::new(), undo: Vec::new(), marks: Vec::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// What readers see.
    pub(super) fn committed(&self) -> &BTreeMap<K, V> {
        &self.committed
    }

    /// What the transaction sees.
    pub(super) fn working(&self) -> &BTreeMap<K, V> {
        &self.working
    }

    /// A row, as the transaction sees it.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.working.get(key)
    }

    /// The rows in `range`, as the transaction sees them.
    pub(super) fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.working.range(range)
    }

    /// Writes a row, whether it was there or not.
    pub(super) fn put(&mut self, key: K, value: V) {
        let before = self.working.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    /// Writes a row that no transaction knows, for readers and transaction alike; a rollback leaves it.
    pub(super) fn put_at_once(&mut self, key: K, value: V) {
        self.committed.insert(key.clone(), value.clone());
        self.working.insert(key, value);
    }

    /// Undoes what was written since so much had been.
    fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark
            && let Some((key, before)) = self.undo.pop()
        {
            match before {
                Some(value) => self.working.insert(key, value),
                None => self.working.remove(&key),
            };
        }
    }

    /// Takes a row away.
    pub(super) fn remove(&mut self, key: &K) {
        if let Some(before) = self.working.remove(key) {
            self.undo.push((key.clone(), Some(before)));
        }
    }
}

/// What a transaction does with every table, whatever its rows are.
pub(super) trait Transactional {
    /// Everything written becomes visible to readers.
    fn keep(&mut self);
    /// Everything written is undone.
    fn undo(&mut self);
    /// From here on, writes can be undone alone.
    fn mark(&mut self);
    /// The innermost [`mark`](Transactional::mark) is taken away, and what was written since is kept or undone.
    fn end_mark(&mut self, keep: bool);
}

impl<K: Ord + Clone, V: Clone> Transactional for Table<K, V> {
    fn keep(&mut self) {
        for (key, _) in self.undo.drain(..) {
            match self.working.get(&key) {
                Some(value) => self.committed.insert(key, value.clone()),
                None => self.committed.remove(&key),
            };
        }
        self.marks.clear();
    }

    fn undo(&mut self) {
        self.marks.clear();
        self.undo_to(0);
    }

    fn mark(&mut self) {
        self.marks.push(self.undo.len());
    }

    fn end_mark(&mut self, keep: bool) {
        let mark = self.marks.pop().unwrap_or(0);
        if !keep {
            self.undo_to(mark);
        }
    }
}

//! A table: rows by key, what the open transaction has changed of them, and how to get back.
//!
//! A table of a store in memory has all its rows. One of a store that lies elsewhere has those that were fetched: whoever looks
//! for a row that may be there and was not fetched finds nothing, and what he [wanted](Want) is written down. Then all that he
//! did is undone, what was wanted is fetched, and he begins again. So one way of doing things is written once, in the plainest
//! words, for maps and for databases over a network alike, and what a whole group wants is fetched at once.

use std::collections::{BTreeMap, btree_map};
use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::gaps::{Edge, Gaps, Want};

/// What stood in the place of a row.
#[derive(Clone, Debug)]
enum Before<V> {
    Row(V),
    Nothing,
    /// It was taken away unseen.
    Unseen,
}

/// What a transaction has done to a row.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a, V> {
    /// What it is now, nothing if it is to go.
    pub row: Option<&'a V>,
    /// It was not here before, and nobody has taken it away unseen.
    pub is_new: bool,
}

/// Rows by key.
#[derive(Clone, Debug)]
pub struct Table<K, V> {
    rows: BTreeMap<K, V>,
    /// Which rows the transaction changed and what stood there before, oldest first.
    undo: Vec<(K, Before<V>)>,
    /// How long `undo` was at each savepoint that is open, the innermost last.
    marks: Vec<usize>,
    /// What of it is here; nothing if all of it is.
    gaps: Option<Gaps<K>>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { rows: BTreeMap::new(), undo: Vec::new(), marks: Vec::new(), gaps: None }
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// One of which nothing is here yet. Whoever misses something in it raises the flag; of a range, so many rows are wanted `first`.
    #[must_use]
    pub fn elsewhere(missing: &Arc<AtomicBool>, first: usize) -> Table<K, V> {
        Table { gaps: Some(Gaps::new(Arc::clone(missing), first)), ..Table::default() }
    }

    /// Whether all of it is here.
    pub(super) fn is_here(&self) -> bool {
        self.gaps.is_none()
    }

    /// A row.
    pub fn get(&self, key: &K) -> Option<&V> {
        let row = self.rows.get(key);
        if let (None, Some(gaps)) = (row, &self.gaps) {
            gaps.look_for(key);
        }
        row
    }

    /// The rows in `range`, from either end.
    pub fn range(&self, range: impl RangeBounds<K>) -> Rows<'_, K, V> {
        let bounds = (range.start_bound(), range.end_bound());
        let from = Edge::start(bounds.0);
        let to = Edge::end(bounds.1);
        let rows = if from < to { Some(self.rows.range((bounds.0, bounds.1))) } else { None };
        Rows { rows, gaps: self.gaps.as_ref(), from, to, seen: 0 }
    }

    /// All rows.
    pub fn iter(&self) -> Rows<'_, K, V> {
        self.range(..)
    }

    /// How many rows are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes a row, whether it was there or not.
    pub fn put(&mut self, key: K, value: V) {
        let before = self.rows.insert(key.clone(), value);
        self.undo.push((key, before.map_or(Before::Nothing, Before::Row)));
    }

    /// Writes a row that no transaction knows; a rollback leaves it.
    pub fn put_at_once(&mut self, key: K, value: V) {
        self.rows.insert(key, value);
    }

    /// Takes a row away.
    pub fn remove(&mut self, key: &K) {
        // It may be there without being here.
        if self.gaps.as_mut().is_some_and(|gaps| gaps.know_key(key)) {
            self.undo.push((key.clone(), Before::Unseen));
        }
        if let Some(row) = self.rows.remove(key) {
            self.undo.push((key.clone(), Before::Row(row)));
        }
    }

    /// Undoes what was written since so much had been.
    fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark
            && let Some((key, before)) = self.undo.pop()
        {
            match before {
                Before::Row(row) => drop(self.rows.insert(key, row)),
                Before::Nothing => drop(self.rows.remove(&key)),
                Before::Unseen => self.gaps.iter_mut().for_each(|gaps| gaps.forget_key(&key)),
            }
        }
    }

    /// What the transaction has changed, each row once, by key.
    pub fn changes(&self) -> BTreeMap<&K, Change<'_, V>> {
        let mut changes = BTreeMap::new();
        for (key, before) in &self.undo {
            let change = || Change { row: self.rows.get(key), is_new: matches!(before, Before::Nothing) };
            changes.entry(key).or_insert_with(change);
        }
        changes
    }

    /// Does the same to another table that the transaction has done to this one, which it ends.
    pub fn keep_in(&mut self, other: &mut Table<K, V>) {
        for (key, _) in self.undo.drain(..) {
            match self.rows.get(&key) {
                Some(value) => other.rows.insert(key, value.clone()),
                None => other.rows.remove(&key),
            };
        }
        self.marks.clear();
    }
}

/// Of what is not here.
impl<K: Ord + Clone, V: Clone> Table<K, V> {
    /// What was looked for and is not here, each once.
    pub fn wants(&mut self) -> Vec<Want<K>> {
        self.gaps.as_mut().map(Gaps::take_wants).unwrap_or_default()
    }

    /// A row was fetched. What the transaction has done to it stays done.
    pub fn fetched(&mut self, key: K, value: V) {
        let Some(gaps) = &self.gaps else { return };
        if !gaps.knows(&key) {
            self.rows.entry(key).or_insert(value);
        }
    }

    /// Its rows, of which none is known to be missing or to be all there are.
    pub(super) fn without_gaps(&mut self) -> Table<K, V> {
        let mut gaps = self.gaps.clone();
        gaps.iter_mut().for_each(Gaps::forget);
        Table { rows: std::mem::take(&mut self.rows), gaps, ..Table::default() }
    }

    /// All rows between two edges have been fetched.
    pub fn know(&mut self, from: Edge<K>, to: Edge<K>) {
        if let Some(gaps) = &mut self.gaps {
            gaps.know(from, to);
        }
    }
}

/// What is done with every table, whatever its rows are.
pub trait Transactional {
    /// Everything written stays, and the transaction ends.
    fn keep(&mut self);
    /// Everything written is undone.
    fn undo(&mut self);
    /// From here on, writes can be undone alone.
    fn mark(&mut self);
    /// The innermost [`mark`](Transactional::mark) is taken away, and what was written since is kept or undone.
    fn end_mark(&mut self, keep: bool);
    /// Nothing of it is here any more, unless all of it is. Not within a transaction.
    fn forget(&mut self);
}

impl<K: Ord + Clone, V: Clone> Transactional for Table<K, V> {
    fn keep(&mut self) {
        self.undo.clear();
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

    fn forget(&mut self) {
        if let Some(gaps) = &mut self.gaps {
            gaps.forget();
            self.rows.clear();
        }
    }
}

/// Rows of a table one after the other, from either end. It ends where something is missing.
#[derive(Debug)]
pub struct Rows<'a, K, V> {
    /// Those that are here; nothing once it has ended.
    rows: Option<btree_map::Range<'a, K, V>>,
    gaps: Option<&'a Gaps<K>>,
    /// What is left to be gone through.
    from: Edge<K>,
    to: Edge<K>,
    /// How many were seen.
    seen: usize,
}

impl<'a, K: Ord + Clone, V> Iterator for Rows<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        let next = self.rows.as_mut()?.next();
        let Some(gaps) = self.gaps else { return next };
        let until = next.map_or_else(|| self.to.clone(), |(key, _)| Edge::Before(key.clone()));
        if let Err(gap) = gaps.forward(&self.from, &until) {
            gaps.want(Want { from: gap, to: self.to.clone(), backward: false, most: gaps.most(self.seen) });
            self.rows = None;
            return None;
        }
        if let Some((key, _)) = next {
            (self.from, self.seen) = (Edge::After(key.clone()), self.seen + 1);
        }
        next
    }
}

impl<'a, K: Ord + Clone, V> DoubleEndedIterator for Rows<'a, K, V> {
    fn next_back(&mut self) -> Option<(&'a K, &'a V)> {
        let next = self.rows.as_mut()?.next_back();
        let Some(gaps) = self.gaps else { return next };
        let until = next.map_or_else(|| self.from.clone(), |(key, _)| Edge::After(key.clone()));
        if let Err(gap) = gaps.backward(&self.to, &until) {
            gaps.want(Want { from: self.from.clone(), to: gap, backward: true, most: gaps.most(self.seen) });
            self.rows = None;
            return None;
        }
        if let Some((key, _)) = next {
            (self.to, self.seen) = (Edge::Before(key.clone()), self.seen + 1);
        }
        next
    }
}

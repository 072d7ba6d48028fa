//! What of a table is here, and what was looked for that is not.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicBool};

/// A place beside a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edge<K> {
    /// Before all keys.
    First,
    /// Before this one.
    Before(K),
    /// Behind this one.
    After(K),
    /// Behind all keys.
    Last,
}

impl<K: Clone> Edge<K> {
    /// Where a range begins.
    pub(super) fn start(bound: Bound<&K>) -> Edge<K> {
        match bound {
            Bound::Included(key) => Edge::Before(key.clone()),
            Bound::Excluded(key) => Edge::After(key.clone()),
            Bound::Unbounded => Edge::First,
        }
    }

    /// Where it ends.
    pub(super) fn end(bound: Bound<&K>) -> Edge<K> {
        match bound {
            Bound::Included(key) => Edge::After(key.clone()),
            Bound::Excluded(key) => Edge::Before(key.clone()),
            Bound::Unbounded => Edge::Last,
        }
    }
}

impl<K: Ord> Ord for Edge<K> {
    fn cmp(&self, other: &Edge<K>) -> Ordering {
        use Edge::{After, Before, First, Last};
        match (self, other) {
            (First, First) | (Last, Last) => Ordering::Equal,
            (First, _) | (_, Last) => Ordering::Less,
            (_, First) | (Last, _) => Ordering::Greater,
            (Before(one), Before(other)) | (After(one), After(other)) => one.cmp(other),
            (Before(one), After(other)) => one.cmp(other).then(Ordering::Less),
            (After(one), Before(other)) => one.cmp(other).then(Ordering::Greater),
        }
    }
}

impl<K: Ord> PartialOrd for Edge<K> {
    fn partial_cmp(&self, other: &Edge<K>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Rows that were looked for and are not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want<K> {
    /// All behind this,
    pub from: Edge<K>,
    /// and before that.
    pub to: Edge<K>,
    /// The last of them are wanted first.
    pub backward: bool,
    /// So many are enough.
    pub most: usize,
}

impl<K: Ord> Want<K> {
    /// The key, if one row is wanted.
    pub fn key(&self) -> Option<&K> {
        match (&self.from, &self.to) {
            (Edge::Before(from), Edge::After(to)) if from == to => Some(from),
            _ => None,
        }
    }
}

/// What is here: spans between edges, all rows of which were fetched, or whose keys are known not to be there.
#[derive(Clone, Debug)]
pub struct Gaps<K> {
    /// From edge to edge. They never touch.
    known: BTreeMap<Edge<K>, Edge<K>>,
    wants: RefCell<Vec<Want<K>>>,
    missing: Arc<AtomicBool>,
    /// So many rows of a range are wanted at first.
    first: usize,
}

impl<K: Ord + Clone> Gaps<K> {
    pub(super) fn new(missing: Arc<AtomicBool>, first: usize) -> Gaps<K> {
        Gaps { known: BTreeMap::new(), wants: RefCell::default(), missing, first }
    }

    /// How many more are wanted by whoever has seen so many: more and more, but not without bound.
    pub(super) fn most(&self, seen: usize) -> usize {
        (4 * seen).clamp(self.first, 4_096)
    }

    /// Whether a key that is not here is not there.
    pub(super) fn knows(&self, key: &K) -> bool {
        self.forward(&Edge::Before(key.clone()), &Edge::After(key.clone())).is_ok()
    }

    /// A row was looked for that is not here.
    pub(super) fn look_for(&self, key: &K) {
        if !self.knows(key) {
            let (from, to) = (Edge::Before(key.clone()), Edge::After(key.clone()));
            self.want(Want { from, to, backward: false, most: 1 });
        }
    }

    pub(super) fn want(&self, want: Want<K>) {
        self.missing.store(true, atomic::Ordering::Relaxed);
        self.wants.borrow_mut().push(want);
    }

    /// Whether all is known from here to there; if not, where that ends.
    pub(super) fn forward(&self, from: &Edge<K>, until: &Edge<K>) -> Result<(), Edge<K>> {
        let span = self.known.range(..=from).next_back();
        match span.map(|(_, end)| end).filter(|end| *end > from) {
            Some(end) if end >= until => Ok(()),
            Some(end) => Err(end.clone()),
            None if from >= until => Ok(()),
            None => Err(from.clone()),
        }
    }

    /// The same the other way.
    pub(super) fn backward(&self, from: &Edge<K>, until: &Edge<K>) -> Result<(), Edge<K>> {
        let span = self.known.range(..from).next_back();
        match span.filter(|(_, end)| *end >= from) {
            Some((start, _)) if start <= until => Ok(()),
            Some((start, _)) => Err(start.clone()),
            None if from <= until => Ok(()),
            None => Err(from.clone()),
        }
    }

    /// From here on all rows between two edges are known.
    pub fn know(&mut self, mut from: Edge<K>, mut to: Edge<K>) {
        if let Some((start, end)) = self.known.range(..=&from).next_back()
            && *end >= from
        {
            (from, to) = (start.clone(), to.max(end.clone()));
        }
        while let Some((start, end)) = self.known.range(&from..=&to).next() {
            let (start, end) = (start.clone(), end.clone());
            self.known.remove(&start);
            to = to.max(end);
        }
        self.known.insert(from, to);
    }

    /// A key is known not to be there. Whether that is new.
    pub(super) fn know_key(&mut self, key: &K) -> bool {
        let is_new = !self.knows(key);
        if is_new {
            self.know(Edge::Before(key.clone()), Edge::After(key.clone()));
        }
        is_new
    }

    /// It may be there after all, unless more than it is known.
    pub(super) fn forget_key(&mut self, key: &K) {
        let alone = Edge::Before(key.clone());
        if self.known.get(&alone).is_some_and(|end| *end == Edge::After(key.clone())) {
            self.known.remove(&alone);
        }
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.wants.get_mut().clear();
    }

    /// What was wanted, each once.
    pub(super) fn take_wants(&mut self) -> Vec<Want<K>> {
        let mut wants = std::mem::take(self.wants.get_mut());
        wants.sort_by(|one, other| (&one.from, &one.to).cmp(&(&other.from, &other.to)));
        wants.dedup_by(|one, other| {
            let same = (&one.from, &one.to, one.backward) == (&other.from, &other.to, other.backward);
            other.most = if same { other.most.max(one.most) } else { other.most };
            same
        });
        wants
    }
}

//! The tree against a plain vector, and what it costs.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::Error;

/// Nodes in memory, which count what is done with them.
#[derive(Default)]
struct Kept {
    nodes: BTreeMap<u64, Vec<u8>>,
    read: Cell<usize>,
    written: usize,
}

impl Look for Kept {
    fn read(&self, node: u64) -> Result<Node> {
        self.read.set(self.read.get() + 1);
        self.nodes.get(&node).and_then(|bytes| Node::from_bytes(bytes)).ok_or_else(|| self.odd(node))
    }

    fn odd(&self, node: u64) -> Error {
        Error::Storage { detail: format!("node {node}") }
    }
}

impl Nodes for Kept {
    fn write(&mut self, node: u64, content: &Node) -> Result<()> {
        self.written += 1;
        self.nodes.insert(node, content.to_bytes());
        Ok(())
    }

    fn remove(&mut self, node: u64) -> Result<()> {
        self.nodes.remove(&node).map(drop).ok_or_else(|| self.odd(node))
    }
}

/// How many levels there are, every rule of the tree looked at on the way. `edge`: whether it lies at an end of the list.
fn levels(kept: &Kept, child: Child, edge: (bool, bool), seen: &mut usize) -> usize {
    *seen += 1;
    let node = read(kept, child).unwrap();
    assert!(node.len() <= MOST, "a node of {} entries", node.len());
    assert!(edge != (false, false) || node.len() >= FEW, "a node of {} entries in the middle", node.len());
    let Node::Inner(children) = node else { return 1 };
    let last = children.len() - 1;
    let below = children
        .iter()
        .enumerate()
        .map(|(place, child)| levels(kept, *child, (edge.0 && place == 0, edge.1 && place == last), seen));
    let below: Vec<usize> = below.collect();
    assert!(below.iter().all(|levels| *levels == below[0]), "all leaves are on one level");
    below[0] + 1
}

fn check(kept: &Kept, root: &Root) -> usize {
    if root.node == 0 {
        assert_eq!((root.count, kept.nodes.len()), (0, 0));
        return 0;
    }
    let mut seen = 0;
    let levels = levels(kept, root.whole(), (true, true), &mut seen);
    assert_eq!(seen, kept.nodes.len(), "nodes that nothing refers to");
    levels
}

#[derive(Clone, Debug)]
enum Step {
    Insert(prop::sample::Index, usize),
    Push(bool, usize),
    Pop(bool, u64),
    Remove(prop::sample::Index, u64),
    Replace(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let many = prop_oneof![4 => 1..4_usize, 1 => 1..700_usize];
    prop_oneof![
        3 => (any::<prop::sample::Index>(), many.clone()).prop_map(|(at, n)| Step::Insert(at, n)),
        2 => (any::<bool>(), many.clone()).prop_map(|(back, n)| Step::Push(back, n)),
        2 => (any::<bool>(), many.clone()).prop_map(|(back, n)| Step::Pop(back, n as u64)),
        3 => (any::<prop::sample::Index>(), many).prop_map(|(at, n)| Step::Remove(at, n as u64)),
        1 => any::<prop::sample::Index>().prop_map(Step::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn li1_the_order_is_that_of_a_vector(steps in prop::collection::vec(step(), 1..120)) {
        let (mut kept, mut root, mut model, mut last) = (Kept::default(), Root::default(), Vec::new(), 0_u64);
        for step in steps {
            let len = model.len();
            let mut put = |kept: &mut Kept, root: &mut Root, model: &mut Vec<u64>, at: usize, n: usize| {
                let items: Vec<u64> = (last + 1..=last + n as u64).collect();
                last += n as u64;
                root.insert(kept, at as u64, &items).unwrap();
                model.splice(at..at, items);
            };
            match step {
                Step::Insert(at, n) => put(&mut kept, &mut root, &mut model, at.index(len + 1), n),
                Step::Push(back, n) => put(&mut kept, &mut root, &mut model, if back { len } else { 0 }, n),
                Step::Pop(back, n) => {
                    let n = n.min(len as u64);
                    let from = if back { len - n as usize } else { 0 };
                    let removed = root.remove(&mut kept, from as u64, n).unwrap();
                    prop_assert_eq!(removed, model.drain(from..from + n as usize).collect::<Vec<_>>());
                }
                Step::Remove(at, n) => {
                    let at = at.index(len + 1);
                    let end = (at + n as usize).min(len);
                    let removed = root.remove(&mut kept, at as u64, n).unwrap();
                    prop_assert_eq!(removed, model.drain(at..end).collect::<Vec<_>>());
                }
                Step::Replace(at) => {
                    let at = at.index(len + 1);
                    last += 1;
                    let before = root.replace(&mut kept, at as u64, last).unwrap();
                    let expected = model.get_mut(at).map(|item| std::mem::replace(item, last));
                    prop_assert_eq!(before, expected);
                }
            }
            check(&kept, &root);
            prop_assert_eq!(root.items(&kept, 0, usize::MAX).unwrap(), model.clone());
        }
        for from in [0, model.len() / 3, model.len()] {
            let some = root.items(&kept, from as u64, 200).unwrap();
            prop_assert_eq!(&some[..], &model[from..model.len().min(from + 200)]);
        }
    }
}

/// A tree of so many items, pushed.
fn pushed(count: u64) -> (Kept, Root) {
    let (mut kept, mut root) = (Kept::default(), Root::default());
    let all: Vec<u64> = (1..=count).collect();
    all.chunks(10_000).for_each(|items| {
        let end = root.count;
        root.insert(&mut kept, end, items).unwrap();
    });
    (kept, root)
}

/// How many nodes `act` reads and writes.
fn touched(kept: &mut Kept, act: impl FnOnce(&mut Kept)) -> (usize, usize) {
    kept.read.set(0);
    kept.written = 0;
    act(kept);
    (kept.read.get(), kept.written)
}

#[test]
fn li2_a_million_items_are_three_levels_and_an_operation_touches_a_node_or_two_on_each() {
    let (mut kept, mut root) = pushed(1_000_000);
    let levels = check(&kept, &root);
    assert_eq!(levels, 3);
    for at in [0, 1, 499_999, 999_999, 1_000_000] {
        let (read, written) = touched(&mut kept, |kept| root.insert(kept, at, &[7]).unwrap());
        assert!(read <= levels && written <= 2 * levels, "insert at {at}: {read} read, {written} written");
        let (read, written) = touched(&mut kept, |kept| drop(root.remove(kept, at, 1).unwrap()));
        let most = 3 * levels + 1;
        assert!(read <= most && written <= 2 * levels, "remove at {at}: {read} read, {written} written");
        let (read, _) = touched(&mut kept, |kept| drop(root.items(kept, at, 1).unwrap()));
        assert!(read <= levels, "look at {at}: {read} read");
    }
    check(&kept, &root);
}

#[test]
fn d2_a_hundred_thousand_inserts_at_one_place_neither_degenerate_nor_number_anything_anew() {
    for after_the_last in [false, true] {
        let (mut kept, mut root) = pushed(1_000);
        let (mut read, mut written) = (0, 0);
        for n in 0..100_000_u64 {
            let at = if after_the_last { 500 + n } else { 500 };
            let cost = touched(&mut kept, |kept| root.insert(kept, at, &[n]).unwrap());
            (read, written) = (read.max(cost.0), written.max(cost.1));
        }
        assert_eq!(check(&kept, &root), 3);
        assert!(read <= 3 && written <= 7, "at most {read} read and {written} written at once");
        let half_full = 101_000 / (MOST / 2) + 101_000 / (MOST / 2 * MOST / 2) + 3;
        assert!(kept.nodes.len() <= half_full + half_full / 10, "{} nodes", kept.nodes.len());
    }
}

#[test]
fn a_node_that_counts_what_is_not_there_is_not_believed() {
    let (mut kept, mut root) = pushed(1_000);
    let Node::Inner(mut children) = kept.read(root.node).unwrap() else { panic!("it has levels") };
    (children[0].count, children[1].count) = (children[0].count - 1, children[1].count + 1);
    kept.write(root.node, &Node::Inner(children)).unwrap();
    root.items(&kept, 0, 1).unwrap_err();
    root.insert(&mut kept, 5, &[1]).unwrap_err();
    root.remove(&mut kept, 5, 1).unwrap_err();
    root.replace(&mut kept, 5, 1).unwrap_err();
    assert_eq!(Node::from_bytes(&[0, 1]), None);
    assert_eq!(Node::from_bytes(&[2]), None);
}

#[test]
fn li2_whoever_pushes_leaves_full_nodes_behind() {
    for back in [true, false] {
        let (mut kept, mut root) = (Kept::default(), Root::default());
        for n in 1..=5_000 {
            let at = if back { root.count } else { 0 };
            root.insert(&mut kept, at, &[n]).unwrap();
        }
        let leaves = 5_000_usize.div_ceil(MOST);
        assert_eq!(kept.nodes.len(), leaves + 1, "all leaves are full but the last, under one node");
        let Node::Inner(children) = kept.read(root.node).unwrap() else { panic!("it has levels") };
        let full = children.iter().filter(|child| child.count == MOST as u64).count();
        assert_eq!((full, children.len()), (leaves - 1, leaves));
    }
}

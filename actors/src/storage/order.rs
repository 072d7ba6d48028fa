//! The order of a list: a B+ tree that counts.
//!
//! Its leaves hold the numbers of items, its inner nodes how many items each of their children has. So an item is found by its
//! index, and put or removed anywhere, by reading one node a level and writing one or two; nothing is ever numbered anew, and
//! there are no keys between which no room could be left (Bayer and McCreight 1972; Knuth, TAOCP 3, 6.2.3, for the counts).
//!
//! What a database has to do is to keep nodes by their numbers ([`Nodes`]); the tree is the same on all of them. A node has from
//! a quarter of [`limits::NODE_ENTRIES`] entries on, except at the ends of a list, where whoever pushes leaves full ones behind.

use crate::error::Result;
use crate::limits;

const MOST: usize = limits::NODE_ENTRIES;
const FEW: usize = MOST / 4;

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The numbers of items, in their order.
    Leaf(Vec<u64>),
    /// Other nodes, in their order.
    Inner(Vec<Child>),
}

/// A node that another one refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its number.
    pub node: u64,
    /// So many items are in it and below.
    pub count: u64,
}

/// Where the tree of a list begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// The uppermost node; 0 if there is none, because there are no items.
    pub node: u64,
    /// So many items there are.
    pub count: u64,
    /// The last number that was given to a node.
    pub last_node: u64,
}

/// Who keeps nodes, for whoever reads.
pub trait Look {
    /// A node.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`](crate::error::Error::Corrupt) if it is damaged or not there.
    fn read(&self, node: u64) -> Result<Node>;

    /// The error of a node that is none of this tree's.
    fn odd(&self, node: u64) -> crate::error::Error;
}

/// Who keeps nodes, for whoever writes.
pub trait Nodes: Look {
    /// Keeps a node, in place of what was kept under its number.
    ///
    /// # Errors
    /// What the database said.
    fn write(&mut self, node: u64, content: &Node) -> Result<()>;

    /// Keeps it no longer.
    ///
    /// # Errors
    /// What the database said.
    fn remove(&mut self, node: u64) -> Result<()>;
}

impl Node {
    /// As bytes: what it is, and its numbers, the lowest byte first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, numbers): (u8, Vec<u64>) = match self {
            Node::Leaf(items) => (0, items.clone()),
            Node::Inner(children) => {
                (1, children.iter().flat_map(|child| [child.node, child.count]).collect())
            }
        };
        std::iter::once(kind).chain(numbers.into_iter().flat_map(u64::to_le_bytes)).collect()
    }

    /// Out of its bytes; `None` if they are not a node's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Node> {
        let (kind, rest) = bytes.split_first()?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        match (kind, rest) {
            (0, []) => Some(Node::Leaf(numbers.collect())),
            (1, []) => {
                let mut children = Vec::with_capacity(numbers.len() / 2);
                while let Some(node) = numbers.next() {
                    children.push(Child { node, count: numbers.next()? });
                }
                Some(Node::Inner(children))
            }
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Node::Leaf(items) => items.len() as u64,
            Node::Inner(children) => children.iter().fold(0, |sum, child| sum.saturating_add(child.count)),
        }
    }

    fn split_off(&mut self, at: usize) -> Node {
        match self {
            Node::Leaf(items) => Node::Leaf(items.split_off(at)),
            Node::Inner(children) => Node::Inner(children.split_off(at)),
        }
    }

    /// Takes in the entries of another one, which is of the same level if the tree is sound.
    fn append(&mut self, other: Node) -> bool {
        match (self, other) {
            (Node::Leaf(items), Node::Leaf(more)) => items.extend(more),
            (Node::Inner(children), Node::Inner(more)) => children.extend(more),
            _ => return false,
        }
        true
    }
}

/// Where what is put goes: at an end nothing follows between what is there, so that full nodes are left behind.
#[derive(Clone, Copy)]
enum Lean {
    Front,
    Even,
    Back,
}

impl Root {
    /// The numbers of the items from an index on, so many at most.
    ///
    /// # Errors
    /// What is read.
    pub fn items(&self, look: &impl Look, from: u64, limit: usize) -> Result<Vec<u64>> {
        let mut found = Vec::with_capacity(limit.min(self.count.saturating_sub(from) as usize));
        if self.node > 0 && from < self.count {
            gather(look, self.whole(), from, limit, &mut found)?;
        }
        Ok(found)
    }

    /// Puts items so that the first of them has an index, which is at most the [count](Root::count).
    ///
    /// # Errors
    /// What is read or written; it may be half done then.
    pub fn insert(&mut self, nodes: &mut impl Nodes, at: u64, items: &[u64]) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let lean = match at {
            at if at == self.count => Lean::Back,
            0 => Lean::Front,
            _ => Lean::Even,
        };
        let mut tree = Tree { nodes, last_node: self.last_node };
        let mut tops = if self.node == 0 {
            let node = tree.fresh();
            tree.spread(node, Node::Leaf(items.to_vec()), lean)?
        } else {
            tree.insert(self.whole(), at, items, lean)?
        };
        while tops.len() > 1 {
            let node = tree.fresh();
            tops = tree.spread(node, Node::Inner(tops), lean)?;
        }
        self.last_node = tree.last_node;
        self.begin_at(tops.first().copied());
        Ok(())
    }

    /// Removes up to so many items from an index on. Their numbers.
    ///
    /// # Errors
    /// As [`insert`](Root::insert).
    pub fn remove(&mut self, nodes: &mut impl Nodes, from: u64, count: u64) -> Result<Vec<u64>> {
        let to = from.saturating_add(count).min(self.count);
        let mut removed = Vec::new();
        if from >= to {
            return Ok(removed);
        }
        let mut tree = Tree { nodes, last_node: self.last_node };
        let mut top = tree.remove(self.whole(), (from, to), &mut removed)?.map(|(child, _)| child);
        // One that has but one child is not needed.
        while let Some(Child { node, .. }) = top
            && let Node::Inner(children) = tree.nodes.read(node)?
            && let [only] = *children
        {
            tree.nodes.remove(node)?;
            top = Some(only);
        }
        self.begin_at(top);
        Ok(removed)
    }

    /// Puts another item in the place of one. The number of that one; `None` if there is none.
    ///
    /// # Errors
    /// As [`insert`](Root::insert).
    pub fn replace(&self, nodes: &mut impl Nodes, at: u64, item: u64) -> Result<Option<u64>> {
        if at >= self.count {
            return Ok(None);
        }
        let (mut child, mut at) = (self.whole(), at);
        loop {
            match read(nodes, child)? {
                Node::Leaf(mut items) => {
                    let place = items.get_mut(at as usize).ok_or_else(|| nodes.odd(child.node))?;
                    let before = std::mem::replace(place, item);
                    nodes.write(child.node, &Node::Leaf(items))?;
                    return Ok(Some(before));
                }
                Node::Inner(children) => {
                    let found = children.iter().find(|child| match at.checked_sub(child.count) {
                        Some(behind) => {
                            at = behind;
                            false
                        }
                        None => true,
                    });
                    child = *found.ok_or_else(|| nodes.odd(child.node))?;
                }
            }
        }
    }

    fn whole(&self) -> Child {
        Child { node: self.node, count: self.count }
    }

    fn begin_at(&mut self, top: Option<Child>) {
        let Child { node, count } = top.unwrap_or(Child { node: 0, count: 0 });
        (self.node, self.count) = (node, count);
    }
}

/// A node, if it has as many items as whoever refers to it says.
fn read(look: &(impl Look + ?Sized), child: Child) -> Result<Node> {
    let node = look.read(child.node)?;
    if node.count() == child.count { Ok(node) } else { Err(look.odd(child.node)) }
}

/// Adds to `found` until it has `limit` items.
fn gather(look: &impl Look, child: Child, mut from: u64, limit: usize, found: &mut Vec<u64>) -> Result<()> {
    match read(look, child)? {
        Node::Leaf(items) => {
            let room = limit.saturating_sub(found.len());
            found.extend(items.into_iter().skip(from as usize).take(room));
        }
        Node::Inner(children) => {
            for child in children {
                if found.len() >= limit {
                    break;
                }
                match from.checked_sub(child.count) {
                    Some(behind) => from = behind,
                    None => gather(look, child, std::mem::take(&mut from), limit, found)?,
                }
            }
        }
    }
    Ok(())
}

/// A tree that is being changed.
struct Tree<'a, N> {
    nodes: &'a mut N,
    last_node: u64,
}

impl<N: Nodes> Tree<'_, N> {
    fn fresh(&mut self) -> u64 {
        self.last_node += 1;
        self.last_node
    }

    /// Keeps what a node has come to: as that node, and as many more behind it as are needed.
    fn spread(&mut self, node: u64, mut content: Node, lean: Lean) -> Result<Vec<Child>> {
        let pieces = content.len().div_ceil(MOST).max(1);
        let rest = content.len() - (pieces - 1) * MOST;
        let mut spread = Vec::with_capacity(pieces);
        for piece in 0..pieces {
            let size = match lean {
                Lean::Front if piece == 0 => rest,
                Lean::Front | Lean::Back => MOST,
                Lean::Even => content.len().div_ceil(pieces - piece),
            };
            let behind = content.split_off(size.min(content.len()));
            let node = if piece == 0 { node } else { self.fresh() };
            self.nodes.write(node, &content)?;
            spread.push(Child { node, count: content.count() });
            content = behind;
        }
        Ok(spread)
    }

    /// What stands in the place of a node once items are put into it.
    fn insert(&mut self, child: Child, mut at: u64, items: &[u64], lean: Lean) -> Result<Vec<Child>> {
        let content = match read(self.nodes, child)? {
            Node::Leaf(mut there) => {
                let at = (at as usize).min(there.len());
                there.splice(at..at, items.iter().copied());
                Node::Leaf(there)
            }
            Node::Inner(mut children) => {
                // Between two of them it goes to the end of the first.
                let place = children.iter().position(|child| match at.checked_sub(child.count) {
                    Some(behind @ 1..) => {
                        at = behind;
                        false
                    }
                    Some(0) | None => true,
                });
                let place = place.ok_or_else(|| self.nodes.odd(child.node))?;
                let into = children.get(place).copied().ok_or_else(|| self.nodes.odd(child.node))?;
                let grown = self.insert(into, at, items, lean)?;
                children.splice(place..=place, grown);
                Node::Inner(children)
            }
        };
        self.spread(child.node, content, lean)
    }

    /// Removes what is between two indexes of a node. What is left of it, and in how many entries; `None` if nothing is.
    fn remove(
        &mut self,
        child: Child,
        (from, to): (u64, u64),
        removed: &mut Vec<u64>,
    ) -> Result<Option<(Child, usize)>> {
        let content = match read(self.nodes, child)? {
            Node::Leaf(mut items) => {
                let end = (to as usize).min(items.len());
                removed.extend(items.drain((from as usize).min(end)..end));
                Node::Leaf(items)
            }
            Node::Inner(children) => {
                let (mut left, mut thin, mut start) = (Vec::with_capacity(children.len()), Vec::new(), 0);
                for child in children {
                    let end = start + child.count;
                    if end <= from || start >= to {
                        left.push(child);
                    } else {
                        let range = (from.saturating_sub(start), to.min(end) - start);
                        if let Some((child, entries)) = self.remove(child, range, removed)? {
                            left.push(child);
                            thin.extend((entries < FEW).then_some(child.node));
                        }
                    }
                    start = end;
                }
                thin.into_iter().try_for_each(|node| self.join(&mut left, node))?;
                Node::Inner(left)
            }
        };
        let entries = content.len();
        if entries == 0 {
            self.nodes.remove(child.node)?;
            return Ok(None);
        }
        self.nodes.write(child.node, &content)?;
        Ok(Some((Child { node: child.node, count: content.count() }, entries)))
    }

    /// One of these has become thin: it becomes one with a neighbour, or they share what they have.
    fn join(&mut self, children: &mut Vec<Child>, thin: u64) -> Result<()> {
        let Some(place) = children.iter().position(|child| child.node == thin) else { return Ok(()) };
        let place = place.saturating_sub(1);
        let Some([first, second]) = children.get(place..place + 2) else { return Ok(()) };
        let (first, second) = (*first, *second);
        let mut content = read(self.nodes, first)?;
        if !content.append(read(self.nodes, second)?) {
            return Err(self.nodes.odd(second.node));
        }
        let joined = if content.len() <= MOST / 4 * 3 {
            self.nodes.remove(second.node)?;
            self.nodes.write(first.node, &content)?;
            vec![Child { node: first.node, count: content.count() }]
        } else {
            let behind = content.split_off(content.len() / 2);
            self.nodes.write(first.node, &content)?;
            self.nodes.write(second.node, &behind)?;
            let child = |node, content: &Node| Child { node, count: content.count() };
            vec![child(first.node, &content), child(second.node, &behind)]
        };
        children.splice(place..place + 2, joined);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

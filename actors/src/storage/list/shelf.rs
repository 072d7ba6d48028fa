//! What is done to lists, by whoever keeps their rows.
//!
//! A database says how a row is found and kept ([`Looks`], [`Shelves`]); what an operation means is here, once for all of them.

use std::ops::Deref;

use super::{
    At, End, Insert, Inserted, Item, Move, Moved, NewItem, Page, Query, Remove, Removed, Replace, Replaced,
    Take, Taken, Trim, Trimmed, clamped, within,
};
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::storage::change::{Changed, Primitive};
use crate::storage::order::{Look, Node, Nodes, Root};
use crate::storage::record::{self, Base, Onto, Put, Refusal};

/// The row of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which row.
    pub id: u64,
    /// So many changes it has had.
    pub version: u64,
    /// Its order.
    pub root: Root,
}

/// Who has the rows of lists, for whoever reads.
pub trait Looks {
    /// The row of a list.
    ///
    /// # Errors
    /// What the database said.
    fn find(&self, name: &Name) -> Result<Option<Row>>;

    /// An item by its version.
    ///
    /// # Errors
    /// What the database said; [`Error::Corrupt`] if it is damaged or not there.
    fn item(&self, name: &Name, list: u64, version: u64) -> Result<Item>;

    /// A node of its order.
    ///
    /// # Errors
    /// As [`item`](Looks::item).
    fn node(&self, name: &Name, list: u64, node: u64) -> Result<Node>;
}

/// Who keeps the rows of lists, within a transaction.
pub trait Shelves: Looks {
    /// Makes the row of a list that has none, without items and of version 0.
    ///
    /// # Errors
    /// What the database said.
    fn make(&mut self, name: &Name) -> Result<Row>;

    /// Keeps how a list stands now.
    ///
    /// # Errors
    /// What the database said.
    fn keep(&mut self, row: &Row) -> Result<()>;

    /// Puts an item under its version.
    ///
    /// # Errors
    /// What the database said.
    fn put(&mut self, name: &Name, list: u64, version: u64, item: &NewItem) -> Result<()>;

    /// Removes an item.
    ///
    /// # Errors
    /// What the database said.
    fn drop(&mut self, list: u64, version: u64) -> Result<()>;

    /// Keeps a node of its order, in place of what is there.
    ///
    /// # Errors
    /// What the database said.
    fn put_node(&mut self, name: &Name, list: u64, node: u64, content: &Node) -> Result<()>;

    /// Removes a node of its order.
    ///
    /// # Errors
    /// What the database said.
    fn drop_node(&mut self, list: u64, node: u64) -> Result<()>;
}

/// The nodes of one list.
struct Of<S> {
    shelves: S,
    name: Name,
    list: u64,
}

impl<S: Deref<Target: Looks>> Look for Of<S> {
    fn read(&self, node: u64) -> Result<Node> {
        self.shelves.node(&self.name, self.list, node)
    }

    fn odd(&self, node: u64) -> Error {
        odd(&self.name, node)
    }
}

impl<S: Shelves> Nodes for Of<&mut S> {
    fn write(&mut self, node: u64, content: &Node) -> Result<()> {
        self.shelves.put_node(&self.name, self.list, node, content)
    }

    fn remove(&mut self, node: u64) -> Result<()> {
        self.shelves.drop_node(self.list, node)
    }
}

fn odd(name: &Name, node: u64) -> Error {
    let detail = "it does not hold as many items as it should".to_owned();
    Error::Corrupt { kind: "order of list", name: name.to_string(), sequence: node, detail }
}

/// A list that an operation is about, as far as it has come.
struct Open<'a, S> {
    shelves: &'a mut S,
    name: &'a Name,
    row: Row,
}

impl<'a, S: Shelves> Open<'a, S> {
    fn find(shelves: &'a mut S, name: &'a Name) -> Result<Option<Open<'a, S>>> {
        Ok(shelves.find(name)?.map(|row| Open { shelves, name, row }))
    }

    fn find_or_make(shelves: &'a mut S, name: &'a Name) -> Result<Open<'a, S>> {
        let row = match shelves.find(name)? {
            Some(row) => row,
            None => shelves.make(name)?,
        };
        Ok(Open { shelves, name, row })
    }

    /// The order, and its nodes.
    fn order(&mut self) -> (&mut Root, Of<&mut S>) {
        let nodes = Of { shelves: &mut *self.shelves, name: self.name.clone(), list: self.row.id };
        (&mut self.row.root, nodes)
    }

    /// The version of the item with an index that there is.
    fn version_at(&mut self, index: u64) -> Result<u64> {
        let (root, nodes) = self.order();
        let found = root.items(&nodes, index, 1)?.first().copied();
        found.ok_or_else(|| nodes.odd(root.node))
    }

    fn item(&self, version: u64) -> Result<Item> {
        self.shelves.item(self.name, self.row.id, version)
    }

    /// So many changes more.
    fn advance(&mut self, by: u64) -> Result<u64> {
        let beyond = || Error::Storage { detail: format!("list \"{}\" has no more versions", self.name) };
        let last = limits::LAST_SEQUENCE;
        let version = self.row.version.checked_add(by).filter(|version| *version <= last);
        self.row.version = version.ok_or_else(beyond)?;
        Ok(self.row.version)
    }

    /// Puts items at an index that there is. Each has a version of its own.
    fn put(&mut self, index: u64, items: &[NewItem]) -> Result<()> {
        let first = self.row.version + 1;
        let last = self.advance(items.len() as u64)?;
        let versions: Vec<u64> = (first..=last).collect();
        let (root, mut nodes) = self.order();
        root.insert(&mut nodes, index, &versions)?;
        for (version, item) in versions.into_iter().zip(items) {
            self.shelves.put(self.name, self.row.id, version, item)?;
        }
        Ok(())
    }

    /// Removes items.
    fn remove(&mut self, from: u64, count: u64) -> Result<()> {
        let (root, mut nodes) = self.order();
        let removed = root.remove(&mut nodes, from, count)?;
        removed.into_iter().try_for_each(|version| self.shelves.drop(self.row.id, version))
    }

    /// Keeps how it stands.
    fn close(self) -> Result<Row> {
        self.shelves.keep(&self.row)?;
        Ok(self.row)
    }
}

/// Puts items.
///
/// # Errors
/// What the database said.
pub fn insert(shelves: &mut impl Shelves, insert: &Insert) -> Result<Inserted> {
    let count = shelves.find(&insert.list)?.map_or(0, |row| row.root.count);
    let Some(index) = insert.at.within(count) else { return Ok(Inserted::Missing { count }) };
    let mut list = Open::find_or_make(shelves, &insert.list)?;
    list.put(index, &insert.items)?;
    let Row { id, version, root } = list.close()?;
    Ok(Inserted::Done { list: id, index, version, count: root.count })
}

/// Takes items from an end.
///
/// # Errors
/// What the database said; [`Error::Corrupt`] if the outermost is damaged.
pub fn take(shelves: &mut impl Shelves, take: &Take) -> Result<Taken> {
    let Some(mut list) = Open::find(shelves, &take.list)? else {
        return Ok(Taken { list: None, items: Vec::new(), left: 0 });
    };
    let count = list.row.root.count;
    let most = u64::from(take.most).min(count);
    let from = if take.end == End::Front { 0 } else { count - most };
    let (root, nodes) = list.order();
    let mut versions = root.items(&nodes, from, most as usize)?;
    if take.end == End::Back {
        versions.reverse();
    }
    let mut items = Vec::with_capacity(versions.len());
    for version in versions {
        match list.item(version) {
            Ok(item) => items.push(item),
            // What is before it can be had.
            Err(Error::Corrupt { .. }) if !items.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    if !items.is_empty() {
        let taken = items.len() as u64;
        list.remove(if take.end == End::Front { 0 } else { count - taken }, taken)?;
        list.advance(1)?;
    }
    let row = if items.is_empty() { list.row } else { list.close()? };
    Ok(Taken { list: Some((row.id, row.version)), items, left: row.root.count })
}

/// Removes one item.
///
/// # Errors
/// What the database said; [`Error::Corrupt`] if it is damaged.
pub fn remove(shelves: &mut impl Shelves, remove: &Remove) -> Result<Removed> {
    let Some(mut list) = Open::find(shelves, &remove.list)? else {
        return Ok(Removed::Missing { count: 0 });
    };
    let count = list.row.root.count;
    let Some(index) = within(remove.index, count) else { return Ok(Removed::Missing { count }) };
    let actual = list.version_at(index)?;
    if remove.expected.is_some_and(|expected| expected != actual) {
        return Ok(Removed::Conflict { actual });
    }
    let item = list.item(actual)?;
    list.remove(index, 1)?;
    list.advance(1)?;
    let Row { id, version, .. } = list.close()?;
    Ok(Removed::Done { list: id, version, index, item })
}

/// Puts a value in the place of an item.
///
/// # Errors
/// What the database said.
pub fn replace(shelves: &mut impl Shelves, replace: &Replace) -> Result<Replaced> {
    let Some(mut list) = Open::find(shelves, &replace.list)? else {
        return Ok(Replaced::Missing { count: 0 });
    };
    let count = list.row.root.count;
    let Some(index) = within(replace.index, count) else { return Ok(Replaced::Missing { count }) };
    let actual = list.version_at(index)?;
    if replace.expected.is_some_and(|expected| expected != actual) {
        return Ok(Replaced::Conflict { actual });
    }
    let version = list.advance(1)?;
    let (root, mut nodes) = list.order();
    root.replace(&mut nodes, index, version)?;
    list.shelves.drop(list.row.id, actual)?;
    list.shelves.put(list.name, list.row.id, version, &replace.item)?;
    let row = list.close()?;
    Ok(Replaced::Done { list: row.id, version })
}

/// Moves one item.
///
/// # Errors
/// What the database said; [`Error::Corrupt`] if it is damaged and goes to another list.
pub fn relocate(shelves: &mut impl Shelves, step: &Move) -> Result<Moved> {
    let no_item = |count| Ok(Moved::Missing { list: step.list.clone(), index: step.index, count });
    let no_place = |count| {
        let index = if let At::Index(index) = step.at { index } else { 0 };
        Ok(Moved::Missing { list: step.to.clone(), index, count })
    };
    let Some(mut list) = Open::find(shelves, &step.list)? else { return no_item(0) };
    let count = list.row.root.count;
    let Some(index) = within(step.index, count) else { return no_item(count) };
    let actual = list.version_at(index)?;
    if step.expected.is_some_and(|expected| expected != actual) {
        return Ok(Moved::Conflict { actual });
    }
    if step.list == step.to {
        let Some(place) = step.at.within(count - 1) else { return no_place(count - 1) };
        let (root, mut nodes) = list.order();
        root.remove(&mut nodes, index, 1)?;
        root.insert(&mut nodes, place, &[actual])?;
        list.advance(1)?;
        let row = list.close()?;
        return Ok(Moved::Done { lists: [(row.id, row.version); 2], index: place, item: None });
    }
    let item = list.item(actual)?;
    let there = list.shelves.find(&step.to)?.map_or(0, |row| row.root.count);
    let Some(place) = step.at.within(there) else { return no_place(there) };
    list.remove(index, 1)?;
    list.advance(1)?;
    let from = list.close()?;
    let mut list = Open::find_or_make(shelves, &step.to)?;
    let Item { data, schema, .. } = item;
    let new = [NewItem { data, schema }];
    list.put(place, &new)?;
    let to = list.close()?;
    let [NewItem { data, schema }] = new;
    let item = Some(Item { version: to.version, data, schema });
    Ok(Moved::Done { lists: [(from.id, from.version), (to.id, to.version)], index: place, item })
}

/// Removes what is not to be kept.
///
/// # Errors
/// What the database said.
pub fn trim(shelves: &mut impl Shelves, trim: &Trim) -> Result<Trimmed> {
    let Some(mut list) = Open::find(shelves, &trim.list)? else { return Ok(trim.step(0).1) };
    let count = list.row.root.count;
    let ([front, back], trimmed) = trim.step(count);
    list.remove(count - back, back)?;
    list.remove(0, front)?;
    let row = if front + back > 0 {
        list.advance(1)?;
        list.close()?
    } else {
        list.row
    };
    Ok(Trimmed { list: Some((row.id, row.version)), ..trimmed })
}

/// Puts a list back, without its items.
///
/// # Errors
/// What the database said.
pub fn put_back(shelves: &mut impl Shelves, onto: Onto, name: &Name, version: u64) -> Result<Put> {
    let is_there = shelves.find(name)?.is_some();
    if is_there && onto == Onto::Nothing {
        return Ok(Put::Refused(Refusal::Exists));
    }
    let mut list = Open::find_or_make(shelves, name)?;
    let before = list.row.version;
    let after = record::behind(before, version, "the version of a list")?;
    if onto == Onto::Replace {
        list.remove(0, list.row.root.count)?;
    }
    list.row.version = after;
    list.close()?;
    Ok(Put::Placed(Base { shift: before.cast_signed(), ..Base::NONE }))
}

/// Puts an item back, behind all others.
///
/// # Errors
/// What the database said.
pub fn put_item_back(shelves: &mut impl Shelves, name: &Name, item: &Item) -> Result<Put> {
    let Some(mut list) = Open::find(shelves, name)? else { return Ok(Put::Refused(Refusal::Orphan)) };
    let Item { version, data, schema } = item;
    let (root, mut nodes) = list.order();
    let end = root.count;
    root.insert(&mut nodes, end, &[*version])?;
    let new = NewItem { data: data.clone(), schema: *schema };
    list.shelves.put(name, list.row.id, *version, &new)?;
    let row = list.close()?;
    let (primitive, sequence) = (Primitive::List, Some(row.version));
    Ok(Put::Written(Some(Changed { primitive, row: row.id, sequence, key: None })))
}

/// Reads one page.
///
/// # Errors
/// What the database said.
pub fn page(looks: &impl Looks, query: &Query) -> Result<Page> {
    let Some(row) = looks.find(&query.list)? else { return Ok(Page::default()) };
    let count = row.root.count;
    let first = clamped(query.from, count);
    let nodes = Of { shelves: looks, name: query.list.clone(), list: row.id };
    let versions = row.root.items(&nodes, first, query.limit as usize)?;
    let (mut items, mut bytes) = (Vec::with_capacity(versions.len()), 0);
    for version in versions {
        if bytes >= limits::PAGE_BYTES {
            break;
        }
        let item = looks.item(&query.list, row.id, version);
        bytes += item.as_ref().map_or(0, |item| item.data.bytes().len());
        items.push(item);
    }
    Ok(Page { first, items, count })
}

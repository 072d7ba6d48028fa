//! Lists in tables: rows, nodes of their order, and items.

use super::counter::Counter;
use super::store::Store;
use crate::error::{Error, Result};
use crate::name::{self, Name};
use crate::storage::list::shelf::{Looks, Row, Shelves};
use crate::storage::list::{Head, Item, NewItem};
use crate::storage::order::{Node, Root};

/// A list that was used.
#[derive(Clone, Debug)]
pub struct List {
    /// Its name.
    pub name: Name,
    /// So many changes it has had.
    pub version: u64,
    /// Of its order.
    pub root: Root,
}

impl List {
    fn row(&self, id: u64) -> Row {
        Row { id, version: self.version, root: self.root }
    }
}

/// List and number, of a node or an item.
pub type Key = (u64, u64);

fn lost(name: &Name, sequence: u64) -> Error {
    let detail = "it is not there".to_owned();
    Error::Corrupt { kind: "list", name: name.to_string(), sequence, detail }
}

impl Looks for Store {
    fn find(&self, name: &Name) -> Result<Option<Row>> {
        let id = self.list_names.get(name);
        Ok(id.and_then(|id| Some(self.lists.get(id)?.row(*id))))
    }

    fn item(&self, name: &Name, list: u64, version: u64) -> Result<Item> {
        self.items.get(&(list, version)).cloned().ok_or_else(|| lost(name, version))
    }

    fn node(&self, name: &Name, list: u64, node: u64) -> Result<Node> {
        self.nodes.get(&(list, node)).cloned().ok_or_else(|| lost(name, node))
    }
}

impl Shelves for Store {
    fn make(&mut self, name: &Name) -> Result<Row> {
        let id = self.next(Counter::List);
        let list = List { name: name.clone(), version: 0, root: Root::default() };
        let row = list.row(id);
        self.list_names.put(name.clone(), id);
        self.lists.put(id, list);
        Ok(row)
    }

    fn keep(&mut self, row: &Row) -> Result<()> {
        if let Some(list) = self.lists.get(&row.id) {
            let list = List { name: list.name.clone(), version: row.version, root: row.root };
            self.lists.put(row.id, list);
        }
        Ok(())
    }

    fn put(&mut self, _: &Name, list: u64, version: u64, item: &NewItem) -> Result<()> {
        let item = Item { version, data: item.data.clone(), schema: item.schema };
        self.items.put((list, version), item);
        Ok(())
    }

    fn drop(&mut self, list: u64, version: u64) -> Result<()> {
        self.items.remove(&(list, version));
        Ok(())
    }

    fn put_node(&mut self, _: &Name, list: u64, node: u64, content: &Node) -> Result<()> {
        self.nodes.put((list, node), content.clone());
        Ok(())
    }

    fn drop_node(&mut self, list: u64, node: u64) -> Result<()> {
        self.nodes.remove(&(list, node));
        Ok(())
    }
}

/// What is read.
impl Store {
    /// How a list stands.
    pub fn list_head(&self, name: &Name) -> Option<Head> {
        let Row { id, version, root } = self.find(name).ok()??;
        Some(Head { id, name: name.to_string(), version, count: root.count })
    }

    /// Lists by name.
    pub fn list_list(&self, after: Option<&str>, limit: u32) -> Vec<Head> {
        let behind = self.list_names.range(name::behind(after));
        behind.filter_map(|(name, _)| self.list_head(name)).take(limit as usize).collect()
    }
}

//! Lists in memory: rows, nodes of their order, and items.

use super::store::Store;
use crate::error::{Error, Result};
use crate::name::Name;
use crate::storage::list::shelf::{Looks, Row, Shelves};
use crate::storage::list::{Head, Item, NewItem};
use crate::storage::order::{Node, Root};

/// A list that was used.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) name: Name,
    version: u64,
    root: Root,
}

impl List {
    fn row(&self, id: u64) -> Row {
        Row { id, version: self.version, root: self.root }
    }
}

/// List and number, of a node or an item.
pub(super) type Key = (u64, u64);

/// What the transaction sees.
pub(super) struct Working<'a>(pub(super) &'a mut Store);

/// What readers see.
pub(super) struct Committed<'a>(pub(super) &'a Store);

fn lost(name: &Name, sequence: u64) -> Error {
    let detail = "it is not there".to_owned();
    Error::Corrupt { kind: "list", name: name.to_string(), sequence, detail }
}

impl Looks for Working<'_> {
    fn find(&self, name: &Name) -> Result<Option<Row>> {
        let id = self.0.list_names.get(name);
        Ok(id.and_then(|id| Some(self.0.lists.get(id)?.row(*id))))
    }

    fn item(&self, name: &Name, list: u64, version: u64) -> Result<Item> {
        self.0.items.get(&(list, version)).cloned().ok_or_else(|| lost(name, version))
    }

    fn node(&self, name: &Name, list: u64, node: u64) -> Result<Node> {
        self.0.nodes.get(&(list, node)).cloned().ok_or_else(|| lost(name, node))
    }
}

impl Looks for Committed<'_> {
    fn find(&self, name: &Name) -> Result<Option<Row>> {
        let id = self.0.list_names.committed().get(name);
        Ok(id.and_then(|id| Some(self.0.lists.committed().get(id)?.row(*id))))
    }

    fn item(&self, name: &Name, list: u64, version: u64) -> Result<Item> {
        self.0.items.committed().get(&(list, version)).cloned().ok_or_else(|| lost(name, version))
    }

    fn node(&self, name: &Name, list: u64, node: u64) -> Result<Node> {
        self.0.nodes.committed().get(&(list, node)).cloned().ok_or_else(|| lost(name, node))
    }
}

impl Shelves for Working<'_> {
    fn make(&mut self, name: &Name) -> Result<Row> {
        // Lists are never removed, so their number is the last id.
        let id = self.0.lists.working().len() as u64 + 1;
        let list = List { name: name.clone(), version: 0, root: Root::default() };
        let row = list.row(id);
        self.0.list_names.put(name.clone(), id);
        self.0.lists.put(id, list);
        Ok(row)
    }

    fn keep(&mut self, row: &Row) -> Result<()> {
        if let Some(list) = self.0.lists.get(&row.id) {
            let list = List { name: list.name.clone(), version: row.version, root: row.root };
            self.0.lists.put(row.id, list);
        }
        Ok(())
    }

    fn put(&mut self, _: &Name, list: u64, version: u64, item: &NewItem) -> Result<()> {
        let item = Item { version, data: item.data.clone(), schema: item.schema };
        self.0.items.put((list, version), item);
        Ok(())
    }

    fn drop(&mut self, list: u64, version: u64) -> Result<()> {
        self.0.items.remove(&(list, version));
        Ok(())
    }

    fn put_node(&mut self, _: &Name, list: u64, node: u64, content: &Node) -> Result<()> {
        self.0.nodes.put((list, node), content.clone());
        Ok(())
    }

    fn drop_node(&mut self, list: u64, node: u64) -> Result<()> {
        self.0.nodes.remove(&(list, node));
        Ok(())
    }
}

/// What is read.
impl Store {
    /// How a list stands.
    pub(super) fn list_head(&self, name: &Name) -> Option<Head> {
        let Row { id, version, root } = Committed(self).find(name).ok()??;
        Some(Head { id, name: name.to_string(), version, count: root.count })
    }

    /// Lists by name.
    pub(super) fn list_list(&self, after: Option<&str>, limit: u32) -> Vec<Head> {
        let names = self.list_names.committed().keys();
        let behind = names.filter(|name| after.is_none_or(|after| name.as_str() > after));
        behind.filter_map(|name| self.list_head(name)).take(limit as usize).collect()
    }
}

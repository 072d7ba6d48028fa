//! Lists: a row each, a row an item, and a row a node of their order.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::list::shelf::{Looks, Row, Shelves};
use millpond_actors::storage::list::{Head, Item, NewItem};
use millpond_actors::storage::order::{Node, Root};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as Columns, params};

use super::data::{data_column, data_from};
use super::error::{corrupt, database};
use super::look_up::look_up;

/// All lists, through a connection.
pub(super) struct Shelf<'a>(pub(super) &'a Connection);

const LIST: &str = "SELECT l.id, l.version, l.root, l.count, l.last_node, l.name = ?1
    FROM list i LEFT JOIN list l ON l.id = i.id WHERE i.name = ?1";
const ITEM: &str = "SELECT format, schema, crc, data FROM list_item WHERE list = ?1 AND version = ?2";
const NODE: &str = "SELECT crc, content FROM list_node WHERE list = ?1 AND node = ?2";

impl Looks for Shelf<'_> {
    fn find(&self, name: &Name) -> Result<Option<Row>> {
        let read = |row: &Columns<'_>| {
            let root = Root { node: row.get(2)?, count: row.get(3)?, last_node: row.get(4)? };
            Ok(Row { id: row.get(0)?, version: row.get(1)?, root })
        };
        look_up(self.0, LIST, ("list", name), [name.as_str()], read)
    }

    fn item(&self, name: &Name, list: u64, version: u64) -> Result<Item> {
        let odd = |detail: String| corrupt("item of list", name.as_str(), version, detail);
        let mut statement = self.0.prepare_cached(ITEM).map_err(database)?;
        let mut rows = statement.query([list, version]).map_err(database)?;
        let row = rows.next().map_err(database)?.ok_or_else(|| odd("it is not there".into()))?;
        let numbers = || Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (format, schema, crc): (u8, u32, u32) =
            numbers().map_err(|error: rusqlite::Error| odd(error.to_string()))?;
        let data = data_from(format, row.get_ref(3).map_err(database)?);
        let data = data.ok_or_else(|| odd("its data is not of its format".into()))?;
        let item = NewItem { data, schema };
        let found = checksum_of(name, version, &item);
        if found != crc {
            return Err(odd(format!("its checksum is {found:08x}, stored is {crc:08x}")));
        }
        Ok(Item { version, data: item.data, schema })
    }

    fn node(&self, name: &Name, list: u64, node: u64) -> Result<Node> {
        let odd = |detail: &str| corrupt("order of list", name.as_str(), node, detail);
        let mut statement = self.0.prepare_cached(NODE).map_err(database)?;
        let mut rows = statement.query([list, node]).map_err(database)?;
        let row = rows.next().map_err(database)?.ok_or_else(|| odd("it is not there"))?;
        let crc: u32 = row.get(0).map_err(|error| odd(&error.to_string()))?;
        match row.get_ref(1).map_err(database)? {
            ValueRef::Blob(content) if node_checksum(name, node, content) == crc => {
                Node::from_bytes(content).ok_or_else(|| odd("it is no node"))
            }
            _ => Err(odd("its checksum is another one")),
        }
    }
}

fn checksum_of(name: &Name, version: u64, item: &NewItem) -> u32 {
    let (format, data) = (item.data.format(), item.data.bytes());
    checksum::record(Kind::Item, name.as_str(), version, "", format, item.schema, data)
}

fn node_checksum(name: &Name, node: u64, content: &[u8]) -> u32 {
    checksum::record(Kind::Order, name.as_str(), node, "", 0, 0, content)
}

const MAKE: &str = "INSERT INTO list (name, version, root, count, last_node) VALUES (?1, 0, 0, 0, 0)";
const KEEP: &str = "UPDATE list SET version = ?2, root = ?3, count = ?4, last_node = ?5 WHERE id = ?1";
const PUT: &str =
    "INSERT INTO list_item (list, version, schema, format, crc, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const DROP: &str = "DELETE FROM list_item WHERE list = ?1 AND version = ?2";
const PUT_NODE: &str = "INSERT INTO list_node (list, node, crc, content) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (list, node) DO UPDATE SET crc = excluded.crc, content = excluded.content";
const DROP_NODE: &str = "DELETE FROM list_node WHERE list = ?1 AND node = ?2";

impl Shelves for Shelf<'_> {
    fn make(&mut self, name: &Name) -> Result<Row> {
        let mut statement = self.0.prepare_cached(MAKE).map_err(database)?;
        let id = statement.insert([name.as_str()]).map_err(database)?.unsigned_abs();
        Ok(Row { id, version: 0, root: Root::default() })
    }

    fn keep(&mut self, row: &Row) -> Result<()> {
        let Row { id, version, root: Root { node, count, last_node } } = *row;
        self.run(KEEP, params![id, version, node, count, last_node])
    }

    fn put(&mut self, name: &Name, list: u64, version: u64, item: &NewItem) -> Result<()> {
        let (crc, format) = (checksum_of(name, version, item), item.data.format());
        self.run(PUT, params![list, version, item.schema, format, crc, data_column(&item.data)])
    }

    fn drop(&mut self, list: u64, version: u64) -> Result<()> {
        self.run(DROP, params![list, version])
    }

    fn put_node(&mut self, name: &Name, list: u64, node: u64, content: &Node) -> Result<()> {
        let content = content.to_bytes();
        self.run(PUT_NODE, params![list, node, node_checksum(name, node, &content), content])
    }

    fn drop_node(&mut self, list: u64, node: u64) -> Result<()> {
        self.run(DROP_NODE, params![list, node])
    }
}

impl Shelf<'_> {
    fn run(&self, sql: &'static str, values: impl rusqlite::Params) -> Result<()> {
        self.0.prepare_cached(sql).map_err(database)?.execute(values).map_err(database)?;
        Ok(())
    }
}

/// How a list stands.
pub(super) fn head(connection: &Connection, name: &Name) -> Result<Option<Head>> {
    let found = Shelf(connection).find(name)?;
    let shown = |Row { id, version, root }| Head { id, name: name.to_string(), version, count: root.count };
    Ok(found.map(shown))
}

const HEADS: &str = "SELECT id, name, version, count FROM list
    WHERE ?1 IS NULL OR name > ?1 ORDER BY name LIMIT ?2";

/// Up to so many lists behind a name.
pub(super) fn list(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<Head>> {
    let mut statement = connection.prepare_cached(HEADS).map_err(database)?;
    let read = |row: &Columns<'_>| {
        Ok(Head { id: row.get(0)?, name: row.get(1)?, version: row.get(2)?, count: row.get(3)? })
    };
    let rows = statement.query_map(params![after, limit], read).map_err(database)?;
    rows.collect::<rusqlite::Result<_>>().map_err(database)
}

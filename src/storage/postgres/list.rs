//! Lists, their items, and the nodes of their order.

use millpond_actors::engine::Store;
use millpond_actors::engine::list::{Key, List};
use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::list::Item;
use millpond_actors::storage::order::{Node, Root};
use tokio_postgres::Row;

use super::error::odd;
use super::param::{Param, Reading};
use super::shape::{Plan, Shape};
use super::stream::check;

const LIST: &str = "SELECT l.id, l.name, l.version, l.root, l.count, l.last_node FROM @list l WHERE true";

pub(super) static LISTS: Shape<u64, List> = Shape {
    select: LIST,
    keys: &["l.id"],
    table: |store| &mut store.lists,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_list(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static LIST_NAMES: Shape<Name, u64> = Shape {
    select: LIST,
    keys: &["l.name"],
    table: |store| &mut store.list_names,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| take_list(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static LIST_PLAN: Plan<u64, List> = Plan {
    name: "list",
    columns: &["id", "name", "version", "root", "count", "last_node"],
    keys: 1,
    table: |store| &store.lists,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, list, columns| {
        let Root { node, count, last_node } = list.root;
        columns
            .number(*id)
            .text(list.name.as_str())
            .number(list.version)
            .number(node)
            .number(count)
            .number(last_node);
    },
    appended: false,
};

fn take_list(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let (id, name, version) = (row.number()?, Name::unchecked(row.next()?), row.number()?);
    let root = Root { node: row.number()?, count: row.number()?, last_node: row.number()? };
    store.lists.fetched(id, List { name: name.clone(), version, root });
    store.list_names.fetched(name.clone(), id);
    Ok((id, name))
}

pub(super) static ITEMS: Shape<Key, Item> = Shape {
    select: "SELECT i.list, i.version, i.schema, i.format, i.crc, i.data, i.bytes FROM @list_item i WHERE true",
    keys: &["i.list", "i.version"],
    table: |store| &mut store.items,
    parts: |(list, version)| vec![Param::number(*list), Param::number(*version)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let (list, version) = (row.number()?, row.number()?);
        let (schema, format, crc) = (row.small()?, row.small()?, row.small()?);
        let item = Item { version, data: row.data(format)?, schema };
        check("list", list, version, checksum_of(list, &item), crc)?;
        store.items.fetched((list, version), item);
        Ok((list, version))
    },
    most: 1_024,
};

pub(super) static ITEM_PLAN: Plan<Key, Item> = Plan {
    name: "list_item",
    columns: &["list", "version", "schema", "format", "crc", "data", "bytes"],
    keys: 2,
    table: |store| &store.items,
    parts: |(list, version)| vec![Param::number(*list), Param::number(*version)],
    write: |_, (list, version), item, columns| {
        columns.number(*list).number(*version).int(item.schema.into()).int(item.data.format().into());
        columns.int(checksum_of(*list, item).into()).data(&item.data);
    },
    appended: false,
};

fn checksum_of(list: u64, item: &Item) -> u32 {
    checksum::record(
        Kind::Item,
        &list.to_string(),
        item.version,
        "",
        item.data.format(),
        item.schema,
        item.data.bytes(),
    )
}

pub(super) static NODES: Shape<Key, Node> = Shape {
    select: "SELECT n.list, n.node, n.content FROM @list_node n WHERE true",
    keys: &["n.list", "n.node"],
    table: |store| &mut store.nodes,
    parts: |(list, node)| vec![Param::number(*list), Param::number(*node)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (row.number()?, row.number()?);
        let node = Node::from_bytes(row.next()?).ok_or_else(|| odd("a node of a list is none"))?;
        store.nodes.fetched(key, node);
        Ok(key)
    },
    most: 1_024,
};

pub(super) static NODE_PLAN: Plan<Key, Node> = Plan {
    name: "list_node",
    columns: &["list", "node", "content"],
    keys: 2,
    table: |store| &store.nodes,
    parts: |(list, node)| vec![Param::number(*list), Param::number(*node)],
    write: |_, (list, number), node, columns| {
        columns.number(*list).number(*number).maybe_bytes(Some(node.to_bytes().into()));
    },
    appended: false,
};

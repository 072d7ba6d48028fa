//! `list push`, `pop`, `get`, `range`, `insert`, `set`, `delete`, `move`, `trim` and `list`.

pub(crate) mod args;

use std::ops::Bound;
use std::time::Duration;

use millpond::blocking::{List, Store};
use millpond::{Item, ListEnd, ListHead};
use serde::Serialize;
use serde_json::json;

use self::args::{Pop, Push, Range};
use crate::failure::{Done, Failure, Unshown, code, complain};
use crate::input::{Json, compacted, json_from};
use crate::pages;
use crate::show::{Listing, Show, compact_json};

/// Rows that are laid out together, and names that are asked for at once.
const ROWS: usize = 200;

/// What is printed of an item for programs.
#[derive(Serialize)]
struct Shown {
    index: u64,
    version: u64,
    data: Json,
}

fn as_json(item: &Item<Json>) -> Done<Shown> {
    Ok(Shown { index: item.index(), version: item.version(), data: compacted(item)? })
}

fn of(store: &Store, name: &str) -> List<Json> {
    store.list(name)
}

pub(crate) fn push(store: &Store, push: Push, show: &mut Show) -> Done<u8> {
    let value = json_from(push.data)?;
    let list = of(store, &push.name);
    let count = if push.front { list.push_front(&value)? } else { list.push_back(&value)? };
    if show.is_json() {
        show.json(&json!({"list": push.name, "count": count}))?;
    } else {
        show.line(&counted(count))?;
    }
    Ok(code::DONE)
}

fn counted(count: u64) -> String {
    if count == 1 { "1 item".to_owned() } else { format!("{count} items") }
}

/// What could not be printed goes back to where it was.
pub(crate) fn pop(store: &Store, pop: &Pop, show: &mut Show) -> Done<u8> {
    let list = of(store, &pop.name);
    // A signal ends this process while it waits: nothing is taken then.
    let found = match (pop.wait, pop.back) {
        (None, false) => Some(list.pop_front()?),
        (None, true) => Some(list.pop_back()?),
        (Some(Duration::ZERO), false) => list.try_pop_front()?,
        (Some(Duration::ZERO), true) => list.try_pop_back()?,
        (Some(time), false) => list.pop_front_within(time)?,
        (Some(time), true) => list.pop_back_within(time)?,
    };
    let Some(value) = found else {
        let why = match pop.wait {
            Some(wait) if wait > Duration::ZERO => format!("had no item within {wait:?}"),
            _ => "has no item".to_owned(),
        };
        complain("list pop", &format!("list \"{}\" {why}", pop.name));
        return Ok(code::NOT_ACQUIRED);
    };
    if let Err(error) = print(&pop.name, &value, show) {
        let end = if pop.back { ListEnd::Back } else { ListEnd::Front };
        list.push_all(end, [value])?;
        return Err(error);
    }
    Ok(code::DONE)
}

fn print(list: &str, value: &Json, show: &mut Show) -> Done<()> {
    if show.is_json() {
        show.json(&json!({"list": list, "data": compacted(value)?}))?;
    } else {
        show.line(value.get())?;
    }
    Ok(show.flush()?)
}

/// For people it is the value, as it was put there.
pub(crate) fn get(store: &Store, (name, index): (&str, i64), show: &mut Show) -> Done<u8> {
    let missing = || Failure::Failed(format!("there is no item {index} in list \"{name}\""));
    let item = of(store, name).get(index)?.ok_or_else(missing)?;
    if show.is_json() {
        show.json(&as_json(&item)?)?;
    } else {
        show.line(item.get())?;
    }
    Ok(code::DONE)
}

pub(crate) fn range(store: &Store, range: &Range, show: &mut Show) -> Done<u8> {
    let mut items = of(store, &range.name).items(between(range.from, range.to));
    if let Some(limit) = range.limit {
        items = items.limit(limit);
    }
    let (mut listing, mut rows) = (Listing::new(&["index", "version", "data"]), Vec::new());
    let mut unshown = Unshown::new("list range");
    for found in items {
        let Some(item) = unshown.sound(found)? else { continue };
        if show.is_json() {
            show.json(&as_json(&item)?)?;
            continue;
        }
        rows.push(vec![item.index().to_string(), item.version().to_string(), compact_json(item.get())]);
        if rows.len() == ROWS {
            show.rows(&mut listing, std::mem::take(&mut rows))?;
        }
    }
    if !rows.is_empty() {
        show.rows(&mut listing, rows)?;
    }
    Ok(unshown.code())
}

fn between(from: i64, to: Option<i64>) -> (Bound<i64>, Bound<i64>) {
    (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded))
}

pub(crate) fn insert(store: &Store, (name, index): (&str, i64), data: String, show: &mut Show) -> Done<u8> {
    let at = of(store, name).insert(index, &json_from(data)?)?;
    if show.is_json() {
        show.json(&json!({"list": name, "index": at}))?;
    } else {
        show.line(&format!("index {at}"))?;
    }
    Ok(code::DONE)
}

pub(crate) fn set(
    store: &Store,
    (name, index, version): (&str, i64, Option<u64>),
    data: String,
    show: &mut Show,
) -> Done<u8> {
    let (list, value) = (of(store, name), json_from(data)?);
    let version = match version {
        Some(version) => list.set_if(index, &value, version)?,
        None => list.set(index, &value)?,
    };
    if show.is_json() {
        show.json(&json!({"list": name, "index": index, "version": version}))?;
    } else {
        show.line(&format!("version {version}"))?;
    }
    Ok(code::DONE)
}

/// Prints what it was.
pub(crate) fn delete(
    store: &Store,
    (name, index, version): (&str, i64, Option<u64>),
    show: &mut Show,
) -> Done<u8> {
    let list = of(store, name);
    let item = match version {
        Some(version) => list.remove_if(index, version)?,
        None => list.remove(index)?,
    };
    if show.is_json() {
        show.json(&as_json(&item)?)?;
    } else {
        show.line(item.get())?;
    }
    Ok(code::DONE)
}

pub(crate) fn move_item(store: &Store, (name, index, to): (&str, i64, i64), show: &mut Show) -> Done<u8> {
    of(store, name).move_item(index, to)?;
    if show.is_json() {
        show.json(&json!({"list": name, "from": index, "to": to}))?;
    } else {
        show.line(&format!("item {index} of list \"{name}\" is at {to} now"))?;
    }
    Ok(code::DONE)
}

pub(crate) fn trim(store: &Store, (name, from, to): (&str, i64, Option<i64>), show: &mut Show) -> Done<u8> {
    let removed = of(store, name).trim(between(from, to))?;
    if show.is_json() {
        show.json(&json!({"list": name, "removed": removed}))?;
    } else {
        show.line(&format!("{} removed", counted(removed)))?;
    }
    Ok(code::DONE)
}

/// All lists.
pub(crate) fn heads(store: &Store) -> Done<Vec<ListHead>> {
    pages::all(ROWS as u32, |head: &ListHead| &head.name, |after| store.inspect().lists(after, ROWS as u32))
}

pub(crate) fn all(store: &Store, show: &mut Show) -> Done<u8> {
    let heads = heads(store)?;
    if show.is_json() {
        for ListHead { name, version, count, .. } in heads {
            show.json(&json!({"list": name, "items": count, "version": version}))?;
        }
    } else if heads.is_empty() {
        show.line("no list was used yet")?;
    } else {
        let row = |head: ListHead| vec![head.name, head.count.to_string(), head.version.to_string()];
        show.table(&["name", "items", "version"], heads.into_iter().map(row).collect())?;
    }
    Ok(code::DONE)
}

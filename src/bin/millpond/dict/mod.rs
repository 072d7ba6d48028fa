//! `dict get`, `set`, `delete`, `increment`, `list` and `watch`; `index`, `unindex` and `indexes` are in `index`.

pub(crate) mod args;
mod handle;
pub(crate) mod index;

use millpond::blocking::Store;
use millpond::{DictChange, DictHead, Entry, Put};
use serde::Serialize;
use serde_json::json;

use self::args::{List, Set};
use self::handle::{Handle, Key};
use crate::failure::{Done, Failure, Unshown, code};
use crate::input::{Json, compacted, json_from};
use crate::pages;
use crate::show::{Listing, Show, compact_json};
use crate::signals::close_on_signal;
use crate::time::rfc3339;

/// Rows that are laid out together, and names that are asked for at once.
const ROWS: usize = 200;

/// What is printed of an entry for programs.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
    data: Json,
}

fn as_json(entry: &Entry<Json>) -> Done<Shown<'_>> {
    let ends = entry.ends_at_ms().map(rfc3339);
    Ok(Shown { key: entry.key(), version: entry.version(), ends, data: compacted(entry)? })
}

/// For people it is the value, as it was put there.
pub(crate) fn get(store: &Store, (name, key): (&str, &str), seal: &Key, show: &mut Show) -> Done<u8> {
    let found = Handle::new(store, name, seal)?.get(key)?;
    let entry = found.ok_or_else(|| Failure::Failed(format!("there is no \"{key}\" in dict \"{name}\"")))?;
    if show.is_json() {
        show.json(&as_json(&entry)?)?;
    } else {
        show.line(entry.get())?;
    }
    Ok(code::DONE)
}

pub(crate) fn set(store: &Store, set: Set, show: &mut Show) -> Done<u8> {
    let value = json_from(set.data)?;
    let mut put = Put::new();
    if let Some(ttl) = set.ttl {
        put = put.ttl(ttl);
    }
    put = match set.version {
        Some(version) => put.version(version),
        None if set.absent => put.absent(),
        None if set.present => put.present(),
        None => put,
    };
    let version = Handle::new(store, &set.name, &set.seal)?.set_with(&set.key, &value, put)?;
    if show.is_json() {
        show.json(&json!({"dict": set.name, "key": set.key, "version": version}))?;
    } else {
        show.line(&format!("version {version}"))?;
    }
    Ok(code::DONE)
}

pub(crate) fn delete(store: &Store, (name, key): (&str, &str), seal: &Key, show: &mut Show) -> Done<u8> {
    let was = Handle::new(store, name, seal)?.delete(key)?;
    if show.is_json() {
        show.json(&json!({"dict": name, "key": key, "deleted": was}))?;
    } else if was {
        show.line(&format!("\"{key}\" of dict \"{name}\" is gone"))?;
    } else {
        show.line(&format!("there was no \"{key}\" in dict \"{name}\""))?;
    }
    Ok(code::DONE)
}

pub(crate) fn increment(store: &Store, (name, key, by): (&str, &str, i64), show: &mut Show) -> Done<u8> {
    let sum = store.dict::<Json>(name).increment(key, by)?;
    if show.is_json() {
        show.json(&json!({"dict": name, "key": key, "value": sum}))?;
    } else {
        show.line(&sum.to_string())?;
    }
    Ok(code::DONE)
}

pub(crate) fn list(store: &Store, list: &List, show: &mut Show) -> Done<u8> {
    let Some(name) = &list.name else { return all(store, show) };
    if let (Some(filter), true) = (&list.filter, list.explain) {
        return index::explain(store, name, filter.clone(), show);
    }
    let mut entries = Handle::new(store, name, &list.seal)?.entries(&list.prefix)?;
    if let Some(filter) = &list.filter {
        entries = entries.matching(filter.clone());
    }
    if let Some(after) = &list.after {
        entries = entries.after(after);
    }
    if list.backward {
        entries = entries.last_first();
    }
    if let Some(limit) = list.limit {
        entries = entries.limit(limit);
    }
    let (mut listing, mut rows) = (Listing::new(&["key", "version", "ends", "data"]), Vec::new());
    let mut unshown = Unshown::new("dict list");
    for found in entries {
        let Some(entry) = unshown.sound(found)? else { continue };
        if show.is_json() {
            show.json(&as_json(&entry)?)?;
            continue;
        }
        let ends = show.moment(entry.ends_at_ms().map_or_else(String::new, rfc3339));
        rows.push(vec![
            show.quarter(entry.key()),
            entry.version().to_string(),
            ends,
            compact_json(entry.get()),
        ]);
        if rows.len() == ROWS {
            show.rows(&mut listing, std::mem::take(&mut rows))?;
        }
    }
    if !rows.is_empty() {
        show.rows(&mut listing, rows)?;
    }
    Ok(unshown.code())
}

/// Prints what changes, at once, until a signal. What is gone has no data.
pub(crate) fn watch(store: &Store, (name, prefix): (&str, &str), seal: &Key, show: &mut Show) -> Done<u8> {
    let changes = Handle::new(store, name, seal)?.watch(prefix)?;
    let _ear = close_on_signal(store)?;
    let (mut listing, mut unshown) = (Listing::new(&["key", "version", "data"]), Unshown::new("dict watch"));
    if !show.is_json() {
        show.rows(&mut listing, Vec::new())?;
    }
    show.flush()?;
    for found in changes {
        let Some(DictChange { key, version, entry, .. }) = unshown.sound(found)? else { continue };
        let data = entry.as_deref().map(|value| compact_json(value.get()));
        if show.is_json() {
            let data = entry.as_deref().map(|value| compacted(value)).transpose()?;
            show.json(&json!({"key": key, "version": version, "gone": data.is_none(), "data": data}))?;
        } else {
            let data = data.unwrap_or_else(|| "(gone)".to_owned());
            show.rows(&mut listing, vec![vec![show.quarter(&key), version.to_string(), data]])?;
        }
        show.flush()?;
    }
    Ok(unshown.code())
}

/// What is printed of a dict for programs.
#[derive(Serialize)]
struct ShownDict {
    dict: String,
    entries: u64,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<bool>,
}

/// All dicts.
pub(crate) fn heads(store: &Store) -> Done<Vec<DictHead>> {
    pages::all(ROWS as u32, |head: &DictHead| &head.name, |after| store.inspect().dicts(after, ROWS as u32))
}

fn all(store: &Store, show: &mut Show) -> Done<u8> {
    let heads = heads(store)?;
    if show.is_json() {
        for DictHead { name, version, count, sealed, .. } in heads {
            show.json(&ShownDict { dict: name, entries: count, version, sealed: sealed.then_some(true) })?;
        }
    } else if heads.is_empty() {
        show.line("no dict was used yet")?;
    } else {
        let row = |head: DictHead| {
            let sealed = if head.sealed { "sealed" } else { "" };
            vec![head.name, head.count.to_string(), head.version.to_string(), sealed.to_owned()]
        };
        show.table(&["name", "entries", "version", "values"], heads.into_iter().map(row).collect())?;
    }
    Ok(code::DONE)
}

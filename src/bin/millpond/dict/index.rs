//! `dict index`, `unindex` and `indexes`, and what `dict list --explain` says.

use millpond::blocking::Store;
use millpond::{DictIndex, Where};
use serde_json::json;

use crate::failure::{Done, code};
use crate::input::Json;
use crate::show::Show;

pub(crate) fn make(store: &Store, name: &str, fields: &[String], show: &mut Show) -> Done<u8> {
    store.dict::<Json>(name).index(fields)?;
    list(store, name, show)
}

pub(crate) fn remove(store: &Store, name: &str, fields: &[String], show: &mut Show) -> Done<u8> {
    let removed = store.dict::<Json>(name).unindex(fields)?;
    if show.is_json() {
        show.json(&json!({"dict": name, "removed": removed}))?;
    } else {
        let word = if removed == 1 { "index is" } else { "indexes are" };
        show.line(&format!("{removed} {word} removed"))?;
    }
    Ok(code::DONE)
}

pub(crate) fn list(store: &Store, name: &str, show: &mut Show) -> Done<u8> {
    let indexes = store.dict::<Json>(name).indexes()?;
    if show.is_json() {
        for index in &indexes {
            let (field, entries) = (&index.field, index.entries);
            show.json(&json!({"dict": name, "field": field, "state": state(index), "entries": entries}))?;
        }
    } else if indexes.is_empty() {
        show.line(&format!("dict \"{name}\" has no index"))?;
    } else {
        let row =
            |index: &DictIndex| vec![index.field.clone(), state(index).to_owned(), index.entries.to_string()];
        show.table(&["field", "state", "entries"], indexes.iter().map(row).collect())?;
    }
    Ok(code::DONE)
}

fn state(index: &DictIndex) -> &'static str {
    match index {
        DictIndex { complete: true, .. } => "complete",
        DictIndex { leaving: true, .. } => "being removed",
        _ => "being made",
    }
}

/// How entries would be found.
pub(super) fn explain(store: &Store, name: &str, filter: Where, show: &mut Show) -> Done<u8> {
    let explained = store.dict::<Json>(name).explain(filter)?;
    if !show.is_json() {
        for line in explained.to_string().lines() {
            show.line(line)?;
        }
        return Ok(code::DONE);
    }
    let unused = explained.unused.iter().map(|(index, reason)| json!({"index": index, "reason": reason}));
    show.json(&json!({
        "dict": name,
        "index": explained.index,
        "answered": explained.answered,
        "left": explained.left,
        "entries": explained.entries,
        "or_more": explained.or_more,
        "unused": unused.collect::<Vec<_>>(),
    }))?;
    Ok(code::DONE)
}

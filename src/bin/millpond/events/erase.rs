//! `events delete` and `shred`.

use millpond::blocking::Store;

use crate::args::Delete;
use crate::failure::{Done, code};
use crate::show::{Show, count};

pub(crate) fn delete(store: &Store, delete: &Delete, show: &mut Show) -> Done<u8> {
    let (events, stream) = (store.events(), &delete.stream);
    let deleted = if delete.close {
        events.tombstone(stream, delete.expect)?
    } else {
        events.delete(stream, delete.expect)?
    };
    if show.is_json() {
        show.json(&serde_json::json!({
            "stream": stream,
            "deleted": deleted.events,
            "version": deleted.version,
            "closed": delete.close,
        }))?;
    } else {
        let closed = if delete.close { ", closed for ever" } else { "" };
        let events = count(deleted.events, "event", "events");
        show.line(&format!("{events} deleted, version {}{closed}", deleted.version))?;
    }
    Ok(code::DONE)
}

pub(crate) fn shred(store: &Store, subject: &str, show: &mut Show) -> Done<u8> {
    let had_key = store.subject(subject).shred()?;
    if show.is_json() {
        show.json(&serde_json::json!({ "subject": subject, "had_key": had_key }))?;
    } else {
        let words = if had_key { "the key is destroyed" } else { "there is no key, and there will be none" };
        show.line(words)?;
    }
    Ok(code::DONE)
}

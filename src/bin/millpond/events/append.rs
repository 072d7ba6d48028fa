//! `events append`.

use millpond::blocking::Store;
use millpond::{Event, Origin};

use crate::args::Append;
use crate::failure::{Done, Failure, code};
use crate::input::read_input;
use crate::show::Show;

pub(crate) fn append(store: &Store, append: Append, show: &mut Show) -> Done<u8> {
    let data = if append.data == "-" { read_input()? } else { append.data };
    let mut event = Event::from_json(append.event_type, data.trim()).map_err(|error| {
        let hint = "a text is JSON only in quotes: '\"hello\"'";
        Failure::Failed(format!("{error} ({hint})"))
    })?;
    if let Some(id) = append.id {
        event = event.id(id);
    }
    if let Some(at) = append.at {
        event = event.at(at);
    }
    let mut origin = Origin::new();
    if let Some(actor) = append.actor {
        origin = origin.actor(actor);
    }
    if let Some(tenant) = append.tenant {
        origin = origin.tenant(tenant);
    }
    event = event.schema(append.schema).origin(origin);
    let placed = store.events().append(&append.stream, append.expect, [event])?;
    if show.is_json() {
        show.json(&serde_json::json!({
            "stream": append.stream,
            "version": placed.version,
            "position": placed.position,
            "repeated": placed.repeated,
        }))?;
    } else {
        let before = if placed.repeated { " (it was there already)" } else { "" };
        show.line(&format!("version {}, position {}{before}", placed.version, placed.position))?;
    }
    Ok(code::DONE)
}

//! `events read` and `all`.

use millpond::blocking::{EventStream, Store};
use millpond::{Error, Recorded, Result};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{From, ROWS, existing, of_category, raw};
use crate::args::{All, Read};
use crate::failure::{Done, Unshown};
use crate::show::{Listing, Show, compact_json};
use crate::signals::close_on_signal;
use crate::time::rfc3339;

pub(crate) fn read(store: &Store, read: &Read, show: &mut Show) -> Done<u8> {
    existing(store, &read.stream)?;
    let mut stream = store.events().read_stream(&read.stream);
    if let Some(from) = read.from {
        stream = stream.from(from);
    }
    if let Some(to) = read.to {
        stream = stream.to(to);
    }
    if let Some(limit) = read.limit {
        stream = stream.limit(limit);
    }
    if read.backward {
        stream = stream.backward();
    }
    if let Some(filter) = &read.filter {
        stream = stream.matching(filter.clone());
    }
    let mut printer = Printer::new("events read", Listing::new(&["version", "time", "type", "data"]));
    printer.print(stream, show)?;
    Ok(printer.code())
}

pub(crate) fn all(store: &Store, all: &All, show: &mut Show) -> Done<u8> {
    let listing = Listing::new(&["position", "time", "stream", "type", "data"]);
    let mut printer = Printer::new("events all", listing);
    let limit = all.limit.unwrap_or(u64::MAX);
    // What comes later is followed, or is nobody's business here.
    let head = store.events().head()?;
    if head > all.after {
        printer.print(select(store, all, all.after).to(head).limit(limit), show)?;
    }
    if all.follow {
        show.flush()?;
        let _ear = close_on_signal(store)?;
        let left = limit.saturating_sub(printer.printed);
        for event in select(store, all, head.max(all.after)).limit(left).follow()? {
            if event == Err(Error::Closed) {
                break;
            }
            printer.print([event], show)?;
            show.flush()?;
        }
    }
    Ok(printer.code())
}

fn select(store: &Store, all: &All, seen: u64) -> EventStream {
    let stream = of_category(store, all.category.as_deref()).after(seen);
    let mut stream = stream.event_types(&all.types);
    if let Some(filter) = &all.filter {
        stream = stream.matching(filter.clone());
    }
    match &all.tenant {
        Some(tenant) => stream.tenant(tenant),
        None => stream,
    }
}

/// Prints events as they come, and remembers whether one of them was damaged.
struct Printer {
    command: &'static str,
    listing: Listing,
    printed: u64,
    unshown: Unshown,
}

impl Printer {
    fn new(command: &'static str, listing: Listing) -> Printer {
        Printer { command, listing, printed: 0, unshown: Unshown::new(command) }
    }

    fn print(&mut self, events: impl IntoIterator<Item = Result<Recorded>>, show: &mut Show) -> Done<()> {
        let mut rows = Vec::new();
        for event in events {
            let Some(event) = self.unshown.sound(event)? else { continue };
            self.printed += 1;
            if show.is_json() {
                show.json(&as_json(&event)?)?;
                continue;
            }
            rows.push(self.row(&event, show));
            if rows.len() == ROWS {
                show.rows(&mut self.listing, std::mem::take(&mut rows))?;
            }
        }
        if !rows.is_empty() {
            show.rows(&mut self.listing, rows)?;
        }
        Ok(())
    }

    fn row(&self, event: &Recorded, show: &Show) -> Vec<String> {
        let time = show.moment(event.at().map_or_else(|| rfc3339(event.recorded_at_ms()), str::to_owned));
        let data = event.json().map_or_else(|| "(not JSON)".to_owned(), compact_json);
        let event_type = show.quarter(event.event_type());
        if self.command == "events read" {
            return vec![event.version().to_string(), time, event_type, data];
        }
        vec![event.position().to_string(), time, show.quarter(event.stream()), event_type, data]
    }

    fn code(&self) -> u8 {
        self.unshown.code()
    }
}

/// An event for programs: a line, whatever white space its content was stored with.
#[derive(Serialize)]
struct Shown<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    id: String,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    recorded: String,
    schema: u32,
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(flatten)]
    origin: From<'a>,
}

fn as_json(event: &Recorded) -> Done<Shown<'_>> {
    let compact = |json: Option<&str>| json.map(|json| raw(event, compact_json(json))).transpose();
    Ok(Shown {
        position: event.position(),
        stream: event.stream(),
        version: event.version(),
        id: event.id().to_string(),
        r#type: event.event_type(),
        time: event.at(),
        recorded: rfc3339(event.recorded_at_ms()),
        schema: event.schema(),
        data: compact(event.json())?,
        metadata: compact(event.metadata())?,
        origin: From::of(event),
    })
}

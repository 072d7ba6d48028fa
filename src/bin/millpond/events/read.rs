//! `events read` and `all`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpond::Recorded;
use millpond::blocking::{EventStream, Store};
use serde::Serialize;
use serde_json::value::RawValue;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{From, ROWS, existing, of_category, raw};
use crate::args::{All, Read};
use crate::failure::{Done, Failure, Unshown};
use crate::show::{Listing, Show, compact_json};
use crate::time::{pause, rfc3339};

/// How often `--follow` looks for more.
const LOOK: Duration = Duration::from_millis(100);

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
    let mut printer = Printer::new("events read", Listing::new(&["version", "time", "type", "data"]));
    printer.print(stream, show)?;
    Ok(printer.code())
}

pub(crate) fn all(store: &Store, all: &All, show: &mut Show) -> Done<u8> {
    let stopped = Arc::new(AtomicBool::new(false));
    if all.follow {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stopped))
                .map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
        }
    }
    let listing = Listing::new(&["position", "time", "stream", "type", "data"]);
    let mut printer = Printer::new("events all", listing);
    let mut seen = all.after;
    loop {
        let head = store.events().head()?;
        let left = all.limit.map_or(u64::MAX, |limit| limit.saturating_sub(printer.printed));
        if head > seen && left > 0 {
            printer.print(select(store, all, seen).to(head).limit(left), show)?;
            seen = head;
        }
        let enough = all.limit.is_some_and(|limit| printer.printed >= limit);
        if !all.follow || enough || stopped.load(Ordering::Relaxed) {
            return Ok(printer.code());
        }
        show.flush()?;
        pause(LOOK);
    }
}

fn select(store: &Store, all: &All, seen: u64) -> EventStream {
    let stream = of_category(store, all.category.as_deref()).after(seen);
    let stream = stream.event_types(&all.types);
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

    fn print(&mut self, events: EventStream, show: &mut Show) -> Done<()> {
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

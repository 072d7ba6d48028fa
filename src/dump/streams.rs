//! Streams in a dump: all events by their positions, then what is to be known of a stream beside its events.

use std::borrow::Cow;
use std::collections::HashMap;

use millpond_actors::error::Result;
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::storage::record::Record;
use millpond_actors::storage::stream::{Filter, Query, Recorded, Scope};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lines::check_size;
use super::payload::{From, Payload};
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, words};
use crate::codec::{check_json, from_line, to_json};

pub(super) struct Streams;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EventLine<'a> {
    kind: Cow<'a, str>,
    position: u64,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    version: u64,
    id: Uuid,
    /// Empty if it is erased.
    r#type: Cow<'a, str>,
    schema: u32,
    recorded_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(borrow)]
    data: Payload<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<From>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StreamLine<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    version: u64,
    erased: u64,
    closed: bool,
}

impl Section for Streams {
    fn word(&self) -> &'static str {
        "stream"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let filter = Filter { erased: true, ..Filter::default() };
        let mut query = Query {
            scope: Scope::All,
            backward: false,
            from: 1,
            to: u64::MAX,
            filter,
            limit: limits::PAGE_ROWS,
        };
        loop {
            let page = source.view.events(&query)?;
            for event in page.events {
                match event {
                    Ok(event) if !source.wanted.wants(self.word(), event.stream.as_str()) => {}
                    found => sink(found.map(|event| Record::Event(Box::new(event))))?,
                }
            }
            match page.last.filter(|_| page.more) {
                Some(last) => query.from = last + 1,
                None => break,
            }
        }
        let mut after: Option<String> = None;
        loop {
            let page = source.view.marked_streams(after.as_deref(), limits::PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on("stream", &mut after, &last.name)?;
            for marked in page {
                if source.wanted.wants(self.word(), &marked.name) {
                    let (version, erased, closed) = (marked.version, marked.erased, marked.closed);
                    let record = |name| Record::Stream { name, version, erased, closed };
                    sink(Name::new(&marked.name).map(record))?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind {
            "stream" => {
                let StreamLine { name, version, erased, closed, .. } = from_line(line)?;
                Ok(Record::Stream { name: Name::new(name).map_err(words)?, version, erased, closed })
            }
            "stream.event" => event(from_line(line)?).map(|event| Record::Event(Box::new(event))),
            _ => Err(format!("there is no kind \"{}\"", kind.escape_debug())),
        }
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(Positions::default())
    }
}

fn event(line: EventLine<'_>) -> Result<Recorded, String> {
    let EventLine { position, version, id, schema, recorded_at, at, metadata, .. } = line;
    let (data, origin) = (line.data.data()?, From::origin(line.origin)?);
    if !line.r#type.is_empty() {
        name::check("event type", &line.r#type, limits::EVENT_TYPE_BYTES).map_err(words)?;
    }
    let said = metadata.as_deref();
    check_size("the event's data in bytes", data.bytes().len(), limits::EVENT_BYTES)?;
    check_size("the event's metadata in bytes", said.map_or(0, str::len), limits::METADATA_BYTES)?;
    check_size("the event's time in bytes", at.as_deref().map_or(0, str::len), limits::NAME_BYTES)?;
    said.map_or(Ok(()), |said| check_json("the event's metadata", said)).map_err(words)?;
    let (stream, event_type) = (Name::new(line.stream).map_err(words)?, line.r#type.into_owned());
    Ok(Recorded {
        position,
        stream,
        version,
        id,
        event_type,
        data,
        schema,
        recorded_at,
        at,
        metadata,
        origin,
    })
}

/// The line of an event or a stream.
pub(super) fn line(record: &Record) -> Result<String> {
    match record {
        Record::Event(event) => {
            let line = EventLine {
                kind: "stream.event".into(),
                position: event.position,
                stream: event.stream.as_str().into(),
                version: event.version,
                id: event.id,
                r#type: event.event_type.as_str().into(),
                schema: event.schema,
                recorded_at: event.recorded_at,
                at: event.at.clone(),
                data: Payload::of(&event.data),
                metadata: event.metadata.clone(),
                origin: From::of(event.origin.as_deref()),
            };
            to_json("an event", &line)
        }
        Record::Stream { name, version, erased, closed } => {
            let (version, erased, closed) = (*version, *erased, *closed);
            let line =
                StreamLine { kind: "stream".into(), name: name.as_str().into(), version, erased, closed };
            to_json("a stream", &line)
        }
        _ => Ok(String::new()),
    }
}

/// Positions go up, versions are dense, times never go back.
#[derive(Default)]
struct Positions {
    position: u64,
    recorded_at: Option<i64>,
    streams: HashMap<Name, u64>,
    /// The streams that come behind the events, once one has come.
    marked: Option<ByName>,
}

impl Order for Positions {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Event(event) => self.event(event),
            Record::Stream { name, version, erased, .. } => {
                self.marked.get_or_insert_default().step(name)?;
                match self.streams.get(name) {
                    Some(last) if last == version && erased <= version => Ok(()),
                    Some(last) if last == version => {
                        Err(format!("stream \"{name}\" cannot be erased up to {erased}"))
                    }
                    last => {
                        let last = last.copied().unwrap_or(0);
                        Err(format!(
                            "stream \"{name}\" is at version {version}, its last event before is {last}"
                        ))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn streams(&mut self) -> Vec<(Name, u64)> {
        let mut streams: Vec<_> = self.streams.drain().collect();
        streams.sort();
        streams
    }
}

impl Positions {
    fn event(&mut self, event: &Recorded) -> Result<(), String> {
        let Recorded { position, stream, version, recorded_at, .. } = event;
        if self.marked.is_some() {
            return Err("an event comes behind what is known of streams".into());
        }
        if *position <= self.position || *position > limits::LAST_SEQUENCE {
            return Err(format!("position {position} comes behind position {}", self.position));
        }
        self.position = *position;
        let last = self.streams.entry(stream.clone()).or_default();
        if *version != *last + 1 {
            return Err(format!("event {version} of stream \"{stream}\" comes behind event {last}"));
        }
        *last = *version;
        match self.recorded_at.replace(*recorded_at) {
            Some(before) if before > *recorded_at => {
                Err(format!("it was recorded at {recorded_at}, the event before it at {before}"))
            }
            _ => Ok(()),
        }
    }
}

//! Streams, their events, and their snapshots.

use std::sync::Arc;

use millpond_actors::engine::Store;
use millpond_actors::engine::stream::Stream;
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::Data;
use millpond_actors::storage::checksum::{self, Kind};
use millpond_actors::storage::snapshot::Kept;
use millpond_actors::storage::stream::Recorded;
use tokio_postgres::Row;
use uuid::Uuid;

use super::error::corrupt;
use super::param::{Param, Reading};
use super::shape::{Plan, Shape};

const STREAM: &str = "SELECT s.id, s.name, s.version, s.erased, s.closed FROM @stream s WHERE true";

pub(super) static STREAMS: Shape<u64, Stream> = Shape {
    select: STREAM,
    keys: &["s.id"],
    table: |store| &mut store.streams,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_stream(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static STREAM_NAMES: Shape<Name, u64> = Shape {
    select: STREAM,
    keys: &["s.name"],
    table: |store| &mut store.stream_names,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| take_stream(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static STREAM_PLAN: Plan<u64, Stream> = Plan {
    name: "stream",
    columns: &["id", "name", "version", "erased", "closed"],
    keys: 1,
    table: |store| &store.streams,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, stream, columns| {
        columns
            .number(*id)
            .text(stream.name.as_str())
            .number(stream.version)
            .number(stream.erased)
            .flag(stream.closed);
    },
    appended: false,
};

fn take_stream(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let (id, name) = (row.number()?, Name::unchecked(row.next()?));
    let stream =
        Stream { name: name.clone(), version: row.number()?, erased: row.number()?, closed: row.flag()? };
    store.streams.fetched(id, stream);
    store.stream_names.fetched(name.clone(), id);
    Ok((id, name))
}

const EVENT: &str =
    "SELECT e.position, e.stream, s.name, e.version, e.event_id, e.type, e.format, e.schema, e.crc,
    e.recorded_at, e.at, e.data, e.bytes, e.metadata, e.correlation, e.causation, e.actor, e.tenant
    FROM @event e JOIN @stream s ON s.id = e.stream WHERE true";

/// Events are large.
const EVENTS_AT_ONCE: usize = 1_024;

pub(super) static EVENTS: Shape<u64, Arc<Recorded>> = Shape {
    select: EVENT,
    keys: &["e.position"],
    table: |store| &mut store.events,
    parts: |position| vec![Param::number(*position)],
    take: |store, row| take_event(store, row).map(|(event, _)| event.position),
    most: EVENTS_AT_ONCE,
};

pub(super) static EVENT_IDS: Shape<Uuid, u64> = Shape {
    select: EVENT,
    keys: &["e.event_id"],
    table: |store| &mut store.event_ids,
    parts: |id| vec![Param::Uuid(*id)],
    take: |store, row| take_event(store, row).map(|(event, _)| event.id),
    most: EVENTS_AT_ONCE,
};

pub(super) static VERSIONS: Shape<(u64, u64), u64> = Shape {
    select: EVENT,
    keys: &["e.stream", "e.version"],
    table: |store| &mut store.versions,
    parts: |(stream, version)| vec![Param::number(*stream), Param::number(*version)],
    take: |store, row| take_event(store, row).map(|(event, stream)| (stream, event.version)),
    most: EVENTS_AT_ONCE,
};

pub(super) static CATEGORIES: Shape<(String, u64), ()> = Shape {
    select: EVENT,
    keys: &["e.category", "e.position"],
    table: |store| &mut store.categories,
    parts: |(category, position)| vec![Param::text(category), Param::number(*position)],
    take: |store, row| {
        take_event(store, row).map(|(event, _)| (event.stream.category().to_owned(), event.position))
    },
    most: EVENTS_AT_ONCE,
};

pub(super) static EVENT_PLAN: Plan<u64, Arc<Recorded>> = Plan {
    name: "event",
    columns: &[
        "position",
        "stream",
        "version",
        "category",
        "event_id",
        "type",
        "format",
        "schema",
        "crc",
        "recorded_at",
        "at",
        "data",
        "bytes",
        "metadata",
        "correlation",
        "causation",
        "actor",
        "tenant",
    ],
    keys: 1,
    table: |store| &store.events,
    parts: |position| vec![Param::number(*position)],
    write: |store, position, event, columns| {
        let stream = store.stream_names.get(&event.stream).copied().unwrap_or_default();
        columns.number(*position).number(stream).number(event.version).text(event.stream.category());
        columns
            .uuid(event.id)
            .text(&event.event_type)
            .int(event.data.format().into())
            .int(event.schema.into());
        columns.int(checksum_of(event).into()).int(event.recorded_at).maybe_text(event.at.as_deref());
        columns.data(&event.data).maybe_text(event.metadata.as_deref()).origin(event.origin.as_deref());
    },
    appended: true,
};

fn checksum_of(event: &Recorded) -> u32 {
    let Recorded { stream, version, event_type, data, schema, .. } = event;
    checksum::record(Kind::Event, stream.as_str(), *version, event_type, data.format(), *schema, data.bytes())
}

fn take_event(store: &mut Store, row: &Row) -> Result<(Arc<Recorded>, u64)> {
    let mut row = Reading::of(row);
    let (position, stream) = (row.number()?, row.number()?);
    let (name, version, id, event_type) =
        (Name::unchecked(row.next()?), row.number()?, row.next()?, row.next()?);
    let (format, schema, crc) = (row.small()?, row.small()?, row.small()?);
    let (recorded_at, at, data, metadata) = (row.next()?, row.next()?, row.data(format)?, row.next()?);
    let origin = row.origin()?;
    let event = Recorded {
        position,
        stream: name,
        version,
        id,
        event_type,
        data,
        schema,
        recorded_at,
        at,
        metadata,
        origin,
    };
    let found = checksum_of(&event);
    if found != crc {
        return Err(wrong("event", event.stream.as_str(), version, found, crc));
    }
    let event = Arc::new(event);
    store.event_ids.fetched(id, position);
    store.versions.fetched((stream, version), position);
    store.categories.fetched((event.stream.category().to_owned(), position), ());
    store.events.fetched(position, Arc::clone(&event));
    Ok((event, stream))
}

/// Whether a record is what was written. `row` is that of whatever it is a record of, which its checksum is over too.
pub(super) fn check(kind: &'static str, row: u64, sequence: u64, found: u32, stored: u32) -> Result<()> {
    if found == stored { Ok(()) } else { Err(wrong(kind, &format!("row {row}"), sequence, found, stored)) }
}

fn wrong(kind: &'static str, name: &str, sequence: u64, found: u32, stored: u32) -> Error {
    corrupt(kind, name, sequence, format!("its checksum is {found:08x}, stored is {stored:08x}"))
}

pub(super) static SNAPSHOTS: Shape<u64, Arc<Kept>> = Shape {
    select: "SELECT k.stream, k.version, k.schema, k.format, k.crc, k.data, k.bytes FROM @snapshot k WHERE true",
    keys: &["k.stream"],
    table: |store| &mut store.snapshots,
    parts: |stream| vec![Param::number(*stream)],
    take: take_snapshot,
    most: 64,
};

pub(super) static SNAPSHOT_PLAN: Plan<u64, Arc<Kept>> = Plan {
    name: "snapshot",
    columns: &["stream", "version", "schema", "format", "crc", "data", "bytes"],
    keys: 1,
    table: |store| &store.snapshots,
    parts: |stream| vec![Param::number(*stream)],
    write: |_, stream, kept, columns| {
        let crc = checksum_of_snapshot(*stream, kept);
        columns.number(*stream).number(kept.version).int(kept.schema.into()).int(kept.data.format().into());
        columns.int(crc.into()).data(&kept.data);
    },
    appended: false,
};

fn checksum_of_snapshot(stream: u64, kept: &Kept) -> u32 {
    let data: &Data = &kept.data;
    checksum::record(
        Kind::Snapshot,
        &stream.to_string(),
        kept.version,
        "",
        data.format(),
        kept.schema,
        data.bytes(),
    )
}

fn take_snapshot(store: &mut Store, row: &Row) -> Result<u64> {
    let mut row = Reading::of(row);
    let stream = row.number()?;
    let (version, schema, format, crc) = (row.number()?, row.small()?, row.small()?, row.small()?);
    let kept = Kept { version, schema, data: row.data(format)? };
    check("snapshot", stream, version, checksum_of_snapshot(stream, &kept), crc)?;
    store.snapshots.fetched(stream, Arc::new(kept));
    Ok(stream)
}

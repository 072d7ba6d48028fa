//! Logs and channels, their messages, and durable subscriptions.

use std::sync::Arc;

use millpond_actors::engine::Store;
use millpond_actors::engine::feed::Feed;
use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::checksum::{self, Kind as Record};
use millpond_actors::storage::feed::{Kind, Message, Retention};
use tokio_postgres::Row;

use super::error::odd;
use super::param::{Param, Reading, signed};
use super::shape::{Plan, Shape};
use super::stream::check;

const FEED: &str = "SELECT f.id, f.kind, f.name, f.first, f.last, f.bytes, f.recorded_at, f.keep_count, f.keep_bytes, f.keep_ms
    FROM @feed f WHERE true";

pub(super) static FEEDS: Shape<u64, Feed> = Shape {
    select: FEED,
    keys: &["f.id"],
    table: |store| &mut store.feeds,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_feed(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static FEED_NAMES: Shape<(Kind, Name), u64> = Shape {
    select: FEED,
    keys: &["f.kind", "f.name"],
    table: |store| &mut store.feed_names,
    parts: |(kind, name)| vec![Param::Int(*kind as i64), Param::text(name.as_str())],
    take: |store, row| take_feed(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static FEED_PLAN: Plan<u64, Feed> = Plan {
    name: "feed",
    columns: &[
        "id",
        "kind",
        "name",
        "first",
        "last",
        "bytes",
        "recorded_at",
        "keep_count",
        "keep_bytes",
        "keep_ms",
    ],
    keys: 1,
    table: |store| &store.feeds,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, feed, columns| {
        let Retention { count, bytes, age_ms } = feed.retention;
        columns
            .number(*id)
            .int(feed.kind as i64)
            .text(feed.name.as_str())
            .number(feed.first)
            .number(feed.last);
        columns.number(feed.bytes).int(feed.recorded_at);
        columns.maybe(count.map(signed)).maybe(bytes.map(signed)).maybe(age_ms.map(signed));
    },
    appended: false,
};

fn kind_of(number: i64) -> Result<Kind> {
    match number {
        1 => Ok(Kind::Log),
        2 => Ok(Kind::Channel),
        _ => Err(odd(&format!("{number} is no kind of feed"))),
    }
}

fn take_feed(store: &mut Store, row: &Row) -> Result<(u64, (Kind, Name))> {
    let mut row = Reading::of(row);
    let (id, kind, name) = (row.number()?, kind_of(row.next()?)?, Name::unchecked(row.next()?));
    let (first, last, bytes, recorded_at) = (row.number()?, row.number()?, row.number()?, row.next()?);
    let retention = Retention { count: row.maybe()?, bytes: row.maybe()?, age_ms: row.maybe()? };
    store.feeds.fetched(id, Feed { name: name.clone(), kind, first, last, bytes, recorded_at, retention });
    store.feed_names.fetched((kind, name.clone()), id);
    Ok((id, (kind, name)))
}

pub(super) static MESSAGES: Shape<(u64, u64), Arc<Message>> = Shape {
    select:
        "SELECT m.feed, m.sequence, m.recorded_at, m.at, m.key, m.format, m.schema, m.crc, m.data, m.bytes
        FROM @message m WHERE true",
    keys: &["m.feed", "m.sequence"],
    table: |store| &mut store.messages,
    parts: |(feed, sequence)| vec![Param::number(*feed), Param::number(*sequence)],
    take: take_message,
    most: 1_024,
};

pub(super) static MESSAGE_PLAN: Plan<(u64, u64), Arc<Message>> = Plan {
    name: "message",
    columns: &["feed", "sequence", "recorded_at", "at", "key", "format", "schema", "crc", "data", "bytes"],
    keys: 2,
    table: |store| &store.messages,
    parts: |(feed, sequence)| vec![Param::number(*feed), Param::number(*sequence)],
    write: |_, (feed, sequence), message, columns| {
        columns.number(*feed).number(*sequence).int(message.recorded_at).maybe_text(message.at.as_deref());
        columns
            .maybe_text(message.key.as_deref())
            .int(message.data.format().into())
            .int(message.schema.into());
        columns.int(checksum_of(*feed, message).into()).data(&message.data);
    },
    appended: true,
};

fn checksum_of(feed: u64, message: &Message) -> u32 {
    let Message { sequence, data, schema, key, .. } = message;
    let (feed, key) = (feed.to_string(), key.as_deref().unwrap_or_default());
    checksum::record(Record::Log, &feed, *sequence, key, data.format(), *schema, data.bytes())
}

fn take_message(store: &mut Store, row: &Row) -> Result<(u64, u64)> {
    let mut row = Reading::of(row);
    let (feed, sequence) = (row.number()?, row.number()?);
    let (recorded_at, at, key) = (row.next()?, row.next()?, row.next()?);
    let (format, schema, crc) = (row.small()?, row.small()?, row.small()?);
    let message = Message { sequence, recorded_at, data: row.data(format)?, schema, key, at };
    check("feed", feed, sequence, checksum_of(feed, &message), crc)?;
    store.messages.fetched((feed, sequence), Arc::new(message));
    Ok((feed, sequence))
}

pub(super) static CURSORS: Shape<(u64, Name), u64> = Shape {
    select: "SELECT c.feed, c.name, c.cursor FROM @subscription c WHERE true",
    keys: &["c.feed", "c.name"],
    table: |store| &mut store.cursors,
    parts: |(feed, name)| vec![Param::number(*feed), Param::text(name.as_str())],
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (row.number()?, Name::unchecked(row.next()?));
        store.cursors.fetched(key.clone(), row.number()?);
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static CURSOR_PLAN: Plan<(u64, Name), u64> = Plan {
    name: "subscription",
    columns: &["feed", "name", "cursor"],
    keys: 2,
    table: |store| &store.cursors,
    parts: |(feed, name)| vec![Param::number(*feed), Param::text(name.as_str())],
    write: |_, (feed, name), cursor, columns| {
        columns.number(*feed).text(name.as_str()).number(*cursor);
    },
    appended: false,
};

pub(super) static ACKNOWLEDGED: Shape<(u64, Name, u64), ()> = Shape {
    select: "SELECT a.feed, a.subscription, a.sequence FROM @acknowledged a WHERE true",
    keys: &["a.feed", "a.subscription", "a.sequence"],
    table: |store| &mut store.acknowledged,
    parts: |(feed, name, sequence)| {
        vec![Param::number(*feed), Param::text(name.as_str()), Param::number(*sequence)]
    },
    take: |store, row| {
        let mut row = Reading::of(row);
        let key = (row.number()?, Name::unchecked(row.next()?), row.number()?);
        store.acknowledged.fetched(key.clone(), ());
        Ok(key)
    },
    most: usize::MAX,
};

pub(super) static ACKNOWLEDGED_PLAN: Plan<(u64, Name, u64), ()> = Plan {
    name: "acknowledged",
    columns: &["feed", "subscription", "sequence"],
    keys: 3,
    table: |store| &store.acknowledged,
    parts: |(feed, name, sequence)| {
        vec![Param::number(*feed), Param::text(name.as_str()), Param::number(*sequence)]
    },
    write: |_, (feed, name, sequence), (), columns| {
        columns.number(*feed).text(name.as_str()).number(*sequence);
    },
    appended: false,
};

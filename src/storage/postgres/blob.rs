//! Blobs, the contents that none has, and the chunks of all contents.

use std::sync::Arc;

use millpond_actors::engine::Store;
use millpond_actors::engine::blob::{Blobs, Key, Loose};
use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::storage::blob::{Blob, Bytes};
use millpond_actors::storage::checksum::{self, Kind};
use tokio_postgres::Row;

use super::error::odd;
use super::param::{Param, Reading, signed};
use super::shape::{Plan, Shape};
use super::stream::check;

const BLOBS: &str = "SELECT b.id, b.name, b.version, b.count, b.bytes FROM @blobs b WHERE true";

pub(super) static BLOB_ROWS: Shape<u64, Blobs> = Shape {
    select: BLOBS,
    keys: &["b.id"],
    table: |store| &mut store.blob_rows,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| take_blobs(store, row).map(|(id, _)| id),
    most: usize::MAX,
};

pub(super) static BLOB_NAMES: Shape<Name, u64> = Shape {
    select: BLOBS,
    keys: &["b.name"],
    table: |store| &mut store.blob_names,
    parts: |name| vec![Param::text(name.as_str())],
    take: |store, row| take_blobs(store, row).map(|(_, name)| name),
    most: usize::MAX,
};

pub(super) static BLOBS_PLAN: Plan<u64, Blobs> = Plan {
    name: "blobs",
    columns: &["id", "name", "version", "count", "bytes"],
    keys: 1,
    table: |store| &store.blob_rows,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, blobs, columns| {
        columns
            .number(*id)
            .text(blobs.name.as_str())
            .number(blobs.version)
            .number(blobs.count)
            .number(blobs.bytes);
    },
    appended: false,
};

fn take_blobs(store: &mut Store, row: &Row) -> Result<(u64, Name)> {
    let mut row = Reading::of(row);
    let (id, name) = (row.number()?, Name::unchecked(row.next()?));
    let (version, count, bytes) = (row.number()?, row.number()?, row.number()?);
    store.blob_rows.fetched(id, Blobs { name: name.clone(), version, count, bytes });
    store.blob_names.fetched(name.clone(), id);
    Ok((id, name))
}

pub(super) static BLOB: Shape<Key, Blob> = Shape {
    select: "SELECT b.blobs, b.key, b.version, b.content, b.chunk, b.size, b.created_at, b.sha256, b.metadata
        FROM @blob b WHERE true",
    keys: &["b.blobs", "b.key"],
    table: |store| &mut store.blobs,
    parts: |(blobs, key)| vec![Param::number(*blobs), Param::text(key)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let (id, key): (u64, String) = (row.number()?, row.next()?);
        let (version, content, chunk, size) = (row.number()?, row.number()?, row.small()?, row.number()?);
        let (created_at, sha256): (i64, &[u8]) = (row.next()?, row.next()?);
        let sha256 = <[u8; 32]>::try_from(sha256).map_err(|_| odd("a SHA-256 has not the length of one"))?;
        let metadata = row.next()?;
        let at = (id, Box::from(key.as_str()));
        store
            .blobs
            .fetched(at.clone(), Blob { key, version, content, chunk, size, sha256, metadata, created_at });
        Ok(at)
    },
    most: 1_024,
};

pub(super) static BLOB_PLAN: Plan<Key, Blob> = Plan {
    name: "blob",
    columns: &["blobs", "key", "version", "content", "chunk", "size", "created_at", "sha256", "metadata"],
    keys: 2,
    table: |store| &store.blobs,
    parts: |(blobs, key)| vec![Param::number(*blobs), Param::text(key)],
    write: |_, (blobs, key), blob, columns| {
        columns.number(*blobs).text(key).number(blob.version).number(blob.content).int(blob.chunk.into());
        columns
            .number(blob.size)
            .int(blob.created_at)
            .bytes(&blob.sha256)
            .maybe_text(blob.metadata.as_deref());
    },
    appended: false,
};

pub(super) static CONTENTS: Shape<u64, Loose> = Shape {
    select: "SELECT c.id, c.process, c.first, c.chunks FROM @blob_content c WHERE true",
    keys: &["c.id"],
    table: |store| &mut store.contents,
    parts: |id| vec![Param::number(*id)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let id = row.number()?;
        store
            .contents
            .fetched(id, Loose { process: row.maybe()?, first: row.number()?, chunks: row.number()? });
        Ok(id)
    },
    most: usize::MAX,
};

pub(super) static CONTENT_PLAN: Plan<u64, Loose> = Plan {
    name: "blob_content",
    columns: &["id", "process", "first", "chunks"],
    keys: 1,
    table: |store| &store.contents,
    parts: |id| vec![Param::number(*id)],
    write: |_, id, loose, columns| {
        columns.number(*id).maybe(loose.process.map(signed)).number(loose.first).number(loose.chunks);
    },
    appended: false,
};

pub(super) static CHUNKS: Shape<(u64, u64), Arc<Bytes>> = Shape {
    select: "SELECT c.content, c.sequence, c.crc, c.data FROM @blob_chunk c WHERE true",
    keys: &["c.content", "c.sequence"],
    table: |store| &mut store.chunks,
    parts: |(content, sequence)| vec![Param::number(*content), Param::number(*sequence)],
    take: |store, row| {
        let mut row = Reading::of(row);
        let (content, sequence, crc) = (row.number()?, row.number()?, row.small()?);
        let data: Vec<u8> = row.next()?;
        check("chunk of blobs", content, sequence, checksum_of(content, sequence, &data), crc)?;
        store.chunks.fetched((content, sequence), Arc::new(Bytes(data)));
        Ok((content, sequence))
    },
    most: 16,
};

pub(super) static CHUNK_PLAN: Plan<(u64, u64), Arc<Bytes>> = Plan {
    name: "blob_chunk",
    columns: &["content", "sequence", "crc", "data"],
    keys: 2,
    table: |store| &store.chunks,
    parts: |(content, sequence)| vec![Param::number(*content), Param::number(*sequence)],
    write: |_, (content, sequence), chunk, columns| {
        columns.number(*content).number(*sequence);
        columns.int(checksum_of(*content, *sequence, &chunk.0).into()).bytes(&chunk.0);
    },
    appended: false,
};

fn checksum_of(content: u64, sequence: u64, data: &[u8]) -> u32 {
    checksum::record(Kind::Chunk, &content.to_string(), sequence, "", 0, 0, data)
}

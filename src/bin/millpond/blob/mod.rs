//! `blob put`, `get`, `list`, `show` and `delete`.

pub(crate) mod args;
mod file;

use std::io::{self, Read};

use indicatif::ProgressBar;
use millpond::blocking::Store;
use millpond::{Blob, BlobsHead, Upload};
use serde::Serialize;
use serde_json::json;

use self::args::{Get, Put};
use self::file::Unfinished;
use crate::failure::{Done, Failure, Unshown, code};
use crate::import::input;
use crate::input::{Json, compacted};
use crate::pages;
use crate::progress;
use crate::show::{Listing, Show, bytes, compact_json, grouped};
use crate::time::rfc3339;

/// Rows that are laid out together, and names that are asked for at once.
const ROWS: usize = 200;

/// What is printed of a blob for programs.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'a str,
    version: u64,
    size: u64,
    sha256: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
}

fn as_json(blob: &Blob) -> Done<Shown<'_>> {
    let metadata = blob.metadata::<Json>()?.map(|json| compacted(&json)).transpose()?;
    let (sha256, created) = (blob.sha256_hex(), rfc3339(blob.created_at_ms()));
    Ok(Shown { key: blob.key(), version: blob.version(), size: blob.size(), sha256, created, metadata })
}

/// Where the bytes of a blob come from.
pub(crate) struct Source {
    input: Box<dyn Read>,
    bar: ProgressBar,
}

/// Opens it. Before the store: a wrong name must not leave an empty one behind.
pub(crate) fn open(put: &Put) -> Done<Source> {
    let (input, total) = input(&put.file)?;
    Ok(Source { input, bar: progress::of_bytes(total) })
}

pub(crate) fn put(store: &Store, put: Put, source: Source, show: &mut Show) -> Done<u8> {
    let mut upload = Upload::new();
    if let Some(metadata) = &put.metadata {
        upload = upload.metadata(metadata);
    }
    upload = match put.version {
        Some(version) => upload.version(version),
        None if put.absent => upload.absent(),
        None => upload,
    };
    let Source { input, bar } = source;
    let blob = store.blobs(&put.name).put_from_with(&put.key, &mut bar.wrap_read(input), upload)?;
    bar.finish_and_clear();
    if show.is_json() {
        show.json(&as_json(&blob)?)?;
    } else {
        let (size, sum) = (grouped(blob.size()), blob.sha256_hex());
        show.line(&format!("version {}, {size} bytes, SHA-256 {sum}", blob.version()))?;
    }
    Ok(code::DONE)
}

pub(crate) fn get(store: &Store, get: &Get, show: &mut Show) -> Done<u8> {
    let blobs = store.blobs(&get.name);
    let found = match get.range {
        None => blobs.read(&get.key)?,
        Some((first, None)) => blobs.read_range(&get.key, first..)?,
        Some((first, Some(last))) => blobs.read_range(&get.key, first..=last)?,
    };
    let mut reader = found.ok_or_else(|| missing(&get.name, &get.key))?;
    let blob = reader.blob().clone();
    if get.file.as_os_str() == "-" {
        for piece in reader {
            show.bytes(&piece?)?;
        }
        return Ok(code::DONE);
    }
    let bar = progress::of_bytes(get.range.is_none().then_some(blob.size()));
    let mut file = Unfinished::create(&get.file)?;
    let mut written = 0;
    reader.try_for_each(|piece| {
        let piece = piece?;
        written += piece.len() as u64;
        bar.inc(piece.len() as u64);
        file.write(&piece)
    })?;
    file.finish()?;
    bar.finish_and_clear();
    if show.is_json() {
        show.json(&as_json(&blob)?)?;
    } else {
        show.line(&format!("{} bytes of version {}", grouped(written), blob.version()))?;
    }
    Ok(code::DONE)
}

pub(crate) fn show(store: &Store, name: &str, key: &str, show: &mut Show) -> Done<u8> {
    let blob = store.blobs(name).head(key)?.ok_or_else(|| missing(name, key))?;
    if show.is_json() {
        show.json(&as_json(&blob)?)?;
        return Ok(code::DONE);
    }
    let metadata = blob.metadata::<Json>()?;
    let facts = [
        ("key", blob.key().to_owned()),
        ("version", blob.version().to_string()),
        ("size", format!("{} bytes", grouped(blob.size()))),
        ("SHA-256", blob.sha256_hex()),
        ("created", rfc3339(blob.created_at_ms())),
        ("metadata", metadata.map_or_else(String::new, |json| compact_json(json.get()))),
    ];
    for (fact, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        show.line(&format!("{fact:<9} {value}"))?;
    }
    Ok(code::DONE)
}

pub(crate) fn delete(store: &Store, name: &str, key: &str, show: &mut Show) -> Done<u8> {
    let blobs = store.blobs(name);
    let was = blobs.delete(key)?;
    // This process ends at once, and nobody might write a blob for long.
    blobs.sweep()?;
    if show.is_json() {
        show.json(&json!({"blobs": name, "key": key, "deleted": was}))?;
    } else if was {
        show.line(&format!("\"{key}\" of blobs \"{name}\" is gone"))?;
    } else {
        show.line(&format!("there was no \"{key}\" in blobs \"{name}\""))?;
    }
    Ok(code::DONE)
}

pub(crate) fn list(store: &Store, name: Option<&str>, prefix: &str, show: &mut Show) -> Done<u8> {
    let Some(name) = name else { return all(store, show) };
    let header = &["key", "version", "size", "created", "metadata"];
    let (mut listing, mut rows, mut unshown) = (Listing::new(header), Vec::new(), Unshown::new("blob list"));
    for found in store.blobs(name).entries(prefix) {
        let Some(blob) = unshown.sound(found)? else { continue };
        if show.is_json() {
            show.json(&as_json(&blob)?)?;
            continue;
        }
        let metadata = blob.metadata::<Json>()?;
        rows.push(vec![
            show.quarter(blob.key()),
            blob.version().to_string(),
            bytes(blob.size()),
            show.moment(rfc3339(blob.created_at_ms())),
            metadata.map_or_else(String::new, |json| compact_json(json.get())),
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

fn all(store: &Store, show: &mut Show) -> Done<u8> {
    let page = |after: Option<&str>| store.inspect().blobs(after, ROWS as u32);
    let heads = pages::all(ROWS as u32, |head: &BlobsHead| &head.name, page)?;
    if show.is_json() {
        for BlobsHead { name, version, count, bytes, .. } in heads {
            show.json(&json!({"name": name, "blobs": count, "bytes": bytes, "version": version}))?;
        }
    } else if heads.is_empty() {
        show.line("no blob was written yet")?;
    } else {
        let row = |head: BlobsHead| vec![head.name, grouped(head.count), bytes(head.bytes)];
        show.table(&["name", "blobs", "size"], heads.into_iter().map(row).collect())?;
    }
    Ok(code::DONE)
}

fn missing(name: &str, key: &str) -> Failure {
    Failure::Failed(format!("there is no \"{key}\" in blobs \"{name}\""))
}

/// A file could not be written.
fn unwritten(path: &std::path::Path, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot write \"{}\": {error}", path.display()))
}

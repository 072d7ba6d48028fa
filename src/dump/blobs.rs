//! Blobs in a dump: each with its chunks, one behind the other. What is not finished is not there, nor what is to be swept.

use std::borrow::Cow;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::name::{self, Name};
use millpond_actors::storage::blob::{Blob, Bytes, Query};
use millpond_actors::storage::record::Record;
use serde::{Deserialize, Serialize};

use super::lines::check_size;
use super::payload::{bytes_of, text_of};
use super::subjects::ByName;
use super::{Order, Section, Sink, Source, go_on, words};
use crate::codec::{check_json, from_line, to_json};
use crate::digest::{self, Digest};

pub(super) struct Blobs;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BlobsLine<'a> {
    kind: Cow<'a, str>,
    name: Cow<'a, str>,
    version: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BlobLine<'a> {
    kind: Cow<'a, str>,
    blobs: Cow<'a, str>,
    key: Cow<'a, str>,
    version: u64,
    size: u64,
    /// Bytes of a chunk; of all but the last.
    chunk: u32,
    /// In hexadecimal digits.
    sha256: Cow<'a, str>,
    created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ChunkLine<'a> {
    kind: Cow<'a, str>,
    blobs: Cow<'a, str>,
    key: Cow<'a, str>,
    sequence: u64,
    /// In Base64.
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl Section for Blobs {
    fn word(&self) -> &'static str {
        "blob"
    }

    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page = source.view.blobs_heads(after.as_deref(), limits::PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            go_on("blobs", &mut after, &last.name)?;
            for head in page {
                if source.wanted.wants(self.word(), &head.name) {
                    let (name, version) = (Name::new(&head.name)?, head.version);
                    sink(Ok(Record::Blobs { name: name.clone(), version }))?;
                    read_blobs(source, &name, sink)?;
                }
            }
        }
    }

    fn parse(&self, kind: &str, line: &str) -> Result<Record, String> {
        match kind {
            "blob" => {
                let BlobsLine { name, version, .. } = from_line(line)?;
                Ok(Record::Blobs { name: Name::new(name).map_err(words)?, version })
            }
            "blob.entry" => blob(from_line(line)?),
            "blob.chunk" => {
                let ChunkLine { blobs, key, sequence, data, .. } = from_line(line)?;
                let data = Bytes(bytes_of(&data)?);
                check_size("the chunk in bytes", data.0.len(), limits::BLOB_CHUNK)?;
                let blobs = Name::new(blobs).map_err(words)?;
                Ok(Record::Chunk { blobs, key: key.into(), sequence, data })
            }
            _ => Err(format!("there is no kind \"{}\"", kind.escape_debug())),
        }
    }

    fn order(&self) -> Box<dyn Order> {
        Box::new(Keys::default())
    }
}

fn read_blobs(source: &mut Source<'_>, blobs: &Name, sink: &mut Sink<'_>) -> Result<()> {
    let (prefix, after, limit) = (Box::from(""), None, limits::PAGE_ROWS);
    let mut query = Query { blobs: blobs.clone(), prefix, after, limit };
    let mut reached = None;
    loop {
        let page = source.view.blob_page(&query)?;
        for blob in page.blobs {
            match blob {
                Ok(blob) => read_blob(source, blobs, blob, sink)?,
                Err(error) => sink(Err(error))?,
            }
        }
        match page.last.filter(|_| page.more) {
            Some(last) => {
                go_on("blob", &mut reached, &last)?;
                query.after = Some(last.into());
            }
            None => return Ok(()),
        }
    }
}

/// Hands on a blob and its chunks as they are read, and looks whether they are what was written. One that is replaced or removed
/// meanwhile ends in an [`Error::BlobGone`], which nobody meets who reads a snapshot.
fn read_blob(source: &mut Source<'_>, blobs: &Name, blob: Blob, sink: &mut Sink<'_>) -> Result<()> {
    sink(Ok(Record::Blob { blobs: blobs.clone(), blob: Box::new(blob.clone()) }))?;
    let (mut next, mut digest) = (0, Some(Digest::new()));
    while next < blob.chunks() {
        let chunks = source.view.blob_chunks(blobs, &blob, next, limits::BLOB_CHUNKS_PER_PAGE)?;
        let Some(chunks) = chunks else {
            return sink(Err(Error::BlobGone { blobs: blobs.to_string(), key: blob.key }));
        };
        for chunk in chunks {
            match &chunk {
                Ok(data) => digest.iter_mut().for_each(|digest| digest.add(&data.0)),
                // Of what is damaged that much is known, and said.
                Err(_) => digest = None,
            }
            let (sequence, key) = (next, &*blob.key);
            let record = |data| Record::Chunk { blobs: blobs.clone(), key: key.into(), sequence, data };
            sink(chunk.map(record))?;
            next += 1;
        }
    }
    match digest.map(Digest::end) {
        Some(found) if found != blob.sha256 => {
            let detail =
                format!("key \"{}\": its bytes have another SHA-256 than those that were written", blob.key);
            sink(Err(Error::Corrupt { kind: "blob", name: blobs.to_string(), sequence: 0, detail }))
        }
        _ => Ok(()),
    }
}

fn blob(line: BlobLine<'_>) -> Result<Record, String> {
    let BlobLine { blobs, key, version, size, chunk, sha256, created_at, metadata, .. } = line;
    name::check("key of a blob", &key, limits::NAME_BYTES).map_err(words)?;
    if size > limits::BLOB_BYTES {
        return Err(format!("no blob has {size} bytes; {} is the most", limits::BLOB_BYTES));
    }
    if chunk == 0 || chunk as usize > limits::BLOB_CHUNK {
        return Err(format!("no chunk has {chunk} bytes; it is 1 to {}", limits::BLOB_CHUNK));
    }
    let said = metadata.as_deref();
    check_size("the metadata of a blob, in bytes,", said.map_or(0, str::len), limits::METADATA_BYTES)?;
    said.map_or(Ok(()), |said| check_json("the metadata of a blob", said)).map_err(words)?;
    let sha256 = sum_of(&sha256).ok_or("its SHA-256 is none: that is 64 hexadecimal digits")?;
    // The content is another one wherever it is put back.
    let (key, content) = (key.into_owned(), 0);
    let blob = Box::new(Blob { key, version, content, chunk, size, sha256, metadata, created_at });
    Ok(Record::Blob { blobs: Name::new(blobs).map_err(words)?, blob })
}

/// A sum out of its text.
fn sum_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.bytes().map(|digit| char::from(digit).to_digit(16));
    let digits = digits.collect::<Option<Vec<u32>>>()?;
    let bytes = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    let bytes = bytes.collect::<Option<Vec<u8>>>()?;
    <[u8; 32]>::try_from(bytes).ok().filter(|_| digits.len() == 64)
}

/// The line of blobs, a blob or a chunk.
pub(super) fn line(record: &Record) -> Result<String> {
    match record {
        Record::Blobs { name, version } => {
            let line = BlobsLine { kind: "blob".into(), name: name.as_str().into(), version: *version };
            to_json("blobs", &line)
        }
        Record::Blob { blobs, blob } => {
            let Blob { key, version, content: _, chunk, size, sha256, metadata, created_at } = &**blob;
            let line = BlobLine {
                kind: "blob.entry".into(),
                blobs: blobs.as_str().into(),
                key: key.into(),
                version: *version,
                size: *size,
                chunk: *chunk,
                sha256: digest::hex(sha256).into(),
                created_at: *created_at,
                metadata: metadata.clone(),
            };
            to_json("a blob", &line)
        }
        Record::Chunk { blobs, key, sequence, data } => {
            let line = ChunkLine {
                kind: "blob.chunk".into(),
                blobs: blobs.as_str().into(),
                key: (&**key).into(),
                sequence: *sequence,
                data: text_of(&data.0).into(),
            };
            to_json("a chunk of a blob", &line)
        }
        _ => Ok(String::new()),
    }
}

/// Blobs by name; in each, blobs by key; in each, chunks one behind the other, all of them, and those that were written.
#[derive(Default)]
struct Keys {
    blobs: ByName,
    /// Name and version of the last, and the last key in it.
    now: Option<(Name, u64, Option<String>)>,
    /// The blob whose chunks come, until it is whole.
    open: Option<Open>,
}

struct Open {
    blob: Blob,
    next: u64,
    digest: Digest,
}

impl Order for Keys {
    fn next(&mut self, record: &Record) -> Result<(), String> {
        if !matches!(record, Record::Chunk { .. }) {
            self.end()?;
        }
        match record {
            Record::Blobs { name, version } => {
                self.blobs.step(name)?;
                if *version >= limits::LAST_SEQUENCE {
                    return Err(format!("no blobs have had {version} changes"));
                }
                self.now = Some((name.clone(), *version, None));
                Ok(())
            }
            Record::Blob { blobs, blob } => self.blob(blobs, blob),
            Record::Chunk { blobs, key, sequence, data } => self.chunk((blobs, key), *sequence, data),
            _ => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match &self.open {
            Some(Open { blob, next, .. }) => Err(format!(
                "chunk {next} of {} of \"{}\" should come here, and does not",
                blob.chunks(),
                blob.key
            )),
            None => Ok(()),
        }
    }
}

impl Keys {
    fn blob(&mut self, blobs: &Name, blob: &Blob) -> Result<(), String> {
        let Some((_, version, last)) = self.now.as_mut().filter(|(name, ..)| name == blobs) else {
            return Err(format!("it is one of blobs \"{blobs}\", which do not come before it"));
        };
        if blob.version == 0 || blob.version > *version {
            return Err(format!("blobs \"{blobs}\" have had {version} changes, not {}", blob.version));
        }
        match last.replace(blob.key.clone()) {
            Some(before) if before >= blob.key => {
                return Err(format!("key \"{}\" comes behind key \"{before}\"", blob.key));
            }
            _ => {}
        }
        self.open = Some(Open { blob: blob.clone(), next: 0, digest: Digest::new() });
        self.close_if_whole()
    }

    fn chunk(&mut self, (blobs, key): (&Name, &str), sequence: u64, data: &Bytes) -> Result<(), String> {
        let is_its = |open: &&mut Open| open.blob.key == key;
        let name = self.now.as_ref().map(|(name, ..)| name);
        let Some(open) = self.open.as_mut().filter(is_its).filter(|_| name == Some(blobs)) else {
            return Err(format!(
                "it is of \"{key}\" of blobs \"{blobs}\", which is whole, or does not come before it"
            ));
        };
        if sequence != open.next {
            return Err(format!("chunk {sequence} of \"{key}\" comes where {} should", open.next));
        }
        let (found, length) = (data.0.len() as u64, open.blob.length_of(sequence));
        if found != length {
            return Err(format!("chunk {sequence} of \"{key}\" has {found} bytes of {length}"));
        }
        open.digest.add(&data.0);
        open.next += 1;
        self.close_if_whole()
    }

    /// Behind the last chunk the sum is that of all of them.
    fn close_if_whole(&mut self) -> Result<(), String> {
        let Some(Open { blob, digest, .. }) = self.open.take_if(|open| open.next >= open.blob.chunks())
        else {
            return Ok(());
        };
        if digest.end() != blob.sha256 {
            return Err(format!("the bytes of \"{}\" have another SHA-256 than it says", blob.key));
        }
        Ok(())
    }
}

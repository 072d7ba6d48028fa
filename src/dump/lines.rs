//! Lines: the first one says what a dump is, the last one that it is whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use millpond_actors::clock::Moment;
use millpond_actors::limits;
use millpond_actors::storage::checksum;
use millpond_actors::storage::record::Imprint;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::words;
use crate::codec::from_line;

/// The format that is written, and the newest that is read.
pub(super) const FORMAT: u32 = 1;

/// The kind of the first line.
pub(crate) const HEADER: &str = "millpond";

/// The kind of the last line.
pub(crate) const TRAILER: &str = "end";

/// The first line.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Header {
    pub(crate) kind: String,
    pub(super) format: u32,
    /// The schema of the store it is of; 0 of one in memory.
    pub(crate) schema: u32,
    /// The id of that; nil of one in memory.
    pub(crate) store: Uuid,
    /// When it was made, in milliseconds since 1970.
    pub(super) dumped_at: i64,
    /// The position of the last event then.
    pub(crate) position: u64,
    /// The last token given then.
    pub(crate) token: u64,
    /// Whether the keys of subjects are in it.
    pub(crate) keys: bool,
    /// What of the store it is, if not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) only: Vec<String>,
}

impl Header {
    /// Of a dump that is made now of a store which stands there.
    pub(crate) fn of(imprint: Imprint, now: Moment, keys: bool, only: Vec<String>) -> Header {
        let Imprint { store, schema, position, token } = imprint;
        let (kind, format, dumped_at) = (HEADER.to_owned(), FORMAT, now.wall_ms);
        Header { kind, format, schema, store, dumped_at, position, token, keys, only }
    }
}

/// The last line.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trailer {
    pub(crate) kind: String,
    /// How many lines of each kind come before it.
    pub(crate) counts: BTreeMap<String, u64>,
    /// CRC32C over all lines before it, with their ends, in hexadecimal digits.
    pub(crate) crc: String,
}

/// The kind of a line, whatever else is in it.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// The kind of a line.
pub(crate) fn kind_of(line: &str) -> Result<Cow<'_, str>, String> {
    from_line::<Kind<'_>>(line).map(|line| line.kind)
}

/// What the first line says, if this program can read what comes behind it.
pub(crate) fn header(line: &str) -> Result<Header, String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let no_dump = |why: String| format!("it is not the first line of a dump of Millpond: {why}");
    if kind_of(line).map_err(no_dump)? != HEADER {
        return Err(no_dump("its kind is another one".into()));
    }
    // What a newer format says beside that is not known.
    let Format { format } = from_line(line).map_err(no_dump)?;
    if format > FORMAT {
        return Err(format!(
            "the dump has format {format}, this program reads formats up to {FORMAT}; use a newer millpond"
        ));
    }
    let header: Header = from_line(line)?;
    if header.token > limits::DUMPED_TOKEN || header.position > limits::LAST_SEQUENCE {
        return Err("its counters are larger than any store's".into());
    }
    Ok(header)
}

/// Reads line by line, each bounded, and adds up the checksum of all that came before.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    pub(crate) number: u64,
    /// Of the lines before the one that was read last.
    pub(crate) crc: u32,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Lines<R> {
        Lines { input: BufReader::with_capacity(1 << 16, input), line: Vec::new(), number: 0, crc: 0 }
    }

    /// The next line, without its end; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<&str>, String> {
        self.crc = checksum::append(self.crc, &self.line);
        self.line.clear();
        self.number += 1;
        // One byte more shows that it is too long.
        let most = limits::DUMP_LINE_BYTES as u64 + 1;
        let read = self.input.by_ref().take(most).read_until(b'\n', &mut self.line);
        if read.map_err(|error| format!("it cannot be read: {error}"))? == 0 {
            return Ok(None);
        }
        if self.line.len() > limits::DUMP_LINE_BYTES {
            return Err(format!("it is longer than {} MiB", limits::DUMP_LINE_BYTES >> 20));
        }
        let Some(line) = self.line.strip_suffix(b"\n") else {
            return Err("it ends in the middle: the dump was cut".into());
        };
        let line = std::str::from_utf8(line);
        line.map(Some).map_err(|error| format!("it is not UTF-8 (byte {})", error.valid_up_to() + 1))
    }
}

/// A checksum as it is written.
pub(crate) fn shown(crc: u32) -> String {
    format!("{crc:08x}")
}

/// A size within its limit.
pub(super) fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), String> {
    limits::check_size(what, size, limit).map_err(words)
}

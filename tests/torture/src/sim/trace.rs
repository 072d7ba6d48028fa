//! What has happened, in order, as one number: two runs are the same if, and only if, their numbers are.

use std::fmt::{self, Write};
use std::fs::File;
use std::io::{LineWriter, Write as _};

/// FNV-1a over lines, which can also be kept to be read.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: u64,
    kept: Option<LineWriter<File>>,
}

impl Trace {
    /// Keeps its lines in `file` too, if there is one.
    pub(super) fn new(kept: Option<File>) -> Trace {
        Trace { hash: 0xCBF2_9CE4_8422_2325, lines: 0, kept: kept.map(LineWriter::new) }
    }

    /// Something has happened at this moment.
    pub(super) fn note(&mut self, now_ms: u64, what: fmt::Arguments<'_>) {
        // Neither a number nor a file that is only to be read can fail in a way that matters here.
        let _ = writeln!(self, "{now_ms} {what}");
        self.lines += 1;
    }

    /// The number of all that was noted so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// How much was noted.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        match &mut self.kept {
            Some(file) => file.write_all(text.as_bytes()).map_err(|_| fmt::Error),
            None => Ok(()),
        }
    }
}

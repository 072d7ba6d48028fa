//! `events import`: a file, line by line, into the store, chunk by chunk.
//!
//! A chunk is all or nothing, and an event that is there already is left out; so an import that was cut short or
//! stopped at a bad line is simply run again.

mod line;
mod source;

use indicatif::ProgressBar;
use millpond::blocking::Store;
use millpond::{Error, Event, Imported, WriteOutcome};
use serde_json::json;
use uuid::Uuid;

use self::line::Seen;
pub(crate) use self::source::input;
use self::source::{Source, Text};
use crate::args::Import;
use crate::failure::{Done, Failure, code};
use crate::progress;
use crate::show::Show;
use crate::time::Stopwatch;

/// Lines of a chunk.
const CHUNK_LINES: usize = 1_000;

/// Bytes of a chunk, so that few large events do not exceed what the store takes at once (64 MiB).
const CHUNK_BYTES: usize = 40 << 20;

/// Why an import stops.
#[derive(Debug, PartialEq, Eq)]
struct Bad {
    line: u64,
    why: String,
}

/// What is to be imported, open, with its progress.
pub(crate) struct Opened {
    source: Source,
    progress: ProgressBar,
}

/// Opens the file and looks at its first line, if that says what the others mean.
pub(crate) fn open(import: &Import) -> Done<Opened> {
    let (input, size) = source::input(&import.file)?;
    let progress = progress::of_bytes(size);
    let source = Source::open(Box::new(progress.wrap_read(input)), import).map_err(Failure::Failed)?;
    Ok(Opened { source, progress })
}

pub(crate) fn import(store: &Store, opened: Opened, prefix: &str, show: &mut Show) -> Done<u8> {
    let Opened { mut source, progress } = opened;
    let watch = Stopwatch::start();
    let mut sink = Sink::new(store);
    let done = sink.take_all(&mut source, prefix);
    progress.finish_and_clear();
    done?;
    let Imported { added, known } = sink.stored;
    let seconds = watch.elapsed().as_secs_f64();
    if show.is_json() {
        show.json(&json!({"added": added, "known": known, "seconds": seconds}))?;
    } else {
        let events = if added == 1 { "event" } else { "events" };
        show.line(&format!("{added} {events} added, {known} already there, in {seconds:.2} s"))?;
    }
    Ok(code::DONE)
}

/// Where lines gather to chunks, and chunks become events of the store.
struct Sink<'a> {
    store: &'a Store,
    seen: Seen,
    chunk: Chunk,
    stored: Imported,
}

#[derive(Default)]
struct Chunk {
    /// Of each event: its line, its stream and its id, to find the line that the store refuses.
    lines: Vec<(u64, String, Uuid)>,
    events: Vec<(String, Event)>,
    bytes: usize,
}

impl Sink<'_> {
    fn new(store: &Store) -> Sink<'_> {
        Sink { store, seen: Seen::default(), chunk: Chunk::default(), stored: Imported::default() }
    }

    fn take_all(&mut self, source: &mut Source, prefix: &str) -> Done<()> {
        loop {
            match source.next() {
                Ok(Some(text)) => self.take(&text, prefix)?,
                Ok(None) => return self.store_chunk(),
                Err(bad) => return Err(self.stop(&bad)),
            }
        }
    }

    fn take(&mut self, text: &Text, prefix: &str) -> Done<()> {
        if self.chunk.bytes + text.json.len() > CHUNK_BYTES {
            self.store_chunk()?;
        }
        let (stream, id, event) = line::parse(&text.json, prefix, &mut self.seen)
            .map_err(|why| self.stop(&Bad { line: text.number, why }))?;
        self.chunk.bytes += text.json.len();
        self.chunk.lines.push((text.number, stream.clone(), id));
        self.chunk.events.push((stream, event));
        if self.chunk.events.len() == CHUNK_LINES {
            self.store_chunk()?;
        }
        Ok(())
    }

    fn store_chunk(&mut self) -> Done<()> {
        let events = std::mem::take(&mut self.chunk.events);
        if events.is_empty() {
            return Ok(());
        }
        match self.store.events().import(events) {
            Ok(imported) => {
                self.stored.added += imported.added;
                self.stored.known += imported.known;
                self.chunk = Chunk::default();
                Ok(())
            }
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// The store did not take the chunk: because of one of its lines, or for reasons of its own.
    fn refused(&self, error: &Error) -> Failure {
        let (first, last) = self.chunk.range();
        if let Error::DuplicateEvent { stream, id } = error {
            let found = self.chunk.lines.iter().find(|(_, of, its)| of == stream && its == id);
            let line = found.map_or(first, |(line, ..)| *line);
            let why = format!("the id {id} is taken by an event of another stream");
            return Failure::Failed(format!("line {line}: {why}; {}", self.kept(first, last)));
        }
        let kept = match error.outcome() {
            WriteOutcome::NotApplied => self.kept(first, last),
            WriteOutcome::Unknown => {
                let before = self.before();
                format!("whether lines {first}-{last} were kept is not known{before}; run it again")
            }
        };
        Failure::Failed(format!("{error}; {kept}"))
    }

    /// A line was bad before its chunk was sent to the store.
    fn stop(&self, bad: &Bad) -> Failure {
        let first = self.chunk.lines.first().map_or(bad.line, |(line, ..)| *line);
        Failure::Failed(format!("line {}: {}; {}", bad.line, bad.why, self.kept(first, bad.line)))
    }

    fn kept(&self, first: u64, last: u64) -> String {
        format!("nothing of lines {first}-{last} was kept{}", self.before())
    }

    fn before(&self) -> String {
        match self.stored.added + self.stored.known {
            0 => String::new(),
            1 => ", 1 line before is in the store".to_owned(),
            lines => format!(", {lines} lines before are in the store"),
        }
    }
}

impl Chunk {
    fn range(&self) -> (u64, u64) {
        let number = |entry: Option<&(u64, String, Uuid)>| entry.map_or(0, |(line, ..)| *line);
        (number(self.lines.first()), number(self.lines.last()))
    }
}

//! Writing a dump: the first line, the records of each section, the last line.

use std::io::{BufWriter, Write};

use millpond_actors::clock::Moment;
use millpond_actors::error::{Error, Result};
use millpond_actors::storage::record::Record;
use millpond_actors::storage::{View, checksum};

use super::lines::{Header, TRAILER, Trailer, shown};
use super::{Dump, Dumped, SECTIONS, Sink, Source, Wanted, label, line};
use crate::codec::to_json;

/// Writes what is wanted of the store that a view shows.
pub(crate) fn write(view: &mut dyn View, now: Moment, to: &mut impl Write, dump: Dump) -> Result<Dumped> {
    let Dump { only, keys } = dump;
    let wanted = Wanted::parse(&only)?;
    let header = Header::of(view.imprint()?, now, keys, only);
    let mut out = Out { to: BufWriter::with_capacity(1 << 16, to), crc: 0, dumped: Dumped::default() };
    out.line(&to_json("the first line of a dump", &header)?)?;
    let mut source = Source { view, now, wanted: &wanted, keys };
    every(&mut source, &mut |record| {
        let record = record?;
        *out.dumped.counts.entry(label(&record).0.to_owned()).or_default() += 1;
        out.line(&line(&record)?)
    })?;
    let (counts, crc) = (out.dumped.counts.clone(), shown(out.crc));
    let trailer = Trailer { kind: TRAILER.to_owned(), counts, crc };
    out.line(&to_json("the last line of a dump", &trailer)?)?;
    out.to.flush().map_err(|error| unwritten(&error))?;
    Ok(out.dumped)
}

/// Hands on all records of the store, with the keys of subjects, in the order of a dump. One that is damaged, or a `sink` that fails,
/// ends it.
pub(crate) fn all_records(
    view: &mut dyn View,
    now: Moment,
    sink: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    let mut source = Source { view, now, wanted: &Wanted::default(), keys: true };
    every(&mut source, &mut |record| sink(record?))
}

/// Hands on each record of the store, or what is wrong with it: what damage hides ends its section alone.
pub(crate) fn every_record(
    view: &mut dyn View,
    now: Moment,
    wanted: &Wanted,
    sink: &mut dyn FnMut(Result<Record>) -> Result<()>,
) -> Result<()> {
    for section in SECTIONS {
        let mut source = Source { view, now, wanted, keys: true };
        if let Err(error) = section.read(&mut source, sink) {
            sink(Err(error))?;
        }
    }
    Ok(())
}

fn every(source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()> {
    let wanted = SECTIONS.iter().filter(|section| source.wanted.wants_any(section.word()));
    wanted.into_iter().try_for_each(|section| section.read(source, sink))
}

/// Where it goes.
struct Out<W: Write> {
    to: BufWriter<W>,
    crc: u32,
    dumped: Dumped,
}

impl<W: Write> Out<W> {
    fn line(&mut self, line: &str) -> Result<()> {
        self.crc = checksum::append(checksum::append(self.crc, line.as_bytes()), b"\n");
        self.dumped.bytes += line.len() as u64 + 1;
        let written = self.to.write_all(line.as_bytes()).and_then(|()| self.to.write_all(b"\n"));
        written.map_err(|error| unwritten(&error))
    }
}

fn unwritten(error: &std::io::Error) -> Error {
    let detail = format!("the dump cannot be written: {error}");
    match error.kind() {
        std::io::ErrorKind::StorageFull => Error::StorageFull { detail },
        _ => Error::Storage { detail },
    }
}

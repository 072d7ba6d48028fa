//! Reading a dump to its end before anything is written: whatever is wrong with it is found here, with its line.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use millpond_actors::clock::{Rng as _, SystemRng};
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::record::Record;

use super::lines::{self, Header, Lines, TRAILER, Trailer, shown};
use super::{Load, Order, SECTIONS, Section, Wanted, label, section_of};
use crate::codec::from_line;

/// A dump that is whole and in order, in a file of its own.
pub(crate) struct Plan {
    file: File,
    pub(crate) header: Header,
    pub(super) load: Load,
    pub(super) wanted: Wanted,
    /// The streams that are wanted, with their versions.
    pub(super) streams: Vec<(Name, u64)>,
}

impl Plan {
    /// Its records once more, in order, each with its line.
    pub(crate) fn each(&mut self, act: &mut dyn FnMut(u64, Record) -> Result<()>) -> Result<()> {
        self.file.rewind().map_err(|error| unread(&error))?;
        let mut lines = Lines::new(&self.file);
        loop {
            let line = lines.next().map_err(|why| refused(0, why))?.map(str::to_owned);
            match line {
                Some(line) if lines.number > 1 => match parse(&line) {
                    Ok((record, _)) => act(lines.number, record)?,
                    Err(_) if lines::kind_of(&line).is_ok_and(|kind| kind == TRAILER) => return Ok(()),
                    Err(why) => return Err(refused(lines.number, why)),
                },
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }
}

/// Takes a dump to a file of its own, which has no name, and looks it over.
pub(crate) fn plan(from: impl Read, folder: Option<&Path>, load: Load) -> Result<Plan> {
    let wanted = Wanted::parse(&load.only)?;
    let mut file = spool(from, folder)?;
    file.rewind().map_err(|error| unread(&error))?;
    let mut look = Look { lines: Lines::new(&file), counts: BTreeMap::new(), now: None, streams: Vec::new() };
    let header = look.all().map_err(|why| refused(look.lines.number, why))?;
    let Look { mut streams, .. } = look;
    streams.retain(|(name, _)| wanted.wants("stream", name.as_str()));
    Ok(Plan { file, header, load, wanted, streams })
}

/// What is wrong with a line.
pub(super) fn refused(line: u64, reason: String) -> Error {
    Error::LoadRefused { line, reason }
}

/// The record of a line, and its section.
fn parse(line: &str) -> std::result::Result<(Record, usize), String> {
    let kind = lines::kind_of(line)?;
    let index = SECTIONS.iter().position(|section| section.word() == section_of(&kind));
    let found = index.and_then(|index| Some((index, *SECTIONS.get(index)?)));
    let Some((index, section)): Option<(usize, &dyn Section)> = found else {
        return Err(format!("there is no kind \"{}\"", kind.escape_debug()));
    };
    section.parse(&kind, line).map(|record| (record, index))
}

struct Look<'a> {
    lines: Lines<&'a File>,
    counts: BTreeMap<String, u64>,
    /// The section whose records come.
    now: Option<(usize, Box<dyn Order>)>,
    streams: Vec<(Name, u64)>,
}

impl Look<'_> {
    fn all(&mut self) -> std::result::Result<Header, String> {
        let header = lines::header(self.lines.next()?.ok_or("the dump is empty")?)?;
        loop {
            let cut =
                || format!("it is missing: the dump was cut, it ends without its last line, \"{TRAILER}\"");
            let line = self.lines.next()?.ok_or_else(cut)?.to_owned();
            if lines::kind_of(&line)? == TRAILER {
                self.end_section()?;
                self.compare(&line)?;
                return match self.lines.next()? {
                    None => Ok(header),
                    Some(_) => Err("it comes behind the last line of the dump".into()),
                };
            }
            let (record, section) = parse(&line)?;
            self.step(section, &record)?;
            *self.counts.entry(label(&record).0.to_owned()).or_default() += 1;
        }
    }

    fn step(&mut self, section: usize, record: &Record) -> std::result::Result<(), String> {
        match &self.now {
            Some((now, _)) if *now == section => {}
            Some((now, _)) if *now > section => {
                return Err(format!("a {} comes too late", label(record).0));
            }
            _ => {
                self.end_section()?;
                self.now = SECTIONS.get(section).map(|of| (section, of.order()));
            }
        }
        self.now.as_mut().map_or(Ok(()), |(_, order)| order.next(record))
    }

    fn end_section(&mut self) -> std::result::Result<(), String> {
        let Some((_, mut order)) = self.now.take() else { return Ok(()) };
        self.streams.extend(order.streams());
        order.end()
    }

    fn compare(&self, line: &str) -> std::result::Result<(), String> {
        let Trailer { counts, crc, .. } = from_line(line)?;
        if counts != self.counts {
            let all = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
            let (said, found) = (all(&counts), all(&self.counts));
            return Err(format!("it tells of other records: of {said} in all, where {found} came"));
        }
        let found = shown(self.lines.crc);
        if crc != found {
            return Err(format!("the checksum of all lines before it is {found}, it says {crc}"));
        }
        Ok(())
    }
}

/// Where there is room for a file without a name: in the store's folder, or in the one for temporary files.
fn spool(mut from: impl Read, folder: Option<&Path>) -> Result<File> {
    let make = |folder: &Path| {
        let path = folder.join(format!(".millpond-load-{}", SystemRng.uuid().simple()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path).map(|()| file)
    };
    let made = folder.map(make).and_then(io::Result::ok).map_or_else(|| make(&std::env::temp_dir()), Ok);
    let mut file = made.map_err(|error| unread(&error))?;
    io::copy(&mut from, &mut file).and_then(|_| file.flush()).map_err(|error| unread(&error))?;
    Ok(file)
}

fn unread(error: &io::Error) -> Error {
    let detail = format!("the dump cannot be read: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull => Error::StorageFull { detail },
        _ => Error::Storage { detail },
    }
}

//! A copy to a dump. It is written under a name of its own, and gets its own when it is whole, on disk, and was read again; what was
//! written by one who was killed is gone on with, if it is the beginning of what would be written now.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use millpond_actors::clock::{Moment, Seams};
use millpond_actors::error::{Error, Result};
use millpond_actors::storage::checksum;

use super::compare::{Against, Comparing};
use super::records::Records;
use super::{Copied, CopyStep, Copying, Original, TOLD_EVERY};
use crate::codec::{from_line, to_json};
use crate::dump::{HEADER, Header, Lines, TRAILER, Trailer, kind_of, label, read_header, shown};

/// Copies to a dump, which is a new file, or the beginning of this copy, or the whole of it.
pub(crate) fn to_dump(original: Original, to: &Path, copying: Copying, seams: &Seams) -> Result<Copied> {
    let now = seams.clock.now();
    let (header, position) = (original.header(now), original.imprint.position);
    let mut paper = Paper { original, header, now, copying, seams };
    match File::open(to) {
        Ok(file) => {
            let (counts, checksum) = paper.verify(&file, Against::Beginning)?;
            let known = counts.values().sum();
            // Whoever was killed while he gave it its name has left the other one.
            let id = |found: io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
            if id(fs::metadata(part_of(to))).is_some_and(|part| Some(part) == id(file.metadata())) {
                fs::remove_file(part_of(to)).map_err(|error| failed("written", &part_of(to), &error))?;
            }
            return Ok(Copied { counts, written: 0, known, checksum, position });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", to, &error)),
    }
    let part = part_of(to);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&part);
    let mut file = file.map_err(|error| failed("written", &part, &error))?;
    if file.try_lock().is_err() {
        let reason = format!("somebody else copies to \"{}\"", part.display());
        return Err(Error::CopyRefused { reason });
    }
    let (known, written) = paper.complete(&mut file, &part)?;
    file.sync_all().map_err(|error| failed("written", &part, &error))?;
    let (counts, checksum) = paper.verify(&file, Against::Whole)?;
    name(&part, to).map_err(|error| failed("written", to, &error))?;
    Ok(Copied { counts, written, known, checksum, position })
}

/// The name that it has until it is whole.
fn part_of(to: &Path) -> PathBuf {
    let mut part = OsString::from(to);
    part.push(".part");
    PathBuf::from(part)
}

/// Gives it its name, in place of nothing.
fn name(part: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(part, to) {
        Ok(()) => fs::remove_file(part)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // There are file systems on which nothing has two names.
        Err(_) => fs::rename(part, to)?,
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let detail = format!("\"{}\" cannot be {what}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull => Error::StorageFull { detail },
        _ => Error::Storage { detail },
    }
}

/// What a dump begins with.
const START: &str = "{\"kind\":\"millpond\",";

struct Paper<'a> {
    original: Original,
    header: Header,
    now: Moment,
    copying: Copying,
    seams: &'a Seams,
}

/// How far a dump that is not whole has come.
struct Begun {
    comparing: Comparing,
    /// Bytes of the lines that can stay, and their checksum.
    bytes: u64,
    crc: u32,
}

impl Paper<'_> {
    fn comparing(&self, against: Against, step: CopyStep) -> Result<Comparing> {
        let records = Records::read(&self.original, self.now, self.seams)?;
        Ok(Comparing::new(records, against, (step, self.copying.clone())))
    }

    /// Writes what is missing. How many records were there, and how many were written.
    fn complete(&mut self, file: &mut File, part: &Path) -> Result<(u64, u64)> {
        let unwritten = |error: &io::Error| failed("written", part, error);
        let Begun { comparing, bytes, crc } = match self.begun(file, part)? {
            Some(begun) => begun,
            None => {
                let line = to_json("the first line of a dump", &self.header)? + "\n";
                file.set_len(0).and_then(|()| file.rewind()).map_err(|error| unwritten(&error))?;
                file.write_all(line.as_bytes()).map_err(|error| unwritten(&error))?;
                let (bytes, crc) = (line.len() as u64, checksum::append(0, line.as_bytes()));
                Begun { comparing: self.comparing(Against::Beginning, CopyStep::Compare)?, bytes, crc }
            }
        };
        file.set_len(bytes).map_err(|error| unwritten(&error))?;
        file.seek(SeekFrom::Start(bytes)).map_err(|error| unwritten(&error))?;
        let (mut records, mut seen) = comparing.rest();
        let known = seen.records;
        let mut out = Out { to: BufWriter::with_capacity(1 << 16, file), crc };
        while let Some(item) = records.next()? {
            out.line(&item.line).map_err(|error| unwritten(&error))?;
            seen.add(label(&item.record).0, &item.line);
            let written = seen.records - known;
            if written.is_multiple_of(TOLD_EVERY) {
                self.copying.tell(CopyStep::Write, written);
            }
        }
        let written = seen.records - known;
        let trailer = Trailer { kind: TRAILER.to_owned(), counts: seen.counts, crc: shown(out.crc) };
        let last = to_json("the last line of a dump", &trailer)?;
        out.line(&last).and_then(|()| out.to.flush()).map_err(|error| unwritten(&error))?;
        Ok((known, written))
    }

    /// How far what is there is the beginning of what would be written now; `None` if not even its first line is. Half a dump is nobody's
    /// but whoever copies to it, so the rest of it goes.
    fn begun(&mut self, file: &mut File, part: &Path) -> Result<Option<Begun>> {
        let unread = |error: &io::Error| failed("read", part, error);
        let mut start = Vec::new();
        file.rewind().map_err(|error| unread(&error))?;
        (&*file).take(START.len() as u64).read_to_end(&mut start).map_err(|error| unread(&error))?;
        if !START.as_bytes().starts_with(&start) {
            let reason = format!("\"{}\" is no dump of Millpond, and is in the way", part.display());
            return Err(Error::CopyRefused { reason });
        }
        file.rewind().map_err(|error| unread(&error))?;
        let mut lines = Lines::new(&*file);
        let first = lines.next().and_then(|line| {
            let line = line.ok_or("it is missing")?;
            read_header(line).map(|header| (header, line.len() as u64 + 1))
        });
        let mut bytes = match first {
            Ok((there, length)) if self.goes_on(&there) => length,
            // Also if it was cut.
            _ => return Ok(None),
        };
        let mut comparing = self.comparing(Against::Beginning, CopyStep::Compare)?;
        // From a line on that was cut, or is another one by now, or is the last one, it is written again.
        while let Ok(Some(line)) = lines.next() {
            let length = line.len() as u64 + 1;
            if !comparing.is_next(line)? {
                break;
            }
            bytes += length;
        }
        let crc = crc_of(file, bytes).map_err(|error| unread(&error))?;
        Ok(Some(Begun { comparing, bytes, crc }))
    }

    /// Whether a dump with that first line can be gone on with: it is of the same store, of which nothing was given meanwhile.
    fn goes_on(&self, there: &Header) -> bool {
        let of = |header: &Header| (header.store, header.schema, header.position, header.token, header.keys);
        of(there) == of(&self.header) && there.only.is_empty() && there.kind == HEADER
    }

    /// Reads a dump again, and holds it against what is copied.
    fn verify(&self, mut file: &File, against: Against) -> Result<(BTreeMap<String, u64>, u32)> {
        let broken = |line: u64, reason: String| match against {
            Against::Beginning => Error::NotTheCopy { record: format!("line {line}"), reason },
            Against::Whole => Error::CopyDiffers { record: format!("line {line}"), reason },
        };
        file.rewind().map_err(|error| broken(0, format!("cannot be read: {error}")))?;
        let mut lines = Lines::new(file);
        let first = lines.next().and_then(|line| read_header(line.ok_or("is missing")?));
        first.map_err(|why| broken(1, why))?;
        let mut comparing = self.comparing(against, CopyStep::Verify)?;
        loop {
            let line = lines.next().map(|line| line.map(str::to_owned));
            let line = line.and_then(|line| line.ok_or_else(|| "is missing: the dump was cut".to_owned()));
            let line = line.map_err(|why| broken(lines.number, why))?;
            if comparing.is_next(&line)? {
                continue;
            }
            if kind_of(&line).is_ok_and(|kind| kind == TRAILER) {
                let Trailer { crc, counts, .. } =
                    from_line(&line).map_err(|why| broken(lines.number, why))?;
                let (seen, checksum) = comparing.end()?;
                if (crc, &counts) != (shown(lines.crc), &seen) {
                    return Err(broken(lines.number, "says something else than the lines before it".into()));
                }
                return Ok((counts, checksum));
            }
            return Err(comparing.missing(format!("is not there: line {} stands in its place", lines.number)));
        }
    }
}

/// Lines on their way into a file, and the checksum of all that are in it.
struct Out<'a> {
    to: BufWriter<&'a mut File>,
    crc: u32,
}

impl Out<'_> {
    fn line(&mut self, line: &str) -> io::Result<()> {
        self.crc = checksum::append(checksum::append(self.crc, line.as_bytes()), b"\n");
        self.to.write_all(line.as_bytes())?;
        self.to.write_all(b"\n")
    }
}

/// CRC32C over the first bytes of a file.
fn crc_of(mut file: &File, bytes: u64) -> io::Result<u32> {
    file.rewind()?;
    let (mut crc, mut buffer, mut rest) = (0, vec![0; 1 << 16], file.take(bytes));
    loop {
        let read = rest.read(&mut buffer)?;
        match buffer.get(..read) {
            Some(part) if read > 0 => crc = checksum::append(crc, part),
            _ => return Ok(crc),
        }
    }
}

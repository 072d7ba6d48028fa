//! Where lines come from: a file or standard input, JSON lines or CSV. Both are handed on as a line of JSON.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use serde::Serialize;

use super::Bad;
use crate::args::{Format, Import};
use crate::failure::{Done, Failure};

/// Longest line: the largest event (16 MiB) with all that stands around it.
const LINE_BYTES: u64 = 17 << 20;

/// A byte order mark, which some editors put in front.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// A line as JSON, with its number in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) number: u64,
    pub(super) json: String,
}

/// The bytes to be read, and how many there are if that is known.
pub(crate) fn input(path: &Path) -> Done<(Box<dyn Read>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let refuse = |why: String| Failure::Failed(format!("cannot read \"{}\": {why}", path.display()));
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let found = file.metadata().map_err(|error| refuse(error.to_string()))?;
    if found.is_dir() {
        return Err(refuse("it is a directory".into()));
    }
    Ok((Box::new(file), found.is_file().then_some(found.len())))
}

/// The lines of a file.
pub(super) enum Source {
    Jsonl(Jsonl),
    Csv(Box<Csv>),
}

impl Source {
    pub(super) fn open(input: Box<dyn Read>, import: &Import) -> Result<Source, String> {
        let named_csv = import.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let format = import.format.unwrap_or(if named_csv { Format::Csv } else { Format::Jsonl });
        match format {
            Format::Jsonl => Ok(Source::Jsonl(Jsonl::new(input))),
            Format::Csv => Csv::open(input, import).map(|csv| Source::Csv(Box::new(csv))),
        }
    }

    /// The next line that is not empty; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Text>, Bad> {
        match self {
            Source::Jsonl(jsonl) => jsonl.next(),
            Source::Csv(csv) => csv.next(),
        }
    }
}

/// Lines of JSON, not looked into.
pub(super) struct Jsonl {
    input: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    number: u64,
}

impl Jsonl {
    fn new(input: Box<dyn Read>) -> Jsonl {
        Jsonl { input: BufReader::with_capacity(1 << 16, input), line: Vec::new(), number: 0 }
    }

    fn next(&mut self) -> Result<Option<Text>, Bad> {
        loop {
            self.line.clear();
            self.number += 1;
            let number = self.number;
            let bad = |why: String| Bad { line: number, why };
            // A line end may come on top of the longest line, and one byte more shows that it is too long.
            let read = self.input.by_ref().take(LINE_BYTES + 2).read_until(b'\n', &mut self.line);
            if read.map_err(|error| bad(format!("cannot be read: {error}")))? == 0 {
                return Ok(None);
            }
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() as u64 > LINE_BYTES {
                return Err(bad(too_long()));
            }
            let line = if number == 1 { line.strip_prefix(MARK).unwrap_or(line) } else { line };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let text = std::str::from_utf8(line).map_err(|error| bad(not_utf8(error.valid_up_to())))?;
            return Ok(Some(Text { number, json: text.to_owned() }));
        }
    }
}

fn too_long() -> String {
    format!("it is longer than {} MiB", LINE_BYTES >> 20)
}

fn not_utf8(valid: usize) -> String {
    format!("it is not UTF-8 (byte {})", valid + 1)
}

/// Records of CSV under a header: some columns are named, the others are the content, as texts.
pub(super) struct Csv {
    reader: csv::Reader<Bounded>,
    record: csv::StringRecord,
    /// Bytes that may still be read for this record: a quote that is never closed must not fill the memory.
    left: Rc<Cell<u64>>,
    stream: usize,
    event_type: usize,
    time: Option<usize>,
    rest: Vec<(usize, String)>,
}

/// A record in the shape of a line.
#[derive(Serialize)]
struct Record<'a> {
    stream: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    data: Columns<'a>,
}

/// Columns in the order of the file.
struct Columns<'a>(&'a [(usize, String)], &'a csv::StringRecord);

impl Serialize for Columns<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().map(|(index, name)| (name, self.1.get(*index).unwrap_or_default())))
    }
}

impl Csv {
    fn open(input: Box<dyn Read>, import: &Import) -> Result<Csv, String> {
        let left = Rc::new(Cell::new(LINE_BYTES));
        let mut reader = csv::Reader::from_reader(Bounded { input, left: Rc::clone(&left) });
        let header = reader.headers().map_err(|error| format!("the header: {}", explain(&error)))?.clone();
        for (index, name) in header.iter().enumerate() {
            if header.iter().skip(index + 1).any(|other| other == name) {
                return Err(format!("the column \"{name}\" occurs twice"));
            }
        }
        let find = |name: &str| header.iter().position(|column| column == name);
        let need = |name: &str, option: &str| {
            let all = || header.iter().collect::<Vec<_>>().join(", ");
            find(name)
                .ok_or_else(|| format!("there is no column \"{name}\" ({option}); the columns are {}", all()))
        };
        let stream = need(&import.stream_column, "--stream-column")?;
        let event_type = need(&import.type_column, "--type-column")?;
        let time = match &import.time_column {
            Some(name) => Some(need(name, "--time-column")?),
            None => find("time"),
        };
        let named = [Some(stream), Some(event_type), time];
        let rest = header.iter().enumerate().filter(|(index, _)| !named.contains(&Some(*index)));
        let rest = rest.map(|(index, name)| (index, name.to_owned())).collect();
        Ok(Csv { reader, record: csv::StringRecord::new(), left, stream, event_type, time, rest })
    }

    fn next(&mut self) -> Result<Option<Text>, Bad> {
        self.left.set(LINE_BYTES);
        let start = self.reader.position().line();
        let bad = |line: Option<u64>, why: String| Bad { line: line.unwrap_or(start), why };
        let more = self.reader.read_record(&mut self.record);
        let more = more.map_err(|error| bad(error.position().map(csv::Position::line), explain(&error)))?;
        if !more {
            return Ok(None);
        }
        let number = self.record.position().map_or(start, csv::Position::line);
        let field = |index: usize| self.record.get(index).unwrap_or_default();
        let record = Record {
            stream: field(self.stream),
            r#type: field(self.event_type),
            time: self.time.map(field).filter(|time| !time.is_empty()),
            data: Columns(&self.rest, &self.record),
        };
        let json = serde_json::to_string(&record).map_err(|error| bad(Some(number), error.to_string()))?;
        Ok(Some(Text { number, json }))
    }
}

/// The csv crate's words, without a place: we name the line ourselves.
fn explain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { err, .. } => format!("column {} is not UTF-8", err.field() + 1),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} columns, the header has {expected_len}")
        }
        _ => error.to_string(),
    }
}

/// A reader that stops a record from going on for ever.
struct Bounded {
    input: Box<dyn Read>,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other(too_long()));
        }
        let read = self.input.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(read as u64));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::args::{Args, Command, EventsCommand};

    fn import_args(options: &[&str]) -> Import {
        let arguments = ["millpond", "events", "import", "-"].iter().chain(options);
        match Args::try_parse_from(arguments).expect("good arguments").command {
            Command::Events(EventsCommand::Import(import)) => import,
            other => panic!("{other:?}"),
        }
    }

    fn all(bytes: &[u8], options: &[&str]) -> Result<Vec<Text>, Bad> {
        let input = Box::new(io::Cursor::new(bytes.to_vec()));
        let open = Source::open(input, &import_args(options));
        let mut source = open.map_err(|why| Bad { line: 1, why })?;
        std::iter::from_fn(|| source.next().transpose()).collect()
    }

    fn text(number: u64, json: &str) -> Text {
        Text { number, json: json.to_owned() }
    }

    #[test]
    fn empty_lines_count_and_are_skipped() {
        let lines = all(b"\xef\xbb\xbf{}\r\n\n  \n[1]\n2", &[]);
        assert_eq!(lines, Ok(vec![text(1, "{}"), text(4, "[1]"), text(5, "2")]));
        assert_eq!(all(b"", &[]), Ok(vec![]));
    }

    #[test]
    fn a_line_that_is_not_utf8_is_named() {
        let bad = all(b"{}\n{\"a\xff\"}\n", &[]).expect_err("not UTF-8");
        assert_eq!((bad.line, bad.why.as_str()), (2, "it is not UTF-8 (byte 4)"));
    }

    #[test]
    fn a_line_may_be_so_long_and_no_longer() {
        let longest = vec![b'1'; LINE_BYTES as usize];
        assert_eq!(all(&longest, &[]).map(|lines| lines.len()), Ok(1));
        let longer = [longest, b"1\n{}".to_vec()].concat();
        assert_eq!(all(&longer, &[]), Err(Bad { line: 1, why: "it is longer than 17 MiB".into() }));
    }

    #[test]
    fn the_other_columns_of_csv_are_the_content() {
        let csv = b"case,what,when,b,a\n7,Opened,2026-01-01T00:00:00Z,\"x, \"\"y\"\"\",\n8,Closed,,1,\"two\nlines\"\n";
        let options = ["--format=csv", "--stream-column=case", "--type-column=what", "--time-column=when"];
        let first =
            r#"{"stream":"7","type":"Opened","time":"2026-01-01T00:00:00Z","data":{"b":"x, \"y\"","a":""}}"#;
        let second = r#"{"stream":"8","type":"Closed","data":{"b":"1","a":"two\nlines"}}"#;
        assert_eq!(all(csv, &options), Ok(vec![text(2, first), text(3, second)]));
    }

    #[test]
    fn bad_csv_is_named() {
        let options = &["--format=csv"];
        let why = |bytes: &[u8]| all(bytes, options).expect_err("bad").why;
        assert!(
            why(b"a,b\n").contains("there is no column \"stream\" (--stream-column); the columns are a, b")
        );
        assert!(why(b"stream,type,a,a\n").contains("the column \"a\" occurs twice"));
        let bad = all(b"stream,type\na,T\nb\n", options).expect_err("too few columns");
        assert_eq!((bad.line, bad.why.as_str()), (3, "it has 1 columns, the header has 2"));
        let endless = [b"stream,type\na,\"".to_vec(), vec![b'x'; 18 << 20]].concat();
        assert!(why(&endless).contains("longer than 17 MiB"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes, &[]);
            let csv = [b"stream,type,time,a\n".to_vec(), bytes].concat();
            let _ = all(&csv, &["--format=csv"]);
        }
    }
}

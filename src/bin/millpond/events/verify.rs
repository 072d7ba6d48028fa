//! `events verify`: reads all events, of the store or of one stream, and says what is wrong.
//!
//! On reading, the store itself finds what does not match its checksum or is not where it belongs. Here that is counted,
//! the order of what was read is looked at once more, from outside, and so is what no checksum is over. Events are looked
//! at one by one: what is kept in memory is how far each stream has come, some hundred bytes a stream.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use millpond::blocking::{EventStream, Store};
use millpond::{Error, Recorded};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::no_stream;
use crate::args::Verify;
use crate::failure::{Done, Failure, code, complain};
use crate::progress;
use crate::show::{Show, bytes, count};
use crate::time::{Stopwatch, rfc3339};

pub(crate) fn verify(store: &Store, verify: &Verify, show: &mut Show) -> Done<u8> {
    let mut check = Check {
        store,
        only: verify.stream.as_deref(),
        show,
        progress: ProgressBar::hidden(),
        watch: Stopwatch::start(),
        positions: Row::default(),
        streams: BTreeMap::new(),
        recorded_at: i64::MIN,
        events: 0,
        bytes: 0,
        findings: 0,
    };
    let done = check.run();
    check.progress.finish_and_clear();
    match done.and_then(|()| check.sum_up()) {
        // Whoever reads our output may have seen enough, and what was found stays found.
        Ok(()) | Err(Failure::Unread) => Ok(if check.findings == 0 { code::DONE } else { code::FAILED }),
        Err(failure) => Err(failure),
    }
}

/// Numbers that should follow one another.
#[derive(Clone, Copy, Default)]
struct Row {
    last: u64,
    /// Events behind it that could not be read: each has a number, and it is not known which.
    damaged: u64,
}

impl Row {
    /// Goes on to this number; whether it is the one that had to come.
    fn step(&mut self, next: u64) -> bool {
        let follows = next > self.last && next - self.last - 1 <= self.damaged;
        *self = Row { last: next, damaged: 0 };
        follows
    }

    /// Whether this may be the last number.
    fn ends_at(self, end: u64) -> bool {
        end >= self.last && end - self.last <= self.damaged
    }
}

/// What is wrong, and where, as far as that is known.
#[derive(Default, Serialize)]
struct Finding<'a> {
    finding: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

impl Finding<'_> {
    fn of(error: &Error) -> Finding<'_> {
        let finding = Finding { finding: error.to_string(), ..Finding::default() };
        match error {
            // An event of the store whose stream is not known has a position.
            Error::Corrupt { kind: "event", name, sequence, .. } if name == "?" => {
                Finding { position: Some(*sequence), ..finding }
            }
            Error::Corrupt { kind: "event" | "stream", name, sequence, .. } => {
                Finding { stream: Some(name), version: Some(*sequence), ..finding }
            }
            _ => finding,
        }
    }
}

struct Check<'a> {
    store: &'a Store,
    /// The one stream that is read, if not all are.
    only: Option<&'a str>,
    show: &'a mut Show,
    progress: ProgressBar,
    watch: Stopwatch,
    positions: Row,
    /// The versions of each stream.
    streams: BTreeMap<String, Row>,
    /// When the last event that could be read was recorded.
    recorded_at: i64,
    events: u64,
    bytes: u64,
    findings: u64,
}

impl Check<'_> {
    fn run(&mut self) -> Done<()> {
        // First up to where it goes, and then not further: others may append meanwhile.
        let events = self.store.events();
        let (end, reading) = match self.only {
            Some(stream) => (events.version(stream), events.read_stream(stream).with_deleted()),
            None => (events.head(), events.read_all().with_deleted()),
        };
        let end = self.unless_damaged(end)?;
        if let (Some(stream), Some(0)) = (self.only, end) {
            return Err(no_stream(stream));
        }
        self.progress = progress::of(end.unwrap_or(0));
        let reading = match end {
            Some(end) => reading.to(end),
            None => reading,
        };
        if !self.read(reading)? {
            return Ok(());
        }
        match self.only {
            Some(stream) => {
                let row = self.streams.get(stream).copied().unwrap_or_default();
                self.compare_version(stream, row, end)
            }
            None => self.compare_head(end).and_then(|()| self.compare_versions(end)),
        }
    }

    /// Whether it was read to its end.
    fn read(&mut self, reading: EventStream) -> Done<bool> {
        let mut reading = reading.peekable();
        while let Some(found) = reading.next() {
            self.progress.inc(1);
            match found {
                Ok(event) => self.look_at(&event)?,
                // Damage stands in an event's place. After any other error the reading has ended, as a rule.
                Err(error @ Error::Corrupt { kind: "event", .. }) => self.damaged(&error)?,
                Err(error) if reading.peek().is_some() => self.damaged(&error)?,
                Err(error) => {
                    let place = format!("the reading has ended behind position {}", self.positions.last);
                    let finding = format!("{place}, and what follows was not looked at: {error}");
                    self.add(&Finding { finding, ..Finding::default() })?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn look_at(&mut self, event: &Recorded) -> Done<()> {
        let (stream, version, position) = (event.stream(), event.version(), event.position());
        let (content, metadata) = (event.json(), event.metadata());
        self.events += 1;
        self.bytes += [content, metadata].into_iter().flatten().map(|text| text.len() as u64).sum::<u64>();
        let mut wrong = Vec::new();

        let before = self.positions.last;
        let follows = self.positions.step(position);
        // Events of one stream have those of others between them.
        if !(follows || self.only.is_some() && position > before) {
            wrong.push(format!("the position before it is {before}"));
        }
        let row = self.streams.entry(stream.to_owned()).or_default();
        let before = row.last;
        if !row.step(version) {
            wrong.push(format!("the version before it is {before}"));
        }
        let (at, before) = (event.recorded_at_ms(), self.recorded_at);
        self.recorded_at = at;
        if at < before {
            let (at, before) = (rfc3339(at), rfc3339(before));
            wrong.push(format!("it was recorded at {at}, the event before it at {before}"));
        }
        match content.filter(|_| !event.is_deleted()) {
            Some(json) => wrong.extend(why_not_json("content", json)),
            None if event.is_deleted() => {}
            None => wrong.push("its content is not JSON".to_owned()),
        }
        wrong.extend(metadata.and_then(|json| why_not_json("metadata", json)));

        for why in wrong {
            let finding = format!("event {version} of stream \"{stream}\", at position {position}: {why}");
            let (version, position) = (Some(version), Some(position));
            self.add(&Finding { finding, stream: Some(stream), version, position })?;
        }
        Ok(())
    }

    /// There is an event, and it could not be read.
    fn damaged(&mut self, error: &Error) -> Done<()> {
        let finding = Finding::of(error);
        self.positions.damaged += 1;
        if let Some(stream) = self.only.or(finding.stream) {
            self.streams.entry(stream.to_owned()).or_default().damaged += 1;
        }
        self.add(&finding)
    }

    fn compare_head(&mut self, head: Option<u64>) -> Done<()> {
        let Some(head) = head.filter(|head| !self.positions.ends_at(*head)) else { return Ok(()) };
        let last = self.positions.last;
        let finding =
            format!("the head is {head}, and the last event that can be read is at position {last}");
        self.add(&Finding { finding, position: Some(head), ..Finding::default() })
    }

    /// Each stream's own word of its version.
    fn compare_versions(&mut self, head: Option<u64>) -> Done<()> {
        let head = head.unwrap_or(self.positions.last);
        let streams = std::mem::take(&mut self.streams);
        self.progress.inc_length(streams.len() as u64);
        for (stream, row) in &streams {
            self.progress.inc(1);
            let version = self.unless_damaged(self.store.events().version(stream))?;
            if !self.has_grown(stream, *row, version, head) {
                self.compare_version(stream, *row, version)?;
            }
        }
        self.streams = streams;
        Ok(())
    }

    /// Whether others have appended since the head was asked for.
    fn has_grown(&self, stream: &str, row: Row, version: Option<u64>, head: u64) -> bool {
        let last = row.last + row.damaged;
        let mut behind = self.store.events().read_stream(stream).with_deleted().after(last).limit(1);
        version > Some(last) && matches!(behind.next(), Some(Ok(event)) if event.position() > head)
    }

    fn compare_version(&mut self, stream: &str, row: Row, version: Option<u64>) -> Done<()> {
        let Some(version) = version.filter(|version| !row.ends_at(*version)) else { return Ok(()) };
        let (its, last) = ("its last event that can be read", row.last);
        let finding = format!("stream \"{stream}\" is at version {version}, and {its} is {last}");
        self.add(&Finding { finding, stream: Some(stream), version: Some(version), position: None })
    }

    /// What was asked for; that it is damaged is a finding like others.
    fn unless_damaged(&mut self, found: millpond::Result<u64>) -> Done<Option<u64>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error @ Error::Corrupt { .. }) => self.add(&Finding::of(&error)).map(|()| None),
            Err(error) => Err(error.into()),
        }
    }

    fn add(&mut self, finding: &Finding<'_>) -> Done<()> {
        self.findings += 1;
        if self.show.is_json() {
            self.show.json(finding)?;
        } else {
            self.progress.suspend(|| complain("events verify", &finding.finding));
        }
        Ok(())
    }

    fn sum_up(&mut self) -> Done<()> {
        let (findings, events, streams) = (self.findings, self.events, self.streams.len() as u64);
        let seconds = self.watch.elapsed().as_secs_f64();
        if self.show.is_json() {
            let figures = json!({
                "sound": findings == 0,
                "findings": findings,
                "events": events,
                "streams": streams,
                "bytes": self.bytes,
                "seconds": seconds,
            });
            return Ok(self.show.json(&figures)?);
        }
        let read = format!("{} in {}", count(events, "event", "events"), count(streams, "stream", "streams"));
        let verdict = if findings == 0 { "sound".into() } else { count(findings, "finding", "findings") };
        Ok(self.show.line(&format!("{read}, {}, in {seconds:.2} s: {verdict}", bytes(self.bytes)))?)
    }
}

fn why_not_json(what: &str, text: &str) -> Option<String> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(format!("its {what} is not JSON: {error}"))
}

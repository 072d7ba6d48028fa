//! Dumps: a store as lines of JSON, and back.
//!
//! | file | what it does |
//! | --- | --- |
//! | `lines` | the first and the last line, and reading lines at all |
//! | `payload` | payloads as a part of a line, byte for byte |
//! | `wanted` | what of a store is wanted |
//! | `subjects`, `streams`, `feeds`, `queues`, `dicts`, `lists`, `blobs`, `projections` | a primitive each: which records it has, their lines, their order |
//! | `write` | a whole dump |
//! | `plan` | reading a dump to its end, before anything is written |
//! | `load` | writing it, in one transaction |
//!
//! A primitive is a file here that implements [`Section`], and a line in [`SECTIONS`].

mod blobs;
mod dicts;
mod feeds;
mod lines;
mod lists;
mod load;
mod payload;
mod plan;
mod projections;
mod queues;
mod streams;
mod subjects;
mod wanted;
mod write;

use std::collections::BTreeMap;

use millpond_actors::clock::Moment;
use millpond_actors::error::{Error, Result};
use millpond_actors::storage::View;
use millpond_actors::storage::feed::Kind;
use millpond_actors::storage::record::{Onto, Record};

pub(crate) use self::lines::{
    HEADER, Header, Lines, TRAILER, Trailer, header as read_header, kind_of, shown,
};
pub(crate) use self::load::{Loading, is_named, load, size};
pub(crate) use self::plan::{Plan, plan};
pub(crate) use self::wanted::Wanted;
pub(crate) use self::write::{all_records, every_record, write};

/// What of a store is dumped.
///
/// # Examples
/// ```
/// # futures_executor::block_on(async {
/// # let store = millpond::Store::memory().await?;
/// let dump = millpond::Dump::new().only("dict/prices").only("stream/order-*");
/// let dumped = store.dump(Vec::new(), dump).await?;
/// assert_eq!(dumped.records(), 0);
/// # store.close().await
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is dumped until it is given to Store::dump"]
pub struct Dump {
    only: Vec<String>,
    keys: bool,
}

impl Dump {
    /// All of it, but for the keys of subjects.
    pub fn new() -> Dump {
        Dump::default()
    }

    /// Of that kind only, or only what has this name: `dict`, `dict/prices`, `stream/order-*`. Said again, that too. The kinds are
    /// `subject`, `stream`, `log`, `channel`, `queue`, `dict`, `list`, `blob` and `projection`; a name may be a pattern, in which `*`
    /// stands for any characters. What is no such thing is the dump's error.
    pub fn only(mut self, what: impl Into<String>) -> Dump {
        self.only.push(what.into());
        self
    }

    /// With the keys of subjects. The dump is then as secret as the store: whoever has it can read what is sealed.
    pub fn with_keys(mut self) -> Dump {
        self.keys = true;
        self
    }
}

/// What of a dump is loaded, and what becomes of names that are there already: they are refused unless told otherwise.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is loaded until it is given to Store::load"]
pub struct Load {
    only: Vec<String>,
    onto: Onto,
}

impl Load {
    /// All of it, where nothing has its names.
    pub fn new() -> Load {
        Load::default()
    }

    /// Of that kind only, or only what has this name, as in [`Dump::only`].
    pub fn only(mut self, what: impl Into<String>) -> Load {
        self.only.push(what.into());
        self
    }

    /// What is loaded takes the place of what has its name. Numbers (sequences, versions) go on behind those that were given, so
    /// that none is given twice. A stream only gets what is missing at its end: events are never removed.
    pub fn replace(mut self) -> Load {
        self.onto = Onto::Replace;
        self
    }

    /// What is loaded comes behind what has its name: messages and jobs get new numbers; an entry of a dict, a blob, or a schedule, takes
    /// the place of the one that is there; an event that is in its stream already is left out, and so are a subscription or a projection
    /// that is there, and a job whose key a living job has.
    pub fn append(mut self) -> Load {
        self.onto = Onto::Append;
        self
    }
}

/// What was dumped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dumped {
    /// How many lines of each kind, by the word that stands in them: `dict.entry`.
    pub counts: BTreeMap<String, u64>,
    /// Bytes, with the first and the last line.
    pub bytes: u64,
}

impl Dumped {
    /// How many records of whatever kind.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Records that were written.
    pub written: u64,
    /// Records that were there already, or have to give way to what is.
    pub known: u64,
    /// Records of the dump that were not wanted.
    pub left_out: u64,
}

/// Takes the records that are read, each in its turn; one that is damaged is an error in its place.
type Sink<'a> = dyn FnMut(Result<Record>) -> Result<()> + 'a;

/// From where records are read, and which of them.
pub(crate) struct Source<'a> {
    view: &'a mut dyn View,
    now: Moment,
    wanted: &'a Wanted,
    /// The keys of subjects too.
    keys: bool,
}

/// A sort of primitive, as a part of a dump.
///
/// What is in something that has a name comes behind that, and everything comes in one order, so that two stores of the same
/// contents have the same dump.
trait Section: Sync {
    /// What it is called. The kinds of its lines begin with it: `dict`, `dict.entry`.
    fn word(&self) -> &'static str;

    /// Hands on all that is wanted of it, in order. What cannot be read at all ends it.
    fn read(&self, source: &mut Source<'_>, sink: &mut Sink<'_>) -> Result<()>;

    /// What a line of one of its kinds says.
    fn parse(&self, kind: &str, line: &str) -> std::result::Result<Record, String>;

    /// Who looks over its records as they come, when a dump is loaded.
    fn order(&self) -> Box<dyn Order>;
}

/// Looks whether records come as they should.
trait Order {
    /// The next one; what is wrong with it otherwise.
    fn next(&mut self, record: &Record) -> std::result::Result<(), String>;

    /// There are no more of its section; what is missing otherwise.
    fn end(&mut self) -> std::result::Result<(), String>;

    /// The streams that have been seen, with their versions.
    fn streams(&mut self) -> Vec<(millpond_actors::name::Name, u64)> {
        Vec::new()
    }
}

/// All of them, in the order of a dump. What refers to others by their numbers comes behind those.
static SECTIONS: [&dyn Section; 9] = [
    &subjects::Subjects,
    &streams::Streams,
    &feeds::Feeds(Kind::Log),
    &feeds::Feeds(Kind::Channel),
    &queues::Queues,
    &dicts::Dicts,
    &lists::Lists,
    &blobs::Blobs,
    &projections::Projections,
];

/// The line of a record, without its end.
pub(crate) fn line(record: &Record) -> Result<String> {
    match record {
        Record::Subject { .. } => subjects::line(record),
        Record::Event(_) | Record::Stream { .. } => streams::line(record),
        Record::Feed { .. } | Record::Subscription { .. } | Record::Message { .. } => feeds::line(record),
        Record::Queue { .. } | Record::Schedule { .. } | Record::Job { .. } => queues::line(record),
        Record::Dict { .. } | Record::Entry { .. } => dicts::line(record),
        Record::List { .. } | Record::Item { .. } => lists::line(record),
        Record::Blobs { .. } | Record::Blob { .. } | Record::Chunk { .. } => blobs::line(record),
        Record::Projection { .. } => projections::line(record),
    }
}

/// The kind of a record's line, and the name by which it is wanted or not.
pub(crate) fn label(record: &Record) -> (&'static str, &str) {
    let feed = |kind: &Kind, own: [&'static str; 2]| match kind {
        Kind::Log => own[0],
        Kind::Channel => own[1],
    };
    match record {
        Record::Subject { name, .. } => ("subject", name.as_str()),
        Record::Event(event) => ("stream.event", event.stream.as_str()),
        Record::Stream { name, .. } => ("stream", name.as_str()),
        Record::Feed { kind, name, .. } => (feed(kind, ["log", "channel"]), name.as_str()),
        Record::Subscription { kind, feed: of, .. } => {
            (feed(kind, ["log.subscription", "channel.subscription"]), of.as_str())
        }
        Record::Message { kind, feed: of, .. } => {
            (feed(kind, ["log.message", "channel.message"]), of.as_str())
        }
        Record::Queue { name, .. } => ("queue", name.as_str()),
        Record::Schedule { queue, .. } => ("queue.schedule", queue.as_str()),
        Record::Job { queue, .. } => ("queue.job", queue.as_str()),
        Record::Dict { name, .. } => ("dict", name.as_str()),
        Record::Entry { dict, .. } => ("dict.entry", dict.as_str()),
        Record::List { name, .. } => ("list", name.as_str()),
        Record::Item { list, .. } => ("list.item", list.as_str()),
        Record::Blobs { name, .. } => ("blob", name.as_str()),
        Record::Blob { blobs, .. } => ("blob.entry", blobs.as_str()),
        Record::Chunk { blobs, .. } => ("blob.chunk", blobs.as_str()),
        Record::Projection { name, .. } => ("projection", name.as_str()),
    }
}

/// The word of a section in the kind of a line.
pub(crate) fn section_of(kind: &str) -> &str {
    kind.split_once('.').map_or(kind, |(section, _)| section)
}

/// Goes on behind a name, or a key. In a tree that is damaged what comes next may come before it, and a reader that was led back would
/// never come to an end.
fn go_on(kind: &'static str, after: &mut Option<String>, last: &str) -> Result<()> {
    if after.as_deref().is_some_and(|before| before >= last) {
        let (name, detail) = (last.to_owned(), "it comes behind what it should come before".to_owned());
        return Err(Error::Corrupt { kind, name, sequence: 0, detail });
    }
    *after = Some(last.to_owned());
    Ok(())
}

/// An error in the words of whoever reads a line.
fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

//! A store with something of everything in it, and what was written to it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::task::{Context, Waker};

use futures_executor::block_on;
use millpond::blocking::Store;
use millpond::{Event, Expected, Recorded};
use uuid::Uuid;

use super::harm::{self, Files};
use crate::Result;
use crate::look::Found;
use crate::random::Random;
use crate::recording::{folder, until_closed};
use crate::workload::{ALL, Told, Workload, is_erasable};

/// The streams that are appended to.
const STREAMS: [&str; 4] = ["apple-1", "pear-1", "apple-2", "plum"];

/// Groups of events before the store is closed, and as many after it.
const GROUPS: u64 = 24;

/// What an event's checksum covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// Its stream.
    pub(super) stream: String,
    /// Its place in it.
    pub(super) version: u64,
    /// Its type.
    pub(super) event_type: String,
    /// The version of its content's shape.
    pub(super) schema: u32,
    /// Its content.
    pub(super) content: Option<String>,
}

/// What else is known of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    /// Its place in the store.
    pub(super) position: u64,
    /// Its id.
    pub(super) id: Uuid,
    /// When it was recorded.
    pub(super) recorded_at: i64,
    /// When it happened.
    pub(super) at: Option<String>,
    /// What else its source knew.
    pub(super) metadata: Option<String>,
}

/// An event as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// What its checksum covers.
    pub(super) body: Body,
    /// The rest.
    pub(super) rest: Rest,
}

impl From<Recorded> for Read {
    fn from(event: Recorded) -> Read {
        Read {
            body: Body {
                stream: event.stream().to_owned(),
                version: event.version(),
                event_type: event.event_type().to_owned(),
                schema: event.schema(),
                content: event.json().map(str::to_owned),
            },
            rest: Rest {
                position: event.position(),
                id: event.id(),
                recorded_at: event.recorded_at_ms(),
                at: event.at().map(str::to_owned),
                metadata: event.metadata().map(str::to_owned),
            },
        }
    }
}

impl From<&Read> for Found {
    fn from(Read { body, rest }: &Read) -> Found {
        Found {
            position: rest.position,
            stream: body.stream.clone(),
            version: body.version,
            id: rest.id,
            event_type: body.event_type.clone(),
            content: body.content.clone().unwrap_or_default(),
            state: String::new(),
        }
    }
}

/// Contents by stream and version.
pub(super) type Said = HashMap<(String, u64), String>;

/// A store's files, and what is in them.
#[derive(Clone, Debug)]
pub(super) struct Original {
    /// The files.
    pub(super) files: Files,
    /// All events, in order.
    pub(super) events: Vec<Read>,
    /// Positions with which groups end that the log alone holds, and the one before: without the log, or a part of it,
    /// the store ends with one of them.
    pub(super) ends: Vec<u64>,
    /// Whatever else could be read at any time, by the name of the reading.
    pub(super) rest: BTreeMap<String, Vec<Found>>,
    /// What events say that may be erased, or said before they were.
    pub(super) said: Said,
}

/// A store that was closed in order, and the same one later, left with a log.
///
/// # Errors
/// What the store said.
pub(super) fn make(seed: u64) -> Result<[Original; 2]> {
    let folder = folder()?;
    let file = folder.path().join("files.db");
    let mut random = Random::new(seed);
    let store = Store::builder().readers(1).open(&file)?;
    let (mut rest, mut said) = (BTreeMap::new(), Said::new());
    fill(&store, &mut random, 0, &mut rest, &mut said)?;
    let (events, ends) = (read(&store)?, vec![store.events().head()?]);
    store.close()?;
    let closed = Original { files: harm::read(&file)?, events, ends, rest, said };
    let left = leave(&file, &mut random, &closed)?;
    Ok([closed, left])
}

/// Opened, used and dropped, which is as if it were killed.
fn leave(file: &Path, random: &mut Random, closed: &Original) -> Result<Original> {
    let Original { mut ends, mut rest, mut said, .. } = closed.clone();
    let store = Store::builder().readers(1).open(file)?;
    let guard = store.lock("left").acquire()?;
    ends.extend(fill(&store, random, GROUPS, &mut rest, &mut said)?);
    let events = read(&store)?;
    drop((guard, store));
    until_closed(file)?;
    Ok(Original { files: harm::read(file)?, events, ends, rest, said })
}

/// Events of all kinds and sizes, and something of every primitive; with which position each commit ended.
fn fill(
    store: &Store,
    random: &mut Random,
    first: u64,
    rest: &mut BTreeMap<String, Vec<Found>>,
    said: &mut Said,
) -> Result<Vec<u64>> {
    let (told, asynchronous) = (Told::default(), store.asynchronous());
    let mut workload = Workload::new(&told, random.below(1 << 40)).after(first * 100);
    let mut ends = Vec::new();
    for group in first..first + GROUPS {
        let stream = STREAMS.get((group % 4) as usize).copied().unwrap_or("plum");
        let guard = store.lock(format!("lock-{}", group % 7)).acquire()?;
        let events: Vec<Event> =
            (0..=random.below(4)).map(|part| event(group, part, random)).collect::<Result<_>>()?;
        ends.push(store.events().guarded_by(&guard).append(stream, Expected::Any, events)?.position);
        guard.release()?;
        if group % 3 != 0 {
            continue;
        }
        for mut caller in workload.one_of_each(&asynchronous) {
            // What it hears at once was one commit.
            let mut context = Context::from_waker(Waker::noop());
            while caller.as_mut().poll(&mut context).is_pending() {
                ends.extend(hear(&told, said));
                std::thread::yield_now();
            }
            let _ = hear(&told, said);
            ends.push(store.events().head()?);
        }
        let found = read(store)?.iter().map(Found::from).collect::<Vec<_>>();
        for (what, read) in ALL.iter().flat_map(|primitive| block_on(primitive.read(&asynchronous, &found))) {
            rest.entry(what).or_default().extend(read?);
        }
    }
    Ok(ends)
}

/// Where the events end of which somebody was told.
fn hear(told: &Told, said: &mut Said) -> Option<u64> {
    let words = told.take();
    let facts = words.iter().filter_map(|word| word.fact().filter(|fact| fact.is_event()));
    let mut last = None;
    for (fact, (version, position)) in facts.filter_map(|fact| Some((fact, fact.place?))) {
        if is_erasable(&fact.stream) {
            said.insert((fact.stream.clone(), version), fact.content.clone());
        }
        last = Some(position);
    }
    last
}

fn event(group: u64, part: u64, random: &mut Random) -> Result<Event> {
    // Most are small; some fill a page, and some need several.
    let size = match random.below(12) {
        0 => 20_000,
        1 | 2 => 4_000,
        _ => random.below(200),
    };
    let text: String = (0..size).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let number = group * 10 + part;
    let event = Event::new(
        ["Picked", "Eaten"].get((part % 2) as usize).copied().unwrap_or("Picked"),
        &serde_json::json!({ "number": number, "text": text }),
    )?;
    let event = event.id(Uuid::from_u128(u128::from(number) | 7 << 76)).schema(1 + part as u32);
    Ok(match part {
        1 => event.at("2011-10-11T13:45:40+02:00").metadata(format!(r#"{{"by":{number}}}"#)),
        _ => event,
    })
}

fn read(store: &Store) -> Result<Vec<Read>> {
    Ok(store
        .events()
        .read_all()
        .with_deleted()
        .map(|event| event.map(Read::from))
        .collect::<millpond::Result<_>>()?)
}

impl Original {
    /// The events up to a position.
    pub(super) fn up_to(&self, position: u64) -> impl Iterator<Item = &Read> {
        self.events.iter().filter(move |event| event.rest.position <= position)
    }

    /// Whether this is what an event said before it was erased.
    pub(super) fn once_said(&self, event: &Read) -> bool {
        let Body { stream, version, content, .. } = &event.body;
        content.is_some() && self.said.get(&(stream.clone(), *version)) == content.as_ref()
    }

    /// The streams, each once.
    #[must_use]
    pub(super) fn streams(&self) -> Vec<&str> {
        let streams: std::collections::BTreeSet<&str> =
            self.events.iter().map(|event| event.body.stream.as_str()).collect();
        streams.into_iter().collect()
    }
}

//! Operations on two stores, one in memory and one in a file: whatever one says, the other must say, in every word that
//! has a meaning.
//!
//! The stores live on from one input to the next, so that making them does not cost more than using them; the names of
//! an input are its own. What the tables under them do alike is the business of the contract's model test, which also
//! has time, deaths and other processes; here everything goes through the public face.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use arbitrary::{Arbitrary, Unstructured};
use millpond::blocking::{LockGuard, Store};
use millpond::{Error, Event, Expected, Recorded};
use torture::recording::folder;
use uuid::Uuid;

/// Inputs after which two new stores are made: a store that grows is slow to be read as a whole.
const INPUTS: u64 = 500;

/// Most steps of an input.
const STEPS: usize = 64;

/// One thing that is done to both.
#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Append { stream: Name, expected: Want, events: Vec<Fed> },
    Import { events: Vec<(Name, Fed)> },
    Stream { stream: Name, read: Read },
    Category { category: Name, read: Read },
    All { read: Read },
    Version { stream: Name },
    Take { lock: Name },
    GiveBack { which: u8 },
    Permits { name: Name, of: u8, some: u8 },
    Break { lock: Name },
}

/// A few names, so that steps meet; now and then any.
#[derive(Arbitrary, Clone, Debug)]
enum Name {
    Usual(u8),
    Odd(String),
}

impl Name {
    fn of(&self, input: u64) -> String {
        match self {
            Name::Usual(number) => format!("c{}-{input}", number % 4),
            Name::Odd(name) => format!("{name}-{input}"),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Want {
    Any,
    NoStream,
    Exists,
    Version(u8),
}

#[derive(Arbitrary, Clone, Debug)]
struct Fed {
    id: Option<u8>,
    event_type: String,
    content: i64,
    metadata: Option<String>,
    at: Option<String>,
}

impl Fed {
    /// The event, if it can be made; ids are a few of the input's own.
    fn event(&self, input: u64, number: usize) -> Option<Event> {
        let id = u128::from(input) << 64 | self.id.map_or(1 << 32 | number as u128, u128::from);
        let mut event = Event::from_json(self.event_type.clone(), self.content.to_string()).ok()?;
        event = event.id(Uuid::from_u128(id + 1));
        if let Some(metadata) = &self.metadata {
            event = event.metadata(serde_json::to_string(metadata).ok()?);
        }
        Some(match &self.at {
            Some(at) => event.at(at.clone()),
            None => event,
        })
    }
}

#[derive(Arbitrary, Clone, Debug)]
struct Read {
    from: u8,
    to: Option<u64>,
    backward: bool,
    limit: u8,
    event_type: Option<String>,
}

struct Pair {
    stores: [Store; 2],
    inputs: u64,
    /// Removed with what is in it when the stores are closed.
    _folder: tempfile::TempDir,
}

impl Drop for Pair {
    fn drop(&mut self) {
        for store in &self.stores {
            // Nothing that is in it has to last.
            let _ = store.close();
        }
    }
}

static PAIR: Mutex<Option<Pair>> = Mutex::new(None);

#[allow(clippy::expect_used, reason = "there is nothing to be fed without them")]
pub(crate) fn feed(bytes: &[u8]) {
    let mut left = Unstructured::new(bytes);
    let mut pair = PAIR.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken out: what an input that failed has left behind is not used again.
    let mut these = pair.take().filter(|pair| pair.inputs < INPUTS).unwrap_or_else(|| {
        let folder = folder().expect("a folder");
        let file = Store::open(folder.path().join("fed.db")).expect("a store");
        Pair { stores: [Store::memory().expect("a store"), file], inputs: 0, _folder: folder }
    });
    these.inputs += 1;
    let mut held: Vec<[LockGuard; 2]> = Vec::new();
    for number in 0..STEPS {
        if left.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut left) else { break };
        perform(&these, &step, number, &mut held);
    }
    *pair = Some(these);
}

/// The stores are closed, and their files removed.
pub(crate) fn close() {
    drop(PAIR.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// The same from both.
fn both<T: PartialEq + Debug>(pair: &Pair, step: &Step, act: impl Fn(&Store) -> T) {
    let [memory, file] = pair.stores.each_ref().map(act);
    assert_eq!(file, memory, "the left one is in a file: {step:?}");
}

fn perform(pair: &Pair, step: &Step, number: usize, held: &mut Vec<[LockGuard; 2]>) {
    let input = pair.inputs;
    match step {
        Step::Append { stream, expected, events } => {
            let expected = match *expected {
                Want::Any => Expected::Any,
                Want::NoStream => Expected::NoStream,
                Want::Exists => Expected::Exists,
                Want::Version(version) => Expected::Version(version.into()),
            };
            let events: Vec<Event> =
                numbered(events, number).filter_map(|(at, fed)| fed.event(input, at)).collect();
            both(pair, step, |store| {
                store.events().append(stream.of(input), expected, events.clone()).map_err(words)
            });
        }
        Step::Import { events } => {
            let some = numbered(events, number);
            let events: Vec<(String, Event)> =
                some.filter_map(|(at, (name, fed))| Some((name.of(input), fed.event(input, at)?))).collect();
            both(pair, step, |store| store.events().import(events.clone()).map_err(words));
        }
        Step::Stream { stream, read } => {
            both(pair, step, |store| shown(read, store.events().read_stream(stream.of(input))));
        }
        Step::Category { category, read } => {
            let category = category.of(input);
            let category = category.split('-').next().unwrap_or_default();
            both(pair, step, |store| shown(read, store.events().read_category(category)));
        }
        Step::All { read } => {
            both(pair, step, |store| (store.events().head(), shown(read, store.events().read_all())));
        }
        Step::Version { stream } => {
            both(pair, step, |store| store.events().version(stream.of(input)).map_err(words));
        }
        Step::Take { lock } => {
            let lock = lock.of(input);
            take(pair, step, held, |store| store.lock(&lock).try_acquire());
        }
        Step::Permits { name, of, some } => {
            let name = format!("permits {}", name.of(input));
            let (of, some) = (u32::from(*of), u32::from(*some));
            take(pair, step, held, |store| store.semaphore(&name, of).weight(some).try_acquire());
        }
        Step::GiveBack { which } => {
            if let Some(at) = usize::from(*which).checked_rem(held.len()) {
                let [memory, file] = held.swap_remove(at).map(|guard| guard.release().map_err(words));
                assert_eq!(file, memory, "the left one is in a file: {step:?}");
            }
        }
        Step::Break { lock } => {
            both(pair, step, |store| store.lock(lock.of(input)).break_lock().map_err(words));
        }
    }
}

/// With numbers that no other event of the input has.
fn numbered<T>(events: &[T], step: usize) -> impl Iterator<Item = (usize, &T)> {
    events.iter().enumerate().map(move |(at, event)| (step << 16 | at, event))
}

fn take(
    pair: &Pair,
    step: &Step,
    held: &mut Vec<[LockGuard; 2]>,
    take: impl Fn(&Store) -> Result<Option<LockGuard>, Error>,
) {
    match pair.stores.each_ref().map(take) {
        [Ok(Some(memory)), Ok(Some(file))] => {
            assert_eq!(file.token(), memory.token(), "the left one is in a file: {step:?}");
            held.push([memory, file]);
        }
        [memory, file] => {
            let told = |taken: Result<Option<LockGuard>, Error>| {
                taken.map(|guard| guard.map(|guard| guard.token())).map_err(words)
            };
            assert_eq!(told(file), told(memory), "the left one is in a file: {step:?}");
        }
    }
}

/// What is shown, but for the moment at which it was recorded.
fn shown(
    read: &Read,
    events: millpond::blocking::EventStream,
) -> Vec<Result<impl PartialEq + Debug, String>> {
    let mut events = events.from(read.from.into()).limit(read.limit.into());
    if let Some(to) = read.to {
        events = events.to(to);
    }
    if read.backward {
        events = events.backward();
    }
    if let Some(event_type) = &read.event_type {
        events = events.event_type(event_type.clone());
    }
    let told = |event: Recorded| {
        let place = (event.position(), event.stream().to_owned(), event.version(), event.id());
        let (json, metadata, at) = (event.json(), event.metadata(), event.at());
        let owned = [json, metadata, at].map(|text| text.map(str::to_owned));
        (place, event.event_type().to_owned(), owned)
    };
    events.map(|event| event.map(told).map_err(words)).collect()
}

/// An error as its caller reads it.
fn words(error: Error) -> String {
    format!("{error:?}")
}

//! A store as it is seen from outside, in every way of reading, each call with a deadline.

use std::path::Path;
use std::time::Duration;

use millpond::{Error, EventStream, Store};

use super::original::{Original, Read};
use crate::look::Found;
use crate::panicked;
use crate::within::within;
use crate::workload::{ALL, Reading as Rest};

/// No call takes this long. SQLite itself waits for 5 s at most where somebody else is at work.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A way of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// All events.
    All,
    /// Those of a category.
    Category(String),
    /// Those of a stream.
    Stream(String),
}

impl Way {
    /// Every way of reading a store.
    fn all(original: &Original) -> Vec<Way> {
        let streams = original.streams();
        let mut categories: Vec<&str> =
            streams.iter().filter_map(|stream| stream.split('-').next()).collect();
        categories.dedup();
        let categories = categories.into_iter().map(|name| Way::Category(name.to_owned()));
        let streams = streams.iter().map(|name| Way::Stream((*name).to_owned()));
        std::iter::once(Way::All).chain(categories).chain(streams).collect()
    }

    /// Whether an event belongs to it.
    #[must_use]
    pub(super) fn has(&self, event: &Read) -> bool {
        match self {
            Way::All => true,
            Way::Category(name) => event.body.stream.split('-').next() == Some(name),
            Way::Stream(name) => event.body.stream == *name,
        }
    }

    fn open(&self, store: &Store) -> EventStream {
        let events = match self {
            Way::All => store.events().read_all(),
            Way::Category(name) => store.events().read_category(name),
            Way::Stream(name) => store.events().read_stream(name),
        };
        events.with_deleted()
    }
}

/// What came of reading in one way, in one direction.
#[derive(Debug)]
pub(super) struct Reading {
    /// Which.
    pub(super) way: Way,
    /// Newest first.
    pub(super) backward: bool,
    /// Whatever came, in the order in which it came.
    pub(super) found: Vec<Result<Read, Error>>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Why it could not be opened.
    pub(super) refused: Option<Error>,
    /// The last position.
    pub(super) head: Option<Result<u64, Error>>,
    /// What was read.
    pub(super) readings: Vec<Reading>,
    /// Versions of streams.
    pub(super) versions: Vec<(String, Result<u64, Error>)>,
    /// What else there is, by primitive.
    pub(super) rest: Vec<(&'static str, Rest)>,
    /// Panics meanwhile.
    pub(super) panics: u64,
    /// A call that did not come to an end.
    pub(super) hung: Option<String>,
}

/// Opens the store, reads everything in every way, and closes it.
#[must_use]
pub(super) fn look(file: &Path, original: &Original) -> Seen {
    let mut seen = Seen::default();
    let before = panicked::so_far();
    if let Err(Hung(call)) = seen.look(file, original) {
        seen.hung = Some(call);
    }
    seen.panics = panicked::so_far() - before;
    seen
}

/// A call that did not come to an end.
struct Hung(String);

fn timely<T>(call: impl FnOnce() -> String, future: impl Future<Output = T>) -> Result<T, Hung> {
    within(DEADLINE, future).ok_or_else(|| Hung(call()))
}

impl Seen {
    fn look(&mut self, file: &Path, original: &Original) -> Result<(), Hung> {
        let store = match timely(|| "open".into(), Store::builder().readers(1).open(file))? {
            Ok(store) => store,
            Err(error) => {
                self.refused = Some(error);
                return Ok(());
            }
        };
        self.head = Some(timely(|| "head".into(), store.events().head())?);
        for way in Way::all(original) {
            for backward in [false, true] {
                let events = if backward { way.open(&store).backward() } else { way.open(&store) };
                let found = timely(|| format!("{way:?}"), read(events))?;
                self.readings.push(Reading { way: way.clone(), backward, found });
            }
        }
        for stream in original.streams() {
            let version = timely(|| format!("version of {stream}"), store.events().version(stream))?;
            self.versions.push((stream.to_owned(), version));
        }
        let found: Vec<Found> = original.events.iter().map(Found::from).collect();
        for primitive in ALL {
            let read = timely(|| primitive.name().to_owned(), primitive.read(&store, &found))?;
            self.rest.extend(read.into_iter().map(|read| (primitive.name(), read)));
        }
        timely(|| "close".into(), store.close())?.map_or_else(|error| Err(Hung(error.to_string())), Ok)
    }
}

async fn read(mut events: EventStream) -> Vec<Result<Read, Error>> {
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        found.push(event.map(Read::from));
    }
    found
}

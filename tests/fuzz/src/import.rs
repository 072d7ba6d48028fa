//! Lines of `millpond events import`: a line is refused or becomes an event, the same one each time, and a store takes
//! it or says why not.

use std::sync::OnceLock;

use millpond::blocking::Store;
use millpond::{Error, Event, Imported};

#[path = "../../../src/bin/millpond/import/line.rs"]
mod line;

use self::line::{Seen, parse};

/// Never closed: nothing in it has to last.
static STORE: OnceLock<Store> = OnceLock::new();

pub(crate) fn feed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (mut seen, mut again) = (Seen::default(), Seen::default());
    let mut events: Vec<(String, Event)> = Vec::new();
    for line in text.lines() {
        let parsed = parse(line, "fed-", &mut seen);
        assert_eq!(parsed, parse(line, "fed-", &mut again), "the same line, another event");
        if let Ok((stream, _, event)) = parsed {
            events.push((stream, event));
        }
    }
    if !events.is_empty() {
        store_them(STORE.get_or_init(new_store), events);
    }
}

#[allow(clippy::expect_used, reason = "there is nothing to be fed without it")]
fn new_store() -> Store {
    Store::memory().expect("a store in memory")
}

fn store_them(store: &Store, events: Vec<(String, Event)>) {
    let count = events.len() as u64;
    match store.events().import(events.clone()) {
        Ok(Imported { added, known }) => {
            assert_eq!(added + known, count, "an event was left out");
            let again = store.events().import(events);
            assert_eq!(again, Ok(Imported { added: 0, known: count }), "an event was not found again");
        }
        Err(Error::DuplicateEvent { .. }) => {}
        Err(other) => panic!("a line that was taken was refused: {other}"),
    }
}

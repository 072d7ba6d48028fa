//! A process that reads the whole store, page by page, again and again, until it is killed.

use std::path::Path;

use millpond::blocking::{EventStream, Store};

use crate::Result;
use crate::crew::say;

/// Opens the store and reads. Says `open`, and after each time how many events there were: `read COUNT`.
///
/// # Errors
/// If nobody listens any more.
pub fn live(file: &Path) -> Result<()> {
    let store = Store::open(file)?;
    say("open")?;
    loop {
        match read_on(store.events().read_all(), 0, u64::MAX) {
            Ok(count) => say(&format!("read {count}"))?,
            Err(error) => return say(&format!("failed {error}")),
        }
    }
}

/// Reads at most so many events behind position `last`, each of which has to be the next one. The last position.
///
/// # Errors
/// If an event is missing, or there twice.
pub(super) fn read_on(events: impl Iterator<Item = Item>, last: u64, most: u64) -> Result<u64> {
    let mut last = last;
    for event in events.take(usize::try_from(most).unwrap_or(usize::MAX)) {
        let position = event?.position();
        if position != last + 1 {
            return Err(format!("position {position} follows {last}").into());
        }
        last = position;
    }
    Ok(last)
}

type Item = <EventStream as Iterator>::Item;

//! A child of the kill test: uses a store or reads it until it is killed or told to close it, and tells what it heard.
//!
//! What a lane (one thread) does is determined by who it is and a number. So a child that is started again repeats exactly
//! the deed that its predecessor was killed in, with the same ids: it must have one effect.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_executor::block_on;
use millpond::blocking::Store;
use serde::{Deserialize, Serialize};

use crate::crew::say;
use crate::look::Found;
use crate::random::Random;
use crate::workload::{ALL, Deed, Line, Primitive, Told, events, is_erasable};
use crate::{Result, clock};

/// The roles below use the store, those from here on read it.
pub const WRITERS: usize = 4;

/// Readers.
pub const READERS: usize = 2;

/// Threads of one that writes.
pub const LANES: u64 = 3;

/// Pages in the log at which it is moved into the main file: every few groups, so that kills come while it is moved.
const CHECKPOINT_PAGES: u32 = 24;

/// A reader begins anew after so many looks at what is new.
const LOOKS: u64 = 16;

/// Between two looks.
const REST_US: u64 = 1_000;

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It has the store open, after so many microseconds.
    Open(u64),
    /// A lane has done its deed of this number, and heard this.
    Did { who: u64, number: u64, words: Vec<Line> },
    /// A reader has read everything.
    Read(Beginning),
    /// It is about to close the store.
    Closing,
    /// It has closed it.
    Closed,
    /// Something that should not.
    Failed(String),
}

/// How much somebody has read from the beginning on, and what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// Events.
    pub count: u64,
    /// All of them in their order; of those that may be erased only where they are.
    pub hash: u64,
}

impl Beginning {
    /// With one more.
    pub fn add(&mut self, found: &Found) {
        let mut hasher = DefaultHasher::new();
        (self.hash, found.position, &found.stream, found.version, found.id).hash(&mut hasher);
        if !is_erasable(&found.stream) {
            (&found.event_type, &found.content).hash(&mut hasher);
        }
        *self = Beginning { count: self.count + 1, hash: hasher.finish() };
    }
}

/// What a lane does.
pub(super) fn primitive(who: u64) -> &'static dyn Primitive {
    ALL.get((who % ALL.len() as u64) as usize).copied().unwrap_or(&events::Events)
}

/// Opens the store, says so, and works until it is killed, or told to close it. `first` holds the number of the next deed
/// of each lane.
///
/// # Errors
/// Whatever the store said: nothing may go wrong in a child but its end.
pub fn live(role: usize, file: &Path, first: &str) -> Result<()> {
    let first: Vec<u64> = first.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let start = clock::now();
    let store = match block_on(millpond::Store::builder().checkpoint_pages(CHECKPOINT_PAGES).open(file)) {
        Ok(store) => store.blocking(),
        Err(error) => return tell(&Said::Failed(format!("open: {error:?}"))),
    };
    tell(&Said::Open(start.elapsed().as_micros() as u64))?;
    let closes = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (lane, first) in (0..if role < WRITERS { LANES } else { 1 }).zip(first) {
            let (store, closes) = (&store, &closes);
            scope.spawn(move || {
                let end = if role < WRITERS {
                    work(store, role as u64 * LANES + lane, first, closes)
                } else {
                    read(store)
                };
                if let Err(error) = end
                    && !closes.load(Ordering::SeqCst)
                {
                    // Nobody hears it if the parent is gone.
                    let _ = tell(&Said::Failed(format!("lane {lane}: {error}")));
                }
            });
        }
        // The only thing that it is ever told; or the parent is gone.
        let _ = std::io::stdin().read_line(&mut String::new());
        closes.store(true, Ordering::SeqCst);
        let closed = tell(&Said::Closing).and_then(|()| Ok(store.close()?));
        let said = closed.map_or_else(|error| Said::Failed(format!("close: {error}")), |()| Said::Closed);
        let _ = tell(&said);
    });
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

/// One deed after the other.
fn work(store: &Store, who: u64, first: u64, closes: &AtomicBool) -> Result<()> {
    let (told, asynchronous) = (Told::default(), store.asynchronous());
    for number in first.. {
        // The same whoever does it.
        let mut random = Random::new(who << 40 | number);
        let deed = Deed { who, number, pad: 0 };
        block_on(primitive(who).ask(deed, &mut random, &asynchronous, &told));
        let words = told.take().iter().filter_map(Line::of).collect();
        tell(&Said::Did { who, number, words })?;
        if closes.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

/// Reads what is new, again and again, and now and then everything.
fn read(store: &Store) -> Result<()> {
    loop {
        let mut read = Beginning::default();
        for _ in 0..LOOKS {
            for event in store.events().read_all().with_deleted().after(read.count) {
                read.add(&Found::from(&event?));
            }
            tell(&Said::Read(read))?;
            clock::pause(REST_US);
        }
    }
}

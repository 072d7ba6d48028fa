//! Readers that take their time while writers write: does the log stay short, do the writers not notice, do the readers
//! miss nothing?
//!
//! Promises: G5, G13. Some threads and another process read the whole store again and again, many streams of events
//! are left half way, and then the other process is stopped in the middle of a page, several times. A page is a snapshot
//! and ends; so the log may be as long as [`BOUND`] checkpoints, whoever reads and however slowly. Only a process that
//! stands still in the middle of a page keeps the log from beginning anew, and nobody can take that page away from it:
//! then the log grows with what is written, and must begin anew once the process goes on.

pub mod child;
mod log;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_executor::block_on;
use millpond::blocking::{EventStream, Store};
use millpond::{Event, Expected};

use serde::Serialize;

use self::child::read_on;
use self::log::Log;
pub use self::log::PAGE_BYTES;
use crate::crew::Crew;
use crate::crew::PATIENCE;
use crate::random::Random;
use crate::recording::folder;
use crate::report::{Violations, kinds};
use crate::{Result, clock};

/// The first argument of a child.
pub const CHILD: &str = "readers-child";

/// How many times as long as at a checkpoint the log may become. With the usual checkpoint of 1,000 pages this is 64 MiB.
pub const BOUND: u64 = 8;

/// Bytes of an event: a few of them fill a page.
const EVENT_BYTES: usize = 1_000;

/// Times that the other process is stopped until it is in the middle of a page.
const TRIES: u64 = 2_000;

/// Events that a stream is read before it is left half way.
const HALF_WAY: u64 = 40;

/// By how much a write may take longer than without any readers, in the middle, while a reader stands still. Those that run
/// have their share of the processors.
const SLOWER: u64 = 10;

/// How the run is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The log is never moved into the main file.
    Endless,
    /// A reader misses an event.
    Hole,
    /// A reader is shown an event twice.
    Twice,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 3] = [Mutant::Endless, Mutant::Hole, Mutant::Twice];

    /// What must be said of it.
    #[must_use]
    pub fn breaks(self) -> Broken {
        if self == Mutant::Endless { Broken::Long } else { Broken::Order }
    }
}

kinds! {
    /// A promise that was broken.
    pub enum Broken {
        /// The log became too long, or did not begin anew (G13).
        Long,
        /// A reader missed an event, or was shown one twice (G5).
        Order,
        /// A write took much longer because of a reader that stood still.
        Slow,
        /// A process ended by itself.
        Failed,
    }
}

/// How long and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the random choices come from.
    pub seed: u64,
    /// Writes in each part.
    pub writes: u64,
    /// Threads that write.
    pub lanes: u64,
    /// Threads that read all the time.
    pub readers: usize,
    /// Streams that are left half way.
    pub left: usize,
    /// Times that the other process is stopped in the middle of a page.
    pub stops: u64,
    /// Pages at which the log is moved into the main file.
    pub checkpoint_pages: u32,
    /// How the run is spoilt.
    pub mutant: Option<Mutant>,
    /// Whether a slow write is a violation; not in a test, which asserts nothing about the clock.
    pub timed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            seed: 1,
            writes: 20_000,
            lanes: 4,
            readers: 3,
            left: 50,
            stops: 5,
            checkpoint_pages: 1_000,
            mutant: None,
            timed: true,
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Events at the end.
    pub events: u64,
    /// Times that somebody read the whole store.
    pub read: u64,
    /// Of the times that the other process was stopped, those in the middle of a page.
    pub stops: u64,
    /// As `stops`.
    pub stopped_inside: u64,
    /// The longest log without readers, with them, and while the other process was stopped in the middle of a page.
    pub log_bytes: [u64; 3],
    /// How long it may be.
    pub bound: u64,
    /// Writes after which the log began anew when the stopped process went on, at worst.
    pub anew_after: u64,
    /// The middle write and the 99th of 100, in microseconds, in the same three parts.
    pub write_us: [(u64, u64); 3],
    /// How long it took.
    pub seconds: u64,
    /// What was broken.
    #[serde(flatten)]
    pub violations: Violations<Broken>,
}

/// Runs it with a child of `program`, which calls [`child::live`].
///
/// # Errors
/// What kept the test itself from being carried out; what the store did wrong is in the report.
pub fn run(program: &Path, settings: &Settings) -> Result<Report> {
    let (start, folder) = (clock::now(), folder()?);
    let file = folder.path().join("readers.db");
    let pages = if settings.mutant == Some(Mutant::Endless) { u32::MAX } else { settings.checkpoint_pages };
    let store = block_on(millpond::Store::builder().checkpoint_pages(pages).open(&*file))?.blocking();
    let bound = BOUND * u64::from(settings.checkpoint_pages) * PAGE_BYTES;
    let mut house = House {
        store,
        log: Log::of(&file),
        crew: Crew::new(program, 1),
        settings,
        random: Random::new(settings.seed),
        report: Report { bound, ..Report::default() },
    };
    house.write(0)?;
    let mut left = house.leave_half_way()?;
    house.crew.start(0, &[CHILD.to_owned(), file.to_str().ok_or("no name")?.to_owned()], &[])?;
    house.hear("open")?;
    house.with_readers()?;
    for _ in 0..settings.stops {
        if house.report.violations.is_empty() {
            house.stopped_reader()?;
        }
    }
    house.read_the_rest(&mut left);
    drop(left);
    let House { store, mut report, .. } = house;
    store.close()?;
    report.seconds = start.elapsed().as_secs();
    Ok(report)
}

struct House<'a> {
    store: Store,
    log: Log,
    crew: Crew,
    settings: &'a Settings,
    random: Random,
    report: Report,
}

impl House<'_> {
    /// One part: so many writes; the length of the log and the times they took are part `part` of the report.
    fn write(&mut self, part: usize) -> Result<()> {
        let lanes: Vec<Result<(Vec<u64>, u64)>> = std::thread::scope(|scope| {
            let (store, log, settings) = (&self.store, &self.log, self.settings);
            let lane = |lane| scope.spawn(move || write(store, log, lane, settings.writes / settings.lanes));
            let lanes: Vec<_> = (0..settings.lanes).map(lane).collect();
            let ended = |lane: std::thread::ScopedJoinHandle<'_, _>| {
                lane.join().unwrap_or_else(|_| Err("a lane panicked".into()))
            };
            lanes.into_iter().map(ended).collect()
        });
        let mut times = Vec::new();
        for lane in lanes {
            let (took, longest) = lane?;
            times.extend(took);
            if let Some(bytes) = self.report.log_bytes.get_mut(part) {
                *bytes = (*bytes).max(longest);
            }
        }
        times.sort_unstable();
        let of = |hundredth: usize| times.get(times.len() * hundredth / 100).copied().unwrap_or(0);
        if let Some(figures) = self.report.write_us.get_mut(part) {
            *figures = (of(50), of(99));
        }
        let alone = self.report.write_us.first().map_or(0, |(middle, _)| *middle);
        if self.settings.timed && part == 2 && of(50) > alone * SLOWER {
            let words = format!("{} us in the middle, {alone} us without readers", of(50));
            self.report.violations.push((Broken::Slow, words));
        }
        // Who is stopped in the middle of a page has a part of its own.
        let longest = self.report.log_bytes.iter().take(2).max().copied().unwrap_or(0);
        if part < 2 && longest > self.report.bound {
            self.report.violations.push((Broken::Long, format!("{longest} bytes in part {part}")));
        }
        Ok(())
    }

    /// Streams of events that nobody goes on with for a long time, and how far each was read.
    fn leave_half_way(&mut self) -> Result<Vec<(EventStream, u64)>> {
        let streams = 0..self.settings.left;
        streams
            .map(|_| {
                let mut stream = self.store.events().read_all();
                let last = read_on(stream.by_ref(), 0, 1 + self.random.below(HALF_WAY))?;
                Ok((stream, last))
            })
            .collect()
    }

    /// Writers, while some threads and the other process read.
    fn with_readers(&mut self) -> Result<()> {
        let (store, ended, read) = (self.store.clone(), AtomicBool::new(false), AtomicU64::new(0));
        let mut broken = Vec::new();
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..self.settings.readers)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        while !ended.load(Ordering::Relaxed) {
                            read_on(store.events().read_all(), 0, u64::MAX)?;
                            read.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(())
                    })
                })
                .collect();
            let written = self.write(1);
            ended.store(true, Ordering::Relaxed);
            for reader in readers {
                let end = reader.join().unwrap_or_else(|_| Err("a reader panicked".into()));
                broken.extend(end.err().map(|error| (Broken::Order, error.to_string())));
            }
            written
        })?;
        self.report.read += read.load(Ordering::Relaxed);
        self.report.violations.extend(broken);
        Ok(())
    }

    /// The other process stands still in the middle of a page while as much is written as in the other parts.
    fn stopped_reader(&mut self) -> Result<()> {
        let mut tries = 0;
        loop {
            clock::pause(self.random.below(3_000));
            self.crew.stop(0)?;
            self.report.stops += 1;
            if self.log.is_read_by(self.crew.pid(0)?.as_raw())? {
                break;
            }
            self.crew.go_on(0)?;
            tries += 1;
            if tries == TRIES {
                return Err("it is never in the middle of a page".into());
            }
        }
        self.report.stopped_inside += 1;
        self.write(2)?;
        let before = self.log.beginning()?;
        self.crew.go_on(0)?;
        self.hear("read")?;
        self.hear("read")?;
        // The next checkpoint moves everything, and the next write after it begins anew.
        let most = 4 * u64::from(self.settings.checkpoint_pages);
        for writes in 1..=most {
            write(&self.store, &self.log, 0, 1)?;
            if self.log.beginning()? != before {
                self.report.anew_after = self.report.anew_after.max(writes);
                return Ok(());
            }
        }
        let words = format!("the log did not begin anew within {most} writes after the reader went on");
        self.report.violations.push((Broken::Long, words));
        Ok(())
    }

    /// Whoever was left half way goes on, to the end.
    fn read_the_rest(&mut self, left: &mut [(EventStream, u64)]) {
        let head = self.store.events().head().unwrap_or(0);
        let mutant = self.settings.mutant;
        for (stream, last) in left {
            match mutant {
                Some(Mutant::Hole) => drop(stream.next()),
                Some(Mutant::Twice) => *last -= 1,
                _ => {}
            }
            let words = match read_on(stream, *last, u64::MAX) {
                Ok(end) if end == head => continue,
                Ok(end) => format!("it ends at {end}, and not at {head}"),
                Err(error) => error.to_string(),
            };
            self.report.violations.push((Broken::Order, words));
        }
        self.report.events = head;
    }

    /// Waits for a word of the other process.
    fn hear(&mut self, word: &str) -> Result<()> {
        loop {
            match self.crew.hear(PATIENCE) {
                Some((_, Some(line))) if line.starts_with("failed") => {
                    self.report.violations.push((Broken::Order, line));
                    return Ok(());
                }
                Some((_, Some(line))) => {
                    self.report.read += u64::from(line.starts_with("read"));
                    if line.starts_with(word) {
                        return Ok(());
                    }
                }
                other => return Err(format!("the other process does not say {word:?}: {other:?}").into()),
            }
        }
    }
}

/// So many writes: how long each took, in microseconds, and the longest log that was seen.
fn write(store: &Store, log: &Log, lane: u64, count: u64) -> Result<(Vec<u64>, u64)> {
    let (events, content) = (store.events(), format!("\"{}\"", "x".repeat(EVENT_BYTES)));
    let (mut times, mut longest) = (Vec::new(), 0);
    for _ in 0..count {
        let event = Event::from_json("Written", content.clone())?;
        let before = clock::stamp()?;
        events.append(format!("lane-{lane}"), Expected::Any, [event])?;
        times.push(clock::stamp()? - before);
        longest = longest.max(log.bytes()?);
    }
    Ok((times, longest))
}

//! Benches of reading: all events of a store, and an aggregate that is loaded, beside a bare scan of the same rows.

use std::hint::black_box;
use std::path::Path;

use millpond::{Aggregate, Decision, Expected, Snapshots, Store};
use serde::{Deserialize, Serialize};

use super::compare::median;
use super::drive::block_on;
use super::figures::{Figures, Kind, latency};
use super::scan::Scan;
use super::sides::{Placed, event, placed};
use crate::time::Stopwatch;

/// Events in one commit.
const CHUNK: u64 = 1_000;

/// At least so much of the scan.
const BAR: f64 = 0.8;

/// What loading an aggregate with a snapshot may take.
const WITH_SNAPSHOT_US: u64 = 1_000;

/// Reads all of so many events and decodes them.
pub(super) fn read_all(file: &Path, events: u64, rounds: usize) -> millpond::Result<Figures> {
    fill(file, events)?;
    let ours = || {
        block_on(async {
            let store = Store::open(file).await?;
            let (begun, mut read, mut all) = (Stopwatch::start(), 0_u64, store.events().read_all());
            while let Some(event) = all.next().await {
                black_box(event?.decode::<Placed>()?);
                read += 1;
            }
            let seconds = begun.elapsed().as_secs_f64();
            store.close().await?;
            Ok(read as f64 / seconds)
        })
    };
    let floor = || {
        let scan = Scan::open(file)?;
        let begun = Stopwatch::start();
        let read = scan.all::<Placed>(|event| drop(black_box(event)))?;
        Ok(read as f64 / begun.elapsed().as_secs_f64())
    };
    compare(("read_all", BAR), events, rounds, ours, floor)
}

/// A store of so many events.
pub(super) fn fill(file: &Path, events: u64) -> millpond::Result<()> {
    block_on(async {
        let store = Store::open(file).await?;
        for first in (0..events).step_by(CHUNK as usize) {
            let chunk: Vec<_> = (first..events.min(first + CHUNK)).map(event).collect::<Result<_, _>>()?;
            store.events().append(format!("order-{}", first % 97), Expected::Any, chunk).await?;
        }
        store.close().await
    })
}

/// Loads an aggregate of so many events: without a snapshot beside a scan, and with one.
pub(super) fn load(file: &Path, events: u64, rounds: usize) -> millpond::Result<[Figures; 2]> {
    block_on(async {
        let store = Store::open(file).await?;
        for _ in (0..events).step_by(CHUNK as usize) {
            let more = CHUNK.min(events);
            execute::<Order<false>>(&store, more).await?;
            execute::<Order<true>>(&store, more).await?;
        }
        store.close().await
    })?;
    let ours = || {
        block_on(async {
            let store = Store::open(file).await?;
            let order = store.aggregate::<Order<false>>("1");
            let begun = Stopwatch::start();
            let state = order.at_version(events).await?;
            let seconds = begun.elapsed().as_secs_f64();
            store.close().await?;
            Ok(black_box(state).events as f64 / seconds)
        })
    };
    let floor = || {
        let scan = Scan::open(file)?;
        let (begun, mut state) = (Stopwatch::start(), Order::<false>::default());
        let read = scan.stream::<Placed>("order-1", |event| state.evolve(&Happened::Placed(event)))?;
        black_box(state);
        Ok(read as f64 / begun.elapsed().as_secs_f64())
    };
    let replayed = compare(("load", BAR), events, rounds, ours, floor)?;
    let micros = block_on(async {
        let store = Store::open(file).await?;
        let mut micros = Vec::new();
        for _ in 0..rounds * 20 {
            let begun = Stopwatch::start();
            black_box(store.aggregate::<Order<true>>("1").at_version(events).await?);
            micros.push(begun.elapsed().as_micros() as u64);
        }
        store.close().await?;
        Ok(micros)
    })?;
    Ok([replayed, latency("load_with_snapshot", micros, None, WITH_SNAPSHOT_US, u64::MAX)])
}

async fn execute<A: Aggregate<Command = u64>>(store: &Store, more: u64) -> millpond::Result<()> {
    match store.aggregate::<A>("1").execute(more).await {
        Ok(_) => Ok(()),
        Err(millpond::CommandError::Failed(error)) => Err(error),
        Err(error) => Err(super::drive::failed(&error)),
    }
}

/// Rounds of the two alternate, and the ratio is the median of theirs; it is to reach the bar.
pub(super) fn compare(
    (workload, bar): (&'static str, f64),
    size: u64,
    rounds: usize,
    ours: impl Fn() -> millpond::Result<f64>,
    floor: impl Fn() -> millpond::Result<f64>,
) -> millpond::Result<Figures> {
    let (mut all, mut scans, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (floor, ours) = (floor()?, ours()?);
        all.push(ours);
        scans.push(floor);
        ratios.push(ours / floor);
    }
    let (per_second, scan_per_second) = (median(all).round() as u64, median(scans).round() as u64);
    let ratio = (median(ratios) * 1_000.0).round() / 1_000.0;
    let figures = Kind::Scan { per_second, scan_per_second, ratio };
    Ok(Figures { workload, size, figures, reached: ratio >= bar })
}

#[derive(Debug, Serialize, Deserialize)]
enum Happened {
    Placed(Placed),
}

/// What an order comes to; one that is frozen keeps a snapshot with every chunk.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Order<const FROZEN: bool> {
    events: u64,
    cents: u64,
}

impl<const FROZEN: bool> Aggregate for Order<FROZEN> {
    const KIND: &'static str = if FROZEN { "frozen" } else { "order" };
    type Command = u64;
    type Event = Happened;
    type Rejection = std::convert::Infallible;

    fn decide(&self, more: &u64) -> Result<Decision<Order<FROZEN>>, std::convert::Infallible> {
        Ok((0..*more).map(|number| Happened::Placed(placed(number))).collect::<Vec<_>>().into())
    }

    fn evolve(&mut self, Happened::Placed(placed): &Happened) {
        self.events += 1;
        self.cents += placed.cents;
    }

    fn snapshots() -> Snapshots<Order<FROZEN>> {
        if FROZEN { Snapshots::every(CHUNK) } else { Snapshots::never() }
    }
}

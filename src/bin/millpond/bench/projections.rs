//! Benches of projections: all events of a store beside a bare scan of the same rows, and how soon what was appended has been
//! dealt with.

use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use millpond::{Expected, Failure, Recorded, Rows, Store};

use super::drive::{block_on, failed};
use super::figures::{Figures, beside_commits};
use super::floor::Floor;
use super::reads::{compare, fill};
use super::scan::Scan;
use super::sides::{Placed, event, placed};
use crate::time::Stopwatch;

/// At least so much of the scan.
const BAR: f64 = 0.5;

/// Between two events: whoever projects has gone to sleep by then.
const PAUSE: Duration = Duration::from_millis(3);

/// Writes nothing, but has seen what there is, as the scan has.
fn look(event: &Recorded, _: &mut Rows<'_>) -> Result<(), Failure> {
    black_box(event.decode::<Placed>()?);
    Ok(())
}

/// A new projection of so many events, each round another one.
pub(super) fn catch_up(file: &Path, events: u64, rounds: usize) -> millpond::Result<Figures> {
    fill(file, events)?;
    let round = Cell::new(0);
    let ours = || {
        block_on(async {
            let store = Store::open(file).await?;
            let projection = store.projection(format!("round {}", round.replace(round.get() + 1)));
            let begun = Stopwatch::start();
            let projected = projection.projector(store.events().read_all()).drain().run(look).await?;
            let seconds = begun.elapsed().as_secs_f64();
            store.close().await?;
            Ok(projected.handled as f64 / seconds)
        })
    };
    let floor = || {
        let scan = Scan::open(file)?;
        let begun = Stopwatch::start();
        let read = scan.all::<Placed>(|event| drop(black_box(event)))?;
        Ok(read as f64 / begun.elapsed().as_secs_f64())
    };
    compare(("catch_up", BAR), events, rounds, ours, floor)
}

/// From an append until its event was projected and whoever waits for that is told, which is two commits: that of the event
/// and that of the checkpoint. Beside what one commit of the same event takes.
pub(super) fn wake(folder: &Path, rounds: usize) -> millpond::Result<Figures> {
    let (micros, commits) = block_on(async {
        let floor = Floor::open(&folder.join("projected-floor.db"))?;
        let mut bare = floor.stream("order-1".into());
        let store = Store::open(folder.join("projected.db")).await?;
        let projection = store.projection("orders");
        let projector = projection.projector(store.events().read_all());
        let stopper = projector.stopper();
        let running = tokio::task::spawn_local(projector.run(look));
        let (mut micros, mut commits) = (Vec::new(), Vec::new());
        for round in 0..rounds as u64 {
            // Both begin when everything sleeps: right behind the other's commit either would be slower.
            tokio::time::sleep(PAUSE).await;
            let commit = Stopwatch::start();
            bare.append(&placed(round)).await?;
            commits.push(commit.elapsed().as_micros() as u64);
            tokio::time::sleep(PAUSE).await;
            let since = Stopwatch::start();
            let appended = store.events().append("order-1", Expected::Any, [event(round)?]).await?;
            projection.wait_for(appended.position).await?;
            micros.push(since.elapsed().as_micros() as u64);
        }
        stopper.stop(Duration::ZERO);
        running.await.map_err(|error| failed(&error))??;
        store.close().await?;
        Ok((micros, commits))
    })?;
    // There is no bar.
    Ok(beside_commits("append_to_projected", micros, commits, u64::MAX))
}

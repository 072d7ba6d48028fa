//! Both sides of each comparison: the same work through Millpond and through the floor.

use std::path::Path;

use millpond::blocking::Store as BlockingStore;
use millpond::{Aggregate, CommandError, Decision, Event, Expected, Store};
use serde::{Deserialize, Serialize};

use super::drive::{Measured, block_on, drive, drive_threads, failed};
use super::floor::Floor;

/// The event that every append carries: 136 bytes of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Placed {
    order: u64,
    customer: String,
    sku: String,
    quantity: u32,
    pub(super) cents: u64,
    note: String,
}

pub(super) fn placed(order: u64) -> Placed {
    Placed {
        order,
        customer: "customer-0017".into(),
        sku: "sku-4711-blue".into(),
        quantity: 3,
        cents: 129_900 + order % 100,
        note: "please leave it at the back door, ring".into(),
    }
}

pub(super) const METADATA: &str = "{\"user\":\"u-123\"}";

pub(super) fn event(order: u64) -> millpond::Result<Event> {
    Ok(Event::new("Placed", &placed(order))?.metadata(METADATA))
}

pub(super) fn append(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let events = store.events();
        let callers = (0..callers).map(|caller| {
            let (events, stream) = (events.clone(), format!("order-{caller}"));
            let mut version = 0;
            async move || {
                let appended = events.append(&stream, Expected::Version(version), [event(version)?]).await?;
                version = appended.version;
                Ok(())
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

pub(super) fn floor_append(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|caller| {
            let mut stream = floor.stream(format!("order-{caller}"));
            async move || stream.append(&placed(stream.version())).await
        });
        drive(callers.collect(), seconds).await
    })
}

pub(super) fn append_blocking(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let store = BlockingStore::open(file)?;
    let events = store.events();
    let callers = (0..callers).map(|caller| {
        let (events, stream) = (events.clone(), format!("order-{caller}"));
        let mut version = 0;
        move || {
            version = events.append(&stream, Expected::Version(version), [event(version)?])?.version;
            Ok(())
        }
    });
    let measured = drive_threads(callers.collect(), seconds)?;
    store.close()?;
    Ok(measured)
}

pub(super) fn floor_append_blocking(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    let floor = Floor::open(file)?;
    let callers = (0..callers).map(|caller| {
        let mut stream = floor.stream(format!("order-{caller}"));
        move || stream.append_blocking(&placed(stream.version()))
    });
    drive_threads(callers.collect(), seconds)
}

/// An aggregate whose every command leads to one event of the same size as the floor's.
#[derive(Debug, Default)]
struct Orders {
    placed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum OrderEvent {
    Placed(Placed),
}

impl Aggregate for Orders {
    const KIND: &'static str = "orders";
    type Command = ();
    type Event = OrderEvent;
    type Rejection = std::convert::Infallible;

    fn decide(&self, (): &()) -> Result<Decision<Orders>, Self::Rejection> {
        Ok([OrderEvent::Placed(placed(self.placed))].into())
    }

    fn evolve(&mut self, _: &OrderEvent) {
        self.placed += 1;
    }
}

pub(super) fn one_aggregate(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let orders = store.aggregate::<Orders>("all");
        let callers = (0..callers).map(|_| {
            let orders = orders.clone();
            async move || match orders.execute(()).await {
                Ok(_) => Ok(()),
                Err(CommandError::Rejected(never)) => match never {},
                Err(CommandError::Failed(error)) => Err(error),
                Err(other) => Err(failed(&other)),
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

pub(super) fn lock(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let callers = (0..callers).map(|caller| {
            let lock = store.lock(format!("lock-{caller}"));
            async move || lock.acquire().await?.release().await
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

pub(super) fn floor_lock(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|caller| {
            let mut lock = floor.lock(format!("lock-{caller}"));
            async move || lock.cycle().await
        });
        drive(callers.collect(), seconds).await
    })
}

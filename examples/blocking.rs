//! The blocking face, for programs that are not async: the same names, no `await`.
//!
//! `cargo run --example blocking [FILE]`

use std::thread;

use millpond::blocking::Store;
use millpond::{Event, Expected};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("blocking.db"), Into::into);
    let store = Store::open(file)?;

    // Four threads take turns under one lock.
    thread::scope(|scope| {
        let workers: Vec<_> = (1..=4)
            .map(|worker| {
                let store = store.clone();
                scope.spawn(move || -> millpond::Result<()> {
                    let guard = store.lock("till").acquire()?;
                    let event = Event::new("Counted", &serde_json::json!({ "worker": worker }))?;
                    store.events().guarded_by(&guard).append("till-1", Expected::Any, [event])?;
                    guard.release()
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;

    for event in store.events().read_stream("till-1") {
        let event = event?;
        println!("{} {} {}", event.version(), event.event_type(), event.json().unwrap_or_default());
    }
    Ok(store.close()?)
}

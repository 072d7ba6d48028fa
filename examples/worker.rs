//! A worker: a handler for each job of a queue, on threads of its own, and a schedule that pushes one every second.
//!
//! `cargo run --example worker [FILE]`

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millpond::blocking::Store;
use millpond::{JobState, Push, Task, Verdict};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
enum Errand {
    /// Fails the first time.
    Fetch(String),
    /// Cannot be done at all.
    Square { circle: f64 },
    /// Comes by itself.
    Tick,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("worker.db"), Into::into);
    let store = Store::open(file)?;
    let errands = store.queue::<Errand>("errands");

    errands.push(&Errand::Fetch("water".to_owned()))?;
    errands.push_with(&Errand::Square { circle: 1.0 }, Push::new().max_attempts(1))?;
    // Said whenever the program starts. Each second comes once, however many programs there are.
    errands.recurring("tick", "* * * * * *", &Errand::Tick, Push::new())?;

    let worker = errands.worker().concurrency(3).rate(50, Duration::from_secs(1));
    let (stopper, ticks) = (worker.stopper(), AtomicU32::new(0));
    let tally = worker.run(move |errand: Task<Errand>| match &*errand {
        Errand::Fetch(what) if errand.attempt() == 1 => {
            println!("no {what} yet");
            Ok(Verdict::RetryIn(Duration::from_millis(100), "the well was closed".to_owned()))
        }
        Errand::Fetch(what) => {
            println!("{what}, after {}", errand.last_reason().unwrap_or("nothing"));
            Ok(Verdict::Done)
        }
        Errand::Square { .. } => Err("nobody can do that"),
        Errand::Tick => {
            // Three of them are enough. What runs has ten seconds to come to its end.
            if ticks.fetch_add(1, Ordering::SeqCst) == 2 {
                stopper.stop(Duration::from_secs(10));
            }
            Ok(Verdict::Done)
        }
    })?;
    println!("{} done, {} tried again, {} dead", tally.done, tally.retried, tally.dead);

    for record in errands.page(Some(JobState::Dead), 0, 10)?.jobs {
        let record = record?;
        println!("{:?}: {}", errands.decode(&record)?, record.reason.unwrap_or_default());
    }
    errands.unschedule("tick")?;
    Ok(store.close()?)
}

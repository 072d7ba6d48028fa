//! Benches of channels: publishing beside the floor, how soon a message is received, and very many subscribers.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use millpond::Store;

use super::crew::Worker;
use super::drive::{Measured, block_on, drive, failed};
use super::figures::{Figures, Kind, beside_commits};
use super::floor::Floor;
use super::sides::{Placed, placed};
use crate::args::{BenchRole, BenchWorker};
use crate::failure::Done;
use crate::time::Stopwatch;

/// The channel that all use.
pub(super) const CHANNEL: &str = "orders";

/// Between two messages: whoever listens has gone to sleep by then.
const PAUSE: Duration = Duration::from_millis(3);

pub(super) fn publish(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let store = Store::open(file).await?;
        let callers = (0..callers).map(|_| {
            let (channel, mut number) = (store.channel::<Placed>(CHANNEL), 0);
            async move || {
                number += 1;
                channel.publish(&placed(number)).await.map(drop)
            }
        });
        let measured = drive(callers.collect(), seconds).await?;
        store.close().await?;
        Ok(measured)
    })
}

pub(super) fn floor_publish(file: &Path, callers: usize, seconds: f64) -> millpond::Result<Measured> {
    block_on(async {
        let floor = Floor::open(file)?;
        let callers = (0..callers).map(|_| {
            let (mut feed, mut number) = (floor.feed(CHANNEL.into()), 0);
            async move || {
                number += 1;
                feed.publish(&placed(number)).await
            }
        });
        drive(callers.collect(), seconds).await
    })
}

/// From a publish to the message in the hands of who listens, beside what a commit of the same row takes.
pub(super) fn wake(folder: &Path, rounds: usize) -> Done<Figures> {
    let (micros, commits) = block_on(async {
        let floor = Floor::open(&folder.join("receive-floor.db"))?;
        let mut bare = floor.feed(CHANNEL.into());
        let store = Store::open(folder.join("receive.db")).await?;
        let channel = store.channel::<Placed>(CHANNEL);
        let since: Rc<Cell<Option<Stopwatch>>> = Rc::default();
        let micros = Rc::new(RefCell::new(Vec::new()));
        let listener = {
            let (mut live, since, micros) =
                (channel.subscribe().await?, Rc::clone(&since), Rc::clone(&micros));
            tokio::task::spawn_local(async move {
                for _ in 0..rounds {
                    if let Some(message) = live.next().await {
                        message?;
                    }
                    let took = since.take().map_or(0, |since| since.elapsed().as_micros() as u64);
                    micros.borrow_mut().push(took);
                }
                Ok::<_, millpond::Error>(())
            })
        };
        let mut commits = Vec::new();
        for round in 0..rounds as u64 {
            // Both begin when everything sleeps: right behind the other's commit either would be slower.
            tokio::time::sleep(PAUSE).await;
            let commit = Stopwatch::start();
            bare.publish(&placed(round)).await?;
            commits.push(commit.elapsed().as_micros() as u64);
            tokio::time::sleep(PAUSE).await;
            since.set(Some(Stopwatch::start()));
            channel.publish(&placed(round)).await?;
        }
        listener.await.map_err(|error| failed(&error))??;
        store.close().await?;
        Ok((micros.take(), commits))
    })?;
    Ok(beside_commits("publish_to_receive", micros, commits, 50))
}

/// So many listen in one process to one channel.
pub(super) fn subscribers(file: &Path, subscribers: usize, rounds: usize) -> Done<Figures> {
    let work =
        BenchWorker { role: BenchRole::Subscribers, seconds: rounds as f64, waiters: subscribers as u64 };
    let mut worker = Worker::start(file, &work)?;
    let [deliveries_per_s, last_p50_us, bytes] = worker.hear("fanned")?;
    worker.finish()?;
    let bytes_a_subscriber = bytes / (subscribers as u64).max(1);
    let figures = Kind::FanOut { deliveries_per_s, last_p50_us, bytes_a_subscriber };
    let reached = subscribers < 10_000 || bytes_a_subscriber <= 2_048;
    Ok(Figures { workload: "subscribers", size: subscribers as u64, figures, reached })
}

/// The process of that: deliveries a second, until the last one has a message, and how much memory all of them take.
pub(super) fn listen(path: &Path, subscribers: u64, rounds: u64) -> millpond::Result<[u64; 3]> {
    block_on(async {
        let store = Store::open(path).await?;
        let channel = store.channel::<Placed>(CHANNEL);
        channel.publish(&placed(0)).await?;
        let before = super::worker::resident();
        let (heard, everybody) = (Rc::new(Cell::new(0_u64)), Rc::new(tokio::sync::Notify::new()));
        let mut tasks = Vec::new();
        for _ in 0..subscribers {
            let mut live = channel.subscribe().await?;
            let (heard, everybody) = (Rc::clone(&heard), Rc::clone(&everybody));
            tasks.push(tokio::task::spawn_local(async move {
                while let Some(Ok(_)) = live.next().await {
                    heard.set(heard.get() + 1);
                    if heard.get().is_multiple_of(subscribers) {
                        everybody.notify_one();
                    }
                }
            }));
        }
        tokio::task::yield_now().await;
        let bytes = super::worker::resident().saturating_sub(before);
        let mut micros = Vec::new();
        let began = Stopwatch::start();
        for round in 0..rounds {
            let since = Stopwatch::start();
            channel.publish(&placed(round)).await?;
            everybody.notified().await;
            micros.push(since.elapsed().as_micros() as u64);
        }
        let per_second = (subscribers * rounds) as f64 / began.elapsed().as_secs_f64();
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        micros.sort_unstable();
        let last_p50 = micros.get(micros.len() / 2).copied().unwrap_or(0);
        store.close().await?;
        Ok([per_second as u64, last_p50, bytes])
    })
}

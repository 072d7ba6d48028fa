//! Millpond's side: the async handle on a runtime of two threads. Jobs and messages are here, `events` is the rest.

mod events;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;

use millpond::{Durability, Push, Queue, Store, Task};
use peers::clock::{BETWEEN, pause};
use peers::measure::{drive_tasks, runtime};
use peers::{Asked, CHANNEL, CHUNK, Events, Jobs, Measured, Outcome, QUEUE, Side, Stopwatch, payload};

struct Millpond;

async fn open(asked: &Asked) -> Outcome<Store> {
    let durability = if asked.relaxed { Durability::ProcessCrash } else { Durability::PowerLoss };
    Ok(Store::builder().durability(durability).open(asked.file()).await?)
}

async fn fill(queue: &Queue<String>, jobs: u64) -> Outcome<()> {
    for first in (0..jobs).step_by(CHUNK as usize) {
        queue.push_all((first..jobs.min(first + CHUNK)).map(|_| (payload(), Push::new()))).await?;
    }
    Ok(())
}

impl Side for Millpond {
    fn settings(&self, asked: &Asked) -> Outcome<String> {
        let store = runtime()?.block_on(open(asked))?;
        let synchronous = if asked.relaxed { "NORMAL" } else { "FULL" };
        let settings = format!(
            "millpond {}, SQLite {}, WAL, synchronous={synchronous}",
            env!("CARGO_PKG_VERSION"),
            rusqlite::version()
        );
        runtime()?.block_on(store.close())?;
        Ok(settings)
    }

    fn jobs(&self) -> Option<&dyn Jobs> {
        Some(self)
    }

    fn events(&self) -> Option<&dyn Events> {
        Some(self)
    }
}

impl Jobs for Millpond {
    fn push(&self, asked: &Asked, callers: usize, seconds: f64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let store = runtime.block_on(open(asked))?;
        let (queue, text) = (store.queue::<String>(QUEUE), Arc::new(payload()));
        let caller = |_| {
            let (queue, text) = (queue.clone(), Arc::clone(&text));
            move || {
                let (queue, text) = (queue.clone(), Arc::clone(&text));
                async move { Ok(queue.push(&text).await.map(drop)?) }
            }
        };
        let measured = drive_tasks(&runtime, (0..callers).map(caller).collect(), seconds)?;
        runtime.block_on(store.close())?;
        Ok(measured)
    }

    fn drain(&self, asked: &Asked, workers: usize, jobs: u64) -> Outcome<Measured> {
        let runtime = runtime()?;
        let store = runtime.block_on(open(asked))?;
        let queue = store.queue::<String>(QUEUE);
        runtime.block_on(fill(&queue, jobs))?;
        let began = Stopwatch::start();
        let worker = queue.worker().concurrency(u32::try_from(workers)?).drain();
        let done = runtime.block_on(worker.run(async |_: Task<String>| ()))?.done;
        let measured = Measured::rate(done, began.elapsed());
        runtime.block_on(store.close())?;
        if done == jobs { Ok(measured) } else { Err(format!("{done} of {jobs} were done").into()) }
    }

    fn backlog(&self, asked: &Asked, jobs: u64, rounds: usize) -> Outcome<Measured> {
        let runtime = runtime()?;
        runtime.block_on(async {
            let store = open(asked).await?;
            let queue = store.queue::<String>(QUEUE);
            fill(&queue, jobs + rounds as u64).await?;
            let mut each = Vec::new();
            for _ in 0..rounds {
                let began = Stopwatch::start();
                queue.pop().await?.done().await?;
                each.push(began.elapsed());
            }
            store.close().await?;
            Ok(Measured::times(each))
        })
    }

    fn push_to_pop(&self, asked: &Asked, rounds: usize) -> Outcome<Measured> {
        let runtime = runtime()?;
        let store = runtime.block_on(open(asked))?;
        let queue = store.queue::<String>(QUEUE);
        let (sender, arrived) = channel();
        let worker = {
            let queue = queue.clone();
            runtime.spawn(async move {
                for _ in 0..rounds {
                    let job = queue.pop().await?;
                    sender.send(Stopwatch::start())?;
                    job.done().await?;
                }
                Outcome::Ok(())
            })
        };
        let mut each = Vec::new();
        for _ in 0..rounds {
            pause(BETWEEN);
            let began = Stopwatch::start();
            runtime.block_on(queue.push(&payload()))?;
            each.push(arrived.recv()?.since(began));
        }
        runtime.block_on(worker)??;
        runtime.block_on(store.close())?;
        Ok(Measured::times(each))
    }

    fn publish_to_receive(&self, asked: &Asked, rounds: usize) -> Outcome<Option<Measured>> {
        let runtime = runtime()?;
        let store = runtime.block_on(open(asked))?;
        let channel_of = store.channel::<String>(CHANNEL);
        let mut live = runtime.block_on(channel_of.subscribe())?;
        let (sender, arrived) = channel();
        let listener = runtime.spawn(async move {
            for _ in 0..rounds {
                live.next().await.ok_or("the store was closed")??;
                sender.send(Stopwatch::start())?;
            }
            Outcome::Ok(())
        });
        let mut each = Vec::new();
        for _ in 0..rounds {
            pause(BETWEEN);
            let began = Stopwatch::start();
            runtime.block_on(channel_of.publish(&payload()))?;
            each.push(arrived.recv()?.since(began));
        }
        runtime.block_on(listener)??;
        runtime.block_on(store.close())?;
        Ok(Some(Measured::times(each)))
    }
}

fn main() -> ExitCode {
    peers::run(&Millpond)
}

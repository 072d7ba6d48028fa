//! honker's side: its calls block, so callers and workers are threads that share one database, as its documentation has it.

use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;

use honker::{Database, EnqueueOpts, Queue, QueueOpts};
use peers::clock::{BETWEEN, pause};
use peers::measure::drive_threads;
use peers::{Asked, CHANNEL, CHUNK, Jobs, Measured, Outcome, QUEUE, Side, Stopwatch, payload};
use rusqlite::types::FromSql;
use serde_json::{Value, json};

struct Honker;

/// As shipped it is NORMAL; the connection is there for the user, who may say FULL.
fn open(asked: &Asked) -> Outcome<Database> {
    let database = Database::open(asked.file())?;
    if !asked.relaxed {
        database.with_conn(|connection| connection.execute_batch("PRAGMA synchronous=FULL"))?;
    }
    Ok(database)
}

fn queue(database: &Database) -> Queue {
    database.queue(QUEUE, QueueOpts::default())
}

/// What the connection says.
fn said<T: FromSql>(database: &Database, pragma: &str) -> Outcome<T> {
    Ok(database.with_conn(|connection| connection.query_row(pragma, [], |row| row.get(0)))?)
}

fn text() -> Value {
    json!(payload())
}

fn fill(database: &Database, jobs: u64) -> Outcome<()> {
    let (queue, text) = (queue(database), text());
    for first in (0..jobs).step_by(CHUNK as usize) {
        let chunk = database.transaction()?;
        for _ in first..jobs.min(first + CHUNK) {
            queue.enqueue_tx(&chunk, &text, EnqueueOpts::default())?;
        }
        chunk.commit()?;
    }
    Ok(())
}

/// Claims and acknowledges one job; whether there was one.
fn one(queue: &Queue, worker: &str) -> Outcome<bool> {
    let Some(job) = queue.claim_one(worker)? else { return Ok(false) };
    if job.ack()? { Ok(true) } else { Err("a claim was lost".into()) }
}

impl Side for Honker {
    fn settings(&self, asked: &Asked) -> Outcome<String> {
        let database = open(asked)?;
        let journal: String = said(&database, "PRAGMA journal_mode")?;
        let synchronous: u8 = said(&database, "PRAGMA synchronous")?;
        let synchronous = ["OFF", "NORMAL", "FULL", "EXTRA"].get(usize::from(synchronous)).unwrap_or(&"?");
        let (version, journal) = (rusqlite::version(), journal.to_uppercase());
        Ok(format!("honker 0.5.0, SQLite {version}, {journal}, synchronous={synchronous}"))
    }

    fn jobs(&self) -> Option<&dyn Jobs> {
        Some(self)
    }
}

impl Jobs for Honker {
    fn push(&self, asked: &Asked, callers: usize, seconds: f64) -> Outcome<Measured> {
        let database = open(asked)?;
        let caller = |_| {
            let (queue, text) = (queue(&database), text());
            move || Ok(queue.enqueue(&text, EnqueueOpts::default()).map(drop)?)
        };
        drive_threads((0..callers).map(caller).collect(), seconds)
    }

    fn drain(&self, asked: &Asked, workers: usize, jobs: u64) -> Outcome<Measured> {
        let database = open(asked)?;
        fill(&database, jobs)?;
        let began = Stopwatch::start();
        let done = thread::scope(|scope| {
            let work = |number: usize| {
                let (queue, name) = (queue(&database), format!("worker-{number}"));
                scope.spawn(move || {
                    let mut done = 0;
                    while one(&queue, &name)? {
                        done += 1;
                    }
                    Outcome::Ok(done)
                })
            };
            let mut all = 0_u64;
            for worker in (0..workers).map(work).collect::<Vec<_>>() {
                all += worker.join().map_err(|_| "a worker panicked")??;
            }
            Outcome::Ok(all)
        })?;
        let measured = Measured::rate(done, began.elapsed());
        if done == jobs { Ok(measured) } else { Err(format!("{done} of {jobs} were done").into()) }
    }

    fn backlog(&self, asked: &Asked, jobs: u64, rounds: usize) -> Outcome<Measured> {
        let database = open(asked)?;
        fill(&database, jobs + rounds as u64)?;
        let queue = queue(&database);
        let mut each = Vec::new();
        for _ in 0..rounds {
            let began = Stopwatch::start();
            one(&queue, "worker")?;
            each.push(began.elapsed());
        }
        Ok(Measured::times(each))
    }

    fn push_to_pop(&self, asked: &Asked, rounds: usize) -> Outcome<Measured> {
        let database = open(asked)?;
        let (producer, consumer) = (queue(&database), queue(&database));
        let (sender, arrived) = channel();
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                let waker = consumer.claim_waker();
                for _ in 0..rounds {
                    let job = waker.next("worker")?.ok_or("the waker has ended")?;
                    sender.send(Stopwatch::start())?;
                    job.ack()?;
                }
                Outcome::Ok(())
            });
            let mut each = Vec::new();
            for _ in 0..rounds {
                pause(BETWEEN);
                let began = Stopwatch::start();
                producer.enqueue(&text(), EnqueueOpts::default())?;
                each.push(arrived.recv()?.since(began));
            }
            worker.join().map_err(|_| "the worker panicked")??;
            Ok(Measured::times(each))
        })
    }

    fn publish_to_receive(&self, asked: &Asked, rounds: usize) -> Outcome<Option<Measured>> {
        let database = open(asked)?;
        let mut live = database.listen(CHANNEL)?;
        let (sender, arrived) = channel();
        thread::scope(|scope| {
            let listener = scope.spawn(move || {
                for _ in 0..rounds {
                    live.recv().ok_or("it has ended")??;
                    sender.send(Stopwatch::start())?;
                }
                Outcome::Ok(())
            });
            let mut each = Vec::new();
            for _ in 0..rounds {
                pause(BETWEEN);
                let began = Stopwatch::start();
                database.notify(CHANNEL, &text())?;
                each.push(arrived.recv()?.since(began));
            }
            listener.join().map_err(|_| "the listener panicked")??;
            Ok(Some(Measured::times(each)))
        })
    }
}

fn main() -> ExitCode {
    peers::run(&Honker)
}

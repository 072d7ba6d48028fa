//! A process that pushes jobs and works on them, and says each thing that it has done: stamps are taken before a call and
//! after it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpond::Error;
use millpond::blocking::{Job, Queue, Store};
use serde::{Deserialize, Serialize};

use super::evidence::{Answer, How};
use super::spec::{Kind, Spec, batch};
use super::{LANES, LEASE, PROCESSES, QUEUE};
use crate::Result;
use crate::clock::{pause, stamp};
use crate::crew::say;

/// Nobody has the writers' turn for so long, unless the machine stands still.
const CALL: Duration = Duration::from_secs(60);

/// What a lane waits for a job that has none to push.
const WAIT: Duration = Duration::from_millis(100);

/// What slow work takes, in microseconds.
const SLOW_US: u64 = 25_000;

/// One line of a child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// It has the store open.
    Open,
    /// A lane is about to push those of its jobs from this one on.
    Pushing(u64, u64),
    /// It has: number, place, and whether it was there already; between these stamps.
    Pushed { places: Vec<(u64, u64, bool)>, begun: u64, acked: u64 },
    /// It has claimed a job.
    Claimed { token: u64, sequence: u64, number: u64, attempt: u32, asked: u64, got: u64 },
    /// What it heard when it was about to end that.
    Ended { token: u64, how: How, begun: u64, acked: u64, answer: Answer },
    /// It has closed the store.
    Closed,
    /// Something that should not.
    Failed(String),
}

/// One thread of a child.
struct Lane<'a> {
    queue: Queue<u64>,
    seed: u64,
    /// Which of all lanes.
    who: u64,
    ends: &'a AtomicBool,
}

/// The number of a job that is a lane's own.
pub(super) fn number(who: u64, own: u64) -> u64 {
    own * (PROCESSES as u64 * LANES) + who
}

/// Opens the store and works until it is told to end. `first` holds each lane's next job, of `most` that it has.
///
/// # Errors
/// If nobody listens, or the store cannot be opened.
pub fn live(seed: u64, file: &Path, process: u64, first: &str, most: u64) -> Result<()> {
    let first: Vec<u64> = first.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let store = Store::builder().call_timeout(CALL).open(file)?;
    store.queue::<u64>(QUEUE).keep_done(Duration::from_secs(30 * 24 * 3_600))?;
    tell(&Said::Open)?;
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (lane, first) in (0..LANES).zip(first) {
            let queue = store.queue::<u64>(QUEUE).lease(LEASE);
            let lane = Lane { queue, seed, who: process * LANES + lane, ends: &ends };
            scope.spawn(move || {
                if let Err(error) = lane.live(first, most) {
                    // Nobody hears it if the parent is gone.
                    let _ = tell(&Said::Failed(error.to_string()));
                }
            });
        }
        // The only thing that it is ever told; or the parent is gone.
        let _ = std::io::stdin().read_line(&mut String::new());
        ends.store(true, Ordering::SeqCst);
    });
    store.close()?;
    tell(&Said::Closed)
}

fn tell(said: &Said) -> Result<()> {
    say(&serde_json::to_string(said)?)
}

impl Lane<'_> {
    /// Pushes some and works on as many, as long as there are any to be pushed; then it waits for others.
    fn live(&self, first: u64, most: u64) -> Result<()> {
        let mut own = first;
        while !self.ends.load(Ordering::SeqCst) {
            let count = if own < most { batch(own) } else { 0 };
            if count > 0 {
                self.push(own, count)?;
                own += count;
            }
            for _ in 0..=count {
                if !self.work(count == 0)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn push(&self, own: u64, count: u64) -> Result<()> {
        tell(&Said::Pushing(self.who, own))?;
        let numbers: Vec<u64> = (own..own + count).map(|own| number(self.who, own)).collect();
        let begun = stamp()?;
        let places = self.queue.push_all(numbers.iter().map(|it| (*it, Spec::of(self.seed, *it).push())))?;
        let acked = stamp()?;
        let placed = numbers.into_iter().zip(places);
        let places = placed.map(|(number, place)| (number, place.sequence, place.existed)).collect();
        tell(&Said::Pushed { places, begun, acked })
    }

    /// Works on a job, if there is one.
    fn work(&self, waits: bool) -> Result<bool> {
        let asked = stamp()?;
        let job = if waits { self.queue.pop_within(WAIT)? } else { self.queue.try_pop()? };
        let Some(job) = job else { return Ok(false) };
        let (got, number, attempt) = (stamp()?, *job, job.attempt());
        let (token, sequence) = (job.token(), job.sequence());
        tell(&Said::Claimed { token, sequence, number, attempt, asked, got })?;
        match Spec::of(self.seed, number).kind {
            Kind::Poison => std::process::abort(),
            Kind::Hopeless => self.end(job, How::Bury)?,
            Kind::Flaky(delay_ms, until) if attempt < until => self.end(job, How::Retry(delay_ms))?,
            Kind::Forgotten if attempt == 1 => drop(job),
            kind => {
                if kind == Kind::Slow {
                    pause(SLOW_US);
                }
                self.end(job, How::Done)?;
            }
        }
        Ok(true)
    }

    fn end(&self, job: Job<u64>, how: How) -> Result<()> {
        let (token, begun) = (job.token(), stamp()?);
        let ended = match how {
            How::Done => job.done(),
            How::Retry(delay_ms) => job.retry_in(Duration::from_millis(delay_ms)),
            How::Bury => job.bury("it is hopeless"),
        };
        let answer = match ended {
            Ok(()) => Answer::Well,
            Err(Error::StaleClaim { .. }) => Answer::Stale,
            Err(error) => return Err(error.into()),
        };
        tell(&Said::Ended { token, how, begun, acked: stamp()?, answer })
    }
}

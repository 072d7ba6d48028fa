//! A process that keeps the time of the schedules, or waits for their jobs, until it is killed.

use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use millpond::{Push, Queue, Store};
use serde::{Deserialize, Serialize};

use super::A_SECOND;
use crate::Result;
use crate::crew::say;
use crate::random::Random;

pub(super) const QUEUE: &str = "chimes";

/// Schedules that are said again by whoever begins.
const AGAIN: u64 = 6;

/// Longer than anything here runs.
const FOR_GOOD: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A job, and the schedule that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Chime {
    /// The second in which it comes, since 1970.
    pub(super) at: i64,
    /// Which of that second.
    pub(super) number: u64,
}

impl Chime {
    /// The one that comes in every second.
    pub(super) const STEADY: Chime = Chime { at: 0, number: 0 };

    /// Those of one second.
    pub(super) fn all(at: i64) -> impl Iterator<Item = Chime> {
        (0..A_SECOND).map(move |number| Chime { at, number })
    }

    /// The name of its schedule.
    pub(super) fn name(self) -> String {
        format!("{}-{}", self.at, self.number)
    }

    /// In that second, and then in a year.
    pub(super) fn cron(self) -> Result<String> {
        if self == Chime::STEADY {
            return Ok("* * * * * *".to_owned());
        }
        let calendar = rusqlite::Connection::open_in_memory()?;
        let written = "SELECT strftime('%S %M %H %d %m *', ?1, 'unixepoch')";
        Ok(calendar.query_row(written, [self.at], |row| row.get(0))?)
    }

    /// Makes its schedule, or says it again.
    pub(super) async fn say(self, queue: &Queue<Chime>, cron: &str) -> millpond::Result<bool> {
        queue.recurring(self.name(), cron, &self, Push::new()).await
    }
}

/// Keeps the time, or works, in the `run`th process.
///
/// # Errors
/// If the store cannot be opened, or nobody listens.
pub fn live(file: &Path, keeps: bool, first: i64, seconds: u64, run: u64) -> Result<()> {
    if let Err(error) = block_on(work(file, keeps, first, seconds, run)) {
        say(&error.to_string())?;
    }
    // There to be killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn work(file: &Path, keeps: bool, first: i64, seconds: u64, run: u64) -> Result<()> {
    let store = Store::open(file).await?;
    let (queue, mut random) = (store.queue::<Chime>(QUEUE), Random::new(run));
    for _ in 0..AGAIN {
        let at = first + random.below(seconds).cast_signed();
        let chime = Chime { at, number: random.below(A_SECOND) };
        if chime.say(&queue, &chime.cron()?).await? {
            return Err(format!("{chime:?} was another").into());
        }
    }
    if keeps {
        return Ok(queue.keep_schedules().await?);
    }
    queue.keep_done(FOR_GOOD).await?;
    loop {
        queue.pop().await?.done().await?;
    }
}

//! A queue: jobs with priorities, a key and a delay, one that fails and is tried again, one that nobody can do.
//!
//! `cargo run --example queue [FILE]`

use std::time::Duration;

use millpond::{JobState, Push, Store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    to: String,
    pages: u32,
}

fn letter(to: &str, pages: u32) -> Letter {
    Letter { to: to.to_owned(), pages }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("queue.db"), Into::into);
    let store = Store::open(file).await?;
    let mail = store.queue::<Letter>("mail");

    mail.push(&letter("Ada", 2)).await?;
    // The lower number is claimed first.
    mail.push_with(&letter("Grace", 1), Push::new().priority(-1)).await?;
    // One living job of a key at a time.
    let once = Push::new().key("order-17").max_attempts(2);
    let first = mail.push_with(&letter("nobody", 0), once.clone()).await?;
    let again = mail.push_with(&letter("nobody", 0), once).await?;
    println!("pushed again: {}, it is job {}", again.existed, first.sequence);
    let later = Push::new().delay(Duration::from_secs(3_600));
    mail.push_with(&letter("Edsger", 9), later).await?;

    // In another process, or in several: a job is one worker's at a time.
    while let Some(job) = mail.try_pop().await? {
        if job.pages > 0 {
            println!("sent to {}", job.to);
            job.done().await?;
        } else {
            println!("attempt {} of {} failed", job.attempt(), job.max_attempts());
            // `retry("why")` waits longer with each attempt.
            job.retry_in(Duration::ZERO).await?;
        }
    }

    let mut dead = Vec::new();
    for record in mail.page(Some(JobState::Dead), 0, 100).await?.jobs {
        dead.push(record?);
    }
    for record in &dead {
        println!("dead after {} attempts: to {}", record.attempts, mail.decode(record)?.to);
    }

    // Who has learned how to do it has it tried again.
    mail.revive_all().await?;
    let job = mail.pop().await?;
    println!("revived: attempt {}", job.attempt());
    job.done().await?;

    let numbers = mail.numbers().await?.ok_or("it was used")?;
    println!("{} pushed, {} waits for its time", numbers.pushed, numbers.delayed);
    Ok(store.close().await?)
}

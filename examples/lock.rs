//! A named lock between tasks (and between processes, if you run this twice at once), with its fencing token.
//!
//! `cargo run --example lock [FILE]`

use std::time::Duration;

use millpond::{Event, Expected, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("lock.db"), Into::into);
    let store = Store::open(file).await?;
    let lock = store.lock("nightly-report").ttl(Duration::from_secs(10));

    let guard = lock.acquire().await?;
    println!("held, with token {}", guard.token());

    // Somebody else would have to wait; this one does not want to.
    assert!(lock.try_acquire().await?.is_none());
    assert!(lock.acquire_within(Duration::from_millis(20)).await?.is_none());

    // A write that must not happen when the lock was lost carries the token into its transaction.
    let report = Event::new("ReportMade", &serde_json::json!({ "pages": 7 }))?;
    let guarded = store.events().guarded_by(&guard);
    let appended = guarded.append("report-2026", Expected::Any, [report.clone()]).await?;
    println!("report written at version {}", appended.version);

    // Three tasks wait in line and are served in the order in which they came.
    let waiting: Vec<_> = (1..=3)
        .map(|task| {
            let lock = lock.clone();
            tokio::spawn(async move {
                let guard = lock.acquire().await?;
                println!("task {task} holds it, with token {}", guard.token());
                guard.release().await
            })
        })
        .collect();
    guard.release().await?;
    for task in waiting {
        task.await??;
    }

    // The first holder's token is stale now, and so is every write that carries it.
    let stale = guarded.append("report-2026", Expected::Any, [report]).await;
    println!("a late write: {}", stale.err().ok_or("it should have been fenced")?);
    Ok(store.close().await?)
}

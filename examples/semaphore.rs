//! A semaphore and a lock for readers and writers, between tasks (and between processes, if you run this twice at once).
//!
//! `cargo run --example semaphore [FILE]`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millpond::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("semaphore.db"), Into::into);
    let store = Store::open(file).await?;

    // Nine downloads, never more than three at a time.
    let downloads = store.semaphore("downloads", 3);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (1..=9)
        .map(|_| {
            let (downloads, running, most) = (downloads.clone(), Arc::clone(&running), Arc::clone(&most));
            tokio::spawn(async move {
                let permit = downloads.acquire().await?;
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                permit.release().await
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
    println!("nine downloads, never more than three at a time");

    // A large one takes two permits at once; a small one still fits beside it.
    let large = downloads.clone().weight(2).acquire().await?;
    let small = downloads.acquire().await?;
    println!("a large one and a small one, and no more: {}", downloads.try_acquire().await?.is_none());
    large.release().await?;
    small.release().await?;

    // Readers share the catalogue. A writer waits for them, and whoever comes after it waits behind it.
    let catalogue = store.rw_lock("catalogue");
    let readers = [catalogue.read().await?, catalogue.read().await?];
    let writer = {
        let catalogue = catalogue.clone();
        tokio::spawn(async move {
            let guard = catalogue.write().await?;
            println!("the writer is alone, with token {}", guard.token());
            guard.release().await
        })
    };
    println!("{} readers read", readers.len());
    for reader in readers {
        reader.release().await?;
    }
    writer.await??;

    // A name is used for one thing.
    let refused = store.semaphore("downloads", 4).acquire().await;
    println!("refused: {}", refused.err().ok_or("it should have been refused")?);
    Ok(store.close().await?)
}

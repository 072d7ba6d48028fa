//! A log: appended to, read by range, followed, and folded over the last minute.
//!
//! `cargo run --example log [FILE]`

use std::time::Duration;

use millpond::{From, Retention, Stamp, Store};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args().nth(1).map_or_else(|| folder.path().join("log.db"), Into::into);
    let store = Store::open(file).await?;
    let tokens = store.log::<u64>("tokens");

    let mut follow = tokens.follow(From::Now).await?;
    tokens.append_with(&120, Stamp::new().key("ada").at("2011-10-11T13:45:40+02:00")).await?;
    let more = tokens.append_all(&[30, 7]).await?;
    println!("appended up to {}", more.end - 1);
    for _ in 0..3 {
        let record = follow.next().await.ok_or("the store is open")??;
        println!("record {}: {} by {}", record.sequence(), *record, record.key().unwrap_or("nobody"));
    }

    let mut newest = tokens.range(..).newest_first().limit(1);
    println!("newest: {}", *newest.next().await.ok_or("three records")??);

    let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
    let mut sums =
        tokens.live(minute, second, |last| last.iter().map(|record| **record).sum::<u64>()).await?;
    println!("in the last minute: {}", sums.next().await.ok_or("the store is open")??);

    tokens.retain(Retention::everything().count(2)).await?;
    let extent = tokens.extent().await?;
    println!("kept: {} to {}", extent.first, extent.last);
    Ok(store.close().await?)
}

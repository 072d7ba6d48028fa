//! What is there in the end, for one who opens the store anew.

use futures_executor::block_on;
use millpond::Store;

use super::callers::LANES;
use super::judge::Found;
use crate::Result;

/// Jobs that are read at once.
const PAGE: u32 = 1_000;

pub(super) fn look(url: &str) -> Result<Found> {
    block_on(async {
        let store = Store::open(url).await?;
        let mut found = Found::default();
        let mut events = store.events().read_all();
        while let Some(event) = events.next().await {
            let event = event?;
            found.events.push((event.position(), event.id(), event.stream().to_owned(), event.version()));
        }
        let queue = store.queue::<String>("loss");
        let mut from = Some(0);
        while let Some(start) = from {
            let page = queue.page(None, start, PAGE).await?;
            for job in page.jobs {
                let job = job?;
                found.jobs.push((job.key.clone().unwrap_or_default().to_string(), job.sequence));
            }
            from = page.next;
        }
        let dict = store.dict::<i64>("loss");
        for lane in 0..LANES {
            let sum = dict.get(format!("lane-{lane}")).await?.map_or(0, |entry| *entry);
            found.sums.insert(lane, sum.unsigned_abs());
        }
        let mut items = store.list::<String>("loss").items(..);
        while let Some(item) = items.next().await {
            found.items.push(item?.into_value());
        }
        store.close().await?;
        Ok(found)
    })
}

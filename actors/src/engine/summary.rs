//! What is in a store, in numbers.

use std::collections::BTreeMap;

use super::store::Store;
use crate::storage::queue::State;
use crate::storage::{Moment, Summary, feed};

/// How many categories a summary names.
const CATEGORIES_SHOWN: usize = 100;

impl Store {
    /// How it stands.
    pub fn summary(&self, now: Moment) -> Summary {
        let processes = self.process_list(now);
        let mut categories: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, stream) in self.streams.iter() {
            *categories.entry(stream.name.category()).or_default() += 1;
        }
        let (blobs, blob_bytes, blob_contents) = self.blob_totals();
        Summary {
            streams: self.streams.len() as u64,
            events: self.events.len() as u64,
            head: self.head(),
            categories: categories
                .into_iter()
                .take(CATEGORIES_SHOWN)
                .map(|(category, streams)| (category.to_owned(), streams))
                .collect(),
            snapshots: self.snapshots.len() as u64,
            logs: self.feed_count(feed::Kind::Log),
            channels: self.feed_count(feed::Kind::Channel),
            dicts: self.dict_names.len() as u64,
            lists: self.list_names.len() as u64,
            blobs,
            blob_bytes,
            blob_contents,
            locks: self.locks.len() as u64,
            locks_held: self.held(now),
            tickets_waiting: processes.iter().map(|process| process.waits).sum(),
            queues: self.queues.len() as u64,
            jobs: self.jobs_of(State::is_live),
            jobs_dead: self.jobs_of(|state| state == State::Dead),
            file_bytes: 0,
            log_bytes: 0,
            schema: 0,
        }
    }
}

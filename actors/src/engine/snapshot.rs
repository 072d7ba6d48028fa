//! Snapshots in tables: the latest of each stream.

use std::sync::Arc;

use super::store::Store;
use crate::name::Name;
use crate::storage::snapshot::{Kept, Save, Saved};

impl Store {
    /// Keeps a snapshot, unless a later one is there or its stream is not. One that is ahead of its stream is none.
    pub fn snapshot_save(&mut self, operation: &Save) -> Saved {
        let Some(stream) = self.streams.get(&operation.stream) else { return Saved::Outdated };
        let is_later = |kept: &Arc<Kept>| kept.version > operation.version && kept.version <= stream.version;
        let later = self.snapshots.get(&operation.stream).is_some_and(is_later);
        // A state of what was erased is erased too.
        if later || stream.erased >= operation.version {
            return Saved::Outdated;
        }
        let Save { stream, version, schema, data } = operation.clone();
        self.snapshots.put(stream, Arc::new(Kept { version, schema, data }));
        Saved::Kept
    }

    /// The snapshot of a stream, for a reader.
    pub fn snapshot(&self, stream: &Name) -> Option<Kept> {
        let stream = self.stream_names.get(stream)?;
        self.snapshots.get(stream).map(|kept| Kept::clone(kept))
    }
}

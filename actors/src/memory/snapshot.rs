//! Snapshots in memory: the latest of each stream.

use std::sync::Arc;

use super::store::Store;
use crate::name::Name;
use crate::storage::snapshot::{Kept, Save, Saved};

impl Store {
    /// Keeps a snapshot, unless a later one is there or its stream is not.
    pub(super) fn snapshot_save(&mut self, operation: &Save) -> Saved {
        let later =
            self.snapshots.get(&operation.stream).is_some_and(|kept| kept.version > operation.version);
        let stream = self.streams.get(&operation.stream);
        // A state of what was erased is erased too.
        if later || stream.is_none_or(|stream| stream.erased >= operation.version) {
            return Saved::Outdated;
        }
        let Save { stream, version, schema, data } = operation.clone();
        self.snapshots.put(stream, Arc::new(Kept { version, schema, data }));
        Saved::Kept
    }

    /// The snapshot of a stream, for a reader.
    pub(super) fn snapshot(&self, stream: &Name) -> Option<Kept> {
        let stream = self.stream_names.committed().get(stream)?;
        self.snapshots.committed().get(stream).map(|kept| Kept::clone(kept))
    }
}

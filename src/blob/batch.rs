//! What a batch does with blobs, beside finishing one: see [`BlobWriter::finish_in`](crate::BlobWriter::finish_in).

use std::sync::Arc;

use millpond_actors::batch::Part;
use millpond_actors::error::Result;
use millpond_actors::storage::blob::{Remove, Removed};
use millpond_actors::storage::dict::Expected;

use super::writer::sweep;
use super::{Blobs, was_there};
use crate::batch::{Batch, Slot};

impl Batch {
    /// Adds that a blob is removed. Whether there was one.
    ///
    /// # Errors
    /// A bad name or key; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for blobs of another store. Nothing is added
    /// then.
    pub fn delete_blob(&mut self, blobs: &Blobs, key: impl AsRef<str>) -> Result<Slot<bool>> {
        let (remove, runtime) = (blobs.removal(key.as_ref(), Expected::Any)?, Arc::clone(&blobs.runtime));
        let part = Part::new(remove, move |removed: Option<Removed>| {
            if matches!(removed, Some(Removed::Done { waste: true, .. })) {
                sweep(&runtime);
            }
        });
        self.add::<Remove, _>(&blobs.runtime, (part, 0), |removed| Ok(was_there(&removed)))
    }
}

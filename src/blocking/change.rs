//! Watching the store, for threads that wait.

use millpond_actors::error::Result;

use crate::change::Change;

/// What changes in the store, as an iterator that waits; see [`crate::Changes`].
#[derive(Debug)]
#[must_use = "nothing is read until changes are asked for"]
pub struct Changes {
    pub(super) changes: crate::Changes,
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Result<Change>> {
        self.changes.next_blocking()
    }
}

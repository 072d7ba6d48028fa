//! Keys of subjects, for threads that wait.

use millpond_actors::error::Result;

use crate::subject::SubjectKey;

/// Whom data is about; see [`crate::Subject`].
#[derive(Clone, Debug)]
pub struct Subject {
    pub(super) subject: crate::Subject,
}

impl Subject {
    /// See [`crate::Subject::key`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn key(&self) -> Result<SubjectKey> {
        self.subject.key_blocking()
    }

    /// See [`crate::Subject::shred`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn shred(&self) -> Result<bool> {
        self.subject.shred_blocking()
    }
}

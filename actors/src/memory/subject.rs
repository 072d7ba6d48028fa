//! Keys of subjects in memory.

use super::store::Store;
use crate::name::Name;
use crate::storage::subject::{KeyState, Make, Shred};

impl Store {
    /// The key of a subject; makes it if there is none.
    pub(super) fn subject_key(&mut self, operation: &Make) -> KeyState {
        let Make { subject, key } = operation;
        if let Some(stands) = self.subjects.get(subject) {
            return stands.clone();
        }
        self.subjects.put(subject.clone(), KeyState::Kept(key.clone()));
        KeyState::Kept(key.clone())
    }

    /// Destroys the key of a subject. Whether it had one.
    pub(super) fn subject_shred(&mut self, operation: &Shred) -> bool {
        let had_one = matches!(self.subjects.get(&operation.subject), Some(KeyState::Kept(_)));
        self.subjects.put(operation.subject.clone(), KeyState::Shredded);
        had_one
    }

    /// How a subject stands, for a reader.
    pub(super) fn subject(&self, name: &Name) -> Option<KeyState> {
        self.subjects.committed().get(name).cloned()
    }
}

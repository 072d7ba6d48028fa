//! Keys of subjects, in a table.

use super::store::Store;
use crate::error::Result;
use crate::name::{self, Name};
use crate::storage::record::{Onto, Put, Refusal};
use crate::storage::subject::{KeyState, Make, Shred};

impl Store {
    /// The key of a subject; makes it if there is none.
    pub fn subject_key(&mut self, operation: &Make) -> KeyState {
        let Make { subject, key } = operation;
        if let Some(stands) = self.subjects.get(subject) {
            return stands.clone();
        }
        self.subjects.put(subject.clone(), KeyState::Kept(key.clone()));
        KeyState::Kept(key.clone())
    }

    /// Destroys the key of a subject. Whether it had one.
    pub fn subject_shred(&mut self, operation: &Shred) -> bool {
        let had_one = matches!(self.subjects.get(&operation.subject), Some(KeyState::Kept(_)));
        self.subjects.put(operation.subject.clone(), KeyState::Shredded);
        had_one
    }

    /// Puts a subject back. A key that was destroyed stays so.
    pub fn subject_load(&mut self, onto: Onto, name: &Name, state: &KeyState) -> Put {
        match (self.subjects.get(name), onto) {
            (Some(there), _) if there == state => return Put::Known,
            (Some(KeyState::Shredded), _) => return Put::Refused(Refusal::Shredded),
            (Some(KeyState::Kept(_)), Onto::Nothing | Onto::Append) => {
                return Put::Refused(Refusal::OtherKey);
            }
            (Some(KeyState::Kept(_)), Onto::Replace) | (None, _) => {}
        }
        self.subjects.put(name.clone(), state.clone());
        Put::Written(None)
    }

    /// Subjects by name, for a reader.
    pub fn subject_list(&self, after: Option<&str>, limit: u32) -> Vec<(String, Result<KeyState>)> {
        let later = self.subjects.range(name::behind(after));
        later.take(limit as usize).map(|(name, state)| (name.to_string(), Ok(state.clone()))).collect()
    }

    /// How a subject stands, for a reader.
    pub fn subject(&self, name: &Name) -> Option<KeyState> {
        self.subjects.get(name).cloned()
    }
}

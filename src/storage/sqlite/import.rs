//! Importing: events of many streams at once, without those that are there already.

use std::collections::{BTreeMap, HashMap, HashSet};

use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::storage::Target;
use millpond_actors::storage::stream::{Append, Appended, Import, Imported};
use uuid::Uuid;

use super::look_up;
use super::session::SqliteSession;

impl SqliteSession {
    /// Adds what is new, in order. All ids are looked up before the first is written.
    pub(super) fn import(&mut self, import: &Import) -> Result<Imported> {
        let mut streams: HashMap<Uuid, &str> = HashMap::with_capacity(import.events.len());
        let mut fresh = Vec::with_capacity(import.events.len());
        for (index, (name, event)) in import.events.iter().enumerate() {
            let before = streams.insert(event.id, name.as_str());
            let known = match self.stream_of(&event.id)? {
                Some(stream) => Some(stream == name.as_str()),
                None => before.map(|before| before == name.as_str()),
            };
            match known {
                None => fresh.push((name, event)),
                Some(true) => {}
                Some(false) => return Ok(Imported::Duplicate { index, id: event.id }),
            }
        }
        let mut looked_at = HashSet::new();
        for (name, event) in &fresh {
            if looked_at.insert(name.as_str())
                && look_up::stream(&self.connection, name.as_str())?.is_some_and(|stream| stream.closed)
            {
                let index = import.events.iter().position(|(_, other)| other.id == event.id);
                return Ok(Imported::Closed { index: index.unwrap_or_default() });
            }
        }
        let known = (import.events.len() - fresh.len()) as u64;
        let added = fresh.len() as u64;
        let mut grown = BTreeMap::new();
        for (name, event) in fresh {
            let stream = Target { name: name.clone(), id: None };
            let events = vec![event.clone()];
            let append = Append { stream, expected: Expected::Any, events, known_ids: false, fence: None };
            match self.append(&append)? {
                Appended::Done { stream, version, .. } => drop(grown.insert(stream, version)),
                refused => {
                    return Err(Error::Storage { detail: format!("an import was refused: {refused:?}") });
                }
            }
        }
        Ok(Imported::Done { added, known, streams: grown.into_iter().collect() })
    }
}

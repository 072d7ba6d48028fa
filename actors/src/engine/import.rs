//! Importing in tables: events of many streams at once, without those that are there already.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::store::{Caller, Store};
use crate::error::{Error, Expected, Result};
use crate::name::Name;
use crate::storage::Target;
use crate::storage::stream::{Append, Appended, Import, Imported};

impl Store {
    /// Adds what is new, in order. All ids are looked up before the first is written.
    pub fn stream_import(&mut self, me: &Caller, import: &Import) -> Result<Imported> {
        let mut streams: HashMap<Uuid, Name> = HashMap::new();
        let mut fresh = Vec::new();
        for (index, (name, event)) in import.events.iter().enumerate() {
            let stored = self.event_ids.get(&event.id).and_then(|position| self.events.get(position));
            let before = streams.insert(event.id, name.clone());
            match stored.map(|stored| stored.stream.clone()).or(before) {
                None => fresh.push((name, event)),
                Some(stream) if stream == *name => {}
                Some(_) => return Ok(Imported::Duplicate { index, id: event.id }),
            }
        }
        let is_closed = |name: &Name| {
            let row = self.stream_names.get(name);
            row.and_then(|row| self.streams.get(row)).is_some_and(|stream| stream.closed)
        };
        if let Some((_, event)) = fresh.iter().find(|(name, _)| is_closed(name)) {
            let index = import.events.iter().position(|(_, other)| other.id == event.id);
            return Ok(Imported::Closed { index: index.unwrap_or_default() });
        }
        let known = (import.events.len() - fresh.len()) as u64;
        let added = fresh.len() as u64;
        let mut grown = BTreeMap::new();
        for (name, event) in fresh {
            let stream = Target { name: name.clone(), id: None };
            let events = vec![event.clone()];
            let append = Append { stream, expected: Expected::Any, events, known_ids: false, fence: None };
            match self.stream_append(me, &append)? {
                Appended::Done { stream, version, .. } => drop(grown.insert(stream, version)),
                refused => {
                    return Err(Error::Storage { detail: format!("an import was refused: {refused:?}") });
                }
            }
        }
        Ok(Imported::Done { added, known, streams: grown.into_iter().collect() })
    }
}

//! Erasing in tables: events that say nothing any more stay where they were.

use std::sync::Arc;

use super::store::{Caller, Store};
use super::stream::Stream;
use crate::error::{Error, Expected, Result};
use crate::limits;
use crate::storage::Data;
use crate::storage::erase::{Erase, Erased, Step, blank};
use crate::storage::stream::{Append, Appended, Recorded};

impl Store {
    /// Erases a portion of what a stream holds.
    pub fn stream_erase(&mut self, me: &Caller, erase: &Erase) -> Result<Erased> {
        let nothing = Erased::Done { stream: None, version: 0, erased: 0, next: None };
        let from = match erase.step {
            Step::GoOn { from } => from,
            Step::Begin { expected, id, close } => {
                let found = self.stream_id(&erase.stream).and_then(|row| self.streams.get(&row)).cloned();
                let actual = found.as_ref().map_or(0, |stream| stream.version);
                let is_closed = found.as_ref().is_some_and(|stream| stream.closed);
                if !is_closed && !expected.allows(actual) {
                    return Ok(Erased::Conflict { actual });
                }
                if found.is_none() && !close {
                    return Ok(nothing);
                }
                let is_over = found.as_ref().is_some_and(|stream| stream.erased == stream.version);
                if !is_closed && (close || !is_over) {
                    let (stream, events) = (erase.stream.clone(), vec![blank(id)]);
                    let append =
                        Append { stream, expected: Expected::Any, events, known_ids: false, fence: None };
                    let Appended::Done { stream, version, .. } = self.stream_append(me, &append)? else {
                        return Err(Error::Storage { detail: "a blank event was refused".into() });
                    };
                    let name = erase.stream.name.clone();
                    self.streams.put(stream, Stream { name, version, erased: version, closed: close });
                    self.snapshots.remove(&stream);
                }
                1
            }
        };
        let Some(row) = self.stream_id(&erase.stream) else { return Ok(nothing) };
        let Some(stream) = self.streams.get(&row).cloned() else { return Ok(nothing) };
        let versions = self.versions.range((row, from)..=(row, stream.erased));
        let positions = versions.filter_map(|(_, position)| Some(*position).filter(|at| self.says(*at)));
        let positions: Vec<u64> = positions.take(limits::ERASED_AT_ONCE as usize + 1).collect();
        let mut erased = 0;
        for position in positions {
            let Some(event) = self.events.get(&position).cloned() else { continue };
            if erased == u64::from(limits::ERASED_AT_ONCE) {
                let (stream_row, version, next) = (Some(row), stream.version, Some(event.version));
                return Ok(Erased::Done { stream: stream_row, version, erased, next });
            }
            self.events.put(position, Arc::new(blanked(&event)));
            erased += 1;
        }
        Ok(Erased::Done { stream: Some(row), version: stream.version, erased, next: None })
    }

    fn says(&self, position: u64) -> bool {
        self.events.get(&position).is_some_and(|event| !event.is_erased())
    }
}

/// The same event with nothing in it.
fn blanked(event: &Recorded) -> Recorded {
    let Recorded { position, version, id, recorded_at, .. } = *event;
    let (stream, event_type, data) = (event.stream.clone(), String::new(), Data::Json(String::new()));
    let (schema, at, metadata, origin) = (0, None, None, None);
    Recorded { position, stream, version, id, event_type, data, schema, recorded_at, at, metadata, origin }
}

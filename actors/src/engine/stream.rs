//! Streams in tables: events by position, and indexes from ids, versions and categories to positions.

use std::collections::HashSet;
use std::sync::Arc;

use super::counter::Counter;
use super::store::{Caller, Store};
use crate::error::{Error, Result};
use crate::limits;
use crate::name::Name;
use crate::storage::Target;
use crate::storage::change::{Changed, Primitive};
use crate::storage::filter::{Fields, Matcher};
use crate::storage::record::{Onto, Put, Refusal};
use crate::storage::stream::{
    Append, Appended, Check, Checked, Head, NewEvent, Page, Query, Recorded, Scope,
};

/// A stream; it holds at least one event.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Its name.
    pub name: Name,
    /// Of its last event.
    pub version: u64,
    /// Events up to this version are erased.
    pub erased: u64,
    /// Nothing can be appended to it any more.
    pub closed: bool,
}

/// What the ids of an append say about it.
enum Ids {
    /// None was used before.
    New,
    /// All were, by these very events; here is the last of them.
    Repeated(Arc<Recorded>),
    /// This one is taken by something else.
    Taken(uuid::Uuid),
}

/// What is written.
impl Store {
    /// Appends all events or none. The checks come in the contract's order: fence, ids, expected version.
    pub fn stream_append(&mut self, me: &Caller, operation: &Append) -> Result<Appended> {
        if operation.events.is_empty() {
            let what = format!("append to stream \"{}\"", operation.stream.name);
            return Err(Error::InvalidArgument { what, reason: "it is empty".into() });
        }
        if operation.fence.as_ref().is_some_and(|fence| !self.fence_stands(me, fence)) {
            return Ok(Appended::Fenced);
        }
        let known = self.stream_id(&operation.stream);
        // A database that is far forbids what should not be; it would take a trip to ask.
        let looks = operation.known_ids || self.events.is_here();
        let ids = if looks { self.judge_ids(operation) } else { Ids::New };
        match &ids {
            Ids::Taken(id) if operation.known_ids => return Ok(Appended::Duplicate { id: *id }),
            Ids::Repeated(last) if operation.known_ids => {
                let stream = known.unwrap_or_default();
                let Recorded { version, position, .. } = **last;
                return Ok(Appended::Done { stream, version, position, repeated: true });
            }
            Ids::New | Ids::Taken(_) | Ids::Repeated(_) => {}
        }
        let before = known.and_then(|id| self.streams.get(&id)).cloned();
        if before.as_ref().is_some_and(|stream| stream.closed) {
            return Ok(Appended::Closed);
        }
        let actual = before.as_ref().map_or(0, |stream| stream.version);
        if !operation.expected.allows(actual) {
            return Ok(Appended::Conflict { actual });
        }
        // Ids made here are new by construction: if one is not, something is badly wrong.
        match ids {
            Ids::New => {}
            Ids::Taken(id) => return Err(taken(id)),
            Ids::Repeated(last) => return Err(taken(last.id)),
        }
        let name = &operation.stream.name;
        let stream = known.unwrap_or_else(|| self.new_stream(name));
        let mut version = actual;
        for event in &operation.events {
            version += 1;
            self.record(me, stream, name, version, event);
        }
        let erased = before.map_or(0, |stream| stream.erased);
        self.streams.put(stream, Stream { name: name.clone(), version, erased, closed: false });
        Ok(Appended::Done { stream, version, position: self.last_position(), repeated: false })
    }

    /// Where a stream stands, and whether that is as expected.
    pub fn stream_check(&self, operation: &Check) -> Checked {
        let found = self.stream_id(&operation.stream).and_then(|id| self.streams.get(&id));
        let actual = found.map_or(0, |stream| stream.version);
        if operation.expected.allows(actual) { Checked::Stands } else { Checked::Conflict { actual } }
    }

    pub(super) fn stream_id(&self, target: &Target) -> Option<u64> {
        target.id.or_else(|| self.stream_names.get(&target.name).copied())
    }

    fn new_stream(&mut self, name: &Name) -> u64 {
        let stream = self.next(Counter::Stream);
        self.stream_names.put(name.clone(), stream);
        stream
    }

    fn judge_ids(&self, operation: &Append) -> Ids {
        let stored = |event: &NewEvent| self.events.get(self.event_ids.get(&event.id)?);
        let mut seen = HashSet::new();
        let taken = |event: &&NewEvent| !seen.insert(event.id) || stored(event).is_some();
        let Some(taken) = operation.events.iter().find(taken) else { return Ids::New };
        // An id that is named twice cannot stand in a run of versions, so no repetition hides it.
        let before: Option<Vec<_>> = operation.events.iter().map(stored).collect();
        match before {
            Some(before) if is_a_run(&before, &operation.stream.name) => {
                before.last().map_or(Ids::New, |last| Ids::Repeated(Arc::clone(last)))
            }
            _ => Ids::Taken(taken.id),
        }
    }

    /// Puts an event back, at the end of its stream and of the store.
    pub fn event_load(&mut self, onto: Onto, event: &Recorded) -> Put {
        let name = &event.stream;
        let id = self.stream_names.get(name).copied();
        let row = id.and_then(|id| self.streams.get(&id)).cloned();
        let version = row.as_ref().map_or(0, |stream| stream.version);
        if onto == Onto::Nothing && event.version == 1 && row.is_some() {
            return Put::Refused(Refusal::Exists);
        }
        if let Some(there) = self.event_ids.get(&event.id).and_then(|position| self.events.get(position)) {
            return match onto {
                _ if there.stream != *name => Put::Refused(Refusal::Taken(event.id)),
                Onto::Nothing => Put::Refused(Refusal::Taken(event.id)),
                Onto::Replace if there.version != event.version => Put::Refused(Refusal::Diverged),
                Onto::Replace | Onto::Append => Put::Known,
            };
        }
        if row.as_ref().is_some_and(|stream| stream.closed) {
            return Put::Refused(Refusal::Closed);
        }
        if onto != Onto::Append && event.version != version + 1 {
            return Put::Refused(Refusal::Diverged);
        }
        let stream = id.unwrap_or_else(|| self.new_stream(name));
        let erased = row.map_or(0, |stream| stream.erased);
        self.streams.put(stream, Stream { name: name.clone(), version: version + 1, erased, closed: false });
        let (recorded_at, position) = (self.not_before(event.recorded_at), self.last_position() + 1);
        self.place(stream, Recorded { position, version: version + 1, recorded_at, ..event.clone() });
        let (primitive, sequence) = (Primitive::Stream, Some(version + 1));
        let changed = Changed { primitive, row: stream, sequence, key: None };
        if position == event.position { Put::Written(Some(changed)) } else { Put::Moved(changed) }
    }

    /// Puts back what is known of a stream beside its events, if it is what it was.
    pub fn stream_load(
        &mut self,
        onto: Onto,
        name: &Name,
        version: u64,
        (erased, closed): (u64, bool),
    ) -> Put {
        let Some(id) = self.stream_names.get(name).copied() else { return Put::Refused(Refusal::Orphan) };
        let Some(row) = self.streams.get(&id).cloned() else { return Put::Refused(Refusal::Orphan) };
        if onto == Onto::Replace && row.version != version {
            return Put::Refused(Refusal::Diverged);
        }
        let blank = |position: &u64| self.events.get(position).is_some_and(|event| event.is_erased());
        let is_it = row.version == version
            && self.versions.range((id, 0)..=(id, erased)).all(|(_, position)| blank(position));
        let says_nothing = erased == 0 && !closed;
        if !is_it || says_nothing || (row.erased, row.closed) == (erased, closed) {
            return Put::Known;
        }
        self.streams.put(id, Stream { erased, closed, ..row });
        Put::Written(None)
    }

    /// Writes one event and its index rows.
    fn record(&mut self, me: &Caller, stream: u64, name: &Name, version: u64, event: &NewEvent) {
        let recorded = Recorded {
            position: self.last_position() + 1,
            stream: name.clone(),
            version,
            id: event.id,
            event_type: event.event_type.to_string(),
            data: event.data.clone(),
            schema: event.schema,
            recorded_at: self.not_before(me.now.wall_ms),
            at: event.at.clone(),
            metadata: event.metadata.as_ref().map(ToString::to_string),
            origin: event.origin.clone(),
        };
        self.place(stream, recorded);
    }

    fn place(&mut self, stream: u64, event: Recorded) {
        let position = event.position;
        self.counters.put(Counter::Position, position);
        self.counters.put(Counter::RecordedAt, event.recorded_at.cast_unsigned());
        self.event_ids.put(event.id, position);
        self.versions.put((stream, event.version), position);
        if self.categories.is_here() {
            // Only who reads looks there.
            self.categories.put((event.stream.category().to_owned(), position), ());
        }
        self.events.put(position, Arc::new(event));
    }

    pub(super) fn last_position(&self) -> u64 {
        self.counter(Counter::Position)
    }

    /// A time, or that of the last event if it is later.
    fn not_before(&self, wall_ms: i64) -> i64 {
        match self.last_position() {
            0 => wall_ms,
            _ => wall_ms.max(self.counter(Counter::RecordedAt).cast_signed()),
        }
    }
}

fn taken(id: uuid::Uuid) -> Error {
    Error::Storage { detail: format!("a new event's id {id} is taken") }
}

/// Whether these events follow one another in that stream.
fn is_a_run(events: &[&Arc<Recorded>], stream: &Name) -> bool {
    let start = events.first().map_or(0, |first| first.version);
    let in_place =
        |(event, version): (&&Arc<Recorded>, u64)| event.stream == *stream && event.version == version;
    events.iter().zip(start..).all(in_place)
}

/// What is read.
impl Store {
    /// Where a stream stands.
    pub fn stream_head(&self, name: &Name) -> Option<Head> {
        let id = *self.stream_names.get(name)?;
        let head = |stream: &Stream| Head { id, version: stream.version, erased: stream.erased };
        self.streams.get(&id).map(head)
    }

    /// The position of the last event.
    pub fn head(&self) -> u64 {
        self.last_position()
    }

    /// One page of events.
    pub fn page(&self, query: &Query) -> Page {
        let Query { from, to, .. } = *query;
        if from > to {
            return Page::default();
        }
        match &query.scope {
            Scope::All => {
                let rows = self.events.range(from..=to);
                fill(query, self.fields, rows.map(|(position, event)| (*position, event)))
            }
            Scope::Category(category) => {
                let range = (category.clone(), from)..=(category.clone(), to);
                let rows = self.categories.range(range);
                fill(
                    query,
                    self.fields,
                    rows.filter_map(|((_, position), ())| Some((*position, self.event(*position)?))),
                )
            }
            Scope::Stream(name) => {
                let Some(stream) = self.stream_names.get(name) else { return Page::default() };
                let rows = self.versions.range((*stream, from)..=(*stream, to));
                fill(
                    query,
                    self.fields,
                    rows.filter_map(|((_, version), at)| Some((*version, self.event(*at)?))),
                )
            }
        }
    }

    /// The event with an id.
    pub fn event_of(&self, id: &uuid::Uuid) -> Option<Recorded> {
        let position = self.event_ids.get(id)?;
        self.event(*position).map(|event| Recorded::clone(event))
    }

    fn event(&self, position: u64) -> Option<&Arc<Recorded>> {
        self.events.get(&position)
    }
}

/// Takes a page from `rows` (in ascending order), from whichever end the query wants.
fn fill<'a>(
    query: &Query,
    fields: Fields,
    rows: impl DoubleEndedIterator<Item = (u64, &'a Arc<Recorded>)>,
) -> Page {
    let wanted = |(_, event): &(u64, &Arc<Recorded>)| query.filter.wants(event);
    let matcher = query.filter.content.as_ref().map(|content| Matcher::new(content, fields));
    if query.backward {
        take(query.limit, matcher.as_ref(), rows.rev().filter(wanted))
    } else {
        take(query.limit, matcher.as_ref(), rows.filter(wanted))
    }
}

/// Takes rows until the page is full, by count or by size, and looks whether one is left.
fn take<'a>(
    limit: u32,
    matcher: Option<&Matcher>,
    mut rows: impl Iterator<Item = (u64, &'a Arc<Recorded>)>,
) -> Page {
    let mut page = Page::default();
    let (mut bytes, mut others) = (0, 0);
    while page.events.len() < limit as usize && bytes < limits::PAGE_BYTES && others < limits::OTHERS_PER_PAGE
    {
        let Some((number, event)) = rows.next() else { return page };
        if matcher.is_some_and(|matcher| !matcher.matches(&event.data)) {
            others += 1;
            page.last = if others < limits::OTHERS_PER_PAGE { page.last } else { Some(number) };
            continue;
        }
        bytes += event.data.bytes().len() + event.metadata.as_ref().map_or(0, String::len);
        page.last = Some(number);
        page.events.push(Ok(Recorded::clone(event)));
    }
    page.more = rows.next().is_some();
    page
}

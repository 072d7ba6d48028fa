//! Streams of events, for threads that wait.

use millpond_actors::error::{Expected, Result};
use millpond_actors::name::Name;

use uuid::Uuid;

use super::LockGuard;
use crate::events::{Appended, Event, Imported};
use crate::filter::Where;
use crate::reading::Recorded;

/// All streams of a store; see [`crate::Events`].
#[derive(Clone, Debug)]
pub struct Events {
    pub(super) events: crate::Events,
}

impl Events {
    /// See [`crate::Events::guarded_by`].
    #[must_use]
    pub fn guarded_by(&self, guard: &LockGuard) -> Events {
        Events { events: self.events.guarded_by(&guard.guard) }
    }

    /// See [`crate::Events::append`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn append(
        &self,
        stream: impl AsRef<str>,
        expected: Expected,
        events: impl Into<Vec<Event>>,
    ) -> Result<Appended> {
        self.events.append_blocking(stream.as_ref(), expected, events.into())
    }

    /// See [`crate::Events::import`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn import(&self, events: impl Into<Vec<(String, Event)>>) -> Result<Imported> {
        self.events.import_blocking(events.into())
    }

    /// See [`crate::Events::read_stream`].
    pub fn read_stream(&self, stream: impl AsRef<str>) -> EventStream {
        EventStream { stream: self.events.read_stream(stream) }
    }

    /// See [`crate::Events::read_category`].
    pub fn read_category(&self, category: impl AsRef<str>) -> EventStream {
        EventStream { stream: self.events.read_category(category) }
    }

    /// See [`crate::Events::read_all`].
    pub fn read_all(&self) -> EventStream {
        EventStream { stream: self.events.read_all() }
    }

    /// See [`crate::Events::head`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn head(&self) -> Result<u64> {
        self.events.runtime.read_blocking(|view| view.head())
    }

    /// See [`crate::Events::find`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn find(&self, id: Uuid) -> Result<Option<Recorded>> {
        let found = self.events.runtime.read_blocking(move |view| view.event(&id))?;
        Ok(found.filter(|found| !found.is_erased()).map(Recorded::of))
    }

    /// See [`crate::Events::version`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn version(&self, stream: impl AsRef<str>) -> Result<u64> {
        let name = Name::new(stream)?;
        Ok(self.events.runtime.read_blocking(move |view| view.stream(&name))?.map_or(0, |head| head.version))
    }
}

/// Events in order, as an iterator; see [`crate::EventStream`].
#[derive(Debug)]
#[must_use = "nothing is read until events are asked for"]
pub struct EventStream {
    pub(super) stream: crate::EventStream,
}

impl EventStream {
    /// See [`crate::EventStream::from`].
    pub fn from(self, first: u64) -> EventStream {
        EventStream { stream: self.stream.from(first) }
    }

    /// See [`crate::EventStream::after`].
    pub fn after(self, seen: u64) -> EventStream {
        EventStream { stream: self.stream.after(seen) }
    }

    /// See [`crate::EventStream::to`].
    pub fn to(self, last: u64) -> EventStream {
        EventStream { stream: self.stream.to(last) }
    }

    /// See [`crate::EventStream::backward`].
    pub fn backward(self) -> EventStream {
        EventStream { stream: self.stream.backward() }
    }

    /// See [`crate::EventStream::event_type`].
    pub fn event_type(self, event_type: impl Into<String>) -> EventStream {
        EventStream { stream: self.stream.event_type(event_type) }
    }

    /// See [`crate::EventStream::event_types`].
    pub fn event_types(self, types: impl IntoIterator<Item = impl Into<String>>) -> EventStream {
        EventStream { stream: self.stream.event_types(types) }
    }

    /// See [`crate::EventStream::tenant`].
    pub fn tenant(self, tenant: impl Into<String>) -> EventStream {
        EventStream { stream: self.stream.tenant(tenant) }
    }

    /// See [`crate::EventStream::recorded_since`].
    pub fn recorded_since(self, ms: i64) -> EventStream {
        EventStream { stream: self.stream.recorded_since(ms) }
    }

    /// See [`crate::EventStream::recorded_before`].
    pub fn recorded_before(self, ms: i64) -> EventStream {
        EventStream { stream: self.stream.recorded_before(ms) }
    }

    /// See [`crate::EventStream::matching`].
    pub fn matching(self, filter: Where) -> EventStream {
        EventStream { stream: self.stream.matching(filter) }
    }

    /// See [`crate::EventStream::limit`].
    pub fn limit(self, limit: u64) -> EventStream {
        EventStream { stream: self.stream.limit(limit) }
    }
}

impl Iterator for EventStream {
    type Item = Result<Recorded>;

    fn next(&mut self) -> Option<Result<Recorded>> {
        self.stream.next_blocking()
    }
}

//! The repository way, for threads that wait.

use std::marker::PhantomData;

use millpond_actors::error::{Expected, Result};
use millpond_actors::limits;
use uuid::Uuid;

use super::Events;
use crate::aggregate::{Aggregate, Draft, stream_name};
use crate::events::{Appended, Event};
use crate::reading::Recorded;

/// Streams of events, as far as a [`Repository`] needs them; see [`crate::EventStore`], whose promises these are.
pub trait EventStore: Send + Sync {
    /// See [`crate::EventStore::append`].
    ///
    /// # Errors
    /// As there.
    fn append(&self, stream: &str, expected: Expected, events: Vec<Event>) -> Result<Appended>;

    /// See [`crate::EventStore::read`].
    ///
    /// # Errors
    /// As there.
    fn read(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<Recorded>>;

    /// See [`crate::EventStore::version`].
    ///
    /// # Errors
    /// As there.
    fn version(&self, stream: &str) -> Result<u64>;

    /// See [`crate::EventStore::find`].
    ///
    /// # Errors
    /// As there.
    fn find(&self, id: Uuid) -> Result<Option<Recorded>>;
}

impl EventStore for Events {
    fn append(&self, stream: &str, expected: Expected, events: Vec<Event>) -> Result<Appended> {
        Events::append(self, stream, expected, events)
    }

    fn read(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<Recorded>> {
        self.read_stream(stream).with_deleted().from(from).limit(limit.into()).collect()
    }

    fn version(&self, stream: &str) -> Result<u64> {
        Events::version(self, stream)
    }

    fn find(&self, id: Uuid) -> Result<Option<Recorded>> {
        Events::find(self, id)
    }
}

/// Aggregates of one kind, loaded and saved one by one; see [`crate::Repository`].
#[derive(Clone, Debug)]
pub struct Repository<A, S = Events> {
    store: S,
    kind: PhantomData<fn() -> A>,
}

impl<A: Aggregate, S: EventStore> Repository<A, S> {
    /// See [`crate::Repository::new`].
    pub fn new(store: S) -> Repository<A, S> {
        Repository { store, kind: PhantomData }
    }

    /// See [`crate::Repository::store`].
    pub fn store(&self) -> &S {
        &self.store
    }

    /// See [`crate::Repository::load`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    ///
    /// # Panics
    /// As there.
    pub fn load(&self, id: impl AsRef<str>) -> Result<Draft<A>> {
        let mut draft = Draft::new(stream_name::<A>(id.as_ref())?);
        loop {
            let page = self.store.read(draft.stream(), draft.version() + 1, limits::PAGE_ROWS)?;
            page.iter().try_for_each(|event| draft.replay(event))?;
            if page.len() < limits::PAGE_ROWS as usize {
                return Ok(draft);
            }
        }
    }

    /// See [`crate::Repository::save`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    pub fn save(&self, draft: &mut Draft<A>) -> Result<Option<Appended>> {
        let Some((expected, events)) = draft.unsaved()? else { return Ok(None) };
        let appended = self.store.append(draft.stream(), expected, events)?;
        draft.saved();
        Ok(Some(appended))
    }
}

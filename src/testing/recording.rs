//! A store that remembers what it was asked for, and fails when it is told to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use millpond_actors::error::{Error, Expected, Result};

use crate::events::{Appended, Event};
use crate::reading::Recorded;
use crate::repository::EventStore;

/// An [`EventStore`] around another one.
///
/// # Examples
/// ```
/// use millpond::testing::RecordingStore;
/// use millpond::{Error, Event, EventStore, Expected, Store};
/// # futures_executor::block_on(async {
/// let store = RecordingStore::new(Store::memory().await?.events());
/// let opened = Event::new("Opened", &1)?;
/// store.append("door-1", Expected::NoStream, vec![opened.clone()]).await?;
/// assert_eq!(store.appended(), [("door-1".to_owned(), vec![opened.clone()])]);
///
/// store.fail_next(Error::Closed);
/// assert_eq!(store.version("door-1").await, Err(Error::Closed));
/// store.lose_next_answer(Error::CommitUnknown { detail: "the power failed".into() });
/// assert!(store.append("door-1", Expected::Any, vec![opened]).await.is_err());
/// assert_eq!(store.version("door-1").await, Ok(2));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct RecordingStore<S> {
    store: S,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    appended: Vec<(String, Vec<Event>)>,
    fails: Option<Error>,
    loses: Option<Error>,
}

impl<S> RecordingStore<S> {
    /// Around this one.
    pub fn new(store: S) -> RecordingStore<S> {
        RecordingStore { store, told: Mutex::default() }
    }

    /// The appends that were answered with an `Ok`, in the order of their answers: the stream, and the events.
    #[must_use]
    pub fn appended(&self) -> Vec<(String, Vec<Event>)> {
        self.told().appended.clone()
    }

    /// The next call fails like this, and does nothing.
    pub fn fail_next(&self, error: Error) {
        self.told().fails = Some(error);
    }

    /// The next append is done, and is answered like this all the same: so it is when the power fails between the commit and
    /// the answer.
    pub fn lose_next_answer(&self, error: Error) {
        self.told().loses = Some(error);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fails(&self) -> Result<()> {
        self.told().fails.take().map_or(Ok(()), Err)
    }
}

impl<S: EventStore> EventStore for RecordingStore<S> {
    async fn append(&self, stream: &str, expected: Expected, events: Vec<Event>) -> Result<Appended> {
        self.fails()?;
        let appended = self.store.append(stream, expected, events.clone()).await?;
        let mut told = self.told();
        if let Some(error) = told.loses.take() {
            return Err(error);
        }
        told.appended.push((stream.to_owned(), events));
        Ok(appended)
    }

    async fn read(&self, stream: &str, from: u64, limit: u32) -> Result<Vec<Recorded>> {
        self.fails()?;
        self.store.read(stream, from, limit).await
    }

    async fn version(&self, stream: &str) -> Result<u64> {
        self.fails()?;
        self.store.version(stream).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Recorded>> {
        self.fails()?;
        self.store.find(id).await
    }
}

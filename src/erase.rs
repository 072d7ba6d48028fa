//! Deleting what a stream holds, for good.

use millpond_actors::error::{Error, Expected, Result};
use millpond_actors::name::Name;
use millpond_actors::storage::Target;
use millpond_actors::storage::erase::{Erase, Erased, Step};

use crate::events::Events;
use crate::reading::{EventStream, Recorded};

/// What a deletion did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// So many events were erased now.
    pub events: u64,
    /// The stream's version: it has grown by one, or is 0 if there was no such stream.
    pub version: u64,
}

impl Events {
    /// Erases all that a stream holds: types, contents, times, metadata and origins of its events, and the snapshot of its
    /// aggregate. Nobody is shown these events any more, whichever way he reads.
    ///
    /// Their places stay: versions and positions go on behind them and are never used again, and neither are their ids. The
    /// deletion itself takes a version, so whoever decided on what the stream held is refused. The stream can be appended to
    /// again, and an aggregate starts from nothing. Its name stays too; a name that says who somebody is cannot be erased.
    ///
    /// The bytes are written over in the file, once the log has been moved into it: at the latest when the last process
    /// closes the store. Copies and backups have them as long as they are kept, and so has what was written elsewhere from
    /// these events: jobs, messages, projections.
    ///
    /// It is done in portions of 1,000 events, each in a commit, so that others can write meanwhile. The first one decides; if
    /// the process dies before the last one, or a later one fails, call it again.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the stream is not as expected, and nothing is erased then; a bad name; [`Error::Busy`]; what the
    /// database said.
    ///
    /// # Examples
    /// ```
    /// use millpond::{Event, Expected, Store};
    /// # futures_executor::block_on(async {
    /// let events = Store::memory().await?.events();
    /// let named = Event::new("Named", &"Ada")?;
    /// events.append("person-7", Expected::NoStream, [named.clone(), named.clone()]).await?;
    /// let deleted = events.delete("person-7", Expected::Version(2)).await?;
    /// assert_eq!((deleted.events, deleted.version), (2, 3));
    /// assert!(events.read_all().next().await.is_none());
    /// assert_eq!(events.append("person-7", Expected::Version(3), [named]).await?.version, 4);
    /// # Ok::<(), millpond::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn delete(&self, stream: impl AsRef<str>, expected: Expected) -> Result<Deleted> {
        self.erase(stream.as_ref(), expected, false).await
    }

    /// The same, and closes the stream for ever: from then on an append to it is [`Error::StreamClosed`]. So is a stream that
    /// there was not yet. Closing what is closed does nothing.
    ///
    /// # Errors
    /// As [`delete`](Events::delete).
    pub async fn tombstone(&self, stream: impl AsRef<str>, expected: Expected) -> Result<Deleted> {
        self.erase(stream.as_ref(), expected, true).await
    }

    async fn erase(&self, stream: &str, expected: Expected, close: bool) -> Result<Deleted> {
        let mut erasing = self.erasing(stream, expected, close)?;
        while let Some(erase) = erasing.next() {
            let outcome = self.runtime.write(erase).await?;
            erasing.take(outcome)?;
        }
        Ok(erasing.deleted)
    }

    /// The same for a thread that waits.
    pub(crate) fn erase_blocking(&self, stream: &str, expected: Expected, close: bool) -> Result<Deleted> {
        let mut erasing = self.erasing(stream, expected, close)?;
        while let Some(erase) = erasing.next() {
            let outcome = self.runtime.write_blocking(erase)?;
            erasing.take(outcome)?;
        }
        Ok(erasing.deleted)
    }

    fn erasing(&self, stream: &str, expected: Expected, close: bool) -> Result<Erasing> {
        let (name, id) = (Name::new(stream)?, self.runtime.seams().rng.uuid());
        let (step, deleted) = (Some(Step::Begin { expected, id, close }), Deleted::default());
        Ok(Erasing { name, expected, step, deleted })
    }
}

/// A deletion, portion by portion.
struct Erasing {
    name: Name,
    expected: Expected,
    step: Option<Step>,
    deleted: Deleted,
}

impl Erasing {
    fn next(&mut self) -> Option<Erase> {
        let stream = Target { name: self.name.clone(), id: None };
        self.step.take().map(|step| Erase { stream, step })
    }

    fn take(&mut self, outcome: Erased) -> Result<()> {
        match outcome {
            Erased::Conflict { actual } => {
                let (stream, expected) = (self.name.to_string(), self.expected);
                Err(Error::Conflict { stream, expected, actual })
            }
            Erased::Done { version, erased, next, .. } => {
                self.deleted = Deleted { events: self.deleted.events + erased, version };
                self.step = next.map(|from| Step::GoOn { from });
                Ok(())
            }
        }
    }
}

impl Recorded {
    /// Whether the event was [deleted](Events::delete): nothing is left of it but its place, its id and when it was recorded.
    /// Reading leaves such events out unless told [otherwise](EventStream::with_deleted).
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.record().is_erased()
    }
}

impl EventStream {
    /// Also events that were [deleted](Events::delete), for who counts places. They have an empty type and no content.
    pub fn with_deleted(self) -> EventStream {
        self.change(|query| query.filter.erased = true)
    }
}

//! Relays: the events of the store, brought to another place.
//!
//! - `mod` what the other place has to do, and how a reactor brings events there;
//! - `nats` one such place: NATS JetStream (feature `nats`), and `subject` where in it an event goes.
//!
//! A relay is a reactor whose handler is a sink: it has no loop and no checkpoint of its own.

#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nats")]
mod subject;

use std::future::Future;
use std::sync::Arc;

use millpond_actors::error::Result;

#[cfg(feature = "nats")]
pub use self::nats::NatsSink;
use crate::projection::{Attempt, Failure, Reacted, Reactor};

/// A place outside that events are brought to: a broker, another database, a file. Who brings them is a [`Reactor::relay`].
///
/// What the relay does, and what it asks of a sink for that:
/// - **At least once.** `Ok` says that the event is kept there, as safely as it is to be kept: the relay will not come with it
///   again. So a sink does not answer before it knows. Whatever else happens, an `Err`, a panic, a crash, a time that ran out,
///   the same event comes again, although it may have arrived.
/// - **Duplicates** are for the sink, or for whoever reads there, to tell: by the [id](crate::Recorded::id) of the event, or, as
///   each stream comes in order, by its [version](crate::Recorded::version), which is no larger than the last one. A relay that
///   is [reset](crate::Projection::reset) brings all of it once more.
/// - **In order, a stream.** The relay comes with the next event of a stream when the one before is kept. Events of different
///   streams come beside each other, if there are [several at a time](Reactor::streams). A sink that was
///   dropped while it delivered must not let what it had begun arrive behind what comes next; where that cannot be ruled out,
///   what arrives late has to be recognised as a duplicate.
/// - **One relay at a time**: who was stopped for long and goes on as if nothing had happened has a smaller
///   [token](Attempt::token) than his successor.
///
/// One event is delivered at a time and stream. A place that is better off with many at once gets them by many streams.
///
/// # Examples
/// A file with a line for each event:
/// ```
/// use std::fs::File;
/// use std::io::Write;
/// use millpond::{Attempt, Event, Expected, Failure, Sink, Store};
///
/// struct Lines(File);
///
/// impl Sink for Lines {
///     async fn deliver(&self, event: &Attempt) -> Result<(), Failure> {
///         let line = format!("{} {} {}\n", event.id(), event.event_type(), event.json().unwrap_or_default());
///         (&self.0).write_all(line.as_bytes())?;
///         // It is kept when it is on disk, and not before.
///         self.0.sync_data()?;
///         Ok(())
///     }
/// }
///
/// # futures_executor::block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("orders.txt");
/// let store = Store::memory().await?;
/// store.events().append("order-1", Expected::NoStream, [Event::new("Paid", &3)?]).await?;
/// let lines = Lines(File::create(&path).expect("a folder of our own")); // "orders.txt"
/// // Without `drain` it goes on with what comes, until it is stopped.
/// let relay = store.projection("lines").reactor(store.events().read_category("order")).drain();
/// assert_eq!(relay.relay(lines).await?.done, 1);
/// assert!(std::fs::read_to_string(&path).expect("it was written").ends_with(" Paid 3\n"));
/// # store.close().await
/// # }).unwrap();
/// ```
pub trait Sink: Send + Sync {
    /// Brings an event there, and comes back when it is kept.
    ///
    /// It may be dropped at any moment.
    ///
    /// # Errors
    /// If it is not known to be kept. It is tried again, later and later.
    fn deliver(&self, event: &Attempt) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl Reactor {
    /// Brings each event to `sink`, and goes on as [`run`](Reactor::run) does.
    ///
    /// A place outside may be away for hours. By default the relay tries five times and is then
    /// [parked](crate::Progress::is_parked), until somebody [resumes](crate::Projection::resume) it. One that is to wait by
    /// itself gets more [attempts](Reactor::attempts), up to 1,000,000 at most 8 s apart, and a [breaker](Reactor::breaker), so
    /// that not every stream asks. Nothing is gone past in either case, unless
    /// [dead letters](Reactor::dead_letters) are wanted.
    ///
    /// # Errors
    /// As [`run`](Reactor::run).
    pub async fn relay(self, sink: impl Sink) -> Result<Reacted> {
        let sink = Arc::new(sink);
        let deliver = move |event: Attempt| {
            let sink = Arc::clone(&sink);
            async move { sink.deliver(&event).await }
        };
        self.run(deliver).await
    }
}

//! Reactors, for threads that wait: the handlers have threads of their own.

use std::sync::Arc;
use std::time::Duration;

use millpond_actors::error::Result;
use millpond_actors::reply::Reply;
use millpond_actors::thread::contain;

use super::EventStream;
use super::projection::{Projection, wait};
use crate::projection::{Attempt, Reacted};
use crate::relay::Sink;
use crate::stopper::Stopper;
use crate::worker::{Verdict, came_to_nothing};

/// Has a handler called for each event of a projection, on so many threads; see [`crate::Reactor`].
///
/// # Examples
/// ```
/// use millpond::blocking::Store;
/// use millpond::{Attempt, Event, Expected};
///
/// let store = Store::memory()?;
/// store.events().append("order-1", Expected::NoStream, [Event::new("Paid", &"Ada")?])?;
/// let reactor = store.projection("receipts").reactor(store.events().read_all()).streams(2).drain();
/// let reacted = reactor.run(|event: Attempt| if event.stream().is_empty() { Err("to whom?") } else { Ok(()) })?;
/// assert_eq!(reacted.done, 1);
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it does nothing unless it is run"]
pub struct Reactor {
    reactor: crate::Reactor,
}

impl Projection {
    /// See [`crate::Projection::reactor`].
    pub fn reactor(&self, events: EventStream) -> Reactor {
        Reactor { reactor: self.projection.reactor(events.stream) }
    }
}

impl Reactor {
    /// See [`crate::Reactor::streams`]. There are as many threads.
    pub fn streams(self, streams: u32) -> Reactor {
        Reactor { reactor: self.reactor.streams(streams) }
    }

    /// See [`crate::Reactor::partitions`].
    pub fn partitions(self, partitions: u32) -> Reactor {
        Reactor { reactor: self.reactor.partitions(partitions) }
    }

    /// See [`crate::Reactor::timeout`]. A thread cannot be broken off: what it does after that, it does beside the next attempt,
    /// and there may be no thread for others meanwhile.
    pub fn timeout(self, timeout: Duration) -> Reactor {
        Reactor { reactor: self.reactor.timeout(timeout) }
    }

    /// See [`crate::Reactor::breaker`].
    pub fn breaker(self, failures: u32, rest: Duration) -> Reactor {
        Reactor { reactor: self.reactor.breaker(failures, rest) }
    }

    /// See [`crate::Reactor::attempts`].
    pub fn attempts(self, attempts: u32) -> Reactor {
        Reactor { reactor: self.reactor.attempts(attempts) }
    }

    /// See [`crate::Reactor::dead_letters`].
    pub fn dead_letters(self) -> Reactor {
        Reactor { reactor: self.reactor.dead_letters() }
    }

    /// See [`crate::Reactor::drain`].
    pub fn drain(self) -> Reactor {
        Reactor { reactor: self.reactor.drain() }
    }

    /// See [`crate::Reactor::stopper`].
    pub fn stopper(&self) -> Stopper {
        self.reactor.stopper()
    }

    /// See [`crate::Reactor::run`]. This thread reads and saves the place; the handlers run on others.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock); if there is no thread left to be had.
    pub fn run<H, V>(self, handler: H) -> Result<Reacted>
    where
        H: Fn(Attempt) -> V + Send + Sync + 'static,
        V: Into<Verdict>,
    {
        let (runtime, threads) = self.reactor.threads()?;
        let handler = Arc::new(handler);
        // Those whose time was over may wait for a thread behind the others.
        let (hand_over, events) = crossbeam_channel::unbounded::<(Attempt, Reply<Verdict>)>();
        for _ in 0..threads {
            let (handler, events) = (Arc::clone(&handler), events.clone());
            let body = move || {
                for (event, reply) in events {
                    reply.answer(contain(|| "the handler of an event".into(), || handler(event).into()));
                }
            };
            runtime.seams().spawner.spawn("millpond-react", Box::new(body))?;
        }
        let hand_over = &hand_over;
        wait(self.reactor.run(async |event| {
            let (reply, answer) = Reply::future();
            let _ = hand_over.send((event, reply));
            answer.await.unwrap_or_else(|error| came_to_nothing(&error, &runtime))
        }))
    }

    /// See [`crate::Reactor::relay`]. It all happens on this thread, which drives the sink, up to so many
    /// [streams](Reactor::streams) at a time. A sink that needs a runtime finds the one that the thread has entered.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`](crate::Error::WouldDeadlock).
    ///
    /// # Examples
    /// ```
    /// use std::sync::Mutex;
    /// use millpond::blocking::Store;
    /// use millpond::{Attempt, Event, Expected, Failure, Sink};
    ///
    /// #[derive(Default)]
    /// struct List(Mutex<Vec<String>>);
    ///
    /// impl Sink for &List {
    ///     async fn deliver(&self, event: &Attempt) -> Result<(), Failure> {
    ///         self.0.lock().map_err(|_| "somebody has panicked")?.push(event.event_type().to_owned());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let (store, list) = (Store::memory()?, List::default());
    /// store.events().append("order-1", Expected::NoStream, [Event::new("Placed", &3)?, Event::new("Paid", &3)?])?;
    /// store.projection("list").reactor(store.events().read_all()).drain().relay(&list)?;
    /// assert_eq!(*list.0.lock().unwrap(), ["Placed", "Paid"]);
    /// store.close()?;
    /// # Ok::<(), millpond::Error>(())
    /// ```
    pub fn relay(self, sink: impl Sink) -> Result<Reacted> {
        wait(self.reactor.relay(sink))
    }
}

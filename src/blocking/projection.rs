//! Projections, for threads that wait.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use millpond_actors::error::{Error, Result};
use millpond_actors::feed::From;
use millpond_actors::name::Name;
use millpond_actors::reply::wait_until;
use millpond_actors::storage::lock::Line;
use millpond_actors::thread::is_ours;

use super::{EventStream, Inspector, Queue};
use crate::projection::{
    DeadLetter, ProcessManager, Progress, Project, Projected, lock_name, members_name, projections,
};
use crate::stopper::Stopper;

/// A projection; see [`crate::Projection`].
///
/// # Examples
/// ```
/// use millpond::blocking::Store;
/// use millpond::{Event, Expected, Failure, Recorded, Rows};
///
/// let store = Store::memory()?;
/// let (events, paid) = (store.events(), store.projection("bills"));
/// let appended = events.append("order-1", Expected::NoStream, [Event::new("Paid", &3)?])?;
/// let projector = paid.projector(events.read_category("order"));
/// // For whoever ends the program: stopper.stop(Duration::ZERO)
/// let stopper = projector.stopper();
/// // What is written with the checkpoint waits for nothing: it is written to by handles of the async face.
/// let bills = store.asynchronous().queue::<u32>("bills");
/// let project = move |event: &Recorded, rows: &mut Rows<'_>| -> Result<(), Failure> {
///     rows.push(&bills, &event.decode()?)?;
///     Ok(())
/// };
/// let running = std::thread::spawn(move || projector.run(project));
/// paid.wait_for(appended.position)?;
/// assert_eq!(*store.queue::<u32>("bills").pop()?, 3);
/// stopper.stop(std::time::Duration::ZERO);
/// assert_eq!(running.join().unwrap()?.handled, 1);
/// store.close()?;
/// # Ok::<(), millpond::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Projection {
    pub(super) projection: crate::Projection,
}

impl Projection {
    /// See [`crate::Projection::starting`].
    #[must_use]
    pub fn starting(self, start: From) -> Projection {
        Projection { projection: self.projection.starting(start) }
    }

    /// See [`crate::Projection::ttl`].
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Projection {
        Projection { projection: self.projection.ttl(ttl) }
    }

    /// See [`crate::Projection::progress`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn progress(&self) -> Result<Option<Progress>> {
        wait(self.projection.progress())
    }

    /// See [`crate::Projection::pause`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn pause(&self) -> Result<bool> {
        wait(self.projection.pause())
    }

    /// See [`crate::Projection::resume`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn resume(&self) -> Result<bool> {
        wait(self.projection.resume())
    }

    /// See [`crate::Projection::reset`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn reset(&self, start: From) -> Result<bool> {
        wait(self.projection.reset(start))
    }

    /// See [`crate::Projection::rebuild`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn rebuild(&self, start: From) -> Result<bool> {
        wait(self.projection.rebuild(start))
    }

    /// See [`crate::Projection::remove`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn remove(&self) -> Result<bool> {
        wait(self.projection.remove())
    }

    /// See [`crate::Projection::wait_for`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn wait_for(&self, position: u64) -> Result<()> {
        wait(self.projection.wait_for(position))
    }

    /// See [`crate::Projection::caught_up`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn caught_up(&self) -> Result<()> {
        wait(self.projection.caught_up())
    }

    /// See [`crate::Projection::dead_letters`].
    #[must_use]
    pub fn dead_letters(&self) -> Queue<DeadLetter> {
        Queue { queue: self.projection.dead_letters() }
    }

    /// See [`crate::Projection::projector`].
    pub fn projector(&self, events: EventStream) -> Projector {
        Projector { projector: self.projection.projector(events.stream) }
    }
}

/// Projects the events of a projection on the thread that runs it; see [`crate::Projector`].
#[derive(Debug)]
#[must_use = "it does nothing unless it is run"]
pub struct Projector {
    projector: crate::Projector,
}

impl Projector {
    /// See [`crate::Projector::batch`].
    pub fn batch(self, events: u32) -> Projector {
        Projector { projector: self.projector.batch(events) }
    }

    /// See [`crate::Projector::attempts`].
    pub fn attempts(self, attempts: u32) -> Projector {
        Projector { projector: self.projector.attempts(attempts) }
    }

    /// See [`crate::Projector::dead_letters`].
    pub fn dead_letters(self) -> Projector {
        Projector { projector: self.projector.dead_letters() }
    }

    /// See [`crate::Projector::drain`].
    pub fn drain(self) -> Projector {
        Projector { projector: self.projector.drain() }
    }

    /// See [`crate::Projector::stopper`].
    pub fn stopper(&self) -> Stopper {
        self.projector.stopper()
    }

    /// See [`crate::Projector::run`]. It all happens on this thread, which sleeps while there is nothing to do.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn run(self, project: impl Project) -> Result<Projected> {
        wait(self.projector.run(project))
    }

    /// See [`crate::Projector::manage`]. It all happens on this thread.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn manage(self, process: impl ProcessManager) -> Result<Projected> {
        wait(self.projector.manage(process))
    }
}

impl Inspector {
    /// See [`crate::Inspector::projections`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn projections(&self, after: Option<&str>, limit: u32) -> Result<Vec<Progress>> {
        self.inspector.runtime.read_blocking(projections(after, limit))
    }

    /// See [`crate::Inspector::projector`].
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`].
    pub fn projector(&self, projection: impl AsRef<str>) -> Result<Option<Line>> {
        let name = Name::new(projection.as_ref())?;
        match self.lock(members_name(&name))? {
            Some(members) if !members.holders.is_empty() => Ok(Some(members)),
            _ => self.lock(lock_name(&name)),
        }
    }
}

/// Lets this thread wait for a future, unless it is one of those that the future waits for.
pub(super) fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    if is_ours() {
        return Err(Error::WouldDeadlock);
    }
    let mut future = pin!(future);
    wait_until(|context| future.as_mut().poll(context))
}

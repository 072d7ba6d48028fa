//! Who projects: one at a time, over all processes.

use millpond_actors::error::Result;
use millpond_actors::name::Name;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::partition::Partition;
use millpond_actors::storage::stream::Query;
use std::fmt;
use std::sync::Arc;

use super::handler::{Handler, Plain};
use super::session::{Session, Settings, Turns, lock_name};
use super::{Project, Projection, projecting};
use crate::reading::EventStream;
use crate::stopper::Stopper;

/// Projects the events of a projection, as long as [`run`](Projector::run) is polled, on any executor. Made by
/// [`Projection::projector`].
///
/// - **One at a time**, over all processes: it holds the lock `projection/NAME`. Others wait in line for it, and take over when
///   its process dies, at once, or when it is stopped for longer than its [lease](Projection::ttl).
/// - **In order**, from the checkpoint on, first what there is, then what comes. Only the events that it
///   [reads](Projection::projector) are looked at, and by the database: a projection of a rare type, a category or a tenant does
///   not pay for the others.
/// - **In batches**: as many events as there are, and no more than set, share one commit.
/// - **Its place is saved** with every commit; what was of no interest is saved after a moment, and when it is stopped.
#[must_use = "it does nothing unless it is run"]
pub struct Projector {
    projection: Projection,
    events: EventStream,
    pub(super) settings: Settings,
    stopper: Stopper,
}

/// What a projector has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Projected {
    /// Events of interest whose rows were committed, in whatever generation.
    pub handled: u64,
    /// Commits in which that was.
    pub commits: u64,
}

impl Projection {
    /// A projector of these events: [all](crate::Events::read_all) or [a category](crate::Events::read_category), of some
    /// [types](EventStream::event_types) or a [tenant](EventStream::tenant) if that is wanted.
    pub fn projector(&self, events: EventStream) -> Projector {
        let settings = Settings::default();
        Projector { projection: self.clone(), events, settings, stopper: Stopper::new(&self.runtime) }
    }
}

impl Projector {
    /// At most so many events a commit: 1 to 10,000; 1,000 unless set. What their rows take has to fit into one
    /// [batch](crate::Batch); if it does not, fewer are committed together.
    pub fn batch(mut self, events: u32) -> Projector {
        self.settings.batch = events as usize;
        self
    }

    /// An event that cannot be projected is tried so often, at first a quarter of a second later and then twice as long each
    /// time, eight seconds at most, before it is parked: 1 to 1,000,000; 5 unless set.
    pub fn attempts(mut self, attempts: u32) -> Projector {
        self.settings.attempts = attempts;
        self
    }

    /// An event that has failed so often is a [dead letter](Projection::dead_letters) instead of being parked: the projection goes
    /// on behind it. For those where one event more or less does not spoil what the others lead to; when it is projected later,
    /// it is not in its order.
    pub fn dead_letters(mut self) -> Projector {
        self.settings.dead_letters = true;
        self
    }

    /// It ends as soon as it has dealt with everything that was there when it began.
    pub fn drain(mut self) -> Projector {
        self.settings.drains = true;
        self
    }

    /// How it is stopped, from wherever that is known. What is being committed is committed; there is nothing to wait for.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Projects until it is [stopped](Stopper::stop), or has [dealt with everything](Projector::drain), or the projection is
    /// [removed](Projection::remove).
    ///
    /// If the future is dropped, what is being committed may still be; whoever goes on begins behind it.
    ///
    /// What may pass - the store is busy or overloaded, the disk is full, the lease was lost while the process was stopped - is
    /// waited for. Whatever an event leads to is that event's [failure](crate::Progress::failure). Any other error ends it.
    ///
    /// # Errors
    /// [`UsedOtherwise`](crate::Error::UsedOtherwise) if the projection is divided otherwise; a bad name or number; events that
    /// are read newest first, up to an end, in a limited number, or of one stream; [`Parked`](crate::Error::Parked), where it is
    /// to end with everything; [`Closed`](crate::Error::Closed) when the store is closed; what the database said. An event that
    /// is damaged parks the projection, and is not passed.
    pub async fn run(self, project: impl Project) -> Result<Projected> {
        self.drive(|_, _| Plain(project)).await
    }

    /// Has a handler brought on, which is made once everything is known to be usable.
    pub(super) async fn drive<H: Handler>(
        self,
        make: impl FnOnce(&Arc<Runtime>, &Name) -> H,
    ) -> Result<Projected> {
        let (name, query) = self.checked()?;
        let Projector { projection, settings, stopper, .. } = self;
        let (mut handler, mut projected) = (make(&projection.runtime, &name), Projected::default());
        let mut turns = Turns::new(projection.lock(&lock_name(&name)), &stopper);
        while let Some(guard) = turns.next().await? {
            let session = Session::new(&projection, (&name, Partition::WHOLE, &query), &guard, settings);
            let ended = projecting::live(&session, &mut handler, &stopper, &mut projected).await;
            if !turns.goes_on(guard, ended).await? {
                break;
            }
        }
        Ok(projected)
    }

    /// The name, and what is read, if everything is usable.
    fn checked(&self) -> Result<(Name, Query)> {
        self.settings.check()?;
        self.projection.start.check()?;
        Ok((self.projection.name.clone()?, self.events.endless(&self.projection.runtime)?))
    }
}

impl fmt::Debug for Projector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector")
            .field("projection", &self.projection)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

//! Dead letters of a projection: events that it has gone past without having projected them.
//!
//! They are jobs of a queue of its own, dead from the beginning, pushed in the commit that goes past the event. So all that can
//! be done with a dead letter can be done with these; what happens when one is revived says `due`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::stream::{Filter, Query, Scope};

use super::Projection;
use super::session::{Session, lock_name};
use crate::batch::Batch;
use crate::job::{Job, Push};
use crate::queue::Queue;
use crate::reading::Recorded;

/// An event that a projection has gone past without having projected it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The event's position in the store.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its version there.
    pub version: u64,
    /// Its type.
    pub event_type: String,
    /// Its id.
    pub id: Uuid,
    /// The generation of the projection that has gone past it.
    pub generation: u64,
}

impl DeadLetter {
    fn of(event: &Recorded, generation: u64) -> DeadLetter {
        DeadLetter {
            position: event.position(),
            stream: event.stream().to_owned(),
            version: event.version(),
            event_type: event.event_type().to_owned(),
            id: event.id(),
            generation,
        }
    }
}

impl Projection {
    /// The events that were gone past without having been projected, where that is [wanted](crate::Projector::dead_letters):
    /// dead letters of a queue of this projection, each with the reason. Look at them by [page](Queue::page), and have them
    /// projected once more by [reviving](Queue::revive) them: whoever projects does so, behind what he has projected meanwhile,
    /// and they are done, or dead again, with the new reason.
    #[must_use]
    pub fn dead_letters(&self) -> Queue<DeadLetter> {
        let name = self.name.as_ref().map_or(String::new(), lock_name);
        Queue::new(Arc::clone(&self.runtime), &name)
    }
}

/// Goes past an event.
pub(super) fn go_past(
    batch: &mut Batch,
    letters: &Queue<DeadLetter>,
    (event, generation): (&Recorded, u64),
    reason: &str,
) -> Result<()> {
    let letter = DeadLetter::of(event, generation);
    // A rebuild that is begun again comes by it again.
    let once = Push::new().key_once(format!("{generation}/{}", letter.id));
    batch.push_dead(letters, &letter, once, reason).map(drop)
}

/// The event of a letter, unless it was erased.
pub(super) async fn event(letter: &DeadLetter, session: &Session<'_>) -> Result<Option<Recorded>> {
    let position = letter.position;
    let event = session.runtime().read(move |view| {
        let (scope, filter) = (Scope::All, Filter::default());
        let query = Query { scope, backward: false, from: position, to: position, filter, limit: 1 };
        view.events(&query)?.events.into_iter().next().transpose()
    });
    Ok(event.await?.map(Recorded::of))
}

/// What a letter is about cannot be read. If that is because of what is stored it is dead again, and holds up nobody; else the
/// letter is given back, and comes again.
pub(super) async fn unreadable(job: Job<DeadLetter>, error: Error) -> Result<()> {
    match error {
        Error::Corrupt { .. } | Error::Decode { .. } => ended(job.bury(error.to_string()).await),
        _ => Err(error),
    }
}

/// A job that is somebody else's by now comes again, and one that was removed is gone.
pub(super) fn ended(ended: Result<()>) -> Result<()> {
    match ended {
        Err(Error::StaleClaim { .. }) => Ok(()),
        ended => ended,
    }
}

//! Dead letters of a projection: events that it has gone past without having projected them.
//!
//! They are jobs of a queue of its own, dead from the beginning, pushed in the commit that goes past the event. So all that can
//! be done with a dead letter can be done with these; one that is revived is projected by whoever has the projection's lock, and
//! what comes of it, the projection's place and the end of the job are one commit.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::projection::Standing;
use millpond_actors::storage::stream::{Filter, Query, Scope};

use super::Projection;
use super::handler::Handler;
use super::process::Timeout;
use super::session::{Halt, Session, lock_name};
use super::track::Track;
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

/// Projects a letter that was revived. `refused` is the one before, if the store has refused what came of it.
pub(super) async fn project_again(
    job: Job<DeadLetter>,
    refused: &mut Option<(u64, String)>,
    tracks: &mut [Track],
    session: &Session<'_>,
    handler: &mut impl Handler,
) -> Result<(), Halt> {
    let (generation, sequence) = (job.generation, job.sequence());
    if let Some((_, reason)) = refused.take_if(|(refused, _)| *refused == sequence) {
        return ended(job.bury(reason).await);
    }
    let track = tracks.iter_mut().find(|track| track.standing().generation == generation);
    let (Some(track), Some(event)) = (track, event(&job, session).await.map_err(Halt::Error)?) else {
        // Its generation is gone, or what it was about is erased.
        return ended(job.done().await);
    };
    let (events, mut batch) = (VecDeque::from([event]), Batch::new(Arc::clone(session.runtime())));
    handler.prepare(&events, 1).await.map_err(Halt::Error)?;
    for event in &events {
        if let Err(reason) = track.project(event, &mut batch, session, handler) {
            return ended(job.bury(reason).await);
        }
    }
    *refused = end_in(job, batch, 1, track, session, handler).await?.map(|reason| (sequence, reason));
    Ok(())
}

/// Has a timeout dealt with. `refused` is the one before, if the store has refused what came of it.
pub(super) async fn time_out(
    job: Job<Timeout>,
    refused: &mut Option<(u64, String)>,
    live: &mut Track,
    session: &Session<'_>,
    handler: &mut impl Handler,
) -> Result<(), Halt> {
    let sequence = job.sequence();
    if let Some((_, reason)) = refused.take_if(|(refused, _)| *refused == sequence) {
        return ended(job.retry(reason).await);
    }
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {sequence}", job.queue()).as_bytes());
    let mut batch = Batch::new(Arc::clone(session.runtime()));
    if let Err(reason) = handler.time_out(&job, id, &mut batch).await {
        return ended(job.retry(reason.to_string()).await);
    }
    *refused = end_in(job, batch, 0, live, session, handler).await?.map(|reason| (sequence, reason));
    Ok(())
}

/// Commits what came of a job with its end. Why that was refused: the job was given back with its batch then, and comes next.
async fn end_in<T>(
    job: Job<T>,
    mut batch: Batch,
    handled: u64,
    track: &mut Track,
    session: &Session<'_>,
    handler: &mut impl Handler,
) -> Result<Option<String>, Halt> {
    job.done_in(&mut batch).map_err(Halt::Error)?;
    let Standing { position, failure, .. } = track.standing().clone();
    let committed = track.commit(batch, (position, handled), failure, session).await;
    if !matches!(committed, Ok(None)) {
        handler.forget();
    }
    committed
}

/// A job that is somebody else's by now comes again.
fn ended(ended: Result<()>) -> Result<(), Halt> {
    match ended {
        Err(error) if !matches!(error, Error::StaleClaim { .. }) => Err(Halt::Error(error)),
        _ => Ok(()),
    }
}

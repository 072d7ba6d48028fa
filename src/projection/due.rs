//! Jobs of a projection whose time has come: dead letters that were revived, and timeouts.
//!
//! Whoever has the projection's lock deals with them, between the events. The end of the job, what comes of it and the
//! projection's place are one commit, in this order: a timeout that sets itself again finds that it is over.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use millpond_actors::error::Result;
use millpond_actors::storage::projection::Standing;

use super::handler::Handler;
use super::letters::{self, DeadLetter, ended};
use super::process::Timeout;
use super::session::{Halt, Session};
use super::track::Track;
use crate::batch::Batch;
use crate::job::Job;

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
        return ended(job.bury(reason).await).map_err(Halt::Error);
    }
    let track = tracks.iter_mut().find(|track| track.standing().generation == generation);
    let event = match letters::event(&job, session).await {
        Err(error) => return letters::unreadable(job, error).await.map_err(Halt::Error),
        Ok(event) => event,
    };
    let (Some(track), Some(event)) = (track, event) else {
        // Its generation is gone, or what it was about is erased.
        return ended(job.done().await).map_err(Halt::Error);
    };
    let (events, mut batch) = (VecDeque::from([event]), Batch::new(Arc::clone(session.runtime())));
    if let Err(error) = handler.prepare(&events, 1).await {
        return letters::unreadable(job, error).await.map_err(Halt::Error);
    }
    for event in &events {
        if let Err(reason) = track.project(event, &mut batch, session, handler) {
            return ended(job.bury(reason).await).map_err(Halt::Error);
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
        return ended(job.retry(reason).await).map_err(Halt::Error);
    }
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {sequence}", job.queue()).as_bytes());
    let mut batch = Batch::new(Arc::clone(session.runtime()));
    if let Err(reason) = handler.time_out(&job, id, &mut batch).await {
        return ended(job.retry(reason.to_string()).await).map_err(Halt::Error);
    }
    *refused = end_in(job, batch, 0, live, session, handler).await?.map(|reason| (sequence, reason));
    Ok(())
}

/// Commits the end of a job with what came of it. Why that was refused: the job was given back with its batch then, and comes next.
async fn end_in<T>(
    job: Job<T>,
    mut batch: Batch,
    handled: u64,
    track: &mut Track,
    session: &Session<'_>,
    handler: &mut impl Handler,
) -> Result<Option<String>, Halt> {
    job.done_before(&mut batch).map_err(Halt::Error)?;
    let Standing { position, failure, .. } = track.standing().clone();
    track.commit_handled(batch, (position, handled), failure, session, handler).await
}

//! How a reactor's handler is called: for an event, and for a dead letter that was revived.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use tokio::sync::Semaphore;
use uuid::Uuid;

use millpond_actors::error::Result;

use super::handing::Exchange;
use super::letters::{self, DeadLetter};
use super::reactor::{Attempt, Manner};
use super::session::Session;
use crate::job::Job;
use crate::reading::Recorded;
use crate::stopper::{Stage, Stopper};
use crate::worker::{Verdict, contained};

/// How handlers are called, and as long as what.
pub(super) struct Calls<'a, H> {
    pub(super) manner: Manner,
    pub(super) permits: &'a Semaphore,
    pub(super) exchange: &'a Exchange,
    pub(super) handler: &'a H,
    pub(super) stopper: &'a Stopper,
}

impl<H> Clone for Calls<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Calls<'_, H> {}

/// Has an event handled; no verdict if its turn has not come before it was told to stop, or it is `held` by then.
pub(super) async fn handle<H, V>(
    session: &Session<'_>,
    calls: Calls<'_, H>,
    held: Option<Arc<AtomicBool>>,
    event: Recorded,
    attempt: u32,
) -> (u64, u32, Option<Verdict>)
where
    H: AsyncFn(Attempt) -> V,
    V: Into<Verdict>,
{
    let position = event.position();
    let key = Uuid::new_v5(&event.id(), session.name.as_str().as_bytes());
    let attempted = Attempt { event, attempt, key, token: session.guard.token() };
    // Other partitions may have all of them. Nobody closes them.
    let Some(Ok(_permit)) = calls.stopper.unless(Stage::Ending, calls.permits.acquire()).await else {
        return (position, attempt, None);
    };
    if held.is_some_and(|held| held.load(Ordering::SeqCst)) {
        return (position, attempt, None);
    }
    let handled = contained(async { (calls.handler)(attempted).await.into() }, session.runtime());
    let timeout = calls.manner.timeout;
    let verdict = match select(pin!(handled), session.runtime().timer(timeout)).await {
        Either::Left((verdict, _)) => verdict,
        Either::Right(_) => Verdict::Retry(format!("it took longer than {timeout:?}")),
    };
    (position, attempt, Some(verdict))
}

/// Has a dead letter handled that was revived.
pub(super) async fn handle_again<H, V>(
    session: &Session<'_>,
    calls: Calls<'_, H>,
    job: Job<DeadLetter>,
) -> Result<()>
where
    H: AsyncFn(Attempt) -> V,
    V: Into<Verdict>,
{
    let event = match letters::event(&job, session).await {
        Err(error) => return letters::unreadable(job, error).await,
        Ok(event) => event,
    };
    // What was erased needs nothing more.
    let Some(event) = event else { return letters::ended(job.done().await) };
    letters::ended(match handle(session, calls, None, event, job.attempt()).await.2 {
        Some(Verdict::Done) => job.done().await,
        Some(Verdict::Release) | None => job.release().await,
        Some(Verdict::Retry(reason) | Verdict::RetryIn(_, reason) | Verdict::Bury(reason)) => {
            job.bury(reason).await
        }
    })
}

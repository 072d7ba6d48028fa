//! The life of a projector as long as he has the lock: he brings the generations on, waits, and obeys.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use millpond_actors::error::{Error, Result};
use millpond_actors::storage::projection::Standing;

use super::handler::Handler;
use super::letters::DeadLetter;
use super::process::Timeout;
use super::project::Project as _;
use super::session::{End, Halt, Session};
use super::track::{Track, Work};
use super::{Projected, due};
use crate::job::Job;
use crate::stopper::{Stage, Stopper};

/// What comes next.
enum Next {
    Stop,
    Lost,
    /// Its rows have changed, or the store is closed.
    News(Result<()>),
    /// A dead letter was revived.
    Letter(Result<Job<DeadLetter>>),
    /// A timeout has come.
    Due(Result<Job<Timeout>>),
    /// There is something to do for one of the generations.
    Work(usize, Work),
    /// The newer generation has come as far as the one that is read.
    Promote,
    /// All has been dealt with that was there at the beginning.
    Drained,
}

/// Goes on until it is told to stop, has nothing more to do, or has lost the lock.
pub(super) async fn live(
    session: &Session<'_>,
    handler: &mut impl Handler,
    stopper: &Stopper,
    projected: &mut Projected,
) -> Result<End> {
    let (mut lost, mut stopped) = (pin!(session.guard.lost()), pin!(stopper.reached(Stage::Ending)));
    let goal = session.runtime().read(|view| view.head()).await?;
    let mut stands = session.begin().await?;
    let mut tracks: Vec<Track> = Vec::new();
    // Which of the generations was asked last, and which letter the store has refused.
    let (mut turn, mut refused, mut refused_timeout) = (0, None, None);
    let pop = || session.settings.dead_letters.then(|| Box::pin(session.letters.pop()));
    let mut letter = pop();
    let timeouts = handler.timeouts();
    let wait = || timeouts.as_ref().map(|timeouts| Box::pin(timeouts.pop()));
    let mut timeout = wait();
    loop {
        let Some(live) = stands.first() else { return Ok(End::Over) };
        let paused = live.paused;
        if stands.len() > 1 && !handler.project().beside() {
            stands = session.reset_instead(&stands).await?;
            continue;
        }
        lay(session, &mut tracks, &stands)?;
        session.look_how_far().await?;
        loop {
            let next = poll_fn(|context| {
                if stopped.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Stop);
                }
                if lost.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Lost);
                }
                if let Poll::Ready(news) = session.ear.poll_news(context) {
                    return Poll::Ready(Next::News(news));
                }
                if paused {
                    return Poll::Pending;
                }
                if let [live, newer] = tracks.as_mut_slice()
                    && newer.is_ahead_of(live)
                    && newer.poll_rested(context).is_ready()
                {
                    return Poll::Ready(Next::Promote);
                }
                if let Some(waiting) = &mut letter
                    && let Poll::Ready(revived) = waiting.as_mut().poll(context)
                {
                    return Poll::Ready(Next::Letter(revived));
                }
                if let Some(waiting) = &mut timeout
                    && tracks.first().is_some_and(Track::is_going)
                    && let Poll::Ready(due) = waiting.as_mut().poll(context)
                {
                    return Poll::Ready(Next::Due(due));
                }
                let all = tracks.len();
                for index in (0..all).map(|step| (turn + 1 + step) % all) {
                    let Some(track) = tracks.get_mut(index) else { continue };
                    if let Poll::Ready(work) = track.poll_work(session, context) {
                        return Poll::Ready(Next::Work(index, work));
                    }
                }
                let drained = session.settings.drains && tracks.iter().all(|track| track.is_done(goal));
                if drained { Poll::Ready(Next::Drained) } else { Poll::Pending }
            });
            let done = match next.await {
                Next::Stop => {
                    for track in &mut tracks {
                        // Its place is where it was, if that cannot be.
                        let _ = track.save_place(session).await;
                    }
                    return Ok(End::Over);
                }
                Next::Lost => return Ok(End::Lost),
                Next::News(news) => news.map_err(Halt::Error).and(Err(Halt::Stale)),
                Next::Drained => return drained(session, &tracks),
                Next::Promote => match tracks.last_mut() {
                    // It is read from now on: whatever comes of it, the rows are read again.
                    Some(newer) => newer.promote(session, handler).await.and(Err(Halt::Stale)),
                    None => Ok(()),
                },
                // It is none: who has popped it has it tried again later, and it goes to the dead letters in the end.
                Next::Letter(Err(Error::Decode { .. })) => {
                    letter = pop();
                    Ok(())
                }
                Next::Due(Err(Error::Decode { .. })) => {
                    timeout = wait();
                    Ok(())
                }
                Next::Letter(Err(error)) | Next::Due(Err(error)) => Err(Halt::Error(error)),
                Next::Due(Ok(job)) => {
                    timeout = wait();
                    match tracks.first_mut() {
                        Some(live) => due::time_out(job, &mut refused_timeout, live, session, handler).await,
                        None => Ok(()),
                    }
                }
                Next::Letter(Ok(job)) => {
                    letter = pop();
                    due::project_again(job, &mut refused, &mut tracks, session, handler).await
                }
                Next::Work(index, work) => {
                    turn = index;
                    let is_live = index == 0;
                    match tracks.get_mut(index) {
                        Some(track) => track.work(work, is_live, session, handler, projected).await,
                        None => Ok(()),
                    }
                }
            };
            match done {
                Ok(()) => {}
                Err(Halt::Stale) => break,
                Err(Halt::Lost) => return Ok(End::Lost),
                Err(Halt::Error(error)) => return Err(error),
            }
        }
        stands = session.stands().await?;
    }
}

/// A track for each generation; those that are on their way go on from where they are.
fn lay(session: &Session<'_>, tracks: &mut Vec<Track>, stands: &[Standing]) -> Result<()> {
    let mut before = std::mem::take(tracks);
    for standing in stands {
        let known = before.iter().position(|track| track.is_at(standing));
        tracks.push(match known.map(|index| before.swap_remove(index)) {
            Some(track) => track.standing_at(standing.clone()),
            None => Track::new(session.runtime(), session.query, standing.clone())?,
        });
    }
    Ok(())
}

fn drained(session: &Session<'_>, tracks: &[Track]) -> Result<End> {
    match tracks.iter().find_map(Track::parked) {
        Some(reason) => Err(Error::Parked { projection: session.name.to_string(), reason }),
        None => Ok(End::Over),
    }
}

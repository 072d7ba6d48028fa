//! What a projector does as long as he has the lock: brings the generations on, waits, and obeys.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use millpond_actors::batch::Part;
use millpond_actors::error::{Error, Result};
use millpond_actors::name::Name;
use millpond_actors::projection::Ear;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::lock::Fence;
use millpond_actors::storage::projection::{Begin, Standing, Wanted};
use millpond_actors::storage::stream::Query;

use super::letters::{self, DeadLetter};
use super::projector::Settings;
use super::track::{Halt, Track, Work};
use super::{Project, Projected, Projection};
use crate::batch::Batch;
use crate::job::Job;
use crate::lock::LockGuard;
use crate::queue::Queue;
use crate::stopper::{Stage, Stopper};

/// How a session has ended, if not by an error.
pub(super) enum End {
    /// There is nothing more to do.
    Over,
    /// The lock was lost.
    Lost,
}

/// One who has the lock of a projection, and what he has to know of it.
pub(super) struct Session<'a> {
    projection: &'a Projection,
    pub(super) name: &'a Name,
    query: &'a Query,
    guard: &'a LockGuard,
    pub(super) settings: Settings,
    pub(super) ear: Ear,
    pub(super) letters: Queue<DeadLetter>,
}

/// What comes next.
enum Next {
    Stop,
    Lost,
    /// Its rows have changed, or the store is closed.
    News(Result<()>),
    /// A dead letter was revived.
    Letter(Result<Job<DeadLetter>>),
    /// There is something to do for one of the generations.
    Work(usize, Work),
    /// The newer generation has come as far as the one that is read.
    Promote,
    /// All has been dealt with that was there at the beginning.
    Drained,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        projection: &'a Projection,
        name: &'a Name,
        query: &'a Query,
        guard: &'a LockGuard,
        settings: Settings,
    ) -> Session<'a> {
        let ear = projection.runtime.projections().hear(name);
        Session { projection, name, query, guard, settings, ear, letters: projection.dead_letters() }
    }

    pub(super) fn runtime(&self) -> &'a Arc<Runtime> {
        &self.projection.runtime
    }

    pub(super) fn fence(&self) -> Fence {
        self.guard.fence()
    }

    /// Goes on until it is told to stop, has nothing more to do, or has lost the lock.
    pub(super) async fn run(
        &self,
        project: &mut impl Project,
        stopper: &Stopper,
        projected: &mut Projected,
    ) -> Result<End> {
        let (mut lost, mut stopped) = (pin!(self.guard.lost()), pin!(stopper.reached(Stage::Ending)));
        let goal = self.runtime().read(|view| view.head()).await?;
        let mut stands = self.begin().await?;
        let mut tracks: Vec<Track> = Vec::new();
        // Which of the generations was asked last, and which letter the store has refused.
        let (mut turn, mut refused) = (0, None);
        let pop = || self.settings.dead_letters.then(|| Box::pin(self.letters.pop()));
        let mut letter = pop();
        loop {
            let Some(live) = stands.first() else { return Ok(End::Over) };
            let paused = live.paused;
            if stands.len() > 1 && !project.beside() {
                stands = self.reset_instead(&stands).await?;
                continue;
            }
            self.lay(&mut tracks, &stands)?;
            // Whoever begins to follow has to be told once how far the events have come.
            let head = self.runtime().read(|view| view.head()).await?;
            self.runtime().follow().reaches(head);
            loop {
                let next = poll_fn(|context| {
                    if stopped.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Next::Stop);
                    }
                    if lost.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Next::Lost);
                    }
                    if let Poll::Ready(news) = self.ear.poll_news(context) {
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
                    let all = tracks.len();
                    for index in (0..all).map(|step| (turn + 1 + step) % all) {
                        let Some(track) = tracks.get_mut(index) else { continue };
                        if let Poll::Ready(work) = track.poll_work(self, context) {
                            return Poll::Ready(Next::Work(index, work));
                        }
                    }
                    let drained = self.settings.drains && tracks.iter().all(|track| track.is_done(goal));
                    if drained { Poll::Ready(Next::Drained) } else { Poll::Pending }
                });
                let done = match next.await {
                    Next::Stop => {
                        for track in &mut tracks {
                            // Its place is where it was, if that cannot be.
                            let _ = track.save_place(self).await;
                        }
                        return Ok(End::Over);
                    }
                    Next::Lost => return Ok(End::Lost),
                    Next::News(news) => news.map_err(Halt::Error).and(Err(Halt::Stale)),
                    Next::Drained => return self.drained(&tracks),
                    Next::Promote => match tracks.last_mut() {
                        // It is read from now on: whatever comes of it, the rows are read again.
                        Some(newer) => newer.promote(self, project).await.and(Err(Halt::Stale)),
                        None => Ok(()),
                    },
                    Next::Letter(Err(error)) => Err(Halt::Error(error)),
                    Next::Letter(Ok(job)) => {
                        letter = pop();
                        letters::project_again(job, &mut refused, &mut tracks, self, project).await
                    }
                    Next::Work(index, work) => {
                        turn = index;
                        let is_live = index == 0;
                        match tracks.get_mut(index) {
                            Some(track) => track.work(work, is_live, self, project, projected).await,
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
            let name = self.name.clone();
            stands = self.runtime().read(move |view| view.projection(&name)).await?;
        }
    }

    /// How it stands; it is made if the store does not know it.
    async fn begin(&self) -> Result<Vec<Standing>> {
        let (name, start) = (self.name.clone(), self.projection.start);
        let position = self.runtime().read(move |view| start.position(view)).await?;
        let (mut batch, voice) = (Batch::new(Arc::clone(self.runtime())), self.ear.voice());
        let part = Part::new(Begin { name, position }, |_| voice());
        let stands = batch.add::<Begin, Vec<Standing>>(self.runtime(), (part, 0), Ok)?;
        Ok(batch.commit().await?.get(stands).cloned().unwrap_or_default())
    }

    /// A track for each generation; those that are on their way go on from where they are.
    fn lay(&self, tracks: &mut Vec<Track>, stands: &[Standing]) -> Result<()> {
        let mut before = std::mem::take(tracks);
        for standing in stands {
            let known = before.iter().position(|track| track.is_at(standing));
            tracks.push(match known.map(|index| before.swap_remove(index)) {
                Some(track) => track.standing_at(standing.clone()),
                None => Track::new(self.runtime(), self.query, standing.clone())?,
            });
        }
        Ok(())
    }

    /// Generations that cannot be beside each other: what was to be a rebuild is a reset.
    async fn reset_instead(&self, stands: &[Standing]) -> Result<Vec<Standing>> {
        let position = stands.last().map_or(0, |newer| newer.position);
        self.projection.want(Wanted::Reset(position)).await?;
        let name = self.name.clone();
        self.runtime().read(move |view| view.projection(&name)).await
    }

    fn drained(&self, tracks: &[Track]) -> Result<End> {
        match tracks.iter().find_map(Track::parked) {
            Some(reason) => Err(Error::Parked { projection: self.name.to_string(), reason }),
            None => Ok(End::Over),
        }
    }
}

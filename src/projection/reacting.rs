//! The life of a reactor as long as he has the lock: handlers that run, what becomes of their events, and the checkpoint that
//! follows.
//!
//! All of it goes on at once, driven by one future: handlers run while the checkpoint is being written, and one commit tells of
//! all that has been done since the one before.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::reply::Answer;
use millpond_actors::storage::projection::{Failure, Standing};
use millpond_actors::storage::stream::Query;

use super::breaker::Breaker;
use super::calling::{Calls, handle, handle_again};
use super::letters::{self, DeadLetter};
use super::reactor::{Attempt, Manner, Reacted};
use super::session::{Came, End, Halt, Session};
use super::window::{State, Window};
use crate::batch::Batch;
use crate::following::Following;
use crate::job::Job;
use crate::patience::pause;
use crate::reading::{EventStream, Recorded};
use crate::stopper::Stage;
use crate::worker::Verdict;

/// What comes next.
enum Next {
    Lost,
    /// Its rows have changed, or the store is closed.
    News(Result<()>),
    /// A handler has ended: of which event, at which attempt, and what it says; nothing if it was not called.
    Handled((u64, u32, Option<Verdict>)),
    /// What has failed is tried again.
    Rested(u64),
    /// The checkpoint was written, or could not be.
    Saved(Result<Saved, Halt>),
    /// More was read, up to a position.
    Read(Result<u64>),
    /// A dead letter was revived, or dealt with.
    Letter(Result<Job<DeadLetter>>),
    LetterEnded(Result<()>),
    /// The breaker has rested, a place is to be saved, or it was told to stop: things are looked at anew.
    Look,
    /// Nothing runs, and nothing more is begun.
    Over,
}

/// What a commit is to tell of.
struct Save {
    /// All up to this position has been dealt with.
    to: u64,
    /// So many of the first events are done.
    done: usize,
    /// These are dead letters, and why.
    dead: Vec<(Recorded, String)>,
    /// Why it does not get on.
    failure: Option<Failure>,
}

/// What a commit has told of.
struct Saved {
    standing: Standing,
    /// So many of the first events are done.
    done: usize,
    /// And these are dead letters.
    dead: Vec<u64>,
}

/// One who reacts, and what he is at.
struct Reacting<'a> {
    session: &'a Session<'a>,
    manner: Manner,
    standing: Standing,
    following: Following,
    /// All up to this position has been read.
    read: u64,
    window: Window,
    running: usize,
    breaker: Breaker,
    /// Nothing more is begun, also of what waits for its turn among all partitions.
    held: Arc<AtomicBool>,
    /// When a place is to be saved at which nothing was of interest.
    save: Option<Answer<()>>,
    save_now: bool,
}

/// Goes on until it is told to stop, has nothing more to do, or has lost the lock.
pub(super) async fn live<H, V>(
    session: &Session<'_>,
    calls: Calls<'_, H>,
    reacted: &mut Reacted,
) -> Result<End>
where
    H: AsyncFn(Attempt) -> V,
    V: Into<Verdict>,
{
    let goal = session.runtime().read(|view| view.head()).await?;
    let mut stands = session.begin().await?;
    loop {
        let Some(standing) = stands.first() else { return Ok(End::Over) };
        if stands.len() > 1 {
            stands = session.reset_instead(&stands).await?;
            continue;
        }
        let mut reacting = Reacting::new(session, calls.manner, standing.clone())?;
        session.look_how_far().await?;
        match reacting.react(calls, goal, reacted).await? {
            Some(end) => return Ok(end),
            // It begins somewhere else.
            None => stands = session.stands().await?,
        }
    }
}

impl<'a> Reacting<'a> {
    fn new(session: &'a Session<'a>, manner: Manner, standing: Standing) -> Result<Reacting<'a>> {
        let query = Query { from: standing.position.saturating_add(1), ..session.query.clone() };
        let following = EventStream::of(session.runtime(), query).follow()?;
        let (read, breaker) = (standing.position, Breaker::new(manner.breaker));
        let (window, running, held, save, save_now) = (Window::default(), 0, Arc::default(), None, false);
        Ok(Reacting {
            session,
            manner,
            standing,
            following,
            read,
            window,
            running,
            breaker,
            held,
            save,
            save_now,
        })
    }

    /// Reacts from where it stands on; `None` if it is to begin somewhere else.
    async fn react<H, V>(
        &mut self,
        calls: Calls<'_, H>,
        goal: u64,
        reacted: &mut Reacted,
    ) -> Result<Option<End>>
    where
        H: AsyncFn(Attempt) -> V,
        V: Into<Verdict>,
    {
        let (session, stopper) = (self.session, calls.stopper);
        let (mut lost, mut over) = (pin!(session.guard.lost()), pin!(stopper.reached(Stage::Over)));
        let mut stopped = pin!(stopper.reached(Stage::Ending));
        let (mut handlers, mut rests, mut saves, mut revived) = (
            FuturesUnordered::new(),
            FuturesUnordered::new(),
            FuturesUnordered::new(),
            FuturesUnordered::new(),
        );
        let inbox = calls.exchange.inbox(session.partition);
        let pop = || session.settings.dead_letters.then(|| Box::pin(inbox.pop(session)));
        let (mut letter, mut coming, mut is_stopping) = (pop(), VecDeque::new(), false);
        let mut is_stale = false;
        loop {
            // What is being written is waited for: it may change what there is to be read.
            if is_stale && saves.is_empty() {
                is_stale = false;
                match session.stands().await?.as_slice() {
                    [standing] if self.is_at(standing) => self.stands_at(standing.clone()),
                    _ => return Ok(None),
                }
            }
            // It may have been told so while something else was looked at.
            let may_begin = !stopper.is_stopping() && !self.standing.paused;
            self.held.store(!may_begin || self.breaker.is_open(), Ordering::SeqCst);
            inbox.takes(may_begin && session.settings.dead_letters);
            while may_begin && self.has_room() {
                let Some((event, attempt)) = self.window.begin() else { break };
                self.running += 1;
                handlers.push(handle(session, calls, Some(Arc::clone(&self.held)), event, attempt));
            }
            if saves.is_empty()
                && !is_stale
                && let Some(told) = self.next_save(is_stopping)
            {
                saves.push(save(session, self.standing.clone(), told));
            }
            let next = poll_fn(|context| {
                if lost.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Lost);
                }
                if let Poll::Ready(news) = session.ear.poll_news(context) {
                    return Poll::Ready(Next::News(news));
                }
                if let Poll::Ready(Some(handled)) = handlers.poll_next_unpin(context) {
                    return Poll::Ready(Next::Handled(handled));
                }
                if let Poll::Ready(Some(saved)) = saves.poll_next_unpin(context) {
                    return Poll::Ready(Next::Saved(saved));
                }
                if let Poll::Ready(Some(position)) = rests.poll_next_unpin(context) {
                    return Poll::Ready(Next::Rested(position));
                }
                if let Poll::Ready(Some(ended)) = revived.poll_next_unpin(context) {
                    return Poll::Ready(Next::LetterEnded(ended));
                }
                if !is_stopping && stopped.as_mut().poll(context).is_ready() {
                    is_stopping = true;
                    return Poll::Ready(Next::Look);
                }
                if is_stopping {
                    let is_idle = handlers.is_empty() && saves.is_empty() && revived.is_empty();
                    let is_over = is_idle || over.as_mut().poll(context).is_ready();
                    return if is_over { Poll::Ready(Next::Over) } else { Poll::Pending };
                }
                if may_begin && let Poll::Ready(job) = inbox.poll_handed(context) {
                    return Poll::Ready(Next::Letter(Ok(job)));
                }
                if let Some(popping) = &mut letter
                    && may_begin
                    && let Poll::Ready(job) = popping.as_mut().poll(context)
                {
                    letter = pop();
                    return Poll::Ready(Next::Letter(job));
                }
                if self.poll_look(context).is_ready() {
                    return Poll::Ready(Next::Look);
                }
                if may_begin && let Poll::Ready(read) = self.poll_read(&mut coming, context) {
                    return Poll::Ready(Next::Read(read));
                }
                let is_idle =
                    handlers.is_empty() && saves.is_empty() && rests.is_empty() && revived.is_empty();
                let is_done = session.settings.drains && is_idle && self.is_done(goal);
                if is_done { Poll::Ready(Next::Over) } else { Poll::Pending }
            });
            let done = match next.await {
                Next::Lost => return Ok(Some(End::Lost)),
                Next::Over => return self.over(is_stopping).map(Some),
                Next::News(news) => news.map_err(Halt::Error).and(Err(Halt::Stale)),
                Next::Handled((position, attempt, verdict)) => {
                    if let Some(after) = self.handled((position, attempt), verdict, reacted) {
                        let rest = session.runtime().timer(after);
                        rests.push(async move {
                            let _ = rest.await;
                            position
                        });
                    }
                    Ok(())
                }
                Next::Rested(position) => {
                    self.window.wake(position);
                    Ok(())
                }
                Next::Saved(saved) => saved.map(|saved| self.saved(saved)),
                Next::Read(read) => self.has_read(read, &mut coming),
                Next::Letter(Err(error)) | Next::LetterEnded(Err(error)) => Err(Halt::Error(error)),
                Next::Letter(Ok(job)) => {
                    revived.push(handle_again(session, calls, job));
                    Ok(())
                }
                Next::LetterEnded(Ok(())) | Next::Look => Ok(()),
            };
            match done {
                Ok(()) => {}
                Err(Halt::Lost) => return Ok(Some(End::Lost)),
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Stale) => is_stale = true,
            }
        }
    }

    fn has_room(&self) -> bool {
        self.running < self.manner.streams && self.breaker.lets_in(self.running)
    }

    fn is_at(&self, standing: &Standing) -> bool {
        self.standing.generation == standing.generation && self.standing.position == standing.position
    }

    /// It was read anew. If something is wanted of it, what has failed is tried again.
    fn stands_at(&mut self, standing: Standing) {
        if standing.revision != self.standing.revision {
            self.window.try_again();
        }
        self.standing = standing;
    }

    fn poll_read(&mut self, coming: &mut VecDeque<Recorded>, context: &mut Context<'_>) -> Poll<Result<u64>> {
        let room = self.session.settings.batch.saturating_sub(self.window.len());
        if room == 0 {
            return Poll::Pending;
        }
        self.following.poll_stretch((self.read, room), coming, context)
    }

    fn has_read(&mut self, read: Result<u64>, coming: &mut VecDeque<Recorded>) -> Result<(), Halt> {
        self.read = read.map_err(Halt::Error)?;
        coming.drain(..).for_each(|event| self.window.push(event));
        Ok(())
    }

    /// What becomes of an event; after how long it is tried again, if it is.
    fn handled(
        &mut self,
        (position, attempt): (u64, u32),
        verdict: Option<Verdict>,
        reacted: &mut Reacted,
    ) -> Option<Duration> {
        self.running -= 1;
        let Some(verdict) = verdict else {
            self.window.uncount(position);
            self.window.set(position, State::Waiting);
            return None;
        };
        let (reason, after) = match verdict {
            Verdict::Done => {
                self.breaker.succeeded();
                reacted.done += 1;
                self.window.set(position, State::Done);
                return None;
            }
            Verdict::Release => {
                self.window.uncount(position);
                self.window.set(position, State::Resting("its handler has given it back".into()));
                return Some(limits::TRY_AGAIN);
            }
            Verdict::Bury(reason) => {
                reacted.dead += 1;
                self.window.set(position, State::Dead(reason));
                return None;
            }
            Verdict::Retry(reason) => (reason, pause(attempt)),
            Verdict::RetryIn(after, reason) => (reason, after.min(limits::DURATION_MAX)),
        };
        self.breaker.failed(self.session.runtime());
        if self.session.settings.goes_past(attempt) {
            reacted.dead += 1;
            self.window.set(position, State::Dead(reason));
            return None;
        }
        if attempt >= self.session.settings.attempts {
            self.window.set(position, State::Parked(reason));
            return None;
        }
        reacted.retried += 1;
        self.window.set(position, State::Resting(reason));
        Some(after)
    }

    /// What is to be told of by a commit now, if anything: how far it has come, dead letters, and why it does not get on.
    fn next_save(&mut self, is_stopping: bool) -> Option<Save> {
        let ((to, done), dead, failure) =
            (self.window.done(self.read), self.window.dead(), self.window.failure());
        let ahead = to - self.standing.position;
        let enough = done > 0 || ahead >= u64::from(limits::PAGE_ROWS);
        let at_once = enough || self.save_now || is_stopping || self.session.settings.drains;
        let is_news = !dead.is_empty() || failure != self.standing.failure || !self.standing.begun;
        if is_news || (ahead > 0 && at_once) {
            (self.save, self.save_now) = (None, false);
            return Some(Save { to, done, dead, failure });
        }
        if ahead > 0 && self.save.is_none() {
            self.save = Some(self.session.runtime().timer(limits::PLACE_SAVED));
        }
        None
    }

    fn saved(&mut self, saved: Saved) {
        let Saved { standing, done, dead } = saved;
        dead.into_iter().for_each(|position| self.window.set(position, State::Done));
        self.window.forget(done);
        self.standing = standing;
    }

    /// Until there is reason to look at things anew: the breaker has rested, or a place is to be saved.
    fn poll_look(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(save) = &mut self.save
            && Pin::new(save).poll(context).is_ready()
        {
            (self.save, self.save_now) = (None, true);
            return Poll::Ready(());
        }
        self.breaker.poll_rested(context)
    }

    /// Whether it has come as far as this, or does not go on.
    fn is_done(&self, goal: u64) -> bool {
        let has_come = self.window.is_empty() && self.standing.position >= goal;
        has_come || self.window.failure().is_some_and(|failure| failure.parked)
    }

    fn over(&self, is_stopping: bool) -> Result<End> {
        match self.window.failure() {
            Some(failure) if !is_stopping && failure.parked => {
                let (projection, reason) = (self.session.name.to_string(), failure.reason.into());
                Err(Error::Parked { projection, reason })
            }
            _ => Ok(End::Over),
        }
    }
}

/// Writes down how far it has come, with the dead letters that were gone past.
async fn save(
    session: &Session<'_>,
    standing: Standing,
    Save { to, done, dead, failure }: Save,
) -> Result<Saved, Halt> {
    let mut batch = Batch::new(Arc::clone(session.runtime()));
    for (event, reason) in &dead {
        let letter = (event, standing.generation);
        letters::go_past(&mut batch, &session.letters, letter, reason).map_err(Halt::Error)?;
    }
    match session.advance(&standing, batch, (to, done as u64), failure).await? {
        Came::Committed(standing) => {
            let dead = dead.iter().map(|(event, _)| event.position()).collect();
            Ok(Saved { standing, done, dead })
        }
        Came::Refused(detail) => Err(Halt::Error(Error::Storage { detail })),
    }
}

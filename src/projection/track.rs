//! One generation of a projection on its way: its events, its commits, and what fails.
//!
//! What the events of a commit lead to and the checkpoint are one batch. If one of its writes is refused, nobody can say yet
//! whose it is: the same events are tried again, half as many at a time, until there is one; that one has failed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use millpond_actors::error::{Error, Result};
use millpond_actors::limits;
use millpond_actors::reply::Answer;
use millpond_actors::runtime::Runtime;
use millpond_actors::storage::projection::{Failure as Kept, Standing};
use millpond_actors::storage::stream::Query;
use millpond_actors::thread::contain;

use super::handler::Handler;
use super::project::{Failure, Project, Rows};
use super::session::{Came, Halt, Session};
use super::{Projected, letters};
use crate::batch::Batch;
use crate::following::Following;
use crate::job::cut;
use crate::patience::pause;
use crate::reading::{EventStream, Recorded};

/// A generation on its way.
pub(super) struct Track {
    /// As it was committed last, or read.
    standing: Standing,
    following: Following,
    /// Events that have been read and are not committed yet.
    held: VecDeque<Recorded>,
    /// All up to this position has been read.
    read: u64,
    /// So many events at once.
    most: usize,
    /// How often the first of them has failed.
    attempts: u32,
    /// Until when it rests after that.
    rest: Option<Answer<()>>,
    /// When a place is to be saved at which nothing was of interest.
    save: Option<Answer<()>>,
    /// What is read next is not what comes next: something could not be read.
    is_broken: bool,
}

/// What there is to do for it.
pub(super) enum Work {
    /// It begins.
    Begin,
    /// There are events.
    Events,
    /// There were none of interest, up to a place that is to be saved.
    Save,
    /// It cannot be read.
    Fails(Error),
}

impl Track {
    pub(super) fn new(runtime: &Arc<Runtime>, query: &Query, standing: Standing) -> Result<Track> {
        let query = Query { from: standing.position.saturating_add(1), ..query.clone() };
        let following = EventStream::of(runtime, query).follow()?;
        let (held, read) = (VecDeque::new(), standing.position);
        let (most, attempts, rest, save, is_broken) = (usize::MAX, 0, None, None, false);
        Ok(Track { standing, following, held, read, most, attempts, rest, save, is_broken })
    }

    /// Whether it is this one, as far as this.
    pub(super) fn is_at(&self, standing: &Standing) -> bool {
        let is_same = self.standing.generation == standing.generation;
        is_same && self.standing.position == standing.position && !self.is_broken
    }

    /// It has been read anew. If something is wanted of it, it goes on at once.
    pub(super) fn standing_at(self, standing: Standing) -> Track {
        if standing.revision == self.standing.revision {
            return Track { standing, ..self };
        }
        Track { standing, attempts: 0, rest: None, ..self }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn parked(&self) -> Option<String> {
        let failure = self.standing.failure.as_ref().filter(|failure| failure.parked);
        failure.map(|failure| failure.reason.to_string())
    }

    /// Whether it has begun, and is not parked.
    pub(super) fn is_going(&self) -> bool {
        self.standing.begun && !self.standing.is_parked()
    }

    /// Whether it has come as far as this, or does not go on.
    pub(super) fn is_done(&self, goal: u64) -> bool {
        self.standing.is_parked()
            || self.standing.begun && self.held.is_empty() && self.standing.position >= goal
    }

    /// Whether it can take the place of an older one.
    pub(super) fn is_ahead_of(&self, older: &Track) -> bool {
        self.standing.begun && self.standing.position >= older.standing.position
    }

    /// What there is to do.
    pub(super) fn poll_work(&mut self, session: &Session<'_>, context: &mut Context<'_>) -> Poll<Work> {
        ready!(self.poll_rested(context));
        if !self.standing.begun {
            return Poll::Ready(Work::Begin);
        }
        while self.held.is_empty() {
            let most = session.settings.batch;
            match self.following.poll_stretch((self.read, most), &mut self.held, context) {
                Poll::Ready(Ok(read)) => self.read = read,
                Poll::Ready(Err(error)) => return Poll::Ready(Work::Fails(error)),
                Poll::Pending => {
                    ready!(self.poll_save(session, context));
                    return Poll::Ready(Work::Save);
                }
            }
        }
        Poll::Ready(Work::Events)
    }

    /// Until it can go on after a failure; never, if it is parked.
    pub(super) fn poll_rested(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.standing.is_parked() {
            return Poll::Pending;
        }
        if let Some(rest) = &mut self.rest {
            let _ = ready!(Pin::new(rest).poll(context));
            self.rest = None;
        }
        Poll::Ready(())
    }

    /// Until a place is to be saved at which nothing was of interest: not at once, because there may be many of them.
    fn poll_save(&mut self, session: &Session<'_>, context: &mut Context<'_>) -> Poll<()> {
        let ahead = self.read - self.standing.position;
        if ahead == 0 {
            return Poll::Pending;
        }
        if !session.settings.drains && ahead < u64::from(limits::PAGE_ROWS) {
            let save = self.save.get_or_insert_with(|| session.runtime().timer(limits::PLACE_SAVED));
            let _ = ready!(Pin::new(save).poll(context));
        }
        Poll::Ready(())
    }

    /// Does what there is to do.
    pub(super) async fn work(
        &mut self,
        work: Work,
        is_live: bool,
        session: &Session<'_>,
        handler: &mut impl Handler,
        projected: &mut Projected,
    ) -> Result<(), Halt> {
        match work {
            Work::Begin => self.begin(is_live, session, handler).await,
            Work::Events => self.apply(session, handler, projected).await,
            Work::Save => self.save_place(session).await,
            Work::Fails(error @ Error::Corrupt { .. }) => {
                // Whatever is behind it, its place is not passed; and what is damaged does not get better.
                self.is_broken = true;
                self.fails_with(&error.to_string(), true, session).await
            }
            Work::Fails(error) => Err(Halt::Error(error)),
        }
    }

    async fn begin(
        &mut self,
        is_live: bool,
        session: &Session<'_>,
        handler: &mut impl Handler,
    ) -> Result<(), Halt> {
        let mut batch = Batch::new(Arc::clone(session.runtime()));
        let generation = self.standing.generation;
        let begun = theirs("begin", session, || {
            let mut rows = Rows { batch: &mut batch, generation };
            handler.project().begin(&mut rows)?;
            if is_live { handler.project().switch(&mut rows) } else { Ok(()) }
        });
        let refused = match begun {
            Ok(()) => self.commit(batch, (self.standing.position, 0), None, session).await?,
            Err(reason) => Some(reason),
        };
        match refused {
            None => Ok(()),
            Some(reason) => self.fails(&reason, session).await,
        }
    }

    /// Commits what comes of as many events as can be had at once.
    async fn apply(
        &mut self,
        session: &Session<'_>,
        handler: &mut impl Handler,
        projected: &mut Projected,
    ) -> Result<(), Halt> {
        match handler.prepare(&self.held, self.most).await {
            Ok(()) => {}
            Err(error @ (Error::Corrupt { .. } | Error::Decode { .. })) => {
                return self.fails(&error.to_string(), session).await;
            }
            Err(error) => return Err(Halt::Error(error)),
        }
        let mut batch = Batch::new(Arc::clone(session.runtime()));
        let (mut handled, mut failed) = (0_usize, None);
        for event in self.held.iter().take(self.most) {
            let mark = batch.mark();
            if let Err(reason) = self.project(event, &mut batch, session, handler) {
                batch.back_to(mark);
                failed = Some(reason);
                break;
            }
            handled += 1;
        }
        let refused = match (handled.checked_sub(1).and_then(|last| self.held.get(last)), failed) {
            // It is tried alone before it has failed: the batch may have been full.
            (Some(last), _) => {
                let to = if handled == self.held.len() { self.read } else { last.position() };
                self.commit_handled(batch, (to, handled as u64), None, session, handler).await?
            }
            (None, failed) => Some(failed.unwrap_or_default()),
        };
        match refused {
            None => {
                self.held.drain(..handled);
                (self.attempts, self.save) = (0, None);
                self.most = self.most.saturating_mul(2);
                projected.handled += handled as u64;
                projected.commits += 1;
                Ok(())
            }
            Some(_) if handled > 1 => {
                self.most = handled / 2;
                Ok(())
            }
            Some(reason) if session.settings.goes_past(self.attempts + 1) => {
                self.go_past(&reason, session).await
            }
            Some(reason) => {
                let reason = self.held.front().map_or_else(|| reason.clone(), |event| at(event, &reason));
                self.fails(&reason, session).await
            }
        }
    }

    /// What comes of an event is added to a batch.
    pub(super) fn project(
        &self,
        event: &Recorded,
        batch: &mut Batch,
        session: &Session<'_>,
        handler: &mut impl Handler,
    ) -> Result<(), String> {
        let mut rows = Rows { batch, generation: self.standing.generation };
        theirs("apply", session, || handler.project().apply(event, &mut rows))
    }

    /// The first event is a dead letter, and what is behind it comes next.
    async fn go_past(&mut self, reason: &str, session: &Session<'_>) -> Result<(), Halt> {
        let Some(event) = self.held.front() else { return Ok(()) };
        let to = if self.held.len() == 1 { self.read } else { event.position() };
        let mut batch = Batch::new(Arc::clone(session.runtime()));
        let letter = (event, self.standing.generation);
        letters::go_past(&mut batch, &session.letters, letter, reason).map_err(Halt::Error)?;
        match self.commit(batch, (to, 0), None, session).await? {
            None => {
                self.held.pop_front();
                (self.attempts, self.save) = (0, None);
                Ok(())
            }
            // A letter that cannot be written is no reason to skip it.
            Some(reason) => self.fails(&reason, session).await,
        }
    }

    /// Saves a place up to which nothing more was of interest.
    pub(super) async fn save_place(&mut self, session: &Session<'_>) -> Result<(), Halt> {
        self.save = None;
        if !self.held.is_empty() || self.read == self.standing.position {
            return Ok(());
        }
        let batch = Batch::new(Arc::clone(session.runtime()));
        self.commit(batch, (self.read, 0), None, session).await.map(drop)
    }

    /// What comes first has failed once more: it is tried again after a while, or it is parked.
    async fn fails(&mut self, reason: &str, session: &Session<'_>) -> Result<(), Halt> {
        let parked = self.attempts + 1 >= session.settings.attempts;
        self.fails_with(reason, parked, session).await
    }

    async fn fails_with(&mut self, reason: &str, parked: bool, session: &Session<'_>) -> Result<(), Halt> {
        self.attempts += 1;
        let reason = cut(reason);
        let failure = Kept { reason, attempts: self.attempts, parked };
        let batch = Batch::new(Arc::clone(session.runtime()));
        if !parked {
            self.rest = Some(session.runtime().timer(pause(self.attempts)));
        }
        self.commit(batch, (self.standing.position, 0), Some(failure), session).await.map(drop)
    }

    /// This generation is the one that is read from now on.
    pub(super) async fn promote(
        &mut self,
        session: &Session<'_>,
        handler: &mut impl Handler,
    ) -> Result<(), Halt> {
        let mut batch = Batch::new(Arc::clone(session.runtime()));
        let generation = self.standing.generation;
        let mut rows = Rows { batch: &mut batch, generation };
        let switched = theirs("switch", session, || handler.project().switch(&mut rows));
        let promoted = match switched {
            Ok(()) => session.promote(&self.standing, batch).await?,
            Err(reason) => Came::Refused(reason),
        };
        match promoted {
            Came::Committed(_) => Ok(()),
            Came::Refused(reason) => self.fails(&reason, session).await,
        }
    }

    /// Commits what a handler has made, who forgets it if it was not committed.
    pub(super) async fn commit_handled(
        &mut self,
        batch: Batch,
        place: (u64, u64),
        failure: Option<Kept>,
        session: &Session<'_>,
        handler: &mut impl Handler,
    ) -> Result<Option<String>, Halt> {
        let committed = self.commit(batch, place, failure, session).await;
        if !matches!(committed, Ok(None)) {
            handler.forget();
        }
        committed
    }

    /// Commits a batch, and with it that the checkpoint is there. Why something of it was refused.
    async fn commit(
        &mut self,
        batch: Batch,
        place: (u64, u64),
        failure: Option<Kept>,
        session: &Session<'_>,
    ) -> Result<Option<String>, Halt> {
        match session.advance(&self.standing, batch, place, failure).await? {
            Came::Committed(standing) => {
                self.standing = standing;
                Ok(None)
            }
            Came::Refused(reason) => Ok(Some(reason)),
        }
    }
}

/// What went wrong, and at which event.
pub(super) fn at(event: &Recorded, reason: &str) -> String {
    let (position, kind, stream) = (event.position(), event.event_type(), event.stream());
    format!("event {position} ({kind} of stream \"{stream}\"): {reason}")
}

/// Code of the user's, which may panic.
fn theirs(
    what: &str,
    session: &Session<'_>,
    act: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), String> {
    let whose = || format!("`{what}` of projection \"{}\"", session.name);
    match contain(whose, || act().map_err(|failure| failure.to_string())) {
        Ok(done) => done,
        Err(panic) => Err(panic.to_string()),
    }
}

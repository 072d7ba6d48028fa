//! What takes so long that it would keep others waiting: it has a thread of its own, and a view or a session of its own.
//!
//! Whoever writes so does as another process would: he is registered, takes the writers' turn, and has it as long as he writes.
//! Neither the actors nor the commit thread wait for him but as they do for other processes.

use std::sync::Arc;
use std::time::Duration;

use super::Runtime;
use super::asking::Race;
use crate::clock::Moment;
use crate::error::{Error, Occupant, Result};
use crate::gate::Passage;
use crate::reply::Reply;
use crate::storage::{Session, Turn, View};
use crate::thread;

impl Runtime {
    /// Reads on a thread and a connection of its own, on any executor: what takes so long that it would keep others from their
    /// reads.
    ///
    /// # Errors
    /// As [`read`](Runtime::read), and if there is no thread left to be had.
    pub async fn read_aside<T: Send + 'static>(
        &self,
        name: &'static str,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut passage = self.enter().await?;
        let (reply, answer) = Reply::future();
        passage.arrive();
        self.start_aside(name, passage, look, reply)?;
        self.honest(answer.await)
    }

    /// The same for a thread that waits.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn read_aside_blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut passage = self.enter_blocking()?;
        let (reply, waiting) = Reply::blocking();
        passage.arrive();
        self.start_aside(name, passage, look, reply)?;
        self.honest(waiting.wait())
    }

    fn start_aside<T: Send + 'static>(
        &self,
        name: &'static str,
        passage: Passage,
        look: impl FnOnce(&mut dyn View) -> Result<T> + Send + 'static,
        reply: Reply<T>,
    ) -> Result<()> {
        self.doors.readers.aside(name, look, move |found| {
            reply.answer(found);
            drop(passage);
        })
    }

    /// Writes on a thread and with a session of its own, on any executor. The turn is waited for as long as a call may take;
    /// once it is there, `work` takes as long as it takes. Whoever drops the future before that has done nothing.
    ///
    /// # Errors
    /// The work's; [`Error::Busy`]; why it was not let in; if there is no thread left to be had.
    pub async fn write_aside<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut dyn Session, Moment) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut passage = self.enter().await?;
        let (begun, beginning) = Reply::future();
        let (reply, answer) = Reply::future();
        passage.arrive();
        self.start_writing(name, passage, work, begun, reply)?;
        match Race(beginning, self.timer(self.settings.call_timeout)).await {
            Some(begun) => self.honest(begun)?,
            None => {
                let holder = self.read(|view| view.turn_holder()).await;
                return Err(self.failed(busy(holder)));
            }
        }
        self.honest(answer.await)
    }

    /// The same for a thread that waits.
    ///
    /// # Errors
    /// As there, and [`Error::WouldDeadlock`] on a thread of the store's own.
    pub fn write_aside_blocking<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut dyn Session, Moment) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut passage = self.enter_blocking()?;
        let (begun, beginning) = Reply::blocking();
        let (reply, waiting) = Reply::blocking();
        passage.arrive();
        self.start_writing(name, passage, work, begun, reply)?;
        match beginning.wait_for(self.settings.call_timeout) {
            Some(begun) => self.honest(begun)?,
            None => {
                drop(beginning);
                let holder = self.read_blocking(|view| view.turn_holder());
                return Err(self.failed(busy(holder)));
            }
        }
        self.honest(waiting.wait())
    }

    fn start_writing<T: Send + 'static>(
        &self,
        name: &'static str,
        passage: Passage,
        work: impl FnOnce(&mut dyn Session, Moment) -> Result<T> + Send + 'static,
        begun: Reply<()>,
        reply: Reply<T>,
    ) -> Result<()> {
        let (backend, identity) = (Arc::clone(&self.backend), self.identity.clone());
        let clock = Arc::clone(&self.settings.seams.clock);
        let body = move || {
            thread::mark_as_ours();
            let join = || {
                let mut session = backend.join(&identity, &|| clock.now())?;
                session.take_turn(true).map(|_| session)
            };
            let mut session = match thread::contain(|| name.into(), join).flatten() {
                Ok(session) => session,
                Err(error) => return begun.answer(Err(error)),
            };
            // If nobody takes it, its caller has given up, and has been told that nothing was written.
            let done = match begun.send(Ok(())) {
                Ok(()) => thread::contain(|| name.into(), || work(&mut *session, clock.now())).flatten(),
                Err(_) => Err(Error::Closed),
            };
            leave(session, clock.now());
            reply.answer(done);
            drop(passage);
        };
        self.settings.seams.spawner.spawn(name, Box::new(body)).map(drop)
    }
}

/// A session that has the turn leaves. One that cannot is one whose process has died, and the others notice.
fn leave(mut session: Box<dyn Session>, now: Moment) {
    let _ = thread::contain(
        || "a session".into(),
        || {
            session.rollback();
            let left = session.leave(now);
            session.leave_turn();
            session.ring();
            left
        },
    );
}

fn busy(holder: Result<Option<Turn>>) -> Error {
    let process = holder.ok().flatten().map_or(Occupant::Unknown, |turn| turn.occupant);
    Error::Busy { process, held_for: Duration::ZERO }
}
